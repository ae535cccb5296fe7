"""Ticket keys that stand in a file are known to whoever has it: what that comes to is said of the sites that there are, and no more."""

from __future__ import annotations

import pytest

from tests.unit.diff.test_gate import plan, refused, route, told

ONE = '[tickets]\nkey = "file:one.key"\n'
OTHER = '[tickets]\nkey = "file:other.key"\n'
BOTH = '[tickets]\nkey = ["file:other.key", "file:one.key"]\n'
TURNED = '[tickets]\nkey = ["file:one.key", "file:other.key"]\n'
ANSWERS = "can answer in the place of every site whoever comes back by a ticket"
READS = "can read what is recorded of sessions by TLS 1.2 that were given a ticket"
COMES = "can come as any client to sites that ask for certificates"


def test_a_secret_in_a_file_is_a_weakening_and_keys_of_each_engine_are_none() -> None:
    own, shared = plan(route("r")), plan(route("r"), more=ONE)
    (weaker,) = told(own, shared, "tickets-shared")
    assert weaker.what == "each engine had ticket keys of its own; now they are made of file:one.key"
    assert refused(own, shared) == {"tickets-shared:tickets"}
    (stronger,) = told(shared, own, "tickets-apart")
    assert stronger.what == "ticket keys were made of file:one.key; now each engine has its own"
    assert refused(shared, own) == set()


@pytest.mark.parametrize(
    ("site", "so"),
    [
        ("", f"{READS} and {ANSWERS}"),
        ('policy = "modern"', ANSWERS),
        ('clients = { ca = "c" }', f"{READS}, {ANSWERS} and {COMES}"),
        ('policy = "modern"\nclients = { ca = "c", mode = "ask" }', f"{ANSWERS} and {COMES}"),
    ],
)
def test_what_whoever_has_the_secret_can_do_is_said_of_the_sites_that_there_are(site: str, so: str) -> None:
    (change,) = told(plan(route("r"), site=site), plan(route("r"), site=site, more=ONE), "tickets-shared")
    assert change.so == f"whoever has that secret, now or later, {so}"


def test_where_other_keys_are_apart_it_is_said_that_this_one_is_not() -> None:
    apart = '[engine]\nkeys = "apart"\n'
    (change,) = told(plan(route("r"), more=apart), plan(route("r"), more=apart + ONE), "tickets-shared")
    assert change.so.endswith("; it is in the memory of each engine, while other keys are apart")


def test_a_secret_elsewhere_is_a_weakening_and_one_fewer_is_none() -> None:
    one, other, both, turned = (plan(route("r"), more=it) for it in (ONE, OTHER, BOTH, TURNED))
    for a, b in ((one, other), (one, both)):
        assert refused(a, b) == {"ticket-key-moved:tickets"}
    for a, b, kind in (
        (both, other, "ticket-key-removed"),
        (both, one, "ticket-key-removed"),
        (both, turned, "ticket-key-turned"),
    ):
        assert len(told(a, b, kind)) == 1 and refused(a, b) == set()
    (change,) = told(both, turned, "ticket-key-turned")
    assert change.what == "tickets were sealed by file:other.key, now by file:one.key"


def test_tickets_that_last_longer_are_a_weakening_and_shorter_ones_are_none() -> None:
    twelve, day, one = (plan(route("r"), more=f'{ONE}rotate = "{h}h"\n') for h in (12, 24, 1))
    assert told(plan(route("r"), more=ONE), twelve, "tickets-lengthened") == []
    (change,) = told(twelve, day, "tickets-lengthened")
    assert change.what == "a ticket lasted 12 hours, now 24"
    assert refused(twelve, day) == {"tickets-lengthened:tickets"}
    assert len(told(twelve, one, "tickets-shortened")) == 1 and refused(twelve, one) == set()
    own = plan(route("r"))
    assert refused(own, day) == {"tickets-shared:tickets", "tickets-lengthened:tickets"}, "an engine's own last for 12"
    assert len(told(own, one, "tickets-shortened")) == 1
