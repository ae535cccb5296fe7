"""The path that goes to a backend where its route moves it, judged at a recording backend; what is judged and logged is the path
that the client sent."""

from __future__ import annotations

import json
from collections.abc import Callable

import h2.events
import pytest

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.raw import OK, answering
from tests.wire.test_http2 import Speaker

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

STRIPPED = 'path = "/v1"\nstrip = "/v1"'


def route(port: int, more: str, name: str = "r") -> str:
    return f'[[route]]\nname = "{name}"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}\n'


def asked(backend: Raw) -> list[str]:
    """The targets of all requests that came there."""
    heads = [line for line in backend.received.decode().split("\r\n") if line.endswith(" HTTP/1.1")]
    return [line.split(" ")[1] for line in heads]


def ask(it: EdgeKit, pki: Pki, *targets: str, method: str = "GET") -> list[int]:
    sock = tls(it.port, "a.test", pki.public.file)
    with sock:
        return [exchange(sock, f"{method} {target} HTTP/1.1\r\nHost: a.test\r\n\r\n").status for target in targets]


@pytest.mark.parametrize(
    ("more", "sent", "onward"),
    [
        (STRIPPED, "/v1", "/"),
        (STRIPPED, "/v1?a=/v1", "/?a=/v1"),
        (STRIPPED, "/v1/", "/"),
        (STRIPPED, "/v1/v1/x?y=%2f&z", "/v1/x?y=%2f&z"),
        (STRIPPED, "/v1/a%2Fb%2f/%7E/caf%C3%A9;p=1//x/./y", "/a%2Fb%2f/%7E/caf%C3%A9;p=1//x/./y"),
        ('path = "/caf%C3%A9"\nstrip = "/caf%C3%A9"', "/caf%c3%a9/x%c3", "/x%c3"),
        (STRIPPED, "https://a.test/v1/x?y", "/x?y"),
        ('path = "/v1/x"\nstrip = "/v1"', "/v1/x/y", "/x/y"),
        ('path_exact = "/v1"\nstrip = "/v1"', "/v1?q", "/?q"),
        (STRIPPED + '\nrewrite = "/internal{path}"', "/v1/x%20y?z", "/internal/x%20y?z"),
        (STRIPPED + '\nrewrite = "/internal{path}"', "/v1", "/internal/"),
        ('rewrite = "/internal{path}"', "/a//b%2F?c", "/internal/a//b%2F?c"),
        ('rewrite = "/one/path"', "/whatever/%2e/x?y=1", "/one/path?y=1"),
        (STRIPPED + '\npaths = "strict"', "/v1/%7Ea/%c3%a9?q", "/~a/%C3%A9?q"),
    ],
)
def test_a_path_goes_on_without_its_prefix_or_behind_another_and_the_rest_byte_for_byte(
    edge: Edges, pki: Pki, raw: Raws, more: str, sent: str, onward: str
) -> None:
    backend = raw(answering(OK))
    it = edge(route(backend.port, more))
    assert ask(it, pki, sent) == [200]
    assert asked(backend) == [onward]


def prefixes(backend: Raw) -> list[str]:
    """What came there as X-Forwarded-Prefix, however it is written."""
    rows = [line.partition(": ") for line in backend.received.decode().split("\r\n")]
    return [value for name, _, value in rows if name.lower().replace("_", "-") == "x-forwarded-prefix"]


def test_a_backend_is_told_the_prefix_that_was_taken_and_no_other(edge: Edges, pki: Pki, raw: Raws) -> None:
    """It has to know it to name itself; what the client says of it would lead others astray."""
    forged = "X-Forwarded-Prefix: //evil.test\r\nX_Forwarded_Prefix: //evil.test\r\n"
    for more, sent, told in [
        (STRIPPED, "/v1/x", ["/v1"]),
        (STRIPPED + '\nrewrite = "/internal{path}"', "/v1/x", ["/v1"]),
        ('rewrite = "/internal{path}"', "/v1/x", []),
        ("", "/v1/x", []),
    ]:
        backend = raw(answering(OK))
        it = edge(route(backend.port, more))
        with tls(it.port, "a.test", pki.public.file) as sock:
            for path in (sent, sent):
                assert exchange(sock, f"GET {path} HTTP/1.1\r\nHost: a.test\r\n{forged}\r\n").status == 200
        assert prefixes(backend) == told * 2, more


@pytest.mark.parametrize(
    "target",
    [
        "/v1//evil.test/x",
        "/v1/%2Fevil.test",
        "/v1/%5Cevil.test",
        "/v1/.//evil.test",
        "/v1/;a//evil.test",
        "/v1/x/..//evil.test",
        "/v1/../admin",
        "/v1/..;/admin",
        "/v1/%2e%2e/admin",
    ],
)
def test_what_is_left_of_a_path_never_names_a_server_nor_leaves_the_root(
    edge: Edges, pki: Pki, raw: Raws, target: str
) -> None:
    """R01: after the prefix is gone, as before."""
    backend = raw(answering(OK))
    it = edge(route(backend.port, STRIPPED))
    assert ask(it, pki, "/v1/fine") == [200]
    assert ask(it, pki, target) == [400]
    assert asked(backend) == ["/fine"], "nothing of it came to the backend"
    assert it.line(lambda line: line["path"] == target)["end"] == "request/bad-target"


