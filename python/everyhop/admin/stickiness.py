"""The key that the edge's own cookies are signed with, by which clients come back to their backends. It is made when the first
plan needs it and kept in our runtime folder: neither a reload, nor an engine or a supervisor that is started anew, sends anybody
elsewhere. It is no part of a plan, goes the way of other keys to the engine, and is shown nowhere.

Read next: `keeper.py`, which brings the plan.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import replace
from pathlib import Path

from everyhop.admin.kept import Kept
from everyhop.compile import Compiled
from everyhop.plan import Here, Plan

KEY_BYTES = 32


class Stickiness:
    """Of the file `config`."""

    def __init__(self, config: Path) -> None:
        self.file = Kept(config, "sticky", "the key of sticky cookies")
        self.key = ""
        """In base64; empty as long as no plan needed one."""

    def over(self, compiled: Compiled) -> Compiled:
        """The same with the key among its material, where a route needs it."""
        if not is_needed(compiled.plan):
            return compiled
        self.key = self.key or self.kept() or self.made()
        material = compiled.material
        # A JSON object as `material` writes it; read and written anew, each key in it would be there once more.
        blob = material.blob.removesuffix(b"}") + f', "sticky": "{self.key}"}}'.encode()
        return replace(compiled, material=replace(material, blob=blob))

    def kept(self) -> str:
        try:
            key = str(self.file.found().get("key", ""))
            return key if len(base64.b64decode(key, validate=True)) == KEY_BYTES else ""
        except (ValueError, TypeError, binascii.Error) as e:
            self.file.unreadable(e)
            return ""

    def made(self) -> str:
        key = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
        self.file.keep({"key": key})
        return key


def is_needed(plan: Plan) -> bool:
    ways = (route.way for route in plan.routes)
    return any(not isinstance(way, Here) and way.spread is not None and way.spread.sticky is not None for way in ways)
