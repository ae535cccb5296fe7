"""Where edges count together somebody sees who comes and says who passes: each way in which an edit lets another do so, or over
less, is refused until somebody allows it."""

from __future__ import annotations

from everyhop.plan import Plan
from tests.unit.diff.test_collectors import MUTUAL, REENCRYPT, signed
from tests.unit.diff.test_gate import plan, refused, route, told

ALONE = '[[limit]]\nname = "few"\nrate = "100/s"\n'
TOGETHER = ALONE + 'store = "counters"\n'
LIMITED = 'limited_by = ["few"]\n'


def store(hop: str = MUTUAL, *, to: str = "10.0.0.9:6379", limit: str = TOGETHER, name: str = "counters") -> str:
    return f'[[store]]\nname = "{name}"\nto = ["{to}"]\n{hop}{limit.replace("counters", name)}'


def of(more: str) -> Plan:
    return plan(route("r", more=LIMITED), more=more)


def test_a_store_that_comes_sees_who_comes_and_one_that_goes_sees_nobody() -> None:
    alone, one = of(ALONE), of(store())
    assert refused(alone, one) == {"store-added:store/counters"}
    (change,) = told(alone, one, "store-added")
    assert change.what == "requests are counted at 10.0.0.9:6379 (mutual)"
    assert refused(one, alone) == {"limit-loosened:r"} and told(one, alone, "store-removed")


def test_one_elsewhere_is_another_and_another_name_is_the_same() -> None:
    assert refused(of(store()), of(store(to="10.0.0.8:6379"))) == {"store-added:store/counters"}
    assert refused(of(store()), of(store(name="others"))) == set()


def test_one_that_nothing_is_counted_in_is_nobody() -> None:
    assert refused(of(ALONE), of(store(limit=ALONE))) == set()


def test_a_weaker_hop_is_told_and_a_stronger_one_passes() -> None:
    one, weaker = of(store()), of(store(REENCRYPT))
    assert refused(one, weaker) == {"store-hop-weakened:store/counters"}
    assert refused(weaker, one) == set()
    wide = of(store(signed()))
    assert refused(one, wide) == {"store-hop-weakened:store/counters", "acceptance-added:store/counters"}


def test_who_refuses_while_it_is_silent_lets_no_more_pass_than_who_counts_alone() -> None:
    strict = of(store(limit=TOGETHER + 'when_store_down = "refuse"\n'))
    assert refused(strict, of(store())) == {"limit-loosened:r"}
    assert refused(of(store()), strict) == set()