def test_a_name_of_a_server_behind_a_prefix_is_told_by_where_with_its_reason(edge: Edges, pki: Pki, raw: Raws) -> None:
    it = edge(route(raw(answering(OK)).port, STRIPPED))
    told = it.cli("where", "a.test/v1//evil.test", "--config", str(it.config), "--json")
    found = json.loads(told.stdout)
    assert (found["status"], found["slug"]) == (400, "request/bad-target")
    assert 'without "/v1" is read by some backends as the name of a server' in found["why"]
    assert ask(it, pki, "/v1//evil.test") == [400]


def test_two_slashes_behind_another_prefix_name_nobody_and_go_on(edge: Edges, pki: Pki, raw: Raws) -> None:
    backend = raw(answering(OK))
    it = edge(route(backend.port, STRIPPED + '\nrewrite = "/internal{path}"'))
    assert ask(it, pki, "/v1//evil.test", "/v1/../x") == [200, 400]
    assert asked(backend) == ["/internal//evil.test"]


def test_whoever_asks_about_the_server_asks_about_the_server(edge: Edges, pki: Pki, raw: Raws) -> None:
    backend = raw(answering(OK))
    it = edge(route(backend.port, 'rewrite = "/internal{path}"'))
    assert ask(it, pki, "*", "/x", method="OPTIONS") == [200, 200]
    assert asked(backend) == ["*", "/internal/x"]


def test_what_is_judged_logged_and_told_in_fields_is_the_path_that_the_client_sent(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    """Routes are chosen once: what a path becomes is not looked up again, though another route would take it."""
    backend, other = raw(answering(OK)), raw(answering(OK))
    moved = route(backend.port, STRIPPED + '\nrewrite = "/admin{path}"\nrequest = { set = { x-asked = "{path}" } }')
    it = edge(moved + route(other.port, 'path = "/admin"', "admin"))
    assert ask(it, pki, "/v1/x?secret") == [200]
    assert asked(backend) == ["/admin/x?secret"] and not other.received
    assert b"x-asked: /v1/x\r\n" in backend.received
    assert it.line(lambda line: line["route"] == "r")["path"] == "/v1/x"


def test_the_same_holds_over_http2_on_both_sides_and_changes_with_a_reload(edge: Edges, pki: Pki, raw: Raws) -> None:
    def on(spoken: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.StreamEnded):
            spoken.answer(asked.stream)

    script = H2Backend(on)
    port = raw(script).port
    over_h2 = 'upstream_protocol = "h2"\n'
    it = edge(route(port, over_h2 + STRIPPED))
    with Speaker(it, pki) as speaker:
        assert speaker.outcome(speaker.headers(path="/v1/a%2Fb?q")) == "200"
        assert speaker.outcome(speaker.headers(path="/v1//evil.test")) == "400"
        assert it.reload(route(port, over_h2 + STRIPPED + '\nrewrite = "/two{path}"'))["reloaded"]
        assert speaker.outcome(speaker.headers(path="/v1/x")) == "200"
        assert it.reload(route(port, over_h2))["reloaded"]
        assert speaker.outcome(speaker.headers(path="/v1/x")) == "200"
    assert [it.fields[b":path"] for it in script.asked] == [b"/a%2Fb?q", b"/two/x", b"/v1/x"]
    assert [it.fields.get(b"x-forwarded-prefix") for it in script.asked] == [b"/v1", b"/v1", None]


def test_a_backend_is_asked_for_the_host_that_its_route_names_and_told_the_clients(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    """A route is chosen by the client's, and so is a site."""
    backend = raw(answering(OK))
    it = edge(route(backend.port, 'host_header = "Shop.internal:8443"'))
    assert ask(it, pki, "/", "https://a.test/x") == [200, 200]
    heads = backend.received.split(b"\r\n\r\n")[:2]
    for head in heads:
        lines = head.lower().split(b"\r\n")
        assert [line for line in lines if line.startswith(b"host:")] == [b"host: shop.internal:8443"]
        assert b"x-forwarded-host: a.test" in lines
    assert it.line(lambda line: line["route"] == "r")["host"] == "a.test"


def test_a_backend_of_http2_is_asked_for_that_host_too(edge: Edges, pki: Pki, raw: Raws) -> None:
    def on(spoken: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.StreamEnded):
            spoken.answer(asked.stream)

    script = H2Backend(on)
    it = edge(route(raw(script).port, 'upstream_protocol = "h2"\nhost_header = "shop.internal"'))
    with Speaker(it, pki) as speaker:
        assert speaker.outcome(speaker.headers()) == "200"
    (asked,) = script.asked
    assert asked.fields[b":authority"] == b"shop.internal" and b"host" not in asked.fields
    assert asked.fields[b"x-forwarded-host"] == b"a.test"
