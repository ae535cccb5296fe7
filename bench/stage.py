"""What a measurement needs around it: certificates, the origin, the end of a subject, and where results are kept."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bench import page
from bench.subjects import LOAD_CPU, Origin, Subject, origin, wait_port
from everyhop.demo.certificates import Authority

Figures = Callable[[int, float, list[str], str], dict[str, object]]
"""Of so many rounds of so much of the load, of those peers, and of one thing alone where it is named."""
RESULTS = Path(__file__).parent / "results.json"
OF_THE_RUN = {"own", "times"}
"""Parts that a whole run alone measures: their machine was its own. Of others it is known only where it was noted."""


def put(key: str, rows: object) -> None:
    """Into what was measured before, with the machine that it was measured on now, and onto the page."""
    found = json.loads(RESULTS.read_text())
    machines = {**found.get("machines", {}), key: machine()}
    RESULTS.write_text(json.dumps({**found, key: rows, "machines": machines}, indent=1, sort_keys=True) + "\n")
    page.render(RESULTS)


def renew(found: dict[str, object]) -> None:
    """What was measured by now in place of what was before, so that a run which is broken off has said something: a part that is
    still to come stays as it was, with the machine that it was measured on."""
    old = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    were = {**dict.fromkeys(old.keys() & OF_THE_RUN, old.get("machine")), **old.get("machines", {})}
    machines = {key: it for key, it in were.items() if key not in found}
    RESULTS.write_text(json.dumps({**old, **found, "machines": machines}, indent=1, sort_keys=True) + "\n")
    page.render(RESULTS)


def machine() -> dict[str, str]:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    rust = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return {"kernel": platform.release(), "cpu": model[1] if model else "?", "rustc": rust}


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


def absent(asked: Iterable[str], there: Iterable[str]) -> list[str]:
    """Whom the machine does not have: the page says so."""
    found = set(there)
    return [name for name in asked if name not in found]


def stop(subject: Subject) -> None:
    for pid in reversed(subject.pids()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    subject.process.wait()


def called(doc: str, key: str, figures: Figures, names: Iterable[str], makers: Iterable[str]) -> int:
    """A measurement by name, from the command line: `--write` puts what it found under `key`."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="0.1: a tenth of the load, to see that it works")
    parser.add_argument("--only", default="", help="one of " + ", ".join(names))
    parser.add_argument("--peers", default=",".join(makers))
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    os.sched_setaffinity(0, {int(LOAD_CPU)})
    found = figures(given.rounds, given.scale, given.peers.split(","), given.only)
    if given.write:
        put(key, found)
    return 0
