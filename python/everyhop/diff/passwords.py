"""Who gets in by a name and a password. Weaker is whatever lets somebody pass who did not; of a hash nothing is known here, so that
another password of the same name is no change. Read next: `served.py`."""

from __future__ import annotations

from everyhop.diff.kinds import KINDS, Change, either
from everyhop.plan import AtEdge
from everyhop.screen import few

KINDS.update(
    {
        "password-dropped": ("weaker", "a route asks for no password, or tells it to more"),
        "password-demanded": ("stronger", "a route asks for a password, or tells it to fewer"),
        "user-added": ("weaker", "somebody may sign in who could not"),
        "user-removed": ("stronger", "somebody may sign in no more"),
        "users-moved": ("weaker", "a route's users stand in another file"),
        "users-unknown": ("weaker", "who may sign in stands in a file that cannot be read here"),
    }
)
LESS = ("password-dropped", "password-demanded")
WHO = ("user-added", "user-removed")


def passwords(name: str, a: AtEdge, b: AtEdge) -> list[Change]:
    if a.basic is None and b.basic is None:
        return []
    if a.basic is None or b.basic is None:
        asks = b.basic or a.basic
        assert asks is not None
        what = f"a password of {asks.file} is asked for{'' if b.basic else ' no more'}"
        so = ("requests pass without one", "requests without one are refused with 401")
        return [either(b.basic is None, LESS, name, what, so)]
    out = []
    if a.basic.file != b.basic.file:
        what = f"users stood in {a.basic.file}, now in {b.basic.file}"
        out.append(Change("users-moved", name, what, "whoever can write there says who gets in"))
    if a.basic.strip and not b.basic.strip:
        out.append(
            Change("password-dropped", name, "the password goes on to the backend", "whoever reads there has it")
        )
    elif b.basic.strip and not a.basic.strip:
        what = "the password goes no further"
        out.append(Change("password-demanded", name, what, "nobody behind the edge has it"))
    return out + who(name, a.basic.names, b.basic.names)


def who(name: str, was: list[str] | None, now: list[str] | None) -> list[Change]:
    if was == now:
        return []
    if was is None or now is None:
        what = "who may sign in stands in a file that cannot be read here"
        return [
            Change("users-unknown", name, what, "who was added or removed cannot be told: compare where the file is")
        ]
    out = []
    if added := sorted({*now} - {*was}):
        out.append(Change("user-added", name, f"{few(added)} may sign in", "whoever has that password passes"))
    if gone := sorted({*was} - {*now}):
        out.append(Change("user-removed", name, f"{few(gone)} may sign in no more", "that password gets 401"))
    return out
