"""All servers and clients of the promises, and one edge between them with each server in each pattern.

A server is `SERVER.PATTERN.test` at the edge. Its one certificate is good as a backend's and, behind passthrough, as its own.
Read next: `test_promises.py`.
"""

from __future__ import annotations

import datetime as dt
import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

from everyhop.demo.stage import free_port
from tests.applications import peer
from tests.applications.catalogue import BACKENDS, CLIENTS, SOCKETS
from tests.applications.peer import Peer
from tests.kit import EdgeKit, Pki
from tests.kit.edge import until
from tests.suites.peers import is_up

VERIFY = 'verify = { ca = "{pki}/public-ca.pem", name = "backend.internal" }\n'
SITE = """
[[site]]
name = "applications"
hosts = ["*.mutual.test", "*.reencrypt.test", "*.plaintext.test"]
certs = [{ chain = "{pki}/applications.pem", key = "file:{pki}/applications.key" }]
"""


def accepted() -> str:
    today = dt.date.today()
    until_then = today + dt.timedelta(days=30)
    return (
        'acceptance = { owner = "tests", why = "the application runs beside the edge", context = "same-host", '
        f"since = {today}, until = {until_then} }}\n"
    )


def routes(name: str, ports: dict[str, int], *, behind: str = "", patterns: tuple[str, ...], more: str = "") -> str:
    """A route of each pattern to the server `name`, whose `ports` are `plain`, `tls` and `mutual`."""
    out = []
    for pattern in patterns:
        port = ports[{"plaintext": "plain", "mutual": "mutual"}.get(pattern, "tls")]
        route = f'[[route]]\nname = "{name}-{pattern}"\nhost = "{name}.{pattern}.test"\ntls = "{pattern}"\n'
        route += f'to = ["127.0.0.1:{port}"]\n'
        if pattern == "passthrough":
            out.append(route)
            continue
        if behind:
            route += f'upstream_protocol = "{behind}"\n'
        route += {"mutual": VERIFY + 'present = "edge"\n', "reencrypt": VERIFY, "plaintext": accepted()}[pattern]
        out.append(route + more)
    return "".join(out)


NGINX = """
user {user}; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_max_body_size 0;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  ssl_certificate {chain}; ssl_certificate_key {key};
  map $http_upgrade $upgraded {{ default upgrade; '' ''; }}
  proxy_http_version 1.1; proxy_buffering off;
  proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upgraded;
  server {{ listen 127.0.0.1:{plain}; location / {{ proxy_pass http://127.0.0.1:{inner}; }} }}
  server {{ listen 127.0.0.1:{plain2} http2; location / {{ proxy_pass http://127.0.0.1:{inner}; }} }}
  server {{ listen 127.0.0.1:{tls} ssl http2; location / {{ proxy_pass http://127.0.0.1:{inner}; }} }}
  server {{ listen 127.0.0.1:{mutual} ssl http2; location / {{ proxy_pass http://127.0.0.1:{inner}; }}
    ssl_verify_client on; ssl_client_certificate {clients}; }}
}}
"""


class Nginx:
    """Hands all of it to aiohttp."""

    def __init__(self, folder: Path, inner: int, **files: Path) -> None:
        ports = {way: free_port() for way in ("plain", "plain2", "tls", "mutual")}
        user = pwd.getpwuid(os.geteuid()).pw_name
        (folder / "nginx.conf").write_text(NGINX.format(user=user, folder=folder, inner=inner, **ports, **files))
        command = [peer.found("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until(lambda: all(map(is_up, ports.values())), 30, lambda: (folder / "error.log").read_text())
        self.ports = {"nginx": ports, "nginx-h2": {**ports, "plain": ports["plain2"]}}

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)


class Lab:
    """`url` says where a server is, `do` has a client do a job."""

    def __init__(self, pki: Pki, folder: Path) -> None:
        self.folder, self.pki = folder, pki
        self.opened: list[Peer | Nginx | EdgeKit] = []
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        leaf = application_leaf(self.pki)
        files = {"chain": leaf.chain, "key": leaf.key, "clients": self.pki.internal.file}
        self.pair = (leaf.key.read_bytes(), leaf.chain.read_bytes())
        has_node = peer.NODE is not None
        serving = [peer.python("servers.py", *files.values()), peer.go("serve", *files.values())]
        ca = self.pki.public.file
        asking = {"python": peer.python("clients.py", ca), "go": peer.go("ask", ca)}
        if has_node:
            serving.append(peer.node("servers.mjs", *files.values()))
            asking["node"] = peer.node("clients.mjs")
        servers = [self.keep(Peer(command, self.folder)) for command in serving]
        self.clients = {
            kind: self.keep(Peer(command, self.folder, NODE_EXTRA_CA_CERTS=str(ca))) for kind, command in asking.items()
        }
        ports: dict[str, dict[str, int]] = {}
        for one in servers:
            ports |= one.read()["ports"]
        for one in self.clients.values():
            one.read()
        ports |= {"hypercorn-h2": ports["hypercorn"], "go-h2": ports["go"]}
        nginx = Nginx(self.folder, ports["aiohttp"]["plain"], **files)
        self.opened.append(nginx)
        ports |= nginx.ports
        ports |= {
            name: ports[name.removesuffix("-auto")]
            for name, it in BACKENDS.items()
            if it.chooses and name.removesuffix("-auto") in ports
        }
        text = SITE
        for name, it in BACKENDS.items():
            if name in ports:
                text += routes(
                    name,
                    ports[name],
                    behind="auto" if it.chooses else "h2" if it.behind == "2" else "",
                    patterns=it.patterns,
                )
        self.ports = ports
        self.edge = EdgeKit(self.pki, text, threads=2)
        self.opened.append(self.edge)

    def keep(self, it: Peer) -> Peer:
        self.opened.append(it)
        return it

    def url(self, backend: str, pattern: str, path: str, scheme: str = "https") -> str:
        return f"{scheme}://{backend}.{pattern}.test:{self.edge.port}{path}"

    def do(self, client: str, do: str, url: str, **job: Any) -> dict[str, Any]:
        kind = {**CLIENTS, **SOCKETS}[client].peer
        found = self.clients[kind].do({"client": client, "do": do, "url": url, "method": "GET", **job})
        assert "failed" not in found, f"{client} {job} {url}: {found['failed']}"
        return found

    def accepted(self) -> int:
        """How many client connections there were, of all patterns."""
        now = self.edge.status()
        passed = sum(route["connections"] for route in now["routes"] if route["pattern"] == "passthrough")
        ended: int = now["handshakes"]["ok"]
        return ended + int(passed)

    def close(self) -> None:
        while self.opened:
            self.opened.pop().close()


def application_leaf(pki: Pki) -> Any:
    """What all applications show, and what the site shows for them."""
    pki.public.leaf("applications", "*.mutual.test", "*.reencrypt.test", "*.plaintext.test")
    return pki.public.leaf("application", "backend.internal", "*.passthrough.test", "pay.company.test")
