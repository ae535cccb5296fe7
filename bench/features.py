"""What a feature in use costs a request, beside who else has it: CPU time, in rounds that take turns.

    python -m bench.features [--rounds N] [--scale 0.1] [--only FEATURE] [--peers everyhop,nginx] [--write]

Each subject must do to a request what is measured, and is asked before it is measured: which fields arrived and came back,
where a redirect leads, what gzip unpacks to, that one path has one backend and many have several, which path of 5,000 the
backend was asked for, and of a trace what the backend and the collector heard. Everyhop takes part twice, with the feature and
without. `--write` puts the figures into `bench/results.json` and renders the page.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import re
import socket
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench import tracing
from bench.cells import run
from bench.feature_subjects import BACKENDS, FEATURES, MAKERS, ROUTES, TEXT_BYTES, Behind, origin, text_of
from bench.page import WITHOUT
from bench.stage import absent, called, stop
from bench.subjects import Subject, begun_with, wait_port, which
from everyhop.demo.certificates import Authority

NOISY = 0.2
PATHS = 500
"""As many different ones are asked for where it matters which."""


@dataclass(frozen=True)
class Feature:
    title: str
    path: str = "/"
    headers: tuple[str, ...] = ()
    paths: str = ""
    """A pattern of many paths."""
    size: float = 1.0
    """Of the load, as a part of the others'."""


WHAT = {
    "plain": Feature("nothing: TLS, a route, keep-alive"),
    "edits": Feature(
        "fields: one set and one removed of each request, two set and one removed of each answer",
        headers=("x-debug: 1",),
    ),
    "redirect": Feature("redirect, with path and query", path="/a/b?c=d"),
    "gzip": Feature("gzip of 10 KiB of HTML", path="/text.html", headers=("accept-encoding: gzip",), size=0.3),
    "hash": Feature(f"consistent hash of the path, {BACKENDS} backends", paths="/user/{}"),
    "routes": Feature(f"{ROUTES:,} routes, each with a rewrite", paths="/r/{}/x"),
    "log": Feature(
        "access log in JSON, eight fields, to a file", headers=("user-agent: Mozilla/5.0 (X11; Linux x86_64)",)
    ),
    "traces": Feature("one request of ten traced, told to a collector by OTLP"),
}
assert tuple(WHAT) == FEATURES


@dataclass(frozen=True)
class Answer:
    status: int
    fields: dict[str, str]
    body: bytes


def ask(folder: Path, subject: Subject, feature: str, path: str, headers: dict[str, str] | None = None) -> Answer:
    context = ssl.create_default_context(cafile=str(folder / "bench-ca.pem"))
    conn = http.client.HTTPConnection("a.test")
    raw = socket.create_connection(("127.0.0.1", subject.ports[feature]), 10)
    conn.sock = context.wrap_socket(raw, server_hostname="a.test")
    with contextlib.closing(conn):
        conn.request("GET", path, headers=headers or {})
        it = conn.getresponse()
        return Answer(it.status, {k.lower(): v for k, v in it.getheaders()}, it.read())


