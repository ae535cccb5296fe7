"""What one more idle connection holds of the engine's memory, in bytes, for `guard.py`: by the kernel's count of the pages that the process
has for itself, so whatever asked for them is in it: our allocator, the C library's, cryptography, a stack.

Each connection is opened, asked once and left, one after the other and nothing before the engine sleeps (`steps.py`), while its time stands
still (`still.c`): what is freed, lent or given back is the same each time, to the byte, on a busy machine too. What the first ones set up is
taken away by looking after some and after three times as many. What the kernel holds for a socket is not in it.
"""

from __future__ import annotations

import contextlib
import re
import resource
from pathlib import Path

from bench import steps
from bench.subjects import Subject

IDLE = {
    "HTTP/1.1, plaintext behind": ("plaintext", "http/1.1", 500),
    "HTTP/2, plaintext behind": ("plaintext", "h2", 100),
    "HTTP/1.1 passed through": ("passthrough", "http/1.1", 1000),
}
"""Where its TLS ends, what it speaks, and how many are opened before the first look: so many that twice as many hold megabytes."""
GIVEN_BACK = {"MIMALLOC_PURGE_DELAY": "0"}
"""What is freed is no longer the process's at once. The allocator waits some milliseconds by itself, of which none passes where time stands
still: what a start left behind, more or less of it by what happened at once, would be counted before and used by connections behind."""
ALLOWED = 0.01
"""A page is 4 KiB or nothing: what is allocated elsewhere shifts where objects lie, and each of a dozen sizes of them can begin a page more or
less. Twenty runs of one engine, with both processors busy, differed by four bytes in 5,349, by 41 in 12,247 over HTTP/2 and by none where TLS passes."""


def held_bytes(pid: int) -> int:
    found = re.search(r"^Anonymous:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
    if not found:
        raise SystemExit("the kernel does not say what the engine holds")
    return int(found[1]) * 1024


def count(folder: Path, subject: Subject, sleep: steps.Sleep) -> dict[str, float]:
    """All of `IDLE`, one kind after the other; those before stay open, or their memory would be used again and cost nothing."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    counted: dict[str, float] = {}
    with contextlib.ExitStack() as held:
        for name, (pattern, protocol, few) in IDLE.items():
            begin = steps.http2(pattern) if protocol == "h2" else steps.http1(pattern)
            seen = []
            for more in (few, 2 * few):
                for _ in range(more):
                    go = held.enter_context(begin(folder, subject, sleep))
                    go(1)
                sleep.wait()
                seen.append(held_bytes(subject.process.pid))
            counted[name] = round((seen[1] - seen[0]) / (2 * few))
    return counted
