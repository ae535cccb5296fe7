"""Passthrough: one TLS session from client to backend. We hold no key, change no byte and read no HTTP."""

from __future__ import annotations

import socket
import ssl
import struct
import subprocess
from collections.abc import Callable

import pytest

from everyhop.demo.backends import Backend
from everyhop.demo.relay import Relay
from tests.kit import EdgeKit, Pki, Raw, exchange, hello_bytes, tls
from tests.kit.raw import rest

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

ROUTE = """
[[route]]
name = "pass"
host = "pass.test"
tls = "passthrough"
to = [{to}]
{more}
"""

# A ServerHello of TLS 1.3 with X25519, then bytes that only look like TLS.
SERVER_HELLO = bytes.fromhex(
    "160303003c020000380303" + "07" * 32 + "00130100" + "0010" + "002b00020304" + "00330006001d0002aabb"
)


def route(*ports: int, more: str = "") -> str:
    return ROUTE.format(to=", ".join(f'"127.0.0.1:{p}"' for p in ports), more=more)


def receive_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def test_the_backend_sees_the_clients_own_hello_and_certificate(
    edge: Edges, pki: Pki, relay: Callable[[int], Relay]
) -> None:
    """T15."""
    backend = Backend("pass", pki.pass_leaf, clients=pki.public.file)
    tap = relay(backend.port)
    it = edge(route(tap.port), site=None)
    with tls(it.port, "pass.test", pki.public.file, leaf=pki.client) as sock:
        answer = exchange(sock, "GET /x HTTP/1.1\r\nHost: pass.test\r\nCookie: canary\r\nConnection: close\r\n\r\n")
    assert answer.status == 200
    assert "client.test" in answer.text
    assert b"canary" not in tap.sent + tap.returned
    line = it.line(lambda x: x["route"] == "pass")
    assert line["client_hop"]["tls"] == "passed"
    assert line["client_hop"]["version"] == "1.3"
    assert line["client_hop"]["group"] == "X25519"
    assert line["path"] is None and line["status"] is None
    backend.close()


def test_every_byte_of_both_directions_is_as_it_was(edge: Edges, raw: Raws) -> None:
    """T15, T01."""
    hello = hello_bytes("pass.test", ["h2"])
    payload = bytes(range(256)) * 2000

    def script(sock: socket.socket, record: bytearray) -> None:
        rest(sock, record, len(hello) + len(payload))
        sock.sendall(SERVER_HELLO + payload)

    backend = raw(script)
    it = edge(route(backend.port), site=None)
    with socket.create_connection(("127.0.0.1", it.port), 20) as sock:
        # The hello comes in three segments: T01.
        for part in (hello[:1], hello[1:40], hello[40:] + payload):
            sock.sendall(part)
        got = receive_all(sock)
    assert got == SERVER_HELLO + payload
    assert backend.received == hello + payload


def test_bulk_and_small_messages_in_turn_are_as_they_were(edge: Edges, raw: Raws) -> None:
    """T15: bulk goes past us by splice, small messages are copied, and each turn hands over without losing a byte."""
    hello = hello_bytes("pass.test", ["h2"])
    sizes = [3_000_000, 1, 200, 700_000, 16_384, 65_536, 5_000_000, 17]

    def script(sock: socket.socket, record: bytearray) -> None:
        rest(sock, record, len(hello))
        sock.sendall(SERVER_HELLO)
        for turn, size in enumerate(sizes):
            assert rest(sock, record, size) == bytes([turn]) * size
            sock.sendall(bytes([turn + 100]) * size)
        sock.sendall(receive_all(sock)[::-1])

    backend = raw(script)
    it = edge(route(backend.port), site=None)
    with socket.create_connection(("127.0.0.1", it.port), 20) as sock:
        sock.sendall(hello)
        assert rest(sock, bytearray(), len(SERVER_HELLO)) == SERVER_HELLO
        for turn, size in enumerate(sizes):
            sock.sendall(bytes([turn]) * size)
            assert rest(sock, bytearray(), size) == bytes([turn + 100]) * size
        last = bytes(range(256)) * 8000
        sock.sendall(last)
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == last[::-1]
    total = sum(sizes)
    line = it.line(lambda x: x["end"] == "done")
    assert line["bytes_in"] == len(hello) + total + len(last)
    assert line["bytes_out"] == len(SERVER_HELLO) + total + len(last)


