"""What clients that stop reading cost those that do not: the p99 of small requests with 64 of them, by that without.

    python -m bench.stalled_readers [READERS] [--write]

Each reader asks for 10 MiB and reads nothing of it, half of them by HTTP/1.1, half by HTTP/2. Behind the edge it is HTTP/2,
where all share one connection, and HTTP/1.1. Rounds with and without them take turns, and so do the subjects. `--write` puts
the figures into `bench/results.json` and renders the page.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.cells import Cannot, common, run
from bench.stage import put, stage, stop
from bench.subjects import (
    LOAD_CPU,
    SUBJECT_CPU,
    Origin,
    Subject,
    begun_with,
    load,
    nginx_frame,
    pinned,
    released,
    version_of,
    wait_port,
    which,
)
from everyhop.demo.stage import free_port
from tests.threats.frames import END_HEADERS, END_STREAM, HEADERS, Client, fields, frame

RATE, SECONDS, ROUNDS = 500, 3, 7
WAITS_S = 10.0
HOPS = {"h1": "HTTP/1.1", "h2": "HTTP/2"}


@contextlib.contextmanager
def speaking_h2(folder: Path) -> Iterator[int]:
    """An origin of HTTP/2 in the clear, with the same pages."""
    port, www = free_port(), folder / "www"
    text = (
        f"daemon off; worker_processes 1; pid {folder}/h2.pid; error_log /dev/null;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ {nginx_frame(folder, 'h2')} server {{ listen 127.0.0.1:{port} http2; http2_max_concurrent_streams 1024;\n"
        f"root {www}; location = / {{ return 200 '{'x' * 256}'; }} }} }}\n"
    )
    (folder / "h2.conf").write_text(text)
    process = pinned(LOAD_CPU, [which("nginx") or "nginx", "-c", str(folder / "h2.conf"), "-p", str(folder)])
    try:
        wait_port(port)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def everyhop(folder: Path, back: Origin, h2: int) -> Subject:
    port = free_port()
    text = (
        f'version = 1\n[engine]\nthreads = 1\n[log]\naccess = "off"\n[limits]\nbody_progress_s = 600\n'
        f'[[listener]]\nname = "l"\nbind = ["127.0.0.1:{port}"]\n'
        '[[site]]\nname = "s"\nhosts = ["a.test", "m.test"]\ncerts = [{ chain = "edge.pem", key = "file:edge.key" }]\n'
        f'[[route]]\nname = "h1"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{back.http}"]\n'
        f'[[route]]\nname = "h2"\nhost = "m.test"\ntls = "plaintext"\nto = ["127.0.0.1:{h2}"]\nupstream_protocol = "h2"\n'
    )
    return released(folder, "everyhop", text, dict.fromkeys(HOPS, port))


def nginx(folder: Path, back: Origin, _: int) -> Subject | None:
    """It speaks HTTP/1.1 to backends alone."""
    program, port = which("nginx"), free_port()
    if not program:
        return None
    text = (
        f"daemon off; worker_processes 1; pid {folder}/sn.pid; error_log /dev/null;\n"
        f"events {{ worker_connections 4096; }}\nhttp {{ {nginx_frame(folder, 'sn')} proxy_http_version 1.1;\n"
        f"upstream plain {{ server 127.0.0.1:{back.http}; keepalive 1024; }}\n"
        f"server {{ listen 127.0.0.1:{port} ssl http2; client_max_body_size 0; proxy_request_buffering off; ssl_protocols TLSv1.3; send_timeout 600; proxy_read_timeout 600;\n"
        f"ssl_certificate {folder}/edge.pem; ssl_certificate_key {folder}/edge.key;\n"
        "location / { proxy_set_header Connection ''; proxy_pass http://plain; } } }\n"
    )
    (folder / "sn.conf").write_text(text)
    process = pinned(SUBJECT_CPU, [program, "-c", str(folder / "sn.conf"), "-p", str(folder)])
    return Subject("nginx", version_of(program, "-v"), {"h1": port}, process, text)


def haproxy(folder: Path, back: Origin, h2: int) -> Subject | None:
    program, ports = which("haproxy"), {hop: free_port() for hop in HOPS}
    if not program:
        return None
    both = (folder / "edge.pem").read_bytes() + (folder / "edge.key").read_bytes()
    (folder / "stalled-both.pem").write_bytes(both)
    front = f"ssl crt {folder}/stalled-both.pem alpn h2,http/1.1"
    text = (
        "global\n nbthread 1\n maxconn 4000\ndefaults\n mode http\n timeout connect 5s\n timeout client 600s\n"
        " timeout server 600s\n http-reuse always\n"
        f"frontend h1\n bind 127.0.0.1:{ports['h1']} {front}\n default_backend h1\n"
        f"frontend h2\n bind 127.0.0.1:{ports['h2']} {front}\n default_backend h2\n"
        f"backend h1\n server s 127.0.0.1:{back.http}\nbackend h2\n server s 127.0.0.1:{h2} proto h2\n"
    )
    (folder / "stalled.cfg").write_text(text)
    process = pinned(SUBJECT_CPU, [program, "-f", str(folder / "stalled.cfg")])
    return Subject("haproxy", version_of(program, "-v"), ports, process, text)


@contextlib.contextmanager
def stalled(folder: Path, port: int, name: str, readers: int) -> Iterator[None]:
    """So many clients in the middle of a download; the answer's head came to each, so that none waits for a turn."""
    with contextlib.ExitStack() as stack:
        for i in range(readers):
            context = ssl.create_default_context(cafile=str(folder / "bench-ca.pem"))
            context.set_alpn_protocols(["http/1.1" if i % 2 else "h2"])
            raw = socket.create_connection(("127.0.0.1", port), WAITS_S)
            sock = stack.enter_context(context.wrap_socket(raw, server_hostname=name))
            if i % 2:
                sock.sendall(f"GET /big HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
                began = answered(sock)
            else:
                client = Client(sock)
                client.send(frame(HEADERS, fields(name, path=b"/big"), flags=END_HEADERS | END_STREAM, stream=1))
                began = any(kind == HEADERS for kind, *_ in client.read())
            if not began:
                raise Cannot(f"reader {i + 1} got no answer while {i} read nothing")
        yield


def answered(sock: ssl.SSLSocket) -> bool:
    try:
        return b" 200 " in sock.recv(64)
    except TimeoutError:
        return False


def percentile(folder: Path, subject: Subject, hop: str) -> int:
    """The p99, in microseconds, of others' small requests that are due at a fixed rate."""
    where = Subject(subject.name, "", {"plaintext": subject.ports[hop]}, subject.process)
    words = [*common(folder, where, "plaintext"), f"rate={RATE}", f"seconds={SECONDS}", "threads=16"]
    words = [f"name={NAME[hop]}" if w.startswith("name=") else w for w in words]
    return int(run(*load("rate", *words)).split()[3])


NAME = {"h1": "a.test", "h2": "m.test"}
MAKERS: tuple[Callable[[Path, Origin, int], Subject | None], ...] = (everyhop, nginx, haproxy)


def measure(folder: Path, back: Origin, readers: int, rounds: int = ROUNDS) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    with speaking_h2(folder) as h2:
        subjects = [s for s in (make(folder, back, h2) for make in MAKERS) if s is not None]
        try:
            for subject in subjects:
                for port in subject.ports.values():
                    wait_port(port)
            for hop, title in HOPS.items():
                able = [s for s in subjects if hop in s.ports]
                found: dict[str, dict[str, list[int]]] = {s.name: {"without": [], "with": []} for s in able}
                for number in range(rounds):
                    for subject in [s for s in begun_with(able, number) if s.name in found]:
                        without = percentile(folder, subject, hop)
                        try:
                            with stalled(folder, subject.ports[hop], NAME[hop], readers):
                                found[subject.name]["with"].append(percentile(folder, subject, hop))
                        except Cannot as e:
                            rows.append({"hop": title, "subject": subject.name, "readers": readers, "cannot": str(e)})
                            print(f"{title:9} behind {subject.name:9} {e}", flush=True)
                            del found[subject.name]
                            continue
                        found[subject.name]["without"].append(without)
                for name, it in found.items():
                    apart = [a / b for a, b in zip(it["with"], it["without"], strict=True)]
                    said = {k: statistics.median(v) for k, v in it.items()}
                    rows.append({"hop": title, "subject": name, "readers": readers, **it})
                    print(
                        f"{title:9} behind {name:9} p99 without {said['without']:6.0f} us, with {readers} stalled readers "
                        f"{said['with']:6.0f} us: {statistics.median(apart):.2f} times "
                        f"({min(apart):.2f}-{max(apart):.2f})",
                        flush=True,
                    )
        finally:
            for subject in subjects:
                stop(subject)
    return rows


def main(readers: int, write: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="eh-stalled-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx reads as nobody
        with stage(folder) as back:
            rows = measure(folder, back, readers)
    if write:
        put("stalled", rows)


if __name__ == "__main__":
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
    main(numbers[0] if numbers else 64, "--write" in sys.argv)
