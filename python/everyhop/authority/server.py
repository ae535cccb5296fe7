"""An authority that is asked over HTTPS: for its roots and lists by anybody, for a certificate by who has a token, for another by who has one.

It holds the issuing key and no root's. Everything that comes is bounded: how many at once, of one address, how long, how large.
A connection brings one request. Read next: `enrolment.py`.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime as dt
import http
import http.server
import ipaddress
import json
import os
import socket
import socketserver
import ssl
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509

from everyhop.authority.acts import LISTS, ROOTS, Authority, Issued, opened
from everyhop.authority.certify import pem
from everyhop.authority.enrolment import Unknown, redeem, renew
from everyhop.authority.folder import content, state
from everyhop.authority.names import Name
from everyhop.authority.request import MOST_BYTES, parsed
from everyhop.errors import EveryhopError, Surroundings

OWN_LASTS = dt.timedelta(days=7)
AT_ONCE, OF_ONE = 64, 16
LOOKS_S, AGAIN_S = 2.0, 60.0
WHOLE_S = 20.0
"""For a handshake, a request and its answer."""
FAILURES, ISSUED, PER_S = 10, 100, 60.0
"""Of one address. What was issued is in the index for ever."""
REMEMBERED = 4096  # addresses that failed; who is not among them starts anew
SAME = "that token or certificate is not good here: it may be used, over, taken back, or none"
Say = Callable[[str], None]


class Failures:
    """How often an address failed of late, or asked."""

    def __init__(self, most: int = FAILURES, clock: Callable[[], float] = time.monotonic) -> None:
        self.most, self.clock, self.lock = most, clock, threading.Lock()
        self.seen: OrderedDict[str, list[float]] = OrderedDict()

    def too_many(self, who: str) -> bool:
        with self.lock:
            late = self.clock() - PER_S
            self.seen[who] = [at for at in self.seen.pop(who, []) if at > late]
            if not self.seen[who]:
                del self.seen[who]
                return False
            return len(self.seen[who]) >= self.most

    def add(self, who: str) -> None:
        with self.lock:
            self.seen[who] = [*self.seen.pop(who, []), self.clock()]
            while len(self.seen) > REMEMBERED:
                self.seen.popitem(last=False)


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves until it is shut down. `names` are its own, which the authority certifies."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, at: Path, address: tuple[str, int], names: list[Name], say: Say) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.at, self.names, self.say = at, names, say
        self.failures, self.issued, self.counting = Failures(), Failures(ISSUED), threading.Lock()
        self.here: Counter[str] = Counter()
        self.making = threading.Lock()
        self.look_at = 0.0
        self.made_of, self.renew_at = "", dt.datetime.min.replace(tzinfo=dt.UTC)
        self.context = self.fresh(opened(at))
        try:
            super().__init__(address, Handler)
        except OSError as e:
            raise Surroundings(f"cannot listen on {address[0]} port {address[1]}: {e.strerror}") from e

    def fresh(self, it: Authority) -> ssl.SSLContext:
        """A context with a certificate of its own that was just issued, and the roots of now."""
        issued = it.issue(self.names, "server", OWN_LASTS)
        assert issued.key_pem is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # The standard library takes a key from a file alone: this one is in memory.
        with os.fdopen(os.memfd_create("own", os.MFD_CLOEXEC), "wb") as file:
            file.write(issued.chain_pem + issued.key_pem)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
        context.load_verify_locations(cadata=pem(*dict.fromkeys(g.root for g in it.generations())).decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        self.made_of = str(state(it.at))
        self.renew_at = it.clock() + (issued.entry.ends - it.clock()) / 2
        return context

    def current(self) -> ssl.SSLContext:
        """The context of the authority as it is now: who has the new roots alone is not shown a certificate of an old one."""
        with self.making:
            try:
                if str(state(self.at)) != self.made_of:
                    self.context = self.fresh(opened(self.at))
            except (EveryhopError, OSError) as e:
                self.say(f"goes on as it was: {e}")
            return self.context

    def service_actions(self) -> None:
        """Every few seconds: its own certificate and the lists are renewed at half their life."""
        if time.monotonic() < self.look_at:
            return
        self.look_at = time.monotonic() + LOOKS_S
        try:
            it = opened(self.at)
            now = it.clock()
            if now >= self.renew_at:
                with self.making:
                    self.context = self.fresh(it)
            lists = it.published()
            ends = [(one.last_update_utc, one.next_update_utc) for one in lists]
            if any(end is not None and now >= begun + (end - begun) / 2 for begun, end in ends[-1:]):
                it.publish_all()
                self.say("the revocation lists were signed anew")
        except (EveryhopError, OSError) as e:
            # Each try at the lists takes a number of the index.
            self.look_at = time.monotonic() + AGAIN_S
            self.say(f"goes on as it was, and tries again in {AGAIN_S:.0f} s: {e}")

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room; who finds none is let go without a word."""
        with self.counting:
            who = client_address[0]
            room = self.here.total() < AT_ONCE and self.here[who] < OF_ONE
            self.here[who] += room
            return bool(room)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        open_now = [request]
        over = threading.Timer(WHOLE_S, cut, [open_now])
        over.daemon = True
        over.start()
        try:
            request.settimeout(WHOLE_S)
            with self.current().wrap_socket(request, server_side=True, do_handshake_on_connect=False) as tls:
                open_now[0] = tls
                tls.do_handshake()
                self.finish_request(tls, client_address)
        except (OSError, ValueError):
            pass  # a stranger's connection: nothing was asked, or nobody waits for the answer
        except Exception as e:
            self.say(f"our fault: {type(e).__name__}: {e}")
        finally:
            over.cancel()
            self.shutdown_request(request)
            with self.counting:
                self.here[client_address[0]] -= 1
                self.here += Counter()  # only those that are here


