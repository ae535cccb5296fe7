"""`allow` by address: only whoever is in the networks that a route names gets to its backend, whatever it proves or says. Judged at
the recording backend too, in every pattern and both protocols, behind proxies and without."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Callable

import pytest

from everyhop.demo.backends import Backend
from everyhop.demo.stage import free_port
from tests.kit import Answer, EdgeKit, Pki, Raw, exchange, tls
from tests.kit.clients import opened
from tests.kit.raw import OK, answering
from tests.threats.talk import PROTOCOLS, Talk, dial
from tests.wire.test_metrics import Told as Counted

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
SLUG = "request/address-not-allowed"
INSIDE, OUTSIDE, PROXY = "127.0.0.2", "127.0.1.2", "127.0.0.9"
FROM = 'allow = { networks = ["127.0.0.0/29", "2001:db8::/32", "203.0.113.0/24"] }\n'
HOPS = {
    "plaintext": "",
    "reencrypt": 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\n',
    "mutual": 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\npresent = "edge"\n',
}
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


def route(port: int, pki: Pki, more: str = FROM, tls: str = "plaintext") -> str:
    hop = HOPS[tls].replace("{pki}", str(pki.folder))
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "{tls}"\nto = ["127.0.0.1:{port}"]\n{hop}{more}'


def passed(port: int, more: str = FROM) -> str:
    return f'[[route]]\nname = "p"\nhost = "pass.test"\ntls = "passthrough"\nto = ["127.0.0.1:{port}"]\n{more}'


def ends(it: EdgeKit) -> list[object]:
    return [line["end"] for line in it.all_lines()]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("pattern", HOPS)
def test_who_is_in_no_network_of_the_route_gets_403_and_its_backend_hears_nothing(
    edge: Edges, pki: Pki, raw: Raws, pattern: str, protocol: str
) -> None:
    leaf = None if pattern == "plaintext" else pki.backend
    backend = Raw(answering(OK, OK), leaf, clients=pki.internal.file if pattern == "mutual" else None)
    it = edge(route(backend.port, pki, tls=pattern))
    stranger = Talk(it.port, pki, "a.test", protocol, OUTSIDE).ask(b"/stranger")
    assert (stranger.status, SLUG.encode() in stranger.body) == (403, True)
    assert Talk(it.port, pki, "a.test", protocol, INSIDE).ask(b"/known").status == 200
    assert b"/known" in backend.received and b"/stranger" not in backend.received
    line = it.line(lambda line: line["end"] == SLUG)
    assert (line["route"], line["client"], line["status"], line["backend_hop"]) == ("r", OUTSIDE, 403, None)
    backend.close()


def test_a_connection_that_passes_through_is_closed_before_its_backend_is_connected_to(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    backend = Backend("pass", pki.pass_leaf)
    silent = raw(lambda *_: None)
    it = edge(passed(silent.port))
    with pytest.raises(OSError):
        dial(it.port, pki, "pass.test", source=OUTSIDE)
    line = it.line(lambda line: line["end"] == SLUG)
    assert (line["route"], line["client"], line["backend_hop"]) == ("p", OUTSIDE, None)
    assert silent.records == [] and silent.is_at_rest()
    assert it.reload(passed(backend.port))["reloaded"]
    with dial(it.port, pki, "pass.test", source=INSIDE) as sock:
        assert exchange(sock, "GET / HTTP/1.1\r\nHost: pass.test\r\nConnection: close\r\n\r\n").status == 200
    backend.close()


def test_a_listener_that_sends_who_names_nobody_to_such_a_route_does_not_let_strangers_in(
    edge: Edges, pki: Pki
) -> None:
    backend = Backend("pass", pki.pass_leaf)
    it = edge(passed(backend.port), listener='no_sni = "p"\nunknown_sni = "p"')
    context = ssl.create_default_context(cafile=str(pki.public.file))
    context.check_hostname = False
    for name in (None, "nobody.test"):
        sock = opened(socket.create_connection(("127.0.0.1", it.port), 20, source_address=(OUTSIDE, 0)))
        with pytest.raises(OSError):
            context.wrap_socket(sock, server_hostname=name)
    with tls(it.port, None, pki.public.file, host="127.0.0.1") as fine:
        assert exchange(fine, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").status == 200
    assert ends(it).count(SLUG) == 2
    backend.close()


def test_a_stream_from_elsewhere_gets_no_connection_to_a_backend(edge: Edges, pki: Pki, raw: Raws) -> None:
    def echo(sock: socket.socket, record: bytearray) -> None:
        while data := sock.recv(100):
            sock.sendall(data)

    backend = raw(echo)
    it = edge(route(backend.port, pki, f'protocol = "tcp"\n{FROM}'))
    with dial(it.port, pki, "a.test", source=OUTSIDE) as sock, contextlib.suppress(OSError):
        sock.sendall(b"hello")
        assert sock.recv(10) == b""
    line = it.line(lambda line: line["end"] == SLUG)
    assert (line["route"], line["backend_hop"]) == ("r", None)
    with dial(it.port, pki, "a.test", source=INSIDE) as sock:
        sock.sendall(b"hello")
        assert sock.recv(10) == b"hello"
        # And where it is no more, it is ended.
        assert it.reload(route(backend.port, pki, 'protocol = "tcp"\nallow = { networks = ["127.0.0.9"] }\n'))[
            "reloaded"
        ]
        with contextlib.suppress(OSError):  # a reset ends it just as well
            assert sock.recv(1) == b""


@pytest.mark.parametrize(
    "more", ['answer = { status = 200, text = "here" }\n', 'redirect = { to = "https://b.test/" }\n']
)
def test_what_the_edge_answers_itself_it_answers_nobody_else(edge: Edges, pki: Pki, more: str) -> None:
    it = edge(f'[[route]]\nname = "r"\nhost = "a.test"\n{more}{FROM}')
    assert Talk(it.port, pki, "a.test", "http/1.1", OUTSIDE).ask().status == 403
    assert Talk(it.port, pki, "a.test", "h2", INSIDE).ask().status in (200, 308)


def test_both_must_hold_where_names_are_said_too(edge: Edges, pki: Pki, raw: Raws) -> None:
    backend = raw(answering(OK, OK))
    both = 'allow = { clients = ["client.test"], networks = ["127.0.0.1"] }\n'
    asks = 'clients = { ca = "{pki}/public-ca.pem", mode = "ask" }'

    def asked(leaf: bool) -> int:
        with tls(it.port, "a.test", pki.public.file, leaf=pki.client if leaf else None) as sock:
            return exchange(sock, GET).status

    it = edge(route(backend.port, pki, both), site=asks)
    assert (asked(True), asked(False)) == (200, 403)
    assert it.reload(route(backend.port, pki, both.replace("127.0.0.1", "192.0.2.1")))["reloaded"]
    assert (asked(True), asked(False)) == (403, 403)
    assert [end for end in ends(it) if end != "done"] == ["request/client-not-allowed", SLUG, SLUG]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_request_of_a_proxys_connection_is_judged_by_its_own_address(
    edge: Edges, pki: Pki, raw: Raws, protocol: str
) -> None:
    """One connection of a trusted proxy carries the requests of many clients."""
    backend = raw(answering(*[OK] * 10))
    it = edge(route(backend.port, pki), listener=f'trusted_proxies = ["{PROXY}"]')
    talk = Talk(it.port, pki, "a.test", protocol, PROXY)
    for said, status in [
        ("203.0.113.9", 200),
        ("198.51.100.1", 403),
        ("::ffff:203.0.113.9", 200),
        ("2001:db8::7", 200),
        ("2001:db9::7", 403),
        ("203.0.113.9, 198.51.100.1", 403),
        ("203.0.113.9, not-an-address", 403),
        ("203.0.113.9", 200),
    ]:
        assert talk.ask(b"/", (b"X-Forwarded-For", said.encode())).status == status, said
    assert talk.ask(b"/").status == 403, "the proxy itself is in none of them"
    assert talk.opened == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_address_that_a_client_claims_is_not_where_it_is(edge: Edges, pki: Pki, raw: Raws, protocol: str) -> None:
    """X01, X02. Of nobody's word, and however it is spelt."""
    backend = raw(answering(OK))
    it = edge(route(backend.port, pki), listener=f'trusted_proxies = ["{PROXY}"]')
    talk = Talk(it.port, pki, "a.test", protocol, OUTSIDE)
    for name in (
        b"X-Forwarded-For",
        b"X_Forwarded_For",
        b"X-Real-IP",
        b"X-Client-IP",
        b"True-Client-IP",
        b"CF-Connecting-IP",
        b"Forwarded",
    ):
        for value in (INSIDE, f"{INSIDE}, {PROXY}", f"for={INSIDE}", f"for={INSIDE}, for={PROXY}"):
            assert talk.ask(b"/", (name, value.encode())).status == 403, (name, value)
    assert backend.received == b""


