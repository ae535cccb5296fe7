"""What it costs to inspect a request by the OWASP Core Rule Set, beside nginx with ModSecurity of Debian and beside plain Coraza:
CPU time, of the edge and of its inspector each by itself; and what requests that are not inspected feel of those that are.

    python -m bench.inspecting [--rounds N] [--scale 0.1] [--only CHECK] [--peers everyhop,nginx] [--write]

Each subject is asked first whether it refuses an injection in a query, looks at it where rules only detect, and lets the measured requests pass. The rules are one copy
of CRS 4 for all, at its first level; nginx is measured with Debian's CRS 3 as well, which has fewer. What inspecting costs the edge
itself is told by one that asks an inspector which allows everything at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.cells import run
from bench.features import ask, masked, noisy
from bench.modsecurity import nginx, same_rules
from bench.stage import absent, called, stop
from bench.subjects import (
    LOAD_CPU,
    SUBJECT_CPU,
    Subject,
    begun_with,
    nginx_behind,
    pinned,
    released,
    wait_port,
    which,
)
from everyhop.compile import compile_file
from everyhop.compile.inspecting import policies
from everyhop.demo.certificates import Authority
from everyhop.demo.stage import free_port
from everyhop.waf import Inspector, found

PEERS = ("everyhop", "nginx", "coraza")
WAF = Path(__file__).parents[1] / "waf"

BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Cookie": "session=0123456789abcdef0123456789abcdef; theme=dark",
}
PATH = "/articles/2026/11?page=2&sort=date"
JSON = json.dumps({f"key{n}": f"value {n}" for n in range(80)})
LARGE = json.dumps({f"key{n}": "a plain value of some length, as forms have " * 2 for n in range(640)})
"""64 KiB, of 640 values."""


ATTACKS, LEAST_S = 20, 0.0005
"""Of those that only detect; the rules take three times as long for each."""


@dataclass(frozen=True)
class What:
    title: str
    port: str
    count: int
    body: str = ""


WHAT = {
    "plain": What("a browser's GET, not inspected", "plain", 10_000),
    "edge": What("a browser's GET, asked about and allowed at once", "at once", 10_000),
    "get": What("a browser's GET, inspected", "waf", 1_000),
    "json": What("2 KB of JSON, inspected", "waf", 100, JSON),
    "detect": What("a browser's GET, of rules that only detect", "detect", 1_000),
}


def origin(folder: Path) -> tuple[int, subprocess.Popen[bytes]]:
    port = free_port()
    answer = f"server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 '{'x' * 256}'; }} }}"
    return port, nginx_behind(folder, "i", answer)


class AtOnce:
    """What stands in an inspector's place and allows everything, beside the load: what is left is the edge's own."""

    def __init__(self) -> None:
        self.socket, its = socket.socketpair()
        command = [sys.executable, "-m", "bench.allowing"]
        self.process = pinned(LOAD_CPU, command, stdin=its.fileno())
        its.close()

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)


def everyhop(folder: Path, back: int) -> tuple[Subject, Inspector]:
    ports = {name: free_port() for name in ("plain", "waf", "detect")}
    text = configuration(back, ports)
    (config := folder / "everyhop.toml").write_text(text)
    compiled = compile_file(config)
    inspector = Inspector(policies(compiled.plan.wafs, compiled.rules, 0), nice=5)
    subprocess.run(["taskset", "-apc", SUBJECT_CPU, str(inspector.process.pid)], check=True, capture_output=True)
    subject = released(folder, "everyhop", text, ports, shown=text, inspector=inspector.socket.fileno())
    inspector.socket.close()
    return subject, inspector


def asked_for_nothing(folder: Path, back: int) -> tuple[Subject, AtOnce]:
    """An edge whose inspector allows everything at once."""
    ports = {"at once": free_port()}
    text = configuration(back, {"waf": ports["at once"]})
    inspector = AtOnce()
    subject = released(folder, "allowed", text, ports, inspector=inspector.socket.fileno())
    inspector.socket.close()
    return subject, inspector


def configuration(back: int, ports: dict[str, int]) -> str:
    uses = {"plain": "", "waf": 'waf = "crs"\n', "detect": 'waf = "watch"\n'}
    return (
        'version = 1\n[engine]\nthreads = 1\n[log]\naccess = "off"\n'
        + "".join(f'[[listener]]\nname = "{name}"\nbind = ["127.0.0.1:{port}"]\n' for name, port in ports.items())
        + '[[site]]\nname = "s"\nhosts = ["a.test"]\ncerts = [{ chain = "edge.pem", key = "file:edge.key" }]\n'
        '[[waf]]\nname = "crs"\ndeadline_ms = 10000\n'
        + '[[waf]]\nname = "watch"\nmode = "detect"\ndeadline_ms = 10000\n' * ("detect" in ports)
        + "".join(
            f'[[route]]\nname = "{name}"\nhost = "a.test"\nlisteners = ["{name}"]\ntls = "plaintext"\n'
            f'to = ["127.0.0.1:{back}"]\n{uses[name]}'
            for name in ports
        )
    )


def coraza(folder: Path, back: int) -> Subject | None:
    """Its own handler before Go's reverse proxy, as a program of a hundred lines would have it."""
    go = shutil.which("go", path=f"{os.environ['PATH']}:/usr/local/go/bin")
    if go is None:
        return None
    program = folder / "plain"
    build = [go, "build", "-tags", "no_fs_access", "-trimpath", "-buildvcs=false", "-o", str(program), "./plain"]
    closed = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0"}
    subprocess.run(build, cwd=WAF, env=os.environ | closed, check=True)
    ports = {name: free_port() for name in ("plain", "waf")}
    words = {"listen": f"127.0.0.1:{ports['waf']}", "uninspected": f"127.0.0.1:{ports['plain']}"}
    words |= {"to": f"http://127.0.0.1:{back}", "chain": f"{folder}/edge.pem", "key": f"{folder}/edge.key"}
    command = [str(program), *(f"-{name}={value}" for name, value in words.items())]
    return Subject("coraza", f"{coraza_version()} before Go's proxy", ports, pinned(SUBJECT_CPU, command))


