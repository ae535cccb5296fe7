"""What the acts share: a client of the edge, and how what was seen is said. Read next: `acts.py`."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from typing import Any

from everyhop.admin import Client
from everyhop.demo.stage import DOMAIN, Stage
from everyhop.errors import EveryhopError, Surroundings
from everyhop.screen import line

COOKIE = "session=canary-7f3a"


def title(text: str) -> None:
    line()
    line(text)
    line("-" * len(text))


def context(stage: Stage, *, with_certificate: bool = False) -> ssl.SSLContext:
    it = ssl.create_default_context(cafile=str(stage.certificates / "public-ca.pem"))
    if with_certificate:
        it.load_cert_chain(stage.certificates / "client.pem", stage.certificates / "client.key")
    return it


def issued_to(stage: Stage, name: str) -> tuple[str, str]:
    """Whose certificate a client sees under `name`: the leaf's first name and a word for who holds its key."""
    with (
        socket.create_connection(("127.0.0.1", stage.port), 10) as raw,
        context(stage).wrap_socket(raw, server_hostname=name) as tls,
    ):
        shown = tls.getpeercert(binary_form=True)
    ours = ssl.PEM_cert_to_DER_cert((stage.certificates / "edge.pem").read_text())
    return ("the edge's", "edge") if shown == ours else ("the backend's own", "backend")


def fetch(stage: Stage, route: str) -> tuple[int, str]:
    """One request through the edge, by curl where there is one."""
    name = f"{route}.{DOMAIN}"
    if shutil.which("curl"):
        command = [
            "curl",
            "-sS",
            "--max-time",
            "20",
            "--cacert",
            str(stage.certificates / "public-ca.pem"),
            "--http1.1",
            "-w",
            "\n%{http_code}",
        ]
        command += [
            "--resolve",
            f"{name}:{stage.port}:127.0.0.1",
            "-H",
            f"Cookie: {COOKIE}",
            f"https://{name}:{stage.port}/hello",
        ]
        if route == "pay":
            command += [
                "--cert",
                str(stage.certificates / "client.pem"),
                "--key",
                str(stage.certificates / "client.key"),
            ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Surroundings(f"curl failed on route {route!r}: {done.stderr.strip()}")
        text, _, code = done.stdout.rpartition("\n")
        return int(code), text
    with (
        socket.create_connection(("127.0.0.1", stage.port), 10) as raw,
        context(stage, with_certificate=route == "pay").wrap_socket(raw, server_hostname=name) as tls,
    ):
        tls.sendall(f"GET /hello HTTP/1.1\r\nHost: {name}\r\nCookie: {COOKIE}\r\nConnection: close\r\n\r\n".encode())
        data = b"".join(iter(lambda: tls.recv(65536), b""))
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


def hop(it: dict[str, Any]) -> str:
    group = it["group"] or "group not visible"
    return f"TLS {it['version']}  {it['suite']}  {group}"


def tapped(data: bytes) -> str:
    at = data.find(COOKIE.encode())
    if at >= 0:
        return f"{len(data)} bytes with the cookie in the clear: {data[max(0, at - 8) : at + len(COOKIE)].decode(errors='replace')!r}"
    return f"{len(data)} bytes of noise: {data[-12:].hex(' ')}"


def reload(stage: Stage) -> None:
    answer = Client(str(stage.config)).ask("reload")
    if not answer.get("reloaded"):
        raise EveryhopError(f"the reload was refused: {answer}")
