"""redis-py as a client of Redis, of its blocking and its asyncio half: what came of it is one line. Run by `test_redis.py`.

Its file is not called `redis.py`: that would be what it imports.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from typing import Any

import redis
import redis.asyncio

ca, host, port = sys.argv[1:]
system = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: system("127.0.0.1", *rest, **more)
WAITS_S = 60
"""Longer than anything takes on a busy machine."""
LARGE = bytes(range(256)) * (16 << 10)


def options(version: int) -> dict[str, Any]:
    """As of a `rediss://` URL; the server's name is that of the host."""
    return {
        "host": host,
        "port": int(port),
        "ssl": True,
        "ssl_ca_certs": ca,
        "ssl_check_hostname": True,
        "protocol": version,
        "socket_timeout": WAITS_S,
    }


def several(it: redis.Redis) -> list[Any]:
    """Commands of a pipeline, and of a transaction that is begun again since another wrote what it watched."""
    with it.pipeline(transaction=False) as pipe:
        for number in range(2000):
            pipe.set(f"of:{number}", number)
            pipe.incr(f"of:{number}")
        answers = pipe.execute()
    with it.pipeline() as pipe:
        pipe.watch("watched")
        it.set("watched", "by another")
        pipe.multi()
        pipe.set("watched", "by me")
        try:
            pipe.execute()
            raced = "not seen"
        except redis.WatchError:
            raced = "seen"
    return [len(answers), sum(a for a in answers if isinstance(a, int) and a is not True), raced]


def handed_over(it: redis.Redis) -> list[Any]:
    """One waits in BLPOP, and then another pushes: the server speaks when it likes."""
    got: list[Any] = []
    waiting = threading.Thread(target=lambda: got.append(it.blpop(["queue"], timeout=WAITS_S)))
    waiting.start()
    while not it.info("clients")["blocked_clients"]:
        waiting.join(0.01)
    it.rpush("queue", b"handed over")
    waiting.join(WAITS_S)
    return [str(part, "ascii") for part in got[0]]


def heard(it: redis.Redis) -> list[str]:
    """Subscribes, publishes by another connection, and hears it in order."""
    with it.pubsub(ignore_subscribe_messages=True) as ear:
        ear.subscribe("news")
        ear.get_message(timeout=WAITS_S)  # that it is subscribed
        for number in range(100):
            it.publish("news", f"{number}")
        out: list[str] = []
        while len(out) < 100 and (said := ear.get_message(timeout=WAITS_S)):
            out.append(str(said["data"], "ascii"))
    return out


async def at_once() -> int:
    """Many commands of many connections at once."""
    async with redis.asyncio.Redis(**options(3)) as it:
        await it.set("count", 0)
        await asyncio.gather(*(it.incr("count") for _ in range(50)))
        return int(await it.get("count"))


def told(version: int) -> dict[str, Any]:
    with redis.Redis(**options(version)) as it:
        it.flushall()
        it.set("large", LARGE)
        stream = [it.xadd("stream", {"n": number}) for number in range(10)]
        return {
            "large": it.get("large") == LARGE,
            "several": several(it),
            "handed": handed_over(it),
            "heard": heard(it) == [f"{number}" for number in range(100)],
            "stream": len(it.xrange("stream", stream[3], stream[6])),
            "wrong": wrong(it),
        }


def wrong(it: redis.Redis) -> str:
    """An error is one of its command alone."""
    try:
        it.lpush("large", 1)
    except redis.ResponseError as e:
        return str(e)[:9] + (" pong" if it.ping() else "")
    return "taken"


print(json.dumps({"2": told(2), "3": told(3), "at once": asyncio.run(at_once())}), flush=True)
