"""From where clients may come, before and after: told by address, whatever is written; and two sets of networks taken from each
other are what is in the one and not in the other."""

from __future__ import annotations

import ipaddress
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyhop.diff import compare
from everyhop.diff.networks import left
from tests.unit.diff.test_gate import plan, refused, route, told

TEN = ["10.0.0.0/8"]
HERE = 'host = "a.test"\nanswer = { status = 404 }\n'


def allow(nets: list[str] | None) -> str:
    return "" if nets is None else f"allow = {{ networks = {nets!r} }}\n".replace("'", '"')


def each(kind: str, nets: list[str] | None) -> str:
    """A route of that kind, for clients in those networks."""
    if kind == "answered":
        return f'[[route]]\nname = "r"\n{HERE}{allow(nets)}'
    if kind == "tcp":
        return route("r", "mutual", f'protocol = "tcp"\n{allow(nets)}')
    return route("r", kind, allow(nets), host="p.test" if kind == "passthrough" else "a.test")


def beside(kind: str) -> str:
    """Another one, which stays: of a site that carries TCP none is read."""
    return route("beside", "passthrough", host="q.test") if kind == "tcp" else route("beside", host="b.test")


KINDS = ("mutual", "reencrypt", "passthrough", "tcp", "answered")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("was", "now", "more", "less"),
    [
        (None, TEN, "", "10.0.0.0/8 alone"),
        (TEN, None, "anywhere", ""),
        (TEN, ["10.0.0.0/8", "192.0.2.0/24"], "192.0.2.0/24", ""),
        (["10.0.0.0/8", "192.0.2.0/24"], TEN, "", "192.0.2.0/24 no more"),
        (TEN, ["10.0.0.0/9"], "", "10.128.0.0/9 no more"),
        (TEN, ["10.0.0.0/7"], "11.0.0.0/8", ""),
        (TEN, ["2001:db8::/32"], "2001:db8::/32", "10.0.0.0/8 no more"),
        (["0.0.0.0/0"], ["::/0"], "::/0", "0.0.0.0/0 no more"),
    ],
)
def test_more_addresses_are_a_weakening_and_fewer_are_told(
    kind: str, was: list[str] | None, now: list[str] | None, more: str, less: str
) -> None:
    old, new = (plan(beside(kind), each(kind, it)) for it in (was, now))
    assert ("networks-widened:r" in refused(old, new)) == bool(more)
    said = {kind: [c.what for c in told(old, new, kind)] for kind in ("networks-widened", "networks-narrowed")}
    assert said == {
        "networks-widened": [f"clients may come from {more}"] if more else [],
        "networks-narrowed": [f"clients may come from {less}"] if less else [],
    }
    # It is a weakening of that, and of nothing else.
    assert {it for it in refused(old, new) if not it.startswith("networks-widened")} == set()
    spoken = {"passthrough": "the others are refused", "tcp": "the others are refused"}.get(kind, "the others get 403")
    assert all(c.so == spoken for c in told(old, new, "networks-narrowed"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "again",
    [
        ["10.0.0.0/9", "10.128.0.0/9"],
        ["10.128.0.0/9", "10.0.0.0/9"],
        ["::ffff:10.0.0.0/104"],
        ["10.0.0.0/8", "10.1.2.3"],
        ["10.0.0.0/8", "10.0.0.0/8"],
    ],
)
def test_the_same_addresses_written_otherwise_are_silence(kind: str, again: list[str]) -> None:
    old, new = (plan(beside(kind), each(kind, it)) for it in (TEN, again))
    assert compare(old, new) == compare(new, old) == []


def test_a_way_around_opens_a_backend_to_addresses_from_which_nobody_reached_it() -> None:
    inner = route("r", more=allow(TEN))
    old = plan(inner)
    for more, opened in (
        (allow(["10.1.0.0/16"]), False),
        (allow(TEN), False),
        (allow(["11.0.0.0/8"]), True),
        ("", True),
    ):
        new = plan(inner, route("around", more=more, host="b.test"))
        assert any(it.startswith("backend-opened") for it in refused(old, new)) == opened, more


def test_that_many_were_added_is_told_in_few_words_and_soon() -> None:
    """Clouds publish lists of thousands."""
    many = [f"10.{n // 256}.{n % 256}.0/25" for n in range(5000)]
    old, new = plan(route("r", more=allow(TEN[:1]))), plan(route("r", more=allow(many)))
    began = time.process_time()
    (change,) = told(new, old, "networks-widened")
    assert time.process_time() - began < 5
    assert change.what.endswith(" more") and len(change.what) < 120


def nets(version: int) -> st.SearchStrategy[str]:
    """Close to each other, so that they overlap and touch."""
    bits, base = (32, 0x0A000000) if version == 4 else (128, 0x20010DB8 << 96)
    kind = ipaddress.IPv4Network if version == 4 else ipaddress.IPv6Network
    return st.builds(
        lambda at, spare: str(kind((base + at, bits - spare), strict=False)), st.integers(0, 63), st.integers(0, 6)
    )


SOME = st.lists(nets(4) | nets(6), max_size=6)


@given(SOME, SOME)
def test_what_is_left_is_in_the_one_and_not_in_the_other(those: list[str], without: list[str]) -> None:
    def addresses(texts: list[str]) -> set[object]:
        return {it for text in texts for it in ipaddress.ip_network(text)}

    found = left(those, without)
    assert addresses(found) == addresses(those) - addresses(without)
    # In as few words as there are.
    whole = [net for text in found for net in [ipaddress.ip_network(text)]]
    assert sum(net.num_addresses for net in whole) == len(addresses(found))
    assert not left(found, those) and left(found, without) == found
