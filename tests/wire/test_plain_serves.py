"""Listeners that serve what comes in the clear, for an edge behind another one that ended TLS: the client's hop is open, and every
place that speaks of it says so. Judged at recording backends, with the bytes that a peer in front would send."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
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
from tests.promises.backend import Counting
from tests.promises.clients import UPGRADE, echoed, echoes
from tests.promises.clock import Wall, can_run

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

LISTENER = '[[listener]]\nname = "inner"\nbind = ["{at}:{port}"]\nspeaks = "http"\nserve = true\n{more}\n'
ACCEPTED = (
    'acceptance = {{ owner = "me@a.test", why = "the balancer ends TLS", context = "isolated-network", since = {since}, '
    "until = {until} }}"
)
AWAY = "127.0.0.2"
"""Another network, as far as it is taken for one: only 127.0.0.1 and [::1] are this host."""


def serving(port: int, more: str = "", at: str = "127.0.0.1") -> str:
    return LISTENER.format(at=at, port=port, more=more)


def accepted(lasts: dt.timedelta = dt.timedelta(days=60)) -> str:
    now = dt.datetime.now(dt.UTC)
    return ACCEPTED.format(since=now.date().isoformat(), until=(now + lasts).replace(microsecond=0).isoformat())


def route(port: int, more: str = "", name: str = "r", host: str = "a.test") -> str:
    return f'[[route]]\nname = "{name}"\nhost = "{host}"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}\n'


def plain(port: int, at: str = "127.0.0.1") -> socket.socket:
    return opened(socket.create_connection((at, port), 20))


def ask(port: int, target: str = "/", host: str = "a.test", more: str = "", at: str = "127.0.0.1") -> Answer:
    with plain(port, at) as sock:
        return exchange(sock, f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n")


def over_http2(port: int, *fields: tuple[str, str], scheme: str = "http", path: str = "/") -> int:
    """The status of one request by prior knowledge."""
    told = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    told.initiate_connection()
    head = [(":method", "GET"), (":scheme", scheme), (":authority", "a.test"), (":path", path), *fields]
    told.send_headers(1, head, end_stream=True)
    with plain(port) as sock:
        sock.sendall(told.data_to_send())
        while True:
            for event in told.receive_data(sock.recv(1 << 16)):
                if isinstance(event, h2.events.ResponseReceived):
                    return int({str(n): str(v) for n, v in event.headers}[":status"])


@pytest.fixture
def backend() -> Iterator[Backend]:
    it = Backend("b")
    yield it
    it.close()


@pytest.fixture
def wall() -> Iterator[Wall]:
    with tempfile.TemporaryDirectory(prefix="eh-clock-") as folder:
        it = Wall(Path(folder))
        with it.over():
            yield it


def test_a_request_in_the_clear_is_served_and_its_backend_is_told_that_it_came_so(
    edge: Edges, pki: Pki, backend: Backend
) -> None:
    port = free_port()
    it = edge(route(backend.port) + serving(port))
    for target, host in (("/x", "a.test"), ("http://a.test/x", "a.test"), ("https://a.test/x", "a.test")):
        assert ask(port, target, host).status == 200
        told = backend.seen[-1]
        assert (told["x-forwarded-proto"], told["x-forwarded-for"]) == ("http", "127.0.0.1"), target
        assert "proto=http;" in told["forwarded"]
    for scheme in ("http", "https"):
        assert over_http2(port, scheme=scheme) == 200, "by prior knowledge"
        assert backend.seen[-1]["x-forwarded-proto"] == "http"
    line = it.line(lambda x: x["path"] == "/x")
    assert (line["listener"], line["route"], line["client_hop"]["tls"]) == ("inner", "r", "plaintext")
    assert line["client_hop"]["version"] is None and line["client_hop"]["peer"] is None
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, "GET /t HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 200
    assert backend.seen[-1]["x-forwarded-proto"] == "https", "the other listener is as it was"


def test_with_https_it_came_only_where_a_proxy_says_so_that_is_believed(edge: Edges, backend: Backend) -> None:
    """What a client writes is taken out; of a proxy that is believed in addresses alone, too."""
    fields = "X-Forwarded-Proto: https\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Host: b.test\r\n"
    believed = 'trusted_proxies = { networks = ["127.0.0.1/32"], believe = ["address", "proto"] }'
    for more, proto, address in (
        ("", "http", "127.0.0.1"),
        ('trusted_proxies = ["127.0.0.1/32"]', "http", "203.0.113.9, 127.0.0.1"),
        (believed, "https", "203.0.113.9, 127.0.0.1"),
    ):
        port = free_port()
        it = edge(route(backend.port) + serving(port, more))
        assert ask(port, more=fields).status == 200
        assert over_http2(port, ("x-forwarded-proto", "https"), ("x-forwarded-for", "203.0.113.9")) == 200
        for told in backend.seen[-2:]:
            assert (told["x-forwarded-proto"], told["x-forwarded-for"]) == (proto, address), more
            assert told["x-forwarded-host"] == "a.test"
        if more == believed:
            assert ask(port).status == 200 and backend.seen[-1]["x-forwarded-proto"] == "http", (
                "of nothing it said nothing"
            )
        it.close()


def test_what_needs_a_handshake_is_unknown_there(edge: Edges, pki: Pki, raw: Raws) -> None:
    passed, streamed, served = raw(answering(OK)), raw(answering(OK)), raw(answering(OK))
    port = free_port()
    more = route(passed.port, name="pass", host="pass.test").replace('"plaintext"', '"passthrough"')
    more += f'[[site]]\nname = "streams"\nhosts = ["s.test"]\ncerts = [{{ chain = "{pki.folder}/edge.pem", key = "file:{pki.folder}/edge.key" }}]\n'
    more += route(streamed.port, 'protocol = "tcp"', "stream", "s.test")
    # A name below a wildcard of the site that is served there is its own all the same.
    more = more.replace("s.test", "x.w.test")
    it = edge(route(served.port) + route(served.port, name="below", host="*.w.test") + more + serving(port))
    for name in ("pass.test", "evil.test", "x.w.test", "127.0.0.1"):
        answer = ask(port, host=name)
        assert answer.status == 421 and "plain/unknown-host" in answer.text, name
        assert it.line(lambda x, name=name: x["host"] == name)["end"] == "plain/unknown-host"  # type: ignore[misc]
    assert not passed.received and not streamed.received and ask(port).status == 200
    with plain(port) as sock:
        sock.sendall(hello_bytes("a.test"))
        assert read_answer(sock).status == 400
    it.line(lambda x: x["end"] == "plain/tls")


def test_requests_are_read_and_judged_as_strictly_as_inside_tls(edge: Edges, raw: Raws) -> None:
    peer = raw(answering(OK))
    port = free_port()
    it = edge(route(peer.port, 'path = "/v1"\npaths = "strict"') + serving(port))
    for sent, status, slug in (
        ("GET /v1 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "http1/"),
        ("GET /v1/..%2f HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "request/bad-target"),
        ("GET /other HTTP/1.1\r\nHost: a.test\r\n\r\n", 404, "request/not-found"),
        ("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n", 405, "request/connect"),
        ("GET /v1 HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", 200, "ok"),
    ):
        with plain(port) as sock:
            answer = exchange(sock, sent)
        assert answer.status == status and slug in answer.text, sent
    assert b"upgrade" not in peer.received.lower() and peer.received.count(b"GET /") == 1, (
        "one was offered h2c, and stayed"
    )
    # And several on one connection, as long as both want.
    with plain(port) as sock:
        for _ in range(3):
            assert exchange(sock, "GET /v1 HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 200
    assert it.status()["routes"][0]["requests"] >= 3


def test_a_site_without_a_certificate_is_served_in_the_clear_alone(edge: Edges, pki: Pki, backend: Backend) -> None:
    port = free_port()
    inner = '[[site]]\nname = "inner"\nhosts = ["inner.test"]\nlisteners = ["inner"]\n'
    it = edge(inner + route(backend.port, host="inner.test") + serving(port), site=None)
    assert ask(port, host="inner.test").status == 200
    with pytest.raises(OSError):
        tls(it.port, "inner.test", pki.public.file).close()


def test_tunnels_pass_and_a_reload_that_changes_nothing_of_them_cuts_none(edge: Edges) -> None:
    peer, port = Counting(), free_port()
    it = edge(route(peer.port) + serving(port))
    with plain(port) as sock:
        assert exchange(sock, UPGRADE.format(host="a.test")).status == 101
        echoed(sock, b"there")
        assert it.reload(route(peer.port) + serving(port) + route(peer.port, 'path = "/more"', "more"))["reloaded"]
        echoed(sock, b"still there")
        assert it.reload(route(peer.port) + serving(port).replace("serve = true", ""))["reloaded"]
        assert gone(sock), "nothing goes on from there now"
    assert it.line(lambda x: x["status"] == 101)["end"] == "tunnel/route-gone"
    assert ask(port).status == 308
    peer.close()


def gone(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_a_connection_does_not_outlive_what_its_listener_was(edge: Edges, backend: Backend) -> None:
    port = free_port()
    it = edge(route(backend.port) + serving(port))
    get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
    with plain(port) as sock:
        assert exchange(sock, get).status == 200
        assert it.reload(route(backend.port) + serving(port) + "[status]\n")["reloaded"]
        assert exchange(sock, get).status == 200
        assert it.reload(route(backend.port) + serving(port).replace("serve = true", ""))["reloaded"]
        assert gone(sock)
    assert ask(port).status == 308


@pytest.mark.skipif(not can_run(), reason="there is no C compiler to build the clock with")
def test_when_the_acceptance_ends_nothing_more_is_served_and_what_was_begun_has_a_drain(
    wall: Wall, edge: Edges
) -> None:
    peer, port, metrics = Counting(), free_port(), free_port()
    listener = serving(port, accepted(dt.timedelta(hours=1)), AWAY)
    it = edge(route(peer.port) + listener, more=f'[status]\nbind = "127.0.0.1:{metrics}"\n', drain_s=600)
    with plain(port, AWAY) as sock, plain(port, AWAY) as kept:
        assert exchange(sock, UPGRADE.format(host="a.test")).status == 101
        assert exchange(kept, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 200
        with plain(metrics) as told:
            text = exchange(told, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").text
        assert 'everyhop_expires_timestamp_seconds{kind="listener-acceptance",name="inner"}' in text
        wall.jump(3600 + 60)
        until(lambda: ask(port, at=AWAY).status == 503 or None, 20)
        over = exchange(kept, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert over.status == 503 and "plain/acceptance-expired" in over.text
        assert "plain/acceptance-expired" in over.headers["proxy-status"]
        echoed(sock, b"its request was let in")
        shown = it.cli("status", "--config", str(it.config)).stdout
        assert "no more: the acceptance of me@a.test ended" in shown and "listener-closed" in shown
        wall.jump(3600 + 660)
        until(lambda: not echoes(sock, b"more") or None, 20)
    assert it.line(lambda x: x["status"] == 101)["end"] == "plain/acceptance-expired"
    assert it.line(lambda x: x["status"] == 503)["end"] == "plain/acceptance-expired"
    with tls(it.port, "a.test", it.pki.public.file) as other:
        assert exchange(other, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 200, "others go on"
    peer.close()


def test_every_place_that_speaks_of_the_route_says_that_its_clients_hop_is_open(
    edge: Edges, backend: Backend, tmp_path: Path
) -> None:
    here, away = free_port(), free_port()
    listeners = serving(here) + serving(away, accepted(), AWAY).replace('"inner"', '"outer"')
    it = edge(route(backend.port) + route(backend.port, 'listeners = ["public"]\npath = "/shut"', "shut") + listeners)
    config = ["--config", str(it.config)]
    assert ask(here).status == 200
    it.line(lambda x: x["route"] == "r")
    explained = it.cli("explain", str(it.config)).stdout
    assert (
        f"Requests come to it in the clear by listener 'inner' at 127.0.0.1:{here}: nobody proves anything" in explained
    )
    assert "me@a.test accepted that" in explained and "the balancer ends TLS (isolated-network" in explained
    assert "client --[eye! plaintext]-- edge" in explained and "Between client and edge: in the clear" in explained
    assert "whoever is on the way from client to edge: reads, changes, pretends" in explained
    assert "the clients' network" in explained
    first, shut = json.loads(it.cli("explain", str(it.config), "--json").stdout)
    assert [way["listener"] for way in first["open_at"]] == ["inner", "outer"] and first["clients"] == "not asked"
    assert "TLS ends at the edge" in explained and first["encrypted_too"]
    assert not first["hops"][0]["encrypted"] and shut["hops"][0]["encrypted"] and shut["open_at"] == []
    page = tmp_path / "page.html"
    assert it.cli("explain", str(it.config), "--html", str(page), "--offline").returncode == 0
    assert "serves requests that come in the clear" in page.read_text() and "listener outer" in page.read_text()
    checked = it.cli("check", str(it.config)).stdout
    assert "client =TLS= or -!plaintext!- edge" in checked and "this host, the clients' network" in checked
    for where in ([], ["--offline"]):
        told = it.cli("where", f"http://a.test:{away}/", *config, *where)
        assert told.returncode == 0 and "client -!plaintext!- edge" in told.stdout, told.stdout + told.stderr
        assert "in the clear by listener 'outer', where nobody proves anything: me@a.test" in told.stdout
        judged = json.loads(it.cli("where", f"http://a.test:{here}/", *config, *where, "--json").stdout)
        assert (judged["verdict"], judged["listener"], judged["route"]) == ("serve", "inner", "r")
        refused = it.cli("where", f"http://evil.test:{here}/", *config, *where)
        assert refused.returncode == 1 and "plain/unknown-host" in refused.stdout
        assert "client =TLS= edge" in it.cli("where", "a.test/", *config, *where).stdout
    shown = it.cli("status", *config).stdout
    assert f"inner at 127.0.0.1:{here}: -!plaintext!- from clients, served to this host alone" in shown
    assert f"outer at {AWAY}:{away}: -!plaintext!- from clients, served; me@a.test accepted it until" in shown
    assert "from the client !plaintext! | !plaintext!" in shown


def test_a_listener_that_begins_to_serve_and_an_acceptance_that_lasts_longer_have_to_be_allowed(
    edge: Edges, backend: Backend, tmp_path: Path
) -> None:
    port = free_port()
    it = edge(route(backend.port))
    short, long_ = (route(backend.port) + serving(port, accepted(dt.timedelta(days=n)), AWAY) for n in (50, 60))
    before, texts = it.config.read_text(), []
    for n, routes in enumerate((route(backend.port), short, long_)):
        it.write(routes)
        texts.append(tmp_path / f"{n}.toml")
        texts[-1].write_text(it.config.read_text())
    it.config.write_text(before)
    at = f"{AWAY}:{port}"
    for old, new, kind in ((0, 1, "plain-served"), (1, 2, "acceptance-lengthened")):
        refused = it.cli("diff", str(texts[old]), str(texts[new]))
        assert refused.returncode == 1 and f"{kind}:{at}" in refused.stdout, refused.stdout + refused.stderr
        assert it.cli("diff", str(texts[old]), str(texts[new]), "--allow", f"{kind}:{at}").returncode == 0
        assert it.cli("diff", str(texts[new]), str(texts[old])).returncode == 0, "the other way is stronger"


def test_real_clients_are_served_in_both_protocols(edge: Edges, backend: Backend) -> None:
    curl = shutil.which("curl")
    assert curl
    port = free_port()
    edge(route(backend.port) + serving(port))
    for version in ("--http1.1", "--http2-prior-knowledge"):
        resolve = ["--resolve", f"a.test:{port}:127.0.0.1", "--max-time", "20"]
        target = f"http://a.test:{port}/deep?q=1"
        done = subprocess.run(
            [curl, "-sS", *resolve, version, "-d", "k=v", "-w", "%{http_code}", target],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.endswith("200"), done.stdout + done.stderr
