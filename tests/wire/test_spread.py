"""Which backend a request goes to, where its route says so: judged at the backends."""

from __future__ import annotations

import collections
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from everyhop.demo.backends import Backend
from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.clients import read_answer
from tests.kit.edge import until
from tests.kit.raw import OK, answering, head

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
MANY = 40


@pytest.fixture
def backends() -> Iterator[list[Backend]]:
    all_of_them = [Backend(f"b{i}") for i in range(3)]
    yield all_of_them
    for it in all_of_them:
        it.close()


def route(entries: list[str], more: str = "") -> str:
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = [{", ".join(entries)}]\n{more}\n'


def entry(port: int, more: str = "") -> str:
    return f'{{ at = "127.0.0.1:{port}"{", " + more if more else ""} }}'


def ask(it: EdgeKit, pki: Pki, heads: list[str]) -> list[int]:
    with tls(it.port, "a.test", pki.public.file) as sock:
        return [exchange(sock, f"{h}\r\nHost: a.test\r\n\r\n").status for h in heads]


def taken(backends: list[Backend]) -> list[int]:
    found = [len(b.seen) for b in backends]
    for b in backends:
        b.seen.clear()
    return found


GET = ["GET / HTTP/1.1"]


def test_backends_take_turns_by_their_weights_and_one_of_weight_0_takes_none(
    edge: Edges, pki: Pki, backends: list[Backend]
) -> None:
    entries = [entry(b.port, f"weight = {w}") for b, w in zip(backends, (3, 1, 0), strict=True)]
    it = edge(route(entries))
    assert set(ask(it, pki, GET * MANY)) == {200}
    assert taken(backends) == [30, 10, 0]
    told = {b["at"]: b["requests"] for b in it.status()["routes"][0]["backends"]}
    assert told[f"127.0.0.1:{backends[2].port}"] == 0, "it is known all the same"


