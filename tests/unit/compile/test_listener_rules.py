"""The rules of listeners by which routes are reached, and of streams: who meets whom, and what is pointed at where nobody does."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest

from everyhop.compile.rules_reach import taken_by
from everyhop.model import Route
from everyhop.refusals import Finding
from tests.kit.findings import findings

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
WORDS = (None, "postgres", "ldap", "smtp", "imap")
GREET = {"smtp", "imap"}


def listener(name: str, port: int, more: str = "") -> str:
    return f'[[listener]]\nname = "{name}"\nbind = ["127.0.0.1:{port}"]\n{more}'


THREE = "version = 1\n" + "".join(listener(name, 8443 + n) for n, name in enumerate(("one", "two", "three")))


def site(name: str, host: str, more: str = "") -> str:
    return (
        f'[[site]]\nname = "{name}"\nhosts = ["{host}"]\ncerts = [{{ chain = "{name}", key = "file:{name}" }}]\n{more}'
    )


def route(name: str, host: str, more: str = "", tls: str = "plaintext") -> str:
    return f'[[route]]\nname = "{name}"\nhost = "{host}"\ntls = "{tls}"\nto = ["127.0.0.1:1"]\n{more}'


def found(text: str) -> list[Finding]:
    return findings(text, NOW)


def slugs(text: str) -> set[str]:
    return {f.slug for f in found(text)}


def test_one_name_may_be_passed_through_by_two_routes_that_no_listener_has_both_of() -> None:
    def two(a: str, b: str) -> set[str]:
        named = (route(n, "p.test", f'listeners = ["{at}"]\n', "passthrough") for n, at in (("a", a), ("b", b)))
        return slugs(THREE + "".join(named)) - {"listener/reaches-nothing"}

    assert two("one", "two") == set() and two("two", "three") == set()
    assert two("two", "two") == {"route/tie"}


def test_a_listener_that_is_not_there_is_told_with_the_nearest_that_is_else_the_first() -> None:
    def mend(name: str) -> str:
        (told,) = found(THREE + route("r", "p.test", f'listeners = ["{name}"]\n', "passthrough"))
        return told.mend[0]

    assert mend("threee") == 'write "three"' and mend("tow") == 'write "two"'
    assert mend("quite-another") == 'write "one"'


def test_a_route_that_nothing_reaches_points_at_the_site_of_its_own_names_that_keeps_it_out() -> None:
    text = THREE + listener("web", 8080, 'speaks = "http"\nhttps_port = 8443\n')
    text += site("own", "*.a.test", 'listeners = ["one"]\n') + site("other", "b.test", 'listeners = ["two"]\n')
    text += route("b", "b.test")

    def also(named: str) -> list[str]:
        whole = text + route("r", "*.a.test", f'listeners = ["{named}"]\n')
        (told,) = [f for f in found(whole) if f.slug == "route/listener-apart"]
        return [whole.splitlines()[p.line - 1] for p in told.also]

    assert also("three") == ['listeners = ["one"]']
    assert also("web") == [], "its site has nothing to do with it"


def test_a_route_takes_a_name_that_it_does_not_write_by_the_longest_of_its_wildcards_that_fits() -> None:
    it = Route(name="r", host=["*.test", "*.b.test", "b.test", "*.c.test", "no name"])
    assert taken_by(it, "y.b.test") == "*.b.test" and taken_by(it, "z.y.b.test") == "*.b.test"
    assert taken_by(it, "xb.test") == "*.test"
    assert taken_by(it, "b.example") == "" and taken_by(it, "atest") == ""


@pytest.mark.parametrize(("own", "clients"), [*itertools.product(WORDS, WORDS)])
def test_within_a_session_that_passes_both_ask_alike_or_one_asks_whose_server_does_not_greet(
    own: str | None, clients: str | None
) -> None:
    def asks(words: str | None) -> str:
        return f'starttls = "{words}"\n' if words else ""

    alike = own == clients or (None in (own, clients) and not {own, clients} & GREET)
    text = "version = 1\n" + listener("l", 8443, asks(clients)) + route("r", "p.test", asks(own), "passthrough")
    assert slugs(text) == (set() if alike else {"route/starttls-apart"})


STREAM = 'protocol = "tcp"\n'


def test_a_hello_that_names_nobody_may_go_to_a_site_with_one_stream_and_to_none_with_two() -> None:
    def told(hosts: tuple[str, ...]) -> set[str]:
        text = "version = 1\n" + listener("l", 8443, 'no_sni = "s"\n') + site("s", "*.s.test")
        return slugs(text + "".join(route(f"r{n}", host, STREAM) for n, host in enumerate(hosts)))

    assert told(("a.s.test",)) == set()
    assert told(("a.s.test", "b.s.test")) == {"listener/no-one-route"}


def test_a_site_offers_what_it_reads_and_one_that_reads_nothing_any_name_that_a_protocol_can_have() -> None:
    def told(alpn: str, more: str) -> set[str]:
        text = "version = 1\n" + listener("l", 8443) + site("s", "a.test", f"alpn = [{alpn}]\n")
        return slugs(text + route("r", "a.test", more))

    for fine in ('"h2"', '"http/1.1"', '"h2", "http/1.1"'):
        assert told(fine, "") == set(), fine
    for odd in ("", '"h3"', '"h2", "mqtt"', '"h2", "h2"'):
        assert told(odd, "") == {"config/wrong-value"}, odd
    for fine in ("", '"x"', f'"{"x" * 255}"', '"mqtt", "h2"', '"h3"'):
        assert told(fine, STREAM) == set(), fine
    for odd in ('""', f'"{"x" * 256}"', '"é"', '"a\\u0007"', '"x", "y", "x"'):
        assert told(odd, STREAM) == {"config/wrong-value"}, odd


def test_a_route_of_http_in_a_site_of_streams_is_told_once_with_the_first_of_them() -> None:
    text = "version = 1\n" + listener("l", 8443) + site("s", "*.s.test")
    text += route("one", "a.s.test", STREAM) + route("two", "b.s.test", STREAM) + route("web", "*.s.test")
    (told,) = found(text)
    assert told.slug == "route/protocols-mixed" and "carries TCP for 'one'" in told.what


@pytest.mark.parametrize(
    ("word", "fine"), [("websocket = false", True), ("websocket = true", False), ("headers = {}", True)]
)
def test_what_says_nothing_of_requests_may_stand_where_none_are_read(word: str, fine: bool) -> None:
    head = "version = 1\n" + listener("l", 8443) + site("s", "a.test")
    for text, slug in (
        (route("p", "p.test", f"{word}\n", "passthrough"), "route/layer-7-on-passthrough"),
        (route("t", "a.test", f"{STREAM}{word}\n"), "route/http-on-tcp"),
    ):
        assert slugs(head + text) == (set() if fine else {slug}), text


def test_a_name_is_passed_through_where_the_site_that_has_it_is_not_reached() -> None:
    def two(a: str, b: str) -> set[str]:
        text = THREE + site("s", "p.test", f'listeners = ["{a}"]\n') + site("t", "t.test") + route("t", "t.test")
        return slugs(text + route("p", "p.test", f'listeners = ["{b}"]\n', "passthrough"))

    assert two("one", "two") == set()
    assert two("two", "two") == {"route/passed-and-terminated"}


def test_of_backends_of_a_stream_one_that_has_tls_is_asked_for_it() -> None:
    def told(to: str) -> set[str]:
        more = f'{STREAM}starttls = "postgres"\nverify = {{ ca = "c", name = "n" }}\n'
        text = route("r", "a.test", more).replace('["127.0.0.1:1"]', to)
        return slugs("version = 1\n" + listener("l", 8443, 'starttls = "postgres"\n') + site("s", "a.test") + text)

    assert told('["127.0.0.1:1", { at = "10.0.0.1:1", tls = "reencrypt" }]') == set()
    assert told('["127.0.0.1:1", "127.0.0.1:2"]') == {"route/nothing-to-do"}


def test_two_names_of_one_are_told_at_the_second_and_a_third_at_the_third_with_the_first() -> None:
    text = "version = 1\n" + listener("l", 8443) + listener("l", 8444) + listener("l", 8445)
    whole = text + route("p", "p.test", "", "passthrough")
    told = [f for f in found(whole) if f.slug == "config/duplicate-name"]
    rows = [n for n, row in enumerate(whole.splitlines(), 1) if row == 'name = "l"']
    assert [(f.place.line, f.also[0].line) for f in told] == [(rows[1], rows[0]), (rows[2], rows[0])]
