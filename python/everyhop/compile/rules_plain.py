"""Rules about listeners that speak plain HTTP: nothing of TLS is asked of them, and it is known where they send clients to."""

from __future__ import annotations

from everyhop.compile.plain import https_port, https_ports
from everyhop.compile.world import Key, World
from everyhop.model import Listener

OF_TLS = {"no_sni": "refuse", "unknown_sni": "refuse", "starttls": None}
"""Settings of a listener that say something of TLS, with their defaults."""


def judge(world: World) -> None:
    for i, listener in enumerate(world.config.listener):
        if listener.speaks == "http":
            idle(world, i, listener)
            if not listener.serve:
                sent(world, i, listener)
        elif listener.https_port is not None:
            world.refuse(
                "listener/nothing-to-do",
                ("listener", i, "https_port"),
                f"listener {listener.name!r} speaks TLS and sends nobody elsewhere",
                "remove https_port",
                'or take plain HTTP here: speaks = "http"',
                of_key=True,
            )


def idle(world: World, i: int, listener: Listener) -> None:
    for field, default in OF_TLS.items():
        if getattr(listener, field) != default:
            world.refuse(
                "listener/nothing-to-do",
                ("listener", i, field),
                f"listener {listener.name!r} speaks plain HTTP, and {field} is about TLS",
                f"remove {field}",
                'or speak TLS here: speaks = "tls"',
                of_key=True,
            )


def sent(world: World, i: int, listener: Listener) -> None:
    if https_port(world.config, listener) is not None:
        return
    ports = https_ports(world.config)
    # Of several the first is as good a guess as any, and a person has to make it.
    port = 443 if 443 in ports or not ports else ports[0]
    key: Key = ("listener", i, "speaks")
    known = f"it could be {' or '.join(map(str, ports))}" if ports else "no listener speaks TLS"
    world.refuse(
        "listener/https-port",
        key,
        f"listener {listener.name!r} sends clients to https, and to which port is not known: {known}",
        f"https_port = {port}",
    )
