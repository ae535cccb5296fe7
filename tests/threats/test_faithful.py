"""What must pass: an edge that refuses what applications send is not chosen. As binding as what must not."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest

from tests.kit import EdgeKit, Pki, Raw, tls
from tests.kit.edge import until
from tests.kit.raw import OK, Record, answering
from tests.threats.ground import HOSTS, TERMINATING, Ground, response, watched
from tests.threats.talk import PROTOCOLS, Talk, arrivals

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

# Of npm, GitLab, RabbitMQ, Jenkins, S3, WebDAV, Tomcat; of clients that encode too much, too little or in Latin-1.
TARGETS = [
    b"/@scope%2fname",
    b"/api/v4/projects/g%2Fp/repository/files/a%2Eb%2Fc.md?ref=main",
    b"/api/queues/%2F/q",
    b"/job/feature%252Fx/",
    b"/bucket/a//b",
    b"//api/version",
    b"/bucket/a%5Cb",
    b"/M%FCnchen",
    b"/%C1%B6",
    b"/shop;jsessionid=1/x;a=b?c;d",
    b"/a%7Eb/a%2eb/%61",
    b"/%c3%bc",
    "/\u00fc/\u65e5\u672c".encode(),
    "/x?q=\u00fc".encode(),
    b"/Mixed/CASE",
    b"/a/./b/../c",
    b"/name./%20/x",
    b"/?a=%2F&b=//&c=..",
    b"/x'()*!$&,=:@|[]{}^",
]


def of_path(edge: EdgeKit, path: str) -> list[dict[str, Any]]:
    return until(lambda: [x for x in edge.lines() if x["path"] == path])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("pattern", TERMINATING[1:])
def test_a_target_goes_on_byte_for_byte_where_no_route_can_be_confused(
    ground: Ground, pattern: str, protocol: str
) -> None:
    """F01. The host has one route: whatever a backend makes of the path, it is that route's."""
    with watched(ground, pattern) as seen, Talk(ground.edge.port, ground.pki, HOSTS[pattern], protocol) as talk:
        for target in TARGETS:
            assert talk.ask(target).status == 200, target
    got = list(arrivals(seen))
    assert [it.target.encode("latin-1") for it in got] == TARGETS
    ids = {it.one("x-request-id"): it.target for it in got}
    lines = until(lambda: found if ids.keys() <= (found := {x["id"]: x for x in ground.edge.lines()}).keys() else None)
    for id_, arrived in ids.items():
        # The log has the path as it came; a byte beyond ASCII stands there as itself.
        assert lines[id_]["path"] == arrived.split("?")[0]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_target_passes_as_it_came_beside_routes_that_it_cannot_be_taken_for(ground: Ground, protocol: str) -> None:
    """F01. Beside `/adm` all of these are the other route's in every reading, but the one that names it."""
    with watched(ground, "plaintext") as seen, Talk(ground.edge.port, ground.pki, "a.test", protocol) as talk:
        for target in TARGETS:
            assert talk.ask(target).status == 200, target
        assert talk.ask(b"/x%2f..%2fadm").status == talk.ask(b"//adm").status == talk.ask(b"/ADM/x").status == 400
    assert [it.target.encode("latin-1") for it in arrivals(seen)] == TARGETS
    ground.clean()


