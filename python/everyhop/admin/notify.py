"""Telling systemd how it goes (sd_notify(3)); without systemd nothing happens."""

from __future__ import annotations

import contextlib
import os
import socket
import time


def notify(state: str) -> None:
    """`READY=1`, `RELOADING=1`, `STOPPING=1`, `EXTEND_TIMEOUT_USEC=...`, `WATCHDOG=1`. Never raises."""
    to = os.environ.get("NOTIFY_SOCKET")
    if not to:
        return
    if state == "RELOADING=1":
        state += f"\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
    address = "\0" + to[1:] if to.startswith("@") else to
    # What systemd is not told it will notice by itself.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto(state.encode(), address)
