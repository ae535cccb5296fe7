"""Edges that ask a service of Envoy's rate limits of each request, judged at the service by gRPC's own server, at the client and at the
backend: what it is told, what becomes of its answers, and of a request for which it says nothing in time."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import grpc
import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.rate_limits import MINUTE, OK, OVER, Hit, Limits, Says, says, status
from tests.kit.raw import OK as ANSWER
from tests.kit.raw import answering
from tests.wire.test_limits import ask, came, metric, route
from tests.wire.test_limits_store import comes_up, decided, is_up, shared, store, troubles
from tests.wire.test_traces import HOPS

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
Services = Callable[..., Limits]
ENVOY = 'speaks = "envoy"'


@pytest.fixture
def service() -> Iterator[Services]:
    opened: list[Limits] = []

    def start(says: Says | bytes = OK, *args: object, **more: object) -> Limits:
        opened.append(Limits(says, *args, **more))  # type: ignore[arg-type]
        return opened[-1]

    yield start
    for it in opened:
        it.close()


@pytest.fixture
def backend(raw: Raws) -> Raw:
    return raw(answering(ANSWER))


def asking(pki: Pki, port: int, pattern: str = "plaintext", more: str = "", down: str = "refuse") -> str:
    return shared("200/h", down) + store(pki, port, pattern, f"{ENVOY}\n{more}")


@pytest.mark.parametrize("pattern", HOPS)
def test_it_is_asked_of_each_request_by_the_name_of_the_limit_and_a_digest_and_told_nothing_else(
    edge: Edges, pki: Pki, backend: Raw, service: Services, pattern: str
) -> None:
    leaf = None if pattern == "plaintext" else pki.backend
    it = service(OK, leaf, pki.internal.file if pattern == "mutual" else None)
    both = [comes_up(edge(asking(pki, it.port, pattern) + route(backend.port))) for _ in range(2)]
    for one in both:
        decided(one, pki)
    hits = len(it.hits)
    assert hits >= 2 and {hit.domain for hit in it.hits} == {"everyhop"} and {hit.addend for hit in it.hits} == {1}
    (names,) = {tuple(name for entries in hit.descriptors for name, _ in entries) for hit in it.hits}
    assert names == ("few",)
    assert len({hit.key for hit in it.hits}) == 1, "one client is one key, whichever edge it comes to"
    assert re.fullmatch("[0-9a-f]{32}", it.hits[0].key)
    assert all(hit.left_s is not None and hit.left_s <= 1 for hit in it.hits)
    assert decided(both[0], pki).status == 200 and len(it.hits) > hits, "and of the next as well"


def test_limits_are_looked_for_in_the_domain_that_is_said(
    edge: Edges, pki: Pki, backend: Raw, service: Services
) -> None:
    it = service()
    one = comes_up(edge(asking(pki, it.port, more='domain = "shop"') + route(backend.port)))
    assert decided(one, pki).status == 200 and it.hits[0].domain == "shop"


def test_of_which_kind_it_is_is_told_by_status_metrics_and_explain(
    edge: Edges, pki: Pki, backend: Raw, service: Services
) -> None:
    it, port = service(), free_port()
    said = asking(pki, it.port, more='domain = "shop"') + route(backend.port)
    one = comes_up(edge(said, more=f'[status]\nbind = "127.0.0.1:{port}"\n'))
    decided(one, pki)
    (told,) = one.status()["stores"]
    assert (told["speaks"], told["domain"]) == ("envoy", "shop")
    assert metric(port, 'everyhop_store_up{store="counters",speaks="envoy"}') == 1
    shown = " ".join(one.cli("status", "--config", str(one.config)).stdout.split())
    assert "store counters (rate limits of Envoy's kind, domain shop): answers, 127.0.0.1:" in shown
    drawn = " ".join(one.cli("explain", str(one.config)).stdout.split())
    assert "store counters (rate limits of Envoy's kind): says who passes" in drawn
    assert "says of each by its own configuration of domain shop whether it passes" in drawn


def test_who_is_over_is_told_by_which_limit_and_until_when_and_is_not_asked_about_before(
    edge: Edges, pki: Pki, backend: Raw, service: Services
) -> None:
    it = service(OVER)
    one = comes_up(edge(asking(pki, it.port) + route(backend.port)))
    answer = decided(one, pki)
    assert (answer.status, answer.headers["retry-after"]) == (429, "43")
    assert answer.headers["ratelimit-policy"] == '"few";q=7;w=60'
    assert answer.headers["ratelimit"] == '"few";r=0;t=43'
    hits = len(it.hits)
    again = ask(one, pki)
    assert again.status == 429 and 1 <= int(again.headers["retry-after"]) <= 43 and len(it.hits) == hits
    assert came(backend) == 0
    line = one.line(lambda line: line["status"] == 429)
    assert line["end"] == "request/rate-limited"
    assert re.fullmatch(r"limit few: 7 in 60 s, by its store, key [0-9a-f]{8}", line["detail"])


def test_one_that_says_no_and_nothing_else_is_asked_again_after_a_second(
    edge: Edges, pki: Pki, backend: Raw, service: Services
) -> None:
    words = [says(2)]
    it = service(lambda _: words[-1])
    one = comes_up(edge(asking(pki, it.port) + route(backend.port)))
    answer = decided(one, pki)
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert answer.headers["ratelimit-policy"].startswith('"few";q=200;w=')
    words.append(OK)
    until(lambda: ask(one, pki).status == 200 or None, 30)


def test_a_service_that_only_watches_lets_pass_what_it_would_refuse(
    edge: Edges, pki: Pki, backend: Raw, service: Services
) -> None:
    it = service(says(1, status(2, (7, MINUTE), 0, (42, 0))))
    one = comes_up(edge(asking(pki, it.port) + route(backend.port)))
    assert decided(one, pki).status == 200


class Counts:
    """Lets pass so many of each key."""

    def __init__(self, most: int) -> None:
        self.most, self.seen, self.lock = most, Counter[str](), threading.Lock()

    def __call__(self, hit: Hit) -> bytes:
        with self.lock:
            self.seen[hit.key] += hit.addend
            return OK if self.seen[hit.key] <= self.most else OVER


def test_two_edges_let_pass_together_what_the_service_says_and_each_is_counted_once(
    edge: Edges, pki: Pki, backend: Raw, service: Services
) -> None:
    counts = Counts(20)
    it = service(counts)
    both = [comes_up(edge(asking(pki, it.port) + route(backend.port))) for _ in range(2)]
    passed = 0
    for one in both * 15:
        passed += decided(one, pki).status == 200
    late = sum(one.status()["stores"][0]["late"] for one in both)
    assert 20 - late <= passed <= 20, "what it said too late it has counted"
    assert came(backend) == passed


@pytest.mark.parametrize(("down", "code"), [("local", 200), ("refuse", 503)])
def test_while_it_is_gone_each_edge_counts_by_itself_or_refuses_and_asks_again_once_it_is_there(
    edge: Edges, pki: Pki, backend: Raw, service: Services, down: str, code: int
) -> None:
    it = service()
    one = comes_up(edge(asking(pki, it.port, down=down) + route(backend.port)))
    it.close()
    until(lambda: not is_up(one) or None, 30)
    until(lambda: troubles(one) or None, 30)
    answers = [ask(one, pki) for _ in range(3)]
    assert [answer.status for answer in answers] == [code] * 3
    if code == 503:
        assert "request/limit-unknown" in answers[0].text and answers[0].headers["retry-after"] == "1"
    back = service(OK, port=it.port)
    comes_up(one)
    until(lambda: troubles(one) == [] or None, 30)
    until(lambda: (ask(one, pki).status == 200 and back.hits) or None, 30)


def test_one_that_does_not_answer_holds_nobody_and_is_asked_again_once_it_does(
    edge: Edges, pki: Pki, backend: Raw, service: Services
) -> None:
    go = threading.Event()

    def waits(_: Hit) -> bytes:
        go.wait(30)
        return OK

    it = service(waits)
    one = comes_up(edge(asking(pki, it.port) + route(backend.port)))
    with tls(one.port, "a.test", pki.public.file) as sock:
        answers = [exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").status for _ in range(20)]
    assert set(answers) == {503} and came(backend) == 0
    (told,) = one.status()["stores"]
    assert told["late"] >= 1 and len(it.hits) < 20, "whoever is silent is not asked of each"
    go.set()
    until(lambda: ask(one, pki).status == 200 or None, 30)


ODD: dict[str, tuple[bytes | grpc.StatusCode, str]] = {
    "its own failure": (grpc.StatusCode.UNKNOWN, "it answered gRPC status 2"),
    "not there": (grpc.StatusCode.UNAVAILABLE, "it answered gRPC status 14"),
    "no message": (b"<html>", "it answers what is no RateLimitResponse"),
    "nothing": (b"", "it answers with neither OK nor OVER_LIMIT"),
    "a word that is none": (says(3), "it answers with neither OK nor OVER_LIMIT"),
    "a time that is none": (says(2, status(2, None, 0, (2**40, 0))), "it names a time that is none"),
    "too much": (says(1, *[status(1)] * 65), "it answers of more descriptors than it was asked"),
    "too long": (OK + b"\x2a" + b"\x80\x80\x08" + bytes(131072), "it answered too long a message"),
}


@pytest.mark.parametrize("odd", ODD)
def test_one_that_says_neither_yes_nor_no_is_as_one_that_is_gone(
    edge: Edges, pki: Pki, backend: Raw, service: Services, odd: str
) -> None:
    said, why = ODD[odd]
    it = service(lambda _: said)
    one = comes_up(edge(asking(pki, it.port) + route(backend.port)))

    def told() -> bool | None:
        assert ask(one, pki).status == 503
        return why in str(one.status()["stores"]) or None

    until(told, 30, lambda: str(one.status()["stores"]))
    assert it.hits and came(backend) == 0


def test_one_that_does_not_prove_who_it_is_hears_nothing(
    edge: Edges, pki: Pki, backend: Raw, service: Services
) -> None:
    it = service(OK, pki.other)
    one = edge(asking(pki, it.port, "reencrypt") + route(backend.port))
    until(lambda: troubles(one) or None, 30)
    assert ask(one, pki).status == 503 and it.hits == []


def test_a_reload_that_says_another_domain_asks_there_and_one_that_asks_nobody_asks_nobody(
    edge: Edges, pki: Pki, backend: Raw, service: Services
) -> None:
    it = service()
    one = comes_up(edge(asking(pki, it.port) + route(backend.port)))
    decided(one, pki)
    assert one.reload(asking(pki, it.port, more='domain = "shop"') + route(backend.port))["reloaded"]
    until(lambda: (decided(one, pki).status == 200 and it.hits[-1].domain == "shop") or None, 30)
    assert one.reload(shared("200/h", "local") + store(pki, free_port(), more=ENVOY) + route(backend.port))["reloaded"]
    until(lambda: not is_up(one) or None, 30)
    hits = len(it.hits)
    assert ask(one, pki).status == 200 and len(it.hits) == hits
