"""Promises that rest on somebody who is asked: on whose word a request passes, who only looks, and what nobody looks at."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from everyhop.compile import compile_file
from everyhop.plan import AtEdge
from everyhop.trust import kept
from everyhop.trust.believed import signed_in
from everyhop.trust.inspection import inspected
from tests.unit.trust.test_kept import lacks, standing

TODAY = dt.datetime.now(dt.UTC).date()
WORD = {"owner": "ops", "why": "it is new", "since": TODAY, "until": TODAY + dt.timedelta(days=30)}
SSO = {"name": "sso", "to": ["10.0.0.8:1"], "tls": "reencrypt"}
PASSES = {"when_down": "pass", "pass_acceptance": WORD}


def test_who_asks_nobody_promises_nothing_of_an_authorizer() -> None:
    assert lacks(kept.asks, standing()) == ("the route asks nobody about its requests", ())


def test_a_word_that_lets_requests_pass_unasked_counts_for_the_authorizer_that_the_route_asks() -> None:
    lax, other = {**SSO, **PASSES}, {**SSO, "name": "other"}
    top: dict[str, Any] = {"authorizer": [other, lax]}
    what, at = lacks(kept.asks, standing(top=top, ask="sso"))
    assert what == "requests pass unasked while authorizer 'sso' is down" and at == (("authorizer", 1, "when_down"),)
    assert kept.asks(standing(top=top, ask="other")) is None
    assert kept.asks(standing(top={"authorizer": [SSO, {**other, **PASSES}]}, ask="sso")) is None


@pytest.mark.parametrize(
    ("more", "what", "key"),
    [
        ({"mode": "detect"}, "waf 'crs' only detects", "mode"),
        (PASSES, "requests pass uninspected while the inspector of waf 'crs' is down", "when_down"),
        ({"over_body": "pass-inspected"}, "of a body waf 'crs' sees only the beginning", "over_body"),
    ],
)
def test_a_waf_promises_something_where_it_blocks_sees_the_whole_and_is_there(
    more: dict[str, Any], what: str, key: str
) -> None:
    strict, lax = {"name": "other"}, {"name": "crs", **more}
    for i, wafs in enumerate(([lax, strict], [strict, lax])):
        assert lacks(kept.inspected, standing(top={"waf": wafs}, waf="crs")) == (what, (("waf", i, key),))
        assert kept.inspected(standing(top={"waf": wafs}, waf="other")) is None
    assert lacks(kept.inspected, standing(top={"waf": [strict]})) == ("the route's requests are not inspected", ())


def waf(**more: str) -> str:
    lines = "".join(f"{key} = {value}\n" for key, value in more.items())
    return f'[[waf]]\nname = "other"\n[[waf]]\nname = "crs"\n{lines}'


def test_what_is_told_of_an_inspection_is_that_of_the_routes_own_policy(tmp_path: Path) -> None:
    word = f'owner = "ops", why = "it is new", since = {TODAY}, until = {TODAY + dt.timedelta(days=30)}'
    route = 'host = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'

    def told(policies: str, own: str = 'waf = "crs"\n') -> Any:
        path = tmp_path / "everyhop.toml"
        path.write_text(
            f'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:8443"]\n[[site]]\nname = "s"\nhosts = ["a.test"]\n'
            f'certs = [{{ chain = "x", key = "file:y" }}]\n{policies}[[route]]\nname = "r"\n{route}{own}'
        )
        plan = compile_file(path, files="skip").plan
        return inspected(plan, plan.routes[0])

    strict = told(waf())
    assert (strict.name, strict.blocks, strict.left_out, strict.uninspected) == ("crs", True, (), None)
    assert strict.reads == "the inspector of waf crs, on this host"
    assert told(waf(), own="") is None
    assert told(waf(mode='"detect"')).blocks is False
    lax = told(waf(when_down='"pass"', pass_acceptance=f"{{ {word} }}"))
    assert lax.blocks and lax.uninspected[0] == "ops" and str(TODAY + dt.timedelta(days=30)) in str(lax.uninspected[1])
    assert "PASSES UNINSPECTED: ops accepted that" in lax.sentence
    left = told(waf(exclude=f'[{{ rule = 942100, path = "/search", {word} }}]'))
    assert [it.rule for it in left.left_out] == [942100] and "is not asked: ops accepted that" in left.sentence


@pytest.mark.parametrize(
    ("names", "whose"), [(None, "the users"), ([], "the 0 users"), (["ann"], "the 1 user"), (["a", "b"], "the 2 users")]
)
@pytest.mark.parametrize(
    ("strip", "mirror", "also"),
    [
        ("true", "", ""),
        ("false", "", "; the backend gets them too"),
        ("false", 'mirror = { to = ["127.0.0.1:2"], share = 0.5 }\n', "; the backend and the mirror get them too"),
    ],
)
def test_whose_passwords_are_believed_is_told_and_who_comes_to_know_them(
    names: list[str] | None, whose: str, strip: str, mirror: str, also: str, tmp_path: Path
) -> None:
    path = tmp_path / "everyhop.toml"
    path.write_text(
        'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:8443"]\n[[site]]\nname = "s"\nhosts = ["a.test"]\n'
        'certs = [{ chain = "x", key = "file:y" }]\n[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\n'
        f'to = ["127.0.0.1:1"]\nbasic = {{ file = "users", strip = {strip} }}\n{mirror}'
    )
    (route,) = compile_file(path, files="skip").plan.routes
    assert isinstance(route.way, AtEdge) and route.way.basic is not None
    basic = route.way.basic.model_copy(update={"names": names})
    (found,) = signed_in(route.way.model_copy(update={"basic": basic}))
    plain = "the edge reads each password as it is typed; whoever has one, or can write to the file, gets in"
    assert (found.who, found.why) == ("the edge", plain + also)
    assert found.what == f"passwords of {whose} in users"
