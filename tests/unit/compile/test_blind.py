"""A route that promises that the edge is blind holds it against every name that it passes through, of any depth."""

from __future__ import annotations

import pytest

from everyhop.errors import Refused
from everyhop.plan import Plan
from tests.unit.diff.test_gate import plan, route


def blind(own: str) -> Plan:
    site = f'[[site]]\nname = "p"\nhosts = ["{own}"]\ncerts = [{{ chain = "p", key = "file:p" }}]\n'
    return plan(route("p", "passthrough", 'requires = ["blind-proxy"]\n', host="*.p.test"), more=site)


@pytest.mark.parametrize("own", ["x.p.test", "x.y.p.test", "*.y.p.test"])
def test_a_key_for_a_name_below_a_wildcard_that_is_passed_through_breaks_the_promise(own: str) -> None:
    assert blind("p.test").routes and blind("x.otherp.test").routes
    with pytest.raises(Refused) as refusal:
        blind(own)
    assert [f.slug for f in refusal.value.findings if f.severity == "refused"] == ["route/requirement-not-configured"]
