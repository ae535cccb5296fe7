"""A process as the kernel shows it from outside."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = os.geteuid() == 0


def children(pid: int) -> list[int]:
    """Those that run something of their own: the process in which a supervisor compiles comes and goes as files change."""
    return [it for it in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()) if not is_fork(it, pid)]


def is_fork(child: int, pid: int) -> bool:
    """Whether it is its parent again, in the same session; or was, and is gone."""
    try:
        same = [Path(f"/proc/{it}/stat").read_text().rpartition(") ")[2].split()[3] for it in (child, pid)]
        said = [Path(f"/proc/{it}/cmdline").read_bytes() for it in (child, pid)]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return same[0] == same[1] and said[0] in (b"", said[1])


def tasks(pid: int) -> list[dict[str, str]]:
    """`status` of every thread: most of what is given up, each gives up for itself."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        found.append({name: value.strip() for name, _, value in (line.partition(":") for line in lines)})
    return found


def is_asleep(pid: int) -> bool:
    """All its threads sleep, by the kernel's word: what it had to do is done. Twice, since one may hand over to another."""
    stats = list(Path(f"/proc/{pid}/task").glob("*/stat"))
    return all(stat.read_text().rpartition(") ")[2].startswith("S") for stat in stats * 2)


def limit(pid: int, name: str) -> tuple[str, str]:
    """Soft and hard."""
    found = re.search(rf"^{name} +(\S+) +(\S+)", Path(f"/proc/{pid}/limits").read_text(), re.M)
    assert found, name
    return found[1], found[2]


def open_files(pid: int) -> list[str]:
    """What its descriptors point to; one that is closed meanwhile points to nothing."""
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(fd.readlink()))
    return found


def as_user(uid: int) -> list[str]:
    """What starts a command as `uid`, without the capabilities to look into anybody (`ptrace(2)`, `mm_access`)."""
    setpriv = shutil.which("setpriv")
    assert setpriv is not None, "util-linux is everywhere"
    if not ROOT:
        return []
    return [
        setpriv,
        "--bounding-set=-sys_ptrace,-sys_admin,-perfmon",
        f"--reuid={uid}",
        f"--regid={uid}",
        "--clear-groups",
    ]


def is_readable(pid: int, uid: int) -> bool:
    """Whether a process of `uid` looks into `pid`: its environment is what the kernel shows to whom it shows memory.

    Not `mem` itself, which a kernel may keep from everybody (Yama), so that it would tell nothing.
    """
    command = [*as_user(uid), "sh", "-c", f": < /proc/{pid}/environ"]
    return subprocess.run(command, stderr=subprocess.DEVNULL, timeout=30, check=False).returncode == 0
