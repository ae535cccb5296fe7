"""Rules about who is asked whether requests may pass: how it is reached, what it is told and what is taken of its word, and who
answers for what passes unasked. Read next: `rules_side.py`, `asking.py`."""

from __future__ import annotations

import re

from everyhop.compile import names
from everyhop.compile.behind import Behind
from everyhop.compile.rules_acceptance import Passing, passing
from everyhop.compile.rules_side import reached
from everyhop.compile.tokens import named
from everyhop.compile.world import Key, World
from everyhop.model import Authorizer, Route

TARGET = re.compile(r"/[!-~]*\Z")
"""What can stand in a request line as it is."""
BODY = frozenset({"content-encoding", "content-language", "content-location", "content-range", "trailer"})
"""Fields that speak of a body: an authorizer gets none, and a backend's is the client's."""


def judge_dates(world: World) -> None:
    """Of files and dates as well, so that it is judged anew whenever they are."""
    for i, it in enumerate(world.config.authorizer):
        key: Key = ("authorizer", i)
        reached(world, Behind(key, it, it), it, ("_sso._tcp.internal", 4180), "is asked about requests")
        passing(
            world,
            key,
            it,
            f"authorizer {it.name!r}",
            Passing(
                "unasked",
                f"what passes unasked at authorizer {it.name!r}",
                "lets requests pass where it cannot be asked",
                'refuse where nobody can be asked: when_down = "refuse"',
            ),
        )


def judge(world: World) -> None:
    used = set()
    known = {it.name: it for it in world.config.authorizer}
    for i, route in enumerate(world.config.route):
        if route.ask is None or not route.carries_requests:
            continue
        used.add(route.ask)
        if route.ask not in known:
            listed = ", ".join(sorted(known)) or "none: [[authorizer]]"
            what = f"route {route.name!r} asks authorizer {route.ask!r}, which is none"
            world.refuse("config/unknown-name", ("route", i, "ask"), what, f"one of: {listed}")
        else:
            beside(world, i, route, known[route.ask])
            alike(world, i, route)
    for i, it in enumerate(world.config.authorizer):
        asked(world, ("authorizer", i), it)
        if it.name not in used:
            what = f"authorizer {it.name!r} is asked by no route"
            world.warn("authorizer/unused", ("authorizer", i, "name"), what, f'ask = "{it.name}" on a route')


def asked(world: World, key: Key, it: Authorizer) -> None:
    called = f"authorizer {it.name!r}"
    target(world, key, called, it)
    for word, given in (("sends", it.sends), ("takes", it.takes)):
        seen: dict[str, Key] = {}
        for j, name in enumerate(given):
            field(world, (*key, word, j), called, word, name)
            if twin(name) in seen:
                what = f"{called} has {name} twice in {word}"
                world.refuse("authorizer/field", (*key, word, j), what, "keep one of them", also=(seen[twin(name)],))
            seen.setdefault(twin(name), (*key, word, j))


def target(world: World, key: Key, called: str, it: Authorizer) -> None:
    """By which path it is asked: in Envoy's words there is but one."""
    if it.speaks == "envoy":
        if it.path is not None:
            what = f'{called} is asked for {it.path!r}, and speaks = "envoy" asks by envoy.service.auth.v3.Authorization/Check'
            mend = 'ask it by that path: speaks = "http"'
            world.refuse("config/wrong-value", (*key, "path"), what, "remove path", mend, of_key=True)
    elif it.path is None:
        what = f"{called} has no 'path'"
        mend = 'say by what it is asked: path = "/oauth2/auth"'
        world.refuse("config/missing-key", key, what, mend, 'or that it speaks gRPC: speaks = "envoy"')
    elif not TARGET.match(it.path) or "#" in it.path or names.path(it.path.partition("?")[0]) is None:
        what = f"{called} is asked for {it.path!r}, which is no path in its one form"
        world.refuse("config/wrong-value", (*key, "path"), what, 'write it as it goes there: path = "/oauth2/auth"')


