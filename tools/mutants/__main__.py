"""Mutates a piece of the code and compares the survivors with the accepted ones: `python -m tools.mutants decide`.

Fails on a survivor that nobody accepted, and on an accepted one that is killed by now: the list says what is true.
With `--since COMMIT` it asks only of lines that changed since, and says so.
"""

from __future__ import annotations

import argparse
import fcntl
import sys
import time
from pathlib import Path

from tools.mutants import python, rust
from tools.mutants.accepted import FILE, Told, accepted, judged
from tools.mutants.pieces import PIECES, Rust
from tools.mutants.since import Unknown, since

ROOT = Path(__file__).resolve().parents[2]
ALONE = ROOT / "target/mutants/alone"


def main(words: list[str]) -> int:
    asking = argparse.ArgumentParser(prog="python -m tools.mutants")
    asking.add_argument("names", nargs="*")
    asking.add_argument("--since")
    it = asking.parse_args(words)
    if not it.names or not PIECES.keys() >= {*it.names}:
        print(f"make mutants PIECE=NAME [SINCE=COMMIT], of: {' '.join(PIECES)}")
        return 2
    # What is built is built in one folder for all pieces.
    ALONE.parent.mkdir(parents=True, exist_ok=True)
    with ALONE.open("w") as alone:
        try:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another run is under way in this tree")
            return 2
        return asked(it.names, it.since)


def asked(names: list[str], commit: str | None) -> int:
    known, wrong = accepted(FILE.read_text()), 0
    for name in names:
        piece, began = PIECES[name], time.monotonic()
        folder = ROOT / "target/mutants" / name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            code = "*.rs" if isinstance(piece, Rust) else "*.py"
            changed = since(ROOT, commit, code, folder) if commit else None
        except Unknown as unknown:
            print(unknown)
            return 2
        told = (
            rust.run(piece, folder, known, changed) if isinstance(piece, Rust) else python.run(piece, folder, changed)
        )
        fresh, gone = judged(told, known)
        for survivor in sorted(fresh):
            print(f"survived  {survivor}")
        for survivor in sorted(gone):
            print(f"killed    {survivor}\n          take it out of {FILE.relative_to(ROOT)}")
        wrong += len(fresh) + len(gone)
        print(summary(name, told, len(fresh), commit, time.monotonic() - began))
    return 1 if wrong else 0


def summary(name: str, told: Told, unexplained: int, commit: str | None, seconds: float) -> str:
    """The last line of a piece, which must not let a part pass for the whole."""
    which = f"on lines that changed since {commit}, and of no other" if told.partly else "of the whole piece"
    return (
        f"{name}: {told.count} mutants {which}: {len(told.survived)} survived, "
        f"{unexplained} of them unexplained, {seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
