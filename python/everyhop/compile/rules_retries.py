"""Rules about requests that go again: that some can."""

from __future__ import annotations

from everyhop.compile.world import World, backends

SLUG = "route/no-retries"


def judge(world: World) -> None:
    for i, route in enumerate(world.config.route):
        it = route.retries
        if it is None or not route.carries_requests:
            continue
        key = ("route", i, "retries")
        if not it.on and it.per_try_s is None:
            what = f"route {route.name!r} says of retries neither after which answers nor after which time"
            world.refuse(SLUG, (*key, "on"), what, "on = [502, 503, 504]", "or per_try_s = 5")
        if route.methods and not {"GET", "HEAD"} & set(route.methods):
            what = f"route {route.name!r} has retries, and takes {', '.join(route.methods)} alone, of which none goes twice"
            world.warn(SLUG, key, what, "remove retries", also=(("route", i, "method"),))
        if len(backends(route)) < 2:
            what = f"route {route.name!r} has retries, and no other backend to which a request could go again"
            world.warn(SLUG, key, what, "name another in to", "or remove retries", also=(("route", i, "to"),))
        if (
            it.per_try_s is not None
            and route.limits.first_byte_s is not None
            and it.per_try_s >= route.limits.first_byte_s
        ):
            what = f"route {route.name!r} has a try wait {it.per_try_s} s, and no answer may take as long"
            world.warn(
                SLUG,
                (*key, "per_try_s"),
                what,
                "let it be less than limits.first_byte_s",
                also=(("route", i, "limits", "first_byte_s"),),
            )
