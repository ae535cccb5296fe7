"""paho-mqtt against mosquitto: MQTT over TLS, which the edge ends and does not read, and over WebSockets, as browsers speak it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.applications import peer
from tests.applications.catalogue import PATTERNS
from tests.applications.lab import SITE, application_leaf, routes
from tests.kit import EdgeKit, Pki
from tests.kit.edge import until
from tests.suites.peers import is_up

WAYS = ("plain", "tls", "mutual")
# A site carries HTTP or something else, never both.
SOCKETS = SITE.replace('"applications"', '"sockets"').replace("*.", "mqtt-ws.")


def configuration(folder: Path, ports: dict[str, int]) -> str:
    out = "allow_anonymous true\nper_listener_settings false\nuser root\n"
    for name, port in ports.items():
        kind, way = name.split("-")
        out += f"listener {port} 127.0.0.1\nprotocol {'websockets' if kind == 'ws' else 'mqtt'}\n"
        if way != "plain":
            out += f"certfile {folder}/chain.pem\nkeyfile {folder}/key.pem\n"
        if way == "mutual":
            out += f"cafile {folder}/clients.pem\nrequire_certificate true\n"
    return out


@pytest.fixture(scope="module")
def front(pki: Pki) -> Iterator[EdgeKit]:
    leaf = application_leaf(pki)
    folder = Path(tempfile.mkdtemp(prefix="eh-mqtt-"))
    for path, name in ((leaf.chain, "chain"), (leaf.key, "key"), (pki.internal.file, "clients")):
        shutil.copy(path, folder / f"{name}.pem")
    ports = {f"{kind}-{way}": free_port() for kind in ("mqtt", "ws") for way in WAYS}
    (folder / "mosquitto.conf").write_text(configuration(folder, ports))
    with (folder / "log").open("wb") as log:
        broker = subprocess.Popen([peer.found("mosquitto"), "-c", folder / "mosquitto.conf"], stdout=log, stderr=log)
    try:
        until(lambda: all(map(is_up, ports.values())), 60, lambda: (folder / "log").read_text())
        mqtt, ws = ({way: ports[f"{kind}-{way}"] for way in WAYS} for kind in ("mqtt", "ws"))
        text = routes("mqtt", mqtt, patterns=PATTERNS, more='protocol = "tcp"\n')
        it = EdgeKit(pki, SITE + SOCKETS + text + routes("mqtt-ws", ws, patterns=PATTERNS), threads=2)
        yield it
        it.close()
    finally:
        broker.terminate()
        broker.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_messages_of_every_quality_arrive_and_who_is_gone_has_its_will_told(
    front: EdgeKit, pki: Pki, pattern: str, transport: str
) -> None:
    name = "mqtt" if transport == "tcp" else "mqtt-ws"
    at = f"{name}.{pattern}.test"
    told = peer.ask(peer.python("mqtt.py", pki.public.file, at, front.port, transport, f"{name}/{pattern}"))
    right = {"large": [True] * 3, "in order": True, "kept": ["for who comes later", True], "will": "gone"}
    assert told == {"3.1.1": right, "5": right}
    line = front.line(lambda line: line["route"] == f"{name}-{pattern}" and line["bytes_in"] > 100_000, 30)
    assert pattern != "mutual" or line["backend_hop"]["identity"] == "demanded"
