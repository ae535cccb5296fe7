"""`everyhop status`: what is wrong now, then what was decided against what was observed, a route a line."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import typer

from everyhop.admin import Client
from everyhop.cli.console import print_json
from everyhop.cli.drawing import SHUT, WIRE, days_left, fronts, hops, marked
from everyhop.cli.options import Config
from everyhop.cli.running_plan import running_plan
from everyhop.cli.troubles import show, troubles
from everyhop.errors import Surroundings
from everyhop.evidence.told import hop_observed, observed, of_zone, troubles_of
from everyhop.garbage import uncollected
from everyhop.plan import Listener, Plan, Tickets
from everyhop.screen import Paint, beside, line

FEW = 3
"""Slugs that are shown without `-v`: those of late."""


def register(app: typer.Typer) -> None:
    app.command("status", help="What is wrong now; then what was decided and what was observed, a route a line.")(
        status
    )


def sandboxed(told: dict[str, Any] | None) -> tuple[str | Paint, ...]:
    """One line on what the engine can no longer do."""
    if told is None:
        return (Paint("! engine not sandboxed: [engine] sandbox is off", "red"),)
    lacks = [name for name in ("no_new_privs", "seccomp") if not told[name]]
    lacks += ["landlock"] if told["landlock"] == "none" else []
    held = [name for name in ("no_new_privs", "seccomp") if told[name]]
    held += [f"landlock ({told['landlock']})"] if told["landlock"] != "none" else []
    text = f"engine runs as uid {told['uid']}, held by {', '.join(held) or 'nothing'}"
    return (text, Paint(f"; this kernel grants no {' and no '.join(lacks)}", "yellow")) if lacks else (text,)


def status(
    config: Config = None,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Every refusal, not only the latest; digests in full.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    with uncollected():  # it ends once it has answered, and ten thousand sites have much to be told of
        tell(config, verbose=verbose, as_json=as_json)


def tell(config: str | None, *, verbose: bool, as_json: bool) -> None:
    answer = Client(config).ask("status")
    if as_json:
        print_json(answer)
        return
    supervisor, engine = answer.get("supervisor"), answer.get("engine")
    if not isinstance(supervisor, dict):
        raise Surroundings("the supervisor answered something else than its status; is it of this version?")
    show(troubles(answer), dt.datetime.now(dt.UTC))
    plan = running_plan(supervisor["plan"])
    if not isinstance(engine, dict) or engine["plan_digest"] is None:
        rows(plan, None, verbose=verbose)
        raise Surroundings("the engine does not answer; the supervisor is looking after it")
    about(supervisor, engine, verbose=verbose)
    if plan.tickets is not None:
        line(tickets(plan.tickets, supervisor["material"], verbose=verbose))
    in_the_clear(plan, engine)
    rows(plan, engine, verbose=verbose)
    for it in engine.get("limits", []):
        for text in beside(f"limit {it['name']}: ", limit(it)).split("\n"):
            line(text)
    for it in engine.get("stores", []):
        for text in beside(f"store {it['name']} ({kind(it)}): ", store(it)).split("\n"):
            line(*marked(text))
    for it in engine.get("wafs", []):
        for text in beside(f"waf {it['name']}: ", waf(it, supervisor.get("inspector"))).split("\n"):
            line(*marked(text))
    for it in supervisor.get("acme", []):
        for text in beside(f"site {it['site']}: ", issued(it)).split("\n"):
            line(text)
        for one in it.get("revoking", []):
            for text in beside(f"site {it['site']}: ", revoking(one)).split("\n"):
                line(text)
    for it in supervisor.get("identities", []):
        for text in beside(f"identity {it['identity']}: ", enrolled(it)).split("\n"):
            line(text)
    for it in supervisor.get("lists", []):
        for text in beside(f"revocation list {it['url']}: ", listed(it)).split("\n"):
            line(text)
    for text in refusals(engine, verbose=verbose):
        line(f"refused before any route: {text}")
    if engine["log_dropped"]:
        line(f"access log: {engine['log_dropped']} line(s) dropped since the engine started")


def about(supervisor: dict[str, Any], engine: dict[str, Any], *, verbose: bool) -> None:
    digits = None if verbose else 16
    line(f"{supervisor['config']}  plan {str(engine['plan_digest'])[:digits]}  generation {engine['generation']}")
    line(*sandboxed(engine.get("sandbox")))
    if (held := supervisor.get("keyholder")) is not None:
        line(keyholder(held))
        for it in held.get("modules", []):
            for text in beside("keys in tokens: ", in_tokens(it)).split("\n"):
                line(*marked(text))
    refused = sum(engine["refused"].values())
    line(
        f"{engine['connections']} connection(s) open, {engine['handshakes']['ok']} handshakes, {refused} refused before any route"
    )
    line(
        f"supervisor {supervisor['version']} since {supervisor['started'][:19]}Z, engine restarts: {supervisor['engine_restarts']}"
    )
    for it in supervisor.get("maintenance", []):
        held = "" if it["holds"] else ", which no route that the edge reads is called now"
        line(f"down for maintenance until {it['until']}: {it['route']}{held}")
    for it in supervisor.get("drained", []):
        line(drained(it, engine))
    for it in supervisor.get("retired", []):
        left = "?" if it["connections"] is None else it["connections"]
        line(
            f"engine before {it['version']}, pid {it['pid']}: accepts no more, {left} connection(s) left, until {it['until']}"
        )
    line()


def keyholder(it: dict[str, Any]) -> str:
    """One line on where the private keys are."""
    no = "".join(f", {count} refused ({why})" for why, count in it["refused"].items())
    return f"keys apart: {it['keys']} held by pid {it['pid']}, {it['signed']} handshakes signed{no}; restarts: {it['restarts']}"


def in_tokens(it: dict[str, Any]) -> str:
    """One line on a PKCS#11 module and the keys that are asked by it."""
    if it["trouble"]:
        return f"! {it['trouble']}; restarts: {it['restarts']}"
    keys = ", ".join(it["keys"])
    return f"{keys} by {it['module']}, pid {it['pid']}, {it['signed']} handshakes signed; restarts: {it['restarts']}"


