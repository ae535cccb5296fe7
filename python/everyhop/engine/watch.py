"""What may change under a running configuration: certificate files, and the addresses behind backends' names."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

Mark = tuple[int, int, int, int]


class Watcher:
    """Tells whether files changed, by asking for their marks. Follows symlinks, so a swapped one counts as a change."""

    def __init__(self, paths: list[Path]) -> None:
        self.marks: dict[Path, Mark | None] = {path: self.mark(path) for path in paths}

    @staticmethod
    def mark(path: Path) -> Mark | None:
        try:
            it = path.stat()
        except OSError:
            return None
        return it.st_dev, it.st_ino, it.st_mtime_ns, it.st_size

    def forget(self) -> None:
        """All of them count as changed at the next look."""
        self.marks = dict.fromkeys(self.marks)

    def changed(self) -> bool:
        """True once for each change."""
        now = {path: self.mark(path) for path in self.marks}
        if now == self.marks:
            return False
        self.marks = now
        return True


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
                except OSError:
                    continue
                ips = sorted({str(info[4][0]) for info in infos})
                with self.lock:
                    if self.found.get(name) != ips:
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
