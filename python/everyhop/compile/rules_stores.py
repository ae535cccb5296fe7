"""Rules about stores: the way to one is held to what a way to a backend is, who speaks to it says so by a secret that stands
elsewhere, and what counts there has somewhere to count. Read next: `rules_side.py`, which has the way."""

from __future__ import annotations

from everyhop.compile.behind import Behind
from everyhop.compile.rules_side import reached
from everyhop.compile.world import Key, World
from everyhop.model import Store

UNUSED = "store/counts-nothing"


def judge(world: World) -> None:
    """Of files and dates as well, so that it is judged anew whenever they are."""
    named = {it.store for it in world.config.limit}
    for i, it in enumerate(world.config.store):
        example = ("_redis._tcp.internal", 6379) if it.speaks == "redis" else ("_ratelimit._tcp.internal", 8081)
        reached(world, Behind(("store", i), it, it), it, example, "is asked")
        idle(world, ("store", i), it)
        spoken(world, ("store", i), it)
        if it.name not in named:
            what = f"no limit counts in store {it.name!r}"
            world.warn(UNUSED, ("store", i, "name"), what, f'store = "{it.name}" in a [[limit]]', "or remove it")
    known = sorted(it.name for it in world.config.store)
    for i, limit in enumerate(world.config.limit):
        if limit.store is None:
            continue
        if limit.store not in known:
            what = f"limit {limit.name!r} counts in {limit.store!r}, which is no [[store]]"
            mend = f"one of: {', '.join(known)}" if known else f'[[store]] with name = "{limit.store}"'
            world.refuse("config/unknown-name", ("limit", i, "store"), what, mend)
        if limit.rate is None:
            what = f"limit {limit.name!r} has no rate that could be counted in store {limit.store!r}"
            world.refuse(UNUSED, ("limit", i, "store"), what, 'rate = "100/s"', "or remove store", of_key=True)


def idle(world: World, key: Key, it: Store) -> None:
    """What is said to one that speaks otherwise, and so would be said to nobody."""
    given = {"user": it.user, "password": it.password, "database": it.database or None}
    for field, value in given.items() if it.speaks == "envoy" else [("domain", it.domain)]:
        if value is None:
            continue
        other = "redis" if it.speaks == "envoy" else "envoy"
        what = f'store {it.name!r} has a {field}, and speaks = "{it.speaks}" knows none'
        world.refuse(
            "config/wrong-value", (*key, field), what, f"remove {field}", f'or speaks = "{other}"', of_key=True
        )


def spoken(world: World, key: Key, it: Store) -> None:
    if it.password is not None and not it.password.startswith(("file:", "env:", "cred:")):
        what = f"store {it.name!r} has its password in the configuration"
        world.refuse("secret/inline", (*key, "password"), what, 'password = "file:/etc/everyhop/store.password"')
    if it.user is not None and it.password is None:
        what = f"store {it.name!r} has a user and no password"
        world.refuse("store/password", (*key, "user"), what, 'password = "file:PATH"', "or remove user", of_key=True)
    if it.password is not None and it.tls == "plaintext" and (it.off_host or it.acceptance):
        what = f"store {it.name!r} is told a password in plaintext across a network"
        world.warn("store/password-readable", (*key, "tls"), what, 'tls = "reencrypt" or "mutual"')