@pytest.mark.parametrize("header", [b"PROXY TCP4 198.51.100.1 127.0.0.1 9 443\r\n", b"PROXY UNKNOWN\r\n"])
def test_behind_a_proxy_header_it_is_the_address_in_that(edge: Edges, pki: Pki, raw: Raws, header: bytes) -> None:
    through, backend = Backend("pass", pki.pass_leaf), raw(answering(OK))
    text = route(backend.port, pki, FROM.replace('"127.0.0.0/29", ', "")) + passed(
        through.port, FROM.replace('"127.0.0.0/29", ', "")
    )
    it = edge(text, listener='accept_proxy = ["127.0.0.0/8"]')
    with pytest.raises(OSError):
        dial(it.port, pki, "pass.test", first=header)
    with dial(it.port, pki, "a.test", first=header) as sock:
        assert exchange(sock, GET).status == 403
    inside = b"PROXY TCP6 2001:db8::1 ::1 9 443\r\n"
    with dial(it.port, pki, "a.test", first=inside) as sock:
        assert exchange(sock, GET).status == 200
    with dial(it.port, pki, "pass.test", first=inside) as sock:
        assert exchange(sock, "GET / HTTP/1.1\r\nHost: pass.test\r\nConnection: close\r\n\r\n").status == 200
    through.close()


