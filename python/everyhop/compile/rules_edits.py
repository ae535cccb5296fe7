"""Rules about the fields that a route changes: which it may, and with what values; and what it gives cookies."""

from __future__ import annotations

from collections.abc import Iterator

from everyhop.compile import names
from everyhop.compile.pieces import VARIABLES, NoPiece, pieces
from everyhop.compile.world import Key, World
from everyhop.model import Cookies, Edits


def judge(world: World) -> None:
    for i, route in enumerate(world.config.route):
        for side, edits in (("request", route.request), ("response", route.response)):
            if edits is not None and route.tls != "passthrough" and not route.is_answered:
                fields(world, ("route", i, side), route.name, edits, claims=side == "request" and route.jwt is not None)
        copied = route.mirror.request if route.mirror else None
        if copied is not None and route.tls != "passthrough" and not route.is_answered:
            fields(world, ("route", i, "mirror", "request"), route.name, copied, claims=False)
        if route.cookies is not None and route.tls != "passthrough" and not route.is_answered:
            cookies(world, ("route", i, "cookies"), route.name, route.cookies)


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
        world.refuse("route/nothing-to-do", key, what, mend, "or remove cookies", of_key=True)


def named(edits: Edits) -> Iterator[tuple[Key, str, str | None]]:
    """Each name with its place and its value; a removed one has none."""
    for j, name in enumerate(edits.remove):
        yield ("remove", j), name, None
    for word, table in (("set", edits.set), ("add", edits.add)):
        for name, value in table.items():
            yield (word, name), name, value


def fields(world: World, key: Key, route: str, edits: Edits, *, claims: bool) -> None:
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
            judge_value(world, place, route, name, value, claims=claims)


def judge_value(world: World, place: Key, route: str, name: str, value: str, *, claims: bool = False) -> None:
    """`claims`: those of the token that its route asks for may be named."""
    try:
        pieces(value, claims=claims)
    except NoPiece as e:
        known = ", ".join(f"{{{it}}}" for it in (*VARIABLES, *["claim.sub"] * claims))
        what = f"route {route!r} sets {name} to {value!r}: {e}"
        world.refuse("route/variable", place, what, f"write one of {known}, and {{{{ for a brace")
        return
    if not value or value != value.strip(" \t") or any(c != "\t" and (ord(c) < 0x20 or c == "\x7f") for c in value):
        world.refuse(
            "config/wrong-value",
            place,
            f"route {route!r} sets {name} to {value!r}, which no field's value can be (RFC 9110 §5.5)",
            "write it without white space around it, and without control characters; to take a field away: remove",
        )
