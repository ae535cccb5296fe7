"""An edge whose sites have their certificates from an authority: from nothing to served, by a handshake and in the clear."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509

from everyhop.admin.paths import engine_socket
from everyhop.demo.stage import free_port
from everyhop.engine import messages as m
from everyhop.engine.control import Control
from tests.acme.bind import Bind
from tests.acme.pebble import Names, Pebble
from tests.acme.test_dns_http import TOKEN, Service
from tests.kit import EdgeKit, Pki, Raw
from tests.kit.edge import until
from tests.kit.raw import OK, answering
from tests.wire.test_challenges import asks, plain

Edges = Callable[..., EdgeKit]


class Ground:
    """An authority, and an edge that it looks at."""

    def __init__(self, edge: Edges, raw: Callable[..., Raw], pki: Pki, names: Names, folder: Path) -> None:
        self.edge_of, self.pki, self.backend = edge, pki, raw(answering(OK))
        self.plain, self.secure = free_port(), free_port()
        self.folder = folder
        self.pebble = self.authority(names.port)

    def authority(self, resolver: int) -> Pebble:
        return Pebble(
            self.pki,
            self.folder,
            resolver=resolver,
            http_port=self.plain,
            tls_port=self.secure,
            blocked=["blocked.test"],
        )

    def start(self, sites: str, challenge: str = "tls-alpn-01", more: str = "") -> EdgeKit:
        self.edge = self.edge_of(
            f'[acme]\nauthority = ["https://127.0.0.1:{self.pebble.port}/dir"]\nca = "{self.pki.public.file}"\n'
            f'terms_agreed = true\nchallenges = ["{challenge}"]\n{more}'
            f'[[listener]]\nname = "web"\nbind = ["127.0.0.1:{self.plain}"]\nspeaks = "http"\nhttps_port = {self.secure}\n'
            f'[[listener]]\nname = "second"\nbind = ["127.0.0.1:{self.secure}"]\n{sites}{self.route("a.test")}'
        )
        return self.edge

    def route(self, *hosts: str) -> str:
        return (
            f'[[route]]\nname = "r{hosts[0]}"\nhost = {list(hosts)}\ntls = "plaintext"\n'
            f'to = ["127.0.0.1:{self.backend.port}"]\n'
        ).replace("'", '"')

    def shown(self, name: str) -> x509.Certificate | None:
        try:
            return x509.load_der_x509_certificate(asks(self.secure, name, ["http/1.1"])[1])
        except ssl.SSLError:
            return None

    def told(self) -> list[tuple[object, object, object]]:
        found = self.edge.admin("status")["supervisor"]["acme"]
        return [(one["site"], one["problem"], one["pending"]) for one in found]


@pytest.fixture
def ground(edge: Edges, raw: Callable[..., Raw], pki: Pki, names: Names, tmp_path: Path) -> Iterator[Ground]:
    it = Ground(edge, raw, pki, names, tmp_path)
    yield it
    it.pebble.close()


def site(name: str, *hosts: str) -> str:
    return f'[[site]]\nname = "{name}"\nhosts = {list(hosts)}\ncerts = "acme"\n'.replace("'", '"')


@pytest.mark.parametrize("challenge", ["tls-alpn-01", "http-01"])
def test_a_site_without_a_certificate_gets_one_and_is_served(ground: Ground, challenge: str) -> None:
    names = ("new.test", "other.new.test")
    it = ground.start(site("new", *names) + ground.route(*names), challenge)
    until(lambda: ground.shown("new.test") is not None, 60)
    found = ground.shown("new.test")
    assert found is not None
    carried = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {*carried.get_values_for_type(x509.DNSName)} == {*names}
    assert "Pebble" in found.issuer.rfc4514_string()
    assert ground.told() == [("new", None, False)]
    ends = [line["end"] for line in it.all_lines()]
    how = "hello" if challenge == "tls-alpn-01" else "plain"
    assert ends.count(f"{how}/challenge-answered") >= 2


def test_a_site_that_a_reload_brings_is_asked_for_and_the_one_before_is_not_asked_for_again(ground: Ground) -> None:
    it = ground.start(site("new", "new.test") + ground.route("new.test"))
    until(lambda: ground.shown("new.test") is not None, 60)
    first = ground.shown("new.test")
    it.config.write_text(it.config.read_text() + site("more", "more.test") + ground.route("more.test"))
    assert it.admin("reload")["reloaded"]
    until(lambda: ground.shown("more.test") is not None, 60)
    until(lambda: ground.told() == [("new", None, False), ("more", None, False)])
    assert ground.shown("new.test") == first


def test_a_name_that_comes_to_a_site_is_on_its_next_certificate_and_the_one_before_is_shown_meanwhile(
    ground: Ground,
) -> None:
    it = ground.start(site("new", "new.test") + ground.route("new.test"))
    until(lambda: ground.shown("new.test") is not None, 60)
    text = it.config.read_text().replace('["new.test"]', '["new.test", "more.test"]')
    it.config.write_text(text)
    assert it.admin("reload")["reloaded"]
    assert ground.shown("new.test") is not None

    def carries() -> bool:
        found = ground.shown("more.test")
        assert found is not None
        san = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return "more.test" in san.get_values_for_type(x509.DNSName)

    until(carries, 60)


def test_a_supervisor_that_comes_again_finds_what_was_issued_and_answers_challenges_by_the_engine_that_is_there(
    ground: Ground,
) -> None:
    it = ground.start(site("new", "new.test") + ground.route("new.test"))
    until(lambda: ground.shown("new.test") is not None, 60)
    first = ground.shown("new.test")
    engine = Control.connect(engine_socket(it.folder / "admin.sock"))
    engine.must(m.Challenges(challenges=[m.SaidInTheClear(name="a.test", token="left", text="left.key")]), m.Heard)
    engine.close()
    assert plain(ground.plain, "a.test", "/.well-known/acme-challenge/left")[0] == 200
    it.edge.process.kill()
    it.edge.process.wait(10)
    it.config.write_text(it.config.read_text() + site("more", "more.test") + ground.route("more.test"))
    it.edge = type(it.edge)(it.config)
    it.edge.wait_for("ready:", 60)
    until(lambda: ground.shown("more.test") is not None, 60)
    assert ground.shown("new.test") == first
    assert it.edge.wait_for("site 'more' has a new certificate")
    assert not any("site 'new' has a new certificate" in said for said in it.edge.said), "it was there"
    assert plain(ground.plain, "a.test", "/.well-known/acme-challenge/left")[0] == 404, "of an order before"


def test_an_authority_that_refuses_a_name_is_told_in_its_words_and_other_sites_are_served(ground: Ground) -> None:
    it = ground.start(
        site("refused", "blocked.test") + site("new", "new.test") + ground.route("blocked.test", "new.test")
    )
    until(lambda: ground.shown("new.test") is not None, 60)

    def why() -> str:
        troubles = it.admin("status")["supervisor"]["troubles"]
        return "".join(str(one["why"]) for one in troubles if one["about"] == "site refused")

    until(lambda: "blocked.test" in why() and "tried again at" in why(), 60)
    said = it.edge.wait_for("no certificate for site 'refused'")
    assert "blocked.test" in said and sum("no certificate for site" in line for line in it.edge.said) == 1
    assert ground.shown("blocked.test") is None
    assert {line["end"] for line in it.all_lines() if line["sni"] == "blocked.test"} == {"hello/no-certificate-yet"}


def test_a_wildcard_is_proved_by_updates_of_its_zone(ground: Ground, tmp_path: Path) -> None:
    with closing(Bind(tmp_path, "dns.test")) as bind:
        ground.pebble.close()
        ground.pebble = ground.authority(bind.port)
        (secret := tmp_path / "tsig").write_text(f"{bind.secret}\n")
        secret.chmod(0o600)
        more = f'dns_update = {{ server = "127.0.0.1:{bind.port}", key = "acme", secret = "file:{secret}" }}\n'
        ground.start(site("wild", "*.w.dns.test") + ground.route("*.w.dns.test"), "dns-01", more)
        until(lambda: ground.shown("any.w.dns.test") is not None, 60)
        assert bind.texts("_acme-challenge.w.dns.test") == set(), "nothing is left behind"


def test_a_wildcard_is_proved_by_a_service_that_is_asked_over_https(
    ground: Ground, names: Names, pki: Pki, tmp_path: Path
) -> None:
    (token := tmp_path / "token").touch(0o600)
    token.write_text(f"{TOKEN}\n")
    with closing(Service(names, pki.internal.leaf("dns-service", "127.0.0.1"))) as service:
        more = f'dns_http = {{ url = "{service.url}", token = "file:{token}", ca = "{pki.internal.file}" }}\n'
        ground.start(site("wild", "*.hook.test") + ground.route("*.hook.test"), "dns-01", more)
        until(lambda: ground.shown("any.hook.test") is not None, 60)
        assert ground.told() == [("wild", None, False)]
        until(lambda: [body["action"] for _, body, _ in service.asked] == ["present", "cleanup"])


def test_a_folder_that_others_can_read_is_told_for_as_long_as_it_is_so(ground: Ground, tmp_path: Path) -> None:
    (state := tmp_path / "state").mkdir()
    state.chmod(0o755)
    it = ground.start(site("new", "new.test") + ground.route("new.test"), more=f'state = "{state}"\n')

    def told() -> list[str]:
        return [
            str(one["why"]) for one in it.admin("status")["supervisor"]["troubles"] if one["kind"] == "supervisor-fault"
        ]

    for _ in range(5):
        until(lambda: any("can be used by others" in why for why in told()))
    state.chmod(0o700)
    until(lambda: ground.shown("new.test") is not None, 60)
    until(lambda: told() == [])
