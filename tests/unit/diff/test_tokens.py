"""Tokens: whatever lets one pass that did not, or a request without one, is a weakening that is told of the route."""

from __future__ import annotations

import pytest

from everyhop.diff import compare
from everyhop.plan import Plan
from tests.unit.diff.test_gate import plan, refused, route, told

WHO = "https://login.test"


def issuer(more: str = "", *, audience: str = '"api"', algorithms: str = '"ES256"', name: str = "corp") -> str:
    return (
        f'[[issuer]]\nname = "{name}"\nissuer = "https://{"login" if name == "corp" else name}.test"\n'
        f'audience = [{audience}]\nalgorithms = [{algorithms}]\nkeys = {{ file = "k.json" }}\n{more}\n'
    )


def asks(more: str = "", *, by: str = '"corp"', issuers: str = "") -> Plan:
    return plan(route("r", more=f"jwt = {{ issuer = [{by}]{more} }}\n"), more=issuers or issuer())


FREE, ONE = plan(route("r"), more=issuer()), asks()


def both(old: Plan, new: Plan, kinds: tuple[str, str]) -> tuple[str, str]:
    """What is said where `new` is weaker and of the way back."""
    (weaker,), (stronger,) = compare(old, new), compare(new, old)
    assert (weaker.kind, weaker.direction, stronger.kind, stronger.direction) == (
        kinds[0],
        "weaker",
        kinds[1],
        "stronger",
    )
    assert weaker.about == stronger.about == "r"
    return weaker.what, stronger.what


LESS, BELIEVED = ("token-dropped", "token-demanded"), ("issuer-believed", "issuer-doubted")


def test_a_token_that_is_asked_for_no_more_lets_more_in() -> None:
    assert refused(ONE, FREE) == {"token-dropped:r"} and refused(FREE, ONE) == set()
    (gone,), (come,) = told(ONE, FREE, "token-dropped"), told(FREE, ONE, "token-demanded")
    assert come.what == "a token of corp is asked for" and gone.what == f"{come.what} no more"
    two = issuer() + issuer(name="partner")
    (of_two,) = told(FREE, asks(by='"corp", "partner"', issuers=two), "token-demanded")
    assert of_two.what == "a token of corp or partner is asked for"


def test_a_token_that_goes_on_to_the_backend_is_weaker_and_one_that_does_not_is_stronger() -> None:
    said = both(asks(", strip = true"), ONE, LESS)
    assert said == ("the token goes on to the backend", "the token goes no further")


def test_where_a_token_is_looked_for_moves_no_trust() -> None:
    (change,) = compare(ONE, asks(', from = "cookie:t"'))
    assert (change.kind, change.direction) == ("token-moved", "neutral")


@pytest.mark.parametrize(
    ("fewer", "more", "weaker", "stronger"),
    [
        ('a = "x"', "", "the claim a is looked at no more", 'the claim a must be "x"'),
        ("o = { a = [1, 2] }", "", "the claim o.a is looked at no more", "the claim o.a must be 1 or 2"),
        ('a = "x"', 'a = ["x", "y"]', 'the claim a was "x", now "x" or "y"', 'the claim a was "x" or "y", now "x"'),
    ],
)
def test_less_that_a_token_must_say_is_weaker_and_more_is_stronger(
    fewer: str, more: str, weaker: str, stronger: str
) -> None:
    old, new = (asks(f", claims = {{ {it} }}") for it in (fewer, more))
    assert both(old, new, LESS) == (weaker, stronger)


@pytest.mark.parametrize(
    ("one", "other", "what"),
    [
        ('a = "x"', 'a = "y"', 'the claim a was "x", now "y"'),
        ('a = ["x", "y"]', 'a = ["y", "z"]', 'the claim a was "x" or "y", now "y" or "z"'),
        ("a = 2", 'a = "2"', 'the claim a was 2, now "2"'),
        ("a = true", 'a = "true"', 'the claim a was true, now "true"'),
    ],
)
def test_another_claim_is_a_weakening_whichever_way_it_changes(one: str, other: str, what: str) -> None:
    old, new = (asks(f", claims = {{ {it} }}") for it in (one, other))
    assert refused(old, new) == refused(new, old) == {"token-dropped:r"}
    assert [it.what for it in compare(old, new)] == [what]


