"""Where private keys are is trust: into the engine is a weakening that somebody allows, out of it is none."""

from __future__ import annotations

from tests.unit.diff.test_gate import plan, refused, route, told


def test_keys_that_come_into_the_engine_are_a_weakening_and_those_that_leave_it_are_not() -> None:
    together, apart = (plan(route("r"), more=f'[engine]\nkeys = "{at}"\n') for at in ("engine", "apart"))
    (weaker,) = told(apart, together, "keys-together")
    assert weaker.what == "private keys were in a process of their own, now in the engine"
    assert refused(apart, together) == {weaker.allow} == {"keys-together:engine"}
    (stronger,) = told(together, apart, "keys-apart")
    assert stronger.what == "private keys were in the engine, now in a process of their own"
    assert refused(together, apart) == set()
