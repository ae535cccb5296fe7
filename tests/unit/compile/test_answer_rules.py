"""The rules of answers, redirects, edits and cors at their bounds, and that what is fine hides nothing that comes after it."""

from __future__ import annotations

import datetime as dt

import pytest

from everyhop.compile import compile_file
from everyhop.errors import Refused
from everyhop.refusals import Finding

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
HEAD = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:443"]
[[site]]
name = "s"
hosts = ["a.test", "b.test", "*.w.test"]
certs = [{ chain = "x", key = "file:y" }]
"""
STREAMS = '[[site]]\nname = "tcp"\nhosts = ["t.test"]\ncerts = [{ chain = "x", key = "file:z" }]\n'
SITE = '[[site]]\nname = "t"\nhosts = ["t.test"]\ncerts = [{ chain = "x", key = "file:z" }]\n'
CARRIED = 'tls = "plaintext"\nto = ["127.0.0.1:1"]\n'


def route(more: str, host: str = "a.test", name: str = "r") -> str:
    return f'[[route]]\nname = "{name}"\nhost = "{host}"\n{more}\n'


def found(text: str) -> list[Finding]:
    try:
        return list(compile_file("answers.toml", now=NOW, files="skip", text=HEAD + text).findings)
    except Refused as e:
        return list(e.findings)


def slugs(text: str) -> list[str]:
    return [f.slug for f in found(text)]


def test_an_answer_has_a_status_that_ends_a_request_and_may_have_a_body() -> None:
    for fine in (200, 203, 206, 299, 400, 599):
        assert slugs(route(f"answer = {{ status = {fine} }}")) == [], fine
    for odd in (204, 205, 300, 304, 399):
        assert slugs(route(f"answer = {{ status = {odd} }}")) == ["config/wrong-value"], odd


def test_a_text_of_64_kib_is_answered_and_a_byte_more_is_refused() -> None:
    assert slugs(route(f'answer = {{ status = 200, text = "{"x" * 65_536}" }}')) == []
    (told,) = found(route(f'answer = {{ status = 200, text = "{"x" * 65_537}" }}'))
    assert "answers with 65537 bytes" in told.what


def test_an_answer_may_have_a_field_that_is_no_word_of_the_edge_to_clients() -> None:
    assert slugs(route('answer = { status = 200, headers = { x-forwarded-for = "10.0.0.1" } }')) == []


def test_all_that_a_route_without_a_backend_says_of_one_is_told() -> None:
    both = 'redirect = { to = "https://c.test/" }\nanswer = { status = 200 }\nrequires = ["cors"]\nstrip = "/x"\n'
    told = [f.what for f in found(route(both + CARRIED)) if f.slug == "route/answered-here"]
    assert len(told) == 4, told


def wrong(more: str, slug: str) -> None:
    """It is told of the second route, whatever kind the first is of, and behind it."""
    plain = route(CARRIED, "b.test", "first")
    answered = route("answer = { status = 200 }", "b.test", "first")
    for first in (plain, answered):
        assert slugs(first + route(more)) == [slug], first


def test_each_route_is_judged_whatever_the_one_before_it_is() -> None:
    wrong("answer = { status = 304 }", "config/wrong-value")
    wrong(CARRIED + 'cors = { origins = ["a"] }', "route/cors")
    wrong(CARRIED + 'strip = "x"', "route/onward-path")
    wrong('tls = "plaintext"\nto = ["nowhere"]', "hop/address")
    wrong(CARRIED + 'balance = "least-connections"', "route/wrong-balance")


def test_each_site_is_judged_whatever_the_one_before_it_is() -> None:
    hsts = SITE.replace('name = "t"\n', 'name = "t"\nhsts = { max_age_s = 1, preload = true }\n')
    assert slugs(hsts + route(CARRIED)) == ["site/hsts"]


def test_each_field_is_judged_whatever_is_wrong_with_one_before_it() -> None:
    edits = 'request = { remove = ["x a"], set = { "x b" = "1", host = "c" } }'
    assert slugs(route(CARRIED + edits)) == ["config/wrong-value", "config/wrong-value", "route/edge-field"]


def test_a_field_is_set_or_added_to_or_removed_and_only_set_and_added_at_once() -> None:
    assert slugs(route(CARRIED + 'request = { set = { x-a = "1" }, add = { X-A = "2" } }')) == []
    for odd in ('remove = ["x-a", "X-A"]', 'remove = ["x-a"], add = { X-A = "1" }', 'add = { x-a = "1", X-A = "2" }'):
        assert slugs(route(CARRIED + f"response = {{ {odd} }}")) == ["route/edited-twice"], odd


@pytest.mark.parametrize("value", ["v", "a b", "a\\tb", "é", "~"])
def test_a_value_that_a_field_can_have_is_set(value: str) -> None:
    assert slugs(route(CARRIED + f'request = {{ set = {{ x-a = "{value}" }} }}')) == []


@pytest.mark.parametrize("value", ["", " v", "v ", "\\tv", "v\\t", "a\\u001fb", "a\\u0000b", "a\\u007fb", "a\\nb"])
def test_a_value_that_no_field_can_have_is_not_set(value: str) -> None:
    assert slugs(route(CARRIED + f'request = {{ set = {{ x-a = "{value}" }} }}')) == ["config/wrong-value"]


WRONG = (
    'ask = "nobody"',
    'basic = { file = "u", realm = "\\"" }',
    "cookies = {}",
    'cors = { origins = ["a"] }',
    "eject_on = [{ slow_ms = 3600000 }, { slow_ms = 3600000 }]",
    'host_header = "a b"',
    'jwt = { issuer = "nobody" }',
    'mirror = { to = ["127.0.0.1:2"], request = { set = { "x b" = "1" } } }',
    'mirror = { to = ["nowhere"] }',
    "most = {}",
    'request = { set = { "x b" = "1" } }',
    'response = { set = { "x b" = "1" } }',
    "retries = { on = [] }",
    'rewrite = "x"',
    'rewrite = { regex = "(", to = "x" }',
    'sticky = { cookie = "__x" }',
    'strip = "x"',
    'upgrades = ["a b"]',
    'waf = "nobody"',
)
"""Words of requests that go to a backend, each with a value that is refused or warned of."""


@pytest.mark.parametrize("setting", WRONG)
def test_what_a_route_cannot_have_at_all_is_not_judged_by_its_value(setting: str) -> None:
    told = slugs(route(CARRIED + setting))
    assert told and not {*told} & {"route/layer-7-on-passthrough", "route/answered-here", "route/http-on-tcp"}
    passed = route(f'tls = "passthrough"\nto = ["127.0.0.1:1"]\n{setting}', "p.test")
    assert slugs(passed) == ["route/layer-7-on-passthrough"]
    assert slugs(route(f"answer = {{ status = 200 }}\n{setting}")) == ["route/answered-here"]
    assert slugs(STREAMS + route(f'{CARRIED}protocol = "tcp"\n{setting}', "t.test")) == ["route/http-on-tcp"]


def test_where_spans_go_is_asked_of_a_route_that_has_some() -> None:
    for way in (CARRIED, "answer = { status = 200 }\n"):
        assert slugs(route(f"{way}traces = 0.5")) == ["traces/nowhere"]
    assert slugs(STREAMS + route(f'{CARRIED}protocol = "tcp"\ntraces = 0.5', "t.test")) == ["route/http-on-tcp"]
    passed = 'tls = "passthrough"\nto = ["127.0.0.1:1"]\ntraces = 0.5'
    assert slugs(route(passed, "p.test")) == ["route/layer-7-on-passthrough"]


BACK = 'redirect = { to = "https://{host}{path}" }\n'


def test_a_redirect_is_followed_where_a_browser_would_send_what_it_is_told() -> None:
    for goes_round in ("", 'method = ["GET", "POST"]\n'):
        assert slugs(route(goes_round + BACK)) == ["route/redirect-loop"], goes_round
    for ends in ('method = "POST"\n', 'headers = { x-a = "1" }\n', 'headers = { x-a = "1" }\nmethod = "GET"\n'):
        assert slugs(route(ends + BACK)) == [], ends


def test_of_where_a_circle_ends_sixty_letters_are_told() -> None:
    (told,) = found(route(f'path = "/{"x" * 80}"\nredirect = {{ to = "/{"x" * 80}" }}\n'))
    assert told.what.endswith(f"it is at a.test/{'x' * 59}")


def test_of_backups_that_wait_for_nobody_the_first_is_pointed_at() -> None:
    to = '{ at = "127.0.0.1:1", weight = 0 },\n{ at = "127.0.0.1:2", backup = true },\n{ at = "127.0.0.1:3", backup = true }'
    (told,) = found(route(f'tls = "plaintext"\nto = [\n{to}]'))
    assert told.slug == "route/nobody-takes" and [p.line for p in told.also] == [told.place.line + 1]


def test_a_protocol_to_switch_to_is_a_name_and_at_most_one_version() -> None:
    for fine in ("tcp", "SPDY/3.1"):
        assert slugs(route(f'{CARRIED}upgrades = ["{fine}"]')) == []
    for odd in ("a/b/c", "/3.1", "tcp/", ""):
        assert slugs(route(f'{CARRIED}upgrades = ["{odd}"]')) == ["config/wrong-value"], odd
