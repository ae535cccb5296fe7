"""Mutations of Python modules by cosmic-ray, in a copy of the tree: nobody's checkout is ever broken, not by Ctrl-C either.
Read next: `warm.py`, which asks the tests.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tools.mutants.accepted import Survivor, Told
from tools.mutants.pieces import Python
from tools.mutants.since import Since

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "target/mutants/env/bin/cosmic-ray"
# What is left: conditions, bounds, numbers, what is raised and looped over. The rest makes nonsense that the type checker
# or the import sees, or mutates annotations, which do nothing.
SKIPPED = (
    r"core/ReplaceBinaryOperator_(?!Add_Sub$|Sub_Add$|BitAnd_BitOr$).*",
    r"core/ReplaceComparisonOperator_(Eq|NotEq)_(Lt|LtE|Gt|GtE|Is|IsNot)$",
    r"core/ReplaceComparisonOperator_(Lt|LtE|Gt|GtE)_(Eq|NotEq|Is|IsNot)$",
    r"core/ReplaceComparisonOperator_(Is|IsNot)_(Eq|NotEq|Lt|LtE|Gt|GtE)$",
    r"core/ReplaceUnaryOperator_(?!Delete_Not$|Delete_USub$).*",
    "core/RemoveDecorator",
    "core/VariableReplacer",
    "core/VariableInserter",
)
A_DAY_S = 86_400
"""For cosmic-ray, which goes by the clock: what takes too long or waits for ever is ended by `warm.py`."""
ASKED = "../ask"
"""Where the tests are asked, as seen from the copy: a short way, since a socket's is bounded."""

CONFIG = """\
[cosmic-ray]
module-path = {modules}
timeout = {timeout}
excluded-modules = []
test-command = {command}
[cosmic-ray.distributor]
name = "local"
[cosmic-ray.filters.operators-filter]
exclude-operators = {skipped}
"""


def run(piece: Python, folder: Path, since: Since | None) -> Told:
    """What was asked, and what survived.

    Raises `RuntimeError` where the tests fail without any mutation, or nothing was mutated of the whole.
    """
    tree = folder / "tree"
    copy(tree)
    files = modules(piece, tree)
    command = [sys.executable, "-I", "-S", "tools/mutants/ask.py", ASKED]
    config, session = folder / "config.toml", folder / "session.sqlite"
    config.write_text(
        CONFIG.format(
            modules=json.dumps(files),
            timeout=A_DAY_S,
            command=json.dumps(" ".join(command)),
            skipped=json.dumps(SKIPPED),
        )
    )
    session.unlink(missing_ok=True)
    env = {**os.environ, "PYTHONPATH": str(tree / "python"), "PYTHONDONTWRITEBYTECODE": "1"}

    def tool(name: str, *more: object) -> str:
        words = [str(TOOL if name != "filter" else TOOL.with_name("cr-filter-operators")), *map(str, more)]
        if name != "filter":
            words.insert(1, name)
        done = subprocess.run(words, cwd=tree, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"cosmic-ray {name}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    tool("init", config, session)
    tool("filter", session, config)
    if since:
        keep(session, since)
    if pending(session):
        with asked(tree, files, piece.tests, env):
            tool("exec", config, session)
    return read(tool("dump", session), tree, since is not None)


def modules(piece: Python, tree: Path) -> list[str]:
    """What is mutated of the piece, as paths below the tree."""
    mine, others = (
        {p for m in them for p in tree.glob(f"python/everyhop/{m}")} for them in (piece.modules, piece.without)
    )
    return sorted(str(p.relative_to(tree)) for p in mine - others)


def keep(session: Path, since: Since) -> None:
    """Takes out of the session what is on no line that changed.

    cosmic-ray's own filters by lines know one module or a branch of git, and the copy of the tree is no repository.
    """
    told = "SELECT job_id, module_path, start_pos_row, end_pos_row FROM mutation_specs"
    with closing(sqlite3.connect(session)) as db, db:
        left = [(job,) for job, file, first, last in db.execute(told) if not since.meets(file, first, last)]
        for table in ("work_results", "mutation_specs", "work_items"):
            db.executemany(f"DELETE FROM {table} WHERE job_id = ?", left)


def pending(session: Path) -> int:
    """How many mutants are left to be asked of; those that were filtered have a result already."""
    with closing(sqlite3.connect(session)) as db:
        told = "SELECT count(*) FROM work_items WHERE job_id NOT IN (SELECT job_id FROM work_results)"
        return int(db.execute(told).fetchone()[0])


@contextmanager
def asked(tree: Path, files: list[str], tests: tuple[str, ...], env: dict[str, str]) -> Iterator[None]:
    """While it lasts, the tests can be asked.

    Raises `RuntimeError` where they fail with nothing broken, or ceased to answer: silence is no noticing.
    """
    door = tree / ASKED
    door.unlink(missing_ok=True)
    words = [sys.executable, "-m", "tools.mutants.warm", ASKED, ",".join(files), ",".join(dict.fromkeys(tests))]
    with subprocess.Popen(words, cwd=tree, env=env) as answering:
        try:
            while not door.exists() and answering.poll() is None:
                time.sleep(0.1)
            if answering.poll() is None:
                yield
            if answering.poll() is not None:
                raise RuntimeError(f"who asks the tests ended with {answering.returncode}")
        finally:
            answering.terminate()


def copy(tree: Path) -> None:
    """What git knows of or would, and what the build put beside it."""
    shutil.rmtree(tree, ignore_errors=True)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    # Without the inspector the tests that ask it are skipped, and what they judge would survive.
    made = [*(ROOT / "python/everyhop").glob("*.so"), ROOT / "target/waf/everyhop-waf"]
    built = [str(p.relative_to(ROOT)) for p in made]
    for name in [*filter(None, names), *built]:
        if not (ROOT / name).is_file():
            continue
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        # Cargo goes by times, and takes what another piece broke for built of a source that is older.
        (shutil.copy if name.endswith(".rs") else shutil.copy2)(ROOT / name, tree / name)


def read(dump: str, tree: Path, partly: bool = False) -> Told:
    asked: set[Survivor] = set()
    survived: set[Survivor] = set()
    count = 0
    for line in dump.splitlines():
        item, result = json.loads(line)
        if result is None or result["worker_outcome"] == "skipped":
            continue
        for mutation in item["mutations"]:
            file, row = mutation["module_path"], mutation["start_pos"][0]
            change = mutation["operator_name"].removeprefix("core/")
            if within := mutation.get("definition_name"):
                change += f" in {within}"
            it = Survivor(file, change, (tree / file).read_text().splitlines()[row - 1].strip())
            asked.add(it)
            count += 1
            # That nobody writes to what is frozen is the type checker's to say.
            if result["test_outcome"] == "survived" and it.line != "@dataclass(frozen=True)":
                survived.add(it)
    if not count and not partly:
        raise RuntimeError("nothing was mutated")
    return Told(asked, survived, count, partly)