def alike(world: World, i: int, route: Route) -> None:
    """Whoever is asked is told a path in its canonical form, and its backend gets what came: of what can be read in two ways one decides
    about the one, and the other does the other. One path alone is read so by both, or does not pass."""
    if route.paths != "strict" and route.path_exact is None:
        what = (
            f"route {route.name!r} asks authorizer {route.ask!r} about paths that its backend may read in another way"
        )
        world.warn(
            "authorizer/paths", ("route", i, "ask"), what, 'let only paths pass that all read alike: paths = "strict"'
        )


def field(world: World, at: Key, called: str, word: str, name: str) -> None:
    does = "is shown" if word == "sends" else "says"
    if not names.TOKEN.fullmatch(name):
        what = f"{called} {does} the field {name!r}, which is no name of one (RFC 9110 §5.1)"
        world.refuse("config/wrong-value", at, what, f'write names without blanks and separators: {word} = ["cookie"]')
    elif not names.is_editable(name, answer=False) or name.lower() in BODY:
        why = "speaks of a body" if name.lower() in BODY else "only the edge itself writes"
        what = f"{called} {does} {name}, which {why}"
        world.refuse(
            "authorizer/field",
            at,
            what,
            "leave it out: what is asked for, and by whom, the edge says itself"
            if word == "sends"
            else 'take what it says from a field of another name: takes = ["x-auth-request-user"]',
        )
    elif word == "takes" and name.lower() in ("cookie", "set-cookie"):
        what = f"{called} says {name}, and would say it in the place of the client's"
        mend = "leave it out: cookies that it sets go to the client by themselves"
        world.refuse("authorizer/field", at, what, mend)


def beside(world: World, i: int, route: Route, it: Authorizer) -> None:
    """What is taken is said by nobody else, and what goes no further does not go there, either."""
    said: dict[str, Key] = {}
    if route.request is not None:
        for word, table in (("set", route.request.set), ("add", route.request.add)):
            said.update({twin(name): ("route", i, "request", word, name) for name in table})
        said.update({twin(name): ("route", i, "request", "remove", j) for j, name in enumerate(route.request.remove)})
    if route.basic is not None and route.basic.forward is not None:
        said[twin(route.basic.forward)] = ("route", i, "basic", "forward")
    if route.jwt is not None:
        said.update({twin(str(name)): ("route", i, "jwt", "forward", *path) for path, name in named(route.jwt.forward)})
    for name in it.takes:
        if twin(name) in said:
            what = f"route {route.name!r} says what becomes of {name} of a request, which authorizer {it.name!r} says"
            mend = "keep one of them, or take it in a field of another name"
            world.refuse("route/edited-twice", said[twin(name)], what, mend, also=(("route", i, "ask"),), of_key=True)
    if route.basic is not None and route.basic.strip and "authorization" in {name.lower() for name in it.sends}:
        world.refuse(
            "authorizer/field",
            ("route", i, "basic", "strip"),
            f"the password of route {route.name!r} goes no further, and authorizer {it.name!r} is shown authorization",
            "take authorization out of its sends",
            "or let the password go on: strip = false",
            also=(("route", i, "ask"),),
        )
    if route.jwt is None:
        return
    kind, _, name = route.jwt.from_.partition(":")
    where = {"authorization": "authorization", "header": name.lower()}.get(kind)
    if route.jwt.strip and where is not None and where in {it.lower() for it in it.sends}:
        world.refuse(
            "authorizer/field",
            ("route", i, "jwt", "strip"),
            f"the token of route {route.name!r} goes no further, and authorizer {it.name!r} is shown {where}",
            f"take {where} out of its sends",
            "or let the token go on: strip = false",
            also=(("route", i, "ask"),),
        )


def twin(name: str) -> str:
    """What a backend that reads `_` and `.` as `-` takes it for."""
    return name.lower().replace("_", "-").replace(".", "-")
