"""The combined format: what nginx writes of the same requests is what we write, byte for byte; and what is no request has a line
that cannot be taken for one."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.h2_socket import Client
from tests.kit.logs import whole_lines
from tests.kit.raw import OK, answering

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
COMBINED = 'format = "combined"'
LINE = re.compile(
    r'(?P<client>\S+) - (?P<user>\S+) \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "(?P<request>[^"]*)" '
    r'(?P<status>\d{3}) (?P<bytes>\d+) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)"'
)
"""As those who read the format take it apart."""

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ }}
http {{
  access_log {folder}/nginx.log combined; large_client_header_buffers 8 64k;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} ssl http2; server_name a.test;
    ssl_certificate {pki}/edge.pem; ssl_certificate_key {pki}/edge.key;
    location / {{ return 200 "ok"; }}
  }}
}}
"""


class Nginx:
    """It answers each request as our backend does, and writes its line."""

    def __init__(self, folder: Path, pki: Pki) -> None:
        self.port, self.log = free_port(), folder / "nginx.log"
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=self.port, pki=pki.folder))
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
        assert program, "nginx is missing: apt-get install nginx-light"
        self.process = subprocess.Popen(
            [program, "-c", str(config), "-p", str(folder), "-e", str(folder / "early.log")]
        )
        until(self.is_there)

    def is_there(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def nginx(tmp_path: Path, pki: Pki) -> Iterator[Nginx]:
    it = Nginx(tmp_path, pki)
    yield it
    it.close()


def route(port: int, more: str = "") -> str:
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}\n'


def timeless(line: str) -> str:
    assert LINE.fullmatch(line), line
    return re.sub(r"\[.*?\]", "[]", line, count=1)


def both(it: EdgeKit, nginx: Nginx, pki: Pki, requests: list[bytes]) -> list[tuple[int, int]]:
    """The status that each gives to each request; the last of a connection closes it."""
    found = []
    for request in requests:
        statuses = []
        for port in (it.port, nginx.port):
            with tls(port, "a.test", pki.public.file) as sock:
                statuses.append(exchange(sock, request).status)
        found.append((statuses[0], statuses[1]))
    return found


def told(it: EdgeKit, nginx: Nginx, count: int) -> list[tuple[str, str]]:
    ours = until(lambda: found if len(found := whole_lines(it.log)) >= count else None)
    theirs = until(lambda: found if len(found := whole_lines(nginx.log)) >= count else None)
    assert len(ours) == len(theirs) == count
    return [(timeless(a), timeless(b)) for a, b in zip(ours, theirs, strict=True)]


def test_every_byte_of_a_field_is_written_as_nginx_writes_it(edge: Edges, raw: Raws, pki: Pki, nginx: Nginx) -> None:
    """G01."""
    it = edge(route(raw(answering(OK)).port), log=COMBINED)
    values = [bytes([b]) for b in range(256) if b not in (0, 10, 13)]
    requests = [
        b"GET /%d HTTP/1.1\r\nHost: a.test\r\nUser-Agent: a%sb\r\nReferer: https://a.test/%sz\r\n\r\n" % (n, v, v)
        for n, v in enumerate(values)
        if v not in (b"?", b"#")
    ]
    statuses = both(it, nginx, pki, requests)
    pairs = told(it, nginx, len(requests))
    alike = [(ours, theirs) for (ours, theirs), (a, b) in zip(pairs, statuses, strict=True) if a == b == 200]
    # What one of them refuses, such as a control character, is no request of the other.
    assert len(alike) >= 220
    assert [ours for ours, _ in alike] == [theirs for _, theirs in alike]
    assert any(r"a\x22b" in ours for ours, _ in alike) and any(r"a\xFFb" in ours for ours, _ in alike)


