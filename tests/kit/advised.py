"""An edge that runs what `advise` wrote for one requirement and one pattern, with a backend of that pattern behind a relay
that reads the hop. Only what a machine must choose is changed in its text: files, ports, where the log goes."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from typing import Any

from everyhop.advise import Requirements, Service, advise, configuration
from everyhop.advise.spoken import Protocol
from everyhop.demo.backends import Backend
from everyhop.demo.relay import Relay
from everyhop.demo.stage import free_port
from tests.kit.clients import Answer, exchange, tls
from tests.kit.edge import EdgeKit, Pki
from tests.kit.raw import Raw, Script

ANSWERS: dict[str, dict[str, Any]] = {
    "passthrough": {"role": "transport", "backend_tls": "yes"},
    "mutual": {"role": "control", "backend_tls": "yes", "backend_asks": "yes"},
    "reencrypt": {"role": "control", "backend_tls": "yes", "backend_asks": "no"},
    "plaintext": {"role": "control", "backend_tls": "no", "backend_asks": "no", "same_host": "yes"},
}
"""What must be known of a service so that its pattern is this one."""


class Proxied(Backend):
    """A TLS backend that takes a PROXY v2 header first; `told` are the sources that they named."""

    told: list[tuple[str, int]]

    def serve(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        head = sock.recv(16, socket.MSG_WAITALL)
        assert head.startswith(b"\r\n\r\n\0\r\nQUIT\n\x21\x11"), head
        body = sock.recv(int.from_bytes(head[14:16]), socket.MSG_WAITALL)
        self.told.append((socket.inet_ntoa(body[:4]), int.from_bytes(body[8:10])))
        super().serve(sock, peer)


class Advised(EdgeKit):
    """`name` and `pattern` are the requirement's; `to` are ports of backends."""

    def __init__(self, pki: Pki, name: str, pattern: str, to: Sequence[int]) -> None:
        self.name, self.pattern, self.status_port = name, pattern, free_port()
        self.host = "pass.test" if pattern == "passthrough" else "a.test"
        needs = Requirements(needs=frozenset({name}), several="yes" if len(to) > 1 else "no", **ANSWERS[pattern])
        advice = advise(needs)
        assert advice.pattern == pattern, advice
        # Of a backend that is an address the name is expected that the service has, and `.internal`.
        service = Service("backend", self.host, tuple(f"127.0.0.1:{port}" for port in to), needs)
        self.text = configuration([(service, advice)])
        assert f'requires = ["{name}"]' in self.text
        super().__init__(pki, self.text)

    def write(self, routes: str) -> None:
        text = re.sub(r'bind = \["\[::\]:\d+"\]', f'bind = ["127.0.0.1:{self.port}"]', routes)
        text = text.replace("127.0.0.1:9180", f"127.0.0.1:{self.status_port}")
        text = text.replace("/etc/everyhop/client-ca.", "/etc/everyhop/public-ca.")
        text = re.sub(r"/etc/everyhop/edge[a-z-]*\.", "/etc/everyhop/edge.", text)
        text = text.replace("/etc/everyhop", str(self.pki.folder))
        log = f'access = "{self.log}"'
        text = text.replace("[log]\n", f"[log]\n{log}\n") if "[log]" in text else f"{text}\n[log]\n{log}\n"
        self.config.write_text(f'{text}\n[engine]\nthreads = 1\n[admin]\nsocket = "{self.folder}/admin.sock"\n')

    def again(self, old: str, new: str) -> None:
        """The same with one thing changed."""
        assert old in self.text
        assert self.reload(self.text.replace(old, new))["reloaded"]

    def beside(self, port: int, more: str = "", host: str | None = None) -> None:
        """Adds a route like the advised one, to another backend, for another host or with `more`."""
        block = self.text[self.text.index("[[route]]") :]
        block = re.sub(r"^name = .*$", 'name = "second"', block, flags=re.M)
        block = re.sub(r"^to   = .*$", f'to   = ["127.0.0.1:{port}"]\n{more}', block, flags=re.M)
        text = self.text
        if host is not None:
            block = re.sub(r"^host = .*$", f'host = "{host}"', block, flags=re.M)
            text = text.replace(f'hosts = ["{self.host}"]', f'hosts = ["{self.host}", "{host}"]')
        answer = self.reload(text + "\n" + block)
        assert answer["reloaded"], answer

    def ask(
        self,
        path: str = "/",
        *,
        method: str = "GET",
        more: str = "",
        body: str = "",
        host: str | None = None,
        **tls_: Any,
    ) -> Answer:
        """One request on a connection of its own."""
        name = host or self.host
        length = f"Content-Length: {len(body)}\r\n" if body or method == "POST" else ""
        with tls(self.port, name, self.pki.public.file, **tls_) as sock:
            head = f"{method} {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n{length}{more}\r\n"
            return exchange(sock, head + body, method)


class AdvisedStream(Advised):
    """For a service that speaks `protocol`, with one backend."""

    def __init__(self, pki: Pki, protocol: Protocol, pattern: str, port: int) -> None:
        self.status_port = free_port()
        self.host = "pass.test" if pattern == "passthrough" else "a.test"
        needs = Requirements(protocol=protocol, several="no", **ANSWERS[pattern])
        advice = advise(needs)
        assert advice.pattern == pattern, advice
        self.text = configuration([(Service("backend", self.host, (f"127.0.0.1:{port}",), needs), advice)])
        EdgeKit.__init__(self, pki, self.text)


def backend(pki: Pki, pattern: str, name: str = "first", kind: type[Backend] = Backend) -> Backend:
    """A backend as strict as the pattern lets it be."""
    if pattern == "plaintext":
        return kind(name)
    if pattern == "passthrough":
        made = kind(name, pki.pass_leaf, clients=pki.public.file)
        if isinstance(made, Proxied):
            made.told = []
        return made
    demands = pattern == "mutual"
    return kind(name, pki.backend, clients=pki.internal.file if demands else None, demands=demands)


def scripted(pki: Pki, pattern: str, script: Script) -> Raw:
    leaf = None if pattern == "plaintext" else pki.backend
    return Raw(script, leaf, clients=pki.internal.file if pattern == "mutual" else None)


class Tampering(Relay):
    """A taken edge: from `armed` on it turns a bit in what clients send."""

    armed = False

    def pump(self, source: socket.socket, target: socket.socket, record: bytearray) -> None:  # type: ignore[override]
        try:
            while data := source.recv(65536):
                if self.armed and record is self.sent:
                    data = data[:-1] + bytes([data[-1] ^ 1])
                record += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            target.close()


def metrics(it: Advised) -> str:
    """What /metrics says."""
    with socket.create_connection(("127.0.0.1", it.status_port), 10) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: sock.recv(65536), b"")).decode()
