"""Routes of one host that a field or a cookie tells apart, by HTTP/1.1 and HTTP/2; what `where` says is what requests get."""

from __future__ import annotations

import json

import pytest

from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.raw import answering
from tests.wire.test_http2 import Speaker
from tests.wire.test_onward import Edges, Raws, route

CANARY = 'cookie = { canary = "1" }'
SENT = [
    ((), "old"),
    (("canary=1",), "new"),
    (("theme=dark; canary=1;a=b",), "new"),
    (("theme=dark", "canary=1"), "new"),
    (("canary=1; canary=1",), "new"),
    (("canary=1; canary=2",), "old"),
    (("canary=2", "canary=1"), "old"),
    (("canary=10",), "old"),
    (("canary",), "old"),
    (("Canary=1; xcanary=1",), "old"),
    (("a=canary=1",), "old"),
]


def saying(word: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(word)}\r\n\r\n{word}".encode()


@pytest.fixture
def canary(edge: Edges, raw: Raws) -> EdgeKit:
    """Two routes of a host, of which one wants a cookie."""
    old, new = (raw(answering(saying(word))) for word in ("old", "new"))
    return edge(route(old.port, "", "old") + route(new.port, CANARY, "new"))


@pytest.mark.parametrize(("cookies", "who"), SENT)
def test_the_route_that_wants_a_cookie_takes_who_has_it_and_nobody_whose_cookies_say_two_things(
    canary: EdgeKit, pki: Pki, cookies: tuple[str, ...], who: str
) -> None:
    """R03: a backend may take the first of several, or the last."""
    lines = "".join(f"Cookie: {it}\r\n" for it in cookies)
    with tls(canary.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, f"GET / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n")
    assert (answer.status, answer.body) == (200, who.encode())


@pytest.mark.parametrize(("cookies", "who"), SENT)
def test_in_http2_it_is_the_same_however_the_cookie_is_crumbled(
    canary: EdgeKit, pki: Pki, cookies: tuple[str, ...], who: str
) -> None:
    crumbs = [("cookie", crumb) for it in cookies for crumb in it.split("; ")]
    with Speaker(canary, pki) as speaker:
        assert speaker.outcome(speaker.headers(*crumbs)) == "200"
    canary.line(lambda line: line.get("route") == who)


def test_where_says_which_route_a_cookie_leads_to_and_what_the_other_wants(canary: EdgeKit) -> None:
    def asked(*more: str) -> dict[str, object]:
        told = canary.cli("where", "a.test/", "--config", str(canary.config), "--json", *more)
        return dict(json.loads(told.stdout))

    assert asked("--header", "cookie: a=b; canary=1")["route"] == "new"
    without = asked()
    assert without["route"] == "old" and "it wants the cookie canary=1" in json.dumps(without)


def test_a_cookie_that_concerns_the_connection_alone_chooses_nothing(canary: EdgeKit, pki: Pki) -> None:
    """X01: the backend does not see it."""
    with tls(canary.port, "a.test", pki.public.file) as sock:
        asked = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: cookie\r\nCookie: canary=1\r\n\r\n"
        assert exchange(sock, asked).body == b"old"


def test_a_field_tells_two_routes_apart_too_and_more_is_looked_at_first(edge: Edges, pki: Pki, raw: Raws) -> None:
    old, new, both = (raw(answering(saying(word))) for word in ("old", "new", "both"))
    testers = 'headers = { x-version = "new" }'
    it = edge(
        route(old.port, "", "old") + route(new.port, testers, "new") + route(both.port, f"{testers}\n{CANARY}", "both")
    )
    with tls(it.port, "a.test", pki.public.file) as sock:
        for fields, who in (
            ("", b"old"),
            ("X-Version: new\r\n", b"new"),
            ("X-Version: new\r\nCookie: canary=1\r\n", b"both"),
            ("Cookie: canary=1\r\n", b"old"),
        ):
            assert exchange(sock, f"GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n").body == who
