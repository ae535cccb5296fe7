"""Rules about files that are included: a pattern that finds nothing may be meant, and is told."""

from __future__ import annotations

import re
from pathlib import PurePath

from everyhop.compile.world import World
from everyhop.source import matched


def name_of(pattern: str) -> str:
    """A name that it finds: of each set of characters the first, or one that it leaves out."""
    one = re.sub(r"\[(!?)(.)[^]]*\]", lambda m: next(c for c in "abc" if c not in m[0]) if m[1] else m[2], pattern)
    return one.replace("**", "one").replace("*", "one").replace("?", "a")


def judge(world: World) -> None:
    for i, pattern in enumerate(world.config.include):
        # What is compiled may be of another time than what stands on the disk. From the root, a pattern is of the whole of a name.
        whole = str(PurePath("/", pattern))
        found = any(PurePath("/", name).match(whole) for name in world.document.included)
        if not found and not matched(world.document.path.parent, pattern):
            world.warn(
                "config/include",
                ("include", i),
                f"{pattern!r} finds no file",
                f"write one there, such as {name_of(pattern)}",
                "or take it out of include",
            )
