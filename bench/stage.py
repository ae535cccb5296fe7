"""What a measurement needs around it: certificates, the origin, the end of a subject, and where results are kept."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from bench import page
from bench.subjects import Origin, Subject, origin, wait_port
from everyhop.demo.certificates import Authority

RESULTS = Path(__file__).parent / "results.json"


def put(key: str, rows: object) -> None:
    """Into what was measured before, and onto the page."""
    found = json.loads(RESULTS.read_text())
    RESULTS.write_text(json.dumps({**found, key: rows}, indent=1, sort_keys=True) + "\n")
    page.render(RESULTS)


@contextlib.contextmanager
def stage(folder: Path) -> Iterator[Origin]:
    authority = Authority(folder, "Bench CA")
    authority.leaf("edge", "a.test", "m.test")
    authority.leaf("backend", "backend.test", "pass.test")
    authority.leaf("identity", "identity.test")
    back, started = origin(folder)
    try:
        for port in (back.http, back.https, back.mutual, back.echo):
            wait_port(port)
        yield back
    finally:
        for it in started:
            # Not killed: a master that is gone cannot end its workers.
            it.terminate()
        for it in started:
            it.wait(10)


def stop(subject: Subject) -> None:
    for pid in reversed(subject.pids()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    subject.process.wait()
