"""Someone on the network: a TCP relay in a hop that writes down every byte of both directions."""

from __future__ import annotations

import contextlib
import socket
import threading


class Relay:
    """Listens on a free loopback port and forwards to `to`. `sent` is what went to the backend, `returned` what came back."""

    def __init__(self, to: tuple[str, int]) -> None:
        self.to = to
        self.sent, self.returned = bytearray(), bytearray()
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                backend = socket.create_connection(self.to, timeout=10)
            except OSError:
                client.close()
                continue
            backend.settimeout(None)
            for source, target, record in ((client, backend, self.sent), (backend, client, self.returned)):
                threading.Thread(target=self.pump, args=(source, target, record), daemon=True).start()

    @staticmethod
    def pump(source: socket.socket, target: socket.socket, record: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                record += data
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def clear(self) -> None:
        self.sent.clear()
        self.returned.clear()

    def close(self) -> None:
        self.listener.close()