def test_claims_in_another_order_are_the_same_and_of_several_each_is_told() -> None:
    two = asks(', claims = { a = ["x", "y"], b = 1 }')
    assert compare(two, asks(', claims = { b = 1, a = ["y", "x"] }')) == []
    changes = compare(two, asks(', claims = { a = "x", c = 1 }'))
    assert [(it.direction, it.what) for it in changes] == [
        ("weaker", "the claim b is looked at no more"),
        ("stronger", 'the claim a was "x" or "y", now "x"'),
        ("stronger", "the claim c must be 1"),
    ]


def test_whose_tokens_are_believed_is_told_by_what_they_call_themselves() -> None:
    two = issuer() + issuer(name="partner")
    one, more = asks(issuers=two), asks(by='"corp", "partner"', issuers=two)
    assert both(one, more, BELIEVED) == (
        "tokens of https://partner.test are believed",
        "tokens of https://partner.test are believed no more",
    )
    other = asks(by='"partner"', issuers=two)
    assert refused(one, other) == {"issuer-believed:r"} and told(one, other, "issuer-doubted")


@pytest.mark.parametrize(
    ("fewer", "more", "weaker", "stronger"),
    [
        ({"audience": '"api"'}, {"audience": '"api", "web"'}, f"audience of {WHO} was api, now api, web", f"audience of {WHO} was api, web, now api"),
        ({"algorithms": '"ES256"'}, {"algorithms": '"ES256", "RS256"'}, f"algorithms of {WHO} was ES256, now ES256, RS256", f"algorithms of {WHO} was ES256, RS256, now ES256"),
        ({"more": 'type = "at+jwt"'}, {}, f"type of {WHO} was at+jwt, now either", f"type of {WHO} was either, now at+jwt"),
        ({"more": "leeway_s = 5"}, {"more": "leeway_s = 6"}, f"leeway_s of {WHO} was 5, now 6", f"leeway_s of {WHO} was 6, now 5"),
    ],
)  # fmt: skip
def test_tokens_that_pass_and_did_not_are_weaker_and_fewer_are_stronger(
    fewer: dict[str, str], more: dict[str, str], weaker: str, stronger: str
) -> None:
    old, new = (
        asks(issuers=issuer(it.get("more", ""), **{k: v for k, v in it.items() if k != "more"})) for it in (fewer, more)
    )
    assert both(old, new, BELIEVED) == (weaker, stronger)


def test_another_audience_algorithm_or_type_is_a_weakening_whichever_way_it_changes() -> None:
    for a, b in (
        (issuer(), issuer(audience='"web"')),
        (issuer(), issuer(algorithms='"RS256"')),
        (issuer('type = "jwt"'), issuer('type = "at+jwt"')),
    ):
        old, new = asks(issuers=a), asks(issuers=b)
        assert refused(old, new) == refused(new, old) == {"issuer-believed:r"}


def test_an_issuer_that_goes_hides_nothing_of_the_one_that_stays() -> None:
    two, wider = (issuer(audience=it) + issuer(name="aaa") for it in ('"api"', '"api", "web"'))
    old, new = asks(by='"corp", "aaa"', issuers=two), asks(issuers=wider)
    assert [it.what for it in compare(old, new)] == [
        f"audience of {WHO} was api, now api, web",
        "tokens of https://aaa.test are believed no more",
    ]


def test_what_an_issuer_is_called_does_not_matter() -> None:
    renamed = issuer().replace('name = "corp"', 'name = "other"')
    assert compare(ONE, asks(by='"other"', issuers=renamed)) == []
