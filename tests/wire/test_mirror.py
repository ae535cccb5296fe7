"""Copies of requests, judged at the mirror and at the request's own backend: the copy holds what the request holds, it goes over a
hop like any other, and whatever becomes of it no request notices."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h2.events
import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.raw import OK, answering, head, rest
from tests.kit.servers import Nginx, Node
from tests.wire.test_http2 import Speaker

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
VERIFY = 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }'


def route(port: int, mirror: str, more: str = "") -> str:
    return (
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n'
        f"mirror = {{ {mirror} }}\n{more}\n"
    )


def to(*ports: int) -> str:
    listed = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    return f"to = [{listed}]"


def counted(it: EdgeKit) -> dict[str, int]:
    """What became of those that were chosen; what is nought left out."""
    found: dict[str, int] = it.status()["routes"][0]["mirror"]["counted"]
    return {word: n for word, n in found.items() if n}


def settled(it: EdgeKit, **wanted: int) -> None:
    """Waits until so many copies ended so, and no other did."""
    until(
        lambda: counted(it) == {word.replace("_", "-"): n for word, n in wanted.items()} or None,
        20,
        lambda: str(counted(it)),
    )


def reading(sock: socket.socket, record: bytearray) -> None:
    """Takes requests with a body of a length that is said, and answers each."""
    while (got := head(sock, record)) is not None:
        lines = got.decode("latin-1").lower().split("\r\n")
        length = next((int(x.partition(":")[2]) for x in lines if x.startswith("content-length:")), 0)
        if any(x.startswith("transfer-encoding:") for x in lines):
            body = len(record) - 2  # of this request alone: an earlier one of the connection had its end
            while b"\r\n0\r\n" not in record[body:] and rest(sock, record, 1):
                pass
            while not record.endswith(b"\r\n\r\n") and rest(sock, record, 1):
                pass
        rest(sock, record, length)
        sock.sendall(OK)


def fields(received: bytes) -> list[str]:
    """The lines of a head, without their order."""
    return sorted(received.split(b"\r\n\r\n")[0].decode().split("\r\n"))


def test_a_copy_is_the_request_with_its_host_its_fields_and_its_id(edge: Edges, raw: Raws, pki: Pki) -> None:
    """And with what the route changes, as its own backend sees it; the client is told what its own backend says."""
    own, mirror = raw(reading), raw(answering(b"HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nbad"))
    more = 'request = { set = { x-tenant = "{host}" }, remove = ["x-debug"] }\nhost_header = "app.internal"\npath = "/v1"\nstrip = "/v1"'
    it = edge(route(own.port, to(mirror.port), more))
    asked = "POST /v1/x?y=%2f HTTP/1.1\r\nHost: a.test\r\nX-Debug: 1\r\nCookie: a=b\r\nX-Forwarded-For: 6.6.6.6\r\nContent-Length: 5\r\n\r\nhello"
    with tls(it.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, asked)
    assert (answer.status, answer.body) == (200, b"ok")
    settled(it, error=1)
    assert fields(own.received) == fields(mirror.received)
    assert own.received.endswith(b"\r\n\r\nhello") and mirror.received.endswith(b"\r\n\r\nhello")
    assert b"POST /x?y=%2f HTTP/1.1\r\nhost: app.internal\r\n" in mirror.received
    lines = fields(mirror.received)
    assert "x-tenant: a.test" in lines and "x-forwarded-for: 127.0.0.1" in lines and "Cookie: a=b" in lines
    (line,) = [line for line in it.all_lines() if line["route"] == "r"]
    assert f"x-request-id: {line['id']}" in lines and line["backend_hop"]["at"] == f"127.0.0.1:{own.port}"


@pytest.mark.parametrize("own_speaks", ["http/1.1", "h2"])
@pytest.mark.parametrize("mirror_speaks", ["http/1.1", "h2"])
@pytest.mark.parametrize("client_speaks", ["http/1.1", "h2"])
def test_whichever_protocol_each_side_speaks_the_body_is_copied_whole(
    edge: Edges, raw: Raws, pki: Pki, client_speaks: str, mirror_speaks: str, own_speaks: str
) -> None:
    peers: dict[str, tuple[Raw, H2Backend | None]] = {}

    def answer(spoken: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.StreamEnded):
            spoken.answer(asked.stream)

    for name, speaks in (("own", own_speaks), ("mirror", mirror_speaks)):
        script = H2Backend(answer) if speaks == "h2" else None
        peers[name] = (raw(script or reading), script)
    it = edge(
        route(
            peers["own"][0].port,
            f'{to(peers["mirror"][0].port)}, upstream_protocol = "{mirror_speaks}"',
            f'upstream_protocol = "{own_speaks}"',
        )
    )
    body = b"0123456789" * 1000
    if client_speaks == "h2":
        with Speaker(it, pki) as speaker:
            stream = speaker.headers(("x-a", "1"), method="POST", path="/up", end=False)
            speaker.h2.send_data(stream, body[:7000])
            speaker.h2.send_data(stream, body[7000:], end_stream=True)
            speaker.flush()
            assert speaker.outcome(stream) == "200"
    else:
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:1], body[1:9000], body[9000:])) + b"0\r\n\r\n"
        with tls(it.port, "a.test", pki.public.file) as sock:
            asked = b"POST /up HTTP/1.1\r\nHost: a.test\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
            assert exchange(sock, asked + chunks).status == 200
    settled(it, answered=1)
    there, script = peers["mirror"]
    if script is not None:
        (got,) = script.asked
        assert got.body == body and got.fields[b":path"] == b"/up" and got.fields[b"x-a"] == b"1"
    else:
        first, _, rest_of_it = there.received.partition(b"\r\n\r\n")
        assert first.startswith(b"POST /up HTTP/1.1\r\n") and body[:1] in rest_of_it
        assert b"".join(pieces(rest_of_it)) == body


def pieces(chunked: bytes) -> list[bytes]:
    """What chunks hold."""
    found = []
    while chunked:
        size, _, chunked = chunked.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            break
        found.append(chunked[:length])
        chunked = chunked[length + 2 :]
    return found


@pytest.mark.skipif(not Node.is_there(), reason="Node is not installed")
def test_what_nginx_gets_as_a_copy_is_what_node_gets_as_the_request(edge: Edges, pki: Pki, tmp_path: Path) -> None:
    own, mirror = Node(tmp_path), Nginx(tmp_path)
    with contextlib.closing(own), contextlib.closing(mirror):
        it = edge(route(own.port, to(mirror.port)))
        with tls(it.port, "a.test", pki.public.file) as sock:
            for body in ("", "x", "y" * 60_000):
                post = f"POST /{len(body)}?q HTTP/1.1\r\nHost: a.test\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                assert exchange(sock, post).status == 200
            assert exchange(sock, "DELETE /it HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 200
        settled(it, answered=4)
        assert len(own.requests()) == 4 and sorted(own.requests()) == sorted(mirror.requests())
        assert own.complaints() == mirror.complaints() == []


def test_what_fits_its_bound_is_copied_and_a_byte_more_is_not(edge: Edges, raw: Raws, pki: Pki) -> None:
    """However its length is said, and however it comes."""
    own, mirror = raw(reading), raw(reading)
    it = edge(route(own.port, f"{to(mirror.port)}, body_bytes = 8"))

    def post(body: bytes, *, chunked: bool) -> None:
        how = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
        with tls(it.port, "a.test", pki.public.file) as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: a.test\r\n" + how + b"\r\n\r\n")
            for byte in (body[i : i + 1] for i in range(len(body))):
                sock.sendall(b"1\r\n" + byte + b"\r\n" if chunked else byte)
            assert exchange(sock, b"0\r\n\r\n" if chunked else b"").status == 200

    for chunked in (False, True):
        post(b"12345678", chunked=chunked)
        post(b"123456789", chunked=chunked)
    settled(it, answered=2, too_long=2)
    known, in_chunks = (it for it in mirror.received.split(b"POST / HTTP/1.1\r\n") if it)
    assert known.endswith(b"\r\n\r\n12345678")
    assert b"".join(pieces(in_chunks.partition(b"\r\n\r\n")[2])) == b"12345678"


def test_of_all_requests_about_the_share_is_copied_and_each_is_counted(edge: Edges, raw: Raws, pki: Pki) -> None:
    own, mirror = raw(answering(OK)), raw(answering(OK))
    it = edge(route(own.port, f"{to(mirror.port)}, share = 0.5, at_once = 1000"))
    with tls(it.port, "a.test", pki.public.file) as sock:
        for _ in range(400):
            assert exchange(sock, GET).status == 200
    until(lambda: it.status()["routes"][0]["mirror"]["under_way"] == 0 or None)
    found = counted(it)
    # Of 400 throws of a coin: outside of this once in more than a million.
    assert set(found) == {"answered"} and 145 < found["answered"] < 255, found
    assert mirror.received.count(b"GET / HTTP/1.1") == found["answered"]
    assert it.status()["routes"][0]["mirror"]["backends"][0]["requests"] == found["answered"]


def never(ended: threading.Event) -> Callable[[socket.socket, bytearray], None]:
    def script(sock: socket.socket, record: bytearray) -> None:
        if head(sock, record) is not None:
            ended.wait(60)

    return script


def resets(sock: socket.socket, record: bytearray) -> None:
    head(sock, record)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def unread(ended: threading.Event) -> Callable[[socket.socket, bytearray], None]:
    def script(sock: socket.socket, record: bytearray) -> None:
        ended.wait(60)

    return script


HOW = ["answers nothing", "reads nothing", "resets", "answers garbage", "is dead", "answers without an end"]


@pytest.mark.parametrize("how", HOW)
def test_under_load_a_mirror_costs_no_request_anything_whatever_it_does(
    edge: Edges, raw: Raws, pki: Pki, how: str
) -> None:
    """No request fails by it, and none waits for it: all are answered while those copies that hang still hang."""
    ended = threading.Event()
    scripts = {
        "answers nothing": never(ended),
        "reads nothing": unread(ended),
        "resets": resets,
        "answers garbage": answering(b"\0\0 this is no HTTP\r\n\r\n"),
        "answers without an end": answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nsome"),
    }
    own = raw(reading)
    port = free_port() if how == "is dead" else raw(scripts[how]).port
    it = edge(route(own.port, f"{to(port)}, at_once = 3, timeout_s = 3600"), threads=2)
    body = "x" * 2000
    post = f"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {len(body)}\r\n\r\n{body}"

    def some(_: int) -> list[int]:
        with tls(it.port, "a.test", pki.public.file, kept=False) as sock:
            return [exchange(sock, ask).status for ask in (GET, post) * 25]

    with ThreadPoolExecutor(8) as pool:
        assert [status for got in pool.map(some, range(8)) for status in got] == [200] * 400
    hangs = how in ("answers nothing", "reads nothing", "answers without an end")
    mirror = it.status()["routes"][0]["mirror"]
    if hangs:
        assert mirror["under_way"] == 3 and counted(it) == {"busy": 397}, mirror
    else:
        until(lambda: it.status()["routes"][0]["mirror"]["under_way"] == 0 or None)
        found = counted(it)
        assert sum(found.values()) == 400 and set(found) <= {"failed", "busy"} and found["failed"], found
    lines = [line for line in it.all_lines() if line["route"] == "r"]
    assert len(lines) == 400 and {line["end"] for line in lines} == {"done"}, "no line tells of a copy"
    ended.set()


def test_a_copy_is_given_up_in_its_time_and_counted_as_late(edge: Edges, raw: Raws, pki: Pki) -> None:
    ended = threading.Event()
    own, mirror = raw(answering(OK)), raw(never(ended))
    it = edge(route(own.port, f"{to(mirror.port)}, timeout_s = 1"))
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).status == 200
    settled(it, late=1)
    ended.set()


def test_a_mirror_is_verified_like_a_backend_and_another_gets_nothing(edge: Edges, raw: Raws, pki: Pki) -> None:
    own, mirror = raw(answering(OK)), raw(answering(OK), pki.other)
    it = edge(route(own.port, f'{to(mirror.port)}, tls = "reencrypt", {VERIFY}'))
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).status == 200
    settled(it, failed=1)
    assert not mirror.received
    told = it.admin("status")["supervisor"]["troubles"]
    about = f"mirror 127.0.0.1:{mirror.port} of route r"
    until(
        lambda: (
            [t for t in it.admin("status")["supervisor"]["troubles"] if (t["kind"], t["about"]) == ("impostor", about)]
            or None
        ),
        20,
        lambda: str(told),
    )
    shown = it.cli("status", "--config", str(it.config)).stdout
    assert "wrong certificate: " in shown and "expected backend.internal" in shown, shown


def test_a_mirror_is_shown_who_the_edge_is_and_its_connection_is_kept(edge: Edges, raw: Raws, pki: Pki) -> None:
    own, mirror = raw(answering(OK)), raw(answering(OK), pki.backend, clients=pki.internal.file)
    it = edge(route(own.port, f'{to(mirror.port)}, tls = "mutual", present = "edge", {VERIFY}'))
    with tls(it.port, "a.test", pki.public.file) as sock:
        for n in range(3):
            assert exchange(sock, GET).status == 200
            settled(it, answered=n + 1)
    assert len(mirror.records) == 1 and mirror.received.count(b"GET / ") == 3
    (behind,) = it.status()["routes"][0]["mirror"]["backends"]
    assert (behind["tls"], behind["identity"], behind["requests"]) == ("mutual", "demanded", 3)


def test_what_opens_a_tunnel_or_calls_grpc_or_proves_the_connection_is_not_copied(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    own, mirror = raw(answering(OK)), raw(answering(OK))
    it = edge(route(own.port, to(mirror.port)))
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    for more in (f"Connection: Upgrade\r\nUpgrade: websocket\r\n{key}", "Authorization: NTLM TlRMTVNTUAAB\r\n"):
        with tls(it.port, "a.test", pki.public.file) as sock:
            assert exchange(sock, f"GET / HTTP/1.1\r\nHost: a.test\r\n{more}\r\n").status == 200
    with Speaker(it, pki) as speaker:
        call = (("te", "trailers"), ("content-type", "application/grpc"))
        assert speaker.outcome(speaker.headers(*call, method="POST")) == "200"
    settled(it, unfit=3)
    assert not mirror.received


def test_credentials_can_be_kept_from_a_mirror_and_a_copy_marked(edge: Edges, raw: Raws, pki: Pki) -> None:
    """The edge's own cookie never goes anywhere, and no copy waits for a mirror's 100."""
    own, mirror = raw(reading), raw(reading)
    how = f'{to(mirror.port)}, request = {{ remove = ["authorization", "cookie"], set = {{ x-copy = "{{request.id}}" }} }}'
    it = edge(route(own.port, how))
    secret = "Authorization: Basic c2VjcmV0\r\nCookie: session=secret\r\n"
    with tls(it.port, "a.test", pki.public.file) as sock:
        ask = f"POST / HTTP/1.1\r\nHost: a.test\r\n{secret}Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"
        sock.sendall(ask.encode())
        said = b""
        while b"200 OK" not in said:
            said += (more := sock.recv(65536))
            assert more, said
    settled(it, answered=1)
    assert b"secret" in own.received and b"Expect: 100-continue" in own.received
    lines = fields(mirror.received)
    assert not any(line.lower().startswith(("authorization", "cookie", "expect")) for line in lines), lines
    assert {line for line in lines if line.startswith("x-copy: ")} == {
        line.replace("x-request-id", "x-copy") for line in lines if line.startswith("x-request-id")
    }
    assert not any(line.startswith("x-copy") for line in fields(own.received))


def test_the_edges_own_cookie_is_shown_to_no_mirror(edge: Edges, raw: Raws, pki: Pki) -> None:
    own, other, mirror = raw(answering(OK)), raw(answering(OK)), raw(answering(OK))
    more = 'sticky = { cookie = "edge" }'
    it = edge(
        route(own.port, to(mirror.port), more).replace(
            f'"127.0.0.1:{own.port}"]', f'"127.0.0.1:{own.port}", "127.0.0.1:{other.port}"]', 1
        )
    )
    with tls(it.port, "a.test", pki.public.file) as sock:
        cookie = exchange(sock, GET).headers["set-cookie"].partition(";")[0]
        exchange(sock, f"GET / HTTP/1.1\r\nHost: a.test\r\nCookie: a=b; {cookie}\r\n\r\n")
    settled(it, answered=2)
    assert b"__Host-edge" not in mirror.received and b"a=b" in mirror.received


def test_a_request_that_is_not_all_there_is_not_copied(edge: Edges, raw: Raws, pki: Pki) -> None:
    own, mirror = raw(reading), raw(reading)
    it = edge(route(own.port, to(mirror.port)))
    with tls(it.port, "a.test", pki.public.file, kept=False) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhalf")
        until(lambda: own.received.endswith(b"half") or None)
        assert it.status()["routes"][0]["mirror"]["under_way"] == 1
    settled(it, incomplete=1)
    assert not mirror.received


def test_a_reload_keeps_the_counts_and_takes_a_mirror_from_what_was_not_sent(edge: Edges, raw: Raws, pki: Pki) -> None:
    """A copy whose body is still on its way goes nowhere once the plan that runs has no such mirror."""
    own, mirror = raw(reading), raw(reading)
    it = edge(route(own.port, to(mirror.port)))
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).status == 200
        settled(it, answered=1)
        assert it.reload(route(own.port, f"{to(mirror.port)}, share = 0.999999"))["reloaded"]
        assert counted(it) == {"answered": 1}
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nha")
        until(lambda: own.received.endswith(b"ha") or None)
        before = len(mirror.received)
        without = route(own.port, "").replace("mirror = {  }\n", "")
        assert it.reload(without)["reloaded"]
        assert exchange(sock, b"lf").status == 200
        assert it.status()["routes"][0]["mirror"] is None
    assert len(mirror.received) == before


def test_a_drain_waits_for_no_copy(edge: Edges, raw: Raws, pki: Pki) -> None:
    ended = threading.Event()
    own, mirror = raw(answering(OK)), raw(never(ended))
    it = edge(route(own.port, f"{to(mirror.port)}, timeout_s = 3600"), drain_s=600)
    with tls(it.port, "a.test", pki.public.file, kept=False) as sock:
        assert exchange(sock, GET).status == 200
    until(lambda: mirror.received or None)
    began = time.monotonic()
    assert it.edge.stop() == 0
    assert time.monotonic() - began < 300, "far less than its drain"
    ended.set()


def test_explain_where_diff_and_metrics_tell_of_a_mirror(edge: Edges, raw: Raws, pki: Pki) -> None:
    own, mirror, status = raw(answering(OK)), raw(answering(OK), pki.backend), free_port()
    with_it = route(own.port, f'{to(mirror.port)}, share = 0.25, tls = "reencrypt", {VERIFY}')
    it = edge(with_it, more=f'[status]\nbind = "127.0.0.1:{status}"\n')
    config = ("--config", str(it.config))
    shown = it.cli("explain", *config).stdout
    assert f"==[lock]==           127.0.0.1:{mirror.port} (mirror: copies alone)" in shown, shown
    assert "It can be read, and not changed, by the mirror." in shown
    assert f"25 % of requests go to 127.0.0.1:{mirror.port} (reencrypt) as well, as a copy" in shown
    asked = it.cli("where", "a.test/", *config).stdout
    assert f"copies =TLS= 127.0.0.1:{mirror.port}" in asked and "edge, this host, the mirror" in asked, asked
    old = it.folder / "old.toml"
    old.write_text(
        it.config.read_text().replace(
            next(x for x in with_it.replace("{pki}", str(pki.folder)).splitlines() if x.startswith("mirror")), ""
        )
    )
    told = it.cli("diff", str(old), str(it.config), "--json")
    kinds = {change["kind"] for change in json.loads(told.stdout)["changes"]}
    assert told.returncode != 0 and {"new-reader", "mirror-added"} <= kinds, told.stdout
    with socket.create_connection(("127.0.0.1", status), 10) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: edge\r\n\r\n")
        text = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
    assert 'everyhop_mirrored_total{route="r",outcome="too-long"} 0' in text
    assert 'everyhop_mirror_copies_under_way{route="r"} 0' in text
