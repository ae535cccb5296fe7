"""What is said of backends that come and go, of names and of the log: which way it went, and of whom."""

from __future__ import annotations

import itertools
import re

import pytest

from everyhop.compile import compile_file
from everyhop.diff import compare
from everyhop.plan import Plan
from tests.unit.diff.test_gate import HEAD, NOW, SITE_OF_P, plan, refused, route, told


def backends(*given: tuple[str, str]) -> Plan:
    """A route that is reencrypt, with backends that are that or more."""
    shown = {"mutual": ', present = "i"', "reencrypt": ""}
    to = ", ".join(f'{{ at = "{at}:1", tls = "{tls}"{shown[tls]} }}' for at, tls in given)
    return plan(route("r", "reencrypt", to=to))


STRONG, WEAK = ("10.0.0.1", "mutual"), ("10.0.0.2", "reencrypt")


def test_backends_that_are_all_replaced_by_as_strong_ones_are_no_weakening() -> None:
    old, new = backends(STRONG, WEAK), backends(("10.0.1.1", "mutual"), ("10.0.1.2", "reencrypt"))
    assert told(old, new, "hop-weakened") == [] and told(old, new, "hop-strengthened") == []
    worse = backends(("10.0.1.1", "reencrypt"), ("10.0.1.2", "reencrypt"))
    assert "hop-weakened:r" in refused(old, worse)


def test_a_route_whose_weakest_backend_goes_is_stronger_and_one_whose_strongest_goes_is_as_weak_as_it_was() -> None:
    both = backends(STRONG, WEAK)
    (change,) = told(both, backends(STRONG), "hop-strengthened")
    assert change.what == "the hop to the backend was reencrypt, now mutual"
    assert told(both, backends(WEAK), "hop-strengthened") == [] and refused(both, backends(WEAK)) == set()


def test_a_backend_that_becomes_a_service_is_told_as_another_whose_machines_dns_chooses() -> None:
    before = plan(route("r", "reencrypt", to='"b.test:443"'))
    after = plan(route("r", "reencrypt", to='"srv:_https._tcp.b.test"') + '[dns]\nservers = ["10.0.0.53"]\n')
    (added,), (gone,) = told(before, after, "backend-added"), told(before, after, "backend-removed")
    assert added.what == "srv:_https._tcp.b.test is a backend" and gone.what == "b.test:443 is no backend any more"
    assert added.so == "DNS chooses the machines and the ports that get its share of the traffic"


def test_a_hop_that_changes_is_told_with_what_that_gives_or_takes_from_attackers_and_nothing_else() -> None:
    mutual, reencrypt = plan(route("r")), plan(route("r", "reencrypt"))
    (weaker,) = told(mutual, reencrypt, "hop-weakened")
    assert weaker.so == (
        "it cannot read what passes, but it can call the backend and forge headers; "
        "the backend answers whoever reaches it, and believes its headers"
    )
    (stronger,) = told(reencrypt, mutual, "hop-strengthened")
    assert stronger.so == (
        "TLS both ways verified; without the edge's key nobody gets an answer, if the backend asks for it"
    )


def test_a_name_that_the_edge_ends_tls_for_now_or_no_more_is_told_so() -> None:
    def names(*hosts: str) -> Plan:
        text = HEAD.format(listener="", site="", more="").replace('["a.test", "b.test"]', str([*hosts]))
        return compile_file("gate.toml", now=NOW, files="skip", text=text + route("r")).plan

    one, two = names("a.test"), names("a.test", "b.test")
    assert [c.what for c in compare(one, two) if c.what.startswith("the edge ")] == ["the edge now ends TLS for b.test"]
    gone = [c.what for c in compare(two, one) if c.what.startswith("the edge ")]
    assert gone == ["the edge ends TLS for b.test no more"]


def test_a_log_that_drops_lines_where_it_refused_requests_is_weaker_and_the_other_way_is_not() -> None:
    def log(on_full: str) -> Plan:
        return plan(route("r"), more=f'[log]\naccess = "stdout"\non_full = "{on_full}"\n')

    assert [a.rpartition(":")[2] for a in refused(log("refuse"), log("drop"))] == ["log"]
    assert refused(log("drop"), log("refuse")) == set() and compare(log("drop"), log("refuse"))


