"""More ways past the gate, each closed: what is merged, moved, renamed together or said in another place. Every test starts
from an edit that passes and changes one thing."""

from __future__ import annotations

import pytest

from everyhop.diff import compare
from everyhop.plan import read_plan
from tests.unit.test_diff_gate import DEMAND, SITE_OF_P, open_, plan, refused, route, told

IN_A, IN_B = 'path = "/a"\n', 'path = "/b"\n'


def test_of_two_acceptances_that_become_one_the_shorter_is_lengthened() -> None:
    old = plan(open_("x", IN_A, until="2027-01-01"), open_("y", IN_B, until="2027-06-01"))
    assert refused(old, plan(open_("x", until="2027-01-01"))) == set()
    assert refused(old, plan(open_("x", until="2027-06-01"))) == {"acceptance-lengthened:x"}


def test_an_acceptance_that_only_lasts_longer_excuses_no_hop() -> None:
    old = plan(route("x", "mutual", IN_A), open_("y", IN_B, until="2027-01-01"))
    assert refused(old, plan(route("x", "mutual", IN_A), open_("y", IN_B, until="2027-06-01"))) == {
        "acceptance-lengthened:y"
    }
    assert {"hop-weakened:y", "new-reader:y"} <= refused(old, plan(open_("y", until="2027-06-01")))


def test_an_acceptance_of_another_address_excuses_no_hop() -> None:
    two = '"10.0.0.1:1", "10.0.0.2:1"'
    old = plan(route("x", "mutual", IN_A), open_("y", IN_B))
    assert refused(old, plan(route("x", "mutual", IN_A), open_("y", IN_B, to=two))) == {"acceptance-widened:y"}
    assert "hop-weakened:y" in refused(old, plan(open_("y", to=two)))


OF_P = SITE_OF_P + DEMAND


@pytest.mark.parametrize("more", ["", 'allow = { clients = ["boss.test"] }\n'])
def test_tls_that_is_passed_through_is_told_where_the_edge_verified_clients(more: str) -> None:
    both, blind = route("b", host="b.test"), route("p", "passthrough", host="p.test")
    assert refused(plan(both, route("p", host="p.test"), more=SITE_OF_P), plan(both, blind)) == set()
    old = plan(both, route("p", "mutual", more, host="p.test"), more=OF_P)
    assert refused(old, plan(both, blind)) == {"client-demand-weakened:p"}


@pytest.mark.parametrize("to", ["mutual", "passthrough"])
def test_a_backend_that_only_verified_clients_reached_is_told_when_others_get_to_it(to: str) -> None:
    old = plan(route("r"), site=DEMAND)
    ways = {"mutual": SITE_OF_P, "passthrough": ""}
    new = plan(route("r"), route("alias", to, host="p.test"), site=DEMAND, more=ways[to])
    assert "backend-opened:alias" in refused(old, new)
    # Not where they prove the same, nor where anybody got to it before.
    assert refused(old, plan(route("r"), route("alias", host="b.test"), site=DEMAND)) == set()
    assert refused(old, plan(route("r"), route("alias", host="p.test"), site=DEMAND, more=OF_P)) == {
        "name-covered:p.test"
    }
    anybody = plan(route("r"), route("alias", to, host="p.test"), more=ways[to])
    assert not told(plan(route("r")), anybody, "backend-opened")


def test_a_backend_for_some_clients_is_told_when_another_route_takes_all_of_them() -> None:
    allow = 'allow = { clients = ["boss.test"] }\n'
    admin, other = route("admin", "mutual", allow + IN_A), route("all", "mutual", to='"10.0.0.2:1"')
    old = plan(admin, other, site=DEMAND)
    assert refused(old, plan(admin, route("all", "mutual", allow, to='"10.0.0.2:1"'), site=DEMAND)) == set()
    assert refused(old, plan(admin, route("all", "mutual", to='"10.0.0.2:1", "10.0.0.1:1"'), site=DEMAND)) == {
        "backend-opened:all"
    }


def test_a_key_from_another_place_is_told_though_its_certificate_has_another_name() -> None:
    old = plan(route("r"))
    renewed = old.model_dump_json().replace('"chain":"x"', '"chain":"x-2027"').replace('"i.pem"', '"i-2027.pem"')
    assert refused(old, read_plan(renewed)) == set()
    assert refused(old, read_plan(renewed.replace('"file:y"', '"file:/tmp/y"'))) == {"key-moved:x-2027"}
    assert refused(old, read_plan(renewed.replace('"file:i.key"', '"env:I"'))) == {"key-moved:i-2027.pem"}


@pytest.mark.parametrize(
    ("more", "site"),
    [("websocket = false\n", ""), ('upstream_protocol = "h2"\n', ""), ("", 'alpn = ["h2"]\n')],
    ids=["refused", "h2 to the backend", "h2 to clients"],
)
def test_tunnels_that_could_not_be_opened_are_told_when_they_can(more: str, site: str) -> None:
    old, new = plan(route("r", "mutual", more), site=site), plan(route("r"))
    assert refused(old, new) == {"tunnel-opened:r"}
    assert {c.kind for c in compare(new, old)} == {"tunnel-closed"}
    assert compare(old, plan(route("r", "mutual", 'upstream_protocol = "h2"\nwebsocket = false\n'))) == []
