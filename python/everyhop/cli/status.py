"""`everyhop status`: what was decided against what was observed, a route a line, on one screen."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import typer

from everyhop.admin import Client
from everyhop.cli.console import colour, print_json
from everyhop.cli.drawing import days_left, hops
from everyhop.cli.run import Config
from everyhop.errors import Surroundings
from everyhop.plan import read_plan


def register(app: typer.Typer) -> None:
    app.command("status", help="What was decided and what was observed, a route a line.")(status)


def observed(last: dict[str, Any] | None) -> str:
    """The hops of the last connection, as they really were."""
    if last is None:
        return "nothing yet"
    client = last["client_hop"]
    first = f"{client['tls']} TLS {client['version'] or '?'} {client['group'] or ''}".strip()
    hop = last.get("backend_hop")
    if not hop or hop["tls"] == "passthrough":
        return first
    if hop["tls"] == "plaintext":
        return f"{first} | open"
    knows = {"demanded": "knows us", "not_demanded": "DID NOT ASK WHO WE ARE", "refused": "REFUSED US"}.get(
        hop["identity"], ""
    )
    return f"{first} | {hop['tls']} TLS {hop['version']} {hop['group'] or ''} {knows}".rstrip()


def failure(last: dict[str, Any]) -> str:
    """One failed try at a backend, in one line."""
    where = f" ({last['address']})" if last["address"] and last["address"] != last["at"] else ""
    said = [f"{last['at']}{where} {last['end']} at {last['time']}"]
    if shown := last["certificate"]:
        names = ", ".join(shown["names"]) or "no name"
        said.append(f"expected {last['expected']}, shown {names}: {shown['subject']} of {shown['issuer']}")
        said.append(f"until {shown['not_after']}, SHA-256 {shown['sha256'][:16]}")
    if last["alert"]:
        said.append(f"alert {last['alert']}")
    if last["detail"]:
        said.append(str(last["detail"]))
    return "; ".join(said)


def troubles(route: dict[str, Any]) -> list[str]:
    found = []
    if route["closed"]:
        found.append(f"closed: {route['closed']}")
    for backend in route["backends"]:
        if backend["state"] != "up" and not route["closed"]:
            found.append(f"{backend['at']} {backend['state']}")
        for address in backend["addresses"]:
            if len(backend["addresses"]) > 1 and address["state"] != "up":
                found.append(f"{backend['at']} ({address['at']}) {address['state']}")
            if address["impostor"]:
                found.append(f"wrong certificate: {failure(address['last_failure'])}")
            elif address["failures"]:
                found.append(f"failed last: {failure(address['last_failure'])}")
        if backend["identity"] == "refused":
            found.append(f"{backend['at']} refuses our certificate")
        if backend["identity"] == "not_demanded":
            found.append(f"{backend['at']} does not ask for our certificate: mutual in name only")
    for slug, count in sorted(route["refused"].items(), key=lambda item: -item[1])[:3]:
        found.append(f"{slug} x{count}")
    return found


def sandboxed(told: dict[str, Any] | None) -> str:
    """One line on what the engine can no longer do."""
    if told is None:
        return colour("engine not sandboxed: [engine] sandbox is off", "red")
    lacks = [name for name in ("no_new_privs", "seccomp") if not told[name]]
    lacks += ["landlock"] if told["landlock"] == "none" else []
    held = [name for name in ("no_new_privs", "seccomp") if told[name]]
    held += [f"landlock ({told['landlock']})"] if told["landlock"] != "none" else []
    text = f"engine runs as uid {told['uid']}, held by {', '.join(held) or 'nothing'}"
    return text + (colour(f"; this kernel grants no {' and no '.join(lacks)}", "yellow") if lacks else "")


def status(
    config: Config = None, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False
) -> None:
    answer = Client(config).ask("status")
    if as_json:
        print_json(answer)
        return
    supervisor, engine = answer.get("supervisor"), answer.get("engine")
    if not isinstance(supervisor, dict) or not isinstance(engine, dict):
        raise Surroundings("the engine is not there; the supervisor is starting it")
    now = dt.datetime.now(dt.UTC)
    plan = read_plan(str(supervisor["plan"]))
    print(f"{supervisor['config']}  plan {str(engine['plan_digest'])[:16]}  generation {engine['generation']}")
    print(sandboxed(engine.get("sandbox")))
    refused = sum(engine["refused"].values())
    print(
        f"{engine['connections']} connection(s) open, {engine['handshakes']['ok']} handshakes, {refused} refused before any route"
    )
    if engine["plan_digest"] != supervisor["plan_digest"]:
        print(colour(f"the engine runs another plan than was compiled ({str(supervisor['plan_digest'])[:16]})", "red"))
    print()
    routes = {r["name"]: r for r in engine["routes"]}
    width = max((len(r.name) for r in plan.routes), default=0)
    for route in plan.routes:
        seen = routes[route.name]
        count = seen["requests"] or seen["connections"]
        print(f"{route.name.ljust(width)}  decided   {hops(route)}  {days_left(route, now)}".rstrip())
        print(f"{' ' * width}  observed  {observed(seen['last'])}  ({count})")
        for trouble in troubles(seen):
            print(f"{' ' * width}  {colour('!', 'red')}         {trouble}")
    for slug, count in sorted(engine["refused"].items(), key=lambda item: -item[1])[:5]:
        print(f"refused before any route: {slug} x{count}")
    if engine["log_dropped"]:
        print(f"access log: {engine['log_dropped']} line(s) dropped")
