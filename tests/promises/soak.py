"""Promises over all of it: nothing panics, and nothing grows (16, 17)."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from pathlib import Path

from tests.kit import Pki
from tests.kit.edge import until
from tests.promises.clients import Load
from tests.promises.outcome import Outcome, Scale
from tests.promises.yard import HOSTS, PANICS, SWEPT, Yard, descriptors, quiet, resting, rss_kib, settled, yard

JUDGED_S = 1200.0
"""A slope of 1 % an hour is below a page within less."""


def nothing_panicked() -> Outcome:
    out = Outcome(16, "no panic")
    out.must(f"panics of {len(PANICS)} engines of these promises", sum(PANICS), "0", bool(PANICS) and not sum(PANICS))
    out.notes.append("the corpora of the fuzz targets are counted by their own runs")
    return out


def it_goes_on(pki: Pki, scale: Scale) -> Outcome:
    """The whole mix; log files are counted and thrown away as they are rotated under load."""
    out = Outcome(17, "an hour's soak")
    with yard(pki, more=SWEPT) as it:
        pid, lines = it.pid(), Counter[str]()
        with Load(it) as warm:
            enough = time.monotonic() + scale.seconds / 4
            until(lambda: (len(warm.steps) > 300 and time.monotonic() > enough) or None, 60 + scale.seconds)
        quiet(it)
        base = resting(pid)
        opened = Counter({name: b.total for name, b in it.backends.items()})
        asked_before = requests(it)
        until(lambda: written(it, lines, asked_before) or None, 20)
        lines.clear()
        samples: list[tuple[float, int, int]] = []
        began = time.monotonic()
        with Load(it, gap_s=0.02, keep=False) as load:
            last = began
            while (now := time.monotonic()) < began + scale.seconds:
                samples.append((now - began, rss_kib(pid), descriptors(pid)))
                if now > last + 20:
                    last = now
                    rotate(it, lines)
                threading.Event().wait(min(1.0, scale.seconds / 10))
        quiet(it)
        fds = settled(pid, base)
        upstream = {name: b.total - opened[name] for name, b in it.backends.items()}
        asked = {name: n - asked_before[name] for name, n in requests(it).items()}
        until(lambda: written(it, lines, asked) or None, 20)
        dropped = it.edge.status()["log_dropped"]
    steps = sum(load.done.values())
    out.must(
        f"errors over {steps} steps in {time.monotonic() - began:.0f} s", load.errors[:3] or 0, "0", not load.errors
    )
    for name in ("plaintext", "reencrypt", "mutual"):
        sent = sum(n for (kind, where), n in load.done.items() if where == name and kind != "websocket")
        sent += sum(1 for kind, _, where in load.mix if where == name and kind == "websocket")
        four = (sent, lines[name], upstream[name], asked[name])
        out.must(f"{name}: clients, log, upstream, metric", four, "equal", len(set(four)) == 1)
    sent = sum(n for (_, where), n in load.done.items() if where == "passthrough")
    both = (sent, upstream["passthrough"])
    out.must("passthrough: clients, upstream", both, "equal", len(set(both)) == 1)
    out.must("log lines dropped", dropped, "0", dropped == 0)
    out.must("descriptors afterwards", f"{fds}, before {base}", "back to base", fds <= base)
    middle = samples[len(samples) // 4 :]
    spread = max(f for _, _, f in middle) - min(f for _, _, f in middle)
    # Connections of one request each come and go, on both sides.
    out.must("descriptors meanwhile, greatest less least", spread, "at most 40", spread <= 40)
    slope, mean = regression([(t, r) for t, r, _ in middle])
    figure = f"{slope * 3600 / mean * 100:+.2f} %/h of {mean:.0f} KiB"
    quarters = [mean_of(samples[n * len(samples) // 4 : (n + 1) * len(samples) // 4]) for n in range(4)]
    grown = 100 * (quarters[3] - quarters[1]) / quarters[1]
    out.notes.append(f"RSS by quarters of the time: {', '.join(f'{q:.0f}' for q in quarters)} KiB")
    if scale.seconds >= JUDGED_S:
        out.timed(scale, "RSS slope", figure, "1 %/h", slope * 3600 / mean <= 0.01)
    else:
        out.timed(
            scale,
            f"RSS from the second to the last quarter of {scale.seconds:.0f} s",
            f"{grown:+.2f} %",
            "1 %",
            grown <= 1,
        )
        out.notes.append(f"RSS slope {figure}: not judged below {JUDGED_S:.0f} s, where a page is more than 1 %/h")
    return out


def mean_of(samples: list[tuple[float, int, int]]) -> float:
    return sum(rss for _, rss, _ in samples) / max(len(samples), 1)


def requests(it: Yard) -> dict[str, int]:
    return {r["name"]: int(r["requests"]) for r in it.edge.status()["routes"] if r["name"] != "passthrough"}


def written(it: Yard, lines: Counter[str], asked: dict[str, int]) -> bool:
    """Whether every request has its line: threads hand theirs over at a tick."""
    rotate(it, lines)
    return sum(lines[name] for name in asked) >= sum(asked.values())


def regression(points: list[tuple[float, int]]) -> tuple[float, float]:
    """Slope a second, and the mean."""
    n = len(points)
    mean_t, mean = sum(t for t, _ in points) / n, sum(v for _, v in points) / n
    spread = sum((t - mean_t) ** 2 for t, _ in points) or 1.0
    return sum((t - mean_t) * (v - mean) for t, v in points) / spread, mean


def rotate(it: Yard, lines: Counter[str]) -> None:
    """Takes the log away, as logrotate does, and counts its lines by route."""
    mark = len(it.edge.edge.said)
    old = it.edge.folder / "old.log"
    it.edge.log.rename(old)
    it.edge.edge.process.send_signal(signal.SIGUSR1)
    it.edge.edge.wait_for("access log reopened", 20, after=mark)
    # The writer takes the new file up behind what was queued for the old one.
    size = -1
    while old.stat().st_size != size:
        size = old.stat().st_size
        threading.Event().wait(0.3)
    counted(old, lines)
    old.unlink()


def counted(path: Path, lines: Counter[str]) -> None:
    with path.open() as file:
        for line in file:
            lines[json.loads(line)["route"] or ""] += 1


__all__ = ["HOSTS", "it_goes_on", "nothing_panicked"]
