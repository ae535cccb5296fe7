"""A wrong diff is never silent: every field of a plan is marked, and one change of each is told or kept quiet as marked."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from everyhop import plan
from everyhop.compile import compile_file
from everyhop.diff import KINDS, Change
from everyhop.diff import compare as compare_plans
from everyhop.plan import Told

GOLDEN = Path(__file__).parents[3] / "schema" / "golden"
DISCRIMINATORS = {"count", "to", "kind", "answer", "mode", "tls", "ends", "format"}


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """Two plans in their JSON form."""
    return compare_plans(*(plan.read_plan(json.dumps(p)) for p in (old, new)))


def golden(name: str = "everything") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return found


def parts(value: object) -> Iterator[BaseModel]:
    if isinstance(value, BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from parts(getattr(value, name))
    elif isinstance(value, list):
        for item in value:
            yield from parts(item)


def models(annotation: object, seen: set[type[BaseModel]]) -> None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
        seen.add(annotation)
        for field in annotation.model_fields.values():
            models(field.annotation, seen)
    for inner in get_args(annotation):
        models(inner, seen)


def marks() -> dict[str, list[Told]]:
    """By the class of the plan's form and its field; what says which of several forms a part has is no field."""
    seen: set[type[BaseModel]] = set()
    models(plan.Plan, seen)
    return {
        f"{m.__name__}.{name}": [mark for mark in field.metadata if isinstance(mark, Told)]
        for m in seen
        for name, field in m.model_fields.items()
        if name not in DISCRIMINATORS
    }


FIELDS = {name: found[0] for name, found in marks().items() if found}


def test_every_field_of_a_plan_is_marked() -> None:
    assert {name: found for name, found in marks().items() if len(found) != 1} == {}


def test_a_plan_compared_with_itself_is_silence() -> None:
    for name in ("everything", "passthrough"):
        assert compare(golden(name), golden(name)) == []


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every leaf (and list of leaves) of a plan."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*at, key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, inner in enumerate(value):
            yield from paths(inner, (*at, index))
    else:
        yield at


