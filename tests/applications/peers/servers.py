"""The promises' application on aiohttp, uvicorn and hypercorn, each in the clear, over TLS and with clients' certificates.

Run by `lab.py` with the applications' own Python. Says its ports in one line, and ends with its standard input.
What each path answers: `promises.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import hypercorn.asyncio
import hypercorn.config
import uvicorn
from aiohttp import WSMsgType, web

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
PIECES = [letter * 1000 for letter in (b"a", b"b", b"c", b"d")]
WAYS = ("plain", "tls", "mutual")
chain, key, clients = sys.argv[1:]
waiting: dict[str, asyncio.Event] = {}


def described(method: str, target: str, protocol: str, body: bytes, fields: list[tuple[str, str]]) -> bytes:
    found = {"method": method, "target": target, "protocol": protocol, "length": len(body)}
    return json.dumps({**found, "sha256": hashlib.sha256(body).hexdigest(), "fields": fields}).encode()


def event(case: str) -> asyncio.Event:
    return waiting.setdefault(case, asyncio.Event())


async def asgi(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """For uvicorn and hypercorn."""
    if scope["type"] == "websocket":
        return await asgi_socket(receive, send)
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    path, query = scope["path"], scope["query_string"].decode()

    async def answer(status: int, content: bytes = b"", *fields: tuple[bytes, bytes]) -> None:
        sized = [] if status in (204, 304) else [(b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": status, "headers": [*fields, *sized]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})

    if path == "/echo":
        await answer(200, body)
    elif path == "/nothing":
        await answer(204)
    elif path == "/same":
        await answer(304, b"", (b"etag", b'"it"'))
    elif path == "/pieces":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in PIECES:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    elif path == "/events":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"data: one\n\n", "more_body": True})
        await event(query).wait()
        await send({"type": "http.response.body", "body": b"data: two\n\n"})
    elif path == "/release":
        event(query).set()
        await answer(200, b"ok")
    else:
        # hypercorn's raw path has the query too, uvicorn's has not.
        target = scope["raw_path"].decode("latin-1").partition("?")[0] + (f"?{query}" if query else "")
        fields = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in scope["headers"]]
        await answer(200, described(scope["method"], target, scope["http_version"], body, fields))


async def asgi_socket(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        text, data = message.get("text"), message.get("bytes")
        if text and text.startswith("close "):
            _, code, reason = text.split(" ", 2)
            await send({"type": "websocket.close", "code": int(code), "reason": reason})
            return
        await send({"type": "websocket.send", **({"text": text} if text is not None else {"bytes": data})})


async def by_aiohttp(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    if request.path == "/echo":
        return web.Response(body=body)
    if request.path == "/nothing":
        return web.Response(status=204)
    if request.path == "/same":
        return web.Response(status=304, headers={"etag": '"it"'})
    if request.path == "/pieces":
        streamed = web.StreamResponse()
        await streamed.prepare(request)
        for piece in PIECES:
            await streamed.write(piece)
        return streamed
    if request.path == "/events":
        streamed = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await streamed.prepare(request)
        await streamed.write(b"data: one\n\n")
        await event(request.query_string).wait()
        await streamed.write(b"data: two\n\n")
        return streamed
    if request.path == "/release":
        event(request.query_string).set()
        return web.Response(text="ok")
    if request.path == "/ws":
        return await aiohttp_socket(request)
    version = f"{request.version.major}.{request.version.minor}"
    fields = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in request.raw_headers]
    return web.Response(
        body=described(request.method, request.raw_path, version, body, fields), content_type="application/json"
    )


async def aiohttp_socket(request: web.Request) -> web.WebSocketResponse:
    it = web.WebSocketResponse(max_msg_size=0)
    await it.prepare(request)
    async for message in it:
        if message.type is WSMsgType.TEXT and message.data.startswith("close "):
            _, code, reason = message.data.split(" ", 2)
            await it.close(code=int(code), message=reason.encode())
        elif message.type is WSMsgType.TEXT:
            await it.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await it.send_bytes(message.data)
    return it


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=256)


def context(way: str) -> ssl.SSLContext | None:
    if way == "plain":
        return None
    it = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
    it.load_cert_chain(chain, key)
    it.verify_mode = ssl.CERT_REQUIRED if way == "mutual" else ssl.CERT_NONE
    return it


async def serve() -> None:
    ports: dict[str, dict[str, int]] = {name: {} for name in ("aiohttp", "uvicorn", "hypercorn")}
    kept: list[Any] = []
    for way in WAYS:
        socks = {name: listening() for name in ports}
        for name, sock in socks.items():
            ports[name][way] = sock.getsockname()[1]
        application = web.Application(client_max_size=0)
        application.router.add_route("*", "/{rest:.*}", by_aiohttp)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.SockSite(runner, socks["aiohttp"], ssl_context=context(way)).start()

        secret: dict[str, Any] = {} if way == "plain" else {"ssl_certfile": chain, "ssl_keyfile": key}
        if way == "mutual":
            secret |= {"ssl_ca_certs": clients, "ssl_cert_reqs": ssl.CERT_REQUIRED}
        server = uvicorn.Server(uvicorn.Config(asgi, log_level="error", lifespan="off", ws_max_size=1 << 24, **secret))
        server.capture_signals = contextless
        kept.append(asyncio.ensure_future(server.serve(sockets=[socks["uvicorn"]])))

        config = hypercorn.config.Config()
        config.bind = [f"fd://{socks['hypercorn'].detach()}"]
        config.accesslog, config.errorlog, config.loglevel = None, "-", "ERROR"
        if way != "plain":
            config.certfile, config.keyfile = chain, key
        if way == "mutual":
            config.ca_certs, config.verify_mode = clients, ssl.CERT_REQUIRED
        kept.append(asyncio.ensure_future(hypercorn.asyncio.serve(asgi, config, shutdown_trigger=asyncio.Event().wait)))
    print(json.dumps({"ports": ports}), flush=True)
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await asyncio.wait([ended, *kept], return_when=asyncio.FIRST_COMPLETED)


def contextless() -> Any:
    """Signals are ours, not each server's."""
    return contextlib.nullcontext()


if __name__ == "__main__":
    asyncio.new_event_loop().run_until_complete(serve())
    os._exit(0)  # nobody waits for connections that still rest
