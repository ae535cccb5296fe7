"""More ways past the gate, each closed: what is merged, moved, renamed together or said in another place. Every test starts
from an edit that passes and changes one thing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from everyhop.cli.app import app, commands
from everyhop.diff import compare
from everyhop.errors import Refused
from everyhop.plan import Plan, read_plan
from tests.unit.diff.test_gate import DEMAND, HEAD, SITE_OF_P, open_, plan, refused, route, told

commands(["diff"])

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
    before = plan(route("alias", to, host="p.test"), route("r"), site=DEMAND, more=ways[to])
    assert "backend-opened:alias" in refused(old, before), "by its own name, wherever it stands in the file"
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


def test_a_key_that_leaves_its_token_is_a_weakening_and_one_that_is_in_one_now_is_none() -> None:
    old = plan(route("r"), more='[engine]\nkeys = "apart"\n')
    uri = "pkcs11:token=edge;object=shop?module-path=/m.so"
    inside = read_plan(old.model_dump_json().replace('"file:y"', f'"{uri}"'))
    other = read_plan(inside.model_dump_json().replace("object=shop", "object=next"))
    assert refused(inside, old) == {"key-out-of-token:x"}
    assert refused(old, inside) == set()
    assert {c.kind for c in compare(old, inside)} == {"key-in-token"}
    assert refused(inside, other) == {"key-moved:x"}, "another key is another place"


@pytest.mark.parametrize(
    ("more", "site"),
    [("", ""), ('upstream_protocol = "h2"\n', ""), ("", 'alpn = ["h2"]\n')],
    ids=["h1", "h2 to the backend", "h2 to clients"],
)
def test_tunnels_that_could_not_be_opened_are_told_when_they_can(more: str, site: str) -> None:
    """Whichever protocol is spoken on either side: they are opened over both."""
    old, new = plan(route("r", "mutual", "websocket = false\n")), plan(route("r", "mutual", more), site=site)
    assert refused(old, new) == {"tunnel-opened:r"}
    assert {c.kind for c in compare(new, old)} == {"tunnel-closed"}
    assert compare(old, plan(route("r", "mutual", 'upstream_protocol = "h2"\nwebsocket = false\n'))) == []
    assert compare(new, plan(route("r"))) == []


def test_how_answers_are_read_is_told_wherever_a_backend_may_choose_http1() -> None:
    lenient = 'answers = "lenient"\n'
    h1, auto, h2 = (
        plan(route("r", "mutual", f'upstream_protocol = "{word}"\n{lenient}websocket = false\n'))
        for word in ("http/1.1", "auto", "h2")
    )
    assert compare(h1, auto) == compare(auto, h1) == []
    assert {c.kind for c in compare(auto, h2)} == {"answers-tightened"}
    assert refused(h2, auto) == {"answers-loosened:r"}


def listening(*listeners: tuple[str, str, str]) -> Plan:
    """Name, address and trusted networks of each."""
    made = [
        f'{{"name":"{n}","bind":["{at}"],"no_sni":{{"answer":"refuse"}},"unknown_sni":{{"answer":"refuse"}},'
        f'"accept_proxy":[],"trusted_proxies":[{trusted}],"trusted_clients":[],"believe":["address"],"connections":1,"speaks":{{"kind":"tls"}},"starttls":null}}'
        for n, at, trusted in listeners
    ]
    bare = plan(route("r")).model_dump(mode="json")
    bare["listeners"] = json.loads(f"[{','.join(made)}]")
    return read_plan(json.dumps(bare))


NET = '"10.0.0.0/8"'


def test_a_listener_that_takes_anothers_name_does_not_take_its_trust_along() -> None:
    old = listening(("in", "127.0.0.1:8443", NET), ("out", "0.0.0.0:443", ""))
    assert refused(old, listening(("in", "127.0.0.1:8443", NET), ("other", "[::]:443", ""))) == set()
    assert refused(old, listening(("out", "127.0.0.1:8443", NET), ("in", "[::]:443", NET))) == {
        "trusted-widened:[::]:443"
    }


def test_a_listener_that_moves_is_compared_with_what_it_was_and_one_that_is_new_with_nobody() -> None:
    other = ("other", "127.0.0.1:9443", "")
    old = listening(("l", "127.0.0.1:8443", NET), other)
    moved = compare(old, listening(("l", "127.0.0.1:8444", NET), other))
    assert {c.allow for c in moved} == {"address-added:127.0.0.1:8444", "address-removed:127.0.0.1:8443"}
    wider = listening(("l", "127.0.0.1:8444", '"10.0.0.0/8", "11.0.0.0/8"'), other)
    assert [c.what for c in told(old, wider, "trusted-widened")] == ["X-Forwarded-For of 11.0.0.0/8 is believed"]
    new = listening(("new", "127.0.0.1:8444", NET), other)
    assert refused(old, new) == {"trusted-widened:127.0.0.1:8444"}


@pytest.mark.parametrize(
    ("near", "far"),
    [
        ("127.0.0.1:1", "10.0.0.1:1"),
        ("10.0.0.1:1", "1.1.1.1:1"),
        ("[::1]:1", "0.0.0.0:1"),
        ("10.0.0.1:1", "[::]:1"),
    ],
)
def test_connections_from_farther_away_are_told(near: str, far: str) -> None:
    old, new = (listening(("l", at, "")) for at in (near, far))
    assert refused(old, new) == {f"address-exposed:{far}"}
    assert refused(new, old) == set()
    assert refused(new, listening(("l", far.replace(":1", ":2"), ""))) == set()


BLIND = route("p", "passthrough", host="p.test")


@pytest.mark.parametrize("field", ["no_sni", "unknown_sni"])
def test_hellos_without_a_known_name_that_the_edge_begins_to_read_are_told(field: str) -> None:
    blind, read = (plan(route("r"), BLIND, listener=f'{field} = "{it}"') for it in ("p", "s"))
    assert refused(blind, read) == {"boundary-moved:127.0.0.1:8443"}
    assert refused(read, blind) == set()
    assert all("'p'" in c.what and "'s'" in c.what for c in told(blind, read, "boundary-moved"))


def test_a_site_that_only_grows_is_the_same_answer() -> None:
    old = plan(route("r"), listener='no_sni = "s"')
    grown = read_plan(old.model_dump_json().replace('"b.test"', '"b.test","c.test"'))
    assert {c.kind for c in compare(old, grown)} == {"name-covered"}


def test_clients_of_a_route_that_is_gone_are_not_said_to_be_refused_where_they_are_answered() -> None:
    other = route("q", "passthrough", host="q.test")
    for listener, refuses in (("", True), ('unknown_sni = "q"', False)):
        changes = told(plan(BLIND, other, listener=listener), plan(other, listener=listener), "route-removed")
        assert changes and all(("refused" in c.so) == refuses for c in changes)


def test_a_log_where_no_line_stays_is_no_evidence() -> None:
    old = plan(route("r"))
    assert refused(old, plan(route("r"), more='[log]\naccess = "/var/log/everyhop.log"\n')) == set()
    nowhere = '[log]\naccess = "/dev/null"\n'
    assert refused(old, plan(route("r"), more=nowhere)) == {"evidence-weakened:log"}
    with pytest.raises(Refused) as refusal:
        plan(route("r", more='requires = ["request-log"]\n'), more=nowhere)
    assert [f.slug for f in refusal.value.findings] == ["route/requirement-not-configured"]


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("", "127.0.0.1:1", "status-moved"),
        ("127.0.0.1:1", "127.0.0.1:2", "status-moved"),
        ("10.0.0.1:1", "10.0.0.1:2", "status-moved"),
        ("127.0.0.1:1", "10.0.0.1:1", "status-exposed"),
        ("10.0.0.1:1", "10.0.0.2:1", "status-exposed"),
        ("", "0.0.0.0:1", "status-exposed"),
        ("0.0.0.0:1", "10.0.0.1:1", "status-closed"),
        ("10.0.0.1:1", "", "status-closed"),
    ],
)
def test_metrics_are_said_to_go_where_they_go(old: str, new: str, kind: str) -> None:
    plans = [plan(route("r"), more=f'[status]\nbind = "{at}"\n' if at else "") for at in (old, new)]
    assert [c.kind for c in compare(*plans)] == [kind]


def test_a_tunnel_on_this_host_that_is_no_longer_said_to_be_one_is_told() -> None:
    others = '"10.0.0.1:1", "127.0.0.1:7"'
    said_so = plan(open_("r", to=f'{{ at = "127.0.0.1:1", off_host = true }}, {others}'))
    assert refused(said_so, plan(open_("r", to=others))) == set()
    assert refused(said_so, plan(open_("r", to=f'"127.0.0.1:1", {others}'))) == {"off-host-unsaid:r"}


def test_what_happens_to_an_overdue_list_is_silence_where_there_is_none() -> None:
    def demanding(more: str) -> Plan:
        return plan(route("r"), site=f'clients = {{ ca = "d"{more} }}\n')

    assert compare(demanding(""), demanding(', stale_crl = "allow"')) == []
    listed = ', crl = "e"'
    assert refused(demanding(listed), demanding(listed + ', stale_crl = "allow"')) == {"revocation-weakened:s"}


SETTINGS = [
    ('[engine]\nuser = "nobody"\n', '[engine]\nuser = "root"\n', "user-changed:engine"),
    ("", '[engine]\nuser = "everyhop"\n', "user-changed:engine"),
    ('[admin]\nsocket = "/run/everyhop/a"\n', '[admin]\nsocket = "/tmp/a"\n', "control-moved:admin"),
    ('[engine]\nuser = "root"\n', "", None),
    ("", '[engine]\nuser = "nobody"\n', None),
]


@pytest.mark.parametrize(("old", "new", "allow"), SETTINGS)
def test_what_is_in_no_plan_is_told_too(tmp_path: Path, old: str, new: str, allow: str | None) -> None:
    files = []
    for name, more in (("old", old), ("new", new)):
        files.append(str(tmp_path / f"{name}.toml"))
        Path(files[-1]).write_text(HEAD.format(listener="", site="", more=more) + route("r"))
    done = CliRunner().invoke(app, ["diff", *files, "--json"])
    given = json.loads(done.stdout)["changes"]
    assert done.exit_code == (0 if allow is None else 1)
    assert [f"{c['kind']}:{c['about']}" for c in given if c["refused"]] == ([] if allow is None else [allow])
    if allow is not None:
        assert CliRunner().invoke(app, ["diff", *files, "--allow", allow]).exit_code == 0


def test_a_routes_name_is_no_markup_in_a_pull_request(tmp_path: Path) -> None:
    files = []
    for name, tls in (("old", "mutual"), ("new", "reencrypt")):
        files.append(str(tmp_path / f"{name}.toml"))
        text = HEAD.format(listener="", site="", more="") + route("![x](http://x.test) `y` **z**", tls)
        Path(files[-1]).write_text(text)
    out = CliRunner().invoke(app, ["diff", *files, "--format", "markdown"]).stdout
    assert (
        "hop-weakened" in out and "![x](" not in out.split("If they are meant")[0] and "**z**" not in out.split("If")[0]
    )
    assert out.rstrip().split("If they are meant: ")[1].count("`") == 2
