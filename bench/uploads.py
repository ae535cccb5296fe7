"""How long 5 MB up take over a long way, by HTTP/2 and by HTTP/1.1: curl through a relay that holds each byte back.

    python -m bench.uploads [ROUND TRIP IN MS] [--write]

Each upload has a connection of its own, as curl's have, or is the second of one. `--write` puts the figures into
`bench/results.json` and renders the page.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.stage import put, stage, stop
from bench.stalled_readers import everyhop, haproxy, nginx
from bench.subjects import Origin, Subject, begun_with, wait_port

SIZE, ROUNDS = 5_000_000, 5
PROTOCOLS = {"HTTP/1.1": "--http1.1", "HTTP/2": "--http2"}
AT_ONCE = 8 * 1024 * 1024
"""What the relay takes before it has given it on: the way is long, and not narrow."""


class Relay:
    """Bytes go on half a round trip after they came, in order and as fast as they came."""

    def __init__(self, to: int, way_s: float) -> None:
        self.to, self.way_s = to, way_s / 2
        self.loop = asyncio.new_event_loop()
        self.port = 0
        self.ready = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()
        self.ready.wait(10)

    def run(self) -> None:
        asyncio.set_event_loop(self.loop)

        async def listen() -> None:
            server = await asyncio.start_server(self.serve, "127.0.0.1", 0, limit=AT_ONCE)
            self.port = server.sockets[0].getsockname()[1]
            self.ready.set()

        self.loop.create_task(listen())
        self.loop.run_forever()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2 * self.way_s)  # TCP's own handshake
        there, to = await asyncio.open_connection("127.0.0.1", self.to, limit=AT_ONCE)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(self.carry(reader, to), self.carry(there, writer))

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def give() -> None:
            while True:
                due, piece = await waiting.get()
                await asyncio.sleep(max(0.0, due - self.loop.time()))
                if not piece:
                    break
                writer.write(piece)
            with contextlib.suppress(OSError):
                writer.close()

        giving = self.loop.create_task(give())
        with contextlib.suppress(OSError):
            while piece := await reader.read(1 << 18):
                waiting.put_nowait((self.loop.time() + self.way_s, piece))
        waiting.put_nowait((self.loop.time() + self.way_s, b""))
        await giving

    def close(self) -> None:
        async def end() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self.loop)


def upload(folder: Path, port: int, protocol: str, times: int) -> float:
    """Seconds of the last of so many uploads over one connection."""
    command = ["curl", "-sS", "--fail", "--cacert", str(folder / "bench-ca.pem"), PROTOCOLS[protocol], "-H", "Expect:"]
    command += ["--connect-to", f"a.test:443:127.0.0.1:{port}", "--data-binary", f"@{folder / 'five'}"]
    command += ["-w", "%{time_total} %{http_version}\n"]
    for _ in range(times):
        command += ["-o", "/dev/null", "https://a.test/up"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout.split()
    if done.returncode or len(said) != 2 * times or said[-1] != PROTOCOLS[protocol].removeprefix("--http"):
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return float(said[-2])


@contextlib.contextmanager
def subjects(folder: Path, back: Origin) -> Iterator[list[Subject]]:
    makers: tuple[Callable[[Path, Origin, int], Subject | None], ...] = (everyhop, nginx, haproxy)
    # Its backends speak HTTP/1.1.
    started = [s for s in (make(folder, back, back.http) for make in makers) if s is not None]
    try:
        for subject in started:
            wait_port(subject.ports["h1"])
        yield started
    finally:
        for subject in started:
            stop(subject)


def measure(folder: Path, back: Origin, way_ms: int, rounds: int = ROUNDS) -> list[dict[str, object]]:
    (folder / "five").write_bytes(os.urandom(SIZE))
    rows: list[dict[str, object]] = []
    with subjects(folder, back) as started:
        relays = {s.name: Relay(s.ports["h1"], way_ms / 1000) for s in started}
        for times, title in ((1, "the first of a connection"), (2, "the second")):
            took: dict[str, dict[str, list[float]]] = {s.name: {p: [] for p in PROTOCOLS} for s in started}
            for number in range(rounds):
                for subject in begun_with(started, number):
                    for protocol in PROTOCOLS:
                        port = relays[subject.name].port
                        took[subject.name][protocol].append(upload(folder, port, protocol, times))
            for name, it in took.items():
                part = statistics.median(b / a for a, b in zip(it["HTTP/1.1"], it["HTTP/2"], strict=True))
                rows.append({"upload": title, "subject": name, "way_ms": way_ms, **it})
                said = ", ".join(f"{p} {statistics.median(v):.3f} s" for p, v in it.items())
                print(f"5 MB up at {way_ms} ms, {title:26} {name:9} {said}: {part:.2f} times", flush=True)
        for relay in relays.values():
            relay.close()
    return rows


def main(way_ms: int, write: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="eh-uploads-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx reads as nobody
        with stage(folder) as back:
            rows = measure(folder, back, way_ms)
    if write:
        put("uploads", rows)


if __name__ == "__main__":
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
    main(numbers[0] if numbers else 100, "--write" in sys.argv)
