"""The addresses behind backends' names, which change under a running configuration."""

from __future__ import annotations

import socket
import threading


class Resolver:
    """Resolves names on its own thread every `every_s`; the last good answer of each stays."""

    def __init__(self, names: set[str], every_s: float = 30.0) -> None:
        self.names, self.every_s = names, every_s
        self.found: dict[str, list[str]] = {}
        self.lock = threading.Lock()
        self.fresh = threading.Event()
        self.stopped = threading.Event()
        self.first = threading.Event()
        self.thread = threading.Thread(target=self.run, name="resolver", daemon=True)
        self.thread.start()

    def run(self) -> None:
        while True:
            for name in sorted(self.names):
                try:
                    infos = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
                except (OSError, ValueError):
                    continue  # also a name that cannot be asked for, such as one with a label that is too long
                # `fe80::1%eth0` names a link of this machine, too: no address that an engine could be told.
                # In the order of RFC 6724, in which they are tried; a server that only turns its answer round says nothing new.
                ips = list(dict.fromkeys(ip for info in infos if "%" not in (ip := str(info[4][0]))))
                with self.lock:
                    if set(self.found.get(name, ())) != set(ips):
                        self.found[name] = ips
                        self.fresh.set()
            self.first.set()
            if not self.names or self.stopped.wait(self.every_s):
                return

    def answers(self, wait_s: float = 0.0) -> dict[str, list[str]]:
        """What is known; waits for the first round at most `wait_s`."""
        self.first.wait(wait_s)
        with self.lock:
            self.fresh.clear()
            return dict(self.found)

    def stop(self) -> None:
        self.stopped.set()
