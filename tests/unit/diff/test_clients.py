"""Whom a backend is told that the edge let through, before and after; and what else is judged request by request: tunnels,
ciphers, hops. The first route of two changes, and then the second: a diff that looks at the wrong one says nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from everyhop.compile import compile_file
from everyhop.diff.ciphers import cipher_changes
from everyhop.diff.clients import Proof, known
from everyhop.plan import TlsPolicy
from tests.unit.diff.test_gate import HEAD, NOW, SITE_OF_P, plan, refused, route, told

ANY = Proof(None, None)
ASKS = 'clients = { ca = "d" }\n'


def one(*names: str, ca: str = "ca") -> Proof:
    return Proof(ca, frozenset(names))


def holding(what: str, those: frozenset[str]) -> Proof:
    """Whoever has a token of these issuers, or a password of these users."""
    return replace(ANY, **{what: those})  # type: ignore[arg-type]


def within(*networks: str) -> Proof:
    return Proof(None, None, networks=networks)


@pytest.mark.parametrize(
    ("before", "now", "was_known"),
    [
        ({ANY}, ANY, True),
        ({ANY}, one("a"), True),
        ({one("a")}, ANY, False),
        ({Proof("ca", None)}, ANY, False),
        ({Proof("ca", None)}, one("a"), True),
        ({Proof("ca", None)}, one("a", ca="other"), False),
        ({Proof("ca", None)}, Proof("other", None), False),
        ({one("a")}, Proof("ca", None), False),
        ({one("a"), one("b")}, one("a", "b"), True),
        ({one("a", "b")}, one("a"), True),
        ({one("a")}, one("a", "b"), False),
        ({one("a")}, one("b"), False),
        ({one("a"), one("b", ca="other")}, one("b"), False),
        ({one("a", ca="other")}, one(), True),
        ({one("spiffe://td/*")}, one("spiffe://td/a"), True),
        ({one("spiffe://td/a")}, one("spiffe://td/*"), False),
        ({ANY}, Proof(None, None, asked="x"), True),
        ({Proof(None, None, asked="x")}, Proof(None, None, asked="x"), True),
        ({Proof(None, None, asked="x")}, Proof(None, None, asked="y"), False),
        ({Proof(None, None, asked="x")}, ANY, False),
        *(
            case
            for what in ("tokens", "users")
            for both, a, b in ((frozenset("ab"), frozenset("a"), frozenset("b")),)
            for case in (
                ({ANY}, holding(what, a), True),
                ({holding(what, a)}, ANY, False),
                ({holding(what, a)}, holding(what, a), True),
                ({holding(what, both)}, holding(what, a), True),
                ({holding(what, a)}, holding(what, both), False),
                ({holding(what, a)}, holding(what, b), False),
            )
        ),
        ({ANY}, within("10.0.0.0/8"), True),
        ({within("10.0.0.0/8")}, ANY, False),
        ({within("10.0.0.0/8")}, within("10.1.0.0/16"), True),
        ({within("10.1.0.0/16")}, within("10.0.0.0/8"), False),
        # Each by itself would have done, but nobody got through by the one from there.
        ({holding("tokens", frozenset("a"))}, within("10.0.0.0/8"), False),
    ],
)
def test_a_client_was_known_if_everybody_that_its_proof_lets_through_got_through_before(
    before: set[Proof], now: Proof, was_known: bool
) -> None:
    assert known(before, now) == was_known


def both(first: str, second: str) -> tuple[str, str]:
    """Two routes of two hosts, to two backends, with what each says beside."""
    return (
        route("one", "mutual", first),
        route("two", "mutual", second, host="b.test", to='"10.0.0.2:1"'),
    )


REFUSES = "websocket = false\n"


@pytest.mark.parametrize("which", [0, 1])
def test_tunnels_that_open_or_close_are_told_of_the_route_that_changed(which: int) -> None:
    name = ("one", "two")[which]
    closed, opened = (plan(*both(*(x if i == which else REFUSES for i in (0, 1)))) for x in (REFUSES, ""))
    for old, new, kind, what in ((closed, opened, "opened", "pass"), (opened, closed, "closed", "are refused")):
        (change,) = told(old, new, f"tunnel-{kind}")
        assert (change.about, change.what) == (name, f"WebSocket upgrades {what}")
    assert told(closed, closed, "tunnel-opened") == told(opened, opened, "tunnel-closed") == []


@pytest.mark.parametrize("which", [0, 1])
def test_paths_that_are_read_strictly_or_no_more_are_told_of_the_route_that_changed(which: int) -> None:
    name = ("one", "two")[which]
    strict, loose = (
        plan(*both(*(x if i == which else 'paths = "strict"\n' for i in (0, 1)))) for x in ('paths = "strict"\n', "")
    )
    for old, new, kind, what in (
        (strict, loose, "loosened", "paths were strict, now faithful"),
        (loose, strict, "tightened", "paths were faithful, now strict"),
    ):
        (change,) = told(old, new, f"paths-{kind}")
        assert (change.about, change.what) == (name, what)
    assert told(strict, strict, "paths-loosened") == told(loose, loose, "paths-tightened") == []


def test_what_becomes_of_clients_that_may_pass_no_more_is_told_as_it_is_spoken() -> None:
    for protocol, so in (("", "the others get 403"), ('protocol = "tcp"\n', "the others are refused")):
        old, new = (
            plan(route("r", more=protocol + f'allow = {{ clients = ["a.test"{more}] }}\n'), site=ASKS)
            for more in (', "b.test"', "")
        )
        (change,) = told(old, new, "clients-narrowed")
        assert change.so == so


def test_each_protocol_that_may_be_switched_to_and_no_more_is_told_by_its_name() -> None:
    old, new = (
        plan(route("r", more=f"upgrades = {names}\n")) for names in ('["websocket", "tcp"]', '["SPDY/3.1", "TCP"]')
    )
    (opened,), (closed,) = told(old, new, "tunnel-opened"), told(old, new, "tunnel-closed")
    assert (opened.what, closed.what) == ("spdy/3.1 upgrades pass", "WebSocket upgrades are refused")
    assert refused(old, new) == {"tunnel-opened:r"}


def test_nothing_is_said_of_tunnels_where_http_was_not_read_before_or_is_no_more() -> None:
    site = '[[site]]\nname = "p"\nhosts = ["p.test"]\ncerts = [{ chain = "p", key = "file:p" }]\n'
    beside = route("b", host="b.test", to='"10.0.0.2:1"')
    blind = plan(route("p", "passthrough", host="p.test"), beside)
    ended = plan(route("p", "mutual", host="p.test"), beside, more=site)
    for a, b in ((blind, ended), (ended, blind)):
        assert told(a, b, "tunnel-opened") == told(a, b, "tunnel-closed") == []


@pytest.mark.parametrize("which", [0, 1])
def test_clients_that_the_edge_verified_and_hands_on_are_told_of_the_route_that_changed(which: int) -> None:
    name, host = (("one", "a.test"), ("two", "b.test"))[which]
    old = plan(*both("", ""), site=ASKS)
    kept = both("", "")[1 - which]
    passed = route(name, "passthrough", host=host, to=f'"10.0.0.{which + 1}:1"')
    text = HEAD.format(listener="", site=ASKS, more="") + "".join((passed, kept) if which == 0 else (kept, passed))
    alone = text.replace('["a.test", "b.test"]', str([h for h in ("a.test", "b.test") if h != host]))
    new = compile_file("gate.toml", now=NOW, files="skip", text=alone).plan
    weakened = told(old, new, "client-demand-weakened")
    assert [c.about for c in weakened] == [name]
    assert weakened[0].what.startswith("the edge let through ") and "only the backend can ask" in weakened[0].what
    assert weakened[0].allow in refused(old, new)


@pytest.mark.parametrize(
    ("allow", "who"),
    [
        ("", "any client verified by d"),
        ('allow = { clients = ["b.test", "a.test"] }\n', "a.test, b.test verified by d"),
        ("allow = { clients = [] }\n", "no client verified by d"),
    ],
)
def test_whom_the_edge_let_through_is_told_by_name_and_by_who_vouched(allow: str, who: str) -> None:
    beside = route("b", host="b.test")
    old = plan(beside, route("p", "mutual", allow, host="p.test"), more=SITE_OF_P + ASKS)
    (change,) = told(old, plan(beside, route("p", "passthrough", host="p.test")), "client-demand-weakened")
    only = "only the backend can ask for a certificate"
    assert change.what == f"the edge let through {who}, now any client: {only}"


def policy(**more: list[str]) -> TlsPolicy:
    given = {"versions": ["1.2", "1.3"], "suites": ["A", "B"], "groups": ["X25519", "X25519MLKEM768"], **more}
    return TlsPolicy.model_construct(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fewer", "word", "come", "gone"),
    [
        ({"versions": ["1.3"]}, "TLS 1.2", "tls-weakened", "tls-strengthened"),
        ({"suites": ["A"]}, "the suite B", "tls-weakened", "tls-strengthened"),
        ({"groups": ["X25519MLKEM768"]}, "the group X25519", "tls-weakened", "tls-strengthened"),
        ({"groups": ["X25519"]}, "the group X25519MLKEM768", "tls-strengthened", "tls-weakened"),
    ],
)
def test_what_may_be_spoken_or_may_no_more_is_told_by_what_it_protects(
    fewer: dict[str, list[str]], word: str, come: str, gone: str
) -> None:
    (more,) = cipher_changes("s", "site s", policy(**fewer), policy())
    assert (more.kind, more.what) == (come, f"site s: {word} may be used")
    (less,) = cipher_changes("s", "site s", policy(), policy(**fewer))
    assert (less.kind, less.what) == (gone, f"site s: {word} is gone")
    assert cipher_changes("s", "site s", policy(suites=["B", "A"]), policy()) == [], "their order is a matter of speed"


def test_a_route_that_came_or_went_is_told_by_its_own_name_and_by_all_of_it_where_nothing_of_it_stays() -> None:
    first, second = both("", "")
    two, one_ = plan(first, second), plan(second)
    for old, new, kind, served in (
        (two, one_, "route-removed", "is served no more"),
        (one_, two, "route-added", "is served,"),
    ):
        (change,) = told(old, new, kind)
        assert change.about == "one" and served in change.what


def test_requests_that_another_route_takes_now_are_told_with_both_names_unless_it_was_only_renamed() -> None:
    strong, weak = route("strong", "mutual", 'path = "/x"\n'), route("weak", "reencrypt")
    (change,) = [c for c in told(plan(strong, weak), plan(weak), "hop-weakened") if "/x" in c.what]
    assert "was served by 'strong' and is by 'weak'" in change.what
    renamed = plan(route("other", "reencrypt"))
    assert all("was served by" not in c.what for c in told(plan(route("strong", "mutual")), renamed, "hop-weakened"))
    assert told(plan(route("strong", "mutual")), renamed, "hop-weakened")


def test_a_route_of_which_a_part_stays_is_told_by_what_went_and_one_that_went_by_all_of_it() -> None:
    first, part = route("first", "mutual", 'path = "/f"\n', host="b.test"), 'path = "/x"\n'
    old, new = plan(first, route("r")), plan(route("r", "mutual", part))
    assert {c.about: c.what for c in told(old, new, "route-removed")} == {
        "first": "b.test /f is served no more",
        "r": "a.test/ is served no more",
    }
    assert {c.about: c.what for c in told(new, old, "route-added")} == {
        "first": "b.test /f is served, mutual",
        "r": "a.test/ is served, mutual",
    }
