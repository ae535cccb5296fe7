"""curl as a client of the promises: a process for each job, with the same result as the others give. Read next: `lab.py`."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.applications.peer import found

PIECE = b"0123456789abcdef"


def content(size: int) -> bytes:
    return (PIECE * (size // 16 + 1))[:size]


def command(client: str, ca: Path, *urls: str) -> list[str]:
    """As far as all jobs have it in common."""
    version = {"curl-h1": "--http1.1", "curl-h2": "--http2"}[client]
    out = [found("curl"), "-sS", "--max-time", "60", "--path-as-is", "--noproxy", "*", version, "--cacert", str(ca)]
    for url in urls:
        at = urlsplit(url)
        out += ["--resolve", f"{at.hostname}:{at.port}:127.0.0.1"]
    return out


def ask(client: str, ca: Path, url: str, **job: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        head, body, sent = (Path(folder) / name for name in ("head", "body", "sent"))
        line = [
            *command(client, ca, url),
            "-D",
            str(head),
            "-o",
            str(body),
            "-w",
            "%{http_version}",
            "-H",
            "TE: trailers",
        ]
        method = job.get("method", "GET")
        line += ["-I"] if method == "HEAD" else ["-X", method]
        for name, value in job.get("fields", {}).items():
            line += ["-H", f"{name}: {value}"]
        if job.get("expect"):
            line += ["-H", "Expect: 100-continue", "--expect100-timeout", "30"]
        if (size := job.get("size")) is not None:
            sent.write_bytes(content(size))
            # From a pipe, of which it knows no length.
            line += ["-T", "-"] if job.get("chunked") else ["--data-binary", f"@{sent}"]
        piped = sent.open("rb") if job.get("chunked") else None
        done = subprocess.run([*line, url], stdin=piped, capture_output=True, timeout=90, check=False)
        if piped:
            piped.close()
        assert done.returncode == 0, f"{client} {url}: {done.stderr.decode()}"
        whole = body.read_bytes() if body.exists() and method != "HEAD" else b""
        return parsed(head.read_bytes().decode("latin-1"), whole) | {"protocol": done.stdout.decode()}


def parsed(told: str, body: bytes) -> dict[str, Any]:
    """Heads, the last of them the answer's, and what comes behind that are trailers."""
    blocks = told.rstrip("\r\n").split("\r\n\r\n")
    heads = [block for block in blocks if block.startswith("HTTP/")]
    rest = blocks[blocks.index(heads[-1]) + 1 :]
    status, *lines = heads[-1].split("\r\n")
    found: dict[str, Any] = {"status": int(status.split()[1]), "fields": fields(lines)}
    found |= {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    found |= {
        "body": body.decode("latin-1") if len(body) <= 8000 else "",
        "trailers": fields("\r\n".join(rest).split("\r\n")),
    }
    return found | {"continued": any(head.split()[1] == "100" for head in heads)}


def fields(lines: list[str]) -> dict[str, str]:
    split = (line.partition(": ") for line in lines if line)
    return {name.lower(): value for name, _, value in split}


def events(client: str, ca: Path, url: str, release: str) -> dict[str, Any]:
    with subprocess.Popen([*command(client, ca, url), "-N", url], stdout=subprocess.PIPE) as it:
        assert it.stdout
        first = it.stdout.read(len(b"data: one\n\n"))
        ask(client, ca, release)
        rest = it.stdout.read()
        assert it.wait(60) == 0
    return {"first": first.decode(), "rest": rest.decode()}


def connects(client: str, ca: Path, *urls: str) -> int:
    """How many connections it opens for these, one after the other."""
    line = [*command(client, ca, urls[0]), "-w", "%{stderr}%{num_connects}\n", *urls]
    done = subprocess.run(line, capture_output=True, text=True, timeout=90, check=True)
    return sum(map(int, done.stderr.split()))
