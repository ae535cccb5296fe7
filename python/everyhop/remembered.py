"""Modules as they were when the program began, for what imports them later: by then another version may be installed in their place, and
half of one with half of the other is neither.

Code is held packed, a quarter of what it takes where it is used; of a library in machine code its file is held open. What was not
remembered is read from where it is installed. Never imports anything by itself.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import sys
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from types import CodeType, ModuleType

QUICK = 1
"""Of zlib: what more would spare is less than the time for it at a start."""


@dataclass(frozen=True)
class Module:
    """One of them. `code` is that of a module in Python; one without has the rest in its file."""

    name: str
    origin: str
    within: tuple[str, ...] | None
    """Where the modules of a package are; `None` of what is none."""
    code: bytes | None = field(repr=False)


def imported(besides: Collection[str]) -> list[Module]:
    """What this process has imported from files, but for those named."""
    found = []
    for name, it in [*sys.modules.items()]:
        spec: ModuleSpec | None = getattr(it, "__spec__", None)
        if name in besides or spec is None or spec.origin is None:
            continue
        within = None if spec.submodule_search_locations is None else tuple(spec.submodule_search_locations)
        if isinstance(spec.loader, SourceFileLoader):
            code = spec.loader.get_code(name)
            found.append(Module(name, spec.origin, within, zlib.compress(marshal.dumps(code), QUICK)))
        elif isinstance(spec.loader, ExtensionFileLoader):
            found.append(Module(name, spec.origin, within, None))
    return found


class Remembered(MetaPathFinder, InspectLoader):
    """Gives what it remembers, before anybody looks where it is installed."""

    def __init__(self, modules: Collection[Module]) -> None:
        self.modules = {it.name: it for it in modules}
        self.files: dict[str, int] = {}
        for it in modules:
            if it.code is None:
                with contextlib.suppress(OSError):
                    self.files[it.name] = os.open(it.origin, os.O_RDONLY | os.O_CLOEXEC)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        it = self.modules.get(fullname)
        if it is None or (it.code is None and fullname not in self.files):
            return None
        if it.code is None:
            file = f"/proc/self/fd/{self.files[fullname]}"
            return spec_from_file_location(fullname, file, loader=ExtensionFileLoader(fullname, file))
        within = None if it.within is None else list(it.within)
        return spec_from_file_location(fullname, it.origin, loader=self, submodule_search_locations=within)

    def get_code(self, fullname: str) -> CodeType:
        packed = self.modules[fullname].code
        assert packed is not None, "those in machine code have a loader of their own"
        code: CodeType = marshal.loads(zlib.decompress(packed))
        return code

    def get_source(self, fullname: str) -> None:
        return None  # who shows a line of it reads the file

    def is_package(self, fullname: str) -> bool:
        return self.modules[fullname].within is not None
