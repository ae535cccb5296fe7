"""Mutations of crates, in a copy of the tree: cargo-mutants lists them, and all are built at once (`switched.py`), since building
each by itself took an hour a piece. What does not build is none. Read next: `switched.py`.
"""

from __future__ import annotations

import json
import os
import re
import resource
import select
import signal
import subprocess
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.mutants.accepted import Survivor, Told
from tools.mutants.pieces import Rust
from tools.mutants.python import copy
from tools.mutants.resting import Resting
from tools.mutants.since import Since
from tools.mutants.switched import VARIABLE, Mutant, broken, write

ROOT = Path(__file__).resolve().parents[2]
# Each mutant is tested once: what random plans are asked is most of it.
QUICK = {"CARGO_PROFILE_DEV_OPT_LEVEL": "1", "CARGO_PROFILE_DEV_DEBUG": "none"}
# What the crates depend on is built once for all pieces.
BUILT = ROOT / "target/mutants/target"
PLACE = re.compile(r"^[^ ]+?:\d+(?::\d+)?: ")
# Of the processor's time: so many times what the tests take with nothing broken, and these at the least. What takes more has been
# noticed; a machine that is busy with something else makes it no sooner.
TIMES, LEAST_S = 10, 20
MOST_BYTES = 8 << 30
LOOK_S = 1.0
FAILED = b" FAILED\n"


def run(piece: Rust, folder: Path, known: Collection[str], since: Since | None) -> Told:
    """What was asked, and what survived. `known`: those that may survive.

    Raises `RuntimeError` where the tests fail without any mutation, or nothing was mutated of the whole.
    """
    tree = folder / "tree"
    copy(tree)
    mutants = listed(piece, folder, tree, since)
    if not mutants:
        return read([], set(), {}, since is not None)
    whole = {file: (tree / file).read_text() for file in {it.file for it in mutants}}
    lines = {file: text.split("\n") for file, text in whole.items()}
    together, alone = built(tree, mutants, whole, piece.packages, piece.tests)
    told = {it: together.noticed(it.number) for it in together.mutants}
    if piece.judges and any(str(survivor(it, lines)) not in known for it, noticed in told.items() if not noticed):
        # They take longer, so they are asked only of what a crate's own tests did not notice.
        judges = Programs(tree, piece.judges, piece.judge_tests, together.mutants)
        told |= {it: judges.noticed(it.number) for it, noticed in told.items() if not noticed}
    for file, text in whole.items():
        (tree / file).write_text(text)
    for it in alone:
        (tree / it.file).write_text(broken(whole[it.file], it))
        try:
            told[it] = Programs(tree, piece.packages, piece.tests, [], rehearsed=together).noticed(0)
        except Unbuilt:
            continue
        finally:
            (tree / it.file).write_text(whole[it.file])
    return read([*told], {it for it, noticed in told.items() if not noticed}, lines, since is not None)


def listed(piece: Rust, folder: Path, tree: Path, since: Since | None) -> list[Mutant]:
    """What there is to break."""
    words = [f"--package={p}" for p in piece.packages] + [f"--file={f}" for f in piece.files]
    words += [f"--exclude={f}" for f in piece.without]
    if since:
        (folder / "since.diff").write_text(since.diff)
        words.append(f"--in-diff={folder / 'since.diff'}")
    command = ["cargo", "mutants", "--list", "--json", *words]
    done = subprocess.run(command, cwd=tree, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"cargo mutants: {done.stderr[-2000:]}")
    return [Mutant.of(number, it) for number, it in enumerate(json.loads(done.stdout or "[]"), 1)]


class Unbuilt(RuntimeError):
    """It does not build. `places`: file and line of each error."""

    def __init__(self, told: list[dict[str, Any]]) -> None:
        super().__init__("".join(it["rendered"] for it in told)[-4000:])
        self.places = {place for it in told for place in places(it)}


