"""Each client through each pattern at each server: what every application relies on.

The servers' application answers `/echo` with the body it got, `/nothing` with 204, `/same` with 304, `/pieces` in four pieces
without a length (with a trailer where it can), `/events` with one event and, once `/release` was asked for, another, and all
else with what it saw of the request. `/ws` is a WebSocket that echoes, and closes as it is told.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.applications import curl, peer
from tests.applications.catalogue import BACKENDS, CLIENTS, SOCKETS, Backend, Client
from tests.applications.lab import Lab

MIB = 1 << 20
PIECES = b"".join(letter * 1000 for letter in (b"a", b"b", b"c", b"d"))
number = itertools.count()


def ways(wanted: Callable[[Backend], bool] = lambda _: True) -> pytest.MarkDecorator:
    """Every server that fits, in every pattern that fits it."""
    cells = [(name, pattern) for name, it in BACKENDS.items() if wanted(it) for pattern in it.patterns]
    return pytest.mark.parametrize(("backend", "pattern"), cells)


class Cell:
    """One server in one pattern, and whoever can speak to it."""

    def __init__(self, lab: Lab, backend: str, pattern: str) -> None:
        self.lab, self.backend, self.pattern = lab, backend, pattern
        self.it = BACKENDS[backend]
        if self.it.needs == "node":
            peer.needs_node()

    def spoken(self, it: Client) -> str:
        """The protocol between the client and whoever opens its TLS."""
        return "2" if it.speaks == "2" and (self.pattern != "passthrough" or "2" in self.it.alpn) else "1.1"

    def seen(self, it: Client) -> str:
        """The protocol that the application tells of."""
        if self.backend.startswith("nginx"):
            return "1.1"
        return self.spoken(it) if self.pattern == "passthrough" else self.it.behind

    def clients(self, wanted: Callable[[Client], bool] = lambda _: True) -> Iterator[tuple[str, Client]]:
        for name, it in CLIENTS.items():
            possible = it.falls_back or self.spoken(it) == it.speaks
            if wanted(it) and possible and (it.needs != "node" or peer.NODE):
                yield name, it

    def url(self, path: str, scheme: str = "https") -> str:
        return self.lab.url(self.backend, self.pattern, path, scheme)

    def ask(self, client: str, path: str, **job: Any) -> dict[str, Any]:
        if CLIENTS[client].peer == "curl":
            return curl.ask(client, self.lab.pki.public.file, self.url(path), **job)
        return self.lab.do(client, "ask", self.url(path), **job)

    def told(self, client: str, path: str, **job: Any) -> dict[str, Any]:
        """What the application says that it saw."""
        answer = self.ask(client, path, **job)
        assert answer["status"] == 200, (client, answer)
        seen: dict[str, Any] = json.loads(answer["body"])
        return seen


@pytest.fixture
def cell(lab: Lab, backend: str, pattern: str) -> Cell:
    return Cell(lab, backend, pattern)


@ways()
def test_a_get_is_the_same_request_at_the_application(cell: Cell) -> None:
    for client, it in cell.clients():
        answer = cell.ask(client, "/seen/here?a=1&b=2", fields={"x-mine": "yes"})
        assert (answer["status"], answer["protocol"]) == (200, cell.spoken(it)), (client, answer)
        seen = json.loads(answer["body"])
        said = (seen["method"], seen["target"], seen["protocol"], seen["length"])
        assert said == ("GET", "/seen/here?a=1&b=2", cell.seen(it), 0), (client, seen)
        fields = {name.lower(): value for name, value in seen["fields"]}
        assert fields["x-mine"] == "yes", (client, seen)
        if cell.pattern != "passthrough":
            came = (fields["x-forwarded-for"], fields["x-forwarded-proto"])
            assert came == ("127.0.0.1", "https"), (client, seen)


@ways()
def test_paths_of_registries_and_stores_arrive_as_they_were_sent(cell: Cell) -> None:
    """F01."""
    target = "/@scope%2Fname//a;v=1/%C3%BC/b%20c+d/%252F?q=%2F&r=%20"
    for client, _ in cell.clients():
        assert cell.told(client, target)["target"] == target, client


@ways()
@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
def test_a_mebibyte_goes_there_and_back(cell: Cell, chunked: bool) -> None:
    wanted = hashlib.sha256(curl.content(MIB)).hexdigest()
    for client, _ in cell.clients():
        answer = cell.ask(client, "/echo", method="POST", size=MIB, chunked=chunked)
        assert (answer["status"], answer["length"], answer["sha256"]) == (200, MIB, wanted), (client, answer)


@ways()
def test_an_empty_post_and_a_delete_end_at_once(cell: Cell) -> None:
    """F02."""
    for client, _ in cell.clients():
        for method in ("POST", "DELETE"):
            seen = cell.told(client, "/seen", method=method, **({"size": 0} if method == "POST" else {}))
            assert (seen["method"], seen["length"]) == (method, 0), (client, seen)


@ways()
def test_answers_without_a_body_have_none_and_the_next_one_is_its_own(cell: Cell) -> None:
    for client, _ in cell.clients():
        head = cell.ask(client, "/seen", method="HEAD")
        assert (head["status"], head["length"]) == (200, 0), (client, head)
        assert int(head["fields"]["content-length"]) > 50, (client, head)
        nothing = cell.ask(client, "/nothing")
        assert (nothing["status"], nothing["length"]) == (204, 0), (client, nothing)
        same = cell.ask(client, "/same", fields={"if-none-match": '"it"'})
        assert (same["status"], same["length"], same["fields"]["etag"]) == (304, 0, '"it"'), (client, same)
        assert cell.told(client, "/after")["target"] == "/after", client


@ways()
def test_pieces_without_a_length_arrive_whole(cell: Cell) -> None:
    for client, _ in cell.clients():
        answer = cell.ask(client, "/pieces")
        assert (answer["status"], answer["body"]) == (200, PIECES.decode()), (client, answer)


@ways(lambda it: it.trailers)
def test_trailers_arrive_at_clients_that_take_them(cell: Cell) -> None:
    for client, _ in cell.clients(lambda it: it.trailers):
        answer = cell.ask(client, "/pieces")
        assert answer["trailers"] == {"x-sum": "whole"}, (client, answer)


@ways()
def test_clients_that_wait_for_100_continue_get_it(cell: Cell) -> None:
    for client, _ in cell.clients(lambda it: it.continues):
        answer = cell.ask(client, "/echo", method="POST", size=100_000, expect=True)
        assert (answer["status"], answer["length"]) == (200, 100_000), (client, answer)
        assert answer["continued"], client


@ways()
def test_an_event_is_there_before_the_next_one_is(cell: Cell) -> None:
    """The second one is sent only after the client has had the first."""
    for client, it in cell.clients():
        case = f"{next(number)}"
        url, release = cell.url(f"/events?{case}"), cell.url(f"/release?{case}")
        if it.peer == "curl":
            told = curl.events(client, cell.lab.pki.public.file, url, release)
        else:
            told = cell.lab.do(client, "events", url, release=release)
        assert told == {"first": "data: one\n\n", "rest": "data: two\n\n"}, client


@ways()
def test_a_client_keeps_its_connection(cell: Cell) -> None:
    urls = [cell.url(f"/seen/{n}") for n in range(5)]
    for client, it in cell.clients():
        if it.peer == "curl":
            assert curl.connects(client, cell.lab.pki.public.file, *urls) == 1, client
            continue
        cell.ask(client, "/first")
        before = cell.lab.accepted()
        for n in range(5):
            cell.ask(client, f"/seen/{n}")
        assert cell.lab.accepted() == before, client


@ways(lambda it: it.sockets)
def test_websockets_echo_and_close_as_they_were_told(cell: Cell) -> None:
    for client, it in SOCKETS.items():
        if it.needs == "node" and peer.NODE is None:
            continue
        job = {"sizes": [0, 5, 70_000, MIB], "say": "grüße", "close": [4001, "because of this"]}
        told = cell.lab.do(client, "talk", cell.url("/ws", "wss"), **job)
        assert told == {"echoed": job["sizes"], "said": "grüße", "closed": [4001, "because of this"]}, client
