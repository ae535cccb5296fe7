"""An edge whose sites have their certificates from a step-ca: from nothing to served and on through renewals, and what is told of it
where it refuses, is away, or is believed no more.
"""

from __future__ import annotations

import re
import socket
import ssl
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from cryptography import x509

from everyhop.demo.stage import free_port
from tests.acme.pebble import Names
from tests.kit import EdgeKit, Pki, Raw
from tests.kit.edge import until
from tests.kit.nursery import everyhop
from tests.kit.raw import OK, answering
from tests.step_ca.step import Step
from tests.wire.test_challenges import asks

PAGE = Path(__file__).parents[2] / "docs/how-to/get-certificates-from-step-ca.md"
Edges = Callable[..., EdgeKit]


class Ground:
    """An authority, and an edge that it looks at."""

    def __init__(self, edge: Edges, raw: Callable[..., Raw], names: Names, folder: Path, stack: ExitStack) -> None:
        self.edge_of, self.backend, self.folder = edge, raw(answering(OK)), folder
        self.plain, self.secure, self.names, self.stack = free_port(), free_port(), names, stack

    def authority(self, lasts: str = "24h") -> Step:
        step = Step(self.folder, resolver=self.names.port, http_port=self.plain, tls_port=self.secure, lasts=lasts)
        self.step = self.stack.enter_context(closing(step))
        return self.step

    def start(self, *sites: str, challenge: str = "tls-alpn-01", ca: Path | None = None) -> EdgeKit:
        text = "".join(
            f'[[site]]\nname = "{it}"\nhosts = ["{it}.test"]\ncerts = "acme"\n[[route]]\nname = "{it}"\nhost = "{it}.test"\n'
            f'tls = "plaintext"\nto = ["127.0.0.1:{self.backend.port}"]\n'
            for it in sites
        )
        self.edge = self.edge_of(
            f'[acme]\nauthority = ["{self.step.url}"]\nca = "{ca or self.step.root.file}"\nterms_agreed = true\n'
            f'challenges = ["{challenge}"]\n'
            f'[[listener]]\nname = "web"\nbind = ["127.0.0.1:{self.plain}"]\nspeaks = "http"\nhttps_port = {self.secure}\n'
            f'[[listener]]\nname = "second"\nbind = ["127.0.0.1:{self.secure}"]\n{text}'
            '[[route]]\nname = "a"\nhost = "a.test"\ntls = "plaintext"\n'
            f'to = ["127.0.0.1:{self.backend.port}"]\n'
        )
        return self.edge

    def shown(self, name: str) -> x509.Certificate | None:
        try:
            return x509.load_der_x509_certificate(asks(self.secure, name, ["http/1.1"])[1])
        except ssl.SSLError:
            return None

    def told(self) -> str:
        found = self.edge.admin("status")["supervisor"]
        return str([*found["acme"], *found["troubles"]])


@pytest.fixture(scope="session")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Names]:
    with closing(Names(tmp_path_factory.mktemp("names"))) as it:
        yield it


@pytest.fixture
def ground(edge: Edges, raw: Callable[..., Raw], names: Names, tmp_path: Path) -> Iterator[Ground]:
    with ExitStack() as stack:
        yield Ground(edge, raw, names, tmp_path, stack)


@pytest.mark.parametrize("challenge", ["tls-alpn-01", "http-01"])
def test_a_site_without_a_certificate_gets_one_and_who_trusts_the_root_is_served(
    ground: Ground, challenge: str
) -> None:
    step = ground.authority()
    it = ground.start("shop", challenge=challenge)
    found = until(lambda: ground.shown("shop.test"), 60, lambda: ground.told() + step.said()[-2000:])
    assert "Issuing" in found.issuer.rfc4514_string()
    trusting = ssl.create_default_context(cafile=str(step.root.file))
    with trusting.wrap_socket(
        socket.create_connection(("127.0.0.1", ground.secure)), server_hostname="shop.test"
    ) as sock:
        assert sock.version() == "TLSv1.3", "the chain leads to the root, which alone is trusted"
    ends = [line["end"] for line in it.all_lines()]
    assert ("hello" if challenge == "tls-alpn-01" else "plain") + "/challenge-answered" in ends


