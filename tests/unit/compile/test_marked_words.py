"""What is wrong about what is done with requests is marked where it is mended: at the word that is too much, not at what it says."""

from __future__ import annotations

import pytest

from tests.unit.compile.test_request_rules import ISSUER, asker, found, limit, route, slugs, told

ONE = 'tls = "plaintext"\nto = ["127.0.0.1:1"]\n'
COLLECTOR = '[[collector]]\nname = "c"\ntls = "plaintext"\nto = ["127.0.0.1:4318"]\n'
TRACES = '[traces]\ncollector = "c"\n'
STORE = '[[store]]\nname = "s"\ntls = "plaintext"\nto = ["127.0.0.1:6379"]\n[[limit]]\nname = "x"\nat_once = 3\nstore = "s"\n'

MARKED = {
    "an authorizer without a path": (asker(""), "authorizer]]"),
    "cookies of which nothing is said": (route("cookies = { }"), "cookies = "),
    "limits that clients choose": (limit('"cookie:a"'), "limited_by = "),
    "fields of a format that has its own": (
        route('log = { to = "/v/x", format = "combined", fields = ["time"] }'),
        "fields = ",
    ),
    "a bound that bounds nothing": (route("most = { }"), "most = "),
    "retries after nothing": (route("retries = { attempts = 2, on = [] }"), "on = []"),
    "retries of what goes once": (
        route('method = ["POST"]\nretries = { attempts = 2, on = [502] }'),
        "retries = ",
    ),
    "retries with one backend": (route("retries = { attempts = 2, on = [502] }", to=ONE), "retries = "),
    "sticking with one backend": (route('sticky = { cookie = "e" }', to=ONE), "sticky = "),
    "sticking beside a hash": (
        route('balance = "hash:client-address"\nsticky = { cookie = "e" }'),
        "sticky = ",
    ),
    "a store for what has no rate": (STORE + route('limited_by = ["x"]'), "store = "),
    "a tunnel that nobody inspects": (
        '[[waf]]\nname = "w"\n' + route('websocket = true\nwaf = "w"'),
        "websocket = ",
    ),
    "one zone for all": (
        route(
            "", to='tls = "plaintext"\nto = [{ at = "127.0.0.1:1", zone = "a" }, { at = "127.0.0.1:2", zone = "a" }]\n'
        ),
        "zone = ",
    ),
    "a claim that the issuer judges": (
        ISSUER + route('jwt = { issuer = "corp", claims = { iss = "x" } }'),
        "iss = ",
    ),
    "a path that is none": (COLLECTOR + 'path = "otlp"\n' + TRACES + route("traces = 1.0"), '"otlp"'),
    "a path that ends": (COLLECTOR + 'path = "/otlp/"\n' + TRACES + route("traces = 1.0"), '"/otlp/"'),
    "a zone that is no name": ('[engine]\nzone = "a b"\n' + route(""), '"a b"'),
    "a zone of all that is no zone of the first": (
        route(
            "", to='tls = "plaintext"\nto = [{ at = "127.0.0.1:1", zone = "b" }, { at = "127.0.0.1:2", zone = "b" }]\n'
        ),
        'zone = "b" }, {',
    ),
}


@pytest.mark.parametrize("case", MARKED)
def test_what_is_wrong_is_marked_at_the_word_to_be_mended(case: str) -> None:
    text, marked = MARKED[case]
    assert told(text)[1].startswith(marked)


def test_retries_point_at_what_makes_them_useless_too() -> None:
    for case, also in (("retries of what goes once", "method = "), ("retries with one backend", "to = ")):
        findings, lines = found(MARKED[case][0])
        ((at,),) = [it.also for it in findings]
        assert lines[at.line - 1][at.column - 1 :].startswith(also)


def test_attributes_of_spans_are_names_and_none_is_ours() -> None:
    given = 'attributes = { "service.name" = "x", "a b" = "y", "fine.name" = "z" }\n'
    findings, lines = found(COLLECTOR + TRACES + given + route("traces = 1.0"))
    said = [(it.what, lines[it.place.line - 1][it.place.column - 1 :].split(" = ")[0], it.mend) for it in findings]
    assert said == [
        ("[traces] says service.name twice", '"service.name"', ('write service = "..."',)),
        (
            "[traces] has the attribute 'a b', which is no name",
            '"a b"',
            ('write a name such as "deployment.environment.name"',),
        ),
    ]


