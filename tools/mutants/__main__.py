"""Mutates a piece of the code and compares the survivors with the accepted ones: `python -m tools.mutants decide`.

Fails on a survivor that nobody accepted, and on an accepted one that is killed by now: the list says what is true.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tools.mutants import python, rust
from tools.mutants.accepted import FILE, accepted, judged
from tools.mutants.pieces import PIECES, Rust

ROOT = Path(__file__).resolve().parents[2]


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in PIECES]
    if unknown or not names:
        print(f"make mutants PIECE=NAME, of: {' '.join(PIECES)}")
        return 2
    known, wrong = accepted(FILE.read_text()), 0
    for name in names:
        piece, began = PIECES[name], time.monotonic()
        folder = ROOT / "target/mutants" / name
        folder.mkdir(parents=True, exist_ok=True)
        found, files, count = rust.run(piece, folder, known) if isinstance(piece, Rust) else python.run(piece, folder)
        fresh, gone = judged(found, known, files)
        for survivor in sorted(fresh):
            print(f"survived  {survivor}")
        for survivor in sorted(gone):
            print(f"killed    {survivor}\n          take it out of {FILE.relative_to(ROOT)}")
        wrong += len(fresh) + len(gone)
        print(
            f"{name}: {count} mutants, {len(found)} survived, {len(fresh)} of them unexplained, {time.monotonic() - began:.0f} s"
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
