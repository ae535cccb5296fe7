"""Rules about how much a route takes at once: that something is bounded."""

from __future__ import annotations

from everyhop.compile.world import Key, World

SLUG = "route/nothing-to-do"


def judge(world: World) -> None:
    for i, route in enumerate(world.config.route):
        it, key = route.most, ("route", i, "most")
        if it is None or not route.carries_requests or it.requests is not None:
            continue
        if it.connections is None:
            what = f"route {route.name!r} bounds neither connections nor requests"
            world.refuse(SLUG, key, what, "most = { requests = 100 }", "or most = { connections = 100 }")
        for field in ("waiting", "wait_s"):
            at: Key = (*key, field)
            if field in it.model_fields_set:
                what = f"route {route.name!r} lets requests wait for their turn, and any number be under way"
                world.refuse(SLUG, at, what, "bound them: requests = 100", f"or remove {field}", of_key=True)
