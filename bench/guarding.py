"""The features that `guard.py` holds, each at a port of its own of one engine: what edits a request and its answer, what limits it, what
looks at its token. That each does so is seen before it is counted. Read next: `guard.py`.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

from bench import steps
from bench.features import ask
from bench.subjects import Origin, Subject, released
from everyhop.demo.stage import free_port
from tests.kit.tokens import ISSUER, Issuer

issuer = Issuer("ES256", name=ISSUER)
DAY_S = 86_400
TOKEN = issuer.token(iat=int(time.time()), exp=int(time.time()) + DAY_S)
"""Of one length always, but for its signature's bytes: two signed numbers are 86 letters."""

USES = {
    "edits": 'request = { set = { x-edge = "one" }, remove = ["x-debug"] }\nresponse = { set = { x-frame-options = "DENY" } }\n',
    "limit": 'limited_by = ["many"]\n',
    "few": 'limited_by = ["few"]\n',
    "token": 'jwt = { issuer = "corp" }\n',
}


def everyhop(folder: Path, back: Origin) -> Subject:
    ports = {name: free_port() for name in USES}
    (folder / "keys.jwks").write_text(json.dumps({"keys": [issuer.jwk()]}))
    text = (
        'version = 1\n[engine]\nthreads = 1\n[log]\naccess = "off"\n'
        + "".join(f'[[listener]]\nname = "{name}"\nbind = ["127.0.0.1:{port}"]\n' for name, port in ports.items())
        + '[[site]]\nname = "s"\nhosts = ["a.test"]\ncerts = [{ chain = "edge.pem", key = "file:edge.key" }]\n'
        '[[limit]]\nname = "many"\nrate = "1000000/s"\nby = ["client-address"]\n'
        '[[limit]]\nname = "few"\nrate = "3/h"\nby = ["client-address"]\n'
        f'[[issuer]]\nname = "corp"\nissuer = "{ISSUER}"\naudience = "api"\nalgorithms = ["ES256"]\n'
        'keys = { file = "keys.jwks" }\n'
        + "".join(
            f'[[route]]\nname = "{name}"\nhost = "a.test"\nlisteners = ["{name}"]\ntls = "plaintext"\n'
            f'to = ["127.0.0.1:{back.http}"]\n{uses}'
            for name, uses in USES.items()
        )
    )
    return released(folder, "features", text, ports)


def prove(folder: Path, subject: Subject) -> None:
    """Ends the run where one does not do what is counted."""
    seen = (
        ask(folder, subject, "edits", "/").fields.get("x-frame-options"),
        [ask(folder, subject, "few", "/").status for _ in range(4)],
        ask(folder, subject, "token", "/").status,
    )
    if seen != ("DENY", [200, 200, 200, 429], 401):
        raise SystemExit(f"the engine does not do what is counted: {seen}")


def http1(name: str, *fields: str) -> steps.Begin:
    """Requests of HTTP/1.1 on one connection, with these fields."""
    asks = "".join(f"{line}\r\n" for line in ("GET / HTTP/1.1", "Host: a.test", *fields, "")).encode()

    @contextlib.contextmanager
    def begin(folder: Path, subject: Subject, sleep: steps.Sleep) -> Iterator[steps.Go]:
        with steps.connect(folder, subject, name, sleep, "http/1.1") as tls:

            def go(count: int) -> None:
                for _ in range(count):
                    one(tls, asks, sleep)

            yield go

    return begin


def one(tls: ssl.SSLSocket, asks: bytes, sleep: steps.Sleep) -> None:
    tls.sendall(asks)
    got = b""
    while not got.endswith(b"x" * steps.BODY):
        if not (more := tls.recv(65536)):
            raise SystemExit(f"no answer: {got!r}")
        got += more
    if not got.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(f"a wrong answer: {got!r}")
    sleep.wait()


PATHS: dict[str, tuple[steps.Begin, int]] = {
    "HTTP/1.1, fields edited": (http1("edits", "x-debug: 1"), 100),
    "HTTP/1.1, limited by address": (http1("limit"), 100),
    "HTTP/1.1, a token seen before": (http1("token", f"authorization: Bearer {TOKEN}"), 100),
}
