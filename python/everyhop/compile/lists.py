"""Reads the revocation lists that a configuration names, of clients and of backends alike: in files, or as they were fetched last from a
URL. What was not fetched yet is looked for, and what is verified by it is closed by the engine.

Read next: `rules_lists.py`; `../admin/fetching.py`, which brings them.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from everyhop.compile.coming import located
from everyhop.compile.key_servers import url
from everyhop.compile.world import Key, World
from everyhop.identity import Unusable, mark_of
from everyhop.model.crl import FETCHED, is_url


@dataclass(frozen=True)
class Whose:
    """Whose certificates a list revokes, in words."""

    all: str
    none_passes: str


CLIENTS = Whose("clients", "no client certificate passes")
BACKENDS = Whose("backends", "no backend passes")


def lists(world: World, key: Key, label: str, ca: str, stale: Literal["refuse", "allow"], whose: Whose) -> None:
    """The lists in the file `label`, or of that URL, for who is verified against the roots in `ca`."""
    if is_url(label):
        fetched(world, key, label, ca, stale, whose)
        return
    issuers = world.roots.get(ca)
    if (path := located(world, key, label, "lists")) is None or issuers is None:
        return  # they are yet to come, or refused where they were read
    try:
        world.crls[label] = world.readings.crl(path, issuers, world.base, whose.all)
    except Unusable as e:
        world.refuse(e.slug, key, e.what, e.mend)
        return
    overdue(
        world,
        key,
        label,
        stale,
        whose,
        "fetch the new list from the authority; the file is watched, no restart is needed",
    )


def servers(world: World) -> None:
    """By what the servers of `https://` are verified can be read."""
    if world.config.crl.ca is not None:
        try:
            world.readings.roots(world.config.crl.ca, world.base)
        except Unusable as e:
            world.refuse(e.slug, ("crl", "ca"), e.what, e.mend)


def fetched(world: World, key: Key, label: str, ca: str, stale: Literal["refuse", "allow"], whose: Whose) -> None:
    if not can_be_asked(label):
        return  # refused elsewhere
    issuers, section = world.roots.get(ca), world.config.crl
    signers = world.lists.setdefault(label, {})
    if (why := is_writable(world.base / section.state)) is not None:
        at: Key = ("crl", "state") if world.value(("crl", "state")) is not None else key
        closing = [f"chmod 700 {world.base / section.state}"] if (world.base / section.state).is_dir() else []
        world.refuse("crl/state", at, why, *closing, 'or name another folder: [crl] state = "/var/lib/everyhop/lists"')
        return
    if issuers is None:
        return  # they are yet to come, or refused where they were read
    signers[issuers.sha256] = issuers
    path = section.kept(label)
    mark = mark_of(world.base / path)
    try:
        world.crls[label] = world.readings.last_crl(path, issuers, world.base, whose.all)
    except Unusable:
        # There is none yet, it is of other roots, or was spoiled before we began: until it is fetched, nobody passes.
        world.unfit[world.base / path] = mark
        return
    overdue(world, key, label, stale, whose, "see why no newer one was fetched: everyhop status")


def can_be_asked(label: str) -> bool:
    """As it stands: the engine knows by its first letters that it comes later."""
    return label.startswith(FETCHED) and url(label) is not None


def overdue(world: World, key: Key, label: str, stale: Literal["refuse", "allow"], whose: Whose, mend: str) -> None:
    ends = world.crls[label].next_update
    if ends <= world.now:
        so = whose.none_passes if stale == "refuse" else "who was revoked since passes"
        world.warn(
            "crl/stale",
            key,
            f"{label}: a revocation list was due to be replaced on {ends:%Y-%m-%d %H:%M} UTC; {so}",
            mend,
            mark=ends.isoformat(),
        )


def is_writable(folder: Path) -> str | None:
    """Why a folder that is there is no place for lists; `None` for one that only we write in, or yet to be made."""
    if not os.path.lexists(folder):
        return None
    try:
        it = folder.stat()
    except OSError as e:
        return f"{folder}: {e.strerror}"
    if not stat.S_ISDIR(it.st_mode):
        return f"{folder} is no folder"
    if it.st_uid not in (os.geteuid(), 0):
        return f"{folder} belongs to another user (uid {it.st_uid}), who could put back a list from before a certificate was revoked"
    if it.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others can write in {folder} (mode {stat.S_IMODE(it.st_mode):04o}), and could put back a list from before a certificate was revoked"
    return None