def get(value: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        value = value[part]
    return value


OTHER: dict[str, Any] = {
    "certs": [{"material": "site/x/0", "chain": "x.pem", "key": "file:x.key"}],
    "bind": ["[::]:9443"], "accept_proxy": ["10.77.0.0/16"], "trusted_proxies": ["10.77.0.0/16"], "trusted_clients": ["other.internal"], "believe": ["address"], "collectors": [{"name": "x", "under": "", "backends": []}], "traces": {"collector": "x", "ppm": 0, "slow_ms": 1, "service": "x", "resource": [], "query": False}, "authorizers": [{"name": "x", "speaks": {"kind": "http", "target": "/x"}, "sends": [], "takes": [], "when_down": {"kind": "refuse"}, "deadline_ms": 1000, "at_once": 1000, "backends": []}], "wafs": [{"name": "x", "mode": "block", "paranoia": 1, "extra": [], "exclude": [], "body_bytes": 9, "over_body": "refuse", "when_down": {"kind": "refuse"}, "deadline_ms": 1000, "at_once": 10}], "extra": ["other.conf"], "exclude": [{"rule": 941100, "path": "", "argument": "", "owner": "o", "why": "w", "until": "2027-03-01", "closes_at_s": 4_000_000_000}], "hosts": ["other.example.com"],
    "versions": ["1.3"], "suites": ["TLS_AES_128_GCM_SHA256"], "groups": ["X25519"], "priority": 99, 
    "pattern": "mutual", "methods": ["PUT"], "allow_clients": ["someone"], "allow_networks": ["192.0.2.0/24"], "ip": "10.99.0.1", "port": 1, "closes_at_s": 4_000_000_000,
    "alpn": ["h2"], "eject_on": ["5xx"], "slow_ms": 77, "zone": "elsewhere", "upgrades": ["tcp"], "requires": ["jwt"], 
    "spread": {"by": {"kind": "least"}, "shares": [], "sticky": None, "health": None, "slow_start_s": 0}, "sticky": {"cookie": "__Host-other"},
    "mirror": {"share_per_million": 7, "upstream_protocol": "http/1.1", "request": {"remove": [], "set": [], "add": []}, "body_bytes": 7, "at_once": 7, "timeout_s": 7, "backends": [{"at": {"kind": "ip", "ip": "10.77.0.9", "port": 1}, "hop": {"tls": "plaintext", "reach": {"kind": "same_host"}}}]},
    "health": {"asks": {"kind": "connect"}, "every_s": 9, "timeout_s": 9, "down_after": 9, "up_after": 9},
    "headers": [{"of": "field", "name": "x-other", "equals": "y"}],
    "names": ["mallory"], "basic": {"file": "other.users", "names": ["mallory"], "realm": None, "strip": False},
    "jwt": {"issuers": ["corp"], "at": {"kind": "authorization"}, "claims": [], "strip": False}, "algorithms": ["PS512"], "audience": ["other"],
    "limited_by": [{"name": "other", "rate": None, "at_once": 3, "by": [], "ipv6_prefix": 64, "keys": 1000, "mode": "refuse", "shared": None, "tells": "refusals", "x_ratelimit": False}],
    "user": "other", "password": "file:other.password", "shared": {"store": "counters", "when_down": "local"}, "stores": [{"name": "x", "speaks": {"kind": "redis"}, "backends": [], "user": None, "password": None, "database": 0}],
    "connections": 77, "most": {"connections": None, "requests": 1, "waiting": 0, "wait_s": 5}, "tickets": {"keys": ["file:other.key"], "rotate_s": 7200}, "hsts": {"max_age_s": 60, "subdomains": False, "preload": False},
    "origins": ["https://other.test"], "expose": ["x-other"], "codings": ["br"], "retries": {"attempts": 2, "on": [503], "per_try_s": None, "budget_percent": 20}, "on": [504], "cookies": {"secure": True, "http_only": False, "same_site": None, "path": None}, "compress": {"codings": ["gzip"], "with_credentials": False}, "cors": {"origins": ["*"], "methods": [], "headers": [], "expose": [], "max_age_s": 60, "credentials": False}, "location": [], "pages": [{"first": 404, "last": 404, "page": "page/other.html"}], "set": [{"name": "x-other", "value": []}], "fields": [{"name": "x-other", "value": []}], "add": [{"name": "x-other", "value": []}],
}  # fmt: skip


WORDS = {
    "on_full": ("drop", "refuse"),
    "upstream_protocol": ("http/1.1", "h2"),
    "protocol": ("http", "tcp"),
    "starttls": ("postgres", None),
    "paths": ("faithful", "strict"),
    "answers": ("strict", "lenient"),
    "locations": ("rewrite", "keep"),
    "same_site": ("strict", "lax"),
    "send_proxy": ("off", "v2"),
    "sandbox": ("off", "enforce"),
    "keys": ("engine", "apart"),
    "crl": ("crl/one", "crl/two"),
    "host_header": ("one.test", "two.test"),
    "of": ("host", "path"),
    "page": ("page/one.html", "page/two.html"),
    "context": ("legacy", "vendor-appliance"),
    "data": ("public", "internal"),
    "stale_crl": ("refuse", "allow"),
    "type": ("jwt", "at+jwt"),
    "mode": ("refuse", "observe"),
    "when_down": ("local", "refuse"),
    "tells": ("refusals", "answers"),
    "ask": ("sso", "policy"),
    "waf": ("crs", "watch"),
    "over_body": ("refuse", "pass-inspected"),
}
"""Where a plan takes one of a few words: two of them."""


def other(path: tuple[Any, ...], value: Any) -> Any:
    key = next(p for p in reversed(path) if isinstance(p, str))
    if path == ("issuers",):
        given = {"name": "other", "issuer": "https://other.test", "audience": ["a"], "algorithms": ["ES256"]}
        return [{**given, "keys": {"kind": "file", "path": "/other.json"}, "type": None, "leeway_s": 30}]
    if path[:2] == ("status", "bind"):
        return "0.0.0.0:9180"
    if key == "pattern":
        return "reencrypt" if value != "reencrypt" else "mutual"
    if value in ("block", "detect"):
        return "detect" if value == "block" else "block"
    if value in ("field", "cookie"):
        return "cookie" if value == "field" else "field"
    if path[-2:] == ("form", "fields"):
        return ["time"]
    if path[-1] == "log":
        return {"kind": "quiet"}
    if path[-2:] == ("cors", "headers"):
        return ["x-other"]
    if key in WORDS and (value is None or isinstance(value, str)):
        return next(word for word in WORDS[key] if word != value)
    if key in OTHER and OTHER[key] != value:
        return OTHER[key]
    if isinstance(value, bool):
        return not value
    if value is None and key.endswith(("_s", "_bytes")):
        return 7
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return ("/other" + value) if value.startswith("/") else value + "x"
    return ["other"]


def owner(path: tuple[Any, ...], whole: plan.Plan | None = None) -> str:
    """The class and field that a path of the plan ends at."""
    at: Any = whole or plan.read_plan((GOLDEN / "everything.json").read_text())
    for part in path[:-1]:
        at = at[part] if isinstance(part, int) else getattr(at, part)
    while isinstance(at, list):
        raise AssertionError(path)
    return f"{type(at).__name__}.{path[-1]}"


# A name that others refer to cannot change alone: `test_renaming_and_reordering_are_silent` changes both ends.
# Nor can what a site and its routes carry, nor may a route that reads nothing match by more than its name: `test_streams.py`.
REFERRED = {
    "Site.protocol",
    "Site.listeners",
    "Site.name",
    "Route.listeners",
    "Listener.name",
    "Route.name",
    "Identity.name",
    "Issuer.name",
    "MutualHop.present",
    "Collector.name",
    "Traces.collector",
    "Authorizer.name",
    "Waf.name",
    "Store.name",
    "Shared.store",
    "AnswerSite.site",
    "AnswerRoute.route",
}


def of_streams(path: tuple[Any, ...]) -> bool:
    """What a route that reads nothing cannot match by."""
    return path[-1] in ("methods", "headers") and get(golden(), path[:-1]).get("upstream_protocol") == "tcp"


CASES = [
    p
    for p in paths(golden())
    if p[0] != "plan" and p[-1] not in DISCRIMINATORS and owner(p) not in REFERRED and not of_streams(p)
]


@pytest.mark.parametrize("path", CASES, ids=lambda p: ".".join(map(str, p)))
def test_one_change_of_a_field_is_told_if_it_matters_and_silent_if_not(path: tuple[Any, ...]) -> None:
    old, new = golden(), golden()
    value = get(new, path)
    get(new, path[:-1])[path[-1]] = other(path, value)
    field = owner(path)
    changes = compare(old, new)
    if FIELDS[field] is Told.ALWAYS:
        assert changes, f"{field} matters and nothing was said"
    elif FIELDS[field] is Told.NEVER:
        assert changes == [], f"{field} does not matter and {changes} was said"
    assert all(c.kind in KINDS and c.what and c.so for c in changes)


def random_configuration(seed: int) -> str:
    """A valid one of a few routes, each of any pattern."""
    import random

    rng = random.Random(seed)
    verify = 'verify = { ca = "c", name = "n" }\n'
    acceptance = 'acceptance = { owner = "o", why = "w", context = "legacy", since = 2026-11-01, until = 2027-08-01 }\n'
    kinds = [
        'tls = "passthrough"\nto = ["10.0.0.1:1", "p.test:2"]\nsend_proxy = "v2"\n',
        f'tls = "mutual"\nto = ["10.0.0.1:1"]\npresent = "i"\n{verify}',
        f'tls = "reencrypt"\nto = ["b.test:1", {{ at = "10.0.0.2:1", tls = "mutual", present = "i" }}]\n{verify}websocket = false\n',
        f'tls = "plaintext"\nto = ["10.0.0.1:1"]\n{acceptance}',
        'tls = "plaintext"\nto = ["127.0.0.1:1", "unix:/run/x"]\nmethod = ["GET"]\n',
    ]
    routes, hosts = "", []
    for i in range(rng.randint(1, 5)):
        kind = rng.choice(kinds)
        host = f"h{i}.test"
        extra = (
            ""
            if "passthrough" in kind
            else rng.choice(["", 'path = "/x"\n', 'path_exact = "/x"\nheaders = { a = "b" }\n', "priority = 3\n"])
        )
        hosts += [] if "passthrough" in kind else [host]
        routes += f'[[route]]\nname = "r{i}"\nhost = "{host}"\n{extra}{kind}data = "internal"\n'
    clients = rng.choice(["", 'clients = { ca = "d" }\n', 'clients = { ca = "d", mode = "ask" }\n'])
    site = (
        f'[[site]]\nname = "s"\nhosts = {json.dumps(hosts)}\ncerts = [{{ chain = "x", key = "file:y" }}]\n{clients}'
        if hosts
        else ""
    )
    trusted = rng.choice(["", 'trusted_proxies = ["10.1.0.0/16"]\n', 'accept_proxy = ["10.2.0.0/16"]\n'])
    return f'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:8443"]\n{trusted}{site}[[identity]]\nname = "i"\nchain = "x"\nkey = "file:y"\n{routes}'


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(40))
def test_the_same_holds_for_random_configurations(seed: int) -> None:
    now = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
    compiled = compile_file("random.toml", now=now, files="skip", text=random_configuration(seed))
    old = json.loads(compiled.plan_json)
    for path in paths(old):
        if path[0] == "plan" or path[-1] in DISCRIMINATORS or path == ("sites",):
            continue
        field = owner(path, compiled.plan)
        if field in REFERRED or FIELDS[field] is Told.BY_EFFECT:
            continue
        new = json.loads(compiled.plan_json)
        get(new, path[:-1])[path[-1]] = other(path, get(new, path))
        changes = compare(old, new)
        assert bool(changes) == (FIELDS[field] is Told.ALWAYS), f"{field} at {path}: {changes}"


