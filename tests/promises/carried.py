"""Promises about what is carried: a flapping backend costs nobody a request, and bytes are bytes (10, 15)."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from typing import Any

from tests.kit import Pki
from tests.promises.backend import PIECE, Counting
from tests.promises.clients import connect, ending, get, h2
from tests.promises.outcome import Outcome, Scale
from tests.promises.yard import HOSTS, Yard, yard
from tests.threats.frames import END_HEADERS, END_STREAM, HEADERS, fields, frame

THREE = """
[[route]]
name = "three"
host = "a.test"
path = "/three"
tls = "plaintext"
to = [{to}]
"""
# It is never left alone for long: what is tried is the retry, not the avoidance.
LIMITS = "[limits]\neject_after = 1000\neject_s = 1\n"


def one_of_three_flaps(pki: Pki, scale: Scale) -> Outcome:
    """Every 100 ms it is gone or back, with all its connections reset in the middle of whatever they did."""
    out = Outcome(10, "1 of 3 backends flapping")
    three = [Counting(name=f"-{n}") for n in range(3)]
    # Answers take long enough that most of its ends are in the middle of some.
    three[0].delay_s = 0.2
    to = ", ".join(f'"127.0.0.1:{b.port}"' for b in three)
    try:
        with yard(pki, extra=THREE.format(to=to), more=LIMITS) as it:
            asking = Asking(it)
            flaps = 0
            with asking:
                end = time.monotonic() + scale.seconds
                while time.monotonic() < end or asking.asked["GET"] < 200:
                    three[0].fall()
                    threading.Event().wait(0.1)
                    three[0].rise()
                    threading.Event().wait(0.1)
                    flaps += 1
    finally:
        for backend in three:
            backend.close()
    seen: Counter[str] = sum((b.requests for b in three), Counter())
    twice = [i for i, n in seen.items() if i.startswith("POST") and n > 1]
    fine = 100 * asking.fine["GET"] / asking.asked["GET"]
    failed = asking.asked["GET"] - asking.fine["GET"]
    at_most = asking.asked["GET"] // 10_000
    figure = f"{fine:.3f} % of {asking.asked['GET']} over {flaps} flaps {dict(asking.otherwise['GET']) or ''}"
    out.must("GETs that succeed", figure, "99.99 %", failed <= at_most)
    figure = f"{len(twice)} of {asking.asked['POST']}, {asking.fine['POST']} answered {dict(asking.otherwise['POST'])}"
    out.must("POSTs that were sent twice", figure, "0", not twice)
    missing = [i for i in asking.answered if not seen[i]]
    out.must("answers that no backend gave", len(missing), "0", not missing)
    share = [b.total for b in three]
    out.must("requests by backend, the flapping one first", share, "all serve", min(share) > 0)
    return out


class Asking:
    """Threads that ask over HTTP/1.1 and HTTP/2, GETs and POSTs, each with an id of its own."""

    def __init__(self, it: Yard) -> None:
        self.it = it
        self.asked: Counter[str] = Counter()
        self.fine: Counter[str] = Counter()
        self.otherwise: dict[str, Counter[str]] = {"GET": Counter(), "POST": Counter()}
        self.answered: list[str] = []
        self.stop = threading.Event()
        self.lock = threading.Lock()
        kinds: list[tuple[Any, str]] = [(self.h1, "GET"), (self.h1, "GET"), (self.h1, "POST"), (self.h2, "GET")]
        self.threads = [threading.Thread(target=f, args=(m, n), daemon=True) for n, (f, m) in enumerate(kinds)]

    def __enter__(self) -> Asking:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(30)

    def count(self, method: str, id_: str, outcome: str) -> None:
        with self.lock:
            self.asked[method] += 1
            if outcome == "200":
                self.fine[method] += 1
                self.answered.append(id_)
            else:
                self.otherwise[method][outcome] += 1

    @ending()
    def h1(self, method: str, thread: int) -> None:
        sock, n = None, 0
        while not self.stop.is_set():
            id_, n = f"{method}-{thread}-{n}", n + 1
            try:
                sock = sock or connect(self.it)
                outcome = str(get(sock, "a.test", path="/three", method=method, id_=id_)[0])
            except (OSError, ValueError) as e:
                outcome = type(e).__name__
                if sock is not None:
                    sock.close()
                sock = None
            self.count(method, id_, outcome)
            self.stop.wait(0.001)

    @ending()
    def h2(self, method: str, thread: int) -> None:
        client, stream, n = h2(self.it), 1, 0
        while not self.stop.is_set():
            id_, n = f"{method}-{thread}-{n}", n + 1
            block = fields("a.test", (b"x-id", id_.encode()), method=method.encode(), path=b"/three")
            client.send(frame(HEADERS, block, flags=END_HEADERS | END_STREAM, stream=stream))
            outcome = client.whole(stream)
            stream += 2
            self.count(method, id_, outcome)
            if client.closed:
                client.sock.close()
                client, stream = h2(self.it), 1
            self.stop.wait(0.001)


def bytes_are_bytes(pki: Pki, scale: Scale) -> Outcome:
    """The same amount up and down in each pattern; hashes by client and backend."""
    out = Outcome(15, "bytes are bytes")
    with yard(pki) as it:
        for pattern in HOSTS:
            pieces, began, count = 0, time.monotonic(), 0
            size = 2 << 20 if not scale.whole else 64 << 20
            same = True
            while time.monotonic() - began < scale.seconds / len(HOSTS) or not count:
                same &= there_and_back(it, pattern, size + count, f"{pattern}-{count}")
                count += 1
                pieces += size
            seconds = time.monotonic() - began
            figure = f"{'equal' if same else 'differ'}, {pieces / 1e9:.2f} GB each way in {seconds:.0f} s"
            out.must(f"SHA-256 both ways, {pattern}", figure, "equal", same)
    out.notes.append("the figure asks for 10 GB in each pattern: some MINUTES=60")
    return out


def there_and_back(it: Yard, pattern: str, size: int, id_: str) -> bool:
    backend, host = it.backends[pattern], HOSTS[pattern]
    head = f"POST /bytes HTTP/1.1\r\nHost: {host}\r\nX-Id: {id_}\r\nContent-Length: {size}\r\nX-Give: {size}\r\n\r\n"
    sent, got = hashlib.sha256(), hashlib.sha256()
    with connect(it, pattern) as sock:
        sock.settimeout(120)
        sock.sendall(head.encode())
        for at in range(0, size, len(PIECE)):
            piece = memoryview(PIECE)[: min(len(PIECE), size - at)]
            sent.update(piece)
            sock.sendall(piece)
        room, first = bytearray(1 << 18), b""
        while b"\r\n\r\n" not in first:
            first += sock.recv(65536)
        answer_head, _, body = first.partition(b"\r\n\r\n")
        if not answer_head.startswith(b"HTTP/1.1 200"):
            return False
        got.update(body)
        left = size - len(body)
        while left > 0 and (n := sock.recv_into(room, min(left, len(room)))):
            got.update(memoryview(room)[:n])
            left -= n
    return left == 0 and sent.hexdigest() == backend.took.get(id_) and got.hexdigest() == backend.gave.get(id_)
