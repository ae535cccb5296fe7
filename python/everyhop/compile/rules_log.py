"""Rules about the access log: fields that a line has, files that can be one, and what two of them say of the same place."""

from __future__ import annotations

import stat
from pathlib import Path

from everyhop.compile import names
from everyhop.compile.logged import said, same
from everyhop.compile.world import Key, World
from everyhop.model import Config, Route, RouteLog
from everyhop.model.log import HEADER, LINE
from everyhop.plan import STDOUT
from everyhop.refusals import PAGES, Finding
from everyhop.source import Document

MOST = 64
"""Places: each has a thread, a descriptor and memory of its own in the engine."""

SECRET = frozenset(
    {
        *("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key", "apikey"),
        *("x-auth-token", "x-access-token", "x-csrf-token", "x-xsrf-token", "x-amz-security-token"),
        *("x-vault-token", "private-token", "x-gitlab-token", "x-goog-iap-jwt-assertion", "x-amzn-oidc-data"),
    }
)
"""Fields whose values are secrets, by usage. A log is read by more people than may use them."""


def judge(world: World) -> None:
    config = world.config
    fields(world, ("log",), "[log]", config.log.format, config.log.fields)
    places: list[tuple[str, str, Key]] = [(config.log.access, config.log.format, ("log", "access"))]
    for i, route in enumerate(config.route):
        it, key = route.own_log, ("route", i, "log")
        if it is None:
            continue
        at: Key = key if isinstance(route.log, str) else (*key, "to")
        if it.to in {"", "off"}:
            what = f"route {route.name!r} has its lines go to {it.to!r}, which is no file"
            world.refuse("config/wrong-value", at, what, "log = false", 'or log = "/var/log/everyhop/NAME.log"')
            continue
        name = own(world, key, route, it)
        other = next((p for p in places if same(p[0], it.to)), None)
        if other is None:
            places.append((it.to, name, at))
        elif other[1] != name:
            what = f"route {route.name!r} writes {name} to {it.to}, where others write {other[1]}"
            mend = f'give it a file of its own, or format = "{other[1]}"'
            # Lines go to standard output where nobody says otherwise.
            also = (other[2],) if world.value(other[2]) is not None else ()
            world.refuse("log/two-formats", at, what, mend, also=also)
    named = [place for place in places if place[0] != "off"]
    if len(named) > MOST:
        what = f"lines of the access log go to {len(named)} places, and {MOST} are the most"
        world.refuse(
            "config/wrong-value", named[MOST][2], what, "let several routes have one file: a line names its route"
        )


def own(world: World, key: Key, route: Route, it: RouteLog) -> str:
    """Judges what the lines of one route are to say; gives their format."""
    name, _ = said(world.config, it)
    if isinstance(route.log, RouteLog):
        fields(world, key, f"route {route.name!r}", name, it.fields)
        unread = route.tls == "passthrough" or route.is_stream
        headers = [f for f in it.fields or [] if f.lower().startswith(HEADER)]
        if unread and (it.format == "combined" or headers):
            what = headers[0] if headers else "requests"
            world.refuse(
                "log/fields",
                (*key, "fields" if headers else "format"),
                f"the lines of route {route.name!r} are to tell of {what}, and the edge reads no request there",
                f"leave it out: a line of its says which connection, from whom, {'to whom, ' * (not headers)}and how it ended",
                of_key=True,
            )
    return name


def of_tokens(config: Config) -> set[str]:
    """Fields of requests in which some route looks for a token."""
    return {route.jwt.from_.lower().removeprefix(HEADER) for route in config.route if route.jwt}


def fields(world: World, key: Key, whose: str, name: str, listed: list[str] | None) -> None:
    if listed is None:
        return
    if name == "combined":
        what = f"{whose} picks fields, and a line in the combined format has its own"
        mend = 'format = "json"'
        world.refuse("log/fields", (*key, "fields"), what, mend, "or remove fields")
        return
    seen: dict[str, int] = {}
    for j, text in enumerate(listed):
        at, field = (*key, "fields", j), text.lower()
        header = field.removeprefix(HEADER) if field.startswith(HEADER) else None
        if header is not None and (header in SECRET or header in of_tokens(world.config)):
            what = f"{whose} writes the values of {header} down, which are secrets"
            mend = "leave it out: who reads a log could use them"
            world.refuse("log/secret", at, what, mend)
        elif field not in LINE and (header is None or not names.TOKEN.match(header)):
            what = f"{whose} picks {text!r}, which no line has"
            mend = f"one of: {', '.join(LINE)}; or {HEADER}NAME for a field of the request"
            world.refuse("log/fields", at, what, mend)
        elif field in seen:
            what = f"{whose} picks {text} twice: what reads a line would take one of them"
            world.refuse("log/fields", at, what, "remove one", also=((*key, "fields", seen[field]),))
        seen.setdefault(field, j)


def openable(world: World) -> None:
    """What can be seen to be no file without opening it. Who starts or reloads finds the rest out, and goes on where something
    runs that has its files open: there a folder that is wrong costs no client anything."""
    if world.past_dates == "close":
        return
    config = world.config
    is_file(world, ("log", "access"), config.log.access)
    for i, route in enumerate(config.route):
        it = route.own_log
        if it is not None:
            is_file(world, ("route", i, "log") if isinstance(route.log, str) else ("route", i, "log", "to"), it.to)


def is_file(world: World, key: Key, text: str) -> None:
    if text in {"", "off", STDOUT}:
        return
    try:
        why = "it is a folder" if stat.S_ISDIR(Path(text).stat().st_mode) else ""
    except FileNotFoundError:
        return
    except NotADirectoryError:
        why = f"{Path(text).parent} is no folder"
    except (OSError, ValueError) as e:
        why = str(e)
    if why:
        world.refuse(CANNOT_OPEN, key, cannot(text, why), *MENDS)


CANNOT_OPEN = "log/cannot-open"
MENDS = (
    "name a file in a folder that the supervisor may write to: /var/log/everyhop/access.log",
    'or let lines go to who started it: "stdout"',
)


def cannot(place: str, why: str) -> str:
    return f"{place!r} cannot be opened to write lines to it: {why}"


def unopened(document: Document, config: Config, place: str, why: str) -> Finding:
    """What was found when the file was opened, at the place in the configuration that names it."""
    key: Key = ("log", "access")
    for i, route in enumerate(config.route):
        it = route.own_log
        if it is not None and same(it.to, place) and config.log.access != place:
            key = ("route", i, "log") if isinstance(route.log, str) else ("route", i, "log", "to")
            break
    said = cannot(place, why)
    identity = (CANNOT_OPEN, *map(str, key), place)
    return Finding("refused", CANNOT_OPEN, document.place(key), said, PAGES[CANNOT_OPEN].why, MENDS, identity=identity)
