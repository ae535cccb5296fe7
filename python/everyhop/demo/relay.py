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
            threading.Thread(target=self.relay, args=(client, backend), daemon=True).start()

    def relay(self, client: socket.socket, backend: socket.socket) -> None:
        with client, backend:
            back = threading.Thread(target=self.pump, args=(backend, client, self.returned), daemon=True)
            back.start()
            self.pump(client, backend, self.sent)
            back.join()

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
        with contextlib.suppress(OSError):
            # Closing alone wakes nobody who waits for it, and one more client would be taken.
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
