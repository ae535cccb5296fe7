"""Rules about who is told of requests: the way to a collector is held to what a way to a backend is, and what is told has
somewhere to go. Read next: `rules_proof.py`."""

from __future__ import annotations

import re

from everyhop.compile import names
from everyhop.compile.behind import Behind
from everyhop.compile.places import places
from everyhop.compile.rules_acceptance import dated
from everyhop.compile.rules_hops import LOCALHOST
from everyhop.compile.rules_proof import verified
from everyhop.compile.world import Key, World
from everyhop.model import Collector

ATTRIBUTE = re.compile(r"[A-Za-z0-9_.:/-]{1,255}\Z")
"""A name of OpenTelemetry's, or one of somebody's own."""


def judge(world: World) -> None:
    """Of files and dates as well, so that it is judged anew whenever they are."""
    for i, collector in enumerate(world.config.collector):
        reached(world, Behind(("collector", i), collector, collector), collector)
    traces(world)


def reached(world: World, by: Behind, it: Collector) -> None:
    in_the_clear: list[str] = []
    for j, _, at in places(world, by, {}, says="is at", example=("_otlp._tcp.internal", 4318)):
        if it.tls != "plaintext":
            verified(world, by, j, at)
        elif it.off_host or not at.is_literal_loopback:
            in_the_clear.append(str(at))
    idle(world, by, it)
    acceptance(world, by, it, in_the_clear)
    if it.path and (names.path(it.path) is None or it.path.endswith("/")):
        what = f"{by.called} is sent to {it.path!r} and /v1/traces, which is no path in its one form"
        world.refuse("config/wrong-value", (*by.own, "path"), what, 'write it without its last "/": path = "/otlp"')


MUTUAL = 'tls = "mutual", with present = "NAME"'


def idle(world: World, by: Behind, it: Collector, mend: str = MUTUAL) -> None:
    """What is said of a proof that nobody gives, to a collector or to another beside the way of requests."""
    said = [("demand_asks", it.demand_asks, it.tls != "mutual"), ("present", it.present, it.tls == "plaintext")]
    for field, given, is_idle in [*said, ("verify", it.verify, it.tls == "plaintext")]:
        if given and is_idle:
            world.refuse(
                "hop/nothing-to-prove",
                (*by.own, field),
                f"{by.called} is {it.tls} and sets {field}, which has no effect there",
                mend,
                f"or remove {field}",
                of_key=True,
            )


def acceptance(world: World, by: Behind, it: Collector, needed: list[str]) -> None:
    key: Key = (*by.own, "acceptance")
    encrypt = 'encrypt the hop: tls = "reencrypt" or "mutual"'
    again = "decide again: write a later until, and whose word it is"
    if it.acceptance is None:
        if needed:
            world.refuse(
                "hop/plaintext-without-acceptance",
                (*by.own, "tls"),
                f"{by.called} is told of requests in plaintext at {', '.join(needed)} and names no acceptance",
                encrypt,
                'own the risk: acceptance = { owner = "NAME", why = "TEXT", context = "isolated-network", since = DATE, until = DATE }',
                *([LOCALHOST] if any(at.startswith("localhost:") for at in needed) else []),
            )
    elif not needed:
        what = f"{by.called} has an acceptance, and nothing goes there in plaintext across a network"
        world.warn("acceptance/needless", key, what, "remove it")
    else:
        dated(world, key, it.acceptance, by.called, (encrypt, again))


def traces(world: World) -> None:
    config = world.config
    given = config.traces
    if given is None:
        for i, route in enumerate(config.route):
            if route.traces is not None and route.tls != "passthrough":
                world.refuse(
                    "traces/nowhere",
                    ("route", i, "traces"),
                    f"route {route.name!r} says how many of its requests become spans, and there is no [traces]",
                    'say where they go: [traces] with collector = "NAME", and a [[collector]] of that name',
                    "or remove traces",
                )
        return
    known = [it.name for it in config.collector]
    if given.collector not in known:
        world.refuse(
            "config/unknown-name",
            ("traces", "collector"),
            f"[traces] go to {given.collector!r}, and there is no such [[collector]]",
            f"one of: {', '.join(known) or '(none)'}",
        )
    for name in given.attributes:
        if not ATTRIBUTE.match(name) or name == "service.name":
            own = name == "service.name"
            world.refuse(
                "config/wrong-value",
                ("traces", "attributes", name),
                "[traces] says service.name twice" if own else f"[traces] has the attribute {name!r}, which is no name",
                'write service = "..."' if own else 'write a name such as "deployment.environment.name"',
                of_key=True,
            )
