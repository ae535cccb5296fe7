"""The rules of what a route matches, and where in the file a finding points."""

from __future__ import annotations

import datetime as dt

import pytest

from everyhop.compile import compile_file
from everyhop.compile.names import below
from everyhop.errors import Refused
from everyhop.refusals import Finding

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
HEAD = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{ chain = "x", key = "file:y" }]
[[route]]
name = "r"
tls = "plaintext"
to = ["127.0.0.1:1"]
"""


def found(more: str, host: str = 'host = "a.test"') -> list[Finding]:
    try:
        compile_file("routes.toml", now=NOW, files="skip", text=f"{HEAD}{host}\n{more}\n")
    except Refused as e:
        return list(e.findings)
    return []


@pytest.mark.parametrize("value", ["", "v", "a b", "a\\tb", "é", "~"])
def test_a_value_that_a_field_can_have_is_looked_for(value: str) -> None:
    assert found(f'headers = {{ x-a = "{value}" }}') == []


@pytest.mark.parametrize("value", [" v", "v ", "\\tv", "v\\t", "a\\u001fb", "a\\u0000b", "a\\u007fb", "a\\nb"])
def test_a_value_that_no_field_can_have_is_refused(value: str) -> None:
    assert [f.slug for f in found(f'headers = {{ x-a = "{value}" }}')] == ["config/wrong-value"]


def test_a_field_that_is_taken_away_before_matching_matches_nothing_and_the_host_has_a_key_of_its_own() -> None:
    for name, mend in (
        ("host", "for the host write"),
        ("Host", "for the host write"),
        ("x-forwarded-proto", "a field"),
    ):
        (told,) = found(f'headers = {{ {name} = "v" }}')
        assert told.slug == "route/nothing-to-do" and mend in told.mend[0]


def test_a_route_has_a_path_or_a_path_exact_or_none_and_not_both() -> None:
    for one in ("", 'path = "/x"', 'path_exact = "/x"'):
        assert found(one) == []
    assert [f.slug for f in found('path = "/x"\npath_exact = "/x"')] == ["route/path"]


def test_each_host_of_a_route_is_judged_whatever_is_wrong_with_one_before_it() -> None:
    slugs = [f.slug for f in found("", 'host = ["a..test", "b.test", "*.c.test"]')]
    assert slugs.count("route/host") == 1 and slugs.count("route/no-site") == 2


def test_a_finding_of_a_host_points_at_it_within_its_list() -> None:
    lone = next(f for f in found("", 'host = "a..test"') if f.slug == "route/host")
    listed = next(f for f in found("", 'host = [\n"a.test",\n"a..test"]') if f.slug == "route/host")
    line = HEAD.count("\n") + 1
    assert (lone.place.line, listed.place.line) == (line, line + 2)


@pytest.mark.parametrize(
    ("name", "pattern", "yes"),
    [
        ("a.test", "*.test", True),
        ("b.a.test", "*.test", True),
        ("*.a.test", "*.test", True),
        ("atest", "*.test", False),
        ("test", "*.test", False),
        ("a.test", "a.test", False),
        ("b.a.test", "a.test", False),
        ("a.other", "*.test", False),
        ("a.other", "*", True),
    ],
)
def test_a_name_is_below_a_wildcard_at_any_depth_and_never_beside_it(name: str, pattern: str, yes: bool) -> None:
    assert below(name, pattern) == yes


PASSED = HEAD.replace('tls = "plaintext"', 'tls = "passthrough"')
ENTRY = PASSED.replace('["127.0.0.1:1"]', '[{ at = "127.0.0.1:1", present = "i" }]')


@pytest.mark.parametrize(
    ("text", "slug", "key"),
    [
        (f'{HEAD}host = "a.test"\nsend_proxy = "v2"\n', "route/nothing-to-do", "send_proxy"),
        (f'{HEAD}host = "a.test"\ncovers = ["p.test"]\n', "route/nothing-to-do", "covers"),
        (f'{HEAD}host = "a.test"\nallow = {{ clients = ["c"] }}\n', "route/nothing-to-do", "clients"),
        (
            f'{HEAD}host = "a.test"\nheaders = {{ x-forwarded-proto = "v" }}\n',
            "route/nothing-to-do",
            "x-forwarded-proto",
        ),
        (f'{PASSED}host = "p.test"\npath = "/x"\n', "route/layer-7-on-passthrough", "path"),
        (f'{ENTRY}host = "p.test"\n', "route/layer-7-on-passthrough", "present"),
    ],
)
def test_what_has_to_go_is_pointed_at_by_its_key_and_not_by_its_value(text: str, slug: str, key: str) -> None:
    with pytest.raises(Refused) as refusal:
        compile_file("routes.toml", now=NOW, files="skip", text=text)
    (told,) = [f for f in refusal.value.findings if f.slug == slug]
    line = text.splitlines()[told.place.line - 1]
    assert line[told.place.column - 1 :].startswith(f"{key} ="), line


def test_a_method_is_a_word_in_capitals_of_any_name() -> None:
    for good in ("GET", "PURGE", "M-SEARCH"):
        assert found(f'method = "{good}"') == []
    for bad in ("get", "Get", "G T", "GET,PUT", ""):
        assert [f.slug for f in found(f'method = "{bad}"')] == ["config/wrong-value"], bad


def test_a_host_without_a_site_is_told_apart_from_one_that_its_sites_wildcard_does_not_reach() -> None:
    def told(host: str) -> list[str]:
        text = HEAD.replace('["a.test"]', '["*.w.test"]') + f'host = "{host}"\n'
        with pytest.raises(Refused) as refusal:
            compile_file("routes.toml", now=NOW, files="skip", text=text)
        return [f.what for f in refusal.value.findings if f.slug == "route/no-site"]

    assert told("b.test") == ["route 'r' ends TLS for b.test, and no site serves it"]
    deep = "route 'r' ends TLS for x.y.w.test, and no site has a certificate's name for it"
    assert told("x.y.w.test") == [deep]


STICKS = 'to = ["127.0.0.1:1", "127.0.0.1:2"]\nsticky = { cookie = "edge" }\n'


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("b.test", "b.test", "b.test"),
        ("x.b.test", "*.b.test", "x.b.test"),
        ("*.b.test", "x.b.test", "x.b.test"),
        ("*.x.b.test", "*.b.test", "*.x.b.test"),
        ("xb.test", "*.b.test", None),
        ("b.test", "*.b.test", None),
        ("b.test", "c.test", None),
    ],
)
def test_one_cookie_is_refused_where_two_routes_have_a_name_in_common(one: str, other: str, shared: str | None) -> None:
    first, second = (
        f'[[route]]\nname = "{name}"\ntls = "plaintext"\n{STICKS}host = "{host}"\n'
        for name, host in (("one", one), ("other", other))
    )
    head = HEAD.partition("[[route]]")[0].replace('"a.test"', '"*.b.test", "*.x.b.test", "b.test", "c.test", "xb.test"')
    try:
        compile_file("routes.toml", now=NOW, files="skip", text=head + first + second)
        told: list[str] = []
    except Refused as e:
        told = [f.what for f in e.findings if "cookie" in f.what]
    said = f"routes 'one' and 'other' stick by one cookie at {shared}: each would undo the other's"
    assert told == ([said] if shared else [])
