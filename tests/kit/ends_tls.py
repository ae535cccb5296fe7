"""A proxy that ends TLS before a server that knows none: it may be shown a certificate, and takes nobody's but of its authority."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from pathlib import Path

from everyhop.demo.certificates import Leaf
from tests.kit.raw import server_context


class EndsTls:
    """At `port`, before whoever listens at `to`. It can be closed and begun again there."""

    def __init__(self, port: int, to: int, leaf: Leaf, clients: Path) -> None:
        self.port, self.to = port, to
        self.context = server_context(leaf, clients=clients)
        self.context.verify_mode = ssl.CERT_OPTIONAL

    def begin(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                threading.Thread(target=self.carry, args=(sock,), daemon=True).start()

    def carry(self, sock: socket.socket) -> None:
        """In one thread: no two may use a session of TLS at once."""
        with contextlib.suppress(OSError), sock:
            sock.settimeout(30)
            with (
                self.context.wrap_socket(sock, server_side=True) as client,
                socket.create_connection(("127.0.0.1", self.to), 30) as server,
            ):
                while True:
                    ready = [client] if client.pending() else select.select([client, server], [], [])[0]
                    for one, other in ((client, server), (server, client)):
                        if one not in ready:
                            continue
                        data = one.recv(1 << 16)
                        if not data:
                            return
                        other.sendall(data)

    def close(self) -> None:
        """Nobody is taken any more; who was goes with the server."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