def test_a_reload_gives_another_share_and_closes_what_was_kept_to_a_backend_of_weight_0(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    one, other = raw(answering(OK)), raw(answering(OK))
    it = edge(route([entry(one.port), entry(other.port)]), more="[limits]\nupstream_idle_s = 3600\n")
    assert ask(it, pki, GET * 4) == [200] * 4
    assert not one.records[0].ended and not other.records[0].ended
    assert it.reload(route([entry(one.port), entry(other.port, "weight = 0")]))["reloaded"]
    until(lambda: other.records[0].ended or None)
    before = len(other.received)
    assert ask(it, pki, GET * 4) == [200] * 4
    assert len(other.received) == before and not one.records[0].ended, "the other's connection is kept"


def test_a_backup_takes_requests_only_while_no_other_backend_is_up(edge: Edges, pki: Pki, raw: Raws) -> None:
    """Whatever fails at once: a backup that is up lets all others be left alone."""
    dead = [free_port(), free_port()]
    backup = raw(answering(OK))
    limits = "[limits]\neject_after = 1\neject_s = 1\n"
    it = edge(route([entry(dead[0]), entry(dead[1]), entry(backup.port, "backup = true")]), more=limits)
    assert ask(it, pki, ["POST / HTTP/1.1\r\nContent-Length: 0"] * 4) == [200] * 4
    until(lambda: [b["state"] for b in it.status()["routes"][0]["backends"]] == ["ejected", "ejected", "up"] or None)
    back = Backend("back", port=dead[1])
    with contextlib.closing(back):
        until(lambda: it.status()["routes"][0]["backends"][1]["state"] == "up" or None, 20)
        before = len(backup.received)
        assert ask(it, pki, GET * 4) == [200] * 4
        assert len(back.seen) == 4 and len(backup.received) == before


def test_the_one_with_less_under_way_takes_the_next(edge: Edges, pki: Pki, raw: Raws) -> None:
    """Judged while one backend holds what it has."""
    held: list[socket.socket] = []

    def holds(sock: socket.socket, record: bytearray) -> None:
        if head(sock, record) is not None:
            held.append(sock)
            head(sock, record)

    slow, quick = raw(holds), raw(answering(OK))
    it = edge(route([entry(slow.port), entry(quick.port)], 'balance = "least-requests"'))
    waiting: list[ssl.SSLSocket] = []
    with contextlib.ExitStack() as opened:
        while not held:
            sock = opened.enter_context(tls(it.port, "a.test", pki.public.file))
            sock.sendall(b"GET /held HTTP/1.1\r\nHost: a.test\r\n\r\n")
            waiting.append(sock)
            until(lambda: len(held) + quick.received.count(b"/held") >= len(waiting) or None)
        assert ask(it, pki, GET * MANY) == [200] * MANY
        assert len(held) == 1, "the slow one has one under way, the other none"
        held[0].sendall(OK)


HEADERS = [f"GET / HTTP/1.1\r\nX-User: {n}" for n in range(MANY)]
COOKIES = [f"GET / HTTP/1.1\r\nCookie: a=b; user={n}" for n in range(MANY)]
PATHS = [f"GET /{n} HTTP/1.1" for n in range(MANY)]


@pytest.mark.parametrize(
    ("by", "heads"),
    [("header:X-User", HEADERS), ("cookie:user", COOKIES), ("path", PATHS)],
    ids=["header", "cookie", "path"],
)
def test_the_same_key_goes_to_the_same_backend_and_one_that_leaves_moves_no_other_key(
    edge: Edges, pki: Pki, backends: list[Backend], by: str, heads: list[str]
) -> None:
    more = f'balance = "hash:{by}"'
    it = edge(route([entry(b.port) for b in backends], more), threads=2)

    def owners() -> list[int]:
        found = []
        for asked in heads:
            assert ask(it, pki, [asked]) == [200]
            found.append(taken(backends).index(1))
        return found

    before = owners()
    assert set(before) == {0, 1, 2} and owners() == before, "on other connections, and threads, the same"
    assert it.reload(route([entry(b.port, f"weight = {int(i != 1)}") for i, b in enumerate(backends)], more))[
        "reloaded"
    ]
    after = owners()
    moved = {b for b, a in zip(before, after, strict=True) if a != b}
    assert moved == {1} and 1 not in after, (before, after)


def test_who_has_no_key_goes_by_turns(edge: Edges, pki: Pki, backends: list[Backend]) -> None:
    it = edge(route([entry(b.port) for b in backends], 'balance = "hash:cookie:user"'))
    assert ask(it, pki, ["GET / HTTP/1.1\r\nCookie: other=1"] * 6) == [200] * 6
    assert taken(backends) == [2, 2, 2]


def test_a_key_that_everybody_asks_for_fills_its_backend_to_a_bound_and_goes_on_to_the_next(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    """Judged while all that came is under way: by the backend of each, in the order in which they came."""
    came: list[int] = []
    over = threading.Event()

    def holds(number: int) -> Callable[[socket.socket, bytearray], None]:
        def held(sock: socket.socket, record: bytearray) -> None:
            if head(sock, record) is not None:
                came.append(number)
                over.wait(60)
                sock.sendall(OK)

        return held

    def arrived(count: int) -> bool:
        return len(came) == count

    entries = [entry(raw(holds(i)).port) for i in range(3)]
    it = edge(route(entries, 'balance = "hash:header:X-User"'))
    with contextlib.ExitStack() as opened:
        opened.callback(over.set)
        clients = []
        for count in range(1, 25):
            clients.append(opened.enter_context(tls(it.port, "a.test", pki.public.file)))
            clients[-1].sendall(b"GET /hot HTTP/1.1\r\nHost: a.test\r\nX-User: hot\r\n\r\n")
            until(partial(arrived, count))
        owner = came[0]
        assert came[:6] == [owner] * 6, "so few are no load"
        # Of 24 at three backends 8 are a share, and five quarters of it 10.
        assert [came[:at].count(owner) for at in (12, 24)] == [6, 10], came
        counts = collections.Counter(came)
        assert len(counts) == 3 and max(counts.values()) == 10, "the next is held to it as well"
        over.set()
        assert [read_answer(sock).status for sock in clients] == [200] * 24


def announced(port: int, host: str, pki: Pki, address: str) -> ssl.SSLSocket:
    """A client that a load balancer before the edge says has that address."""
    sock = socket.create_connection(("127.0.0.1", port), 20)
    sock.sendall(f"PROXY TCP4 {address} 127.0.0.1 1000 443\r\n".encode())
    return ssl.create_default_context(cafile=str(pki.public.file)).wrap_socket(sock, server_hostname=host)


def test_a_client_address_goes_to_one_backend_in_http_and_where_nothing_is_read(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    """As the client that is believed has it: here by a PROXY header, which stands for clients of many addresses."""
    many = [raw(answering(OK)) for _ in range(3)]
    passed = [raw(answering(OK), pki.pass_leaf) for _ in range(3)]
    more = 'balance = "hash:client-address"'
    routes = route([entry(b.port) for b in many], more)
    routes += f'[[route]]\nname = "p"\nhost = "pass.test"\ntls = "passthrough"\nto = [{", ".join(entry(b.port) for b in passed)}]\n{more}\n'
    it = edge(routes, listener='accept_proxy = ["127.0.0.1"]')
    for host, servers in (("a.test", many), ("pass.test", passed)):
        owner: dict[int, set[int]] = collections.defaultdict(set)
        for n in [*range(12), *range(12)]:
            before = [len(b.received) for b in servers]
            with announced(it.port, host, pki, f"10.0.0.{n}") as sock:
                assert exchange(sock, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").status == 200
            owner[n] |= {i for i, b in enumerate(servers) if len(b.received) > before[i]}
        assert all(len(found) == 1 for found in owner.values()), owner
        assert len(set().union(*owner.values())) > 1, owner


def test_explain_says_who_takes_which_share(edge: Edges, pki: Pki, raw: Raws) -> None:
    one, two, three = (raw(answering(OK)).port for _ in range(3))
    it = edge(route([entry(one, "weight = 2"), entry(two, "weight = 0"), entry(three, "backup = true")]))
    told = " ".join(it.cli("explain", "r", "--config", str(it.config)).stdout.split())
    said = f"Backends take turns. By weight: 127.0.0.1:{one} 2. 127.0.0.1:{two} takes nothing new."
    assert f"{said} Only while none of those is up: 127.0.0.1:{three}." in told, told