def test_it_is_renewed_within_minutes_and_no_handshake_fails_meanwhile(ground: Ground) -> None:
    step = ground.authority(lasts="1m")
    ground.start("shop")
    first = until(lambda: ground.shown("shop.test"), 60, step.said)
    seen: set[int] = set()

    def renewed_twice() -> bool:
        found = ground.shown("shop.test")
        assert found is not None, ground.told()
        seen.add(found.serial_number)
        return len(seen - {first.serial_number}) >= 2

    until(renewed_twice, 200, lambda: ground.told() + step.said()[-2000:])


def test_while_it_is_away_what_was_issued_is_served_and_that_it_is_away_is_told(ground: Ground) -> None:
    step = ground.authority()
    it = ground.start("shop")
    first = until(lambda: ground.shown("shop.test"), 60, step.said)
    step.close()
    more = (
        '[[site]]\nname = "more"\nhosts = ["more.test"]\ncerts = "acme"\n[[route]]\nname = "more"\nhost = "more.test"\n'
    )
    more += f'tls = "plaintext"\nto = ["127.0.0.1:{ground.backend.port}"]\n'
    it.config.write_text(it.config.read_text() + more)
    assert it.admin("reload")["reloaded"]
    until(lambda: "refused" in ground.told().lower() and "tried again" in ground.told(), 60, ground.told)
    assert ground.shown("shop.test") == first and ground.shown("more.test") is None
    step.start()
    until(lambda: ground.shown("more.test"), 150, lambda: ground.told() + step.said()[-2000:])
    assert ground.shown("shop.test") == first


def test_a_name_that_its_policy_refuses_is_told_in_its_words_and_others_are_served(ground: Ground) -> None:
    step = ground.authority()
    ground.start("denied", "shop")
    until(lambda: ground.shown("shop.test"), 60, lambda: ground.told() + step.said()[-2000:])
    until(lambda: "The server will not issue certificates for the identifier; tried again at" in ground.told(), 60)
    assert ground.shown("denied.test") is None
    assert r"dns name \"denied.test\" not allowed" in step.said(), "which name it was, its own log alone says"


def test_one_whose_root_is_not_trusted_is_asked_for_nothing_and_told(ground: Ground, pki: Pki) -> None:
    step = ground.authority()
    ground.start("shop", ca=pki.internal.file)
    until(lambda: "certificate verify failed" in ground.told().lower(), 60, ground.told)
    assert ground.shown("shop.test") is None
    assert "new-account" not in step.said() and "new-order" not in step.said()


def test_another_root_is_not_believed_until_it_is_among_those_that_are_trusted(ground: Ground, tmp_path: Path) -> None:
    step = ground.authority()
    (trusted := tmp_path / "trusted.pem").write_bytes(step.root.file.read_bytes())
    it = ground.start("shop", ca=trusted)
    first = until(lambda: ground.shown("shop.test"), 60, step.said)
    step.close()
    step.rotated()
    step.start()
    done = it.cli("acme", "renew", "shop", "--config", str(it.config))
    assert done.returncode == 1 and "certificate verify failed" in (done.stdout + done.stderr).lower(), done
    assert ground.shown("shop.test") == first
    trusted.write_bytes(trusted.read_bytes() + step.root.file.read_bytes())
    assert it.admin("reload")["reloaded"]
    until(lambda: it.cli("acme", "renew", "shop", "--config", str(it.config)).returncode == 0, 150, ground.told)
    found = ground.shown("shop.test")
    assert found is not None and found != first


def test_what_the_page_says_to_write_is_accepted(ground: Ground, tmp_path: Path) -> None:
    (block,) = re.findall(r"^ *```toml\n(.*?)```", PAGE.read_text(), re.M | re.S)
    (tmp_path / "root_ca.crt").write_bytes(ground.authority().root.file.read_bytes())
    (path := tmp_path / "page.toml").write_text(textwrap.dedent(block))
    done = everyhop("check", str(path), "--strict")
    assert done.returncode == 0, done.stdout + done.stderr
