"""nginx as everybody's backend, which counts what reached it; and where the suites that others wrote are found."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from everyhop.demo.stage import free_port
from tests.kit import Pki
from tests.kit.edge import until
from tests.kit.logs import whole_lines

ROOT = Path(__file__).parents[2]

CONFIGURATION = """
user {user}; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  log_format seen '$server_port $server_protocol $request_method $uri $status $request_length $remote_user"$http_x_case" "$http_range" "$ssl_client_s_dn"';
  access_log {folder}/seen.log seen;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000; client_max_body_size 0; root {folder}/files; default_type application/octet-stream;
  large_client_header_buffers 8 64k; sendfile off;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_certificate {pki}/backend.pem; ssl_certificate_key {pki}/backend.key;
  server {{ listen 127.0.0.1:{inner}; access_log off; location / {{ return 200 "more bytes than one window of h2spec holds"; }} }}
  server {{ listen 127.0.0.1:{plaintext}; {locations} }}
  server {{ listen 127.0.0.1:{reencrypt} ssl http2; {locations} }}
  server {{ listen 127.0.0.1:{mutual} ssl http2; {locations}
    ssl_verify_client on; ssl_client_certificate {pki}/internal-ca.pem; }}
  server {{ listen 127.0.0.1:{passthrough} ssl http2; {locations}
    ssl_certificate {pki}/pass.pem; ssl_certificate_key {pki}/pass.key; }}
}}
"""

LOCATIONS = """
  location / {{ return 200 "ok"; }}
  location /files/ {{ dav_methods PUT; create_full_put_path on; }}
  # Answers once the request is whole, as most applications do.
  location /h {{ proxy_pass http://127.0.0.1:{inner}; }}
"""
PATTERNS = ("plaintext", "reencrypt", "mutual", "passthrough")


@dataclass(frozen=True)
class Seen:
    """A request as nginx logged it."""

    pattern: str
    protocol: str
    method: str
    path: str
    status: int
    case: str
    byte_range: str
    caller: str


class Nginx:
    """One server for each pattern; `ports` by its name. What lies in `files` is served below `/files/`."""

    def __init__(self, folder: Path, pki: Pki) -> None:
        self.folder = folder
        self.files = folder / "files" / "files"
        self.files.mkdir(parents=True)
        self.ports = {name: free_port() for name in PATTERNS}
        config = folder / "nginx.conf"
        inner = free_port()
        locations = LOCATIONS.format(inner=inner)
        # Its workers stay who we are, as the folders are ours.
        user = pwd.getpwuid(os.geteuid()).pw_name
        text = CONFIGURATION.format(
            user=user, folder=folder, pki=pki.folder, locations=locations, inner=inner, **self.ports
        )
        config.write_text(text, encoding="utf-8")
        command = [found("nginx"), "-c", str(config), "-p", str(folder)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until(lambda: all(is_up(port) for port in (inner, *self.ports.values())))

    def seen(self, case: str | None = None) -> list[Seen]:
        """The requests that arrived, perhaps only those whose `X-Case` is `case`."""
        names = {str(port): name for name, port in self.ports.items()}
        out = []
        for line in whole_lines(self.folder / "seen.log"):
            plain, its_case, _, byte_range, _, caller, _ = line.split('"')
            port, protocol, method, path, status, *_ = plain.split()
            out.append(Seen(names[port], protocol, method, path, int(status), its_case, byte_range, caller))
        return [one for one in out if case is None or one.case == case]

    def counted(self, case: str) -> Counter[tuple[str, str]]:
        """How many requests of a case, by pattern and protocol of the backend hop."""
        return Counter((one.pattern, one.protocol) for one in self.seen(case))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def is_up(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def found(command: str) -> str:
    """Where a command lies: with the suites that `make suites` installed, or with the system's."""
    at = shutil.which(command, path=f"{ROOT}/target/suites/bin:{os.environ['PATH']}:/usr/sbin")
    assert at is not None, (
        f"{command} is missing: make suites installs what is pinned, make tools names Debian's packages"
    )
    return at
