"""The order of compiling: read the form, read the files, judge by every rule, and only then build.

Nothing is half compiled: a refusal leaves no plan, and all refusals of a file come at once.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from everyhop.compile import (
    rules_acceptance,
    rules_acme,
    rules_answers,
    rules_any_host,
    rules_authorizers,
    rules_basic,
    rules_collectors,
    rules_cors,
    rules_edits,
    rules_eject,
    rules_health,
    rules_hops,
    rules_hsts,
    rules_identities,
    rules_include,
    rules_key_servers,
    rules_limits,
    rules_listeners,
    rules_lists,
    rules_log,
    rules_most,
    rules_names,
    rules_networks,
    rules_onward,
    rules_pages,
    rules_pkcs11,
    rules_plain,
    rules_policies,
    rules_reach,
    rules_requirements,
    rules_retries,
    rules_routes,
    rules_serve,
    rules_spread,
    rules_stores,
    rules_streams,
    rules_tickets,
    rules_tokens,
    rules_upgrades,
    rules_vouching,
    rules_waf,
    rules_waf_fit,
)
from everyhop.compile.build import build
from everyhop.compile.compiled import Compiled, Files
from everyhop.compile.files import read_files, read_names
from everyhop.compile.material import material
from everyhop.compile.policies import GROUPS
from everyhop.compile.reading import read
from everyhop.compile.ways_in import ways_in
from everyhop.compile.world import World
from everyhop.errors import Refused
from everyhop.garbage import uncollected
from everyhop.identity import Mark, Readings, Roots
from everyhop.plan import AtBackend, AtEdge, NamePlace, Plan, ServicePlace, canonical, digest
from everyhop.plan import Place as At
from everyhop.source import Texts


def policy_groups() -> list[str]:
    """Key exchange groups in order of preference."""
    return list(GROUPS)


@uncollected()
def compile_file(
    path: str | Path,
    *,
    now: dt.datetime | None = None,
    files: Files = "read",
    past_dates: Literal["refuse", "close"] = "refuse",
    text: str | None = None,
    included: Texts | None = None,
    environ: Mapping[str, str] | None = None,
    known: Readings | None = None,
) -> Compiled:
    """Compiles the file at `path`.

    `now` judges dates (default: the clock), `environ` holds the keys of `env:` and the folder of `cred:` (default: this
    process's). `files` says what may be opened: see `Files`.
    `past_dates="close"` warns of what is over instead of refusing: its routes are closed by the engine. `text` stands
    in for the file's content, and `included` for those of the files that it includes: a supervisor that re-reads
    certificates must not pick up an edit that nobody asked for.
    `known` is what was read before and need not be read again where it is the same.

    Raises `Refused` with every finding.
    """
    document, config = read(Path(path), text, included)
    world = World(document, config, now or dt.datetime.now(dt.UTC), past_dates, Readings(known))
    if files == "read":
        read_files(world, os.environ if environ is None else environ)
    elif files == "if-there":
        read_names(world)
    return compiled(world, Path(path))


@uncollected()
def renewed(before: Compiled, now: dt.datetime | None = None) -> Compiled:
    """What `compile_file` makes of the text of `before`, with its files and dates as they are now. Where certificates say the
    same of names as before, the plan is the same and its rules have been asked.

    Raises `Refused`.
    """
    at = now or dt.datetime.now(dt.UTC)
    world = World(before.document, before.config, at, "close", Readings(before.readings))
    read_files(world, os.environ)
    if said(world) != before.said:
        return compiled(world, before.path)
    world.findings += before.kept
    rules_hops.judge(world)
    rules_collectors.judge(world)
    rules_key_servers.judge(world)
    rules_authorizers.judge_dates(world)
    rules_waf.judge_dates(world)
    rules_stores.judge(world)
    rules_acceptance.judge(world)
    refuse(world)
    return replace(
        before,
        material=material(world),
        findings=world.findings,
        watched=watched(world),
        held=world.readings,
        rules={label: it.text for label, it in world.rules.items()},
        lists=lists(world),
    )


def refuse(world: World) -> None:
    world.readings.settle()
    if any(f.severity == "refused" for f in world.findings):
        raise Refused(world.findings, world.document.text)


def compiled(world: World, path: Path) -> Compiled:
    """By every rule, of files that were read."""
    document, config = world.document, world.config
    of_files = len(world.findings)
    rules_include.judge(world)
    rules_lists.judge(world)
    rules_names.judge(world)
    rules_pkcs11.judge(world)
    rules_plain.judge(world)
    rules_policies.judge(world)
    rules_pages.judge(world)
    rules_hsts.judge(world)
    guessed = guess_hosts(world)
    ways = ways_in(world)
    rules_routes.judge(world)
    rules_networks.judge(world)
    rules_edits.judge(world)
    rules_eject.judge(world)
    rules_tokens.judge(world)
    rules_basic.judge(world)
    rules_authorizers.judge(world)
    rules_waf.judge(world)
    rules_acme.judge(world)
    rules_identities.judge(world, ways)
    rules_waf_fit.judge(world)
    rules_cors.judge(world)
    rules_onward.judge(world)
    rules_listeners.judge(world)
    rules_any_host.judge(world)
    rules_vouching.judge(world)
    rules_serve.judge(world)
    rules_answers.judge(world, ways)
    rules_streams.judge(world)
    rules_upgrades.judge(world)
    rules_spread.judge(world)
    rules_health.judge(world)
    rules_retries.judge(world)
    rules_most.judge(world)
    rules_log.judge(world)
    rules_limits.judge(world)
    rules_tickets.judge(world)
    rules_reach.judge(world, ways)
    rules_requirements.judge(world, ways)
    kept = world.findings[of_files:]
    rules_hops.judge(world)
    rules_collectors.judge(world)
    rules_key_servers.judge(world)
    rules_authorizers.judge_dates(world)
    rules_waf.judge_dates(world)
    rules_stores.judge(world)
    rules_acceptance.judge(world)
    refuse(world)
    plan = build(world)
    plan_json = canonical(plan.model_dump(mode="json"))
    return Compiled(
        plan=plan,
        plan_json=plan_json,
        plan_digest=digest(plan_json),
        material=material(world),
        findings=world.findings,
        document=document,
        route_names=[r.name for r in config.route],
        watched=watched(world),
        names=backend_names(plan),
        text=document.text,
        path=path,
        config=config,
        held=world.readings,
        said=said(world),
        kept=kept,
        rules={label: it.text for label, it in world.rules.items()},
        lists=lists(world),
        guessed=guessed,
        unread=tuple(sorted({r.basic.file for r in config.route if r.basic} - {*world.users})),
    )


def said(world: World) -> object:
    """The names in certificates and of users, and which identities have the key of a site: all that rules other than those of files and
    dates take from them."""
    keys: dict[str, set[object]] = {"site": set(), "identity": set()}
    for key, pair in world.pairs.items():
        keys[str(key[0])].add(pair.key_sha256)
    both = keys["site"] & keys["identity"]
    who = {label: read.names for label, read in world.users.items()}
    return who, {
        key: (pair.names, pair.key_sha256 if pair.key_sha256 in both else "") for key, pair in world.pairs.items()
    }


def lists(world: World) -> dict[str, tuple[Roots, ...]]:
    return {url: tuple(signers[it] for it in sorted(signers)) for url, signers in world.lists.items()}


def watched(world: World) -> dict[Path, Mark | None]:
    """What was read, and what was looked for and is yet to come."""
    found: dict[Path, Mark | None] = dict.fromkeys(world.missing)
    return found | world.unfit | {path: mark for files in read_for(world) for path, mark in files.items()}


def read_for(world: World) -> list[Mapping[Path, Mark | None]]:
    pairs, roots, crls = world.pairs.values(), world.roots.values(), world.crls.values()
    pages, keys = world.pages.values(), world.key_sets.values()
    return [
        *(p.files for p in pairs),
        *(r.files for r in roots),
        *(c.files for c in crls),
        *(p.files for p in pages),
        *(k.files for k in keys),
        *(u.files for u in world.users.values()),
        *(p.files for p in world.passwords.values()),
        *(t.files for t in world.ticket_keys),
        *(r.files for r in world.rules.values()),
    ]


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
    places: list[At] = []
    for route in plan.routes:
        if isinstance(route.way, AtBackend):
            places += route.way.backends
        elif isinstance(route.way, AtEdge):
            places += [b.at for b in route.way.behind]
    places += [b.at for it in plan.collectors for b in it.backends]
    places += [b.at for it in plan.authorizers for b in it.backends]
    places += [b.at for it in plan.stores for b in it.backends]
    named = {p.name for p in places if isinstance(p, NamePlace)}
    return named | {str(p) for p in places if isinstance(p, ServicePlace)}
