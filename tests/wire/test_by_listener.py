"""Routes and sites that name the listeners by which they are reached, judged at recording backends: by any other listener they are
not there, for requests, connections and what is open already."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable

from everyhop.demo.backends import Backend
from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.raw import OK, answering
from tests.wire.test_http2 import Speaker

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

GET = "GET {} HTTP/1.1\r\nHost: a.test\r\n\r\n"
INTERNAL = 'listeners = ["internal"]'


def second(name: str = "internal", more: str = "") -> tuple[int, str]:
    """Another listener, and its port."""
    port = free_port()
    return port, f'[[listener]]\nname = "{name}"\nbind = ["127.0.0.1:{port}"]\n{more}\n'


def route(port: int, more: str, name: str = "r") -> str:
    return f'[[route]]\nname = "{name}"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}\n'


def ask(pki: Pki, port: int, path: str = "/") -> int:
    with tls(port, "a.test", pki.public.file) as sock:
        return exchange(sock, GET.format(path)).status


def test_a_route_is_reached_by_the_listeners_that_it_names_and_by_no_other(edge: Edges, pki: Pki, raw: Raws) -> None:
    backend = raw(answering(OK))
    inside, listener = second()
    it = edge(route(backend.port, INTERNAL), listener=listener)
    assert ask(pki, it.port) == 404
    with Speaker(it, pki) as speaker:
        assert speaker.outcome(speaker.headers()) == "404"
    assert not backend.received, "nothing of either came to the backend"
    assert ask(pki, inside) == 200
    assert it.line(lambda line: line["status"] == 404)["listener"] == "public"


def test_another_route_takes_what_it_would_have_taken_by_other_listeners(edge: Edges, pki: Pki, raw: Raws) -> None:
    admin, everything = raw(answering(OK)), raw(answering(OK))
    inside, listener = second()
    routes = route(admin.port, f'path = "/admin"\n{INTERNAL}', "admin") + route(everything.port, "", "everything")
    it = edge(routes, listener=listener)
    assert [ask(pki, port, "/admin/x") for port in (it.port, inside)] == [200, 200]
    assert admin.received.count(b"GET /admin/x ") == 1 and everything.received.count(b"GET /admin/x ") == 1
    assert it.line(lambda line: line["route"] == "admin")["listener"] == "internal"
    assert it.line(lambda line: line["route"] == "everything")["listener"] == "public"


def test_two_routes_may_differ_in_their_listeners_alone(edge: Edges, pki: Pki, raw: Raws) -> None:
    outer, inner = raw(answering(OK)), raw(answering(OK))
    inside, listener = second()
    routes = route(outer.port, 'listeners = ["public"]', "outer") + route(inner.port, INTERNAL, "inner")
    it = edge(routes, listener=listener)
    assert [ask(pki, port) for port in (it.port, inside, inside)] == [200, 200, 200]
    assert (outer.received.count(b"GET "), inner.received.count(b"GET ")) == (1, 2)


def test_a_path_that_another_reading_leads_inside_is_judged_by_what_the_listener_lets_reach(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    """R01: where the inner route is not there, there is nothing to confuse it with; where it is, the path is refused."""
    admin, everything = raw(answering(OK)), raw(answering(OK))
    inside, listener = second()
    routes = route(admin.port, f'path = "/admin"\n{INTERNAL}', "admin") + route(everything.port, "", "everything")
    it = edge(routes, listener=listener)
    assert [ask(pki, port, "/x/..%3B/admin") for port in (it.port, inside)] == [200, 400]
    assert not admin.received


def refused(pki: Pki, port: int, host: str) -> bool:
    try:
        tls(port, host, pki.public.file).close()
    except (ssl.SSLError, OSError):
        return True
    return False


def test_a_site_answers_at_the_listeners_that_it_names_and_its_names_are_unknown_elsewhere(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    backend = raw(answering(OK))
    inside, listener = second()
    it = edge(route(backend.port, ""), listener=listener, site=INTERNAL)
    assert refused(pki, it.port, "a.test") and not backend.received
    assert ask(pki, inside) == 200
    assert it.line(lambda line: line["end"] == "hello/unknown-sni")["listener"] == "public"


def test_what_passes_through_passes_by_the_listeners_that_it_names_alone(edge: Edges, pki: Pki) -> None:
    backend = Backend("own", pki.site)
    inside, listener = second()
    passed = (
        f'[[route]]\nname = "p"\nhost = "a.test"\ntls = "passthrough"\nto = ["127.0.0.1:{backend.port}"]\n{INTERNAL}\n'
    )
    it = edge(passed, listener=listener, site=None)
    assert refused(pki, it.port, "a.test") and not backend.seen
    assert ask(pki, inside) == 200
    open_still = tls(inside, "a.test", pki.public.file)
    assert exchange(open_still, GET.format("/")).status == 200
    # A tunnel that no listener of its own leads to any more is ended.
    assert it.reload(passed.replace(INTERNAL, 'listeners = ["public"]'))["reloaded"]
    assert it.line(lambda line: line["end"] == "tunnel/route-gone")["listener"] == "internal"
    assert ask(pki, it.port) == 200 and refused(pki, inside, "a.test")
    open_still.close()
    backend.close()


def test_streams_that_are_not_read_come_by_the_listeners_that_their_route_names(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    backend = raw(lambda sock, record: sock.sendall(b"hello from inside"))
    inside, listener = second()
    more = f'protocol = "tcp"\n{INTERNAL}'
    it = edge(route(backend.port, more), listener=listener)
    assert refused(pki, it.port, "a.test")
    with tls(inside, "a.test", pki.public.file) as sock:
        assert sock.recv(64) == b"hello from inside"


def test_a_connection_that_is_open_loses_a_route_with_the_next_request(edge: Edges, pki: Pki, raw: Raws) -> None:
    """C03: by both protocols; what was not touched goes on."""
    backend, other = raw(answering(OK)), raw(answering(OK))
    inside, listener = second()
    rest = route(other.port, 'path = "/rest"', "rest")
    it = edge(route(backend.port, "") + rest, listener=listener)
    sock = tls(it.port, "a.test", pki.public.file)
    with Speaker(it, pki) as speaker:
        assert exchange(sock, GET.format("/x")).status == 200
        assert speaker.outcome(speaker.headers(path="/x")) == "200"
        assert it.reload(route(backend.port, INTERNAL) + rest)["reloaded"]
        mark = backend.mark()
        assert exchange(sock, GET.format("/x")).status == 404
        assert speaker.outcome(speaker.headers(path="/x")) == "404"
        assert backend.since(mark) == []
        assert exchange(sock, GET.format("/rest")).status == 200
        assert speaker.outcome(speaker.headers(path="/rest")) == "200"
    assert ask(pki, inside, "/x") == 200


def test_where_says_by_which_listener_it_would_have_been_reached(edge: Edges, pki: Pki, raw: Raws) -> None:
    backend = raw(answering(OK))
    _, listener = second()
    it = edge(route(backend.port, INTERNAL), listener=listener)

    def where(*more: str) -> dict[str, object]:
        told = it.cli("where", "a.test/", "--config", str(it.config), "--json", *more)
        return dict(json.loads(told.stdout))

    lost = where()
    assert (lost["status"], lost["slug"]) == (404, "request/not-found")
    assert lost["lost"] == [{"route": "r", "why": "it is reached by internal alone"}]
    assert where("--listener", "internal")["route"] == "r"


def test_clients_in_the_clear_are_sent_only_to_names_that_answer_there(edge: Edges, pki: Pki, raw: Raws) -> None:
    port, listener = second("web", 'speaks = "http"')
    it = edge(route(raw(answering(OK)).port, ""), listener=listener, site='listeners = ["public"]')
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        assert exchange(sock, GET.format("/")).status == 421
    assert ask(pki, it.port) == 200
