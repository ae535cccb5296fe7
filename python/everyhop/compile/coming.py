"""Reads what an identity is that comes by itself, once it came: until then its files are looked for, and what takes it is closed by
the engine. Read next: `../admin/renewing.py`, which brings it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Literal

from everyhop.compile.world import Key, World
from everyhop.identity import Pair, Unusable
from everyhop.identity.keys import key_bytes
from everyhop.identity.workload import unfit_agent
from everyhop.model import CaIdentity, ComingIdentity, SpiffeIdentity
from everyhop.model.identity import GIVEN, LISTS

DOMAIN = re.compile(r"[a-z0-9._-]{1,200}")
"""A trust domain (SPIFFE-ID §2.1) whose roots a file can be named for."""
TOKEN = "everyhop ca token DIR NAME > FILE, at the authority"


def is_there(world: World, i: int, it: ComingIdentity, environ: Mapping[str, str]) -> bool:
    """Whether there is something to be read; else it is looked for, and by what it is to be had is judged."""
    from everyhop.authority.held import is_open

    folder = world.base / it.folder
    if (why := is_open(folder)) is not None:
        key: Key = ("identity", i, "state" if it.state is not None else "name")
        world.refuse("identity/folder", key, f"identity {it.name!r}: {why}", f"chmod 700 {folder}")
        return False
    if isinstance(it, SpiffeIdentity) and (unfit := unfit_agent(it.agent)) is not None:
        world.refuse("identity/agent", ("identity", i, "agent"), f"identity {it.name!r}: {unfit[0]}", unfit[1])
        return False
    if (world.base / it.chain).exists():
        return True
    world.missing.add(world.base / it.chain)
    if isinstance(it, CaIdentity):
        enrolment(world, i, it, environ)
    return False


def enrolment(world: World, i: int, it: CaIdentity, environ: Mapping[str, str]) -> None:
    from everyhop.authority.enrolment import token_of
    from everyhop.errors import Misuse

    key: Key = ("identity", i, "token")
    if it.token is None:
        what = f"identity {it.name!r} has no certificate in {world.base / it.folder} and no token to be enrolled by"
        world.refuse("identity/no-token", ("identity", i, "from"), what, f'token = "file:FILE", made by {TOKEN}')
        return
    if not it.token.startswith(("file:", "env:", "cred:")):
        return  # refused elsewhere, without the token in the message
    try:
        data, _ = key_bytes(it.token, world.base, environ)
        token_of(data.decode(errors="replace").strip())
    except Unusable as e:
        world.refuse(
            "identity/token", key, f"identity {it.name!r}: {e.what}", e.mend.replace("the key's PEM", "the token")
        )
    except Misuse:
        what = f"identity {it.name!r}: what {it.token} holds is no token"
        world.refuse("identity/token", key, what, f"have one made: {TOKEN}")


def located(world: World, key: Key, label: str, what: Literal["roots", "lists"]) -> str | None:
    """The file that stands for `label`; `None` where it is yet to come, or refused here."""
    name = label.removeprefix(GIVEN)
    if name == label:
        return label
    it = world.config.given_by(label)
    if isinstance(it, SpiffeIdentity) and DOMAIN.fullmatch(it.vouches_for(label)) is None:
        it = None
    if not isinstance(it, ComingIdentity) or (what == "lists" and isinstance(it, SpiffeIdentity)):
        fit = CaIdentity if what == "lists" else ComingIdentity
        known = [one.name for one in world.config.identity if isinstance(one, fit)]
        why = "is not there"
        if isinstance(it, SpiffeIdentity):
            why = "comes by SPIFFE, which has none: its certificates are short-lived instead"
        elif it is not None:
            why = "is of files, with which nothing came"
        world.refuse(
            "identity/gives-nothing",
            key,
            f"{what} are to be those of identity {name!r}, which {why}",
            *([f"one of: {', '.join(GIVEN + one for one in known)}"] if known else []),
            'or the path of a file: "/etc/everyhop/internal-ca.pem"',
            *(["or leave crl out"] if what == "lists" else []),
        )
        return None
    path = it.roots(label) if what == "roots" else f"{it.folder}/{LISTS}"
    if not os.path.lexists(world.base / path):
        world.missing.add(world.base / path)
        return None
    return path


def of_site(world: World, i: int) -> Pair | None:
    """What a site shows that an identity is too."""
    name = world.config.site[i].identity
    at = next((n for n, it in enumerate(world.config.identity) if it.name == name), None)
    return None if at is None else world.pairs.get(("identity", at))
