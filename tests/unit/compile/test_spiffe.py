"""Whom an allow-list lets in by SPIFFE IDs: held against a model of the standard that was written from its grammar, not from ours."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyhop.compile import names
from everyhop.plan.judge import Question, decide
from tests.unit.diff.test_clients import ASKS
from tests.unit.diff.test_gate import plan, refused, route, told

ID = re.compile(r"\Aspiffe://([a-z0-9._-]{1,255})((?:/[A-Za-z0-9._-]+)+)\Z")
"""SPIFFE-ID 2.1 to 2.3; dot segments are looked for beside it."""


def domain(uri: str) -> str | None:
    found = ID.match(uri)
    if found is None or len(uri) > 2048 or {".", ".."} & {*found[2].split("/")}:
        return None
    return found[1]


def allowed(allow: list[str], uris: list[str]) -> bool:
    if len(uris) != 1 or (td := domain(uris[0])) is None:
        return False
    return uris[0] in allow or f"spiffe://{td}/*" in allow


PIECES = st.sampled_from(
    ["td", "td2", "t.d", "TD", "a", "b", "A", ".", "..", "", "*", "%61", "a?b", "a#b", ":1", "u@td", "-"]
)
URIS = st.builds(
    lambda scheme, parts: scheme + "/".join(parts),
    st.sampled_from(["spiffe://", "spiffe://", "spiffe://", "SPIFFE://", "spiffe:/", "https://"]),
    st.lists(PIECES, min_size=1, max_size=4),
)
ENTRIES = st.sampled_from(["spiffe://td/*", "spiffe://t.d/*", "spiffe://td/a", "spiffe://td2/a/b"])


@given(st.lists(ENTRIES, min_size=1, max_size=3), st.lists(URIS, min_size=1, max_size=2, unique=True))
def test_who_is_let_in_is_whom_the_standard_makes_a_member(allow: list[str], uris: list[str]) -> None:
    of = plan(route("r", more=f"allow = {{ clients = {allow} }}\n"), site=ASKS)
    (outcome,) = decide(of, [Question("a.test", sni="a.test", client=("sha256:" + "0" * 64, "x.test", *uris))])
    assert outcome.served == allowed(allow, uris), (allow, uris)


@given(URIS)
def test_an_entry_that_begins_as_an_id_is_one_or_a_whole_trust_domain_or_is_refused(uri: str) -> None:
    if not uri.startswith("spiffe://"):
        return
    whole = uri.endswith("/*") and domain(f"{uri[:-1]}x") is not None and uri.count("/") == 3
    if domain(uri) is not None or whole:
        assert names.client(uri) == uri
    else:
        with pytest.raises(ValueError, match="SPIFFE ID"):
            names.client(uri)


def test_a_whole_trust_domain_in_the_place_of_one_of_it_lets_in_more_and_the_other_way_fewer() -> None:
    one, whole = (
        plan(route("r", more=f'allow = {{ clients = ["spiffe://td/{path}"] }}\n'), site=ASKS) for path in ("a", "*")
    )
    (wider,) = told(one, whole, "clients-widened")
    assert wider.what == "spiffe://td/* may pass" and refused(one, whole) == {"clients-widened:r"}
    assert told(whole, one, "clients-widened") == [] and len(told(whole, one, "clients-narrowed")) == 1
    assert refused(whole, one) == set()
