"""By which listeners a route is reached: by one more is a weakening, by one less is none, and a name is only a name."""

from __future__ import annotations

import datetime as dt

import pytest

from everyhop.compile import compile_file
from everyhop.diff import Change, compare
from everyhop.explain import about_route
from everyhop.plan import Plan
from everyhop.trust import trust_map

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
INTERNAL = 'listeners = ["internal"]'
PASSED = '[[route]]\nname = "p"\nhost = "p.test"\ntls = "passthrough"\nto = ["127.0.0.1:9"]\n'


def built(routes: str, *, site: str = "", inner: str = "internal", port: int = 9443, more: str = PASSED) -> Plan:
    text = (
        'version = 1\n[[listener]]\nname = "public"\nbind = ["127.0.0.1:8443"]\n'
        f'[[listener]]\nname = "{inner}"\nbind = ["127.0.0.1:{port}"]\n'
        f'[[site]]\nname = "s"\nhosts = ["a.test"]\ncerts = [{{ chain = "x", key = "file:y" }}]\n{site}\n'
    )
    return compile_file("reached.toml", now=NOW, files="skip", text=text + routes + more).plan


def route(more: str = "", name: str = "r", port: int = 1) -> str:
    return f'[[route]]\nname = "{name}"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}\n'


def told(old: Plan, new: Plan) -> list[tuple[str, str, str]]:
    def one(it: Change) -> tuple[str, str, str]:
        return it.direction, it.allow, it.what

    return [one(it) for it in compare(old, new)]


OPENED = ("weaker", "listener-opened:r", "it is reached by listener 'public'")
CLOSED = ("stronger", "listener-closed:r", "it is reached by listener 'public' no more")


@pytest.mark.parametrize(
    ("shut", "open_"),
    [
        (route(INTERNAL), route('listeners = ["internal", "public"]')),
        (route(INTERNAL), route()),
        (route(f'{INTERNAL}\npath = "/x"'), route('path = "/x"')),
    ],
)
def test_a_route_that_is_reached_by_one_listener_more_is_weaker_and_by_one_less_is_not(shut: str, open_: str) -> None:
    assert told(built(shut), built(open_)) == [OPENED]
    assert told(built(open_), built(shut)) == [CLOSED]


def test_what_a_site_lets_reach_counts_as_what_its_routes_do() -> None:
    assert told(built(route(), site=INTERNAL), built(route())) == [OPENED]
    assert told(built(route()), built(route(), site=INTERNAL)) == [CLOSED]
    assert told(built(route(), site=INTERNAL), built(route(INTERNAL))) == []


def test_what_passes_through_is_compared_as_well() -> None:
    shut = PASSED + INTERNAL + "\n"
    opened = ("weaker", "listener-opened:p", "it is reached by listener 'public'")
    assert told(built(route(), more=shut), built(route())) == [opened]


def test_a_route_that_was_renamed_as_it_was_opened_does_not_hide_it() -> None:
    opened = ("weaker", "listener-opened:renamed", "it is reached by listener 'public'")
    assert told(built(route(INTERNAL)), built(route(name="renamed"))) == [opened]


FIRST, NEW = (route(f'path = "/{name}"', name=name, port=3) for name in ("first", "new"))
# Where alone something else was opened: what is told of the one tells nothing of these.
FIRST_THERE, NEW_THERE = (
    route(f'path = "/{name}"\nlisteners = ["public"]', name=name, port=3) for name in ("first", "new")
)
SHUT, OPEN = route(f'path = "/x"\n{INTERNAL}'), route('path = "/x"')
ADDED, REMOVED = ("neutral", "route-added:new"), ("neutral", "route-removed:first")


