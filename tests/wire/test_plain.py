"""Listeners that speak plain HTTP: nothing is forwarded from there, and clients are sent to https; asked by real clients
and by bytes that none of them sends."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from everyhop.demo.backends import Backend
from everyhop.demo.stage import free_port
from tests.kit import Answer, EdgeKit, Pki, Raw, exchange, hello_bytes, read_answer, tls
from tests.kit.clients import opened
from tests.kit.edge import until
from tests.kit.raw import OK, answering
from tests.kit.settle import watching

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
Web = tuple[EdgeKit, int]

CONFIGURED = """
[[site]]
name = "edge"
hosts = ["a.test", "*.w.test"]
certs = [{{ chain = "{{pki}}/edge.pem", key = "file:{{pki}}/edge.key" }}]
[[site]]
name = "streams"
hosts = ["c.test"]
certs = [{{ chain = "{{pki}}/edge.pem", key = "file:{{pki}}/edge.key" }}]
[[route]]
name = "a"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{backend}"]
[[route]]
name = "pass"
host = "pass.test"
tls = "passthrough"
to = ["127.0.0.1:{backend}"]
[[route]]
name = "stream"
host = "c.test"
protocol = "tcp"
tls = "plaintext"
to = ["127.0.0.1:{backend}"]
"""
LISTENER = """
[[listener]]
name = "web"
bind = ["127.0.0.1:{port}"]
speaks = "http"
{more}
"""


def configured(port: int, backend: int = 1, more: str = "") -> str:
    return CONFIGURED.format(backend=backend) + LISTENER.format(port=port, more=more)


@pytest.fixture
def web(edge: Edges) -> Web:
    """An edge, and the port where it speaks plain HTTP."""
    port = free_port()
    return edge(configured(port), site=None), port


def plain(port: int) -> socket.socket:
    return opened(socket.create_connection(("127.0.0.1", port), 20))


def ask(port: int, target: str, host: str | None = "a.test", method: str = "GET", more: str = "") -> Answer:
    """One request on a connection of its own, exactly so."""
    named = "" if host is None else f"Host: {host}\r\n"
    with plain(port) as sock:
        return exchange(sock, f"{method} {target} HTTP/1.1\r\n{named}{more}\r\n", method)


def https(it: EdgeKit) -> str:
    return f"https://a.test:{it.port}"


def test_a_request_in_the_clear_is_sent_to_https_with_its_path_and_query_as_they_came(web: Web) -> None:
    it, port = web
    for target in ("/", "/cart?a=1&b=%20x", "//evil.test/..%2f", "/a//b/./c?next=https://evil.test/"):
        answer = ask(port, target)
        assert (answer.status, answer.headers["location"]) == (308, https(it) + target)
    # The host in its one form, whatever port it names; what stands in no URI is encoded.
    assert ask(port, "/x?\xe4|^", "A.Test.:8080").headers["location"] == https(it) + "/x?%C3%A4%7C%5E"
    line = it.line(lambda x: x["path"] == "/cart")
    assert (line["end"], line["status"], line["listener"], line["route"]) == ("plain/redirected", 308, "web", None)
    assert line["client_hop"]["tls"] == "plaintext" and line["backend_hop"] is None
    assert not it.status()["refused"], "who is sent on is not refused"


def test_only_names_that_are_served_with_https_are_sent_there(web: Web) -> None:
    _, port = web
    for name in ("a.test", "x.w.test", "x.y.w.test", "pass.test"):
        assert ask(port, "/", name).headers["location"].startswith(f"https://{name}:")
    for name in ("evil.test", "w.test", "127.0.0.1", "[::1]", "c.test"):
        answer = ask(port, "/", name)
        assert answer.status == 421 and "plain/unknown-host" in answer.text, name
        assert "location" not in answer.headers


def test_nothing_is_forwarded_whatever_a_request_in_the_clear_brings(edge: Edges, raw: Raws) -> None:
    """Nor is a credential taken for anything."""
    port, backend = free_port(), raw(answering(OK))
    it = edge(configured(port, backend.port), site=None)
    secret = "Authorization: Bearer s3cret\r\nCookie: id=s3cret\r\n"
    with watching(it, backend) as reached:
        for method, body in (("POST", "password=s3cret"), ("PUT", "x" * 100_000), ("DELETE", ""), ("GET", "")):
            with plain(port) as sock:
                head = f"{method} /login HTTP/1.1\r\nHost: a.test\r\n{secret}Content-Length: {len(body)}\r\n\r\n"
                answer = exchange(sock, head + body, method)
            assert (answer.status, answer.headers["location"]) == (308, https(it) + "/login")
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n"
        assert ask(port, "/", more=upgrade).status == 308
    assert reached == []
    assert "s3cret" not in it.log.read_text()


def test_a_connection_goes_on_after_it_was_sent_to_https(web: Web) -> None:
    _, port = web
    with plain(port) as sock:
        for target in ("/1", "/2"):
            assert exchange(sock, f"GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n").headers["location"][-2:] == target
        head = exchange(sock, "HEAD /3 HTTP/1.1\r\nHost: a.test\r\n\r\n", "HEAD")
        assert head.status == 308 and head.body == b"" and int(head.headers["content-length"]) > 0


def test_challenges_of_acme_are_never_sent_to_https(web: Web) -> None:
    """RFC 8555 §8.3: an authority asks in the clear."""
    _, port = web
    for name in ("a.test", "pass.test", "c.test"):
        for path in ("/.well-known/acme-challenge/tok", "/.well-known/acme%2Dchallenge/tok"):
            answer = ask(port, path, name)
            assert answer.status == 404 and "plain/no-challenge" in answer.text
    assert ask(port, "/.well-known/acme-challenge/tok", "evil.test").status == 421
    assert ask(port, "/.well-known/acme-challenges").status == 308


def test_targets_in_every_form_are_judged_by_the_host_that_counts(web: Web) -> None:
    """RFC 9112 §3.2."""
    it, port = web
    assert ask(port, "http://a.test/x?y").headers["location"] == https(it) + "/x?y"
    assert ask(port, "HTTP://A.TEST:80/x").headers["location"] == https(it) + "/x"
    for target, host in (
        ("http://a.test/", "evil.test"),
        ("http://evil.test/", "a.test"),
        ("http://a.test/", "x.w.test"),
    ):
        answer = ask(port, target, host)
        assert answer.status == 400 and "plain/host-contradicted" in answer.text
    assert ask(port, "http://evil.test/", "evil.test").status == 421
    assert ask(port, "*", method="OPTIONS").headers["location"] == https(it)
    assert ask(port, "a.test:443", method="CONNECT").status == 405
    with plain(port) as sock:
        assert exchange(sock, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n").headers["location"] == https(it) + "/"
    with plain(port) as sock:
        answer = exchange(sock, "GET / HTTP/1.0\r\n\r\n")
    assert answer.status == 400 and "request/bad-host" in answer.text


@pytest.mark.parametrize(
    ("sent", "status", "slug"),
    [
        ("GET / HTTP/1.1\r\n\r\n", 400, "http1/no-host"),
        ("GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n", 400, "http1/two-hosts"),
        ("GET / HTTP/1.1\nHost: a.test\n\n", 400, "http1/bare-lf"),
        ("GET /%00 HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "request/bad-target"),
        ("GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "http1/conf"),
        ("GET / HTTP/1.1\r\nHost: a.test\r\nX: " + "x" * 100_000, 431, "http1/head-too-long"),
        ("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 505, "http1/version"),
        ("POST / HTTP/9.9\r\nHost: a.test\r\n\r\n", 505, "http1/version"),
    ],
)  # fmt: skip
def test_requests_in_the_clear_are_read_as_strictly_as_inside_tls(web: Web, sent: str, status: int, slug: str) -> None:
    it, port = web
    with plain(port) as sock:
        answer = exchange(sock, sent)
        assert answer.status == status and slug in answer.text
        assert sock.recv(1) == b"", "who is refused for what it sent is let go"
    assert it.line(lambda x: x["end"].startswith(slug))["client_hop"]["tls"] == "plaintext"


def test_tls_at_a_port_of_plain_http_is_answered_in_words_and_logged(web: Web) -> None:
    it, port = web
    with plain(port) as sock:
        sock.sendall(hello_bytes("a.test"))
        answer = read_answer(sock)
    assert answer.status == 400 and "plain HTTP" in answer.text
    assert it.line(lambda x: x["end"] == "plain/tls")["listener"] == "web"
    assert it.status()["refused"]["plain/tls"] == 1


def test_a_client_of_http2_in_the_clear_is_sent_to_https_too(web: Web) -> None:
    """By prior knowledge (RFC 9113 §3.3), however its first bytes are cut."""
    it, port = web
    for cut in (1, 3, 24, 1000):
        told = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        told.initiate_connection()
        head = [(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", "/two?x=1")]
        told.send_headers(1, head, end_stream=True)
        with plain(port) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            out = told.data_to_send()
            for at in range(0, len(out), cut):
                sock.sendall(out[at : at + cut])
            fields: dict[str, str] = {}
            while not fields:
                for event in told.receive_data(sock.recv(1 << 16)):
                    if isinstance(event, h2.events.ResponseReceived):
                        fields = {str(name): str(value) for name, value in event.headers}
        assert (fields[":status"], fields["location"]) == ("308", https(it) + "/two?x=1")
    assert it.line(lambda x: x["path"] == "/two")["protocol"] == "h2"


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
def test_a_request_with_https_that_comes_in_the_clear_is_not_sent_to_where_it_came_from(web: Web, scheme: str) -> None:
    """It would come back for ever: who ends TLS before the edge is told what is wrong."""
    it, port = web
    for target in (f"{scheme}://a.test/loop?x", f"{scheme}://a.test:{port}/loop", f"{scheme}://a.test"):
        answer = ask(port, target)
        assert (answer.status, answer.headers.get("location")) == (421, None)
        assert "plain/https-already" in answer.text and "with https already" in answer.text
    assert it.line(lambda x: x["path"] == "/loop")["end"] == "plain/https-already"
    # Who names what is not here, or two hosts, or asks for a challenge, is told that.
    assert "plain/unknown-host" in ask(port, f"{scheme}://evil.test/", "evil.test").text
    assert "plain/host-contradicted" in ask(port, f"{scheme}://a.test/", "evil.test").text
    assert "plain/no-challenge" in ask(port, f"{scheme}://a.test/.well-known/acme-challenge/x").text
    for odd in ("ftp://a.test/", "https:/a.test/", "https:a.test", "https://", "https://me@a.test/", "//a.test:x/"):
        answer = ask(port, odd)
        assert answer.status in (400, 308) and "https-already" not in answer.text
        assert answer.status == 400 or answer.headers["location"] == https(it) + odd, "a path like another"


def test_a_request_over_http2_in_the_clear_that_says_https_is_not_sent_there(web: Web) -> None:
    it, port = web
    told = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    told.initiate_connection()
    head = [(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/two")]
    told.send_headers(1, head, end_stream=True)
    fields: dict[str, str] = {}
    with plain(port) as sock:
        sock.sendall(told.data_to_send())
        while not fields:
            for event in told.receive_data(sock.recv(1 << 16)):
                if isinstance(event, h2.events.ResponseReceived):
                    fields = {str(name): str(value) for name, value in event.headers}
    assert (fields[":status"], fields.get("location")) == ("421", None)
    assert it.line(lambda x: x["path"] == "/two")["end"] == "plain/https-already"


def test_what_a_believed_proxy_took_with_https_is_not_sent_there_again(edge: Edges) -> None:
    """A load balancer that ends TLS before this port: its clients would go round for ever."""
    more = 'trusted_proxies = { networks = ["127.0.0.1/32"], believe = ["proto"] }\n'
    for trusted, told, status in (("", "https", 308), (more, "https", 421), (more, "http", 308), (more, "", 308)):
        port = free_port()
        it = edge(configured(port, more=trusted), site=None)
        field = f"X-Forwarded-Proto: {told}\r\n" if told else ""
        assert ask(port, "/", more=field).status == status, (trusted, told)
        it.close()


def test_real_clients_follow_to_where_the_same_request_is_served(edge: Edges, pki: Pki) -> None:
    curl = shutil.which("curl")
    assert curl
    port, backend = free_port(), Backend("b")
    it = edge(configured(port, backend.port), site=None)
    for version in ("--http1.1", "--http2-prior-knowledge"):
        resolve = [word for p in (it.port, port) for word in ("--resolve", f"a.test:{p}:127.0.0.1")]
        follow = [curl, "-sS", "-L", "--cacert", str(pki.public.file), *resolve, "-w", "%{url_effective} %{http_code}"]
        target = f"http://a.test:{port}/deep?q=1"
        done = subprocess.run(
            [*follow, version, "-d", "k=v", target], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout.endswith(f"{https(it)}/deep?q=1 200"), done.stdout + done.stderr
    seen = it.line(lambda x: x["route"] == "a")
    assert (seen["method"], seen["path"], seen["status"]) == ("POST", "/deep", 200), "308 keeps the method"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/py", headers={"Host": "a.test"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, https(it) + "/py")
    connection.close()
    backend.close()


def test_who_waits_with_a_request_in_the_clear_is_let_go(edge: Edges) -> None:
    port = free_port()
    it = edge(configured(port), site=None, more="[limits]\nhead_s = 1\n")
    for begun in (b"", b"P", b"PRI * HT"):
        with plain(port) as sock:
            sock.sendall(begun)
            assert sock.recv(1) == b"", "and no word, since nobody asked anything"
    it.line(lambda x: x["end"] == "request/head-too-slow")
    with plain(port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHo")
        assert read_answer(sock).status == 408
    with plain(port) as sock:
        sock.sendall(b"PRI * HT")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
    it.line(lambda x: x["end"] == "request/body-truncated")


def test_a_check_that_only_connects_is_a_probe_there_too(web: Web) -> None:
    it, port = web
    plain(port).close()
    until(lambda: it.status()["probes"] == 1)
    assert it.lines() == []


def test_a_full_listener_of_plain_http_takes_no_more(edge: Edges) -> None:
    """D01."""
    port = free_port()
    it = edge(configured(port, more="connections = 1"), site=None)
    with plain(port) as held:
        assert exchange(held, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 308
        with plain(port) as sock:
            with contextlib.suppress(OSError):
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
                assert sock.recv(1) == b""
        until(lambda: it.status()["refused"].get("connection/limit"))
        with tls(it.port, "a.test", it.pki.public.file):
            pass  # the other listener's are counted by themselves


def test_a_proxy_header_is_taken_in_front_of_plain_http(edge: Edges) -> None:
    port = free_port()
    it = edge(configured(port, more='accept_proxy = ["127.0.0.0/8"]'), site=None)
    with plain(port) as sock:
        answer = exchange(sock, "PROXY TCP4 203.0.113.9 127.0.0.1 9 80\r\nGET /p HTTP/1.1\r\nHost: a.test\r\n\r\n")
    assert answer.status == 308
    assert it.line(lambda x: x["path"] == "/p")["client"] == "203.0.113.9"
    with plain(port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert sock.recv(1) == b""
    it.line(lambda x: x["end"] == "proxy/malformed")


def test_a_proxy_header_that_nobody_asked_for_is_refused_as_what_it_is_in_front_of_plain_http(edge: Edges) -> None:
    port = free_port()
    it = edge(configured(port), site=None)
    with plain(port) as sock:
        sock.sendall(b"PROXY TCP4 203.0.113.9 127.0.0.1 9 80\r\nGET /p HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert sock.recv(1) == b""
    assert it.line(lambda x: x["end"] == "proxy/unexpected")["client"] == "127.0.0.1"


def test_the_port_is_in_the_location_unless_it_is_that_of_https(edge: Edges) -> None:
    port = free_port()
    it = edge(configured(port, more="https_port = 443"), site=None)
    assert ask(port, "/x").headers["location"] == "https://a.test/x"
    assert it.reload(configured(port, more="https_port = 9443"))["reloaded"]
    assert ask(port, "/x").headers["location"] == "https://a.test:9443/x"


def test_a_connection_in_the_clear_does_not_outlive_what_its_listener_was(web: Web) -> None:
    it, port = web
    get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
    with plain(port) as stays:
        assert exchange(stays, get).status == 308
        assert it.reload(configured(port) + "[status]\n")["reloaded"]
        assert exchange(stays, get).status == 308
        text = configured(port).replace('speaks = "http"', "")
        assert it.reload(text)["reloaded"]
        assert stays.recv(1) == b"", "TLS is spoken there now"
    with tls(port, "a.test", it.pki.public.file):
        pass


def test_where_says_what_becomes_of_a_request_in_the_clear(web: Web) -> None:
    it, _ = web
    for offline in ([], ["--offline"]):
        config = ["--config", str(it.config), *offline]
        sent = it.cli("where", "http://a.test/cart", *config)
        assert sent.returncode == 0 and "sent to https with 308" in sent.stdout, sent.stdout + sent.stderr
        assert "everyhop where a.test/cart" in sent.stdout
        unknown = it.cli("where", "http://evil.test/", *config)
        assert unknown.returncode == 1 and "plain/unknown-host" in unknown.stdout
        challenge = it.cli("where", "http://a.test/.well-known/acme-challenge/x", *config, "--json")
        assert json.loads(challenge.stdout)["slug"] == "plain/no-challenge"
        # Without http:// the question is for TLS, though the listener of plain HTTP may stand first.
        assert json.loads(it.cli("where", "a.test/", *config, "--json").stdout)["route"] == "a"
        assert json.loads(it.cli("where", "a.test/", "--listener", "web", *config, "--json").stdout)["status"] == 308
    it.config.write_text(it.config.read_text().replace('speaks = "http"', ""))
    none = it.cli("where", "http://a.test/", "--config", str(it.config), "--offline")
    assert none.returncode == 2 and 'speaks = "http"' in none.stderr


def test_status_and_metrics_tell_the_listener_and_what_it_sent_to_https(edge: Edges) -> None:
    port, metrics = free_port(), free_port()
    it = edge(configured(port), site=None, more=f'[status]\nbind = "127.0.0.1:{metrics}"\n')
    for _ in range(3):
        assert ask(port, "/").status == 308
    assert ask(port, "/", "evil.test").status == 421
    told = it.cli("status", "--config", str(it.config)).stdout
    assert f"web at 127.0.0.1:{port}: plain HTTP, forwards nothing; sent to https: 3" in told
    assert it.reload(configured(port, more="connections = 9"))["reloaded"], "and the count outlives a plan"
    with plain(metrics) as sock:
        text = exchange(sock, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").text
    assert 'everyhop_redirected_total{listener="web"} 3' in text
    assert 'everyhop_listener_connections{listener="web"} 0' in text


def test_a_plain_listener_is_told_for_what_it_is(web: Web, tmp_path: Path) -> None:
    it, port = web
    told = it.cli("explain", str(it.config)).stdout
    assert f"Listener 'web' at 127.0.0.1:{port} speaks plain HTTP and forwards nothing" in told
    page = tmp_path / "page.html"
    assert it.cli("explain", str(it.config), "--html", str(page), "--offline").returncode == 0
    assert "speaks plain HTTP and forwards nothing" in page.read_text()
    without = tmp_path / "without.toml"
    without.write_text(it.config.read_text().split('[[listener]]\nname = "web"')[0])
    changed = it.cli("diff", str(without), str(it.config))
    assert changed.returncode == 0, changed.stdout
    assert f"plain HTTP is taken at 127.0.0.1:{port}" in changed.stdout and "nothing is forwarded" in changed.stdout
