"""Rules about names and passwords: beside what they may be asked for, where they travel, and what is told of them.
Read next: `users.py`."""

from __future__ import annotations

from everyhop.compile import names
from everyhop.compile.reach import in_the_clear, serving
from everyhop.compile.rules_serve import alone, is_here
from everyhop.compile.rules_tokens import twin
from everyhop.compile.streams import owned
from everyhop.compile.world import Key, World
from everyhop.model import Basic, Route


def judge(world: World) -> None:
    clear = serving(world)
    known = owned(world) if clear else {}
    for i, route in enumerate(world.config.route):
        if route.basic is None or not route.carries_requests:
            continue
        key: Key = ("route", i, "basic")
        beside(world, key, route)
        realm(world, key, route, route.basic)
        forward(world, key, route, route.basic)
        if clear:
            away = [
                n
                for n in in_the_clear(world, route, known)
                if any(not is_here(at) for at in world.config.listener[n].bind)
            ]
            if away:
                listener = world.config.listener[away[0]]
                world.refuse(
                    "listener/serves-passwords",
                    key,
                    f"route {route.name!r} asks for passwords, and is reached by listener {listener.name!r}, where they come in the clear",
                    f"let it be reached with TLS alone: {alone(world)}",
                    also=(("listener", away[0], "serve"),),
                )


def beside(world: World, key: Key, route: Route) -> None:
    if route.jwt is not None:
        world.refuse(
            "route/two-sign-ins",
            key,
            f"route {route.name!r} asks for a token and for a password, and which of the two says whose a request is nobody could tell",
            "keep one of them, or let two routes take two kinds of clients: by a path, or by a field that they have",
            also=((*key[:2], "jwt"),),
        )


def realm(world: World, key: Key, route: Route, it: Basic) -> None:
    if it.realm is not None and (not it.realm.strip() or not all(" " <= c <= "~" and c not in '"\\' for c in it.realm)):
        what = f"route {route.name!r} has the realm {it.realm!r}, which cannot stand between quotes in a field (RFC 9110 §5.6.4)"
        world.refuse("config/wrong-value", (*key, "realm"), what, 'write it in ASCII without quotes: realm = "staging"')


def forward(world: World, key: Key, route: Route, it: Basic) -> None:
    if (name := it.forward) is None:
        return
    at: Key = (*key, "forward")
    if not names.TOKEN.fullmatch(name):
        what = f"route {route.name!r} tells the name in the field {name!r}, which is no name of one (RFC 9110 §5.1)"
        world.refuse("config/wrong-value", at, what, 'write a name without blanks and separators: "x-user"')
        return
    if not names.is_editable(name, answer=False) or name.lower() in ("cookie", "authorization"):
        what = f"route {route.name!r} tells the name in {name}, which says something else to every backend"
        world.refuse("route/edge-field", at, what, 'tell it in a field of another name: "x-user"')
    taken: dict[str, Key] = {}
    if route.request is not None:
        for word, table in (("set", route.request.set), ("add", route.request.add)):
            taken.update({twin(said): ("route", key[1], "request", word, said) for said in table})
        for j, said in enumerate(route.request.remove):
            taken[twin(said)] = ("route", key[1], "request", "remove", j)
    if twin(name) in taken:
        what = f"route {route.name!r} says twice what becomes of {name} of a request"
        world.refuse("route/edited-twice", at, what, "keep one of them", also=(taken[twin(name)],))