@pytest.mark.parametrize(
    "sign_in", ['basic = { file = "u", forward = "x-user" }', 'jwt = { issuer = "corp", forward = { sub = "x-user" } }']
)
def test_a_name_that_is_told_points_at_the_very_field_that_is_removed(sign_in: str) -> None:
    asks = ISSUER if sign_in.startswith("jwt") else ""
    findings, lines = found(asks + route(f'{sign_in}\nrequest = {{ remove = ["x-a", "X_User", "x-b"] }}'))
    ((at,),) = [it.also for it in findings]
    assert [it.slug for it in findings] == ["route/edited-twice"]
    assert lines[at.line - 1][at.column - 1 :].startswith('"X_User"')


@pytest.mark.parametrize("name", ["x-real-ip", "x-forwarded-for", "cookie", "Authorization", "host"])
def test_a_name_is_told_in_no_field_that_says_something_else_to_every_backend(name: str) -> None:
    assert slugs(route(f'basic = {{ file = "u", forward = "{name}" }}')) == ["route/edge-field"]
    assert slugs(ISSUER + route(f'jwt = {{ issuer = "corp", forward = {{ sub = "{name}" }} }}')) == ["route/edge-field"]


def test_what_else_ejects_hides_no_second_word_on_slow_answers() -> None:
    given = 'eject_on = ["5xx", { slow_ms = 1 }, "timeouts", { slow_ms = 2 }]'
    what, at = told(route(given))
    assert "says twice which answers are slow" in what and at.startswith("2 }]")


def test_of_several_claims_that_are_told_each_is_judged() -> None:
    given = 'jwt = { issuer = "corp", forward = { sub = "x user", iss = "cookie", azp = "x-azp" } }'
    assert slugs(ISSUER + route(given)) == ["config/wrong-value", "route/edge-field"]


def test_a_claim_that_the_issuer_judges_is_said_of_the_issuer_and_times_are_not_said() -> None:
    for claim, what in (("iss", "issuer = ..."), ("aud", "audience = ..."), ("exp", "times are always looked at")):
        ((it,), _) = found(ISSUER + route(f'jwt = {{ issuer = "corp", claims = {{ {claim} = "x" }} }}'))
        assert it.what.startswith(f"route 'r' wants {claim} to be 'x'") and what in it.mend[0]


def test_a_health_check_that_asks_nothing_or_two_things_hides_none_behind_it() -> None:
    text = route('health = { path = "/h", connect = true }')
    text += route("health = { }", host="b.test", name="q") + route('health = { path = "h" }', host="c.test", name="u")
    findings, _ = found(text)
    assert [(it.slug, it.what.split("'")[1]) for it in findings] == [
        ("route/wrong-health", "r"),
        ("route/wrong-health", "q"),
        ("config/wrong-value", "u"),
    ]


def test_lines_go_to_as_many_places_as_may_be_and_the_first_beyond_them_is_marked() -> None:
    def lines_to(n: int) -> str:
        return "".join(route(f'log = "/v/{i}.log"', host=f"h{i}.w.test", name=f"n{i}") for i in range(n))

    # And standard output, where lines go of which nothing is said.
    assert slugs(lines_to(63)) == []
    what, at = told(lines_to(64))
    assert "go to 65 places, and 64 are the most" in what and at == '"/v/63.log"'


def test_a_firewall_that_there_is_not_is_one_of_those_that_there_are() -> None:
    ((it,), _) = found(route('waf = "w"'))
    assert it.mend == ("one of: none: [[waf]]",)
    findings, _ = found('[[waf]]\nname = "v"\n[[waf]]\nname = "u"\n' + route('waf = "w"'))
    assert findings[0].mend == ("one of: u, v",)


def test_a_limit_that_counts_here_hides_no_other_that_counts_nowhere() -> None:
    here = '[[limit]]\nname = "y"\nrate = "1/s"\n'
    text = f'{here}[[limit]]\nname = "x"\nrate = "1/s"\nstore = "nope"\n' + route('limited_by = ["x", "y"]')
    assert slugs(text) == ["config/unknown-name"]
