"""Telling systemd how it goes (sd_notify(3)); without systemd nothing happens."""

from __future__ import annotations

import os
import socket
import time


def notify(state: str) -> None:
    """`READY=1`, `RELOADING=1`, `STOPPING=1`, `EXTEND_TIMEOUT_USEC=...`, `WATCHDOG=1`."""
    to = os.environ.get("NOTIFY_SOCKET")
    if not to:
        return
    if state == "RELOADING=1":
        state += f"\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
    address = "\0" + to[1:] if to.startswith("@") else to
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(state.encode(), address)
        except OSError:
            return  # systemd will notice by itself what it is not told
