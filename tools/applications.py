"""The table of applications that are tried through the edge, of the catalogue that their tests run by and of those tests.

Read by `tools/generate.py`. It imports no test: it reads their source.
"""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path

from tests.applications.catalogue import BACKENDS, CLIENTS, OTHERS, PATTERNS, SOCKETS

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests" / "applications"


@cache
def versions() -> dict[str, str]:
    """What the lock files pin, by name."""
    lock = (ROOT / "requirements" / "applications.lock").read_text(encoding="utf-8")
    development = (ROOT / "requirements" / "dev.lock").read_text(encoding="utf-8")
    found = dict(re.findall(r"^([\w.-]+)==([\w.]+)", development + lock, re.M))
    for modules in (
        "opa",
        "ratelimit",
        "istio",
        "sign_in",
        "collector",
        "go",
    ):  # What two have is spoken of as the later has it.
        text = (TESTS / "peers" / modules / "go.mod").read_text(encoding="utf-8")
        found |= dict(re.findall(r"^\s*(?:require )?(\S+\.\S+/\S+) v(\S+)", text, re.M))
    npm = json.loads((TESTS / "peers" / "package.json").read_text(encoding="utf-8"))
    return {**found, **npm["dependencies"], **npm["optionalDependencies"]}


def versioned(what: str, packages: tuple[str, ...]) -> str:
    """With the version of what is pinned; Debian's packages, Go and Node are the machine's."""
    pinned = ", ".join(versions()[package] for package in packages)
    return f"{what} {pinned}" if pinned else what


def sentences(file: Path) -> list[str]:
    """What the tests of a file promise."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return [name.removeprefix("test_").replace("_", " ") for name in names]


def page() -> str:
    out = [
        "# Applications that were tried\n",
        "Each runs as it comes, through a real edge, in every pattern that fits it, in every run of `make check`. Versions are "
        "those that are pinned; where none stands, it is Debian's, Go's or Node's own. Where one fails through the edge and not "
        "without it, that is a fault of Everyhop.\n",
        "## Servers and clients of HTTP\n",
        "Every client of the second table asks every server of the first, in each of its patterns, and keeps all of these:\n",
    ]
    out += [f"- {sentence}" for sentence in sentences(TESTS / "test_promises.py")]
    out += ["\n| server | the edge speaks to it | patterns | WebSocket | trailers |\n|---|---|---|---|---|"]
    for backend in BACKENDS.values():
        marks = " | ".join("yes" if it else "" for it in (backend.sockets, backend.trailers))
        name = versioned(backend.what, backend.packages)
        out.append(f"| {name} | HTTP/{backend.behind} | {', '.join(backend.patterns)} | {marks} |")
    out += ["\n| client | speaks |\n|---|---|"]
    out += [f"| {versioned(it.what, it.packages)} | HTTP/{it.speaks} |" for it in CLIENTS.values()]
    out += [f"| {versioned(it.what, it.packages)} | WebSocket |" for it in SOCKETS.values()]
    for file, other in OTHERS.items():
        out.append(f"\n## {other.title}\n")
        named = "; ".join(versioned(what, tuple(packages)) for what, *packages in other.made_of)
        patterns = "every pattern" if other.patterns == PATTERNS else ", ".join(other.patterns)
        out.append(f"{named}. Through {patterns}.{' ' + other.note if other.note else ''}\n")
        out += [f"- {sentence}" for sentence in sentences(TESTS / file)]
    return "\n".join(out) + "\n"
