"""`dns-01` by a service of the user's, asked over HTTPS: it is verified, known to by a token, and believed in nothing else."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from everyhop.acme import Keeper, Publishers, Site
from everyhop.acme.http_hook import HttpHook
from everyhop.admin.issuing import zone_of
from everyhop.demo.certificates import Leaf
from everyhop.errors import Surroundings
from everyhop.model.acme import AcmeSection, DnsHttp
from tests.acme.edge import Clock, drive, only, settled
from tests.acme.pebble import Names, Pebble
from tests.kit import Pki
from tests.kit.raw import server_context

Start = Callable[..., Keeper]
Pebbles = Callable[..., Pebble]
TOKEN = "letters-and.digits_7~=="


class Server(ThreadingHTTPServer):
    """By HTTPS where there is a context; who does not finish the handshake is nobody."""

    daemon_threads = True
    context: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.context is None:
            super().finish_request(request, client_address)
            return
        with self.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False) as secured:
            try:
                secured.do_handshake()
            except OSError:
                return
            super().finish_request(secured, client_address)


class Service:
    """Changes the zone of `names` for who shows `token`, as an administrator would write it. `answer` is what it says instead."""

    def __init__(self, names: Names | None, leaf: Leaf | None, token: str | None = TOKEN) -> None:
        self.names, self.token = names, token
        self.answer: tuple[int, str, dict[str, str]] | None = None
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.over = threading.Event()
        self.silent = False
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                service.serve(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.context = server_context(leaf) if leaf else None
        self.url = f"{'https' if leaf else 'http'}://127.0.0.1:{self.server.server_address[1]}/acme"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def serve(self, it: BaseHTTPRequestHandler) -> None:
        body = json.loads(it.rfile.read(int(it.headers["Content-Length"])))
        self.asked.append((it.path, body, {k.lower(): v for k, v in it.headers.items()}))
        if self.silent:
            self.over.wait(60)
            return
        known = self.token is None or it.headers.get("Authorization") == f"Bearer {self.token}"
        status, said, more = self.answer or ((204, "", {}) if known else (401, "who are you?", {}))
        if status == 204 and self.names is not None:
            act = "set-txt" if body["action"] == "present" else "clear-txt"
            self.names.tell(act, host=body["fqdn"], **({"value": body["value"]} if act == "set-txt" else {}))
        it.send_response(status)
        for name, value in {**more, "Content-Length": str(len(said.encode()))}.items():
            it.send_header(name, value)
        it.end_headers()
        it.wfile.write(said.encode())

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(30)


@pytest.fixture
def secure(pki: Pki, tmp_path: Path) -> Leaf:
    return pki.internal.leaf("dns-service", "127.0.0.1")


@pytest.fixture
def service(names: Names, secure: Leaf) -> Iterator[Service]:
    it = Service(names, secure)
    yield it
    it.close()


def of(it: Service, pki: Pki, folder: Path, **more: object) -> HttpHook:
    """As a configuration gives it."""
    (file := folder / "token").touch(0o600)
    file.write_text(f"{it.token or 'any'}\n")
    hook = {"url": it.url, "token": f"file:{file}", "ca": str(pki.internal.file), **more}
    found = zone_of(AcmeSection(dns_http=DnsHttp(**hook)), folder)  # type: ignore[arg-type]
    return found  # type: ignore[return-value]


def test_a_wildcard_is_proved_by_a_service_that_is_known_by_its_certificate_and_knows_us_by_a_token(
    pebble: Pebbles, keeper: Start, clock: Clock, service: Service, pki: Pki, tmp_path: Path
) -> None:
    it = keeper(pebble().authority(), publisher=Publishers({"dns-01": of(service, pki, tmp_path)}))
    it.configure([Site("wild", ("*.hook.test",))])
    drive(it, clock, lambda: settled(it))
    (found,) = it.in_force()
    assert set(found.names) == {"*.hook.test"}
    assert [(path, body["action"], body["fqdn"]) for path, body, _ in service.asked] == [
        ("/acme", "present", "_acme-challenge.hook.test."),
        ("/acme", "cleanup", "_acme-challenge.hook.test."),
    ]
    assert all(set(body) == {"action", "fqdn", "value"} and len(body["value"]) == 43 for _, body, _ in service.asked)
    assert {fields["content-type"] for _, _, fields in service.asked} == {"application/json"}


def test_what_it_answers_is_told_and_what_is_in_force_stays(
    pebble: Pebbles, keeper: Start, clock: Clock, service: Service, pki: Pki, tmp_path: Path
) -> None:
    it = keeper(pebble().authority(), publisher=Publishers({"dns-01": of(service, pki, tmp_path)}))
    it.configure([Site("wild", ("*.hook.test",))])
    drive(it, clock, lambda: settled(it))
    before = it.in_force()
    service.answer = (503, "the zone is\nlocked", {})
    it.configure([Site("wild", ("*.hook.test", "more.hook.test"))])
    drive(it, clock, lambda: only(it).problem is not None)
    told = str(only(it).problem)
    assert "the answer to dns-01 cannot be published" in told
    assert f"the hook {service.url} present _acme-challenge." in told and "it answered with 503: the zone is" in told
    assert it.in_force() == before
    service.answer = None
    drive(it, clock, lambda: settled(it))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, "who are you?", {}), "it answered with 401: who are you?"),
        ((500, "", {}), r"it answered with 500$"),
        ((302, "", {"Location": "https://elsewhere.test/"}), "it answered with 302, a redirect, and no other URL is"),
        ((403, f"no: Bearer {TOKEN} is over", {}), r"it answered with 403: no: Bearer \*{6} is over"),
        ((400, "\x1b[31mred" + "x" * 100_000, {}), r"it answered with 400:  \[31mred"),
    ],
)
def test_an_answer_that_is_no_yes_is_told_in_one_line_without_the_token(
    answer: tuple[int, str, dict[str, str]], words: str, service: Service, pki: Pki, tmp_path: Path
) -> None:
    service.answer = answer
    with pytest.raises(OSError, match=words) as e:
        of(service, pki, tmp_path).publish("dns-01", "a.test", "t", "k")
    assert TOKEN not in str(e.value) and len(str(e.value)) < 1000
    assert len(service.asked) == 1


def test_a_service_that_is_not_verified_hears_nothing(service: Service, pki: Pki, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="certificate verify failed"):
        of(service, pki, tmp_path, ca=str(pki.public.file)).publish("dns-01", "a.test", "t", "k")
    with pytest.raises(OSError, match="certificate verify failed"):
        of(service, pki, tmp_path, ca=None).publish("dns-01", "a.test", "t", "k")
    assert service.asked == []


def test_no_proxy_and_no_password_of_the_environment_is_used(
    service: Service, pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (netrc := tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hidden\n")
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", str(netrc))
    with pytest.raises(OSError, match="401"):
        of(service, pki, tmp_path, token=None).publish("dns-01", "a.test", "t", "k")
    ((_, _, fields),) = service.asked
    assert "authorization" not in fields


def test_a_service_that_does_not_answer_is_waited_for_no_longer_than_was_said(
    service: Service, pki: Pki, tmp_path: Path
) -> None:
    service.silent = True
    by = HttpHook(service.url, TOKEN, str(pki.internal.file), timeout_s=0.5)
    with pytest.raises(OSError, match="no answer that counts: no answer"):
        by.publish("dns-01", "a.test", "t", "k")
    service.close()
    with pytest.raises(OSError, match="no answer that counts: Connection refused"):
        by.withdraw("dns-01", "a.test", "t", "k")


def test_a_service_on_this_host_may_be_asked_in_the_clear(names: Names, pki: Pki, tmp_path: Path) -> None:
    it = Service(names, None)
    try:
        assert of(it, pki, tmp_path, ca=None, settle_s=7).publish("dns-01", "a.test", "t", "k") == 7
    finally:
        it.close()
    assert it.asked[0][2]["authorization"] == f"Bearer {TOKEN}"


def test_a_token_that_is_renewed_on_the_disk_is_the_one_that_counts(service: Service, pki: Pki, tmp_path: Path) -> None:
    it = of(service, pki, tmp_path)
    file = tmp_path / "token"
    file.write_text("another\n")
    with pytest.raises(OSError, match="401"):
        it.publish("dns-01", "a.hook.test", "t", "k")
    file.write_text(TOKEN)
    it.publish("dns-01", "a.hook.test", "t", "k")
    file.chmod(0o644)
    with pytest.raises(OSError, match="the token of the hook"):
        it.withdraw("dns-01", "a.hook.test", "t", "k")
    file.chmod(0o600)
    file.write_text("two words")
    with pytest.raises(Surroundings, match="a token has letters"):
        zone_of(AcmeSection(dns_http=DnsHttp(url=service.url, token=f"file:{file}")), tmp_path)