def coraza_version() -> str:
    found = re.search(r"corazawaf/coraza/v3 v(\S+)", (WAF / "go.mod").read_text())
    return found[1] if found else "?"


def prove(folder: Path, subject: Subject, inspector: Inspector) -> None:
    """Ends the run where it does not do what is measured."""
    attack = "/?q=1%27%20OR%20%271%27=%271"

    def must(port: str, path: str, status: int) -> None:
        seen = ask(folder, subject, port, path, BROWSER).status
        if seen != status:
            raise SystemExit(f"{subject.name} does not inspect: {seen} for {path} at {port}")

    must("waf", attack, 403)
    must("waf", PATH, 200)
    if "detect" not in subject.ports:
        return
    before = spent(inspector.process.pid)
    for _ in range(ATTACKS):
        must("detect", attack, 200)
    deadline = time.monotonic() + 20
    # Everyhop asks behind the answer, and the inspector has to have thought about it; ModSecurity writes down what it found.
    while not (
        spent(inspector.process.pid) - before > ATTACKS * LEAST_S
        if subject.name == "everyhop"
        else "942100" in (folder / f"{subject.name}-detect.log").read_text()
    ):
        if time.monotonic() > deadline:
            raise SystemExit(f"{subject.name} lets an attack pass and has not looked at it")
        time.sleep(0.05)


def load(folder: Path, port: int, what: What, count: int, log: Path | None = None, clients: int = 8) -> list[str]:
    """h2load, as one asks so."""
    words = [which("h2load") or "h2load", "-n", str(count), "-t", "1", "--h1", "-c", str(clients)]
    words += [word for name, value in BROWSER.items() for word in ("-H", f"{name}: {value}")]
    if what.body:
        (body := folder / f"{len(what.body)}.json").write_text(what.body)
        words += ["-d", str(body), "-H", "Content-Type: application/json"]
    words += [f"--log-file={log}"] if log else []
    return [*words, "--connect-to", f"127.0.0.1:{port}", f"https://a.test:{port}{PATH}"]


def drive(folder: Path, subject: Subject, what: What, scale: float) -> int:
    count = max(16, int(what.count * scale))
    out = run(*load(folder, subject.ports[what.port], what, count))
    seen = re.search(r"status codes: (\d+) 2xx", out)
    if not seen or int(seen[1]) != count:
        raise SystemExit(f"{subject.name} failed requests:\n{out}")
    return count