def prove(folder: Path, subject: Subject) -> int:
    """Ends the run where it does not do what is measured; gives how long its gzip is."""

    def must(held: bool, what: str, seen: object) -> None:
        if not held:
            raise SystemExit(f"{subject.name} does not do it: {what}: {seen}")

    def of(feature: str, path: str, **headers: str) -> Answer:
        return ask(folder, subject, feature, path, {k.replace("_", "-"): v for k, v in headers.items()})

    it = of("plain", "/", x_debug="1")
    must((it.status, it.body, it.fields.get("x-heard")) == (200, b"x" * 256, "/1"), "plain", it)
    must(it.fields.get("x-origin") == "yes" and "x-frame-options" not in it.fields, "plain", it)
    it = of("edits", "/", x_debug="1")
    must((it.status, it.body, it.fields.get("x-heard")) == (200, b"x" * 256, "one/"), "fields of the request", it)
    changed = (it.fields.get("x-frame-options"), it.fields.get("cache-control"), it.fields.get("x-origin"))
    must(changed == ("DENY", "no-store", None), "fields of the answer", it)
    it = of("redirect", "/a/b?c=d")
    led = it.fields.get("location", "").replace(":443", "")
    must((it.status, led) == (308, "https://b.test/a/b?c=d"), "redirect", it)
    it = of("gzip", "/text.html", accept_encoding="gzip")
    must(
        it.fields.get("content-encoding") == "gzip" and gzip.decompress(it.body) == text_of(TEXT_BYTES),
        "gzip",
        it.fields,
    )
    packed = len(it.body)
    must(packed < TEXT_BYTES * 0.7, "gzip", packed)
    must(of("gzip", "/text.html").body == text_of(TEXT_BYTES), "no gzip where none is asked for", "")
    homes = [{of("hash", f"/user/{n}").fields.get("x-port") for _ in range(3)} for n in range(40)]
    must(all(len(home) == 1 for home in homes), "one path, one backend", homes)
    must(len(set.union(*homes)) > BACKENDS // 2, "many paths, many backends", homes)
    for n in (0, 17, ROUTES - 1):
        asked = of("routes", f"/r/{n}/x").fields.get("x-asked")
        must(asked == f"/s/{n}/x", "rewrites", asked)
    must(of("routes", "/other").status == 404, "no other route", "")
    it = of("log", "/logged", user_agent="proof/1")
    must(it.status == 200, "log", it)
    line = logged(folder / f"{subject.name}.log", "/logged")
    must("proof/1" in json.dumps(line) and "127.0.0.1" in json.dumps(line) and len(line) == 8, "log", line)
    if "traces" in subject.ports:
        tracing.prove(folder, subject.name, lambda: of("traces", "/").fields.get("x-traced", ""))
    return packed


def logged(log: Path, path: str) -> dict[str, object]:
    """The line of a path, once it is there."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for row in log.read_text().splitlines() if log.exists() else []:
            with contextlib.suppress(ValueError):
                if (found := json.loads(row)).get("path") == path:
                    return dict(found)
        time.sleep(0.05)
    raise SystemExit(f"{log.name} has no line of {path}")


def drive(folder: Path, subject: Subject, feature: str, scale: float) -> int:
    what, port = WHAT[feature], subject.ports[feature]
    count = max(64, int(10_000 * scale * what.size))
    base = f"https://a.test:{port}"
    where = [base + what.path]
    if what.paths:
        uris = folder / f"{feature}-{port}.uris"
        step = ROUTES // PATHS
        uris.write_text("".join(f"{base}{what.paths.format(n * step)}\n" for n in range(PATHS)))
        where = ["-i", str(uris)]
    headers = [word for header in what.headers for word in ("-H", header)]
    command = [which("h2load") or "h2load", "-n", str(count), "-t", "1", "--h1", "-c", "32", *headers]
    out = run(*command, "--connect-to", f"127.0.0.1:{port}", *where)
    found = re.search(r"(\d+) succeeded, (\d+) failed", out)
    if not found or int(found[1]) != count:
        raise SystemExit(f"{subject.name} failed requests of {feature}:\n{out}")
    return count


def measure(folder: Path, subjects: list[Subject], feature: str, rounds: int, scale: float) -> dict[str, list[float]]:
    """Interleaved rounds; the first warms up, and as many again follow where they differ by much."""
    costs: dict[str, list[float]] = {}
    done = 0
    able = [it for it in beside_itself(subjects) if feature in it.ports]
    while done <= rounds or (noisy(costs) and done <= 2 * rounds):
        for subject in begun_with(able, done):
            before = subject.cpu_s()
            count = drive(folder, subject, feature, scale)
            if done:
                costs.setdefault(subject.name, []).append(round((subject.cpu_s() - before) * 1e6 / count, 4))
        done += 1
    if feature == "traces":
        for subject in subjects:
            if feature in subject.ports:
                tracing.sent(folder, subject.name, done * count)
    return costs


def beside_itself(subjects: list[Subject]) -> list[Subject]:
    """And Everyhop once more: what is asked of a feature, asked where there is none."""
    return [
        *subjects,
        *(
            replace(it, name=WITHOUT, ports={name: it.ports["plain"] for name in it.ports if name != "plain"})
            for it in subjects
            if it.name == "everyhop"
        ),
    ]


def noisy(costs: dict[str, list[float]]) -> bool:
    return any((max(v) - min(v)) / statistics.median(v) > NOISY for v in costs.values())


@contextlib.contextmanager
def ground(folder: Path, peers: list[str]) -> Iterator[list[Subject]]:
    Authority(folder, "Bench CA").leaf("edge", "a.test")
    (folder / "www").mkdir()
    back, behind = origin(folder)
    subjects: list[Subject] = []
    try:
        for port in back.ports:
            wait_port(port)
        subjects += started(folder, back, peers)
        for subject in subjects:
            for port in subject.ports.values():
                wait_port(port)
        yield subjects
    finally:
        for subject in subjects:
            stop(subject)
        behind.terminate()
        behind.wait(10)


def started(folder: Path, back: Behind, peers: list[str]) -> list[Subject]:
    return [it for peer in peers if (it := MAKERS[peer](folder, back)) is not None]


def figures(rounds: int, scale: float, peers: list[str], only: str = "") -> dict[str, object]:
    """All of it, as the page takes it."""
    with tempfile.TemporaryDirectory(prefix="eh-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx reads as nobody
        with ground(folder, peers) as subjects:
            packed = {subject.name: prove(folder, subject) for subject in subjects}
            rows: list[dict[str, object]] = []
            for feature, what in WHAT.items():
                if only not in ("", feature):
                    continue
                costs = measure(folder, subjects, feature, rounds, scale)
                rows.append({"key": feature, "title": what.title, "costs": costs, "noisy": noisy(costs)})
                told = "  ".join(f"{k} {statistics.median(v):.2f}" for k, v in costs.items())
                print(f"{feature:<10} us/request  {told}{'  (noisy)' * noisy(costs)}", flush=True)
            print(f"10 KiB by gzip, bytes: {packed}", flush=True)
            of = {s.name: {"version": s.version, "config": masked(s.config, folder)} for s in subjects}
    return {"rows": rows, "packed": packed, "subjects": of, "absent": absent(peers, of)}


def masked(text: str, folder: Path) -> str:
    """Without this run's folder and ports."""
    return re.sub(r"(127\.0\.0\.1:|port_value\": )\d+", r"\1PORT", text.replace(str(folder), "DIR"))


if __name__ == "__main__":
    sys.exit(called(__doc__, "features", figures, FEATURES, MAKERS))
