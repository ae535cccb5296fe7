"""The gate: each way in which an edit can weaken trust is refused until somebody allows it, and what means the same is
silence. Every test starts from an edit that passes and changes one thing."""

from __future__ import annotations

import datetime as dt

import pytest

from everyhop.compile import compile_file
from everyhop.diff import Change, compare
from everyhop.plan import Plan

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
VERIFY = 'verify = { ca = "c", name = "n" }\n'
HEAD = """\
version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
{listener}
[[site]]
name = "s"
hosts = ["a.test", "b.test"]
certs = [{{ chain = "x", key = "file:y" }}]
{site}
[[identity]]
name = "i"
chain = "i.pem"
key = "file:i.key"
{more}
"""


def plan(*routes: str, listener: str = "", site: str = "", more: str = "") -> Plan:
    text = HEAD.format(listener=listener, site=site, more=more) + "".join(routes)
    return compile_file("gate.toml", now=NOW, files="skip", text=text).plan


def route(
    name: str, tls: str = "mutual", more: str = "", *, host: str = "a.test", to: str = '"10.0.0.1:1"', until: str = ""
) -> str:
    given = f'[[route]]\nname = "{name}"\nhost = "{host}"\ntls = "{tls}"\nto = [{to}]\n'
    given += VERIFY if tls in {"mutual", "reencrypt"} else ""
    given += 'present = "i"\n' if tls == "mutual" else ""
    if until:
        given += f'acceptance = {{ owner = "o", why = "w", context = "legacy", since = 2026-11-01, until = {until} }}\n'
    return given + more


def open_(name: str, more: str = "", **kwargs: str) -> str:
    return route(name, "plaintext", more, until=kwargs.pop("until", "2027-03-01"), **kwargs)


def refused(old: Plan, new: Plan) -> set[str]:
    """What `--allow` would have to name."""
    return {c.allow for c in compare(old, new) if c.direction == "weaker" and not c.covered}


def told(old: Plan, new: Plan, kind: str) -> list[Change]:
    return [c for c in compare(old, new) if c.kind == kind]


ADMIN = 'path = "/admin"\n'
ALLOW = 'allow = { clients = ["boss.test"] }\n'
DEMAND = 'clients = { ca = "d" }\n'


def test_of_two_routes_of_one_host_and_match_the_one_that_wins_counts() -> None:
    spare = route("spare", "reencrypt")
    old = plan(spare, route("live", "mutual", "priority = 1\n"))
    assert refused(old, plan(spare, route("live", "mutual", "priority = 2\n"))) == set()
    assert "hop-weakened:live" in refused(old, plan(spare, route("live", "reencrypt", "priority = 1\n")))
    # And where the priorities change places, without a word about protection.
    assert "hop-weakened:spare" in refused(old, plan(route("spare", "reencrypt", "priority = 2\n"), route("live")))


def test_a_route_that_is_removed_is_told_by_the_weaker_one_that_takes_its_requests() -> None:
    strong, weak = route("admin", "mutual", ADMIN + ALLOW), route("all", "reencrypt", "")
    old = plan(strong, weak, site=DEMAND)
    assert refused(old, old) == set()
    found = refused(old, plan(weak, site=DEMAND))
    assert {"hop-weakened:all", "clients-widened:all"} <= found
    assert any("/admin" in c.what and "'admin'" in c.what for c in told(old, plan(weak, site=DEMAND), "hop-weakened"))
    # Where nothing takes them, they are refused.
    alone = plan(strong, site=DEMAND)
    gone = plan(route("b", host="b.test", to='"10.0.0.9:1"'), site=DEMAND)
    assert refused(alone, gone) == set()
    assert told(alone, gone, "route-removed")


@pytest.mark.parametrize(
    "narrower",
    [
        'path = "/admin/only"\n',
        'path_exact = "/admin"\n',
        ADMIN + 'method = "GET"\n',
        ADMIN + 'headers = { x = "1" }\n',
    ],
)
def test_a_route_that_is_narrowed_is_told_by_the_weaker_one_that_takes_the_rest(narrower: str) -> None:
    weak = open_("all")
    old = plan(route("admin", "mutual", ADMIN), weak)
    assert "hop-weakened:all" in refused(old, plan(route("admin", "mutual", narrower), weak))
    assert refused(old, plan(route("admin", "mutual", 'path = "/"\n'), open_("all", 'path = "/x"\n'))) == set()


def test_an_acceptance_that_was_there_before_excuses_no_hop_that_came_since() -> None:
    weak = open_("all")
    changes = compare(plan(route("admin", "mutual", ADMIN), weak), plan(weak))
    weaker = [c for c in changes if c.kind in {"hop-weakened", "new-reader"}]
    assert weaker and not any(c.covered for c in weaker)


