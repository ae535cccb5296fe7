"""A page that tries what browsers do, and the server of it, in the clear, over TLS and with clients' certificates.

Run with the applications' own Python by `test_chromium.py`. Says its ports in one line, then each page's report in a line.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys

from aiohttp import WSMsgType, web

chain, key, clients = sys.argv[1:]
PAGE = """<!doctype html><title>it</title><script>
const told = {};
const sized = 1 << 20;
async function sent() {
  const body = new Uint8Array(sized).map((_, n) => n % 251);
  const back = new Uint8Array(await (await fetch('/echo', { method: 'POST', body })).arrayBuffer());
  return back.length === sized && back.every((byte, n) => byte === n % 251);
}
const many = async () => (await Promise.all([...Array(60).keys()].map(async (n) => (await (await fetch(`/same/${n}`)).text()) === `/same/${n}`))).every(Boolean);
const socket = () => new Promise((done) => {
  const it = new WebSocket(`wss://${location.host}/ws`), got = [];
  it.onopen = () => { it.send('grüße'); it.send('x'.repeat(100000)); it.send('close'); };
  it.onmessage = (m) => got.push(m.data.length);
  it.onclose = (e) => done([got, e.code, e.reason]);
});
const events = () => new Promise((done) => {
  const it = new EventSource('/events'), got = [];
  it.onmessage = (m) => { got.push(m.data); if (m.data === 'one') fetch('/release'); else { it.close(); done(got); } };
});
(async () => {
  for (const [name, what] of Object.entries({ sent, many, socket, events })) {
    try { told[name] = await what(); } catch (e) { told[name] = `${e}`; }
  }
  told.protocols = [...new Set(performance.getEntriesByType('resource').map((it) => it.nextHopProtocol))];
  told.host = location.hostname;
  const [next, ...rest] = location.hash.slice(1).split(',');
  await fetch('/report', { method: 'POST', body: JSON.stringify(told) });
  if (next) location.href = `https://${next}/#${rest.join(',')}`;
})();
</script>"""
released = asyncio.Event()


async def answer(request: web.Request) -> web.StreamResponse:
    if request.path == "/":
        return web.Response(text=PAGE, content_type="text/html", charset="utf-8")
    if request.path == "/echo":
        return web.Response(body=await request.read())
    if request.path == "/events":
        released.clear()
        out = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await out.prepare(request)
        await out.write(b"data: one\n\n")
        await released.wait()
        await out.write(b"data: two\n\n")
        return out
    if request.path == "/release":
        released.set()
    if request.path == "/report":
        print(json.dumps(await request.json()), flush=True)
    if request.path == "/ws":
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data == "close":
                await socket.close(code=4001, message=b"because of this")
            elif message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
        return socket
    return web.Response(text=request.path)


async def serve() -> None:
    ports = {}
    for way in ("plain", "tls", "mutual"):
        application = web.Application(client_max_size=0)
        application.router.add_route("*", "/{rest:.*}", answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        tls = None
        if way != "plain":
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
            tls.load_cert_chain(chain, key)
            tls.verify_mode = ssl.CERT_REQUIRED if way == "mutual" else ssl.CERT_NONE
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        ports[way] = runner.addresses[0][1]
    print(json.dumps({"ports": ports}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


asyncio.run(serve())
