"""Servers that others wrote, each telling which requests it saw: what our codec decided must be what they read.

nginx and Node are the real ones. For Python, h11 and httptools stand for uvicorn, whose two readers they are; around
each is only a loop that feeds it."""

from __future__ import annotations

import abc
import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import h11
import httptools

from everyhop.demo.stage import free_port
from tests.kit.edge import until
from tests.kit.logs import whole_lines


@dataclass(frozen=True, order=True)
class Seen:
    """A request as a server read it; `sha256` of its body."""

    method: str
    target: str
    length: int
    sha256: str


def seen(method: str, target: str, body: bytes) -> Seen:
    return Seen(method, target, len(body), hashlib.sha256(body).hexdigest())


class Server(Protocol):
    port: int

    def requests(self) -> list[Seen]: ...

    def complaints(self) -> list[str]:
        """What it could not read."""

    def close(self) -> None: ...


NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_body_buffer_size 1m;
  client_body_in_single_buffer on;
  client_max_body_size 0;
  log_format told escape=json '{{"method":"$request_method","target":"$request_uri","body":"$request_body","line":"$request","status":"$status"}}';
  server {{
    listen 127.0.0.1:{port};
    access_log {folder}/told.log told;
    # The body is read whole before it is passed on, so that it can be told.
    location / {{ proxy_pass http://unix:{folder}/inner.sock; proxy_http_version 1.1; }}
  }}
  server {{ listen unix:{folder}/inner.sock; location / {{ return 200 "ok"; }} }}
}}
"""


class Nginx:
    """Bodies must be text: they pass through its log."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        """`port`: the one that another had which is over."""
        self.folder = folder
        self.port = port or free_port()
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=self.port))
        env = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"}
        self.process = subprocess.Popen(["nginx", "-c", str(config), "-p", str(folder)], env=env)
        until(self.is_up)

    def is_up(self) -> bool:
        assert self.process.poll() is None, (self.folder / "error.log").read_text()
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def lines(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in whole_lines(self.folder / "told.log")]

    def requests(self) -> list[Seen]:
        return [
            seen(x["method"], x["target"], x["body"].encode())
            for x in self.lines()
            if int(x["status"]) in range(200, 300)
        ]

    def complaints(self) -> list[str]:
        return [str(x) for x in self.lines() if int(x["status"]) not in range(200, 300)]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)


NODE = """
const http = require('http'), crypto = require('crypto');
const tell = (it) => process.stdout.write(JSON.stringify(it) + '\\n');
const server = http.createServer((request, response) => {
  const sum = crypto.createHash('sha256');
  let length = 0;
  request.on('data', (piece) => { sum.update(piece); length += piece.length; });
  request.on('end', () => {
    tell({ method: request.method, target: request.url, length, sha256: sum.digest('hex') });
    response.end('ok');
  });
});
server.on('clientError', (error, socket) => {
  if (String(error.code).startsWith('HPE_')) tell({ complaint: error.code + ' ' + error.message });
  socket.destroy();
});
for (const event of ['upgrade', 'connect']) {
  server.on(event, (request, socket) => { tell({ complaint: event + ' ' + request.url }); socket.destroy(); });
}
server.keepAliveTimeout = 60000;
server.listen(0, '127.0.0.1', () => tell({ port: server.address().port }));
"""


class Node:
    """As it comes: strict, by llhttp."""

    def __init__(self, folder: Path) -> None:
        script = folder / "server.js"
        script.write_text(NODE)
        self.process = subprocess.Popen(["node", str(script)], stdout=subprocess.PIPE, text=True)
        self.told: list[dict[str, Any]] = []
        threading.Thread(target=self.listen, daemon=True).start()
        self.port: int = until(lambda: next((x["port"] for x in list(self.told) if "port" in x), None), 30)

    @staticmethod
    def is_there() -> bool:
        return shutil.which("node") is not None

    def listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.told.append(json.loads(line))

    def requests(self) -> list[Seen]:
        return [Seen(**x) for x in list(self.told) if "method" in x]

    def complaints(self) -> list[str]:
        return [x["complaint"] for x in list(self.told) if "complaint" in x]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        if self.process.stdout:
            self.process.stdout.close()


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class InPython(abc.ABC):
    """A loop around a reader."""

    def __init__(self) -> None:
        self.found: list[Seen] = []
        self.refused: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.guarded, args=(sock,), daemon=True).start()

    def guarded(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            sock.settimeout(60)
            self.serve(sock)

    @abc.abstractmethod
    def serve(self, sock: socket.socket) -> None:
        """Reads requests until the connection ends, and has each answered."""

    def answer(self, sock: socket.socket, method: str, target: str, body: bytes) -> None:
        self.found.append(seen(method, target, body))
        sock.sendall(ANSWER if method != "HEAD" else ANSWER[:-2])

    def requests(self) -> list[Seen]:
        return list(self.found)

    def complaints(self) -> list[str]:
        return list(self.refused)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            # Closing alone wakes nobody who waits for it, and one more client would be taken.
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class ByH11(InPython):
    def serve(self, sock: socket.socket) -> None:
        it = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        request: h11.Request | None = None
        body = b""
        while True:
            try:
                event = it.next_event()
            except h11.RemoteProtocolError as e:
                self.refused.append(str(e))
                return
            if event is h11.NEED_DATA:
                it.receive_data(sock.recv(65536))
            elif isinstance(event, h11.Request):
                request, body = event, b""
                if it.they_are_waiting_for_100_continue:
                    it.send(h11.InformationalResponse(status_code=100, headers=[]))
                    sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                it.send(h11.Response(status_code=200, headers=[("Content-Length", "2")]))
                if request.method != b"HEAD":
                    it.send(h11.Data(data=b"ok"))
                it.send(h11.EndOfMessage())
                self.answer(sock, request.method.decode(), request.target.decode("latin-1"), body)
                if it.our_state is not h11.DONE:
                    return
                it.start_next_cycle()
            else:
                return


class ByHttptools(InPython):
    def serve(self, sock: socket.socket) -> None:
        server = self

        class Handler:
            target, body = b"", b""

            def on_message_begin(self) -> None:
                self.target, self.body = b"", b""

            def on_url(self, url: bytes) -> None:
                self.target += url

            def on_headers_complete(self) -> None:
                self.method = parser.get_method().decode()

            def on_header(self, name: bytes, value: bytes) -> None:
                if name.lower() == b"expect" and value.lower() == b"100-continue":
                    sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

            def on_body(self, body: bytes) -> None:
                self.body += body

            def on_message_complete(self) -> None:
                server.answer(sock, self.method, self.target.decode("latin-1"), self.body)

        parser = httptools.HttpRequestParser(Handler())
        while data := sock.recv(65536):
            try:
                parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade) as e:
                self.refused.append(f"{type(e).__name__} {e}")
                return
