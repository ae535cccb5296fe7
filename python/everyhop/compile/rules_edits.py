"""Rules about the fields that a route changes: which it may, and with what values; and what it gives cookies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from everyhop.compile import names
from everyhop.compile.pieces import USER, VARIABLES, NoPiece, pieces
from everyhop.compile.world import Key, World
from everyhop.model import Cookies, Edits, Route


def judge(world: World) -> None:
    for i, route in enumerate(world.config.route):
        if not route.carries_requests:
            continue
        for side, edits in (("request", route.request), ("response", route.response)):
            if edits is not None:
                asks = asked_for(route) if side == "request" else NOBODY
                fields(world, ("route", i, side), route.name, edits, asks)
        copied = route.mirror.request if route.mirror else None
        if copied is not None:
            fields(world, ("route", i, "mirror", "request"), route.name, copied, NOBODY)
        if route.cookies is not None:
            cookies(world, ("route", i, "cookies"), route.name, route.cookies)


@dataclass(frozen=True)
class Asks:
    """What a route asks for of who comes, so that it can be named."""

    claims: bool
    user: bool

    @property
    def known(self) -> list[str]:
        return ["claim.sub"] * self.claims + ["user"] * self.user


NOBODY = Asks(claims=False, user=False)


def asked_for(route: Route) -> Asks:
    return Asks(claims=route.jwt is not None, user=route.basic is not None)


def cookies(world: World, key: Key, route: str, it: Cookies) -> None:
    if it.same_site == "none" and not it.secure:
        world.refuse(
            "route/cookies",
            (*key, "same_site"),
            f"route {route!r} has cookies sent with requests of any page, and not by TLS alone: browsers take none that says so",
            "secure = true",
            'or same_site = "lax"',
        )
    if it.path is not None and (names.path(it.path) != it.path or ";" in it.path):
        what = f"route {route!r} has cookies be for {it.path!r}, which is not a path that a cookie can have"
        world.refuse("route/cookies", (*key, "path"), what, 'path = "/v1"')
    if it == Cookies():
        what = f"route {route!r} says of cookies that they are given nothing"
        mend = 'cookies = { secure = true, http_only = true, same_site = "lax" }'
        world.refuse("route/nothing-to-do", key, what, mend, "or remove cookies")


def named(edits: Edits) -> Iterator[tuple[Key, str, str | None]]:
    """Each name with its place and its value; a removed one has none."""
    for j, name in enumerate(edits.remove):
        yield ("remove", j), name, None
    for word, table in (("set", edits.set), ("add", edits.add)):
        for name, value in table.items():
            yield (word, name), name, value


def fields(world: World, key: Key, route: str, edits: Edits, asks: Asks) -> None:
    side = str(key[-1])
    seen: dict[str, Key] = {}
    for at, name, value in named(edits):
        place = (*key, *at)
        if not names.TOKEN.match(name):
            what = f"route {route!r} changes the field {name!r} of a {side}, which is no name of one (RFC 9110 §5.1)"
            world.refuse(
                "config/wrong-value", place, what, 'write a name without blanks and separators: "x-tenant"', of_key=True
            )
            continue
        if not names.is_editable(name, answer=side == "response"):
            world.refuse(
                "route/edge-field",
                place,
                f"route {route!r} changes {name} of a {side}, which only the edge itself writes",
                'say the same in a field of another name: x-client = "{client.name}"'
                if side == "request"
                else "leave it out: the edge frames each message anew",
                of_key=True,
            )
        # What is removed comes first: a name that is removed twice is in it too.
        if name.lower() in seen and seen[name.lower()][-2] in ("remove", at[0]):
            world.refuse(
                "route/edited-twice",
                place,
                f"route {route!r} says twice what becomes of {name} of a {side}",
                'keep one: "set" takes the place of what was there',
                also=(seen[name.lower()],),
                of_key=True,
            )
        seen.setdefault(name.lower(), place)
        if value is not None:
            judge_value(world, place, route, name, value, asks)


def judge_value(world: World, place: Key, route: str, name: str, value: str, asks: Asks = NOBODY) -> None:
    try:
        pieces(value, claims=asks.claims, user=asks.user)
    except NoPiece as e:
        known = ", ".join(f"{{{it}}}" for it in (*VARIABLES, *asks.known))
        what = f"route {route!r} sets {name} to {value!r}: {e}"
        world.refuse(
            "route/variable", place, what, f"write one of {known}, and {{{{ for a brace", *lacks(place, value, asks)
        )
        return
    if not value or value != value.strip(" \t") or any(c != "\t" and (ord(c) < 0x20 or c == "\x7f") for c in value):
        world.refuse(
            "config/wrong-value",
            place,
            f"route {route!r} sets {name} to {value!r}, which no field's value can be (RFC 9110 §5.5)",
            "write it without white space around it, and without control characters; to take a field away: remove",
        )


def lacks(place: Key, value: str, asks: Asks) -> list[str]:
    """What would make it known, of what its route could ask for."""
    of_request = place[2] == "request"
    return ['basic = { file = "users" } on the route, whose names {user} says'] * (
        of_request and USER in value and not asks.user
    )
