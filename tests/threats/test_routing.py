"""Routing: what is matched is what is authorised, logged and forwarded. Aliases of a protected path come from a grammar,
and an independent reader that is as lenient as the most lenient backend says which of them they are."""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import random
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from everyhop.cli.where import question
from tests.kit import EdgeKit, Pki, Raw
from tests.kit.edge import until
from tests.kit.settle import settle
from tests.kit.soon import in_time
from tests.threats.ground import Ground, serving, watched
from tests.threats.talk import PROTOCOLS, Arrival, Talk, arrivals

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

# R01. The grammar: a lead, a way back, a separator, a spelling of `adm`, an end.

LEADS = (b"", b"/pub", b"/pub/x")
BACK = (
    b"",
    b"/..",
    b"/..;",
    b"/..;a=b",
    b"/%2e%2e",
    b"/%2E.",
    b"/.%2e",
    b"/%252e%252e",
    b"/%25252e%25252e",
    b"/..%3b",
    b"/..%3Ba=b",
    b"/%2e%2e%3b",
    b"/..%253b",
    b"/.",
    b"/.;",
    b"/;",
    b"/;a=b",
    b"/%3b",
    b"/%3Bx",
    b"/..%00",
    b"/..%20",
    b"/...",
    b"/%c0%ae%c0%ae",
    b"/%e0%80%ae%e0%80%ae",
    b"/%u002e%u002e",
    b"/..\\",
    b"/..%5c",
    b"/..%255c",
    b"/..%2f..%2f",
    b"/../..",
)
SEPARATORS = (
    b"/",
    b"//",
    b"///",
    b"\\",
    b"/\\",
    b"%2f",
    b"%2F",
    b"/%2f",
    b"%5c",
    b"%252f",
    b"%25252f",
    b"%255c",
    b"/./",
    b"/%2e/",
    b"/;/",
    b"/;x/",
    b"/%3b/",
    b"/%20/",
    b"/%00/",
    b"%c0%af",
    b"%e0%80%af",
    b"%f0%80%80%af",
    b"/x/../",
    b"/x/..;/",
    b"/x/..%3b/",
    b"/x/%2e%2e/",
)
NAMES = (
    b"adm",
    b"ADM",
    b"Adm",
    b"adM",
    b"%61dm",
    b"a%64m",
    b"%41dm",
    b"a%44M",
    b"%2561dm",
    b"%252561dm",
    b"%2541dm",
    b"ad%256D",
    b"%25%36%31dm",
    b"adm;",
    b"adm;a=b",
    b"ADM;jsessionid=1",
    b"adm%3b",
    b"adm%3Ba=b",
    b"adm%253b",
    b"adm%00",
    b"adm%2500",
    b"adm.",
    b"adm%2e",
    b"adm%20",
    b"adm%2520",
    b"adm%09",
    b"adm?x",
    b"adm%3fx",
    b"adm%253fx",
    b"adm#x",
    b"adm%23x",
    b"a%00dm",
    b"%c1%a1dm",
    b"%e0%81%a1dm",
    b"%u0061dm",
    b"a%0adm",
    b"admx",
    b"xadm",
    b"ad",
)
ENDS = (b"", b"/", b"/x", b"/x;a", b"/X", b";/x", b"%2fx", b"/..%3b/pub", b"/../pub")


def targets() -> list[bytes]:
    """Every alternative once with all else at its simplest, every pair of spelling and separator, and a seeded sample."""
    found = [b"/pub" + back + sep + b"adm" for back, sep in itertools.product(BACK, SEPARATORS)]
    found += [sep + name + end for sep, name, end in itertools.product(SEPARATORS, NAMES, (b"", b"/x"))]
    found += [b"/" + name + end for name, end in itertools.product(NAMES, ENDS)]
    draw = random.Random(1)
    parts = (LEADS, BACK, SEPARATORS, NAMES, ENDS)
    found += [b"".join(draw.choice(part) for part in parts) for _ in range(800)]
    return sorted(set(found))