class Paths:
    """An HTTP/2 backend that keeps the `:path` of each request."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def __call__(self, sock: socket.socket, record: Record) -> None:
        it = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        it.initiate_connection()
        sock.sendall(it.data_to_send())
        while data := record.take(sock, 65536):
            for event in it.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self.seen.append(dict(event.headers)[b":path"])
                    it.send_headers(event.stream_id, [(":status", "200")], end_stream=True)
            sock.sendall(it.data_to_send())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_http_2_backend_gets_the_target_as_it_came_too(edge: Edges, raw: Raws, pki: Pki, protocol: str) -> None:
    """F01."""
    paths = Paths()
    backend = raw(paths, pki.backend, alpn=["h2"])
    more = 'verify = {{ ca = "{{pki}}/internal-ca.pem", name = "backend.internal" }}\nupstream_protocol = "h2"\n'
    it = edge(
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "reencrypt"\nto = ["127.0.0.1:{backend.port}"]\n'
        + more.format()
    )
    with Talk(it.port, pki, "a.test", protocol) as talk:
        for target in TARGETS:
            assert talk.ask(target).status == 200, target
        assert talk.ask(b"*", method=b"OPTIONS").status == 200
    assert paths.seen == [*TARGETS, b"*"]
    # Which HTTP/1 takes, and a request of HTTP/2 cannot have.
    with Talk(it.port, pki, "a.test", "http/1.1") as talk:
        told = talk.ask(b"/query?a=<b>")
        assert told.status == 400 and b"request/bad-target" in told.body
    assert "percent-encoded" in of_path(it, "/query")[0]["detail"] and paths.seen[-1] == b"*"


def test_a_strict_route_takes_plain_paths_alone_and_sends_them_in_their_one_form(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    """R01."""
    backend = raw(answering(OK))
    it = edge(
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\npaths = "strict"\nto = ["127.0.0.1:{backend.port}"]\n'
    )
    with Talk(it.port, pki, "a.test", "http/1.1") as talk:
        assert talk.ask(b"/a%7Eb/%c3%bc?c=%7e").status == 200
        for target in (b"/a%2fb", b"//a", b"/a/./b", b"/%252e", b"/%C1%B6"):
            assert talk.ask(target).status == 400, target
        assert talk.ask(b"/Mixed;a=b").status == 200
    assert [r.split(b" ")[1] for r in backend.received.split(b"\r\n\r\n") if r] == [b"/a~b/%C3%BC?c=%7e", b"/Mixed;a=b"]
    refused = of_path(it, "/a%2fb")
    assert refused[0]["route"] == "r" and 'paths = "strict"' in refused[0]["detail"]


def test_the_log_names_the_target_that_was_refused_and_both_routes_that_it_could_be_taken_for(ground: Ground) -> None:
    """R01. The client learns no more than that."""
    for protocol in PROTOCOLS:
        with Talk(ground.edge.port, ground.pki, "a.test", protocol) as talk:
            told = talk.ask(b"/pub/..%2fadm/" + protocol.encode() + b"?secret=1")
            assert told.status == 400 and b"admin" not in told.body and b"request/bad-target" in told.body
        path = "/pub/..%2fadm/" + protocol
        (line,) = of_path(ground.edge, path)
        assert (line["route"], line["end"]) == ("plaintext", "request/bad-target")
        assert line["detail"] == (
            f'it fits route "plaintext", but some backends read it as "/adm/{protocol}", which fits route "admin"; '
            "ask for it plainly, or let one route take both"
        )
    asked = {"listener": None, "sni": "a.test", "host": "a.test", "path": "/pub/..%2fadm", "method": "GET"}
    judged = ground.edge.admin("where", **asked, headers=[], client=None, token=None)["judged"]
    assert judged["slug"] == "request/bad-target" and '"admin"' in judged["why"] and '"plaintext"' in judged["why"]


def test_the_log_has_no_more_of_a_refused_target_than_tells_which_it_was(ground: Ground) -> None:
    """G01. What is no target at all is told of, cut and escaped."""
    sent = {
        b"/a%00b": "/a%00b",
        b"/..": "/..",
        b"/" + b"x" * 600 + b"%zz": "/" + "x" * 511,
        b"/\x7f": "/\x7f",
        b"/a\\b?secret=1": "/a\\b",
    }
    for target, path in sent.items():
        with ground.connect() as sock:
            sock.sendall(b"GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n" % target)
            assert response(sock)[0] == 400, target
        assert of_path(ground.edge, path), target
    assert "secret" not in "".join(map(str, ground.edge.lines()))


SITE = """\
[[site]]
name = "one"
hosts = ["one.test"]
certs = [{{ chain = "{pki}/one.pem", key = "file:{pki}/one.key" }}]
[[site]]
name = "several"
hosts = ["a.test", "b.test"]
certs = [{{ chain = "{pki}/edge.pem", key = "file:{pki}/edge.key" }}]
"""


def answered(sock: ssl.SSLSocket, request: bytes) -> int:
    with sock:
        sock.sendall(request)
        return response(sock, request.split(b" ")[0].decode())[0]


def test_a_request_that_need_not_name_a_host_gets_the_answer_of_the_site_that_has_one_name(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    """F09. HTTP/1.0 without Host, `Host: name:` and `OPTIONS *`; a site of several names cannot tell which was meant."""
    pki.public.leaf("one", "one.test")
    backend = raw(answering(OK))
    routes = (
        f'[[route]]\nname = "r"\nhost = ["one.test", "a.test"]\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n'
    )
    it = edge(SITE.format(pki=pki.folder) + routes, site=None)
    ca = pki.public.file
    assert answered(tls(it.port, "one.test", ca), b"GET /old HTTP/1.0\r\n\r\n") == 200
    assert answered(tls(it.port, "one.test", ca), b"GET /new HTTP/1.1\r\n\r\n") == 400
    assert answered(tls(it.port, "a.test", ca), b"GET /old HTTP/1.0\r\n\r\n") == 400
    assert answered(tls(it.port, "a.test", ca), b"GET /colon HTTP/1.1\r\nHost: a.test:\r\n\r\n") == 200
    assert answered(tls(it.port, "a.test", ca), b"OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n") == 200
    heads = [r for r in backend.received.split(b"\r\n\r\n") if r]
    assert [r.split(b"\r\n")[0] for r in heads] == [b"GET /old HTTP/1.1", b"GET /colon HTTP/1.1", b"OPTIONS * HTTP/1.1"]
    assert [next(x for x in r.split(b"\r\n") if x.startswith(b"host:")) for r in heads] == [
        b"host: one.test",
        b"host: a.test",
        b"host: a.test",
    ]
