"""Listeners that serve what comes in the clear: what begins to be served so, by whose word and until when, is a weakening of its
own; what ends is none."""

from __future__ import annotations

import datetime as dt

from everyhop.compile import compile_file
from everyhop.diff import compare
from everyhop.plan import Plan

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
PASSED = '[[route]]\nname = "p"\nhost = "p.test"\ntls = "passthrough"\nto = ["127.0.0.1:9"]\n'
INNER = '[[listener]]\nname = "inner"\nbind = [{bind}]\nspeaks = "http"\nserve = true\n{more}\n'
WORD = 'acceptance = {{ owner = "{owner}", why = "w", context = "legacy", since = 2026-11-23, until = {until} }}\n'
AWAY = '"10.0.0.9:80"'


def built(*, listener: str = "", site: str = "", route: str = "", more: str = "") -> Plan:
    text = (
        'version = 1\n[[listener]]\nname = "public"\nbind = ["127.0.0.1:8443"]\n'
        f'{listener}[[site]]\nname = "s"\nhosts = ["a.test"]\ncerts = [{{ chain = "x", key = "file:y" }}]\n{site}\n'
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n{route}\n'
    )
    return compile_file("served.toml", now=NOW, files="skip", text=text + PASSED + more).plan


def inner(bind: str = '"127.0.0.1:80"', more: str = "") -> str:
    return INNER.format(bind=bind, more=more)


def signed(until: str = "2027-01-01", owner: str = "o") -> str:
    return inner(AWAY, WORD.format(until=until, owner=owner))


def told(old: Plan, new: Plan) -> set[tuple[str, str]]:
    return {(it.direction, it.allow) for it in compare(old, new)}


def test_a_listener_that_begins_to_serve_is_told_once_for_all_that_it_lets_reach() -> None:
    shut, there, away = built(), built(listener=inner()), built(listener=signed())
    assert told(shut, there) == {("weaker", "plain-served:127.0.0.1:80")}
    assert told(shut, away) == {("weaker", "plain-served:10.0.0.9:80")}
    [change] = compare(shut, away)
    assert "o accepts it until 2027-01-01" in change.what and "reads and changes" in change.so
    assert not [it for it in told(away, shut) if it[0] == "weaker"]
    assert ("stronger", "plain-closed:10.0.0.9:80") in told(away, shut)
    redirects = built(listener=inner().replace("serve = true\n", ""))
    assert ("weaker", "plain-served:127.0.0.1:80") in told(redirects, there)
    assert {it for it in told(redirects, there) if it[0] == "weaker"} == {("weaker", "plain-served:127.0.0.1:80")}


def test_a_second_listener_that_begins_to_serve_is_told_once_too_and_one_that_moved_is_the_same() -> None:
    one = inner()
    second = inner('"127.0.0.1:81"').replace('"inner"', '"second"')
    assert told(built(listener=one), built(listener=one + second)) == {("weaker", "plain-served:127.0.0.1:81")}
    moved = inner('"127.0.0.1:81"')
    assert {it for it in told(built(listener=one), built(listener=moved)) if it[0] == "weaker"} == {
        ("weaker", "plain-served:127.0.0.1:81")
    }


def test_tls_that_becomes_plain_at_the_same_address_is_told() -> None:
    tls = built(listener=inner().replace('speaks = "http"\nserve = true\n', ""))
    there = built(listener=inner())
    assert {it for it in told(tls, there) if it[0] == "weaker"} == {("weaker", "plain-served:127.0.0.1:80")}
    # What passes through is reached there from then on, by its hello.
    assert {it for it in told(there, tls) if it[0] == "weaker"} == {("weaker", "listener-opened:p")}


def test_a_route_that_comes_to_be_reached_in_the_clear_is_told_by_its_name() -> None:
    alone = 'listeners = ["public"]'
    rest = PASSED.replace('"p"', '"q"').replace("p.test", "q.test")
    shut, open_ = built(listener=inner(), route=alone, more=rest), built(listener=inner(), more=rest)
    assert told(shut, open_) == {("weaker", "listener-opened:r")}
    [change] = compare(shut, open_)
    assert "by listener 'inner', in the clear" in change.what
    assert told(open_, shut) == {("stronger", "listener-closed:r")}


