"""Rules about tokens: whose are believed, for whom they are, and what routes want of them and tell of them.
Read next: `tokens.py`."""

from __future__ import annotations

import re

from everyhop.compile import names
from everyhop.compile.tokens import named
from everyhop.compile.world import Key, World
from everyhop.model import Jwt, Route

COOKIE = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A name of one (RFC 6265 §4.1.1)."""


def judge(world: World) -> None:
    issuers(world)
    used = {name for route in world.config.route if route.jwt for name in route.jwt.issuers}
    for i, route in enumerate(world.config.route):
        if route.jwt is None or not route.carries_requests:
            continue
        key: Key = ("route", i, "jwt")
        wanted_of(world, key, route, route.jwt)
        place(world, key, route, route.jwt)
        claims(world, key, route, route.jwt)
        forward(world, key, route, route.jwt)
    for i, issuer in enumerate(world.config.issuer):
        if issuer.name not in used:
            what = f"issuer {issuer.name!r} is believed by no route"
            world.warn("issuer/unused", ("issuer", i, "name"), what, f'jwt = {{ issuer = "{issuer.name}" }} on a route')


def issuers(world: World) -> None:
    for i, it in enumerate(world.config.issuer):
        for key, text in [
            (("issuer", i, "issuer"), it.issuer),
            *(
                (("issuer", i, "audience") if isinstance(it.audience, str) else ("issuer", i, "audience", j), text)
                for j, text in enumerate(it.audiences)
            ),
        ]:
            if not text.strip() or text != text.strip():
                what = f"issuer {it.name!r} has {key[2]!s} {text!r}: no token says that"
                world.refuse("config/wrong-value", key, what, "write it as the tokens have it")
        if not it.audiences:
            what = f"issuer {it.name!r} has no audience: a token that somebody got for any other service would do"
            world.refuse("config/wrong-value", ("issuer", i, "audience"), what, 'name yours: audience = "api"')
        if (file := it.keys.file) is not None and file.startswith(("http://", "https://")):
            what = f"the keys of issuer {it.name!r} are a file, and {file} is a URL"
            mend = f'keys = {{ from = "{file}", verify = {{ ca = "system" }} }}'
            world.refuse("issuer/keys", ("issuer", i, "keys", "file"), what, mend)


def wanted_of(world: World, key: Key, route: Route, it: Jwt) -> None:
    known = {issuer.name: issuer for issuer in world.config.issuer}
    said: dict[str, str] = {}
    if not it.issuers:
        what = f"route {route.name!r} asks for a token and believes no issuer"
        world.refuse("config/wrong-value", (*key, "issuer"), what, 'name one: issuer = "corp"')
    for j, name in enumerate(it.issuers):
        at: Key = (*key, "issuer") if isinstance(it.issuer, str) else (*key, "issuer", j)
        if name not in known:
            listed = ", ".join(sorted(known)) or "none: [[issuer]]"
            what = f"route {route.name!r} believes issuer {name!r}, which is none"
            world.refuse("config/unknown-name", at, what, f"one of: {listed}")
        elif (other := said.setdefault(known[name].issuer, name)) != name:
            what = f"route {route.name!r} believes {other!r} and {name!r}, whose tokens say the same issuer: {known[name].issuer}"
            world.refuse("issuer/said-twice", at, what, "keep one of them, with the audiences of both")


def place(world: World, key: Key, route: Route, it: Jwt) -> None:
    kind, _, name = it.from_.partition(":")
    at: Key = (*key, "from")
    mend = 'from = "authorization", "cookie:NAME" or "header:NAME"'
    if it.from_ == "authorization":
        return
    fits = {"cookie": COOKIE.fullmatch, "header": names.TOKEN.fullmatch}.get(kind)
    if fits is None or not fits(name):
        world.refuse("config/wrong-value", at, f"route {route.name!r} looks for its token in {it.from_!r}", mend)
    elif kind == "header" and (
        not names.is_editable(name, answer=False) or name.lower() in ("cookie", "authorization")
    ):
        instead = {"authorization": 'from = "authorization"', "cookie": 'from = "cookie:NAME"'}
        what = f"route {route.name!r} looks for its token in {name}, which is no field of a token"
        world.refuse("route/edge-field", at, what, instead.get(name.lower(), mend))


def claims(world: World, key: Key, route: Route, it: Jwt) -> None:
    for path, value in named(it.claims):
        at: Key = (*key, "claims", *path)
        if path in (("iss",), ("aud",), ("exp",), ("nbf",), ("iat",)):
            what = f"route {route.name!r} wants {path[0]} to be {value!r}, which its issuer's own rules judge"
            instead = {"iss": "issuer", "aud": "audience"}.get(path[0])
            mend = f"say it of the [[issuer]]: {instead} = ..." if instead else "remove it: times are always looked at"
            world.refuse("issuer/own-claim", at, what, mend, of_key=True)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and not one.strip():
                what = f"route {route.name!r} wants {'.'.join(path)} to be {one!r}, which says nothing"
                world.refuse("config/wrong-value", at, what, 'write what it must be: scope = "api.read"')


def forward(world: World, key: Key, route: Route, it: Jwt) -> None:
    taken: dict[str, Key] = {}
    if route.request is not None:
        for word, table in (("set", route.request.set), ("add", route.request.add)):
            taken.update({twin(name): ("route", key[1], "request", word, name) for name in table})
        for j, name in enumerate(route.request.remove):
            taken[twin(name)] = ("route", key[1], "request", "remove", j)
    for path, field in named(it.forward):
        at: Key = (*key, "forward", *path)
        name = str(field)
        if not names.TOKEN.fullmatch(name):
            what = f"route {route.name!r} tells {'.'.join(path)} in the field {name!r}, which is no name of one (RFC 9110 §5.1)"
            world.refuse("config/wrong-value", at, what, 'write a name without blanks and separators: "x-user"')
            continue
        if not names.is_editable(name, answer=False) or name.lower() in ("cookie", "authorization"):
            what = f"route {route.name!r} tells {'.'.join(path)} in {name}, which says something else to every backend"
            world.refuse("route/edge-field", at, what, 'tell it in a field of another name: "x-user"')
        if twin(name) in taken:
            what = f"route {route.name!r} says twice what becomes of {name} of a request"
            world.refuse("route/edited-twice", at, what, "keep one of them", also=(taken[twin(name)],))
        if it.from_.lower() == f"header:{name.lower()}":
            what = f"route {route.name!r} tells {'.'.join(path)} in {name}, where its token is"
            world.refuse(
                "route/edited-twice", at, what, 'tell it in a field of another name: "x-user"', also=((*key, "from"),)
            )
        taken.setdefault(twin(name), at)


def twin(name: str) -> str:
    """What a backend that reads `_` and `.` as `-` takes it for."""
    return name.lower().replace("_", "-").replace(".", "-")