@pytest.mark.parametrize(
    ("shut", "open_", "also"),
    [
        (SHUT, NEW + OPEN, [ADDED]),
        (SHUT, OPEN + NEW, [ADDED]),
        (FIRST + SHUT, OPEN, [REMOVED]),
        (FIRST + SHUT, NEW + OPEN, [ADDED, REMOVED]),
        (FIRST + SHUT, OPEN + FIRST, []),
        (SHUT, NEW_THERE + OPEN, [ADDED]),
        (FIRST_THERE + SHUT, OPEN, [REMOVED]),
        (FIRST_THERE + SHUT, NEW_THERE + OPEN, [ADDED, REMOVED]),
        (FIRST + SHUT, NEW + OPEN + FIRST, [ADDED]),
    ],
)
def test_a_route_that_is_opened_hides_none_that_comes_or_goes_and_is_told_by_its_own_name(
    shut: str, open_: str, also: list[tuple[str, str]]
) -> None:
    opened = [("weaker", "listener-opened:r"), *also]
    assert [it[:2] for it in told(built(shut), built(open_))] == opened
    assert {it[1].partition(":")[0] for it in told(built(open_), built(shut))} == {
        {"listener-opened": "listener-closed", "route-added": "route-removed", "route-removed": "route-added"}[kind]
        for _, allow in opened
        for kind in [allow.partition(":")[0]]
    }
    renamed = open_.replace('"r"', '"renamed"')
    assert [it[:2] for it in told(built(shut), built(renamed))] == [("weaker", "listener-opened:renamed"), *also]


def test_a_route_that_takes_more_as_it_is_opened_is_told_where_it_was_reached_already() -> None:
    wider = route()
    assert [it[:2] for it in told(built(SHUT), built(wider))] == [
        ("weaker", "listener-opened:r"),
        ("neutral", "route-added:r"),
    ]
    assert "a.test/ at listener 'internal' is served" in told(built(SHUT), built(wider))[1][2]
    removed, closed = told(built(wider), built(SHUT))
    assert "a.test/ at listener 'internal' is served no more" in removed[2] and closed == CLOSED


def test_a_listener_is_the_same_by_its_address_or_else_by_its_name() -> None:
    old = built(route(INTERNAL))
    assert told(old, built(route('listeners = ["lan"]'), inner="lan")) == []
    moved = {allow.partition(":")[0] for _, allow, _ in told(old, built(route(INTERNAL), port=9444))}
    assert moved == {"address-added", "address-removed"}
    # The name went to another address, and another name to this one: whoever comes there reaches it no more.
    swapped = route('listeners = ["public"]')
    assert {it[1] for it in told(old, built(swapped))} == {"listener-opened:r", "listener-closed:r"}


def test_what_another_route_takes_over_on_a_listener_is_told() -> None:
    """On `public` the path goes to a backend in plaintext to whom it did not go, and its route is there no more."""
    everything = route(name="everything", port=2)
    admin = 'path = "/admin"\nallow = { clients = ["boss"] }\n'
    site = 'clients = { ca = "c", mode = "ask" }'
    old = built(route(admin) + everything, site=site)
    new = built(route(admin + INTERNAL) + everything, site=site)
    found = told(old, new)
    assert found[0][:2] == ("weaker", "clients-widened:everything")
    assert found[0][2].startswith("a.test/admin was served by 'r' and is by 'everything': ")
    assert CLOSED in found


def test_a_listener_that_came_opens_what_names_it_and_tells_its_address_of_what_names_none() -> None:
    one = 'version = 1\n[[listener]]\nname = "public"\nbind = ["127.0.0.1:8443"]\n'
    site = '[[site]]\nname = "s"\nhosts = ["a.test"]\ncerts = [{ chain = "x", key = "file:y" }]\n'
    plain = compile_file("one.toml", now=NOW, files="skip", text=one + site + route() + PASSED).plan
    assert [it[1] for it in told(plain, built(route()))] == ["address-added:127.0.0.1:9443"]
    named = one + site + route('listeners = ["public"]') + PASSED
    old = compile_file("one.toml", now=NOW, files="skip", text=named).plan
    found = told(old, built(route('listeners = ["internal", "public"]')))
    assert ("weaker", "listener-opened:r", "it is reached by listener 'internal'") in found


def test_explain_says_by_which_listeners_a_route_is_reached_alone() -> None:
    alone = 'It is reached by listener "internal" alone; by any other it is as if it were not there.'
    for plan in (built(route(INTERNAL)), built(route(), site=INTERNAL)):
        it, passed = trust_map(plan)
        assert it.listeners == ("internal",) and alone in about_route(it, NOW)
        assert passed.listeners is None and alone not in about_route(passed, NOW)
    (it, _) = trust_map(built(route('listeners = ["internal", "public"]')))
    assert it.listeners is None