def leniently(target: str) -> str:
    """The path as the most lenient backend reads it. Written from what servers do, not from what the edge does."""
    path = target.split("?")[0].split("#")[0].encode("latin-1")
    before = None
    while path != before:
        before = path
        path = re.sub(rb"%u00([0-9a-fA-F]{2})", lambda m: bytes.fromhex(m[1].decode()), path)
        path = re.sub(rb"%([0-9a-fA-F]{2})", lambda m: bytes.fromhex(m[1].decode()), path)
        # Overlong UTF-8, as decoders that only shift bits take it.
        path = re.sub(rb"[\xc0\xc1]([\x80-\xbf])", lambda m: bytes([m[1][0] & 63 | (m[0][0] & 1) << 6]), path)
        path = re.sub(rb"\xe0[\x80\x81]([\x80-\xbf])", lambda m: bytes([m[1][0] & 63 | (m[0][1] & 1) << 6]), path)
    path = re.split(rb"[?#\0]", path.lower().replace(b"\\", b"/"))[0]
    found: list[bytes] = []
    for segment in path.split(b"/"):
        name = segment.split(b";")[0]
        if name == b"..":
            found[-1:] = []
        elif name not in {b"", b"."}:
            found.append(name.rstrip(b". ") or name)
    return "/" + b"/".join(found).decode("latin-1")


def below(path: str, prefix: str = "/adm") -> bool:
    return path == prefix or path.startswith(prefix + "/")


UPSTREAM = {"plaintext": "plaintext", "admin": "private"}


def test_no_alias_of_a_protected_path_reaches_another_upstream(ground: Ground) -> None:
    """R01. Some thousand aliases by both protocols: refused, or one request whose path is the one that was matched,
    logged and forwarded; and what any backend would take for the protected path comes to the protected one alone."""
    sent: dict[tuple[str, bytes], int] = {}
    with watched(ground, "plaintext") as plain, watched(ground, "private") as private:
        for protocol in PROTOCOLS:
            with Talk(ground.edge.port, ground.pki, "a.test", protocol) as talk:
                assert talk.ask(b"/adm/x").status == talk.ask(b"/pub").status == 200
                for n, target in enumerate(targets()):
                    if n % 200 == 0:
                        # Over HTTP/2 many of them are reset: too many at once are a flood, whoever asks next.
                        talk.close()
                    sent[protocol, target] = talk.ask(target, (b"x-n", b"%s-%d" % (protocol.encode(), n))).status
    got = [("plaintext", a) for a in arrivals(plain)] + [("private", a) for a in arrivals(private)]
    by_number: dict[str, list[tuple[str, Arrival]]] = {}
    for upstream, arrival in got:
        if numbers := arrival.all("x-n"):
            by_number.setdefault(numbers[0], []).append((upstream, arrival))
    ids = {a.one("x-request-id") for _, a in got}
    lines = until(lambda: found if ids <= (found := {x["id"]: x for x in ground.edge.lines()}).keys() else None)
    tally: dict[str, int] = {"refused": 0, "plaintext": 0, "private": 0}
    for protocol in PROTOCOLS:
        for n, target in enumerate(targets()):
            status, arrived = sent[protocol, target], by_number.get(f"{protocol}-{n}", [])
            if status != 200:
                assert status == 400 or (protocol, status) == ("h2", 0), (protocol, target, status)
                assert not arrived, (protocol, target, arrived)
                tally["refused"] += 1
                continue
            assert len(arrived) == 1, (protocol, target, arrived)
            upstream, arrival = arrived[0]
            line = lines[arrival.one("x-request-id")]
            path = arrival.target.split("?")[0]
            assert line["path"] == path and UPSTREAM[line["route"]] == upstream, (target, arrival, line)
            assert below(leniently(arrival.target)) == (upstream == "private"), (protocol, target, path, upstream)
            assert below(path) == (upstream == "private"), (protocol, target, path, upstream)
            tally[upstream] += 1
    assert tally["private"] > 20 and tally["plaintext"] > 200 and tally["refused"] > 1000, tally
    for target in targets():
        # Over HTTP/2 the `h2` crate takes nothing of a target from `#` on; HTTP/1 refuses it whole.
        if b"#" not in target:
            assert (sent["http/1.1", target] == 200) == (sent["h2", target] == 200), target
    ground.clean()


