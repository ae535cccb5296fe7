"""Strict-Transport-Security (RFC 6797): in every answer over TLS, the edge's own too, as the site has it; never in the clear."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

from everyhop.demo.stage import free_port
from tests.kit import Answer, EdgeKit, Pki, Raw, exchange, tls
from tests.kit.raw import answering
from tests.wire.test_plain import ask

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

FIELD = "strict-transport-security"
# The edge ends TLS; a backend's own word of it, twice and in another case, is not what it says.
THEIRS = (
    b"HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nX-Kept: yes\r\nstrict-transport-security: max-age=2\r\n"
    b"Content-Length: 2\r\n\r\nok"
)
ROUTE = '[[route]]\nname = "r"\nhost = "a.test"\npath = "/there"\ntls = "plaintext"\nto = ["127.0.0.1:{}"]\n'


def get(it: EdgeKit, path: str = "/there") -> Answer:
    with tls(it.port, "a.test", it.pki.public.file) as sock:
        return exchange(sock, f"GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")


def test_every_answer_over_tls_says_it_once_and_none_in_the_clear(edge: Edges, raw: Raws) -> None:
    backend, port = raw(answering(THEIRS)), free_port()
    web = f'[[listener]]\nname = "web"\nbind = ["127.0.0.1:{port}"]\nspeaks = "http"\n'
    site = "hsts = { max_age_s = 31536000, subdomains = true, preload = true }"
    it = edge(ROUTE.format(backend.port), site=site, more=web)
    value = "max-age=31536000; includeSubDomains; preload"
    answer = get(it)
    assert (answer.status, answer.headers[FIELD], answer.headers["x-kept"]) == (200, value, "yes")
    own = get(it, "/nowhere")
    assert (own.status, own.headers[FIELD]) == (404, value)
    with tls(it.port, "a.test", it.pki.public.file) as sock:
        broken = exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n")
    assert (broken.status, broken.headers[FIELD]) == (400, value)
    curl = shutil.which("curl")
    assert curl
    for path, status in (("there", "200"), ("nowhere", "404")):
        for version in ("--http2", "--http1.1"):
            asked = [
                "--cacert",
                str(it.pki.public.file),
                "--resolve",
                f"a.test:{it.port}:127.0.0.1",
                "-D",
                "-",
                "-o",
                "/dev/null",
            ]
            done = subprocess.run(
                [curl, "-sS", version, *asked, f"https://a.test:{it.port}/{path}"],
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            said = [row.strip() for row in done.stdout.splitlines() if row.lower().startswith(FIELD)]
            assert said == [f"{FIELD}: {value}"] and status in done.stdout.splitlines()[0], done.stdout + done.stderr
    for path in ("/there", "/.well-known/acme-challenge/x"):
        assert FIELD not in ask(port, path).headers
    assert FIELD not in ask(port, "/", "evil.test").headers


def test_without_it_what_the_backend_says_goes_on(edge: Edges, raw: Raws) -> None:
    backend = raw(answering(THEIRS.replace(b"Strict-Transport-Security: max-age=1\r\n", b"")))
    assert get(edge(ROUTE.format(backend.port))).headers[FIELD] == "max-age=2"


def test_a_connection_that_is_open_says_what_the_plan_of_now_has(edge: Edges, raw: Raws, pki: Pki) -> None:
    backend = raw(answering(THEIRS))
    it = edge(ROUTE.format(backend.port), site="hsts = { max_age_s = 60 }")
    with tls(it.port, "a.test", pki.public.file) as sock:
        request = "GET /there HTTP/1.1\r\nHost: a.test\r\n\r\n"
        assert exchange(sock, request).headers[FIELD] == "max-age=60"
        it.site = "hsts = { max_age_s = 0 }"
        assert it.reload(ROUTE.format(backend.port))["reloaded"]
        assert exchange(sock, request).headers[FIELD] == "max-age=0"
