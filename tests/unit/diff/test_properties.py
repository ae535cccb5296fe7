"""For random pairs of plans and random requests: what a request loses, `diff` tells; what means the same is silence; and
`explain` claims of a route nothing that some request to it does not get.

What a request gets is asked of the engine's matcher and weighed here by rules of the test's own.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from everyhop.compile import compile_file
from everyhop.diff import compare
from everyhop.diff.networks import left
from everyhop.errors import Refused
from everyhop.plan import AtBackend, Here, Outcome, Plan, Question, decide, read_plan
from everyhop.trust import trust_map

pytestmark = pytest.mark.thorough

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
HOSTS = ["a.test", "b.test", "*.w.test", "x.w.test", "*"]
ASKED = ["a.test", "b.test", "x.w.test", "z.w.test", "deep.x.w.test", "other.test"]
PATHS = ["/", "/a", "/a/b", "/c"]
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
VERIFY = 'verify = { ca = "c", name = "n" }'
ACCEPTED = 'acceptance = { owner = "o", why = "w", context = "legacy", since = 2026-11-01, until = 2027-03-01 }\n'
BACKENDS = {
    "mutual": ['"10.0.0.1:1"', '"10.0.0.2:1"'],
    "reencrypt": ['"10.0.0.1:1"', f'{{ at = "10.0.0.2:1", tls = "mutual", present = "i", {VERIFY} }}'],
    "plaintext": ['"10.0.0.1:1"', '"127.0.0.1:1"', f'{{ at = "10.0.0.3:1", tls = "reencrypt", {VERIFY} }}'],
    "passthrough": ['"10.0.0.1:1"', '"10.0.0.2:1"'],
}


ALLOWED = ["", "", 'clients = ["one"]', 'clients = ["one", "two"]']
NETWORKS = [
    "",
    "",
    'networks = ["10.0.0.0/8"]',
    'networks = ["10.0.0.0/9", "192.0.2.7"]',
    'networks = ["2001:db8::/32"]',
]
CLIENTS = ["", 'clients = { ca = "d" }\n', 'clients = { ca = "d", mode = "ask" }\n']


def route(draw: st.DrawFn, name: str, host: str, passed: bool, allow: bool) -> str:
    tls = "passthrough" if passed else draw(st.sampled_from(["mutual", "mutual", "reencrypt", "plaintext", "answered"]))
    if tls == "answered":
        given = draw(
            st.sampled_from(["answer = { status = 503 }", 'redirect = { to = "https://other.test{path}{query}" }'])
        )
        text = f'[[route]]\nname = "{name}"\nhost = "{host}"\n{given}\n'
        return text + matching(draw, name, allow)
    to = draw(st.lists(st.sampled_from(BACKENDS[tls]), min_size=1, max_size=2, unique=True))
    text = f'[[route]]\nname = "{name}"\nhost = "{host}"\ntls = "{tls}"\nto = [{", ".join(to)}]\n'
    if passed:
        return text + allowed(draw, False)
    text += f"{VERIFY}\n" if tls != "plaintext" else ""
    text += 'present = "i"\n' if tls == "mutual" else ""
    text += ACCEPTED if tls == "plaintext" and '"10.0.0.1:1"' in to else ""
    text += draw(
        st.sampled_from(["", "", "websocket = false\n", 'upgrades = ["tcp"]\n', 'upgrades = ["websocket", "tcp"]\n'])
    )
    return text + matching(draw, name, allow)


def allowed(draw: st.DrawFn, clients: bool) -> str:
    said = [draw(st.sampled_from(ALLOWED)) if clients else "", draw(st.sampled_from(NETWORKS))]
    return f"allow = {{ {', '.join(filter(None, said))} }}\n" if any(said) else ""


def matching(draw: st.DrawFn, name: str, allow: bool) -> str:
    text = draw(st.sampled_from(["", *(f'path = "{p}"\n' for p in PATHS[1:]), 'path_exact = "/a"\n']))
    text += draw(st.sampled_from(["", "", 'method = "PUT"\n']))
    text += draw(st.sampled_from(["", "", 'headers = { x = "1" }\n']))
    text += allowed(draw, allow)
    # Two that tie are refused, and that is another test's matter.
    return text + f"priority = {10 * draw(st.integers(0, 1)) + int(name[1:])}\n"


def sites(draw: st.DrawFn, ended: list[str], demands: bool) -> str:
    cut = draw(st.integers(0, len(ended)))
    text = ""
    for name, hosts in (("s", ended[:cut]), ("t", ended[cut:])):
        clients = draw(st.sampled_from(CLIENTS[1:] if demands else CLIENTS))
        if hosts:
            text += f'[[site]]\nname = "{name}"\nhosts = {json.dumps(hosts)}\ncerts = [{{ chain = "{name}", key = "file:{name}" }}]\n{clients}'
    return text


def compiled(text: str) -> Plan | None:
    try:
        return compile_file("random.toml", now=NOW, files="skip", text=text).plan
    except Refused:
        return None


def whole(written: list[str], of_sites: str) -> str:
    return (
        'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:8443"]\n'
        f'{of_sites}[[identity]]\nname = "i"\nchain = "i"\nkey = "file:i"\n{"".join(written)}'
    )


@st.composite
def plans(draw: st.DrawFn) -> tuple[Plan, Plan]:
    """A plan, and the same after an edit: routes changed, dropped or added, sites cut otherwise, TLS ended elsewhere."""
    demands = draw(st.booleans())
    blind = draw(st.sampled_from([[], [], ["a.test"], ["*.w.test"]]))
    written = {}
    for i in range(draw(st.integers(1, 4))):
        host = draw(st.sampled_from(HOSTS))
        if host in blind:
            host, i = blind[0], 9
        written[f"r{i}"] = route(draw, f"r{i}", host, host in blind, demands)
    edited, now_blind = dict(written), blind
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(sorted(edited)))
        kind = draw(st.sampled_from(["drop", "new", "edit", "edit", "weaken"]))
        if kind == "drop" and len(edited) > 1:
            del edited[name]
        elif kind == "new" and name != "r9":
            edited[name] = route(
                draw, name, draw(st.sampled_from([h for h in HOSTS if h not in blind])), False, demands
            )
        elif kind == "edit" and name == "r9":
            edited[name], now_blind = route(draw, name, blind[0], False, demands), []
        elif kind == "weaken":
            weak = edited[name].replace('tls = "mutual"\n', 'tls = "reencrypt"\n', 1)
            edited[name] = weak.replace('present = "i"\n', "", 1) if weak != edited[name] else weak
        else:
            lines = edited[name].splitlines(keepends=True)
            optional = [i for i, line in enumerate(lines) if line.split(" ")[0] in OPTIONAL]
            gone = draw(st.sampled_from(optional)) if optional else -1
            edited[name] = "".join(line for i, line in enumerate(lines) if i != gone)
    of_sites = sites(draw, [h for h in HOSTS if h not in blind], demands)
    same = blind == now_blind and draw(st.booleans())
    after = of_sites if same else sites(draw, [h for h in HOSTS if h not in now_blind], demands)
    old, new = compiled(whole(list(written.values()), of_sites)), compiled(whole(list(edited.values()), after))
    assume(old is not None and new is not None)
    assert old is not None and new is not None
    return old, new


OPTIONAL = {"path", "path_exact", "method", "headers", "websocket", "upgrades", "allow"}


@st.composite
def requests(draw: st.DrawFn) -> Question:
    host = draw(st.sampled_from(ASKED))
    return Question(
        host=host,
        sni=host,
        address=draw(st.sampled_from([None, None, "10.0.0.1", "10.200.0.1", "192.0.2.7", "2001:db8::1"])),
        path=draw(st.sampled_from([*PATHS, "/a/x", "/a/b/x", "/z"])),
        method=draw(st.sampled_from(["GET", "PUT"])),
        headers=draw(st.sampled_from([(), (("x", "1"),), (("x", "2"),)])),
    )


RANK = {"plaintext": 0, "reencrypt": 1, "mutual": 2}
DEMAND = {"nothing": 0, "ask": 1, "require": 2}


def weaker(old: Plan, was: Outcome, new: Plan, now: Outcome) -> str | None:
    """In which way the request is worse off; it must be served by both."""
    a, b = old.routes[was.route or 0].way, new.routes[now.route or 0].way
    if a.allow_networks is not None and (b.allow_networks is None or left(b.allow_networks, a.allow_networks)):
        return "it may come from elsewhere"
    if isinstance(a, AtBackend) or isinstance(b, AtBackend):
        return "the edge reads it" if isinstance(a, AtBackend) and not isinstance(b, AtBackend) else None
    demands = [p.sites[o.site or 0].clients.mode for p, o in ((old, was), (new, now))]
    if DEMAND[demands[1]] < DEMAND[demands[0]]:
        return "less is demanded of the client"
    if a.allow_clients is not None and (b.allow_clients is None or set(b.allow_clients) - set(a.allow_clients)):
        return "other clients may send it"
    if isinstance(b, Here):
        return None
    if isinstance(a, Here):
        return "a backend reads it"
    if min(RANK[x.hop.tls] for x in b.backends) < min(RANK[x.hop.tls] for x in a.backends):
        return "its weakest hop protects less"
    hops = {str(x.at): RANK[x.hop.tls] for x in a.backends}
    if any(RANK[x.hop.tls] < hops.get(str(x.at), 0) for x in b.backends):
        return "one of its hops protects less"
    readers = [
        {str(x.at) for x in way.backends if getattr(getattr(x.hop, "reach", None), "kind", "") == "accepted"}
        for way in (a, b)
    ]
    if readers[1] - readers[0]:
        return "another network reads it"
    if set(b.upgrades) - set(a.upgrades):
        return "it may become a tunnel"
    return None


@SETTINGS
@given(plans(), st.lists(requests(), min_size=12, max_size=12))
def test_what_a_request_loses_is_refused_until_it_is_allowed(both: tuple[Plan, Plan], asked: list[Question]) -> None:
    old, new = both
    changes = compare(old, new)
    refused = [c for c in changes if c.direction == "weaker" and not c.covered]
    for question, was, now in zip(asked, decide(old, asked), decide(new, asked), strict=True):
        if was.served and now.served and (why := weaker(old, was, new, now)) is not None:
            event(why)
            assert refused, f"{question}: {why}, and diff says {changes}"


@SETTINGS
@given(plans(), st.randoms(use_true_random=False))
def test_names_and_order_are_silence(both: tuple[Plan, Plan], random: Any) -> None:
    old, _ = both
    new = old.model_dump(mode="json")
    random.shuffle(new["routes"])
    random.shuffle(new["sites"])
    text = json.dumps(new)
    for name in {r["name"] for r in new["routes"]} | {"s", "t", "l"}:
        text = text.replace(f'"name": "{name}"', f'"name": "{name}-renamed"')
    renamed = read_plan(text.replace('"present": "i"', '"present": "j"').replace('"name": "i"', '"name": "j"'))
    assert compare(old, renamed) == []


@SETTINGS
@given(plans(), st.lists(requests(), min_size=12, max_size=12))
def test_explain_claims_nothing_that_a_request_does_not_get(both: tuple[Plan, Plan], asked: list[Question]) -> None:
    plan, _ = both
    maps = trust_map(plan)
    claims = {"not asked": 0, "asked": 1, "required": 2}
    for question, got in zip(asked, decide(plan, asked), strict=True):
        if got.route is None or not got.served:
            continue
        said, way = maps[got.route], plan.routes[got.route].way
        if isinstance(way, AtBackend):
            assert (said.way, said.clients, "edge" in said.readers) == ("passthrough", "at the backend", False)
            continue
        site = plan.sites[got.site or 0]
        assert claims[said.clients] <= DEMAND[site.clients.mode], question
        proofs = " ".join(said.hops[0].proofs)
        assert ("client to the edge" in proofs) <= (site.clients.mode != "nothing")
        assert site.name in {s.site for s in said.sites}
        if isinstance(way, Here):
            assert (said.way, said.readers, said.backends) == ("answered", ("client", "edge"), ())
        else:
            assert RANK[said.way] == min(RANK[b.hop.tls] for b in way.backends)
        assert (said.hops[0].oldest or "9") <= min(site.policy.versions)
        assert ("the backend's network" in said.readers) == bool(said.accepted_for)
