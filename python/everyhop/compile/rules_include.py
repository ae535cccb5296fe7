"""Rules about files that are included: a pattern that finds nothing may be meant, and is told."""

from __future__ import annotations

from pathlib import PurePath

from everyhop.compile.world import World
from everyhop.source import matched


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
                f"write one there, such as {pattern.replace('*', 'one')}",
                "or take it out of include",
            )
