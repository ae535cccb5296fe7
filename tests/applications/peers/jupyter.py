"""A Jupyter server in the clear, over TLS and with clients' certificates, as `serve`, or a client of its kernels, as `ask`.

Run with the applications' own Python by `test_jupyter.py`. The server says its ports in one line, and ends with its standard input.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
import uuid
from pathlib import Path
from typing import Any

TOKEN = "a token of the test"


def serve(folder: str, chain: str, key: str, clients: str) -> None:
    os.environ |= {"JUPYTER_CONFIG_DIR": folder, "JUPYTER_DATA_DIR": folder, "JUPYTER_RUNTIME_DIR": folder}
    from jupyter_server.serverapp import ServerApp
    from tornado.httpserver import HTTPServer
    from tornado.ioloop import IOLoop

    options = ["--allow-root", "--no-browser", "--port=0", "--ip=127.0.0.1", f"--ServerApp.root_dir={folder}"]
    options += ["--ServerApp.allow_remote_access=True", "--ServerApp.trust_xheaders=True", "--log-level=ERROR"]
    options += [f"--IdentityProvider.token={TOKEN}", "--ZMQChannelsWebsocketConnection.limit_rate=False"]
    # As `jupyter kernelspec install` would, for this Python alone.
    kernel = Path(folder, "kernels", "python3")
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Python", "language": "python"}))
    it = ServerApp.instance()
    it.initialize(options, find_extensions=False)
    ports = {}
    for way in ("plain", "tls", "mutual"):
        tls = None
        if way != "plain":
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
            tls.load_cert_chain(chain, key)
            tls.verify_mode = ssl.CERT_REQUIRED if way == "mutual" else ssl.CERT_NONE
        sock = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)
        server = HTTPServer(it.web_app, ssl_options=tls, xheaders=True)
        server.add_sockets([sock])
        ports[way] = sock.getsockname()[1]
    print(json.dumps({"ports": ports}), flush=True)
    loop = IOLoop.current()
    loop.add_handler(sys.stdin.fileno(), lambda *_: os.read(0, 1) or loop.stop(), IOLoop.READ)
    loop.start()
    loop.run_sync(it.kernel_manager.shutdown_all)


class Kernel:
    """One kernel, by REST and by its WebSocket."""

    def __init__(self, ca: str, base: str) -> None:
        import requests
        import websocket

        system = socket.getaddrinfo
        socket.getaddrinfo = lambda host, *rest, **more: system("127.0.0.1", *rest, **more)
        self.base, self.rest = base, requests.Session()
        self.rest.verify, self.rest.trust_env = ca, False
        self.rest.headers["Authorization"] = f"token {TOKEN}"
        made = self.rest.post(f"{base}/api/kernels", json={"name": "python3"}, timeout=120)
        made.raise_for_status()
        self.id = made.json()["id"]
        address = f"{base.replace('https', 'wss')}/api/kernels/{self.id}/channels?session_id={uuid.uuid4().hex}"
        self.channels = websocket.create_connection(
            address,
            timeout=120,
            sslopt={"context": ssl.create_default_context(cafile=ca)},
            header=[f"Authorization: token {TOKEN}"],
            origin=base,
        )

    def run(self, code: str, interrupted: bool = False) -> dict[str, Any]:
        """What a cell prints, and how it ends; interrupted as soon as it says that it runs."""
        ask = uuid.uuid4().hex
        head = {"msg_id": ask, "msg_type": "execute_request", "username": "", "session": ask, "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        self.channels.send(
            json.dumps(
                {
                    "header": head,
                    "parent_header": {},
                    "metadata": {},
                    "content": content,
                    "channel": "shell",
                    "buffers": [],
                }
            )
        )
        out, ended = "", ""
        while True:
            it = json.loads(self.channels.recv())
            if it["parent_header"].get("msg_id") != ask:
                continue
            kind, said = it["msg_type"], it["content"]
            if kind == "stream":
                out += said["text"]
                if interrupted:
                    self.rest.post(f"{self.base}/api/kernels/{self.id}/interrupt", timeout=60).raise_for_status()
            elif kind == "error":
                ended = said["ename"]
            elif kind == "status" and said["execution_state"] == "idle":
                return {"out": out, "ended": ended}

    def end(self) -> int:
        return int(self.rest.delete(f"{self.base}/api/kernels/{self.id}", timeout=60).status_code)


def ask(ca: str, base: str) -> None:
    it = Kernel(ca, base)
    told = {
        "sum": it.run("print(6 * 7)"),
        "much": len(it.run("print('x' * 3_000_000)")["out"]),
        "interrupted": it.run("import time; print('now', flush=True); time.sleep(100)", interrupted=True),
        "after": it.run("print('still here')"),
    }
    print(json.dumps(told | {"ended": it.end()}), flush=True)


if sys.argv[1] == "serve":
    serve(*sys.argv[2:])
else:
    ask(*sys.argv[2:])