def test_where_says_of_an_alias_what_the_wire_does(ground: Ground) -> None:
    """R01, R02. The question and the request go through the same matcher."""
    draw = random.Random(2)
    sample = [t for t in draw.sample(targets(), 250) if t.startswith(b"/") and b"#" not in t]
    with Talk(ground.edge.port, ground.pki, "a.test", "h2") as talk:
        for target in sample:
            told = talk.ask(target)
            asked = question("a.test" + target.decode(), "GET", [], None, False, None)
            judged: dict[str, Any] = ground.edge.admin("where", **asked)["judged"]
            if told.status == 200:
                assert judged["slug"] is None and judged["route"] in UPSTREAM, (target, judged)
            else:
                assert told.status == 400 and judged["slug"] == "request/bad-target", (target, judged)
    ground.clean()


# R02, R03.

CHOICES = [
    ("all", ""),
    ("prefix", 'path = "/v2"'),
    ("deeper", 'path = "/v2/users"'),
    ("exactly", 'path_exact = "/v2/users"'),
    ("posted", 'path = "/v2"\nmethod = "POST"'),
    ("role", 'path = "/v2"\nheaders = { x-role = "admin" }'),
    ("both", 'path = "/v2"\nheaders = { x-role = "admin", x-team = "red" }'),
    ("posted-role", 'path = "/v2"\nmethod = "POST"\nheaders = { x-role = "admin" }'),
    ("first", 'path = "/v3"\nmethod = ["GET", "PUT"]\npriority = 2'),
    ("second", 'path = "/v3"\nmethod = ["GET", "POST"]\npriority = 1'),
    ("cookie", 'path = "/c"\nheaders = { cookie = "a=1; b=2" }'),
]
ADMIN, RED = (b"X-Role", b"admin"), (b"X-Team", b"red")
ASKED: list[tuple[bytes, bytes, tuple[tuple[bytes, bytes], ...], str]] = [
    (b"GET", b"/", (), "all"),
    (b"GET", b"/v2", (), "prefix"),
    (b"GET", b"/v2/", (), "prefix"),
    (b"GET", b"/v2/x", (), "prefix"),
    (b"GET", b"/v2example", (), "all"),
    (b"GET", b"/v2.x", (), "all"),
    (b"GET", b"/v", (), "all"),
    (b"GET", b"/x/v2", (), "all"),
    (b"GET", b"/v2?/v2/users", (), "prefix"),
    (b"GET", b"/v2/users", (), "exactly"),
    (b"GET", b"/v2/users/", (), "deeper"),
    (b"GET", b"/v2/users/1", (), "deeper"),
    (b"GET", b"/v2/users1", (), "prefix"),
    (b"POST", b"/v2/users/1", (ADMIN,), "deeper"),
    (b"POST", b"/v2/x", (), "posted"),
    (b"PoST", b"/v2/x", (), "prefix"),
    (b"GET", b"/v2/x", (ADMIN,), "role"),
    (b"GET", b"/v2/x", (RED,), "prefix"),
    (b"GET", b"/v2/x", (ADMIN, RED), "both"),
    (b"GET", b"/v2/x", (RED, ADMIN), "both"),
    (b"POST", b"/v2/x", (ADMIN, RED), "posted-role"),
    (b"GET", b"/v3", (), "first"),
    (b"PUT", b"/v3", (), "first"),
    (b"POST", b"/v3", (), "second"),
    (b"DELETE", b"/v3", (), "all"),
    # R03: every value counts, none is picked.
    (b"GET", b"/v2/x", (ADMIN, ADMIN), "role"),
    (b"GET", b"/v2/x", ((b"X-Role", b"user"), ADMIN), "prefix"),
    (b"GET", b"/v2/x", (ADMIN, (b"X-Role", b"user")), "prefix"),
    (b"GET", b"/v2/x", (ADMIN, (b"X-ROLE", b"")), "prefix"),
    (b"GET", b"/v2/x", ((b"X-Role", b"admin, user"),), "prefix"),
    (b"GET", b"/v2/x", ((b"X-Role", b"user, admin"),), "prefix"),
    (b"GET", b"/v2/x", ((b"X-Role", b"admin,admin"),), "prefix"),
    (b"GET", b"/v2/x", ((b"X-Role", b"Admin"),), "prefix"),
    (b"GET", b"/v2/x", ((b"X-Role", b'"admin"'),), "prefix"),
    (b"GET", b"/v2/x", ((b"x_role", b"admin"),), "prefix"),
    # A cookie is one value, in however many crumbs it came.
    (b"GET", b"/c", ((b"Cookie", b"a=1; b=2"),), "cookie"),
    (b"GET", b"/c", ((b"Cookie", b"a=1"),), "all"),
]


