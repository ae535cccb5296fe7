"""Mutations of crates by cargo-mutants, in a copy of the tree. A mutant that does not end in time has been noticed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from tools.mutants.accepted import Survivor, Told
from tools.mutants.pieces import Rust
from tools.mutants.since import Since

ROOT = Path(__file__).resolve().parents[2]
# Each mutant is built once and tested once: what random plans are asked is most of it.
QUICK = {"CARGO_PROFILE_DEV_OPT_LEVEL": "1", "CARGO_PROFILE_DEV_DEBUG": "none"}
# What the crates depend on is built once for all pieces.
BUILT = ROOT / "target/mutants/target"
JUDGES_S = 120
PLACE = re.compile(r"^[^ ]+?:\d+(?::\d+)?: ")


def run(piece: Rust, folder: Path, known: Collection[str], since: Since | None) -> Told:
    """What was asked, and what survived. `known`: those that may survive.

    Raises `RuntimeError` where the tests fail without any mutation, or nothing was mutated of the whole.
    """
    shutil.rmtree(folder / "mutants.out", ignore_errors=True)
    words = [f"--package={p}" for p in piece.packages] + [f"--file={f}" for f in piece.files]
    words += [f"--exclude={f}" for f in piece.without]
    if since:
        (folder / "since.diff").write_text(since.diff)
        words.append(f"--in-diff={folder / 'since.diff'}")
    # As they are now: whoever goes on working meanwhile moves lines.
    lines = {str(p.relative_to(ROOT)): p.read_text().splitlines() for p in (ROOT / "crates").rglob("*.rs")}
    told = read(asked(folder, [*words, *of_cargo(piece.tests)]), lines, since is not None)
    if piece.judges and any(str(it) not in known for it in told.survived):
        # Only what its own tests did not notice is asked of those that take longer to build. cargo-mutants would ask for them
        # with nothing broken in the mutated crate's name, so that is done here.
        cargo = ["cargo", "test", "-q", *(f"--package={p}" for p in piece.judges), *piece.judge_tests]
        if subprocess.run(cargo, cwd=ROOT, env=environment(), check=False, stdout=subprocess.DEVNULL).returncode:
            raise RuntimeError("the tests fail with nothing broken")
        words += ["--iterate", "--baseline=skip", f"--timeout={JUDGES_S}", f"--test-package={','.join(piece.judges)}"]
        left = read(asked(folder, [*words, *of_cargo(piece.judge_tests)]), lines)
        told = replace(told, survived=left.survived)
    return told


def of_cargo(words: tuple[str, ...]) -> list[str]:
    """Said when tests are built as well as when they run, so that none is built that is not asked."""
    return [f"--cargo-arg={word}" for word in words]


def environment() -> dict[str, str]:
    return {**os.environ, **QUICK, "CARGO_TARGET_DIR": str(BUILT)}


def asked(folder: Path, words: list[str]) -> dict[str, Any]:
    """What cargo-mutants says of each mutant.

    Raises `RuntimeError`.
    """
    command = ["cargo", "mutants", "--no-shuffle", "--colors=never", "--jobs=1", f"--output={folder}", *words]
    # 0: all caught; 2: some were missed; 3: some took too long.
    code = subprocess.run(command, cwd=ROOT, env=environment(), check=False).returncode
    if code not in {0, 2, 3}:
        raise RuntimeError(f"cargo mutants ended with {code}")
    # It writes none where no mutant is on a line that changed.
    outcomes = folder / "mutants.out/outcomes.json"
    told: dict[str, Any] = json.loads(outcomes.read_text()) if outcomes.exists() else {"outcomes": []}
    return told


def read(told: dict[str, Any], lines: dict[str, list[str]], partly: bool = False) -> Told:
    asked: set[Survivor] = set()
    survived: set[Survivor] = set()
    count = 0
    for outcome in told["outcomes"]:
        if outcome["scenario"] == "Baseline":
            continue
        mutant = outcome["scenario"]["Mutant"]
        file, row = mutant["file"], mutant["span"]["start"]["line"]
        it = Survivor(file, PLACE.sub("", mutant["name"]), lines[file][row - 1].strip())
        asked.add(it)
        count += 1
        if outcome["summary"] == "MissedMutant":
            survived.add(it)
    if not count and not partly:
        raise RuntimeError("nothing was mutated")
    return Told(asked, survived, count, partly)
