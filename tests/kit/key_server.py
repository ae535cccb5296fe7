"""A server of issuers' public keys as identity providers have one, by HTTPS or in the clear, that can be told to misbehave."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

from everyhop.demo.certificates import Leaf
from tests.kit.raw import Raw, Record, head
from tests.kit.tokens import ISSUER, Issuer

MISBEHAVIOURS = {
    "garbage": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\x00\xff\xfe{{{]]]",
    "html": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>",
    "no HTTP": b"220 mail.example.com ESMTP\r\n",
    "empty set": b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"keys":[]}',
    "an object": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "failing": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "gone": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "elsewhere": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
    "too long": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b" " * 300_000,
    "cut short": b'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"keys":',
    "closed": b"",
    "secret": b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"keys":[{"kty":"oct","k":"AAAA"}]}',
    "weak": b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"keys":[{"kty":"RSA","e":"AQAB","n":"'
    + b"w" * 171
    + b'"}]}',
    "said twice": b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"keys":[],"keys":[]}',
}
"""What it may answer in the place of keys, each of which is none."""


class KeyServer:
    """Publishes the keys of `issuers`. `wrong` is what it does instead: one of `MISBEHAVIOURS`, or `endless`, or `silent`."""

    def __init__(self, *issuers: Issuer, leaf: Leaf | None = None, clients: Path | None = None) -> None:
        self.lock = threading.Lock()
        self.issuers, self.wrong, self.fields = list(issuers), "", "Cache-Control: max-age=600\r\n"
        self.asked = 0
        self.over = threading.Event()
        self.raw = Raw(self.script, leaf, clients=clients)
        self.scheme = "https" if leaf else "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.raw.port}/realms/corp/keys?all=1"

    def publish(self, *issuers: Issuer) -> None:
        """What is asked for from now on."""
        with self.lock:
            self.issuers = list(issuers)

    def script(self, sock: socket.socket, record: Record) -> None:
        head(sock, record)
        with self.lock:
            self.asked += 1
            wrong, keys = self.wrong, [it.jwk() for it in self.issuers]
        if wrong == "silent":
            self.over.wait(60)
        elif wrong == "endless":
            sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while not self.over.wait(0.05):
                sock.sendall(b"1\r\n \r\n")
        elif wrong:
            sock.sendall(MISBEHAVIOURS[wrong])
        else:
            body = json.dumps({"keys": keys}).encode()
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + self.fields.encode())
            sock.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    def close(self) -> None:
        self.over.set()
        self.raw.close()


def fetched(url: str, more: str = "", *, name: str = "corp", issuer: str = ISSUER, verify: str = "") -> str:
    """An `[[issuer]]` whose keys come from there."""
    if not verify and url.startswith("https:"):
        verify = 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }'
    hop = "".join(f", {it}" for it in (verify, more) if it)
    return (
        f'[[issuer]]\nname = "{name}"\nissuer = "{issuer}"\naudience = "api"\nalgorithms = ["ES256", "RS256", "EdDSA"]\n'
        f'keys = {{ from = "{url}"{hop} }}\n'
    )