def routes(order: tuple[int, ...] | list[int], ports: dict[str, int]) -> str:
    text = ""
    for i in order:
        name, more = CHOICES[i]
        text += f'[[route]]\nname = "{name}"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{ports[name]}"]\n{more}\n'
    return text


@pytest.fixture
def choices(raw: Raws) -> dict[str, Raw]:
    return {name: raw(serving) for name, _ in CHOICES}


def orders() -> Iterator[list[int]]:
    whole = list(range(len(CHOICES)))
    yield whole
    yield whole[::-1]
    draw = random.Random(3)
    for _ in range(4):
        yield draw.sample(whole, len(whole))


def test_the_most_specific_route_wins_in_whatever_order_the_file_has_them(
    edge: Edges, pki: Pki, choices: dict[str, Raw]
) -> None:
    """R02, R03. Segment boundaries, exact before prefix, method, headers, priority; over both protocols, each at the
    upstream of its own route, and `where` says the same."""
    ports = {name: it.port for name, it in choices.items()}
    it = edge(routes(list(range(len(CHOICES))), ports))
    for order in orders():
        assert it.reload(routes(order, ports))["reloaded"]
        for protocol in PROTOCOLS:
            with Talk(it.port, pki, "a.test", protocol) as talk:
                for method, path, more, expected in ASKED:
                    before = {name: len(b.received) for name, b in choices.items()}
                    told = talk.ask(path, *more, method=method)
                    settle(it, *choices.values())
                    reached = [name for name, b in choices.items() if len(b.received) != before[name]]
                    assert (told.status, reached) == (200, [expected]), (order, protocol, method, path, more)
    for method, path, more, expected in ASKED:
        pairs = [f"{n.decode()}: {v.decode()}" for n, v in more]
        judged = it.admin("where", **question("a.test" + path.decode(), method.decode(), pairs, None, False, None))
        assert judged["judged"]["route"] == expected, (method, path, more)


