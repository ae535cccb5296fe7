"""Rules about what lets a backend be left alone: each is said once, and can happen."""

from __future__ import annotations

from everyhop.compile.world import Key, World
from everyhop.model import Route, Slow


def judge(world: World) -> None:
    for i, route in enumerate(world.config.route):
        if route.eject_on is not None and route.carries_requests:
            slow(world, ("route", i, "eject_on"), route)


def slow(world: World, key: Key, route: Route) -> None:
    first: Key | None = None
    for j, on in enumerate(route.eject_on or ()):
        if not isinstance(on, Slow):
            continue
        at: Key = (*key, j, "slow_ms")
        if first is not None:
            what = f"route {route.name!r} says twice which answers are slow"
            world.refuse("config/wrong-value", at, what, "keep one of them", also=(first,))
        first = first or at
        own = route.limits.first_byte_s
        most_s = world.config.limits.first_byte_s if own is None else own
        if on.slow_ms >= most_s * 1000:
            what = f"route {route.name!r} calls an answer slow after {on.slow_ms} ms, and waits for none longer than {most_s} s"
            world.warn(
                "route/nothing-to-do",
                at,
                what,
                "let it be less than limits.first_byte_s",
                'or "timeouts", which counts those that did not come',
                also=(("route", key[1], "limits", "first_byte_s"),) if own is not None else (),
            )
