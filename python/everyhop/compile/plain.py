"""Listeners that speak plain HTTP: where they send clients to. Read next: `rules_plain.py`."""

from __future__ import annotations

from everyhop.compile import names
from everyhop.model import Config, Listener


def https_ports(config: Config) -> list[int]:
    """The ports at which clients can speak HTTPS, as far as the file says: a listener with `starttls` is for others."""
    bound = [names.bind(b) for it in config.listener if it.speaks == "tls" and it.starttls is None for b in it.bind]
    return sorted({int(at.rpartition(":")[2]) for at in bound if at is not None})


def https_port(config: Config, it: Listener) -> int | None:
    """Where it sends clients to: the port that it names, else the only one that there is."""
    if it.https_port is not None:
        return it.https_port
    ports = https_ports(config)
    return ports[0] if len(ports) == 1 else None
