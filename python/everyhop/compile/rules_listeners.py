"""Rules about routes and sites that name the listeners by which they are reached: the listeners are there, something comes by
them, and a listener gives nobody what is not there. Read next: `reach.py`."""

from __future__ import annotations

from difflib import get_close_matches

from everyhop.compile import names
from everyhop.compile.reach import Named, going_on, meet, reached_by, serving
from everyhop.compile.streams import owned, owner
from everyhop.compile.world import Key, World
from everyhop.model import Route, Site


def judge(world: World) -> None:
    config = world.config
    things: list[tuple[str, int, Site | Route]] = [("site", i, it) for i, it in enumerate(config.site)]
    things += [("route", i, it) for i, it in enumerate(config.route)]
    if not any(it.listeners for _, _, it in things):
        return
    known = [it.name for it in config.listener]
    wrong = False
    for what, i, it in things:
        for j, name in enumerate(it.listeners or ()):
            if name not in known:
                wrong = True
                near = next(iter(get_close_matches(name, known)), known[0])
                said = f"{what} {it.name!r} is reached by listener {name!r} alone, which is not there"
                world.refuse("config/unknown-name", (what, i, "listeners", j), said, f'write "{near}"')
    if wrong:
        return
    reach = {i: apart(world, i, route) for i, route in enumerate(config.route)}
    for i, listener in enumerate(config.listener):
        for field in ("no_sni", "unknown_sni"):
            given(world, ("listener", i, field), listener.name, getattr(listener, field))
        if (listener.speaks == "tls" or listener.serve) and not any(listener.name in found for found in reach.values()):
            world.warn(
                "listener/reaches-nothing",
                ("listener", i, "name"),
                f"no route is reached by listener {listener.name!r}: each of them, or its site, names others",
                f'add "{listener.name}" to the listeners of a route',
                f"or remove listener {listener.name!r}",
            )


def apart(world: World, i: int, route: Route) -> set[str]:
    """By which listeners it is reached; refused where there is none."""
    found = reached_by(world, route, owned(world))
    if route.listeners is not None and not found and not meet(route.listeners, serving(world)):
        tls = going_on(world, route)
        of_tls = meet(route.listeners, tls)
        known = owned(world)
        own = {owner(known, h) for text in route.hosts if (h := names.served(text))}
        why = (
            "which speaks plain HTTP: nothing is forwarded from there"
            if not of_tls
            else "where its site does not answer"
        )
        also: tuple[Key, ...] = tuple(
            ("site", j, "listeners")
            for j, s in enumerate(world.config.site)
            if of_tls and s.name in own and s.listeners is not None
        )
        world.refuse(
            "route/listener-apart",
            ("route", i, "listeners"),
            f"route {route.name!r} is reached by listener {' and '.join(map(repr, route.listeners))} alone, {why}",
            "name a listener of TLS where its site answers" if tls else "add a listener of TLS",
            also=also,
        )
    return found


def given(world: World, key: Key, listener: str, name: str) -> None:
    """What a hello gets that names nobody must be there."""
    things: list[tuple[str, int, str, Named]] = [
        ("site", i, s.name, s.listeners) for i, s in enumerate(world.config.site)
    ]
    things += [("route", i, r.name, r.listeners) for i, r in enumerate(world.config.route) if r.tls == "passthrough"]
    found = next((it for it in things if it[2] == name), None)
    if found is not None and not meet(found[3], [listener]):
        what, i, _, named = found
        world.refuse(
            "listener/answers-elsewhere",
            key,
            f"listener {listener!r} answers with {what} {name!r}, which is reached by {' and '.join(map(repr, named or ()))} alone",
            f'add "{listener}" to the listeners of {what} {name!r}',
            'or use "refuse"',
            also=((what, i, "listeners"),),
        )
