"""Rules about the path and the host that go to a backend in the place of the one that was asked for: what is taken away must be there, and
what goes on is a path that stays within the backend's root and names no server."""

from __future__ import annotations

from everyhop import plan
from everyhop.compile import names
from everyhop.compile.pieces import NoPiece, pieces
from everyhop.compile.world import Key, World
from everyhop.model import Rewrite, Route

SLUG = "route/onward-path"


def judge(world: World) -> None:
    for i, route in enumerate(world.config.route):
        if not route.carries_requests:
            continue
        if route.host_header is not None and names.authority(route.host_header) is None:
            what = f"route {route.name!r} asks backends for {route.host_header!r}, which is no host"
            world.refuse(
                "route/host", ("route", i, "host_header"), what, 'write "shop.internal" or "shop.internal:8443"'
            )
        if route.strip is not None:
            stripped(world, ("route", i, "strip"), route, route.strip)
        if isinstance(route.rewrite, Rewrite):
            made(world, ("route", i, "rewrite"), route, route.rewrite)
        elif route.rewrite is not None:
            rewritten(world, ("route", i, "rewrite"), route, route.rewrite)


def is_segments(path: str) -> bool:
    """Whole segments, in the one form that every backend reads alike, without a slash at the end."""
    return names.path(path) == path and not path.endswith("/")


def stripped(world: World, key: Key, route: Route, prefix: str) -> None:
    said = f"route {route.name!r} strips {prefix!r} from paths"
    if not is_segments(prefix):
        mend = "start with /, end before one, without . or .. or //, with upper-case percent digits and nothing encoded that need not be"
        world.refuse(SLUG, key, f"{said}, which is not one or more whole segments", mend)
        return
    taken = route.path if route.path_exact is None else route.path_exact
    if taken is None or not f"{taken.rstrip('/')}/".startswith(f"{prefix}/"):
        field = "path" if route.path_exact is None else "path_exact"
        which = (
            f"{taken} alone" if taken and field == "path_exact" else f"all paths of {taken}" if taken else "every path"
        )
        world.refuse(
            SLUG,
            key,
            f"{said}, and serves {which}: not each of them begins with it",
            f'path = "{prefix}"',
            "or strip no more than what each path of the route begins with",
            also=((*key[:2], field),) if taken else (),
        )


def rewritten(world: World, key: Key, route: Route, text: str) -> None:
    said = f"route {route.name!r} sends backends {text!r} for the path"
    try:
        found = pieces(text)
    except NoPiece as e:
        world.refuse(SLUG, key, f"{said}: {e}", 'write "/prefix{path}", or one path for all')
        return
    match found:
        case [plan.Text(text=path)]:
            if names.path(path) != path:
                world.refuse(
                    SLUG,
                    key,
                    f"{said}, which is no path in the one form that all of them read alike",
                    'write "/one/path"',
                )
            elif route.strip is not None:
                world.refuse(
                    SLUG,
                    key,
                    f"{said}, and takes {route.strip!r} from it, of which nothing goes on",
                    "remove strip",
                    f'or rewrite = "{path.rstrip("/")}{{path}}"',
                    also=((*key[:2], "strip"),),
                )
        case [plan.Text(text=prefix), plan.Of(of="path")] if is_segments(prefix):
            pass
        case [plan.Of(of="path")]:
            world.refuse(SLUG, key, f"{said}, which is what goes on anyway", "remove rewrite")
        case [plan.Text(text=prefix), plan.Of(of="path")]:
            so = (
                "and {path} begins with a slash of its own"
                if prefix.endswith("/")
                else "whose prefix is not in the one form that all of them read alike"
            )
            world.refuse(SLUG, key, f"{said}, {so}", 'write "/prefix{path}"')
        case _:
            what = f"{said}: beside a prefix it can hold {{path}} alone, at its end; the query goes on by itself"
            world.refuse(SLUG, key, what, 'write "/prefix{path}"')


def made(world: World, key: Key, route: Route, it: Rewrite) -> None:
    """A path that is made by a regular expression. The engine's own judge says whether it can be."""
    if route.strip is not None:
        what = f"route {route.name!r} takes {route.strip!r} from paths that its rewrite sees whole"
        also = ((*key[:2], "strip"),)
        world.refuse(SLUG, key, what, "remove strip: the expression can leave it out of what goes on", also=also)
        return
    found = names.no_rewrite(it.regex, it.to)
    if found is None:
        return
    which, why = found
    if which == "regex":
        what = f"route {route.name!r} rewrites paths by {it.regex!r}: {why}"
        mend = 'regex = "/users/(?<id>[0-9]+)(?<rest>/.*)?"'
    else:
        what = f"route {route.name!r} sends backends {it.to!r} for the path: {why}"
        mend = 'to = "/people/{id}{rest}", with the groups of the expression'
    world.refuse(SLUG, (*key, which), what, mend)
