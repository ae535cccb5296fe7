"""What a route is for, as its own words show it, and whether the rules that inspect it let that pass: told, and refused by nobody,
since rules of one's own may say otherwise. Read next: `rules_waf.py`."""

from __future__ import annotations

from collections.abc import Iterator

from everyhop.compile.world import Key, World
from everyhop.model import Route, Waf

SLUG = "waf/unfit-route"
METHODS = ("GET", "HEAD", "POST", "OPTIONS")
"""Those that the set takes (`tx.allowed_methods`)."""
BODIES = (
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "text/xml",
    "application/xml",
    "application/soap+xml",
    "application/json",
)
"""Kinds of bodies that it takes (`tx.allowed_request_content_type`)."""
OF_METHODS, OF_BODIES = 911100, 920420
APART = "a [[route]] of its own for it, without a waf"


def judge(world: World) -> None:
    by_name = {it.name: it for it in world.config.waf}
    for i, route in enumerate(world.config.route):
        it = by_name.get(route.waf or "")
        if it is None or not route.carries_requests:
            continue
        tunnels(world, ("route", i), route, it)
        # What only detects holds and refuses nothing.
        if it.mode == "block":
            too_long(world, ("route", i), route, it)
            if not it.extra:
                refused(world, ("route", i), route, it)


def tunnels(world: World, key: Key, route: Route, it: Waf) -> None:
    word = "upgrades" if route.upgrades else "websocket" if route.websocket else None
    if word is not None:
        what = f"route {route.name!r} opens tunnels, of which waf {it.name!r} sees the first request, and nobody what goes through them"
        world.warn(SLUG, (*key, word), what, "judge what comes through in the service", f"or {APART}", of_key=True)


def too_long(world: World, key: Key, route: Route, it: Waf) -> None:
    most = route.limits.body_bytes if route.limits else None
    if most is not None and most > it.body_bytes and it.over_body == "refuse":
        what = f"route {route.name!r} takes bodies of {most:,} bytes, and waf {it.name!r} refuses what is longer than {it.body_bytes:,}"
        mends = (f"body_bytes of the waf, or less here: body_bytes = {it.body_bytes}", f"or {APART}")
        world.warn(SLUG, (*key, "limits", "body_bytes"), what, *mends)


def refused(world: World, key: Key, route: Route, it: Waf) -> None:
    """What rules of the set refuse, unless somebody took them back everywhere."""
    asked = {OF_METHODS, OF_BODIES} - {one.rule for one in it.exclude if one.path is None and one.argument is None}
    if OF_METHODS in asked:
        listed = [route.method] if isinstance(route.method, str) else route.method or []
        for j, method in enumerate(listed):
            if method not in METHODS:
                at: Key = (*key, "method") if isinstance(route.method, str) else (*key, "method", j)
                what = f"route {route.name!r} is for {method}, which waf {it.name!r} refuses: the set takes {', '.join(METHODS)} (rule {OF_METHODS})"
                world.warn(SLUG, at, what, "extra = [FILE] of the waf, which sets tx.allowed_methods", f"or {APART}")
    if OF_BODIES in asked:
        for at, kind in bodies(key, route):
            what = f"route {route.name!r} is for {kind}, whose bodies waf {it.name!r} refuses: the set takes forms, JSON and XML (rule {OF_BODIES})"
            world.warn(
                SLUG,
                at,
                what,
                APART,
                f"or the rule taken back by somebody's word: exclude = [{{ rule = {OF_BODIES}, ... }}]",
            )


def bodies(key: Key, route: Route) -> Iterator[tuple[Key, str]]:
    """Kinds of bodies that the route shows to be for, which the set does not know."""
    if route.health is not None and route.health.grpc is not None:
        yield (*key, "health", "grpc"), "gRPC"
    for name, value in route.headers.items():
        kind = value.partition(";")[0].strip().lower()
        if name.lower() == "content-type" and kind not in BODIES:
            yield (*key, "headers", name), value
