"""Who is told of requests is a reader: each way in which an edit lets somebody be told more, or be told over less, is refused until
somebody allows it."""

from __future__ import annotations

from everyhop.diff import compare
from tests.unit.diff.test_gate import open_, plan, refused, route, told

MUTUAL = 'tls = "mutual"\nverify = { ca = "c", name = "n" }\npresent = "i"\n'
REENCRYPT = 'tls = "reencrypt"\nverify = { ca = "c", name = "n" }\n'
SIGNED = (
    'tls = "plaintext"\nacceptance = { owner = "o", why = "w", context = "legacy", since = 2026-11-01, until = {} }\n'
)


def collector(hop: str = MUTUAL, *, to: str = "10.0.0.9:4318", more: str = "", name: str = "otel") -> str:
    return f'[[collector]]\nname = "{name}"\nto = ["{to}"]\n{hop}[traces]\ncollector = "{name}"\n{more}'


def signed(until: str = "2027-02-01") -> str:
    return SIGNED.replace("{}", until)


NONE, ONE = plan(route("r")), plan(route("r"), more=collector())


def test_a_collector_that_comes_is_a_new_reader_and_one_that_goes_is_none() -> None:
    assert refused(NONE, ONE) == {"collector-added:collector/otel"}
    (change,) = told(NONE, ONE, "collector-added")
    assert change.what == "requests are told to 10.0.0.9:4318 (mutual)"
    assert refused(ONE, NONE) == set() and told(ONE, NONE, "collector-removed")


def test_a_collector_elsewhere_is_another_reader() -> None:
    assert refused(ONE, plan(route("r"), more=collector(to="10.0.0.8:4318"))) == {"collector-added:collector/otel"}


def test_a_collector_that_nothing_is_told_to_is_nobody() -> None:
    idle = collector().partition("[traces]")[0]
    assert refused(NONE, plan(route("r"), more=idle)) == set()


def test_a_weaker_hop_is_told_and_a_stronger_one_passes() -> None:
    weaker = plan(route("r"), more=collector(REENCRYPT))
    assert refused(ONE, weaker) == {"collector-hop-weakened:collector/otel"}
    assert refused(weaker, ONE) == set()


def test_plaintext_across_a_network_has_to_be_allowed_for_itself() -> None:
    wide = plan(route("r"), more=collector(signed()))
    assert refused(ONE, wide) == {"collector-hop-weakened:collector/otel", "acceptance-added:collector/otel"}
    assert refused(NONE, wide) == {"collector-added:collector/otel", "acceptance-added:collector/otel"}
    longer = plan(route("r"), more=collector(signed("2027-03-01")))
    assert refused(wide, longer) == {"acceptance-lengthened:collector/otel"}
    assert refused(longer, wide) == set()


def test_another_name_or_authority_lets_another_be_told() -> None:
    for a, b in (('name = "n"', 'name = "m"'), ('ca = "c"', 'ca = "d"')):
        other = plan(route("r"), more=collector(MUTUAL.replace(a, b)))
        assert refused(ONE, other) == {"verification-changed:collector/otel"}, b


def test_queries_are_more_than_paths() -> None:
    more = plan(route("r"), more=collector(more="query = true\n"))
    assert refused(ONE, more) == {"collector-told-more:collector/otel"} and refused(more, ONE) == set()
    (as_well,), (no_more,) = compare(ONE, more), compare(more, ONE)
    assert (as_well.what, no_more.what) == ("query strings are told as well", "query strings are told no more")


def test_a_route_that_is_told_of_from_now_on_is_told_and_one_less_passes() -> None:
    less = plan(route("r", more="traces = false\n"), more=collector())
    assert refused(less, ONE) == {"traces-begun:r"} and refused(ONE, less) == set()
    (begun,), (ended,) = told(less, ONE, "traces-begun"), told(ONE, less, "traces-ended")
    assert begun.what == "a collector is told of its requests" and ended.what == f"{begun.what} no more"
    for other in ("ratio = 1.0\n", 'service = "other"\n', "slow_s = 0.1\n"):
        assert refused(ONE, plan(route("r"), more=collector(more=other))) == set(), other


def test_of_what_is_not_read_nobody_is_told() -> None:
    passed = '[[route]]\nname = "p"\nhost = "p.test"\ntls = "passthrough"\nto = ["10.0.0.1:1"]\n'
    assert refused(plan(passed, more=collector()), plan(passed, more=collector())) == set()


def test_what_a_collector_is_called_does_not_matter() -> None:
    assert compare(ONE, plan(route("r"), more=collector(name="other"))) == []


def test_an_acceptance_of_a_collector_excuses_no_route() -> None:
    weaker = plan(open_("r"), more=collector(signed()))
    assert {"acceptance-added:r", "acceptance-added:collector/otel"} <= refused(ONE, weaker)
