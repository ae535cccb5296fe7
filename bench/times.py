"""How long starting and applying take, and how two threads share connections: with the engine as it is released."""

from __future__ import annotations

import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.cells import common
from bench.extras import holding
from bench.subjects import LOAD_CPU, ROOT, SUBJECT_CPU, Origin, Subject, configuration, load
from everyhop.compile import Compiled, compile_file
from everyhop.demo.stage import free_port
from everyhop.engine import messages as m
from everyhop.engine.control import Control, sealed
from everyhop.engine.frames import listening
from everyhop.engine.process import command, environment

DOOR = ROOT / "target" / "release" / "lib_door.so"
LIMIT_S = 30.0


class Engine:
    """An engine process with the released door, driven over its control socket as the supervisor does."""

    def __init__(self, folder: Path, name: str, threads: int = 1) -> None:
        self.threads = threads
        path = folder / f"{name}.sock"
        with listening(path) as control:
            engine = command(str(DOOR), "main", control.fileno(), ["best-effort"])
            cpus = SUBJECT_CPU if threads == 1 else f"{SUBJECT_CPU},{LOAD_CPU}"
            self.began = time.monotonic()
            self.process = subprocess.Popen(
                ["taskset", "-c", cpus, *engine], pass_fds=[control.fileno()], env=environment(dict(os.environ))
            )
        self.control = Control.connect(path, LIMIT_S)

    def listen(self, port: int) -> None:
        socks = []
        for _ in range(self.threads):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(("127.0.0.1", port))
            sock.listen(4096)
            socks.append(sock)
        told = [m.Socket(listener="l", bind=f"127.0.0.1:{port}", thread=i) for i in range(self.threads)]
        listen = m.Listen(threads=self.threads, sockets=told, status=None)
        self.control.must(listen, m.Listening, [s.fileno() for s in socks])
        for sock in socks:
            sock.close()

    def apply(self, compiled: Compiled) -> float:
        material = sealed(compiled.material.blob)
        apply = m.Apply(
            plan=compiled.plan_json,
            plan_digest=compiled.plan_digest,
            material=[m.Material.model_validate(entry) for entry in compiled.material.entries],
            material_digest=compiled.material.digest,
            names={},
            logs=[],
            zone=None,
            inspector=None,
        )
        began = time.monotonic()
        self.control.must(apply, m.Applied, [material])
        took = time.monotonic() - began
        os.close(material)
        return took

    def subject(self, port: int) -> Subject:
        return Subject("everyhop", "", {"plaintext": port, "passthrough": port}, self.process)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def compiled_of(folder: Path, back: Origin, name: str, port: int, *, routes: int, threads: int = 1) -> Compiled:
    path = folder / f"{name}.toml"
    path.write_text(configuration(back, port, routes=routes, threads=threads))
    return compile_file(path)


def answered(port: int) -> None:
    """Until a connection is accepted: an empty hello is refused, which is an answer too."""
    with socket.create_connection(("127.0.0.1", port), LIMIT_S) as sock:
        sock.settimeout(LIMIT_S)
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        if not sock.recv(16):
            raise SystemExit("the engine accepted and said nothing")


def first_accept(folder: Path, back: Origin) -> float:
    port = free_port()
    compiled = compiled_of(folder, back, "thousand", port, routes=1000)
    engine = Engine(folder, "first")
    try:
        engine.listen(port)
        engine.apply(compiled)
        answered(port)
        return time.monotonic() - engine.began
    finally:
        engine.kill()


def run_until_ready(folder: Path, back: Origin) -> float:
    port = free_port()
    path = folder / "run.toml"
    path.write_text(configuration(back, port, routes=1000) + f'[admin]\nsocket = "{folder}/admin.sock"\n')
    began = time.monotonic()
    command = [sys.executable, "-m", "everyhop", "run", "--config", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "ready:" in line:
                took = time.monotonic() - began
                process.send_signal(signal.SIGTERM)
                return took
    raise SystemExit("it did not become ready")


def applying(folder: Path, back: Origin, applies: int) -> tuple[list[float], int]:
    """Seconds of each `apply`, alternating between two plans of 5,000 routes, and the longest request meanwhile, in
    microseconds, at a fixed rate on open connections."""
    port = free_port()
    plans = [compiled_of(folder, back, f"many{i}", port, routes=5000 + i) for i in range(2)]
    engine = Engine(folder, "apply")
    try:
        engine.listen(port)
        engine.apply(plans[1])
        answered(port)
        words = [*common(folder, engine.subject(port), "plaintext"), "rate=500", "seconds=6", "threads=4"]
        command = ["taskset", "-c", LOAD_CPU, *load("rate", *words)]
        took: list[float] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driving:
            time.sleep(1)
            for i in range(applies):
                took.append(engine.apply(plans[i % 2]))
                time.sleep(0.5)
            out = driving.communicate(timeout=60)[0]
        found = re.search(r"max (\d+)", out)
        if not found:
            raise SystemExit(f"the load failed: {out}")
        return took, int(found[1])
    finally:
        engine.kill()


def shares(folder: Path, back: Origin, count: int) -> list[int]:
    """How many of `count` connections each of two threads watches."""
    port = free_port()
    engine = Engine(folder, "shares", threads=2)
    try:
        engine.listen(port)
        engine.apply(compiled_of(folder, back, "two", port, routes=1, threads=2))
        with holding(folder, engine.subject(port), "passthrough", count):
            # What an epoll watches; the same epoll may have several descriptors.
            texts = [p.read_text() for p in Path(f"/proc/{engine.process.pid}/fdinfo").iterdir()]
            watched = {tuple(sorted(re.findall(r"^tfd: +(\d+)", text, re.M))) for text in texts}
        # A connection that is passed through is two sockets.
        return sorted(len(w) // 2 for w in watched if len(w) > count // 10)
    finally:
        engine.kill()


def measure(folder: Path, back: Origin) -> list[dict[str, object]]:
    """Rows for the page."""

    def ms(seconds: list[float]) -> str:
        return f"{statistics.median(seconds) * 1000:.0f} ms ({min(seconds) * 1000:.0f}-{max(seconds) * 1000:.0f})"

    baseline, spikes = applying(folder, back, 0)[1], applying(folder, back, 8)
    held = shares(folder, back, 1000)
    rows: list[dict[str, object]] = [
        {
            "title": "engine, from its start to the first accepted connection, 1,000 routes",
            "value": ms([first_accept(folder, back) for _ in range(5)]),
        },
        {
            "title": "`everyhop run` until it is ready, 1,000 routes",
            "value": ms([run_until_ready(folder, back) for _ in range(5)]),
        },
        {"title": "`apply` of 5,000 routes, without compiling", "value": ms(spikes[0])},
        {
            "title": "slowest of 3,000 requests at 500/s while 8 plans of 5,000 routes were applied, and while none was",
            "value": f"{spikes[1] / 1000:.1f} ms, {baseline / 1000:.1f} ms",
        },
        {"title": "1,000 connections on two threads", "value": " and ".join(map(str, held))},
    ]
    for row in rows:
        print(f"everyhop     {row['title']}: {row['value']}", flush=True)
    return rows