def cut(open_now: list[socket.socket]) -> None:
    """Whoever waits for it goes on, and fails. Not by the TLS session's own method, which another thread is in."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(open_now[0], socket.SHUT_RDWR)


def whom(address: str) -> str:
    """An address, or the network of one customer (RFC 6177)."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return str(ipaddress.ip_network(f"{ip}/64", strict=False)) if ip.version == 6 else str(ip)


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    server: Server
    server_version, sys_version = "everyhop", ""
    protocol_version = default_request_version = "HTTP/1.0"  # one request a connection

    def do_GET(self) -> None:
        if (file := {"/roots": ROOTS, "/lists": LISTS}.get(self.path)) is None:
            self.tell(404, {"why": "there are /roots and /lists"})
            return
        self.answered(lambda: self.send(200, content(self.server.at / file), "application/x-pem-file"))

    def do_POST(self) -> None:
        # Whatever the answer is: over what was not read, TCP would take it back.
        data = self.body()
        act = {"/enrol": self.enrol, "/renew": self.renew}.get(self.path)
        if act is None:
            self.tell(404, {"why": "there are /enrol and /renew"})
            return
        who = whom(self.client_address[0])
        if self.server.failures.too_many(who) or self.server.issued.too_many(who):
            self.tell(429, {"why": "too many tries of late; wait a minute"})
            return

        def tried() -> None:
            try:
                issued = act(data)
            except EveryhopError as e:
                if not isinstance(e, Surroundings):
                    self.server.failures.add(who)
                raise
            self.server.issued.add(who)
            self.server.say(f"issued {issued.entry.serial} to {who}: {', '.join(issued.entry.names)}")
            roots, lists = (content(self.server.at / file).decode() for file in (ROOTS, LISTS))
            self.tell(200, {"chain": issued.chain_pem.decode(), "roots": roots, "lists": lists})

        self.answered(tried)

    def answered(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Unknown:
            self.server.say(f"refused {whom(self.client_address[0])}: {SAME}")
            self.tell(403, {"why": SAME})
        except Surroundings as e:
            self.server.say(f"cannot: {e}")
            self.tell(503, {"why": "the authority cannot issue now"})
        except EveryhopError as e:
            self.server.say(f"refused {whom(self.client_address[0])}: {e}")
            self.tell(400, {"why": str(e)})

    def enrol(self, data: bytes) -> Issued:
        kind, _, text = self.headers.get("Authorization", "").partition(" ")
        try:
            secret = base64.urlsafe_b64decode(text) if kind == "Bearer" else b""
        except (ValueError, binascii.Error):
            secret = b""
        return redeem(opened(self.server.at), secret, parsed(data, "the request"))

    def renew(self, data: bytes) -> Issued:
        assert isinstance(self.connection, ssl.SSLSocket)
        shown = self.connection.getpeercert(binary_form=True)
        if not shown:
            raise Unknown("no certificate was shown")
        try:
            cert = x509.load_der_x509_certificate(shown)
        except Exception as e:
            raise Unknown("the certificate cannot be read") from e
        return renew(opened(self.server.at), cert, parsed(data, "the request"))

    def body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 9) or int(length) > MOST_BYTES:
            return b""
        return self.rfile.read(int(length))

    def tell(self, code: int, it: dict[str, str]) -> None:
        self.send(code, json.dumps(it).encode(), "application/json")

    def send(self, code: int, data: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library finds wrong, as everything else is told."""
        self.tell(code, {"why": http.HTTPStatus(code).phrase})

    def log_message(self, format: str, *args: object) -> None:
        """Nothing of a stranger's is written but what `say` says."""
