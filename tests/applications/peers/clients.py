"""Python's HTTP and WebSocket clients: a job a line, its result a line. `lab.py` runs it with the applications' own Python.

In this process names under `.test` are this machine; certificates are judged by the file that it is given.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import ssl
import sys
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx
import requests
import websocket
import websockets.asyncio.client
import websockets.exceptions

ca = sys.argv[1]
PIECE = b"0123456789abcdef"
KEPT_S = 2.0
"""How long a client keeps what it does not use: behind passthrough it meets the servers themselves, several of which close after
5 s, and whoever asks for something at that very moment is not answered, edge or no edge."""
system = socket.getaddrinfo


def here(host: Any, *rest: Any, **more: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    return system("127.0.0.1" if name and name.endswith(".test") else host, *rest, **more)


socket.getaddrinfo = here
trust = ssl.create_default_context(cafile=ca)
# A context of its own for each, since each writes into it which protocols it offers.
by_httpx = {
    name: httpx.Client(
        verify=ssl.create_default_context(cafile=ca),
        timeout=30,
        trust_env=False,
        http2=name == "httpx-h2",
        limits=httpx.Limits(keepalive_expiry=KEPT_S),
    )
    for name in ("httpx-h1", "httpx-h2")
}
by_requests = requests.Session()
by_requests.verify, by_requests.trust_env = ca, False
loop = asyncio.new_event_loop()


def body(job: dict[str, Any]) -> bytes | None:
    size = job.get("size")
    return None if size is None else (PIECE * (size // 16 + 1))[:size]


def pieces(content: bytes) -> Iterator[bytes]:
    for at in range(0, len(content), 50_000):
        yield content[at : at + 50_000]


def result(status: int, protocol: str, fields: Any, content: bytes) -> dict[str, Any]:
    text = content.decode("latin-1") if len(content) <= 8000 else ""
    named = {str(k).lower(): v for k, v in fields.items()}
    whole = {"length": len(content), "sha256": hashlib.sha256(content).hexdigest(), "body": text}
    return {"status": status, "protocol": protocol, "fields": named, **whole}


def ask_httpx(job: dict[str, Any]) -> dict[str, Any]:
    content = body(job)
    sent = pieces(content) if content and job.get("chunked") else content
    it = by_httpx[job["client"]].request(job["method"], job["url"], headers=job.get("fields"), content=sent)
    return result(it.status_code, it.http_version.removeprefix("HTTP/"), it.headers, it.content)


def ask_requests(job: dict[str, Any]) -> dict[str, Any]:
    content = body(job)
    sent: Any = pieces(content) if content and job.get("chunked") else content
    it = by_requests.request(job["method"], job["url"], headers=job.get("fields"), data=sent, timeout=30)
    return result(it.status_code, "1.1" if it.raw.version == 11 else "1.0", it.headers, it.content)


class Aiohttp:
    session: aiohttp.ClientSession | None = None

    async def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        session = await self.ready()
        content = body(job)
        sent: Any = content
        if content and job.get("chunked"):

            async def slowly() -> Any:
                for piece in pieces(content):
                    yield piece

            sent = slowly()
        more = {"expect100": True} if job.get("expect") else {}
        url = aiohttp.client.URL(job["url"], encoded=True)
        async with session.request(job["method"], url, headers=job.get("fields"), data=sent, **more) as it:
            found = result(it.status, "1.1", it.headers, await it.read())
            return found | ({"continued": True} if job.get("expect") else {})

    async def ready(self) -> aiohttp.ClientSession:
        if self.session is None:
            connector = aiohttp.TCPConnector(ssl=trust, resolver=aiohttp.ThreadedResolver(), keepalive_timeout=KEPT_S)
            self.session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30))
        return self.session

    async def events(self, job: dict[str, Any]) -> dict[str, Any]:
        session = await self.ready()
        async with session.get(job["url"]) as it:
            first = await it.content.readuntil(b"\n\n")
            async with session.get(job["release"]) as released:
                await released.read()
            return {"first": first.decode(), "rest": (await it.content.read()).decode()}

    async def talk(self, job: dict[str, Any]) -> dict[str, Any]:
        session = await self.ready()
        async with session.ws_connect(job["url"], max_msg_size=0) as it:
            echoed = []
            for size in job["sizes"]:
                await it.send_bytes((PIECE * (size // 16 + 1))[:size])
                echoed.append(len((await it.receive()).data))
            await it.send_str(job["say"])
            said = (await it.receive()).data
            await it.send_str("close {} {}".format(*job["close"]))
            closed = await it.receive()
            # What the frame said. Its own `close_code` is another where the server was gone before it could answer.
            return {"echoed": echoed, "said": said, "closed": [closed.data, closed.extra or ""]}


by_aiohttp = Aiohttp()


def events_httpx(job: dict[str, Any]) -> dict[str, Any]:
    client = by_httpx[job["client"]]
    with client.stream("GET", job["url"]) as it:
        read = it.iter_raw()
        first = next(read)
        # Not by itself: it allows itself one request at a time where a server names no limit, as Node does.
        by_httpx["httpx-h1"].get(job["release"]).raise_for_status()
        return {"first": first.decode(), "rest": b"".join(read).decode()}


def events_requests(job: dict[str, Any]) -> dict[str, Any]:
    with by_requests.get(job["url"], stream=True, timeout=30) as it:
        first = it.raw.read1(1000)
        by_requests.get(job["release"], timeout=30).raise_for_status()
        return {"first": first.decode(), "rest": it.raw.read().decode()}


async def talk_websockets(job: dict[str, Any]) -> dict[str, Any]:
    """By its asyncio client: the other one reads and writes one TLS session from two threads, which OpenSSL does not allow."""
    async with websockets.asyncio.client.connect(
        job["url"], ssl=trust, max_size=None, proxy=None, open_timeout=60
    ) as it:
        echoed = []
        for size in job["sizes"]:
            await it.send((PIECE * (size // 16 + 1))[:size])
            echoed.append(len(await it.recv()))
        await it.send(job["say"])
        said = await it.recv()
        await it.send("close {} {}".format(*job["close"]))
        try:
            await it.recv()
        except websockets.exceptions.ConnectionClosed as e:
            assert e.rcvd is not None
            return {"echoed": echoed, "said": said, "closed": [e.rcvd.code, e.rcvd.reason]}
    raise AssertionError("it did not close")


def talk_websocket_client(job: dict[str, Any]) -> dict[str, Any]:
    it = websocket.create_connection(job["url"], timeout=30, sslopt={"context": trust})
    echoed = []
    for size in job["sizes"]:
        it.send_binary((PIECE * (size // 16 + 1))[:size])
        echoed.append(len(it.recv()))
    it.send(job["say"])
    said = it.recv()
    it.send("close {} {}".format(*job["close"]))
    _, data = it.recv_data()
    it.shutdown()
    return {"echoed": echoed, "said": said, "closed": [int.from_bytes(data[:2]), data[2:].decode()]}


DO = {
    ("httpx-h1", "ask"): ask_httpx,
    ("httpx-h2", "ask"): ask_httpx,
    ("httpx-h1", "events"): events_httpx,
    ("httpx-h2", "events"): events_httpx,
    ("requests", "ask"): ask_requests,
    ("requests", "events"): events_requests,
    ("aiohttp", "ask"): lambda job: loop.run_until_complete(by_aiohttp.ask(job)),
    ("aiohttp", "events"): lambda job: loop.run_until_complete(by_aiohttp.events(job)),
    ("aiohttp", "talk"): lambda job: loop.run_until_complete(by_aiohttp.talk(job)),
    ("websockets", "talk"): lambda job: loop.run_until_complete(talk_websockets(job)),
    ("websocket-client", "talk"): talk_websocket_client,
}

print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    job = json.loads(line)
    try:
        found = DO[job["client"], job["do"]](job)
    except Exception as e:
        found = {"failed": f"{type(e).__name__}: {e}"}
    print(json.dumps(found), flush=True)
