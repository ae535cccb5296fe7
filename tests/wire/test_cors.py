"""CORS (the Fetch standard): preflights are answered at the edge, and one truth says which pages may read answers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import pytest

from tests.kit import Answer, EdgeKit, Pki, Raw, exchange, tls
from tests.kit.raw import answering
from tests.wire.test_edits import fields
from tests.wire.test_http2 import Speaker
from tests.wire.test_own_answers import answers
from tests.wire.test_tcp import dead

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

ANSWER = (
    b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nACCESS-CONTROL-ALLOW-CREDENTIALS: true\r\n"
    b"Access-Control-Allow-Private-Network: true\r\nVary: Accept\r\nX-Total: 3\r\nContent-Length: 2\r\n\r\nok"
)
CORS = (
    'cors = { origins = ["https://app.test", "https://*.pages.test:8443"], methods = ["GET", "PUT"], '
    'headers = ["Authorization", "x-tenant"], expose = ["X-Total"], max_age_s = 60, credentials = true }\n'
)
PREFLIGHT = "Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: authorization\r\n"


def route(port: int, more: str = CORS) -> str:
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}'


def ask(method: str = "GET", origin: str | None = "https://app.test", more: str = "") -> str:
    named = f"Origin: {origin}\r\n" if origin is not None else ""
    return f"{method} /x HTTP/1.1\r\nHost: a.test\r\n{named}{more}\r\n"


def of_cors(answer: Answer | dict[str, str]) -> dict[str, str]:
    headers = answer if isinstance(answer, dict) else answer.headers
    return {name: value for name, value in headers.items() if name.startswith("access-control-")}


GRANTED = {
    "access-control-allow-origin": "https://app.test",
    "access-control-allow-credentials": "true",
    "access-control-expose-headers": "x-total",
}
PREFLIGHTED = {
    "access-control-allow-origin": "https://app.test",
    "access-control-allow-methods": "GET, PUT",
    "access-control-allow-headers": "authorization, x-tenant",
    "access-control-max-age": "60",
    "access-control-allow-credentials": "true",
}


def test_a_preflight_of_a_listed_origin_is_answered_and_reaches_no_backend(edge: Edges, pki: Pki, raw: Raws) -> None:
    backend = raw(answering(ANSWER))
    it = edge(route(backend.port))
    sock = tls(it.port, "a.test", pki.public.file)
    answer = exchange(sock, ask("OPTIONS", more=PREFLIGHT))
    assert (answer.status, answer.body, of_cors(answer)) == (204, b"", PREFLIGHTED)
    assert answer.headers["vary"] == "Origin" and "content-length" not in answer.headers
    again = exchange(sock, ask("OPTIONS", "https://x.y.pages.test:8443", PREFLIGHT))
    assert (again.status, again.headers["access-control-allow-origin"]) == (204, "https://x.y.pages.test:8443")
    assert backend.received == b""
    line = it.line(lambda line: line["method"] == "OPTIONS")
    assert (line["route"], line["status"], line["end"], line["backend_hop"]) == ("r", 204, "done", None)


REFUSED = [
    "https://evil.test",
    "http://app.test",
    "https://app.test:8443",
    "https://app.test.evil.test",
    "https://APP.test",
    "https://pages.test:8443",
    "https://x.pages.test",
    "https://evil.test/.pages.test:8443",
    "https://.pages.test:8443",
    "https://evilpages.test:8443",
    "null",
    "*",
    "",
    "https://app.test, https://app.test",
    "https://app.test\r\nOrigin: https://app.test",
]


@pytest.mark.parametrize("origin", REFUSED)
def test_an_origin_that_is_not_listed_is_told_no_and_reads_nothing(
    edge: Edges, pki: Pki, raw: Raws, origin: str
) -> None:
    backend = raw(answering(ANSWER))
    it = edge(route(backend.port))
    sock = tls(it.port, "a.test", pki.public.file)
    answer = exchange(sock, ask("OPTIONS", origin, PREFLIGHT))
    assert (answer.status, of_cors(answer)) == (403, {}) and "request/origin-not-allowed" in answer.text
    assert answer.headers["vary"] == "Origin" and backend.received == b""
    passed = exchange(sock, ask("GET", origin))
    assert (passed.status, passed.body, of_cors(passed)) == (200, b"ok", {})
    assert "Origin" in passed.headers["vary"]


def test_what_the_backend_says_of_it_is_replaced_in_answers_and_not_in_its_informational_ones(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    it = edge(route(raw(answering(ANSWER)).port))
    sock = tls(it.port, "a.test", pki.public.file)
    sock.sendall(ask().encode())
    head = b""
    while b"\r\n\r\nok" not in head:
        head += sock.recv(4096)
    got = fields(head)
    assert {n: v for n, v in got.items() if n.startswith("access-control-")} == {n: [v] for n, v in GRANTED.items()}
    assert got["vary"] == ["Accept", "Origin"] and got["x-total"] == ["3"]


def test_without_an_origin_nothing_is_said_but_that_it_would_be_another_answer(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    it = edge(route(raw(answering(ANSWER)).port))
    answer = exchange(tls(it.port, "a.test", pki.public.file), ask(origin=None))
    assert of_cors(answer) == {} and "Origin" in answer.headers["vary"]


def test_everybody_is_told_the_same_whoever_asks(edge: Edges, pki: Pki, raw: Raws) -> None:
    it = edge(route(raw(answering(ANSWER)).port, 'cors = { origins = ["*"], headers = ["*"] }\n'))
    sock = tls(it.port, "a.test", pki.public.file)
    for origin in (None, "https://any.test", "null"):
        answer = exchange(sock, ask(origin=origin))
        assert of_cors(answer) == {"access-control-allow-origin": "*"} and answer.headers["vary"] == "Accept"
    answer = exchange(sock, ask("OPTIONS", "https://any.test", PREFLIGHT))
    assert (answer.status, answer.headers["access-control-allow-headers"]) == (204, "*")
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, POST"


def test_options_that_ask_for_nothing_go_to_the_backend(edge: Edges, pki: Pki, raw: Raws) -> None:
    backend = raw(answering(ANSWER))
    it = edge(route(backend.port))
    sock = tls(it.port, "a.test", pki.public.file)
    assert exchange(sock, ask("OPTIONS")).status == 200
    assert exchange(sock, ask("OPTIONS", None, PREFLIGHT)).status == 200
    assert exchange(sock, ask("GET", more=PREFLIGHT)).status == 200
    assert backend.received.count(b" /x HTTP/1.1") == 3


def test_a_page_can_read_why_the_edge_refused_its_request(edge: Edges, pki: Pki) -> None:
    it = edge(route(dead()))
    sock = tls(it.port, "a.test", pki.public.file)
    answer = exchange(sock, ask())
    assert (answer.status, of_cors(answer)) == (502, GRANTED) and "hop/connect-failed" in answer.text
    assert of_cors(exchange(sock, ask(origin="https://evil.test"))) == {}


def test_a_preflight_is_answered_before_the_route_asks_who_the_client_is_and_nothing_else_is(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    backend = raw(answering(ANSWER))
    site = 'clients = { ca = "{pki}/public-ca.pem", mode = "ask" }'
    it = edge(route(backend.port, CORS + 'allow = { clients = ["client.test"] }\n'), site=site)
    sock = tls(it.port, "a.test", pki.public.file)
    assert exchange(sock, ask("OPTIONS", more=PREFLIGHT)).status == 204
    assert exchange(sock, ask("OPTIONS", "https://evil.test", PREFLIGHT)).status == 403
    refused = exchange(sock, ask("PUT", more=PREFLIGHT))
    assert (refused.status, of_cors(refused)) == (403, GRANTED) and "request/client-not-allowed" in refused.text
    assert exchange(sock, ask("OPTIONS")).status == 403
    assert backend.received == b""
    proved = tls(it.port, "a.test", pki.public.file, leaf=pki.client)
    assert exchange(proved, ask("PUT")).status == 200


def test_the_same_holds_for_clients_that_speak_http2(edge: Edges, pki: Pki, raw: Raws) -> None:
    it = edge(route(raw(answering(ANSWER)).port))
    with Speaker(it, pki) as client:
        origin = ("origin", "https://app.test")
        asking = ("access-control-request-method", "PUT")
        streams = [
            client.headers(origin, asking, method="OPTIONS"),
            client.headers(origin),
            client.headers(("origin", "https://evil.test"), asking, method="OPTIONS"),
        ]
        (preflight, _), (answer, body), (refused, _) = answers(client, *streams).values()
    assert (preflight[":status"], of_cors(preflight)) == ("204", PREFLIGHTED)
    assert (answer[":status"], body, of_cors(answer)) == ("200", b"ok", GRANTED)
    assert (refused[":status"], of_cors(refused)) == ("403", {})


def test_a_reload_that_takes_an_origin_away_holds_from_the_next_request_on(edge: Edges, pki: Pki, raw: Raws) -> None:
    port = raw(answering(ANSWER)).port
    it = edge(route(port))
    sock = tls(it.port, "a.test", pki.public.file)
    assert exchange(sock, ask("OPTIONS", more=PREFLIGHT)).status == 204
    assert it.reload(route(port, 'cors = { origins = ["https://other.test"] }\n'))["reloaded"]
    assert exchange(sock, ask("OPTIONS", more=PREFLIGHT)).status == 403
    assert of_cors(exchange(sock, ask())) == {}


def test_curl_sees_the_preflight(edge: Edges, pki: Pki, raw: Raws) -> None:
    curl = shutil.which("curl")
    assert curl is not None
    it = edge(route(raw(answering(ANSWER)).port))
    command = [curl, "-sS", "-i", "-X", "OPTIONS", "--cacert", str(pki.public.file)]
    command += ["--resolve", f"a.test:{it.port}:127.0.0.1", f"https://a.test:{it.port}/x"]
    command += ["-H", "Origin: https://app.test", "-H", "Access-Control-Request-Method: PUT"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert " 204" in told.splitlines()[0] and "access-control-allow-origin: https://app.test" in told