def places(told: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Where an error of the compiler is, and where the macro stands that it is in."""
    for span in told["spans"]:
        it: dict[str, Any] | None = span if span["is_primary"] else None
        while it:
            yield it["file_name"], it["line_start"]
            it = it["expansion"]["span"] if it["expansion"] else None


@dataclass(frozen=True)
class Program:
    """A test's program, and what it takes of the processor's time with nothing broken."""

    path: str
    folder: str
    seconds: float

    def fails(self, number: int) -> bool:
        """Whether it notices that mutant."""
        most = int(max(LEAST_S, self.seconds * TIMES))

        def bounded() -> None:
            resource.setrlimit(resource.RLIMIT_CPU, (most, most))
            resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        env = {**os.environ, "CARGO_MANIFEST_DIR": self.folder, VARIABLE: str(number), "RUST_BACKTRACE": "0"}
        none = subprocess.DEVNULL
        # Nothing else runs here between fork and exec.
        with subprocess.Popen(
            [self.path], cwd=self.folder, env=env, stdin=none, stdout=subprocess.PIPE, stderr=none, start_new_session=True,
            preexec_fn=bounded,
        ) as running:  # fmt: skip
            resting, before = Resting(running.pid), b""
            assert running.stdout is not None
            while True:
                if not select.select([running.stdout], [], [], LOOK_S)[0]:
                    noticed = resting.looked()
                elif said := os.read(running.stdout.fileno(), 65536):
                    # The first test that fails says enough; its word may come in two pieces.
                    noticed, before = FAILED in before + said, said[-len(FAILED) :]
                else:
                    return running.wait() != 0
                if noticed:
                    os.killpg(running.pid, signal.SIGKILL)
                    return True


class Programs:
    """Tests that are built.

    Raises `Unbuilt`, and `RuntimeError` where one fails with nothing broken. `rehearsed`: what is broken is no switch's, so what the
    tests take is known from there.
    """

    def __init__(
        self, tree: Path, packages: tuple[str, ...], tests: tuple[str, ...], mutants: list[Mutant],
        rehearsed: Programs | None = None,
    ) -> None:  # fmt: skip
        self.mutants = mutants
        words = ["cargo", "test", "--no-run", "--message-format=json", *(f"--package={p}" for p in packages), *tests]
        env = {**os.environ, **QUICK, "CARGO_TARGET_DIR": str(BUILT)}
        done = subprocess.run(words, cwd=tree, env=env, check=False, capture_output=True, text=True)
        told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode:
            errors = [it["message"] for it in told if it["reason"] == "compiler-message"]
            raise Unbuilt([it for it in errors if it["level"].startswith("error")])
        self.all: list[Program] = []
        for it in told:
            if it["reason"] == "compiler-artifact" and it["profile"]["test"] and it["executable"]:
                program = Program(it["executable"], str(Path(it["manifest_path"]).parent), 600.0)
                self.all.append(program if rehearsed else rehearse(program))
        if rehearsed:
            most = max(it.seconds for it in rehearsed.all)
            self.all = [Program(it.path, it.folder, most) for it in self.all]

    def noticed(self, number: int) -> bool:
        """Whether any of them notices that mutant. Who noticed the last is asked first of the next, which is likely its neighbour."""
        for at, it in enumerate(self.all):
            if it.fails(number):
                self.all.insert(0, self.all.pop(at))
                return True
        return False


def rehearse(program: Program) -> Program:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    if program.fails(0):
        raise RuntimeError(f"{program.path} fails with nothing broken")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Program(program.path, program.folder, seconds)


def built(
    tree: Path, mutants: list[Mutant], whole: dict[str, str], packages: tuple[str, ...], tests: tuple[str, ...]
) -> tuple[Programs, list[Mutant]]:
    """The tests with all mutants that build together, and those that a switch cannot hold."""
    left = mutants
    while True:
        whose, alone = write(tree, left, whole)
        held = [it for it in left if it not in alone]
        try:
            programs = Programs(tree, packages, tests, held)
        except Unbuilt as unbuilt:
            none = {whose.get(file, {}).get(line) for file, line in unbuilt.places} - {None}
            if not none:
                raise
            left = [it for it in left if it.number not in none]
            continue
        return programs, alone


def survivor(it: Mutant, lines: dict[str, list[str]]) -> Survivor:
    return Survivor(it.file, PLACE.sub("", it.name), lines[it.file][it.first[0] - 1].strip())


def read(asked: list[Mutant], survived: set[Mutant], lines: dict[str, list[str]], partly: bool = False) -> Told:
    """As what they are known by.

    Raises `RuntimeError` where nothing was mutated of the whole.
    """
    if not asked and not partly:
        raise RuntimeError("nothing was mutated")
    named = {it: survivor(it, lines) for it in asked}
    return Told({*named.values()}, {named[it] for it in survived}, len(asked), partly)
