"""TLS servers that others wrote, with whatever settings a test wants, also those that nobody should have."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from pathlib import Path

from everyhop.demo.certificates import Leaf
from everyhop.demo.stage import free_port
from tests.kit.edge import until

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} ssl; server_name a.test;
    ssl_certificate {leaf.chain}; ssl_certificate_key {leaf.key};
    {settings}
    location / {{ return 200 "ok"; }}
  }}
}}
"""


class Served:
    """A server of its own process, at `port`."""

    def __init__(self, port: int, command: list[str], folder: Path) -> None:
        self.port, self.log = port, folder / f"server-{port}.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT)
        until(lambda: self.is_there() or self.process.poll() is not None, told=self.said)
        assert self.process.poll() is None, self.said()

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]

    def is_there(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5):
            return True
        return False

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def openssl(folder: Path, leaf: Leaf, *settings: str, web: bool = True) -> Served:
    """`openssl s_server`, which answers GET with a page where it is `web`, and else says nothing."""
    port = free_port()
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(leaf.chain), "-key", str(leaf.key)]
    command += ["-cert_chain", str(leaf.chain), "-quiet", *(["-www"] if web else []), *settings]
    return Served(port, command, folder)


def nginx(folder: Path, leaf: Leaf, settings: str) -> Served:
    port = free_port()
    config = folder / f"nginx-{port}.conf"
    config.write_text(NGINX.format(folder=folder, port=port, leaf=leaf, settings=settings))
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    assert program, "nginx is missing: apt-get install nginx-light"
    return Served(port, [program, "-c", str(config), "-p", str(folder), "-e", str(folder / "early.log")], folder)
