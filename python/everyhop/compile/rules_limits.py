"""Rules about limits by key: that each limits something, by something that requests have, and that some route names it. Read
next: `limiters.py`."""

from __future__ import annotations

from everyhop.compile import names
from everyhop.compile.limiters import MOST, NAMED, WORDS, rate
from everyhop.compile.pieces import CLAIM
from everyhop.compile.world import Key, World
from everyhop.model import Limit, Route

SLUG = "limit/limits-nothing"
KEYS = "limit/key"


def judge(world: World) -> None:
    known = {it.name: it for it in world.config.limit}
    named = {name for route in world.config.route for name in route.limited_by or []}
    for i, it in enumerate(world.config.limit):
        of_limit(world, i, it)
        for j, part in enumerate(it.by):
            of_key(world, ("limit", i, "by", j), it, part)
        if it.name not in named:
            what = f"no route names limit {it.name!r}"
            world.warn(SLUG, ("limit", i, "name"), what, f'limited_by = ["{it.name}"] on a route', "or remove it")
    for i, route in enumerate(world.config.route):
        of_route(world, i, route, known)


def of_limit(world: World, i: int, it: Limit) -> None:
    key: Key = ("limit", i)
    if it.rate is None and it.at_once is None:
        what = f"limit {it.name!r} says neither how many in a time nor how many at once"
        world.refuse(SLUG, (*key, "name"), what, 'rate = "100/s"', "or at_once = 20")
    if it.rate is not None and rate(it.rate) is None:
        what = f"limit {it.name!r} has the rate {it.rate!r}"
        mend = f'write a number from 1 to {MOST:,} and a time: "100/s", "60/m", "1000/h" or "10000/d"'
        world.refuse("config/wrong-value", (*key, "rate"), what, mend)
    if it.burst is not None and it.rate is None:
        what = f"limit {it.name!r} has a burst and no rate by which it would be earned back"
        world.refuse(SLUG, (*key, "burst"), what, 'rate = "100/s"', "or remove burst", of_key=True)


def of_key(world: World, key: Key, it: Limit, part: str) -> None:
    name = next((part.removeprefix(p) for p in NAMED if part.startswith(p)), None)
    is_claim = part.startswith("claim:") and CLAIM.fullmatch(f"claim.{name}") is not None
    if part not in WORDS and not is_claim and (name is None or not names.TOKEN.match(name)):
        what = f"limit {it.name!r} counts by {part!r}"
        mend = f"write one of {', '.join(WORDS)}, header:NAME, cookie:NAME or claim:NAME"
        world.refuse("config/wrong-value", key, what, mend)
        return
    if name is not None and part.startswith("header:") and not names.is_heard(name):
        what = (
            f"limit {it.name!r} counts by the header {name!r}, which is taken from every request before it is counted"
        )
        world.refuse(KEYS, key, what, "name a field that the client may set", 'or by = ["client-address"]')
    elif part == "client-name" and not any(site.clients for site in world.config.site):
        what = f"limit {it.name!r} counts by the client's name, and no site asks clients for a certificate"
        mend = 'clients = { ca = "/etc/everyhop/client-ca.pem", mode = "require" } on the site'
        world.refuse(KEYS, key, what, mend, 'or by = ["client-address"]')


def of_route(world: World, i: int, route: Route, known: dict[str, Limit]) -> None:
    key: Key = ("route", i, "limited_by")
    for j, name in enumerate(route.limited_by or []):
        if name not in known:
            what = f"route {route.name!r} is limited by {name!r}, which is no [[limit]]"
            mend = f"one of: {', '.join(sorted(known))}" if known else f'[[limit]] with name = "{name}" and a rate'
            world.refuse("config/unknown-name", (*key, j), what, mend)
        elif route.jwt is None and (claims := [part for part in known[name].by if part.startswith("claim:")]):
            what = f"route {route.name!r} asks for no token, and its limit {name!r} counts by {claims[0]!r} of one"
            world.refuse(KEYS, (*key, j), what, 'jwt = { issuer = "corp" } on the route', "or name another limit")
        elif route.basic is None and "user" in known[name].by:
            what = f"route {route.name!r} asks for no password, and its limit {name!r} counts by the name that comes with one"
            world.refuse(KEYS, (*key, j), what, 'basic = { file = "users" } on the route', "or name another limit")
    named = [known[name] for name in route.limited_by or [] if name in known]
    if named and all(any(map(is_chosen, it.by)) for it in named):
        what = f"every limit of route {route.name!r} counts by what a client may send as it likes"
        world.warn(KEYS, key, what, 'name another one beside it: by = ["client-address"]')


def is_chosen(part: str) -> bool:
    """A client sends of it what it likes. What is no key is refused: by its value, or since it is taken from each request."""
    kind, _, name = part.partition(":")
    if not names.TOKEN.match(name):
        return False
    return kind == "cookie" or (kind == "header" and names.is_heard(name))