def test_each_direction_ends_on_its_own(edge: Edges, raw: Raws) -> None:
    """T15: half-close of the client; of the backend in `tests/threats/test_sessions.py`."""
    hello = hello_bytes("pass.test")

    def script(sock: socket.socket, record: bytearray) -> None:
        record += receive_all(sock)  # until the client's end
        sock.sendall(SERVER_HELLO + b"after your end")

    backend = raw(script)
    it = edge(route(backend.port), site=None)
    with socket.create_connection(("127.0.0.1", it.port), 20) as sock:
        sock.sendall(hello + b"last words")
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == SERVER_HELLO + b"after your end"
    assert backend.received == hello + b"last words"
    assert it.line(lambda x: x["route"] == "pass")["end"] == "done"


def test_a_backend_that_answers_without_tls_is_cut_off(edge: Edges, raw: Raws) -> None:
    hello = hello_bytes("pass.test")

    def script(sock: socket.socket, record: bytearray) -> None:
        rest(sock, record, len(hello))
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")
        rest(sock, record, 1)

    it = edge(route(raw(script).port), site=None)
    with socket.create_connection(("127.0.0.1", it.port), 20) as sock:
        sock.sendall(hello)
        try:
            assert sock.recv(100) == b""
        except ConnectionResetError:
            pass
    assert it.line(lambda x: x["route"] == "pass")["end"] == "splice/backend-not-tls"


def test_the_engine_of_passthrough_routes_alone_was_sent_no_key(edge: Edges, raw: Raws) -> None:
    it = edge(route(raw(lambda *_: None).port), site=None)
    about = it.admin("status")["supervisor"]
    assert about["material"] == []


def test_send_proxy_tells_address_name_protocol_and_id(edge: Edges, raw: Raws) -> None:
    hello = hello_bytes("pass.test", ["h2", "http/1.1"])

    def script(sock: socket.socket, record: bytearray) -> None:
        head = rest(sock, record, 16)
        rest(sock, record, struct.unpack(">H", head[14:16])[0] + len(hello))
        sock.sendall(SERVER_HELLO)

    backend = raw(script)
    it = edge(route(backend.port, more='send_proxy = "v2"'), site=None)
    with socket.create_connection(("127.0.0.1", it.port), 20) as sock:
        mine = sock.getsockname()
        sock.sendall(hello)
        receive_all(sock)
    seen = backend.received
    assert seen[:13] == b"\r\n\r\n\x00\r\nQUIT\n\x21"
    assert seen.endswith(hello)
    assert socket.inet_ntoa(seen[16:20]) == "127.0.0.1"
    assert struct.unpack(">HH", seen[24:28]) == (mine[1], it.port)
    tlvs, at = {}, 28
    while at < len(seen) - len(hello):
        kind, length = struct.unpack(">BH", seen[at : at + 3])
        tlvs[kind] = seen[at + 3 : at + 3 + length]
        at += 3 + length
    assert tlvs[1] == b"h2" and tlvs[2] == b"pass.test" and len(tlvs[5]) == 8


def proxied(source: str) -> bytes:
    return f"PROXY TCP4 {source} 127.0.0.1 5555 443\r\n".encode()


def test_accept_proxy_is_required_from_those_and_believed(edge: Edges, pki: Pki) -> None:
    """X03."""
    backend = Backend("pass", pki.pass_leaf)
    it = edge(route(backend.port), site=None, listener='accept_proxy = ["127.0.0.0/8"]')
    with socket.create_connection(("127.0.0.1", it.port), 20) as sock:
        sock.sendall(proxied("203.0.113.7"))
        context = ssl.create_default_context(cafile=str(pki.public.file))
        with context.wrap_socket(sock, server_hostname="pass.test") as spoken:
            assert exchange(spoken, "GET / HTTP/1.1\r\nHost: pass.test\r\nConnection: close\r\n\r\n").status == 200
    assert it.line(lambda x: x["route"] == "pass")["client"] == "203.0.113.7"
    with pytest.raises(OSError):
        tls(it.port, "pass.test", pki.public.file)
    assert it.line(lambda x: x["end"] == "proxy/malformed")["client_hop"]["tls"] == "none"
    backend.close()


V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\7\x7f\0\0\1\x15\xb3\x01\xbb"