def tickets(it: Tickets, material: list[dict[str, Any]], *, verbose: bool) -> str:
    """One line on who takes sessions up: secrets by their fingerprints, which tell edges that have the same."""
    digits = None if verbose else 16
    marks = {one["id"]: str(one["chain_sha256"])[:digits] for one in material}
    named = [f"{marks.get(f'tickets/{i}', '?')} ({key})" for i, key in enumerate(it.keys)]
    old = "".join(f"; opened of {one} too" for one in named[1:])
    return f"session tickets shared: sealed by keys of {named[0]}, new every {it.rotate_s // 3600} h{old}"


def drained(it: dict[str, Any], engine: dict[str, Any]) -> str:
    """A backend that takes nothing new, and what is still open to it: at 0 it can be stopped."""
    if not it["holds"]:
        return f"drained: {it['at']} of route {it['route']}, which has no such backend now"
    routes = [r for r in engine["routes"] if r["name"] == it["route"]]
    count = next((b["open"] for r in routes for b in r["backends"] if b["at"] == it["at"]), "?")
    rest = "" if it["left"] else "; no other takes anything"
    return f"drained: {it['at']} of route {it['route']}, {count} connection(s) still open to it{rest}"


def in_the_clear(plan: Plan, engine: dict[str, Any]) -> None:
    """Listeners that speak plain HTTP, each with how many requests it sent to https, or who signed for what it serves."""
    seen = {it["name"]: it for it in engine.get("listeners", [])}
    told = [
        f"{it.name} at {', '.join(it.bind)}: "
        + (
            served(it, seen.get(it.name, {}))
            if it.serves_plain
            else f"plain HTTP, forwards nothing; sent to https: {seen.get(it.name, {}).get('redirected', '?')}"
        )
        for it in plan.listeners
        if it.is_plain
    ]
    for text in told:
        line(*marked(text))
    if told:
        line()


def served(it: Listener, seen: dict[str, Any]) -> str:
    """A listener whose clients' hop is open, and why that is bearable."""
    open_hop = f"{WIRE['plaintext']} from clients, served"
    if (signed := it.acceptance) is None:
        return f"{open_hop} to this host alone"
    if seen.get("closed"):
        return f"{open_hop} no more: the acceptance of {signed.owner} ended  [{seen['closed']}]"
    return f"{open_hop}; {signed.owner} accepted it until {signed.until}"


def rows(plan: Plan, engine: dict[str, Any] | None, *, verbose: bool) -> None:
    """A route on some lines: decided, observed, what is not as it should be, what was refused."""
    now = dt.datetime.now(dt.UTC)
    routes = {r["name"]: r for r in engine["routes"]} if engine else {}
    width = max((len(r.name) for r in plan.routes), default=0)
    by = fronts(plan)

    def put(name: str, what: str, text: str) -> None:
        for row in beside(f"{name.ljust(width)}  {what.ljust(8)}  ", text).split("\n"):
            line(*marked(row))

    for route in plan.routes:
        put(route.name, "decided", f"{hops(route, by.get(route.name, SHUT))}  {days_left(route, now)}".rstrip())
        seen = routes.get(route.name)
        if seen is None:
            put("", "observed", "unknown: the engine does not say")
            continue
        put("", "observed", f"{observed(seen['last'])}  ({seen['requests'] or seen['connections']})")
        if (zone := of_zone(engine, seen)) is not None:
            put("", "zone", zone)
        for trouble in troubles_of(seen):
            first, *further = beside(f"{' ' * width}  !         ", trouble).split("\n")
            line(" " * (width + 2), Paint("!", "red"), first[width + 3 :])
            for row in further:
                line(row)
        for text in refusals(seen, verbose=verbose):
            put("", "refused", text)