@pytest.mark.parametrize(
    "after",
    [
        route("a", "mutual"),
        route("renamed", "mutual", 'path = "/v1"\n'),
        open_("a", ADMIN + 'method = "GET"\n', to='"10.9.9.9:1"'),
    ],
)
def test_tls_that_ends_elsewhere_is_told_whatever_else_changes(after: str) -> None:
    both = route("b", host="b.test")
    blind = plan(route("a", "passthrough", host="p.test"), both)
    ended = plan(after.replace("a.test", "p.test"), both, more=SITE_OF_P)
    assert any(a.startswith("boundary-moved:") for a in refused(blind, ended))
    assert told(ended, blind, "boundary-returned")
    assert "name-covered:p.test" in refused(blind, ended)


SITE_OF_P = '[[site]]\nname = "p"\nhosts = ["p.test"]\ncerts = [{ chain = "p", key = "file:p" }]\n'


def test_a_match_that_changes_together_with_a_weakening_hides_nothing() -> None:
    old = plan(route("r", "mutual", 'path = "/a"\n'))
    assert refused(old, plan(route("r", "mutual", ""))) == set()
    assert "hop-weakened:r" in refused(old, plan(route("r", "reencrypt", "")))
    assert "hop-weakened:other" in refused(old, plan(route("other", "reencrypt", 'path = "/"\npriority = 4\n')))


def test_a_nested_route_that_takes_part_of_a_stronger_one_is_told() -> None:
    whole = route("whole", "mutual")
    assert refused(plan(whole), plan(whole, route("part", "mutual", ADMIN))) == set()
    assert "hop-weakened:part" in refused(plan(whole), plan(whole, route("part", "reencrypt", ADMIN)))
    assert "hop-weakened:part" in refused(
        plan(whole), plan(whole, route("part", "plaintext", ADMIN, to='"127.0.0.1:1"'))
    )


STRONGER = '{ at = "10.0.0.2:1", tls = "mutual", present = "i" }'


@pytest.mark.parametrize("after", ['"10.0.0.1:1", "10.0.0.2:1"', '"10.0.0.1:1", "10.0.0.3:1"'])
def test_a_backend_that_was_stronger_than_its_route_is_missed(after: str) -> None:
    old = plan(route("r", "reencrypt", to=f'"10.0.0.1:1", {STRONGER}'))
    assert refused(old, plan(route("r", "reencrypt", to=f'{STRONGER}, "10.0.0.4:1"'))) == set()
    assert "hop-weakened:r" in refused(old, plan(route("r", "reencrypt", to=after)))


def test_an_acceptance_names_what_it_covers() -> None:
    old = plan(open_("r"))
    moved = plan(open_("r", to='"10.0.0.9:1"'))
    assert refused(old, moved) == {"acceptance-widened:r"}
    reader = told(old, moved, "new-reader")
    assert reader and all(c.covered and "10.0.0.9:1" in c.what for c in reader)
    assert any("10.0.0.9:1" in c.what for c in told(old, moved, "acceptance-widened"))
    fewer = plan(open_("r", to='"10.0.0.1:1", "10.0.0.2:1"'))
    assert refused(fewer, old) == set()


def test_a_new_or_longer_acceptance_needs_a_word_of_its_own() -> None:
    """Also where it comes in the same edit as the hop that it excuses."""
    old = plan(route("r", "reencrypt"))
    new = plan(open_("r"))
    assert refused(old, new) == {"acceptance-added:r"}
    assert {c.kind for c in compare(old, new) if c.covered} == {"hop-weakened", "new-reader", "promise-weakened"}
    assert refused(new, plan(open_("r", until="2027-04-01"))) == {"acceptance-lengthened:r"}
    assert refused(new, plan(open_("r", until="2027-02-01"))) == set()


def test_who_may_pass_widened_is_weaker_and_narrowed_is_not() -> None:
    def allowing(*names: str) -> Plan:
        listed = ", ".join(f'"{n}"' for n in names)
        return plan(route("r", "mutual", f"allow = {{ clients = [{listed}] }}\n" if names else ""), site=DEMAND)

    for old, new in [(("a",), ("a", "b")), (("a",), ("b",)), (("a", "b"), ("b", "c")), (("a",), ())]:
        assert refused(allowing(*old), allowing(*new)) == {"clients-widened:r"}, (old, new)
    for names, who in ((("a", "b", "c"), "b, c"), ((), "any client that the site lets in")):
        (change,) = told(allowing("a"), allowing(*names), "clients-widened")
        assert change.what == f"{who} may pass"
    for old, new in [(("a", "b"), ("a",)), ((), ("a",))]:
        assert refused(allowing(*old), allowing(*new)) == set(), (old, new)
        assert told(allowing(*old), allowing(*new), "clients-narrowed")


