"""paho-mqtt as two clients of a broker, in both versions of MQTT, over TLS or over a WebSocket: what came of it is one line.

Run by `test_mqtt.py`.
"""

from __future__ import annotations

import json
import queue
import socket
import sys
import threading
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.properties import Properties

ca, host, port, transport, topic = sys.argv[1:]
system = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: system("127.0.0.1", *rest, **more)
WAITS_S = 60
"""Longer than anything takes on a busy machine."""
# mosquitto's WebSockets take their time, and drop what is not to be confirmed, with the edge and without it.
SLOW = transport == "websockets"
LARGE = bytes(range(256)) * ((1 if SLOW else 32) << 8)
COUNT, QOS = (20, 1) if SLOW else (300, 0)


class One:
    """A client that is connected; what it hears is in `heard`, as topic, bytes, quality and whether it was kept for it."""

    def __init__(self, name: str, version: Any, will: str = "") -> None:
        self.heard: queue.Queue[tuple[str, bytes, int, bool]] = queue.Queue()
        self.connected, self.subscribed = threading.Event(), threading.Event()
        it = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, protocol=version, transport=transport)
        it.tls_set(ca)
        it.on_connect = lambda *_: self.connected.set()
        it.on_subscribe = lambda *_: self.subscribed.set()
        it.on_message = lambda _, __, m: self.heard.put((m.topic, m.payload, m.qos, m.retain))
        if will:
            it.will_set(will, b"gone", qos=1)
        self.it, self.version = it, version
        it.connect(host, int(port), keepalive=30)
        it.loop_start()
        assert self.connected.wait(WAITS_S), f"{name} is not connected"

    def hears(self, topic: str) -> None:
        self.subscribed.clear()
        self.it.subscribe(topic, qos=2)
        assert self.subscribed.wait(WAITS_S), f"nobody confirms {topic}"

    def says(self, topic: str, payload: bytes, qos: int, *, keep: bool = False) -> None:
        more: dict[str, Any] = {}
        if self.version == mqtt.MQTTv5 and qos:
            more["properties"] = Properties(0x03)
            more["properties"].UserProperty = ("mine", "yes")
        sent = self.it.publish(topic, payload, qos=qos, retain=keep, **more)
        sent.wait_for_publish(WAITS_S)
        assert sent.is_published(), f"{topic} is confirmed by nobody"

    def next(self) -> tuple[str, bytes, int, bool]:
        return self.heard.get(timeout=WAITS_S)

    def close(self) -> None:
        self.it.disconnect()
        self.it.loop_stop()


def told(version: Any) -> dict[str, Any]:
    base = f"{topic}/v{int(version)}"
    ear, mouth = One(f"ear-{base}", version), One(f"mouth-{base}", version, will=f"{base}/will")
    ear.hears(f"{base}/#")
    same = []
    for qos in (0, 1, 2):
        mouth.says(f"{base}/large", LARGE, qos)
        same.append(ear.next() == (f"{base}/large", LARGE, qos, False))
    for number in range(COUNT):
        mouth.says(f"{base}/count", b"%d" % number, QOS)
    in_order = [int(ear.next()[1]) for _ in range(COUNT)] == [*range(COUNT)]
    mouth.says(f"{base}/kept", b"for who comes later", 1, keep=True)
    ear.next()
    later = One(f"later-{base}", version)
    later.hears(f"{base}/kept")
    kept = later.next()
    # Gone without a word: the broker says its will, since the end reaches it through the edge.
    mouth.it.loop_stop()
    mouth.it.socket().close()
    will = ear.next()
    for one in (ear, later):
        one.close()
    return {
        "large": same,
        "in order": in_order,
        "kept": [str(kept[1], "ascii"), kept[3]],
        "will": str(will[1], "ascii"),
    }


print(json.dumps({"3.1.1": told(mqtt.MQTTv311), "5": told(mqtt.MQTTv5)}), flush=True)