def limit(it: dict[str, Any]) -> str:
    """What a limit by key counted, and the keys that used most of it, by the signs that the access log has too."""
    over = "refused" if it["mode"] == "refuse" else "beyond it, and let pass (observe)"
    told = [f"{it['over']} {over}"]
    told += [f"{it['under_way']} under way of {it['keys_under_way']} key(s)"] if it["under_way"] else []
    if it["burst"] is not None:
        told.append(f"{it['keys']} key(s) have used some of {it['burst']}")
        told += [f"{busy['key']} {busy['used']}" for busy in it["busiest"][:FEW]]
    told += [f"{it['forgotten']} forgotten for others: more keys come than it remembers"] if it["forgotten"] else []
    return ", ".join(told)


def kind(it: dict[str, Any]) -> str:
    """What a store is, by the words in which it is asked."""
    return f"rate limits of Envoy's kind, domain {it['domain']}" if it.get("domain") else "Valkey or Redis"


def store(it: dict[str, Any]) -> str:
    """Where edges count together: whether it answers, what its hop was, and how often this edge decided alone."""
    told = ["answers" if it["up"] else f"SILENT: {it['why'] or 'not reached yet'}"]
    if it["hop"]:
        told.append(f"{it['hop']['at']} {hop_observed(it['hop'])}{'' if it['up'] else ' before'}")
    told.append(f"asked {it['asked']} time(s)")
    told += [f"{it['late']} not answered in time"] if it["late"] else []
    told += [f"fell silent {it['downs']} time(s)"] if it["downs"] else []
    told += [f"{it['alone']} request(s) let pass by this edge's own count"] if it["alone"] else []
    return ", ".join(told)


def issued(it: dict[str, Any]) -> str:
    """A certificate by ACME; what is in the way stands among the troubles."""
    by = f" by {it['authority']}" if it["authority"] else ""
    told = f"certificate{by} until {it['until'][:19]}Z" if it["until"] else "no certificate yet"
    if it["pending"]:
        return f"{told}, an order is under way"
    return (
        f"{told}, renewed at {it['next_try'][:19]}Z" if it["until"] else f"{told}, asked for at {it['next_try'][:19]}Z"
    )


def enrolled(it: dict[str, Any]) -> str:
    """An identity that comes by itself; what is in the way stands among the troubles."""
    if it["until"] is None:
        return f"from {it['from']}, no certificate yet, asked for at {it['next_try'][:19]}Z"
    told = f"from {it['from']}, certificate until {it['until'][:19]}Z"
    return (
        f"{told}, renewed at {it['renewed_at'][:19]}Z" if it["renewed_at"] else f"{told}, renewed by whoever gives it"
    )


def listed(it: dict[str, Any]) -> str:
    """A revocation list that is fetched; what is in the way stands among the troubles."""
    if it["next_update"] is None:
        return f"none yet, asked for at {it['next_try'][:19]}Z"
    return f"of {it['this_update'][:19]}Z, good until {it['next_update'][:19]}Z, asked for at {it['next_try'][:19]}Z"


def revoking(it: dict[str, Any]) -> str:
    told = f"certificate {it['serial']} is to be revoked ({it['reason']})"
    return f"{told}: {it['problem']}" if it["problem"] else told


def waf(it: dict[str, Any], inspector: dict[str, Any] | None) -> str:
    """By what requests are inspected, whether that is there, and what came of it so far."""
    by = inspector or {}
    up = f"inspected by {by.get('engine')}, {by.get('rules')}" if it["inspector"] == "up" and by.get("engine") else None
    told = [up or (f"INSPECTOR {it['inspector'].upper()}" if it["inspector"] != "up" else "inspected")]
    told += ["only detects"] if it["mode"] == "detect" else []
    told += [f"{n} {word}" for word, n in it["counted"].items() if n]
    told += [f"{it['under_way']} under way"] if it["under_way"] else []
    return ", ".join(told)


def refusals(seen: dict[str, Any], *, verbose: bool) -> list[str]:
    """Slugs with how often and when last, the latest first: not the most frequent, which may be long over."""
    last: dict[str, str] = seen.get("refused_last", {})
    slugs = sorted(seen["refused"], key=lambda slug: last.get(slug, ""), reverse=True)
    shown = slugs if verbose else slugs[:FEW]
    told = [f"{slug} x{seen['refused'][slug]}, last {last.get(slug, '?')[:19]}Z" for slug in shown]
    if len(slugs) > len(shown):
        told.append(f"and {len(slugs) - len(shown)} more kind(s): everyhop status -v")
    return told
