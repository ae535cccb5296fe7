"""Fields that a route changes on the way, judged at a recording backend and at the client."""

from __future__ import annotations

import socket
from collections.abc import Callable

import h2.events

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.raw import answering, head
from tests.wire.test_http2 import Speaker

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

ANSWER = b"HTTP/1.1 200 OK\r\nServer: old\r\nX-Kept: yes\r\nVary: a\r\nContent-Length: 2\r\n\r\nok"


def route(port: int, more: str) -> str:
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}\n'


def fields(head: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in head.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        name, _, value = line.decode().partition(": ")
        found.setdefault(name.lower(), []).append(value)
    return found


def test_fields_of_a_request_are_removed_set_and_added_with_what_the_edge_knows(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    backend = raw(answering(ANSWER))
    more = (
        "request = { remove = ['X-Debug'], add = { x-many = 'edge' }, set = { "
        "x-client = '{client.name}', x-from = '{client.address}', x-tls = 'TLS {tls.version}', x-id = '{request.id}', "
        "x-what = '{method} {host}{path}{query}', x-brace = '{{}}', x-none = '{query}' } }"
    )
    site = 'clients = { ca = "{pki}/public-ca.pem", mode = "ask" }'
    it = edge(route(backend.port, more), site=site)
    sock = tls(it.port, "a.test", pki.public.file, leaf=pki.client)
    sent = (
        "GET /a%2Fb?q=1 HTTP/1.1\r\nHost: A.test\r\nx-debug: 1\r\nX-DEBUG: 2\r\nx-client: forged\r\nX-Many: client\r\n"
        "x-none: client\r\nx-other: kept\r\n\r\n"
    )
    assert exchange(sock, sent).status == 200
    got = fields(backend.received)
    assert "x-debug" not in got
    assert got["x-client"] == ["client.test"] and got["x-from"] == ["127.0.0.1"] and got["x-tls"] == ["TLS 1.3"]
    assert got["x-id"] == got["x-request-id"] and got["x-what"] == ["GET a.test/a%2Fb?q=1"]
    assert got["x-many"] == ["client", "edge"] and got["x-brace"] == ["{}"] and got["x-other"] == ["kept"]
    assert got["x-none"] == ["?q=1"]
    mark = backend.mark()
    assert exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\nx-none: client\r\n\r\n").status == 200
    (second,) = backend.since(mark)
    assert "x-none" not in fields(second), "a value that comes to nothing leaves what the client sent out too"


def test_an_unproved_client_cannot_give_itself_the_name_that_a_route_sets(edge: Edges, pki: Pki, raw: Raws) -> None:
    backend = raw(answering(ANSWER))
    it = edge(route(backend.port, "request = { set = { x-client = '{client.name}' } }"))
    sock = tls(it.port, "a.test", pki.public.file)
    assert exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Client: root\r\nx-client: root\r\n\r\n").status == 200
    assert "x-client" not in fields(backend.received)


ANSWER_EDITS = (
    "response = { remove = ['server'], set = { cache-control = 'no-store', X-Kept = 'changed {host}' }, "
    "add = { x-many = 'edge' } }"
)
FRESH = b"HTTP/1.1 200 OK\r\nServer: old\r\nX-Kept: yes\r\nX-Many: backend\r\nContent-Length: 2\r\n\r\nok"
EARLY = b"HTTP/1.1 103 Early Hints\r\nServer: early\r\n\r\n"


def test_fields_of_an_answer_are_removed_set_and_added_and_those_of_our_own_refusals_are_not(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    it = edge(route(raw(answering(EARLY + FRESH)).port, ANSWER_EDITS))
    sock = tls(it.port, "a.test", pki.public.file)
    sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
    early = head(sock, bytearray())
    assert early is not None and early.startswith(b"HTTP/1.1 103") and fields(early)["server"] == ["early"]
    answer = head(sock, bytearray())
    assert answer is not None and sock.recv(2) == b"ok"
    got = fields(answer)
    assert "server" not in got and got["cache-control"] == ["no-store"] and got["x-kept"] == ["changed a.test"]
    assert got["x-many"] == ["backend", "edge"] and got["content-length"] == ["2"]
    refused = exchange(sock, "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n")
    assert refused.status == 404 and "x-kept" not in refused.headers


def test_the_same_holds_for_clients_that_speak_http2(edge: Edges, pki: Pki, raw: Raws) -> None:
    it = edge(route(raw(answering(FRESH)).port, ANSWER_EDITS))
    speaker = Speaker(it, pki)
    stream = speaker.headers()
    answers = (e for e in speaker.events() if isinstance(e, h2.events.ResponseReceived) and e.stream_id == stream)
    got = [(name, value) for name, value in next(answers).headers if not name.startswith(b":")]
    assert b"server" not in dict(got) and dict(got)[b"x-kept"] == b"changed a.test"
    assert [value for name, value in got if name == b"x-many"] == [b"backend", b"edge"]


def test_a_route_is_chosen_by_what_the_client_sent_not_by_what_it_sets(edge: Edges, pki: Pki, raw: Raws) -> None:
    blue, other = raw(answering(ANSWER)), raw(answering(ANSWER))
    both = route(blue.port, "headers = { x-tenant = 'blue' }\nrequest = { set = { x-tenant = 'red' } }")
    both += route(other.port, "request = { set = { x-tenant = 'blue' } }").replace('"r"', '"other"')
    it = edge(both)
    sock = tls(it.port, "a.test", pki.public.file)
    exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Tenant: blue\r\n\r\n")
    exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Tenant: red\r\n\r\n")
    assert fields(blue.received)["x-tenant"] == ["red"] and fields(other.received)["x-tenant"] == ["blue"]


def test_edits_reach_an_http2_backend_and_change_with_the_next_request_after_a_reload(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    def on(spoken: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.StreamEnded):
            spoken.answer(asked.stream)

    script = H2Backend(on)
    port = raw(script).port
    more = "upstream_protocol = 'h2'\nrequest = {{ set = {{ x-a = '{word}' }}, remove = ['x-gone'] }}"
    it = edge(route(port, more.format(word="one")))
    sock: socket.socket = tls(it.port, "a.test", pki.public.file)
    ask = "GET / HTTP/1.1\r\nHost: a.test\r\nX-A: client\r\nX-Gone: 1\r\n\r\n"
    assert exchange(sock, ask).status == 200
    assert it.reload(route(port, more.format(word="two")))["reloaded"]
    assert exchange(sock, ask).status == 200
    assert [asked.fields[b"x-a"] for asked in script.asked] == [b"one", b"two"]
    assert not any(b"x-gone" in asked.fields for asked in script.asked)
