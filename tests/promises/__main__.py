"""`make soak MINUTES=n`: every promise with its figure, whole and timed; exit code 1 if one does not hold.

The time is shared out in proportion. What a promise needs at least (fifty deaths, a hundred rotations) it takes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.kit import Pki
from tests.kit.clients import OPENED
from tests.promises import broken_day, carried, change, clock, death, hostile, soak
from tests.promises.outcome import Outcome, Scale

ROOT = Path(__file__).resolve().parents[2]
Promise = Callable[[Pki, Scale], Outcome]

PROMISES: list[tuple[int, str, Promise, float]] = [
    (1, "a reload loses nothing", change.reloads_lose_nothing, 16),
    (2, "a bad reload changes nothing", change.broken_reloads_change_nothing, 2),
    (3, "a restart hands over", death.restart_hands_over, 4),
    (4, "kill -9 of the engine", death.kill_the_engine, 6),
    (5, "the supervisor is dead", death.nobody_supervises, 2),
    (6, "idle and slow clients", hostile.idle_and_slow, 6),
    (7, "a hostile HTTP/2 connection", hostile.one_hostile_connection, 4),
    (8, "certificate rotation", change.certificates_rotate, 10),
    (10, "1 of 3 backends flapping", carried.one_of_three_flaps, 6),
    (11, "the clock jumps", clock.the_clock_jumps, 3),
    (13, "5x overload", hostile.overload, 8),
    (14, "shutdown", death.shutdown, 4),
    (15, "bytes are bytes", carried.bytes_are_bytes, 12),
    (17, "an hour's soak", soak.it_goes_on, 14),
    (19, "a broken day", broken_day.a_broken_day, 6),
    (18, "every refusal is a refusal", hostile.refusals_reach_nobody, 2),
]
"""Number, title, function, and its part of the time."""
ABSENT = {
    9: ("CA or ACME outage", "there is neither yet"),
    12: ("the evidence disk is full", "there is no ledger of evidence yet"),
}


def main() -> int:
    given = argparse.ArgumentParser(prog="python -m tests.promises", description=__doc__)
    given.add_argument("--minutes", type=float, default=10.0)
    given.add_argument("--only", help="numbers of promises, such as 3,14")
    options = given.parse_args()
    only = {int(n) for n in options.only.split(",")} if options.only else None
    whole = sum(part for *_, part in PROMISES)
    outcomes: list[Outcome] = []
    took: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="eh-pki-") as folder:
        pki = Pki(Path(folder))
        for number, title, promise, part in PROMISES:
            if only and number not in only:
                continue
            began = time.monotonic()
            scale = Scale(max(options.minutes * 60 * part / whole, 5.0), timed=True, whole=True)
            outcomes.append(tried(number, title, promise, pki, scale))
            while OPENED:
                OPENED.pop().close()
            took[number] = time.monotonic() - began
            print("\n".join(outcomes[-1].lines()), flush=True)
    outcomes.append(soak.nothing_panicked())
    print("\n".join(outcomes[-1].lines()))
    for number, (title, why) in ABSENT.items():
        print(f"{number:>2}  {title}: not tried, {why}")
    write(outcomes, took, options.minutes)
    lost = [o.number for o in outcomes if not o.held]
    print(f"not held: {lost}" if lost else f"all {len(outcomes)} hold")
    return 1 if lost else 0


def tried(number: int, title: str, promise: Promise, pki: Pki, scale: Scale) -> Outcome:
    """What breaks on the way is a promise that does not hold."""
    try:
        return promise(pki, scale)
    except Exception as e:
        traceback.print_exc()
        it = Outcome(number, title)
        it.must("ran to its end", f"{type(e).__name__}: {str(e)[:500]}", "no failure", False)
        return it


def write(outcomes: list[Outcome], took: dict[int, float], minutes: float) -> None:
    """`target/promises.json` and the table `target/promises.md`."""
    target = ROOT / "target"
    target.mkdir(exist_ok=True)
    whole = [{**asdict(o), "held": o.held, "seconds": round(took.get(o.number, 0), 1)} for o in outcomes]
    report = {"minutes": minutes, "promises": whole, "absent": {n: list(a) for n, a in ABSENT.items()}}
    (target / "promises.json").write_text(json.dumps(report, indent=1) + "\n")
    rows = ["| # | promise | what | figure | bound | |", "|---|---|---|---|---|---|"]
    for o in outcomes:
        for c in o.checks:
            cells = (str(o.number), o.title, c.what, c.figure, c.bound, "held" if c.held else "**not held**")
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    rows += [f"| {n} | {title} | not tried | {why} | | |" for n, (title, why) in ABSENT.items()]
    (target / "promises.md").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    sys.exit(main())
