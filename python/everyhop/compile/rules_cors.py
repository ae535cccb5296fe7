"""Rules about which pages of other origins may read answers: an origin is exact, everybody never comes with credentials, and
the preflight finds the route. Read next: `origins.py`."""

from __future__ import annotations

from everyhop.compile import names
from everyhop.compile.origins import ANYBODY, NoOrigin, origin
from everyhop.compile.world import Key, World
from everyhop.model import Cors, Route

METHODS = frozenset(
    [
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "QUERY",
        "PROPFIND",
        "PROPPATCH",
        "MKCOL",
        "COPY",
        "MOVE",
        "LOCK",
        "UNLOCK",
        "REPORT",
        "SEARCH",
        "ACL",
        "BIND",
        "UNBIND",
        "REBIND",
        "CHECKIN",
        "CHECKOUT",
        "LABEL",
        "LINK",
        "UNLINK",
        "MERGE",
        "MKACTIVITY",
        "MKCALENDAR",
        "MKWORKSPACE",
        "ORDERPATCH",
        "PURGE",
        "UPDATE",
        "UNCHECKOUT",
        "BASELINE-CONTROL",
        "VERSION-CONTROL",
    ]
)
"""IANA's registry without those that no script may use (Fetch, "forbidden method"), and PURGE, which caches have."""
FORBIDDEN = frozenset({"CONNECT", "TRACE", "TRACK"})
OF_CORS = "access-control-"


def judge(world: World) -> None:
    for i, route in enumerate(world.config.route):
        if route.cors is None or not route.carries_requests:
            continue
        said(world, ("route", i, "cors"), route, route.cors)
        found(world, i, route)
        once(world, i, route)


def refuse(world: World, key: Key, what: str, *mend: str, also: tuple[Key, ...] = ()) -> None:
    world.refuse("route/cors", key, what, *mend, also=also)


def said(world: World, key: Key, route: Route, it: Cors) -> None:
    for j, text in enumerate(it.origins):
        try:
            origin(text, credentials=it.credentials)
        except NoOrigin as e:
            refuse(
                world, (*key, "origins", j), f"route {route.name!r} lets {text!r} read its answers: {e.what}", *e.mend
            )
    for j, method in enumerate(it.methods or ()):
        at = (*key, "methods", j)
        what = f"route {route.name!r} lets pages of other origins use the method {method!r}"
        if method == ANYBODY:
            star(world, at, what, it)
        elif method in FORBIDDEN:
            refuse(world, at, f"{what}, which no browser lets a script use", f"remove {method}")
        elif method not in METHODS:
            known = method.upper()
            mend = f'write it as it is sent: "{known}"' if known in METHODS else "write a method, such as PUT"
            refuse(world, at, f"{what}, which is none; methods are compared as they are written", mend)
    for word in ("headers", "expose"):
        for j, name in enumerate(getattr(it, word)):
            at = (*key, word, j)
            if name == ANYBODY:
                star(world, at, f"route {route.name!r} says {word} = {name!r}", it)
            elif not names.TOKEN.match(name):
                what = f"route {route.name!r} names the field {name!r} in cors.{word}, which is no name of one (RFC 9110 §5.1)"
                world.refuse("config/wrong-value", at, what, 'write a name without blanks and separators: "x-tenant"')


def star(world: World, at: Key, what: str, it: Cors) -> None:
    """With credentials it is a name like any other to browsers, and lets nothing through."""
    if it.credentials:
        also = ((*at[:-2], "credentials"),)
        refuse(world, at, f"{what}, and with credentials browsers take * for a name", "name each of them", also=also)


def found(world: World, i: int, route: Route) -> None:
    """A preflight is asked with OPTIONS, and carries no field that a script sets."""
    if route.methods and "OPTIONS" not in route.methods:
        told = ", ".join(f'"{method}"' for method in [*route.methods, "OPTIONS"])
        what = f"route {route.name!r} answers preflights, and takes no OPTIONS, by which browsers ask"
        refuse(world, ("route", i, "method"), what, f"method = [{told}]", also=(("route", i, "cors"),))
    for word, said, by in (("headers", "", route.headers), ("cookie", "the cookie ", route.cookie)):
        for name in by:
            what = f"route {route.name!r} is chosen by {said}{name}, which is in no preflight: it would come to another route"
            mend = ("choose by host or path", f"or say cors on a route without {word}, for the same host and path")
            refuse(world, ("route", i, word, name), what, *mend, also=(("route", i, "cors"),))


def once(world: World, i: int, route: Route) -> None:
    """What cors says is said nowhere else."""
    if route.response is None:
        return
    for word in ("remove", "set", "add"):
        for j, name in enumerate(getattr(route.response, word)):
            if name.lower().startswith(OF_CORS):
                at: Key = ("route", i, "response", word, j if word == "remove" else name)
                what = f"route {route.name!r} says cors and changes {name} of answers as well"
                refuse(world, at, what, "remove it: cors says it all", also=(("route", i, "cors"),))