def test_a_route_that_is_opened_while_its_listener_moves_or_is_renamed_is_told_by_its_name_all_the_same() -> None:
    alone, rest = 'listeners = ["public"]', PASSED.replace('"p"', '"q"').replace("p.test", "q.test")
    shut = built(listener=inner(), route=alone, more=rest)
    renamed = built(listener=inner().replace('"inner"', '"other"'), more=rest)
    assert told(shut, renamed) == {("weaker", "listener-opened:r")}
    moved = built(listener=inner('"127.0.0.1:81"'), more=rest)
    assert {it for it in told(shut, moved) if it[0] == "weaker"} == {
        ("weaker", "plain-served:127.0.0.1:81"),
        ("weaker", "listener-opened:r"),
    }


THIRD = '[[listener]]\nname = "third"\nbind = ["127.0.0.1:9443"]\n'
AT_THIRD = 'listeners = ["third"]\n'
REST = PASSED.replace('"p"', '"q"').replace("p.test", "q.test") + 'listeners = ["public"]\n'


def test_a_listener_that_begins_to_serve_hides_no_other_that_a_route_is_opened_to() -> None:
    old = built(listener=THIRD, route=AT_THIRD, more=REST)
    new = built(listener=THIRD + inner(), more=REST)
    assert told(old, new) == {("weaker", "listener-opened:r"), ("weaker", "plain-served:127.0.0.1:80")}


def test_a_listener_that_begins_to_serve_hides_no_route_that_comes_there_and_nothing_elsewhere() -> None:
    there = '[[route]]\nname = "new"\nhost = "a.test"\npath = "/new"\nlisteners = ["inner"]\ntls = "plaintext"\nto = ["127.0.0.1:3"]\n'
    old = built(listener=THIRD, route=AT_THIRD + 'path = "/x"\n', more=REST)
    served, added = ("weaker", "plain-served:127.0.0.1:80"), ("neutral", "route-added:new")
    both = 'listeners = ["third", "inner"]\n'
    same = built(listener=THIRD + inner(), route=both + 'path = "/x"\n', more=REST + there)
    assert told(old, same) == {served, added}
    wider = built(listener=THIRD + inner(), route=both, more=REST + there)
    assert told(old, wider) == {served, added, ("neutral", "route-added:r")}


def test_whose_word_it_is_and_until_when_is_told_by_address() -> None:
    short, long_, other = (built(listener=it) for it in (signed(), signed("2027-02-01"), signed(owner="someone")))
    assert told(short, long_) == {("weaker", "acceptance-lengthened:10.0.0.9:80")}
    assert told(long_, short) == {("stronger", "acceptance-shortened:10.0.0.9:80")}
    assert told(short, other) == {("neutral", "acceptance-owner-changed:10.0.0.9:80")}
    here = built(listener=inner())
    both = built(listener=inner(f'"127.0.0.1:80", {AWAY}', WORD.format(until="2027-01-01", owner="o")))
    assert ("weaker", "plain-widened:127.0.0.1:80") in told(here, both)
    assert ("weaker", "plain-served:10.0.0.9:80") in told(here, both)
    (wider,) = (it for it in compare(here, both) if it.kind == "plain-widened")
    (nearer,) = (it for it in compare(both, here) if it.kind == "plain-narrowed")
    takes = "its listener takes requests in the clear from"
    assert wider.what == f"{takes} elsewhere, too: o accepts it until 2027-01-01"
    assert nearer.what == f"{takes} this host alone: no acceptance is needed any more"
    assert not [it for it in told(both, here) if it[0] == "weaker"]


def test_a_name_of_a_listener_is_only_a_name_there_too() -> None:
    assert told(built(listener=inner()), built(listener=inner().replace('"inner"', '"other"'))) == set()


def test_the_edge_needs_no_key_for_names_that_are_served_in_the_clear_alone() -> None:
    more = '[[site]]\nname = "clear"\nhosts = ["c.test"]\nlisteners = ["inner"]\n'
    more += '[[route]]\nname = "c"\nhost = "c.test"\ntls = "plaintext"\nto = ["127.0.0.1:7"]\n'
    found = told(built(listener=inner()), built(listener=inner(), more=more))
    assert ("neutral", "route-added:c") in found and not [it for it in found if it[0] == "weaker"]