def test_what_comes_in_the_clear_is_judged_by_its_address_too(edge: Edges, pki: Pki, raw: Raws) -> None:
    port, backend = free_port(), raw(answering(OK, OK))
    clear = f'[[listener]]\nname = "clear"\nbind = ["127.0.0.1:{port}"]\nspeaks = "http"\nserve = true\n'
    edge(f'{clear}trusted_proxies = ["{PROXY}"]\n{route(backend.port, pki)}')
    for source, said, status in (
        (OUTSIDE, "", 403),
        (INSIDE, "", 200),
        (OUTSIDE, f"X-Forwarded-For: {INSIDE}\r\n", 403),
        (PROXY, "", 403),
        (PROXY, "X-Forwarded-For: 198.51.100.1\r\n", 403),
        (PROXY, "X-Forwarded-For: 203.0.113.9\r\n", 200),
    ):
        with opened(socket.create_connection(("127.0.0.1", port), 20, source_address=(source, 0))) as sock:
            assert exchange(sock, f"GET / HTTP/1.1\r\nHost: a.test\r\n{said}\r\n").status == status, (source, said)


def test_a_preflight_from_elsewhere_stays_refused(edge: Edges, pki: Pki, raw: Raws) -> None:
    """A browser cannot prove who it is in one, but it is where it is."""
    cors = 'cors = { origins = ["https://app.test"], methods = ["PUT"] }\n'
    it = edge(route(raw(answering(OK)).port, pki, FROM + cors))
    more = ((b"Origin", b"https://app.test"), (b"Access-Control-Request-Method", b"PUT"))
    assert Talk(it.port, pki, "a.test", "http/1.1", OUTSIDE).ask(b"/", *more, method=b"OPTIONS").status == 403
    assert Talk(it.port, pki, "a.test", "http/1.1", INSIDE).ask(b"/", *more, method=b"OPTIONS").status == 204


