"""The order of compiling: read the form, read the files, judge by every rule, and only then build.

Nothing is half compiled: a refusal leaves no plan, and all refusals of a file come at once.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from everyhop.compile import rules_edits, rules_hops, rules_names, rules_reach, rules_requirements, rules_routes
from everyhop.compile.build import GROUPS, build
from everyhop.compile.files import read_files, read_names
from everyhop.compile.reading import read
from everyhop.compile.ways_in import ways_in
from everyhop.compile.world import World
from everyhop.errors import Refused
from everyhop.identity import Mark
from everyhop.model import Config
from everyhop.plan import NamePlace, Plan, canonical, digest
from everyhop.refusals import Finding
from everyhop.source import Document, Place

Files = Literal["read", "if-there", "skip"]
"""Which files compiling may open. `read`: all that are named, and one that cannot be used is refused. `if-there`: only
what the plan itself depends on, the names in certificates of sites without `hosts`; no key, and what is not there is
guessed and said. `skip`: none."""


def policy_groups() -> list[str]:
    """Key exchange groups in order of preference."""
    return list(GROUPS)


@dataclass(frozen=True)
class Material:
    """Keys and certificates for the engine. `entries` and `digest` may be shown; `blob` holds private keys."""

    entries: list[dict[str, object]]
    digest: str
    blob: bytes = field(repr=False)


@dataclass(frozen=True)
class Compiled:
    """A plan with what belongs to it. `findings` are warnings and notes."""

    plan: Plan
    plan_json: str
    plan_digest: str
    material: Material
    findings: list[Finding]
    document: Document = field(repr=False)
    route_names: list[str]
    watched: dict[Path, Mark]
    """The files that were read for it, as they were before they were read."""
    names: set[str]
    text: str = field(repr=False)
    path: Path
    config: Config = field(repr=False)
    """With what concerns the supervisor alone and stands in no plan."""
    guessed: tuple[str, ...] = ()
    """Sites whose hosts were guessed, since their certificates were not read."""

    @property
    def comparable(self) -> bool:
        """Whether the digest is that of the plan that an edge would run from this file."""
        return not self.guessed

    @property
    def reservation(self) -> str:
        """What must stand beside the digest wherever it is shown; empty where it may be compared."""
        if not self.guessed:
            return ""
        whose = ", ".join(map(repr, self.guessed))
        return f" (not comparable: the certificates of site {whose} were not read, and its hosts come from them)"

    def places(self) -> dict[str, Place]:
        """Where each route stands in the file. Looked up only when asked: it costs a scan of the text."""
        return {name: self.document.place(("route", i)) for i, name in enumerate(self.route_names)}


def compile_file(
    path: str | Path,
    *,
    now: dt.datetime | None = None,
    files: Files = "read",
    past_dates: Literal["refuse", "close"] = "refuse",
    text: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Compiled:
    """Compiles the file at `path`.

    `now` judges dates (default: the clock), `environ` holds the keys of `env:` and the folder of `cred:` (default: this
    process's). `files` says what may be opened: see `Files`.
    `past_dates="close"` warns of what is over instead of refusing: its routes are closed by the engine. `text` stands
    in for the file's content: a supervisor that re-reads certificates must not pick up an edit that nobody asked for.

    Raises `Refused` with every finding.
    """
    document, config = read(Path(path), text)
    world = World(document, config, now or dt.datetime.now(dt.UTC), past_dates)
    if files == "read":
        read_files(world, os.environ if environ is None else environ)
    elif files == "if-there":
        read_names(world)
    rules_names.judge(world)
    guessed = guess_hosts(world)
    ways = ways_in(world)
    rules_routes.judge(world)
    rules_edits.judge(world)
    rules_reach.judge(world, ways)
    rules_requirements.judge(world, ways)
    rules_hops.judge(world)
    if any(f.severity == "refused" for f in world.findings):
        raise Refused(world.findings, document.text)
    plan = build(world)
    plan_json = canonical(plan.model_dump(mode="json"))
    return Compiled(
        plan=plan,
        plan_json=plan_json,
        plan_digest=digest(plan_json),
        material=material(world, plan),
        findings=world.findings,
        document=document,
        route_names=[r.name for r in config.route],
        watched={path: mark for files in read_for(world) for path, mark in files.items()},
        names=backend_names(plan),
        text=document.text,
        path=Path(path),
        config=config,
        guessed=guessed,
    )


def read_for(world: World) -> list[dict[Path, Mark]]:
    pairs, roots, crls = world.pairs.values(), world.roots.values(), world.crls.values()
    return [*(p.files for p in pairs), *(r.files for r in roots), *(c.files for c in crls)]


def guess_hosts(world: World) -> tuple[str, ...]:
    """A site whose hosts stand in a certificate that was not read is believed to have those of the routes; which were."""
    routed = [h for r in world.config.route if r.tls != "passthrough" for h in r.hosts]
    known = {h for hosts in world.site_hosts.values() for h in hosts}
    guessed = []
    for site in world.config.site:
        if site.hosts is None and not world.site_hosts.get(site.name):
            world.site_hosts[site.name] = sorted({h for h in routed if h not in known})
            known.update(world.site_hosts[site.name])
            guessed.append(site.name)
    return tuple(guessed)


def backend_names(plan: Plan) -> set[str]:
    places = []
    for route in plan.routes:
        places += route.way.backends if route.way.ends == "at_backend" else [b.at for b in route.way.backends]
    return {p.name for p in places if isinstance(p, NamePlace)}


def material(world: World, plan: Plan) -> Material:
    """What the plan refers to and nothing else: an engine of passthrough routes alone is sent no key."""
    certs: dict[str, dict[str, str]] = {}
    entries: list[dict[str, object]] = []

    def pair(id_: str, key: tuple[str | int, ...]) -> None:
        it = world.pairs.get(key)
        if it is None:
            return
        certs[id_] = {"chain": it.chain_pem.decode(), "key": it.key_pem.decode()}
        ends = int(it.not_after.timestamp())
        entries.append({"id": id_, "chain_sha256": it.chain_sha256, "key_sha256": it.key_sha256, "not_after_s": ends})

    for i, site in enumerate(world.config.site):
        for j in range(len(site.certs)):
            pair(f"site/{site.name}/{j}", ("site", i, "certs", j))
    for i, identity in enumerate(world.config.identity):
        pair(f"identity/{identity.name}", ("identity", i))
    cas: dict[str, str] = {}
    for label, roots in world.roots.items():
        cas[f"ca/{label}"] = roots.pem.decode()
        entries.append({"id": f"ca/{label}", "chain_sha256": roots.sha256, "key_sha256": None, "not_after_s": None})
    crls: dict[str, str] = {}
    for label, crl in world.crls.items():
        crls[f"crl/{label}"] = crl.pem.decode()
        ends = int(crl.next_update.timestamp())
        entries.append({"id": f"crl/{label}", "chain_sha256": crl.sha256, "key_sha256": None, "not_after_s": ends})
    entries.sort(key=lambda e: str(e["id"]))
    blob = json.dumps({"certs": certs, "cas": cas, "crls": crls}).encode()
    return Material(entries, digest(canonical(entries)), blob)