def test_nothing_is_said_of_how_strong_a_hop_is_where_there_was_none_of_the_edges_or_is_none_now() -> None:
    beside = route("b", host="b.test", to='"10.0.0.9:1"')
    blind = plan(route("p", "passthrough", host="p.test"), beside)
    for tls in ("reencrypt", "mutual"):
        ended = plan(route("p", tls, host="p.test"), beside, more=SITE_OF_P)
        for old, new in ((blind, ended), (ended, blind)):
            kinds = {c.kind for c in compare(old, new)}
            assert kinds and not kinds & {"hop-weakened", "hop-strengthened", "verification-changed"}


def given(text: str, more: str = "") -> Plan:
    """Two backends that are shown one identity, and a site that shows it too."""
    identity = f'[[identity]]\nname = "own"\n{text}\n'
    r = route("r", more='present = "own"\n').replace('present = "i"\n', "")
    return plan(
        r.replace('"10.0.0.1:1"', '"10.0.0.1:1", "10.0.0.2:1"')
        + route("t", more='path = "/t"\n').replace('"i"', '"own"'),
        more=identity + more,
    )


BY_CA = 'from = "ca"\nauthority = "{}:7443"\ntoken = "cred:t"'
BY_AGENT = 'from = "spiffe"\nagent = "unix:/run/{}.sock"\nid = "spiffe://corp.example/{}"'
GIVERS = {
    "files": ('chain = "own.pem"\nkey = "file:own.key"', "file:own.key", "whoever can read that place"),
    "an authority": (BY_CA.format("ca.test"), "ca:ca.test:7443", "whoever runs that authority"),
    "another authority": (BY_CA.format("cb.test"), "ca:cb.test:7443", "whoever runs that authority"),
    "an agent": (BY_AGENT.format("agent", "edge"), "spiffe:spiffe://corp.example/edge", "whoever runs that agent"),
    "another name": (BY_AGENT.format("agent", "door"), "spiffe:spiffe://corp.example/door", "whoever runs that agent"),
    "another agent": (BY_AGENT.format("other", "edge"), "by unix:/run/other.sock", "whoever runs that agent"),
}


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(GIVERS, 2)))
def test_an_identity_that_comes_from_elsewhere_is_one_change_with_who_gives_it_now(one: str, other: str) -> None:
    before, after = (given(GIVERS[it][0]) for it in (one, other))
    (change,) = compare(before, after)
    assert change.kind == "key-moved" and change.direction == "weaker"
    _, where, who = GIVERS[other]
    assert where in change.what and who in change.so
    assert compare(before, before) == []


@pytest.mark.parametrize(
    ("was", "now", "kinds"),
    [
        ("", '[tickets]\nkey = "file:a"\n', ["tickets-shared"]),
        ('[tickets]\nkey = "file:a"\n', '[tickets]\nkey = "file:b"\n', ["ticket-key-moved"]),
        ('[tickets]\nkey = "file:a"\n', '[tickets]\nkey = "file:a"\nrotate = "24h"\n', ["tickets-lengthened"]),
        ('[tickets]\nkey = "file:a"\nrotate = "24h"\n', "", ["tickets-apart", "tickets-shortened"]),
    ],
)
def test_a_change_of_tickets_is_told_once_for_each_thing_that_changed(was: str, now: str, kinds: list[str]) -> None:
    files = GIVERS["files"][0]
    assert sorted(it.kind for it in compare(given(files, was), given(files, now))) == kinds


@pytest.mark.parametrize(
    ("was", "now", "kind"),
    [
        ('crl = "https://a.test/x"', 'crl = "https://b.test/x"', "revocation-moved"),
        ('crl = "l.pem"', 'crl = "https://b.test/x"', "revocation-moved"),
        ('crl = "l.pem"', 'name = "n"', "revocation-weakened"),
        ('crl = "l.pem"', 'crl = "l.pem", stale_crl = "allow"', "revocation-weakened"),
    ],
)
def test_another_list_of_a_routes_backends_is_one_change(was: str, now: str, kind: str) -> None:
    def listing(text: str) -> Plan:
        text = text if "name" in text else f'{text}, name = "n"'
        r = route("r", "reencrypt", to='"10.0.0.1:1", "10.0.0.2:1"')
        return plan(re.sub(r"verify = \{.*\}", f'verify = {{ ca = "c", {text} }}', r))

    (change,) = compare(listing(was), listing(now))
    assert change.kind == kind and "10.0.0.1:1 and 10.0.0.2:1" in change.what
