"""Asks tokens whether they sign by the keys that a configuration names: by a process that has the module and nothing else, which a
module that crashes or hangs takes with it. `check` asks one for the moment, an edge keeps one a module (`../admin/modules.py`).

Read next: `holding.py`, `../identity/tokens.py`.
"""

from __future__ import annotations

import base64
import json
import os
import select
import socket
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from everyhop.compile import Compiled
from everyhop.engine import holding as h
from everyhop.engine.control import Control, sealed, taken
from everyhop.engine.frames import Lost, framed, receive, send
from everyhop.engine.process import Started, start_module
from everyhop.refusals import PAGES, Finding

if TYPE_CHECKING:
    from everyhop.identity.tokens import TokenKey

PATIENCE_S = 10.0
"""For a module that is loaded, and a login, perhaps over a network."""
A_KEY_S = 0.5
"""For the signatures by which a key shows whose it is."""

Uses: TypeAlias = "dict[tuple[str, str], TokenKey]"
"""By the piece of material and the side of handshakes that they are for."""


@dataclass
class Asked:
    """A module's process, with what we tell it."""

    process: Started
    control: Control

    def end(self) -> None:
        self.control.close()
        self.process.end()


def begun(sandbox: str, patience_s: float = PATIENCE_S) -> Asked:
    ours, theirs = socket.socketpair()
    with theirs:
        process = start_module(theirs, sandbox)
    ours.settimeout(patience_s)
    return Asked(process, Control(ours))


def hold(it: Asked, module: str, keys: Uses, *, careful: bool, whole: bool) -> list[h.Lacking]:
    """Those of `keys` that it does not sign by. `careful`: a PIN is not tried where a wrong one was shown before.

    Raises `Lost` where it is gone, or says nothing in time.
    """
    if it.control.is_lost():
        raise Lost("the module's process did not answer before")
    patience_s = it.control.sock.gettimeout() or PATIENCE_S
    it.control.sock.settimeout(patience_s + A_KEY_S * len(keys))
    try:
        tell(it, module, keys, careful=careful, whole=whole)
        return heard(it)
    finally:
        if not it.control.is_lost():
            it.control.sock.settimeout(patience_s)


def tell(it: Asked, module: str, keys: Uses, *, careful: bool, whole: bool) -> None:
    """The first half of `hold`, which waits for no module."""
    told = {"module": module, "careful": careful, "keys": [entry(*one) for one in keys.items()]}
    material = sealed(json.dumps(told).encode())
    try:
        send(it.control.sock, framed(h.HoldTokens(whole=whole).model_dump_json().encode()), [material])
    finally:
        os.close(material)


def heard(it: Asked) -> list[h.Lacking]:
    """The other half."""
    try:
        got = receive(it.control.sock)
        if got is None:
            raise Lost("the module's process closed its socket")
        return taken("hold_tokens", got[0], h.HeldTokens, got[1]).lacking
    except Lost:
        it.control.close()
        raise


def has_answered(it: Asked, within_s: float = 0.0) -> bool:
    """Or is gone."""
    return bool(select.select([it.control.sock], [], [], within_s)[0])


def entry(use: tuple[str, str], key: TokenKey) -> dict[str, object]:
    pin = None if key.pin is None else base64.b64encode(key.pin).decode()
    certificate = base64.b64encode(key.certificate).decode()
    return {"id": use[0], "role": use[1], "certificate": certificate, "uri": key.uri, "pin": pin}


def by_module(keys: Uses) -> dict[str, Uses]:
    found: dict[str, Uses] = defaultdict(dict)
    for use, key in keys.items():
        found[key.module][use] = key
    return found


def judge(compiled: Compiled) -> list[Finding]:
    """What tokens have against the keys that they are to sign by, each asked once."""
    uses = {
        (id_, "server" if id_.startswith("site/") else "client"): it for id_, it in compiled.material.tokens.items()
    }
    found = []
    for module, keys in by_module(uses).items():
        it = begun(compiled.plan.engine.sandbox)
        try:
            lacking = hold(it, module, keys, careful=False, whole=True)
        except Lost:
            it.process.wait(1.0)
            lacking = [h.Lacking(id=id_, slug="key/module", why=gone(it.process)) for id_, _ in keys]
        finally:
            it.end()
        found += findings(compiled, lacking)
    return found


def gone(process: Started) -> str:
    how = process.how()
    return f"its process was {how} when it was asked" if how else "it did not answer in time"


MENDS = {
    "key/module": "try it by other software: pkcs11-tool --module FILE --list-slots",
    "key/token": "see what the token has: pkcs11-tool --module FILE --login --list-objects",
    "key/pin": "write the token's PIN to the file that pin-source names, and let it be tried once: everyhop check",
    "certificate/key-mismatch": "name the key that the certificate was issued for, by object= and id=",
}


def findings(compiled: Compiled, lacking: list[h.Lacking]) -> list[Finding]:
    """At the keys that they are about."""
    keys = places(compiled)
    found = []
    for it in {one.id: one for one in lacking}.values():
        kind, name = it.id.split("/")[:2]
        module = compiled.material.tokens[it.id].module
        what = f"{kind} {name!r}: {module}: {it.why}"
        mend = MENDS[it.slug].replace("FILE", module)
        place = compiled.document.place(keys[it.id])
        kinds = "sites" if kind == "site" else "things"
        identity = (it.slug, kind, name, it.id)
        found.append(
            Finding("refused", it.slug, place, what, PAGES[it.slug].why, (mend,), kind=kinds, identity=identity)
        )
    return found


def places(compiled: Compiled) -> Mapping[str, tuple[str | int, ...]]:
    config = compiled.config
    sites = {
        f"site/{site.name}/{j}": ("site", i, "certs", j, "key")
        for i, site in enumerate(config.site)
        for j, _ in enumerate(site.pairs)
    }
    return sites | {f"identity/{it.name}": ("identity", i, "key") for i, it in enumerate(config.identity)}
