"""Rules about what the edge answers itself: nothing of a backend is said there, a redirect leads to one place, over TLS, and
not back to itself. Read next: `targets.py`."""

from __future__ import annotations

from everyhop.compile import names
from everyhop.compile.pieces import NoPiece, pieces
from everyhop.compile.rules_edits import judge_value
from everyhop.compile.targets import NoTarget, Target, parts, target
from everyhop.compile.ways_in import WaysIn
from everyhop.compile.world import Key, World
from everyhop.model import Route

OF_CLIENTS = frozenset(
    {
        "name",
        "listeners",
        "host",
        "path",
        "path_exact",
        "method",
        "headers",
        "cookie",
        "priority",
        "data",
        "requires",
        "allow",
        "protocol",
        "log",
        "traces",
    }
)
"""What a route can say that has nothing behind it."""
LEADING = ("location", "refresh")
"""Fields that lead a client elsewhere: what `redirect` does, held to where it leads."""
MOST_STEPS = 10
"""A browser follows about twice as many."""
TEXT_BYTES = 65_536


def judge(world: World, ways: WaysIn | None) -> None:
    targets: dict[int, Target] = {}
    for i, route in enumerate(world.config.route):
        if not route.is_answered:
            continue
        alone(world, i, route)
        for word, headers in (("redirect", route.redirect), ("answer", route.answer)):
            for name, value in headers.headers.items() if headers is not None else ():
                field(world, ("route", i, word, "headers", name), route.name, name, value)
        answer(world, i, route)
        if (found := redirect(world, i, route)) is not None:
            targets[i] = found
    if ways is not None:
        loops(world, ways, targets)


def alone(world: World, i: int, route: Route) -> None:
    """Of backends nothing is said where there are none."""
    given = "redirect" if route.redirect is not None else "answer"
    for setting in sorted(route.model_fields_set - OF_CLIENTS - {given}):
        if setting == "answer":
            what = f"route {route.name!r} redirects its clients and answers them"
            world.refuse(
                "route/answered-here", ("route", i, setting), what, "keep one of them", also=(("route", i, given),)
            )
            continue
        world.refuse(
            "route/answered-here",
            ("route", i, setting),
            f"route {route.name!r} is answered by the edge itself and sets {setting!r}, for which there is no backend",
            f"remove {setting!r}",
            f"or carry requests to a backend: remove {given!r}",
            also=(("route", i, given),),
            of_key=True,
        )


def field(world: World, key: Key, route: str, name: str, value: str) -> None:
    if not names.TOKEN.match(name):
        what = f"route {route!r} answers with the field {name!r}, which is no name of one (RFC 9110 §5.1)"
        world.refuse(
            "config/wrong-value", key, what, 'write a name without blanks and separators: "x-tenant"', of_key=True
        )
    elif name.lower() in LEADING or not names.is_editable(name, answer=True):
        mend = (
            'redirect = { to = "https://..." }'
            if name.lower() in LEADING
            else "leave it out: the edge frames its answers"
        )
        what = f"route {route!r} answers with {name}, which only the edge itself writes"
        world.refuse("route/edge-field", key, what, mend, of_key=True)
    else:
        judge_value(world, key, route, name, value)


def answer(world: World, i: int, route: Route) -> None:
    it, key = route.answer, ("route", i, "answer")
    if it is None:
        return
    if 300 <= it.status < 400:
        what = f"route {route.name!r} answers {it.status}, which leads nowhere"
        world.refuse("config/wrong-value", (*key, "status"), what, 'redirect = { to = "https://..." }')
    elif it.status in (204, 205):
        what = f"route {route.name!r} answers {it.status}, which can have no body"
        world.refuse("config/wrong-value", (*key, "status"), what, "status = 200 says the same, with an empty one")
    if it.text is not None and it.file is not None:
        what = f"route {route.name!r} answers with a text and with a file"
        world.refuse("config/wrong-value", (*key, "file"), what, "keep one of them", also=((*key, "text"),))
    if it.text is not None and len(it.text.encode()) > TEXT_BYTES:
        what = f"route {route.name!r} answers with {len(it.text.encode())} bytes"
        world.refuse("config/wrong-value", (*key, "text"), what, f"{TEXT_BYTES} at most")


def redirect(world: World, i: int, route: Route) -> Target | None:
    if route.redirect is None:
        return None
    key: Key = ("route", i, "redirect", "to")
    said = f"route {route.name!r} leads to {route.redirect.to!r}"
    try:
        return target(pieces(route.redirect.to))
    except NoPiece as e:
        world.refuse("route/variable", key, f"{said}: {e}", "name {path}, {query} or {host}, and {{ for a brace")
    except NoTarget as e:
        world.refuse(e.slug, key, f"{said}: {e.what}", e.mend)
    return None


def loops(world: World, ways: WaysIn, targets: dict[int, Target]) -> None:
    """Follows each redirect as a client would, all of them a step at a time, as long as they lead to routes of this file."""
    ports = {port for listener in world.config.listener for bind in listener.bind if (port := port_of(bind))} | {443}
    walks = {(i, host, path): (host, path) for i in targets for host, path in begun(world.config.route[i])}
    # Where they begin another route may take the request.
    takers = ways.takers([(host, path) for host, path in walks.values()])
    walks = {walk: at for (walk, at), taker in zip(walks.items(), takers, strict=True) if taker == walk[0]}
    by = {walk: walk[0] for walk in walks}
    for _ in range(MOST_STEPS):
        led = {walk: parts(targets[by[walk]].of(*at)) for walk, at in walks.items()}
        here = {walk: (host, path) for walk, (host, port, path) in led.items() if port in ports}
        takers = ways.takers(list(here.values()))
        by = {walk: taker for walk, taker in zip(here, takers, strict=True) if taker in targets}
        walks = {walk: here[walk] for walk in by}
    told: set[int] = set()
    for (i, host, path), (last, there) in walks.items():
        if i in told:
            continue
        told.add(i)
        route = world.config.route[i]
        world.refuse(
            "route/redirect-loop",
            ("route", i, "redirect", "to"),
            f"route {route.name!r} leads {host}{path} in a circle: after {MOST_STEPS} steps it is at {last}{there[:60]}",
            "lead to a host or path that another route takes, or narrow this one: path_exact, method",
        )


def begun(route: Route) -> list[tuple[str, str]]:
    """Requests that the route may be there for; whether it takes one with GET and without a field is asked of the matcher."""
    hosts = [h.replace("*", "any") for text in route.hosts if (h := names.served(text))]
    if route.path_exact is not None:
        paths = [route.path_exact]
    else:
        bare = (route.path or "").rstrip("/")
        paths = [bare or "/", f"{bare}/any"]
    return [(host, path) for host in hosts for path in paths]


def port_of(bind: str) -> int | None:
    port = bind.rpartition(":")[2]
    return int(port) if port.isdigit() else None