def test_requests_of_all_kinds_are_written_as_nginx_writes_them(edge: Edges, raw: Raws, pki: Pki, nginx: Nginx) -> None:
    it = edge(route(raw(answering(OK)).port), log=COMBINED)
    requests = [
        b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"GET /a/b%20c;d=e HTTP/1.1\r\nHost: a.test\r\nUser-Agent: \r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nReferer: android-app://x\r\n\r\nabc",
        b"DELETE /\xc3\xa9 HTTP/1.1\r\nHost: a.test\r\nUser-Agent: M\xc3\xb6zilla\r\n\r\n",
        b"GET /two HTTP/1.1\r\nHost: a.test\r\nUser-Agent: " + b"u" * 1024 + b"\r\n\r\n",
    ]
    statuses = both(it, nginx, pki, requests)
    fields = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.test"), (b":path", b"/h2")]
    for port in (it.port, nginx.port):
        client = Client(port, pki.public.file)
        stream = client.ask([*fields, (b"user-agent", b"two"), (b"referer", b"https://b.test/")], last=True)
        assert client.until(stream, lambda of=stream: of.ended is not None).status == 200
        client.sock.close()
    pairs = told(it, nginx, len(requests) + 1)
    kept = [pair for pair, (a, b) in zip(pairs, [*statuses, (200, 200)], strict=True) if a == b == 200]
    assert len(kept) >= 5
    assert [ours for ours, _ in kept] == [theirs for _, theirs in kept]
    assert kept[-1][0].split("] ")[1] == '"GET /h2 HTTP/2.0" 200 2 "https://b.test/" "two"'


def test_no_query_and_no_secret_is_in_a_line(edge: Edges, raw: Raws, pki: Pki) -> None:
    """G02."""
    it = edge(route(raw(answering(OK)).port), log=COMBINED)
    with tls(it.port, "a.test", pki.public.file) as sock:
        fields = (
            "Authorization: Bearer s3cret\r\nCookie: s=s3cret\r\nReferer: https://a.test/reset?token=s3cret#s3cret\r\n"
        )
        assert exchange(sock, f"GET /x?q=s3cret HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n").status == 200
    (line,) = until(lambda: whole_lines(it.log))
    assert "s3cret" not in line
    assert timeless(line).endswith('"GET /x HTTP/1.1" 200 2 "https://a.test/reset" "-"')


def test_what_is_no_request_has_a_line_that_says_so(edge: Edges, raw: Raws, pki: Pki) -> None:
    """Passthrough, TCP, a refusal before TLS, one within it, one of a request."""
    pki.public.leaf("streams", "mq.test")
    backend = raw(answering(OK))
    through = raw(answering(OK), pki.pass_leaf)
    routes = (
        route(backend.port, 'path = "/there"')
        + f'[[route]]\nname = "p"\nhost = "pass.test"\ntls = "passthrough"\nto = ["127.0.0.1:{through.port}"]\n'
        + '[[site]]\nname = "streams"\nhosts = ["mq.test"]\ncerts = [{ chain = "{pki}/streams.pem", key = "file:{pki}/streams.key" }]\n'
        + f'[[route]]\nname = "t"\nhost = "mq.test"\nprotocol = "tcp"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n'
    )
    it = edge(routes, log=COMBINED)
    request = "GET /there HTTP/1.1\r\nHost: a.test\r\nUser-Agent: me\r\n\r\n"

    def count(n: int) -> list[str]:
        return until(lambda: found if len(found := whole_lines(it.log)) == n else None)

    for n, name in enumerate(("pass.test", "mq.test")):
        with tls(it.port, name, pki.public.file) as sock:
            assert exchange(sock, request).status == 200
        count(n + 1)
    with pytest.raises(ssl.SSLError):
        tls(it.port, "unknown.test", pki.public.file)
    count(3)
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, request.replace("/there", "/nowhere")).status == 404
        assert exchange(sock, request).status == 200
    taken = [LINE.fullmatch(line) for line in count(5)]
    said = [(m["request"], m["status"], m["agent"], m["client"]) for m in taken if m]
    none = ("-", "000", "-", "127.0.0.1")
    assert said == [
        none,
        none,
        none,
        ("GET /nowhere HTTP/1.1", "404", "me", "127.0.0.1"),
        ("GET /there HTTP/1.1", "200", "me", "127.0.0.1"),
    ]
    assert int(taken[0]["bytes"]) > 2 and int(taken[1]["bytes"]) == len(OK)  # type: ignore[index]