WILD = '[[site]]\nname = "w"\nhosts = ["*.w.test"]\ncerts = [{ chain = "w", key = "file:w" }]\nclients = { ca = "d" }\n'
STATUS = '[[site]]\nname = "t"\nhosts = ["status.w.test"]\ncerts = [{ chain = "w", key = "file:w" }]\n'


def test_a_site_that_takes_a_name_from_a_stricter_one_is_told() -> None:
    wild = route("r", host="*.w.test")
    assert "client-demand-weakened:t" in refused(plan(wild, more=WILD), plan(wild, more=WILD + STATUS))
    strict = STATUS + 'clients = { ca = "d" }\n'
    assert refused(plan(wild, more=WILD), plan(wild, more=WILD + strict)) == set()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (plan(route("r")), plan(route("renamed"))),
        (plan(route("r"), listener='accept_proxy = ["10.0.0.0/8"]'), plan(route("r"), listener='accept_proxy = ["10.0.0.0/9", "10.128.0.0/9"]')),
        (plan(route("r", more='priority = 3\n')), plan(route("r"))),
        (plan(route("r", host="a.test")), plan(route("r1", more='path = "/x"\n'), route("r2"))),
        (plan(route("r", "mutual", 'method = ["GET", "PUT"]\n')), plan(route("x", "mutual", 'method = "PUT"\n'), route("y", "mutual", 'method = "GET"\n'))),
    ],
    ids=["route renamed", "network in two halves", "priority that decides nothing", "route in two", "methods apart"],
)  # fmt: skip
def test_what_means_the_same_is_silence(old: Plan, new: Plan) -> None:
    assert compare(old, new) == []
    assert compare(new, old) == []


def test_a_listener_a_site_or_an_identity_that_is_only_renamed_is_silence() -> None:
    old = HEAD.format(listener='no_sni = "s"', site=DEMAND, more="") + route("r")
    new = old.replace('name = "l"', 'name = "other"').replace('name = "s"', 'name = "other"')
    new = new.replace('no_sni = "s"', 'no_sni = "other"').replace('"i"', '"other"')
    plans = [compile_file("gate.toml", now=NOW, files="skip", text=text).plan for text in (old, new)]
    assert compare(*plans) == []


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("requirement-dropped", plan(route("r", more='requires = ["encrypted-to-backend"]\n')), plan(route("r"))),
        ("sandbox-weakened", plan(route("r"), more='[engine]\nsandbox = "enforce"\n'), plan(route("r"))),
        ("proof-lengthened", plan(route("r")), plan(route("r"), more="[limits]\nmax_age_s = 90000\n")),
        ("key-moved", plan(route("r")), compile_file("g.toml", now=NOW, files="skip", text=(HEAD.format(listener="", site="", more="") + route("r")).replace("file:y", "env:Y")).plan),
        ("tunnel-opened", plan(route("r", more="websocket = false\n")), plan(route("r"))),
        ("tunnel-opened", plan(route("r")), plan(route("r", more='upgrades = ["websocket", "tcp"]\n'))),
        ("paths-loosened", plan(route("r", more='paths = "strict"\n')), plan(route("r"))),
        ("unnamed-answered", plan(route("r")), plan(route("r"), listener='no_sni = "s"')),
        ("trusted-widened", plan(route("r"), listener='trusted_proxies = ["10.0.0.0/9"]'), plan(route("r"), listener='trusted_proxies = ["10.0.0.0/8"]')),
        ("believed-more", plan(route("r"), listener='trusted_proxies = ["10.0.0.0/8"]'), plan(route("r"), listener='trusted_proxies = { networks = ["10.0.0.0/8"], believe = ["address", "host"] }')),
        ("verification-changed", plan(route("r")), plan(route("r").replace('name = "n"', 'name = "m"'))),
        ("verification-changed", plan(route("r")), plan(route("r", to='"10.0.0.1:1", { at = "10.0.0.2:1", verify = { ca = "c", name = "m" } }'))),
        ("client-demand-weakened", plan(route("r"), site=DEMAND), plan(route("r"))),
        ("client-roots-changed", plan(route("r"), site=DEMAND), plan(route("r"), site='clients = { ca = "e" }\n')),
        ("data-lowered", plan(route("r", more='data = "confidential"\n')), plan(route("r", more='data = "internal"\n'))),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)  # fmt: skip
def test_other_weakenings_are_told_as_what_they_are(kind: str, old: Plan, new: Plan) -> None:
    assert compare(old, old) == []
    assert kind in {a.partition(":")[0] for a in refused(old, new)}
    # To move sideways is no better: another root, another place.
    sideways = kind in {"key-moved", "verification-changed", "client-roots-changed"}
    assert sideways or kind not in {c.kind for c in compare(new, old)}
