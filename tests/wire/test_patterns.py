"""The four patterns, judged by what a relay in the backend hop reads: a canary in the body, a cookie in the head."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
from collections.abc import Callable

import pytest

from everyhop.demo.backends import Backend
from everyhop.demo.relay import Relay
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.raw import OK, answering, take
from tests.kit.settle import settle
from tests.kit.soon import in_time

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
Relays = Callable[[int], Relay]

CANARY = "canary-9c1f"
REQUEST = f"POST /p HTTP/1.1\r\nHost: a.test\r\nCookie: s={CANARY}\r\nContent-Length: {len(CANARY)}\r\n\r\n{CANARY}"


def route(tls_: str, port: int, more: str = "") -> str:
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "{tls_}"\nto = ["127.0.0.1:{port}"]\n{more}\n'


def accepted(until_: dt.date | dt.datetime | None = None) -> str:
    today = dt.datetime.now(dt.UTC).date()
    ends = until_ or today + dt.timedelta(days=60)
    return (
        "off_host = true\n[route.acceptance]\n"
        f'owner = "me"\nwhy = "test"\ncontext = "legacy"\nsince = {today}\nuntil = {ends.isoformat()}\n'
    )


VERIFY = 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\n'


def ask(it: EdgeKit, pki: Pki) -> tuple[int, str]:
    with tls(it.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, REQUEST)
    return answer.status, answer.text


def test_plaintext_is_readable_on_the_way_and_only_while_the_acceptance_holds(
    edge: Edges, pki: Pki, relay: Relays
) -> None:
    backend = Backend("b")
    tap = relay(backend.port)
    it = edge(route("plaintext", tap.port, accepted()))
    assert ask(it, pki)[0] == 200
    assert CANARY.encode() in tap.sent

    def ends_soon(at: dt.datetime) -> None:
        assert it.reload(route("plaintext", tap.port, accepted(at)))["reloaded"]

    in_time(ends_soon)
    closed = until(lambda: answer if (answer := ask(it, pki))[0] != 200 else None, 40)
    assert closed[0] == 503 and "hop/acceptance-expired" in closed[1]
    tap.clear()
    assert ask(it, pki)[0] == 503
    assert not tap.sent
    assert it.status()["routes"][0]["closed"] == "hop/acceptance-expired"
    backend.close()


def test_plaintext_on_this_host_needs_no_acceptance(edge: Edges, pki: Pki) -> None:
    backend = Backend("b")
    it = edge(route("plaintext", backend.port))
    assert ask(it, pki)[0] == 200
    backend.close()


def test_reencrypt_never_shows_the_canary_and_verifies_the_backend(edge: Edges, pki: Pki, relay: Relays) -> None:
    backend = Backend("b", pki.backend)
    tap = relay(backend.port)
    it = edge(route("reencrypt", tap.port, VERIFY))
    assert ask(it, pki)[0] == 200
    assert len(tap.sent) > 300 and CANARY.encode() not in tap.sent + tap.returned
    hop = it.line(lambda x: x["route"] == "r")["backend_hop"]
    assert hop["tls"] == "reencrypt" and hop["version"] == "1.3" and hop["identity"] == "not_presented"
    assert hop["peer"]["names"] == ["backend.internal"]
    backend.close()


@pytest.mark.parametrize(
    ("leaf", "ca", "slug"),
    [("other", "internal-ca", "hop/name-mismatch"), ("backend", "public-ca", "hop/untrusted")],
)
def test_a_backend_that_is_not_whom_we_expect_gets_no_byte(
    edge: Edges, raw: Raws, pki: Pki, leaf: str, ca: str, slug: str
) -> None:
    backend = raw(answering(OK), getattr(pki, leaf))
    verify = VERIFY.replace("internal-ca", ca)
    it = edge(route("reencrypt", backend.port, verify))
    status, text = ask(it, pki)
    assert status == 502 and slug in text
    settle(it, backend)
    assert backend.received == b""
    assert it.line(lambda x: x["end"] == slug)["status"] == 502


def test_a_backend_with_an_expired_certificate_gets_no_byte(edge: Edges, raw: Raws, pki: Pki) -> None:
    backend = raw(answering(OK), pki.internal.leaf("old", "backend.internal", days=-1))
    it = edge(route("reencrypt", backend.port, VERIFY))
    status, text = ask(it, pki)
    assert status == 502 and "hop/certificate-expired" in text
    settle(it, backend)
    assert backend.received == b""


def test_a_backend_without_tls_gets_no_byte_of_the_request(edge: Edges, raw: Raws, pki: Pki) -> None:
    def script(sock: socket.socket, record: bytearray) -> None:
        take(sock, record, 4096)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    backend = raw(script)
    it = edge(route("reencrypt", backend.port, VERIFY))
    status, text = ask(it, pki)
    assert status == 502 and "hop/not-tls" in text
    settle(it, backend)
    assert CANARY.encode() not in backend.received


def test_mutual_proves_both_sides_and_the_backend_refuses_others(edge: Edges, pki: Pki, relay: Relays) -> None:
    backend = Backend("b", pki.backend, clients=pki.internal.file, demands=True)
    tap = relay(backend.port)
    it = edge(route("mutual", tap.port, VERIFY + 'present = "edge"\n'))
    status, text = ask(it, pki)
    assert status == 200 and "caller proved to be: edge.internal" in text
    assert CANARY.encode() not in tap.sent + tap.returned
    line = it.line(lambda x: x["route"] == "r")
    assert line["backend_hop"]["identity"] == "demanded" and line["alarms"] == []
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with tls(backend.port, "backend.internal", pki.internal.file) as direct:
            exchange(direct, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert it.reload(route("reencrypt", tap.port, VERIFY))["reloaded"]
    status, text = ask(it, pki)
    assert status == 502 and "hop/" in text, "without our certificate this backend refuses"
    backend.close()


def test_mutual_in_name_only_raises_an_alarm(edge: Edges, pki: Pki) -> None:
    backend = Backend("b", pki.backend)
    it = edge(route("mutual", backend.port, VERIFY + 'present = "edge"\n'))
    assert ask(it, pki)[0] == 200
    line = it.line(lambda x: x["route"] == "r")
    assert line["backend_hop"]["identity"] == "not_demanded"
    assert line["alarms"] == ["identity_not_demanded"]
    assert it.status()["routes"][0]["backends"][0]["identity"] == "not_demanded"
    assert "mutual in name only" in it.cli("status", "--config", str(it.config)).stdout
    backend.close()


def test_one_route_may_have_backends_of_different_strength(edge: Edges, pki: Pki) -> None:
    weak = Backend("weak")
    strong = Backend("strong", pki.backend, clients=pki.internal.file, demands=True)
    entry = f'{{ at = "127.0.0.1:{strong.port}", tls = "mutual", present = "edge", {VERIFY.strip()} }}'
    it = edge(route("plaintext", weak.port, accepted()).replace('"]', f'", {entry}]', 1))
    names = {ask(it, pki)[1].split("\n")[0] for _ in range(6)}
    assert names == {"backend: weak", "backend: strong"}
    for backend in (weak, strong):
        backend.close()


def test_where_tells_the_route_its_hops_and_what_really_happened(edge: Edges, pki: Pki) -> None:
    backend = Backend("b", pki.backend)
    it = edge(route("reencrypt", backend.port, VERIFY))
    assert ask(it, pki)[0] == 200
    it.line(lambda x: x["route"] == "r")
    judged = it.admin(
        "where",
        listener=None,
        sni="a.test",
        host="a.test",
        path="/p",
        method="GET",
        headers=[],
        client=None,
        token=None,
    )["judged"]
    assert judged["route"] == "r" and judged["verdict"] == "terminate" and judged["last"]["status"] == 200
    told = it.cli("where", "a.test/p", "--config", str(it.config)).stdout.splitlines()
    assert [line.split()[0] for line in told] == ["route", "hops", "read", "last"]
    assert "everyhop.toml:" in told[0] and "=TLS= edge =TLS=" in told[1] and "reencrypt TLS 1.3" in told[3]
    assert "asked of the file" in it.cli("where", "a.test/p", "--offline", "--config", str(it.config)).stdout
    assert it.cli("where", "nobody.test/", "--config", str(it.config)).returncode == 1
    backend.close()
