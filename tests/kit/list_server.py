"""A server of revocation lists as authorities have one, by HTTPS or in the clear, that can be told to misbehave."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from everyhop.demo.certificates import Leaf
from tests.kit.forge import Signer, crl
from tests.kit.raw import Raw, Record, head

MISBEHAVIOURS = {
    "garbage": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\x00\xff\xfe{{{]]]",
    "html": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>",
    "nothing": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no list": b"HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n-----BEGIN CERTIFICATE-----",
    "no HTTP": b"220 mail.example.com ESMTP\r\n",
    "failing": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "gone": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "not asked": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "elsewhere": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
    "coded": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
    "closed": b"",
}
"""What it may answer in the place of a list, each of which is none."""


class ListServer:
    """Publishes `body`, a list of `by`. `wrong` is what it does instead: one of `MISBEHAVIOURS`, or `endless`, `dripping` (of its head), `cut short`, `unbounded` or `silent`."""

    def __init__(self, folder: Path, by: Signer, leaf: Leaf | None = None) -> None:
        self.folder, self.by = folder, by
        self.body, self.wrong, self.tag = b"", "", ""
        self.questions: list[str] = []
        self.over = threading.Event()
        self.raw = Raw(self.script, leaf)
        self.scheme = "https" if leaf else "http"
        self.publish()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.raw.port}/issuing.crl"

    def list(self, *revoked: x509.Certificate, by: Signer | None = None, **of: object) -> bytes:
        """One in PEM, as `forge.crl` makes it."""
        return crl(self.folder / "next.pem", by or self.by, *revoked, **of).read_bytes()  # type: ignore[arg-type]

    def publish(self, *revoked: x509.Certificate, **of: object) -> bytes:
        """What is given from now on, in DER as authorities give it."""
        pem = self.list(*revoked, **of)  # type: ignore[arg-type]
        self.body = x509.load_pem_x509_crl(pem).public_bytes(Encoding.DER)
        return pem

    def script(self, sock: socket.socket, record: Record) -> None:
        asked = (head(sock, record) or b"").decode()
        self.questions.append(asked)
        wrong, body, tag = self.wrong, self.body, self.tag
        if wrong == "silent":
            self.over.wait(60)
        elif wrong == "endless":
            sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while not self.over.wait(0.05):
                sock.sendall(b"1\r\n \r\n")
        elif wrong == "dripping":
            sock.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not self.over.wait(0.05):
                sock.sendall(b"x")
        elif wrong == "cut short":
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body[:-9]))
        elif wrong == "unbounded":
            sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
        elif wrong:
            sock.sendall(MISBEHAVIOURS[wrong])
        elif tag and f"If-None-Match: {tag}\r\n" in asked:
            sock.sendall(b"HTTP/1.1 304 Not Modified\r\n\r\n")
        else:
            known = f"ETag: {tag}\r\n" if tag else ""
            sock.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: application/pkix-crl\r\n{known}".encode())
            sock.sendall(b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))

    def close(self) -> None:
        self.over.set()
        self.raw.close()
