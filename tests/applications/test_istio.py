"""The server of ext_authz that Istio's examples have, built by Go from its module: it reads what it is asked with the classes that Envoy's own
protocol files are made into, and lets pass whom a field or the name in the client's certificate says."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from everyhop.demo.certificates import Leaf
from everyhop.demo.stage import free_port
from tests.applications import peer
from tests.applications.signs_in import started
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.clients import Answer
from tests.kit.edge import until
from tests.kit.raw import OK, answering

RESULT, RECEIVED = "x-ext-authz-check-result", "x-ext-authz-check-received"
OVERRIDE = "x-ext-authz-additional-header-override"
EDGE = """
[[authorizer]]
name = "istio"
to = ["127.0.0.1:{asked}"]
{words}
{hop}
sends = ["x-ext-authz", "x-two"]
takes = ["{RESULT}", "{RECEIVED}", "{OVERRIDE}"]
deadline_ms = 20000
[[route]]
name = "shop"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{backend}"]
ask = "istio"
"""
WORDS = {"envoy": 'speaks = "envoy"', "http": 'path = "/"'}
HOPS = {
    "plaintext": 'tls = "plaintext"',
    "mutual": 'tls = "mutual"\npresent = "edge"\nverify = {{ ca = "{pki}/internal-ca.pem", name = "backend.internal" }}',
}
NGINX = """
user {user}; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  ssl_certificate {chain}; ssl_certificate_key {key}; ssl_verify_client on; ssl_client_certificate {clients};
  server {{ listen 127.0.0.1:{grpc} ssl http2; location / {{ grpc_pass grpc://127.0.0.1:{inner_grpc}; }} }}
  server {{ listen 127.0.0.1:{http} ssl; location / {{ proxy_pass http://127.0.0.1:{inner_http}; }} }}
}}
"""


class Istio:
    """It serves both words, each at a port of its own; it knows no TLS."""

    def __init__(self, opened: contextlib.ExitStack, folder: Path) -> None:
        self.opened, self.folder = opened, folder
        self.ports = {"envoy": free_port(), "http": free_port()}
        self.begin()

    def begin(self) -> None:
        flags = ["-allow_service_account", "kim", "-grpc", str(self.ports["envoy"]), "-http", str(self.ports["http"])]
        command = [peer.istio(), *flags]
        self.process: subprocess.Popen[bytes] = started(
            self.opened, command, self.folder, "extauthz", self.ports["envoy"]
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Stage:
    def __init__(self, opened: contextlib.ExitStack, pki: Pki, folder: Path, words: str, hop: str) -> None:
        self.pki, self.raw = pki, Raw(answering(OK))
        opened.callback(self.raw.close)
        self.istio = Istio(opened, folder)
        port = self.istio.ports[words]
        if hop == "mutual":
            port = before(opened, pki, folder, self.istio)[words]
        text = EDGE.format(
            asked=port,
            words=WORDS[words],
            hop=HOPS[hop].format(pki=pki.folder),
            backend=self.raw.port,
            RESULT=RESULT,
            RECEIVED=RECEIVED,
            OVERRIDE=OVERRIDE,
        )
        self.edge = EdgeKit(pki, text, site='clients = { ca = "{pki}/public-ca.pem", mode = "ask" }')
        opened.callback(self.edge.close)

    def ask(self, *fields: str, leaf: Leaf | None = None, line: str = "GET /cart?x=%2f HTTP/1.1") -> Answer:
        with tls(self.edge.port, "a.test", self.pki.public.file, leaf=leaf) as sock:
            return exchange(sock, "\r\n".join([line, "Host: a.test", *fields, "", ""]))


def before(opened: contextlib.ExitStack, pki: Pki, folder: Path, istio: Istio) -> dict[str, int]:
    """nginx, which ends TLS for it and demands to know who calls, as the proxy beside it does in a mesh."""
    ports = {"grpc": free_port(), "http": free_port()}
    said = NGINX.format(
        user=pwd.getpwuid(os.geteuid()).pw_name,
        folder=folder,
        chain=pki.backend.chain,
        key=pki.backend.key,
        clients=pki.internal.file,
        inner_grpc=istio.ports["envoy"],
        inner_http=istio.ports["http"],
        **ports,
    )
    (folder / "nginx.conf").write_text(said)
    command = [peer.found("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    started(opened, command, folder, "nginx", ports["grpc"])
    return {"envoy": ports["grpc"], "http": ports["http"]}


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def told(request: bytes) -> dict[str, list[str]]:
    """The fields of what came to the backend."""
    out: dict[str, list[str]] = {}
    for line in request.decode().split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        out.setdefault(name.lower(), []).append(value)
    return out


@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize("words", WORDS)
def test_a_request_that_it_lets_pass_goes_on_with_what_it_says_and_what_a_client_says_there_does_not(
    opened: contextlib.ExitStack, pki: Pki, tmp_path: Path, words: str, hop: str
) -> None:
    it = Stage(opened, pki, tmp_path, words, hop)
    forged = (f"{RESULT}: forged", f"{RECEIVED}: forged", f"{OVERRIDE}: forged", "x_ext_authz_check_result: forged")
    assert it.ask("x-ext-authz: allow", "x-secret: s", "x-two: 1", "x-two: 2", *forged).status == 200
    got = told(bytes(it.raw.received))
    assert got[RESULT] == ["allowed"] and "forged" not in it.raw.received.decode()
    (received,) = got[RECEIVED]
    if words == "envoy":
        assert got[OVERRIDE] == ["grpc-additional-header-override-value"]
        for part in ('method:"GET"', 'path:"/cart?x=%2f"', 'host:"a.test"', 'scheme:"https"', 'value:"1,2"'):
            assert part in received, received
    else:
        assert received.startswith("GET ") and "X-Forwarded-Uri:[/cart?x=%2f]" in received
    assert "secret" not in received and "allow" in received
    assert it.edge.all_lines()[-1]["ask"]["verdict"] == "passed"


@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize("words", WORDS)
def test_a_request_that_it_denies_gets_its_status_and_body_and_goes_no_further(
    opened: contextlib.ExitStack, pki: Pki, tmp_path: Path, words: str, hop: str
) -> None:
    it = Stage(opened, pki, tmp_path, words, hop)
    for fields in ((), ("x-ext-authz: deny",)):
        answer = it.ask(*fields)
        assert answer.status == 403 and answer.text.startswith("denied by ext_authz for not found header")
        assert RECEIVED not in answer.headers, "what it would tell of the question is not the client's"
    assert it.raw.received == b""
    assert [line["end"] for line in it.edge.all_lines()] == ["ask/denied"] * 2


@pytest.mark.parametrize("hop", HOPS)
def test_it_knows_a_client_by_the_name_in_its_certificate(
    opened: contextlib.ExitStack, pki: Pki, tmp_path: Path, hop: str
) -> None:
    it = Stage(opened, pki, tmp_path, "envoy", hop)
    kim = pki.public.leaf("kim", "spiffe://test/ns/shop/sa/kim")
    assert it.ask(leaf=kim).status == 200
    assert 'principal:"spiffe://test/ns/shop/sa/kim"' in told(bytes(it.raw.received))[RECEIVED][0]
    mark = it.raw.mark()
    assert it.ask(leaf=pki.client).status == 403, "another name"
    assert it.ask("X-Forwarded-Client-Cert: URI=spiffe://test/ns/shop/sa/kim").status == 403, "no certificate"
    assert it.raw.since(mark) == []


@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize("words", WORDS)
def test_while_it_is_gone_nobody_passes_and_who_asks_is_told_so(
    opened: contextlib.ExitStack, pki: Pki, tmp_path: Path, words: str, hop: str
) -> None:
    """A proxy that is there and has nobody behind it is an answer, and no yes."""
    it = Stage(opened, pki, tmp_path, words, hop)
    assert it.ask("x-ext-authz: allow").status == 200
    it.istio.kill()
    mark = it.raw.mark()
    answer = it.ask("x-ext-authz: allow")
    slug = "ask/unreached" if hop == "plaintext" else "ask/unfit-answer"
    assert (answer.status, slug in answer.text) == (503, True), answer.text
    assert it.raw.since(mark) == []
    it.istio.begin()
    # Who could not be reached is left alone for a while.
    until(lambda: it.ask("x-ext-authz: allow").status == 200 or None, 60)
