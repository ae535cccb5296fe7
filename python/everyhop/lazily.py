"""A package whose names are read when they are first asked for: who wants one of them does not read, and hold, the modules of all.

What a package has in this way may bear the name of none of its modules, or which of the two is meant would depend on who came first.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping


def lazily(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """A `__getattr__` for `package`: `modules` says where each of its names is."""

    def found(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        it: object = getattr(importlib.import_module(f"{package}.{modules[name]}"), name)
        setattr(sys.modules[package], name, it)
        return it

    return found
