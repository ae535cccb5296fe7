"""CPU cost beside Debian's nginx and HAProxy, in one run, interleaved, one core each: `make bench`.

The machines that this runs on are noisy, so only ratios within one run count: medians of interleaved rounds of the CPU
time that the kernel's scheduler counted for all threads of the subject, divided by what was completed. Every subject is
asked for the right answer before it is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from everyhop.compile import compile_file
from everyhop.demo.certificates import Authority
from everyhop.demo.stage import free_port

ROOT = Path(__file__).resolve().parent.parent
SUBJECT_CPU, LOAD_CPU = "0", "1"
NAME = "a.test"


@dataclass
class Subject:
    """A running proxy: its processes and the ports of its routes."""

    name: str
    version: str
    ports: dict[str, int]
    process: subprocess.Popen[bytes]
    results: dict[str, list[float]] = field(default_factory=dict)

    def pids(self) -> list[int]:
        found = [self.process.pid]
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return found + [int(c) for c in children]

    def cpu_s(self) -> float:
        """CPU time so far of all threads of all its processes, by the scheduler."""
        total = 0
        for pid in self.pids():
            for task in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def rss_kib(self) -> float:
        total = 0.0
        for pid in self.pids():
            found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
            total += float(found[1]) if found else 0.0
        return total


def pinned(cpu: str, command: list[str], **more: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["taskset", "-c", cpu, *command], stderr=subprocess.DEVNULL, **more)  # type: ignore[call-overload,no-any-return]


def wait_port(port: int) -> None:
    for _ in range(400):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")


def origin(folder: Path, port: int) -> subprocess.Popen[bytes]:
    big = folder / "www"
    big.mkdir()
    (big / "big").write_bytes(os.urandom(10 * 1024 * 1024))
    config = folder / "origin.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/o.pid; error_log /dev/null;\n"
        "events { worker_connections 8192; }\n"
        f"http {{ access_log off; sendfile on; keepalive_requests 100000000; client_body_temp_path {folder}/ob; proxy_temp_path {folder}/op;\n"
        f"fastcgi_temp_path {folder}/of; uwsgi_temp_path {folder}/ou; scgi_temp_path {folder}/os;\n"
        f"server {{ listen 127.0.0.1:{port} backlog=4096; root {big}; location = / {{ return 200 '{'x' * 256}'; }} }} }}\n"
    )
    return pinned(LOAD_CPU, [which("nginx"), "-c", str(config), "-p", str(folder)])


def which(command: str) -> str:
    found = shutil.which(command, path=os.environ["PATH"] + ":/usr/sbin")
    if not found:
        raise SystemExit(f"{command} is missing: apt-get install nginx-light haproxy nghttp2-client")
    return found


def version_of(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
    return found[0] if found else "?"


def everyhop(folder: Path, back: int, *, log: bool = False) -> Subject:
    port = free_port()
    config = folder / "everyhop.toml"
    config.write_text(
        f'version = 1\n[engine]\nthreads = 1\n[log]\naccess = "off"\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:{port}"]\n'
        f'[[site]]\nname = "s"\nhosts = ["{NAME}"]\ncerts = [{{ chain = "edge.pem", key = "file:edge.key" }}]\n'
        f'[[route]]\nname = "r"\nhost = "{NAME}"\ntls = "plaintext"\nto = ["127.0.0.1:{back}"]\n'
    )
    compiled = compile_file(config)
    (folder / "plan.json").write_text(compiled.plan_json)
    (folder / "material.json").write_bytes(compiled.material.blob)
    command = [
        str(ROOT / "target/release/everyhop-engine"),
        "--plan",
        str(folder / "plan.json"),
        "--material",
        str(folder / "material.json"),
    ]
    return Subject("everyhop", "0.1.0", {"terminate": port}, pinned(SUBJECT_CPU, command))


def nginx(folder: Path, back: int) -> Subject:
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/n.pid; error_log /dev/null;\n"
        "events { worker_connections 16384; }\n"
        f"http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/nb; proxy_temp_path {folder}/np;\n"
        f"fastcgi_temp_path {folder}/nf; uwsgi_temp_path {folder}/nu; scgi_temp_path {folder}/ns;\n"
        f"ssl_certificate {folder}/edge.pem; ssl_certificate_key {folder}/edge.key; ssl_protocols TLSv1.3; ssl_ecdh_curve X25519;\n"
        "ssl_session_tickets off; ssl_session_cache off; proxy_http_version 1.1; proxy_set_header Connection '';\n"
        "proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto https;\n"
        f"upstream back {{ server 127.0.0.1:{back}; keepalive 256; keepalive_requests 100000000; }}\n"
        f"server {{ listen 127.0.0.1:{port} ssl http2 backlog=4096; location / {{ proxy_pass http://back; }} }} }}\n"
    )
    return Subject(
        "nginx",
        version_of(which("nginx"), "-v"),
        {"terminate": port},
        pinned(SUBJECT_CPU, [which("nginx"), "-c", str(config), "-p", str(folder)]),
    )


def haproxy(folder: Path, back: int) -> Subject:
    port = free_port()
    (folder / "both.pem").write_bytes((folder / "edge.pem").read_bytes() + (folder / "edge.key").read_bytes())
    config = folder / "haproxy.cfg"
    config.write_text(
        "global\n nbthread 1\n maxconn 8000\n ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets\n tune.ssl.cachesize 0\n"
        "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n http-reuse always\n option forwardfor\n"
        f"frontend f\n bind 127.0.0.1:{port} ssl crt {folder}/both.pem alpn h2,http/1.1 curves X25519\n"
        " http-request set-header X-Forwarded-Proto https\n default_backend b\n"
        f"backend b\n server s 127.0.0.1:{back}\n"
    )
    return Subject(
        "haproxy",
        version_of(which("haproxy"), "-v"),
        {"terminate": port},
        pinned(SUBJECT_CPU, [which("haproxy"), "-f", str(config)]),
    )


def context(folder: Path) -> ssl.SSLContext:
    it = ssl.create_default_context(cafile=str(folder / "bench-ca.pem"))
    it.minimum_version = ssl.TLSVersion.TLSv1_3
    return it


def fetch(folder: Path, port: int, path: str = "/") -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port), 10) as raw,
        context(folder).wrap_socket(raw, server_hostname=NAME) as tls,
    ):
        tls.sendall(f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while piece := tls.recv(1 << 20):
            data += piece
    return data.partition(b"\r\n\r\n")[2]


def h2load(port: int, *arguments: str, path: str = "/") -> int:
    command = [
        "taskset",
        "-c",
        LOAD_CPU,
        which("h2load"),
        *arguments,
        "--connect-to",
        f"127.0.0.1:{port}",
        f"https://{NAME}:{port}{path}",
    ]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+) succeeded, (\d+) failed", out)
    if not found or found[2] != "0":
        raise SystemExit(f"the load generator saw failures:\n{out}")
    return int(found[1])


def handshakes(folder: Path, port: int, count: int) -> int:
    """Full handshakes with one request each, one after the other."""
    it = context(folder)
    request = f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode()
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port)) as raw, it.wrap_socket(raw, server_hostname=NAME) as tls:
            tls.sendall(request)
            while tls.recv(4096):
                pass
    return count


def idle_kib(folder: Path, subject: Subject, count: int) -> float:
    """Memory that one TLS connection costs that has served one request and waits."""
    it = context(folder)
    request = f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()
    before = subject.rss_kib()
    held = []
    for _ in range(count):
        tls = it.wrap_socket(socket.create_connection(("127.0.0.1", subject.ports["terminate"])), server_hostname=NAME)
        tls.sendall(request)
        tls.recv(4096)
        held.append(tls)
    after = subject.rss_kib()
    for tls in held:
        tls.close()
    return (after - before) / count


def cells(folder: Path, quick: bool) -> dict[str, tuple[str, Callable[[int], float]]]:
    """Each cell: its unit, and a load that says how many units it completed."""
    n = 4 if quick else 1
    return {
        "HTTP/1.1 keep-alive, 256 bytes": (
            "us/request",
            lambda p: h2load(p, "--h1", "-n", str(40_000 // n), "-c", "32", "-t", "1"),
        ),
        "HTTP/2, 16 x 32 streams, 256 bytes": (
            "us/request",
            lambda p: h2load(p, "-n", str(40_000 // n), "-c", "16", "-m", "32", "-t", "1"),
        ),
        "full handshake with one request": ("us/connection", lambda p: handshakes(folder, p, 1200 // n)),
        "10 MiB bodies": (
            "s/GiB",
            lambda p: h2load(p, "--h1", "-n", str(60 // n), "-c", "4", "-t", "1", path="/big") / 102.4 * 1e6,
        ),
    }


@contextlib.contextmanager
def subjects(folder: Path) -> Iterator[list[Subject]]:
    back = free_port()
    source = origin(folder, back)
    started: list[Subject] = []
    try:
        wait_port(back)
        for make in (everyhop, nginx, haproxy):
            started.append(make(folder, back))
            wait_port(started[-1].ports["terminate"])
        for subject in started:
            port = subject.ports["terminate"]
            if fetch(folder, port) != b"x" * 256 or fetch(folder, port, "/big") != (folder / "www/big").read_bytes():
                raise SystemExit(f"{subject.name} gives wrong answers")
        yield started
    finally:
        for it in (*[s.process for s in started], source):
            it.send_signal(signal.SIGTERM)
        for it in (*[s.process for s in started], source):
            with contextlib.suppress(subprocess.TimeoutExpired):
                it.wait(10)
            it.kill()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a quarter of the load: to see that it works")
    parser.add_argument("--only", default="", help="cells whose name has this")
    given = parser.parse_args()
    os.sched_setaffinity(0, {int(LOAD_CPU)})
    with tempfile.TemporaryDirectory(prefix="eh-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx reads as nobody
        Authority(folder, "Bench CA").leaf("edge", NAME)
        with subjects(folder) as all_:
            # First of all: later, memory that was freed would be used again and cost nothing.
            memory = {s.name: idle_kib(folder, s, 500 if given.quick else 2000) for s in all_} if not given.only else {}
            wanted = {k: v for k, v in cells(folder, given.quick).items() if given.only in k}
            for cell, (_, load) in wanted.items():
                for number in range(given.rounds + 1):
                    for subject in all_:
                        before = subject.cpu_s()
                        done = load(subject.ports["terminate"])
                        used = (subject.cpu_s() - before) * 1e6 / done
                        # The first round warms up.
                        if number:
                            subject.results.setdefault(cell, []).append(used)
    show(all_, wanted, memory)
    return 0


def show(all_: list[Subject], wanted: dict[str, tuple[str, Callable[[int], float]]], memory: dict[str, float]) -> None:
    print("CPU time of the subject on one core, median (min-max) of interleaved rounds; lower is better\n")
    print(f"| cell | {' | '.join(f'{s.name} {s.version}' for s in all_)} | to the best peer |")
    print("|---|" + "---|" * (len(all_) + 1))
    for cell, (unit, _) in wanted.items():
        medians = {s.name: statistics.median(s.results[cell]) for s in all_}
        best = min(v for k, v in medians.items() if k != "everyhop")
        columns = [f"{medians[s.name]:.2f} ({min(s.results[cell]):.2f}-{max(s.results[cell]):.2f})" for s in all_]
        print(f"| {cell}, {unit} | {' | '.join(columns)} | {medians['everyhop'] / best:.2f} |")
    if memory:
        best = min(v for k, v in memory.items() if k != "everyhop")
        print(
            f"| idle TLS connection, KiB | {' | '.join(f'{memory[s.name]:.1f}' for s in all_)} | {memory['everyhop'] / best:.2f} |"
        )


if __name__ == "__main__":
    sys.exit(main())
