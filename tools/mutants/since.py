"""What changed since a commit, by lines as they stand now: what `make mutants SINCE=` asks of. An untracked file is all new."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

# Whatever the person at the keyboard has configured; a file that moved is all new.
PLAIN = ("--no-color", "--no-ext-diff", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/")
HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


@dataclass(frozen=True)
class Since:
    """Which lines are asked of. `diff` is the same for cargo-mutants, which reads it in the same way."""

    commit: str
    diff: str
    lines: Mapping[str, Set[int]]

    def meets(self, file: str, first: int, last: int) -> bool:
        """Whether any of these lines changed."""
        return not self.lines.get(file, frozenset()).isdisjoint(range(first, last + 1))


class Unknown(ValueError):
    """Git knows no such commit."""


def since(root: Path, commit: str, code: str, folder: Path) -> Since:
    """What of `code`, such as `*.rs`, changed since `commit`, committed or not. `folder`: where git may write an index of its
    own.

    Raises `Unknown`.
    """
    if git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}") is None:
        raise Unknown(f"git knows no commit {commit!r}")
    # What git does not know yet is in no diff, unless it is told of it: in a copy, not in the person's index.
    index = folder / "since.index"
    shutil.copyfile(root / (git(root, "rev-parse", "--git-path", "index") or "").strip(), index)
    unknown = (git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", code) or "").split("\0")[:-1]
    git(root, "add", "--intent-to-add", "--", *unknown, index=index)
    diff = git(root, "diff", *PLAIN, commit, "--", code, index=index)
    index.unlink()
    if diff is None:
        raise RuntimeError(f"git diff {commit}")
    return Since(commit, diff, lines(diff))


def git(root: Path, *words: str, index: Path | None = None) -> str | None:
    """What git says; nothing where it refuses."""
    env = {**os.environ, **({"GIT_INDEX_FILE": str(index)} if index else {})}
    done = subprocess.run(["git", *words], cwd=root, env=env, capture_output=True, check=False)
    return None if done.returncode else done.stdout.decode(errors="replace")


def lines(diff: str) -> dict[str, set[int]]:
    """By file, what was added, and what stands before and behind what was taken away."""
    found: dict[str, set[int]] = defaultdict(set)
    file, row, old, new = "", 0, 0, 0
    for line in diff.split("\n"):
        # Only beyond a hunk's end is a line a header: what was added may look like one.
        if old or new:
            if line.startswith("+"):
                found[file].add(row)
                row, new = row + 1, new - 1
            elif line.startswith("-"):
                found[file] |= {row - 1, row}
                old -= 1
            elif line.startswith(" "):
                row, old, new = row + 1, old - 1, new - 1
        elif line.startswith("+++ "):
            file = line.removeprefix("+++ ").removeprefix("b/")
        elif at := HUNK.match(line):
            old, row, new = int(at[1] or 1), int(at[2]), int(at[3] or 1)
            # Where nothing is left git names the line before.
            row += not new
    found.pop("/dev/null", None)
    return dict(found)