def test_a_reload_that_takes_a_network_away_holds_from_the_next_request_on_and_ends_what_is_not_read(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    through, backend = Backend("pass", pki.pass_leaf), raw(answering(OK, OK))
    it = edge(route(backend.port, pki) + passed(through.port))
    stays, tunnel = dial(it.port, pki, "a.test", source=INSIDE), dial(it.port, pki, "pass.test", source=INSIDE)
    kept = "GET / HTTP/1.1\r\nHost: pass.test\r\n\r\n"
    assert (exchange(stays, GET).status, exchange(tunnel, kept).status) == (200, 200)
    other = FROM.replace("127.0.0.0/29", "127.0.0.9")
    assert it.reload(route(backend.port, pki, other) + passed(through.port, other))["reloaded"]
    assert exchange(stays, GET).status == 403
    try:
        assert tunnel.recv(1) == b""
    except OSError:
        pass  # a reset ends it just as well
    it.line(lambda line: line["route"] == "p" and line["end"] != "done")
    through.close()


def test_a_tunnel_belongs_to_the_address_that_its_request_came_from_and_ends_when_that_passes_no_more(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    """Behind a proxy that is not the address of its connection."""

    def echo(sock: socket.socket, record: bytearray) -> None:
        while b"\r\n\r\n" not in record:
            record += sock.recv(4096)
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while data := sock.recv(4096):
            record += data
            sock.sendall(data)

    backend = raw(echo)
    it = edge(route(backend.port, pki), listener=f'trusted_proxies = ["{PROXY}"]')

    def asks(address: str) -> tuple[ssl.SSLSocket, Answer]:
        sock = dial(it.port, pki, "a.test", source=PROXY)
        fields = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        return sock, exchange(sock, f"GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: {address}\r\n{fields}\r\n")

    stranger, refused = asks("198.51.100.1")
    stranger.close()
    assert (refused.status, backend.received) == (403, b"")
    stays, switched = asks("203.0.113.9")
    goes, also = asks("2001:db8::7")
    assert (switched.status, also.status) == (101, 101)
    assert it.reload(route(backend.port, pki, 'allow = { networks = ["203.0.113.0/24", "192.0.2.0/24"] }\n'))[
        "reloaded"
    ]
    with contextlib.suppress(OSError):  # a reset ends it just as well
        assert goes.recv(1) == b""
    stays.sendall(b"still here")
    assert stays.recv(20) == b"still here"
    stays.close()
    goes.close()


def test_a_call_from_elsewhere_is_told_so_in_the_words_of_grpc(edge: Edges, pki: Pki, raw: Raws) -> None:
    backend = raw(answering(OK))
    edge_ = edge(route(backend.port, pki, f'upstream_protocol = "h2"\n{FROM}'))
    called = Talk(edge_.port, pki, "a.test", "h2", OUTSIDE)
    told = called.ask(b"/a.B/C", (b"content-type", b"application/grpc"), (b"te", b"trailers"), method=b"POST", body=b"")
    assert (told.status, told.fields["grpc-status"], told.body) == (200, "7", b""), "PERMISSION_DENIED"
    assert backend.received == b""


def test_it_is_counted_and_told_of_the_route_that_refused_it_in_its_line(edge: Edges, pki: Pki, raw: Raws) -> None:
    it = Counted(edge, route(raw(answering(OK)).port, pki) + passed(raw(answering(OK)).port))
    assert Talk(it.it.port, pki, "a.test", "h2", OUTSIDE).ask(b"/there").status == 403
    with pytest.raises(OSError):
        dial(it.it.port, pki, "pass.test", source=OUTSIDE)
    found = it.comes(refused_total=2)
    assert [found[f'everyhop_refused_total{{route="{name}",slug="{SLUG}"}}'] for name in ("r", "p")] == [1, 1]
    lines = [line for line in it.it.all_lines() if line["end"] == SLUG]
    assert {(x["route"], x["client"], x["path"], x["status"]) for x in lines} == {
        ("r", OUTSIDE, "/there", 403),
        ("p", OUTSIDE, None, None),
    }


def test_where_tells_whether_an_address_passes_as_the_wire_does(edge: Edges, pki: Pki, raw: Raws) -> None:
    it = edge(route(raw(answering(OK)).port, pki) + passed(raw(answering(OK)).port))

    def told(*words: str) -> tuple[int, str]:
        said = it.cli("where", *words, "--config", str(it.config))
        return said.returncode, said.stdout + said.stderr

    for name in ("a.test", "pass.test"):
        for offline in ([], ["--offline"]):
            code, said = told(name, "--address", OUTSIDE, *offline)
            assert (code, SLUG in said, "this one is not" in said) == (1, True, True), said
            code, said = told(name, "--address", "::ffff:127.0.0.2", *offline)
            assert code == 0 and "this one is" in said and "this one is not" not in said, said
            code, said = told(name, *offline)
            assert code == 0 and "--address IP asks of one" in said, said
    judged = json.loads(told("a.test", "--address", OUTSIDE, "--json")[1])
    assert (judged["slug"], judged["status"], judged["address"]) == (SLUG, 403, "refused")
    for wrong in ("office", "10.0.0.0/8", "fe80::1%lo", ""):
        code, said = told("a.test", "--address", wrong)
        assert code == 2 and "--address takes an IP address" in said, said