def test_a_field_that_is_not_forwarded_does_not_choose_the_route(
    edge: Edges, pki: Pki, choices: dict[str, Raw]
) -> None:
    """R03. Nominated by Connection it stays here; then nobody may be chosen by it."""
    it = edge(routes(list(range(len(CHOICES))), {name: b.port for name, b in choices.items()}))
    with Talk(it.port, pki, "a.test", "http/1.1") as talk:
        assert talk.ask(b"/v2/x", ADMIN).status == 200
        assert b"x-role: admin" in choices["role"].received.lower()
        before = len(choices["role"].received)
        assert talk.ask(b"/v2/x", ADMIN, (b"Connection", b"x-role")).status == 200
    settle(it, *choices.values())
    assert len(choices["role"].received) == before
    assert choices["prefix"].received and b"x-role" not in choices["prefix"].received.lower()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_two_authorizations_are_refused_and_two_cookies_are_both_passed_on(ground: Ground, protocol: str) -> None:
    """R03."""
    basic, bearer = (b"Authorization", b"Basic eDp5"), (b"AUTHORIZATION", b"Bearer x")
    for pattern, host in (("plaintext", "a.test"), ("reencrypt", "b.test"), ("mutual", "c.test")):
        with Talk(ground.edge.port, ground.pki, host, protocol) as talk:
            with watched(ground, pattern) as seen:
                assert talk.ask(b"/one", basic).status == 200
            assert [a.one("authorization") for a in arrivals(seen)] == ["Basic eDp5"]
            with watched(ground, pattern) as seen:
                for pair in ((basic, bearer), (basic, basic), (bearer, (b"authorization", b""))):
                    assert talk.ask(b"/two", *pair).status == 400, pair
                assert talk.ask(b"/clean").status == 200
            assert [a.target for a in arrivals(seen)] == ["/clean"]
            with watched(ground, pattern) as seen:
                assert talk.ask(b"/c", (b"Cookie", b"a=1"), (b"Cookie", b"b=2")).status == 200
            assert ["; ".join(a.all("cookie")) for a in arrivals(seen)] == ["a=1; b=2"]
        ground.clean(pattern)


def test_crumbs_of_a_cookie_choose_as_the_whole_does(edge: Edges, pki: Pki, choices: dict[str, Raw]) -> None:
    """R03. HTTP/2 may bring it in pieces; the backend sees one field, and that is what is judged."""
    it = edge(routes(list(range(len(CHOICES))), {name: b.port for name, b in choices.items()}))
    with Talk(it.port, pki, "a.test", "h2") as talk:
        for crumbs, expected in (
            ((b"a=1", b"b=2"), "cookie"),
            ((b"a=1; b=2",), "cookie"),
            ((b"b=2", b"a=1"), "all"),
            ((b"a=1; b=2", b"a=1; b=2"), "all"),
            ((b"a=1",), "all"),
        ):
            before = {name: len(b.received) for name, b in choices.items()}
            assert talk.ask(b"/c", *((b"cookie", c) for c in crumbs)).status == 200
            settle(it, *choices.values())
            assert [n for n, b in choices.items() if len(b.received) != before[n]] == [expected], crumbs


@pytest.mark.parametrize("space", [b" ", b"\t", b"  "])
def test_white_space_around_a_value_hides_it_from_nobody(
    edge: Edges, pki: Pki, choices: dict[str, Raw], space: bytes
) -> None:
    """R03, P04. HTTP/1 trims it before it judges; in HTTP/2 it is malformed (RFC 9113 §8.2.1) and reaches nobody,
    since the backend would trim what was judged untrimmed."""
    it = edge(routes(list(range(len(CHOICES))), {name: b.port for name, b in choices.items()}))
    for value in (space + b"admin", b"admin" + space, space + b"admin" + space):
        with Talk(it.port, pki, "a.test", "http/1.1") as talk:
            before = len(choices["role"].received)
            assert talk.ask(b"/v2/x", (b"X-Role", value)).status == 200
            assert len(choices["role"].received) > before
        before = sum(len(b.received) for b in choices.values())
        with Talk(it.port, pki, "a.test", "h2") as talk:
            assert talk.ask(b"/v2/x", (b"x-role", value)).status in {0, 400}, value
        settle(it, *choices.values())
        assert sum(len(b.received) for b in choices.values()) == before, value
        with Talk(it.port, pki, "a.test", "h2") as talk:
            assert talk.ask(b"/v2/x", ADMIN).status == 200


# R04.


