"""Rules about who is told of requests: the way to a collector is held to what a way to a backend is, and what is told has
somewhere to go. Read next: `rules_side.py`."""

from __future__ import annotations

import re

from everyhop.compile import names
from everyhop.compile.behind import Behind
from everyhop.compile.rules_side import reached
from everyhop.compile.world import World
from everyhop.model import Collector

ATTRIBUTE = re.compile(r"[A-Za-z0-9_.:/-]{1,255}\Z")
"""A name of OpenTelemetry's, or one of somebody's own."""


def judge(world: World) -> None:
    """Of files and dates as well, so that it is judged anew whenever they are."""
    for i, collector in enumerate(world.config.collector):
        by = Behind(("collector", i), collector, collector)
        reached(world, by, collector, ("_otlp._tcp.internal", 4318), "is told of requests")
        under(world, by, collector)
    traces(world)


def under(world: World, by: Behind, it: Collector) -> None:
    if it.path and (names.path(it.path) is None or it.path.endswith("/")):
        what = f"{by.called} is sent to {it.path!r} and /v1/traces, which is no path in its one form"
        world.refuse("config/wrong-value", (*by.own, "path"), what, 'write it without its last "/": path = "/otlp"')


def traces(world: World) -> None:
    config = world.config
    given = config.traces
    if given is None:
        for i, route in enumerate(config.route):
            if route.traces is not None and route.tls != "passthrough" and not route.is_stream:
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