def test_renaming_and_reordering_are_silent() -> None:
    old, new = golden(), golden()
    new["routes"].reverse()
    new["listeners"][0]["name"] = "renamed"
    for it in (*new["sites"], *new["routes"]):
        it["listeners"] = it["listeners"] and ["renamed" if name == "public" else name for name in it["listeners"]]
    for route in new["routes"]:
        route["name"] += "-renamed"
    new["listeners"][0]["unknown_sni"]["route"] += "-renamed"
    for site in new["sites"]:
        site["name"] += "-renamed"
    new["listeners"][0]["no_sni"]["site"] += "-renamed"
    for identity in new["identities"]:
        identity["name"] += "-renamed"
    new["traces"]["collector"] += "-renamed"
    for it in new["collectors"]:
        it["name"] += "-renamed"
    for it in new["stores"]:
        it["name"] += "-renamed"
    for route in new["routes"]:
        for it in route["way"].get("limited_by", []):
            if it["shared"]:
                it["shared"]["store"] += "-renamed"
    backends = [b for route in new["routes"] for b in route["way"].get("backends", [])]
    for hop in (
        b["hop"] for b in [*backends, *new["collectors"][0]["backends"], *new["stores"][0]["backends"]] if "hop" in b
    ):
        if "present" in hop:
            hop["present"] += "-renamed"
    assert compare(old, new) == []
