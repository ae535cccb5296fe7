"""A file that a URL gives, such as a revocation list: whole, bounded in bytes and in time, and from nowhere else than was asked.

A server that hangs, drips, sends without end or sends elsewhere is one that gives nothing. Neither proxies nor passwords nor roots
that the environment names are used. It judges nothing of what came. Read next: `admin/fetching.py`.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from everyhop.errors import Surroundings

CONNECT_S, SILENT_S = 5.0, 15.0
"""For one connection, and between two bytes."""
LONGEST = 300
"""Letters of what a stranger says, such as where we are sent."""


@dataclass(frozen=True)
class Downloaded:
    """`marks` are what the server knows this state of the file by (RFC 9110 §8.8), for the next time."""

    body: bytes = field(repr=False)
    marks: dict[str, str]


def download(url: str, roots: str, *, marks: dict[str, str], most_bytes: int, within_s: float) -> Downloaded | None:
    """What the URL gives now; `None` where that is what had `marks`. `roots`: the file by which a server is verified.

    Raises `Surroundings`, which says what came instead.
    """
    with asking(within_s) as session:
        headers = {"Accept-Encoding": "identity", **asked(marks)}
        response = session.get(
            url, headers=headers, verify=roots, timeout=(CONNECT_S, SILENT_S), allow_redirects=False, stream=True
        )
        return read(response, most_bytes, known=bool(marks))


@contextlib.contextmanager
def asking(within_s: float) -> Iterator[requests.Session]:
    """All that is asked within it ends by then, and knows nothing of the environment.

    Raises `Surroundings` for whatever stopped it.
    """
    opened = Opened()
    until = time.monotonic() + within_s
    timer = threading.Timer(within_s, opened.end)
    timer.daemon = True
    timer.start()
    try:
        with requests.Session() as session:
            session.trust_env = False
            session.headers["User-Agent"] = f"everyhop/{version('everyhop')}"
            for scheme in ("https://", "http://"):
                session.mount(scheme, Watched(opened))
            yield session
    except Surroundings as e:
        # As below: what is judged may be what was left of it when it was cut off.
        raise Surroundings(late(within_s)) if time.monotonic() >= until else e from None
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as e:
        raise Surroundings(late(within_s) if time.monotonic() >= until else reason(e)) from e
    finally:
        timer.cancel()
        opened.end()
    if time.monotonic() >= until:
        # What was cut off may read like an answer that ends there.
        raise Surroundings(late(within_s))


def late(within_s: float) -> str:
    return f"no answer within {within_s:.0f} s"


def asked(marks: dict[str, str]) -> dict[str, str]:
    """The fields that ask for another state than that one (RFC 9110 §13.1)."""
    names = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
    return {names[name]: value for name, value in marks.items()}


def read(response: requests.Response, most_bytes: int, *, known: bool) -> Downloaded | None:
    """All of the answer, if it is one."""
    status = response.status_code
    if status == 304 and known:
        return None
    if 300 <= status < 400 and "Location" in response.headers:
        where = response.headers["Location"][:LONGEST]
        raise Surroundings(f"it sends us to {where!r} (a redirect): name that URL, if it is the right one")
    if status != 200:
        raise Surroundings(f"it answers with {status}")
    if not is_bounded(response.raw):
        raise Surroundings("it does not say how long its answer is, so none could see that it was cut short")
    body = bytearray()
    for piece in response.raw.stream(1 << 16, decode_content=False):
        body += piece
        if len(body) > most_bytes:
            raise Surroundings(f"it gives more than {most_bytes} bytes")
    if coded := response.headers.get("Content-Encoding"):
        raise Surroundings(f"it gives something in the coding {coded[:LONGEST]!r}, which was not asked for")
    marks = {name: response.headers[name] for name in ("ETag", "Last-Modified") if name in response.headers}
    return Downloaded(bytes(body), marks)


def is_bounded(answer: urllib3.BaseHTTPResponse) -> bool:
    """Whether it says where it ends. One that ends with its connection can be ended on the way, and what is left be taken for whole
    (RFC 9112 §8)."""
    return getattr(answer, "length_remaining", None) is not None or getattr(answer, "chunked", False) is True


class Opened(list[socket.socket]):
    """Handles of connections, by which whatever is under way can be ended, and whatever would begin after that."""

    over = False

    def append(self, it: socket.socket) -> None:
        super().append(it)
        if self.over:
            self.end()

    def end(self) -> None:
        self.over = True
        while self:
            it = self.pop()
            with contextlib.suppress(OSError):
                it.shutdown(socket.SHUT_RDWR)
            it.close()


class Watched(HTTPAdapter):
    """Keeps a second handle of each connection, by which it can be ended while it is waited for."""

    def __init__(self, opened: list[socket.socket]) -> None:
        self.opened = opened
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        opened = self.opened

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                it = super()._new_conn()
                opened.append(it.dup())
                return it

        class Secure(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                it = super()._new_conn()
                opened.append(it.dup())
                return it

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}


def reason(e: BaseException) -> str:
    """Why there was no answer, without the names of Python's classes."""
    seen: list[BaseException] = []
    it: object = e
    while isinstance(it, BaseException) and it not in seen:
        seen.append(it)
        it = getattr(it, "reason", None) or it.__cause__ or it.__context__ or next(iter(it.args), None)
    deepest = seen[-1]
    if isinstance(deepest, OSError) and deepest.strerror:
        return deepest.strerror
    if any(isinstance(one, TimeoutError) or "timed out" in str(one) for one in seen):
        return "no answer in time"
    return str(deepest)