@pytest.mark.parametrize("header", [proxied("203.0.113.7"), V2], ids=["v1", "v2"])
def test_a_proxy_header_from_who_is_not_asked_for_one_is_refused_as_what_it_is(
    edge: Edges, raw: Raws, header: bytes
) -> None:
    """A load balancer that sends one, and a listener that was not told of it: the log says which side to mend."""
    it = edge(route(raw(lambda *_: None).port), site=None, listener='accept_proxy = ["192.0.2.0/24"]')
    with socket.create_connection(("127.0.0.1", it.port), 20) as sock:
        sock.sendall(header + hello_bytes("pass.test"))
        assert receive_all(sock) == b""
    line = it.line(lambda x: x["end"] == "proxy/unexpected")
    assert (line["client_hop"]["tls"], line["client"]) == ("none", "127.0.0.1")


@pytest.mark.parametrize(("name", "slug"), [(None, "hello/no-sni"), ("nobody.test", "hello/unknown-sni")])
def test_a_hello_for_nobody_gets_unrecognized_name_and_no_certificate(
    edge: Edges, raw: Raws, name: str | None, slug: str
) -> None:
    it = edge(route(raw(lambda *_: None).port))
    with socket.create_connection(("127.0.0.1", it.port), 20) as sock:
        sock.sendall(hello_bytes(name))
        assert receive_all(sock) == bytes([21, 3, 3, 0, 2, 2, 112])
    assert it.line(lambda x: x["end"] == slug)["client_hop"]["tls"] == "none"


def test_plain_http_on_the_tls_port_is_told_so(edge: Edges, raw: Raws) -> None:
    it = edge(route(raw(lambda *_: None).port), site=None)
    with socket.create_connection(("127.0.0.1", it.port), 20) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: pass.test\r\n\r\n")
        answer = receive_all(sock)
    assert answer.startswith(b"HTTP/1.1 400 ") and b"TLS" in answer
    assert it.line(lambda x: x["end"] == "hello/not-tls")


def test_a_dead_backend_is_passed_over(edge: Edges, pki: Pki) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        dead = gone.getsockname()[1]
    backend = Backend("pass", pki.pass_leaf)
    it = edge(route(dead, backend.port), site=None)
    for _ in range(8):
        with tls(it.port, "pass.test", pki.public.file) as sock:
            assert exchange(sock, "GET / HTTP/1.1\r\nHost: pass.test\r\nConnection: close\r\n\r\n").status == 200
    states = {b["at"]: b["state"] for b in it.status()["routes"][0]["backends"]}
    assert states == {f"127.0.0.1:{dead}": "ejected", f"127.0.0.1:{backend.port}": "up"}
    backend.close()


def test_openssl_shows_the_backends_certificate(edge: Edges, pki: Pki) -> None:
    backend = Backend("pass", pki.pass_leaf)
    it = edge(route(backend.port))
    command = [
        "openssl",
        "s_client",
        "-connect",
        f"127.0.0.1:{it.port}",
        "-servername",
        "pass.test",
        "-CAfile",
        str(pki.public.file),
        "-verify_return_error",
    ]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=30, check=False)
    assert "CN = pass.test" in done.stdout
    assert "Verify return code: 0 (ok)" in done.stdout
    backend.close()


def test_a_route_that_is_taken_away_cuts_its_connections(edge: Edges, raw: Raws) -> None:
    """C03."""
    hello = hello_bytes("pass.test")

    def script(sock: socket.socket, record: bytearray) -> None:
        rest(sock, record, len(hello))
        sock.sendall(SERVER_HELLO)
        rest(sock, record, 1)

    one, two = raw(script), raw(script)
    it = edge(
        route(one.port) + route(two.port).replace("pass.test", "keep.test").replace('"pass"', '"keep"'), site=None
    )
    with (
        socket.create_connection(("127.0.0.1", it.port), 20) as cut,
        socket.create_connection(("127.0.0.1", it.port), 20) as kept,
    ):
        cut.sendall(hello)
        kept.sendall(hello_bytes("keep.test"))
        assert cut.recv(100) == SERVER_HELLO
        assert kept.recv(100) == SERVER_HELLO
        assert it.reload(route(two.port).replace("pass.test", "keep.test").replace('"pass"', '"keep"'))["reloaded"]
        with pytest.raises(ConnectionResetError):
            assert cut.recv(1) == b""
            raise ConnectionResetError
        kept.settimeout(0.3)
        with pytest.raises(TimeoutError):
            kept.recv(1)
    assert it.line(lambda x: x["route"] == "pass")["end"] == "tunnel/route-gone"