def spent(pid: int) -> float:
    """Seconds of CPU of all threads of one process."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def measure(
    folder: Path, subjects: list[Subject], inspector: Inspector, what: What, rounds: int, scale: float
) -> dict[str, list[float]]:
    costs: dict[str, list[float]] = {}
    able = [it for it in subjects if what.port in it.ports]
    for done in range(rounds + 1):
        for subject in begun_with(able, done):
            before, beside = subject.cpu_s(), spent(inspector.process.pid)
            count = drive(folder, subject, what, scale)
            if not done:
                continue
            costs.setdefault(subject.name, []).append(round((subject.cpu_s() - before) * 1e6 / count, 2))
            # Where rules only detect they are asked behind the answer, and go on once it is over.
            if subject.name == "everyhop" and what.port != "detect":
                its = round((spent(inspector.process.pid) - beside) * 1e6 / count, 2)
                costs.setdefault("inspector", []).append(its)
    return costs


def latencies(folder: Path, subject: Subject, port: str, count: int) -> list[int]:
    """Of requests one after the other, in microseconds, the shortest first."""
    log = folder / "latencies.tsv"
    log.unlink(missing_ok=True)
    run(*load(folder, subject.ports[port], WHAT["plain"], count, log, clients=1))
    return sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())


def p(sorted_: list[int], of: float) -> int:
    """So many of them were shorter."""
    return sorted_[min(len(sorted_) - 1, int(len(sorted_) * of))]


def felt(folder: Path, subject: Subject, scale: float) -> dict[str, float]:
    """Half and 99 of 100 requests that are not inspected take so long, alone and while as many large bodies as there can be are
    inspected; and half of those of rules that only detect."""
    count = max(200, int(4_000 * scale))
    alone = latencies(folder, subject, "plain", count)
    flood = What("", "waf", 1_000_000, LARGE)
    command = load(folder, subject.ports["waf"], flood, flood.count, clients=16)
    flooding = subprocess.Popen(
        ["taskset", "-c", LOAD_CPU, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        beside = latencies(folder, subject, "plain", count)
        if flooding.poll() is not None:
            raise SystemExit("the flood ended before it was measured")
    finally:
        flooding.kill()
        flooding.wait()
    detected = latencies(folder, subject, "detect", count)
    return {
        "p50": p(alone, 0.5),
        "p99": p(alone, 0.99),
        "p50 beside": p(beside, 0.5),
        "p99 beside": p(beside, 0.99),
        "p50 detect": p(detected, 0.5),
        "p99 detect": p(detected, 0.99),
    }


@contextlib.contextmanager
def ground(folder: Path, peers: list[str]) -> Iterator[tuple[list[Subject], Inspector]]:
    Authority(folder, "Bench CA").leaf("edge", "a.test")
    back, behind = origin(folder)
    subjects: list[Subject] = []
    inspector = at_once = None
    try:
        wait_port(back)
        own, inspector = everyhop(folder, back)
        allowed, at_once = asked_for_nothing(folder, back)
        subjects += [own, allowed]
        if "nginx" in peers:
            debians = Path("/etc/modsecurity/crs/crs-setup.conf"), Path("/usr/share/modsecurity-crs/rules")
            for name, (setup, files) in (("nginx", same_rules(folder)), ("nginx-crs-3", debians)):
                if (peer := nginx(folder, back, name, setup, files)) is not None:
                    subjects.append(peer)
        if "coraza" in peers and (peer := coraza(folder, back)) is not None:
            subjects.append(peer)
        for subject in subjects:
            for port in subject.ports.values():
                wait_port(port)
        yield subjects, inspector
    finally:
        for subject in subjects:
            stop(subject)
        for it in (inspector, at_once):
            if it is not None:
                it.close()
        behind.terminate()
        behind.wait(10)


def figures(rounds: int, scale: float, peers: list[str], only: str = "") -> dict[str, object]:
    """All of it, as the page takes it."""
    found()
    with tempfile.TemporaryDirectory(prefix="eh-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with ground(folder, peers) as (subjects, inspector):
            for subject in subjects:
                if "waf" in subject.ports:
                    prove(folder, subject, inspector)
            rows: list[dict[str, object]] = []
            for key, what in WHAT.items():
                if only not in ("", key):
                    continue
                costs = measure(folder, subjects, inspector, what, rounds, scale)
                # Who inspects nothing here spends next to nothing, and that by chance.
                odd = noisy({k: v for k, v in costs.items() if statistics.median(v) > 1})
                rows.append({"key": key, "title": what.title, "costs": costs, "noisy": odd})
                told = "  ".join(f"{k} {statistics.median(v):.1f}" for k, v in costs.items())
                print(f"{key:<10} us/request  {told}{'  (noisy)' * odd}", flush=True)
            waits = felt(folder, subjects[0], scale)
            print("  ".join(f"{k} {v} us" for k, v in waits.items()), flush=True)
            of = {s.name: {"version": s.version, "config": masked(s.config, folder)} for s in subjects}
    return {"rows": rows, "waits": waits, "subjects": of, "absent": absent(("nginx", "nginx-crs-3", "coraza"), of)}


if __name__ == "__main__":
    sys.exit(called(__doc__, "inspecting", figures, WHAT, PEERS))