def route(name: str, host: str, to: str, more: str = "", tls_: str = "plaintext") -> str:
    return f'[[route]]\nname = "{name}"\nhost = "{host}"\ntls = "{tls_}"\nto = ["{to}"]\n{more}\n'


def is_of(wanted: tuple[str, str, int], line: dict[str, Any]) -> bool:
    return (line["path"], line["host"], line["status"]) == wanted


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_route_that_leads_nowhere_is_nobody_elses(edge: Edges, raw: Raws, pki: Pki, protocol: str) -> None:
    """R04. No route, a dead pool, a name that is nowhere, an acceptance that has ended: never the default route,
    the next-best one or another tenant's upstream."""
    default, tenant, closing = raw(serving), raw(serving), raw(serving)
    with socket.create_server(("127.0.0.1", 0)) as gone:
        dead = gone.getsockname()[1]
    today = dt.datetime.now(dt.UTC).date()

    def accepted(ends: dt.date | dt.datetime) -> str:
        return (
            'path = "/closed"\noff_host = true\n[route.acceptance]\nowner = "me"\nwhy = "test"\ncontext = "legacy"\n'
            f"since = {today}\nuntil = {ends.isoformat()}\n"
        )

    def configured(ends: dt.date | dt.datetime) -> str:
        verify = 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }'
        return (
            route("default", "a.test", f"127.0.0.1:{default.port}")
            + route("dead", "a.test", f"127.0.0.1:{dead}", 'path = "/dead"')
            + route("nowhere", "a.test", "nowhere.invalid:1", f'path = "/nowhere"\n{verify}', "reencrypt")
            + route("only", "b.test", f"127.0.0.1:{tenant.port}", 'path = "/only"')
            + route("closing", "a.test", f"127.0.0.1:{closing.port}", accepted(ends))
        )

    it = edge(configured(today + dt.timedelta(days=60)))
    with Talk(it.port, pki, "a.test", protocol) as talk:
        assert talk.ask(b"/").status == 200 and talk.ask(b"/closed").status == 200
        assert talk.ask(b"/only", authority=b"b.test").status == 200
        assert [default.received.count(b"HTTP/1.1\r\n"), closing.received.count(b"HTTP/1.1\r\n")] == [1, 1]

        def ends_soon(at: dt.datetime) -> None:
            assert it.reload(configured(at))["reloaded"]

        in_time(ends_soon)
        assert until(lambda: talk.ask(b"/closed").status == 503, 40)
        before = [len(b.received) for b in (default, closing)] + [tenant.received.count(b"HTTP/1.1")]
        for path, host, status, slug, named in (
            (b"/dead", b"a.test", 502, "hop/connect-failed", "dead"),
            (b"/dead/x", b"a.test", 502, "hop/connect-failed", "dead"),
            (b"/nowhere", b"a.test", 503, "hop/unresolved", "nowhere"),
            (b"/closed", b"a.test", 503, "hop/acceptance-expired", "closing"),
            (b"/closed/x", b"a.test", 503, "hop/acceptance-expired", "closing"),
            (b"/", b"b.test", 404, "request/not-found", None),
            (b"/onlyx", b"b.test", 404, "request/not-found", None),
            (b"/", b"c.test", 404, "request/not-found", None),
            (b"/", b"x.w.test", 404, "request/not-found", None),
            (b"/", b"nobody.test", 421, "request/misdirected", None),
        ):
            told = talk.ask(path, authority=host)
            assert (told.status, slug in told.body.decode()) == (status, True), (path, host, told)
            line = it.line(functools.partial(is_of, (path.decode(), host.decode(), status)))
            assert line["end"].startswith(slug) and line["route"] == named, line
        settle(it, default, closing, tenant)
        after = [len(b.received) for b in (default, closing)] + [tenant.received.count(b"HTTP/1.1")]
        assert after == before, "nothing came anywhere"
        assert talk.ask(b"/").status == 200, "the rest serves"
