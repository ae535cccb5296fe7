"""Paths that a regular expression makes others of, judged at a recording backend: what is chosen, judged, logged and told is the path
that the client sent, and whatever a client sends, what goes on is a path within the root that names no server."""

from __future__ import annotations

import json

import h2.events
import pytest

from tests.kit import EdgeKit, Pki
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.raw import OK, answering
from tests.wire.test_http2 import Speaker
from tests.wire.test_onward import Edges, Raws, ask, asked, prefixes, route

USERS = "rewrite = { regex = '/users/(?<id>[0-9]+)(?<rest>/.*)?', to = \"/people/{id}{rest}\" }"
OLD = 'path = "/old"\nrewrite = { regex = \'/old/(?<rest>.*)\', to = "/{rest}" }'


@pytest.mark.parametrize(
    ("more", "sent", "onward"),
    [
        (USERS, "/users/7/posts?x=%2f&y", "/people/7/posts?x=%2f&y"),
        (USERS, "/users/7", "/people/7"),
        (USERS, "/users/%37/a%2fb", "/people/7/a%2Fb"),
        (USERS, "/users/seven/%7e?q", "/users/seven/%7e?q"),
        (USERS, "/x/users/7", "/x/users/7"),
        (USERS, "https://a.test/users/7/x", "/people/7/x"),
        (OLD, "/old/", "/"),
        (OLD, "/old/a//b", "/a//b"),
        ("rewrite = { regex = '/(?<a>[^/]+)/(?<b>[^/]+)', to = \"/{b}/{a}\" }", "/caf%c3%a9/x", "/x/caf%C3%A9"),
        ("rewrite = { regex = '(?i)/OLD(?<rest>/.*)', to = \"/new{rest}\" }", "/oLd/X", "/new/X"),
        ('paths = "strict"\n' + USERS, "/users/7/%7ea", "/people/7/~a"),
    ],
)
def test_a_path_that_the_expression_fits_goes_on_as_it_says_and_any_other_as_it_came(
    edge: Edges, pki: Pki, raw: Raws, more: str, sent: str, onward: str
) -> None:
    backend = raw(answering(OK))
    it = edge(route(backend.port, more))
    assert ask(it, pki, sent) == [200]
    assert asked(backend) == [onward]
    assert prefixes(backend) == []


@pytest.mark.parametrize(
    "target",
    [
        "/old//evil.test/x",
        "/old/%2Fevil.test",
        "/old/%5Cevil.test",
        "/old/.//evil.test",
        "/old/;a//evil.test",
        "/old/../admin",
        "/old/..;/admin",
        "/old/%2e%2e/admin",
    ],
)
def test_what_is_made_of_a_path_never_names_a_server_nor_leaves_the_root(
    edge: Edges, pki: Pki, raw: Raws, target: str
) -> None:
    """R01: it is judged as what came was."""
    backend = raw(answering(OK))
    it = edge(route(backend.port, OLD))
    assert ask(it, pki, "/old/fine", target) == [200, 400]
    assert asked(backend) == ["/fine"], "nothing of it came to the backend"
    assert it.line(lambda line: line["path"] == target)["end"] == "request/bad-target"


def test_where_tells_what_is_refused_for_what_would_be_made_of_it(edge: Edges, pki: Pki, raw: Raws) -> None:
    it = edge(route(raw(answering(OK)).port, OLD))
    told = it.cli("where", "a.test/old//evil.test", "--config", str(it.config), "--json")
    found = json.loads(told.stdout)
    assert (found["status"], found["slug"]) == (400, "request/bad-target")
    assert "what its rewrite makes of it leaves the root, names a server" in found["why"]
    assert ask(it, pki, "/old//evil.test") == [400]


def test_on_a_strict_route_what_is_made_is_read_alike_by_all_too(edge: Edges, pki: Pki, raw: Raws) -> None:
    """Nothing in the path that came can be read twice; without its middle, something can."""
    more = 'paths = "strict"\nrewrite = { regex = \'/(?<a>[a-z.]*)-(?<b>.*)\', to = "/x/{a}{b}" }'
    backend = raw(answering(OK))
    it = edge(route(backend.port, more))
    assert [ask(it, pki, sent) for sent in ("/a-b", "/.-./y", "/-/y")] == [[200], [400], [400]]
    assert asked(backend) == ["/x/ab"]


def test_whoever_asks_about_the_server_asks_about_the_server(edge: Edges, pki: Pki, raw: Raws) -> None:
    backend = raw(answering(OK))
    it = edge(route(backend.port, "rewrite = { regex = '/(?<rest>.*)', to = \"/x/{rest}\" }"))
    assert ask(it, pki, "*", "/y", method="OPTIONS") == [200, 200]
    assert asked(backend) == ["*", "/x/y"]


def test_routes_are_chosen_once_by_the_path_that_the_client_sent_which_is_logged(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    backend, other = raw(answering(OK)), raw(answering(OK))
    made = 'path = "/v1"\nrewrite = { regex = \'/v1(?<rest>/.*)\', to = "/admin{rest}" }'
    it = edge(
        route(backend.port, made + '\nrequest = { set = { x-asked = "{path}" } }')
        + route(other.port, 'path = "/admin"', "admin")
    )
    assert ask(it, pki, "/v1/x?secret") == [200]
    assert asked(backend) == ["/admin/x?secret"] and not other.received
    assert b"x-asked: /v1/x\r\n" in backend.received
    assert it.line(lambda line: line["route"] == "r")["path"] == "/v1/x"


def test_a_path_that_would_keep_others_busy_elsewhere_is_answered_at_once(edge: Edges, pki: Pki, raw: Raws) -> None:
    """What backtracks would still be at it when this test is long forgotten."""
    backend = raw(answering(OK))
    it = edge(route(backend.port, "rewrite = { regex = '/(?<a>(x+x+)+)y', to = \"/{a}\" }"))
    sent = "/" + "x" * 4000
    assert ask(it, pki, sent, sent + "y") == [200, 200]
    assert asked(backend) == [sent, sent]


def test_the_same_holds_over_http2_on_both_sides_and_changes_with_a_reload(edge: Edges, pki: Pki, raw: Raws) -> None:
    def on(spoken: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.StreamEnded):
            spoken.answer(asked.stream)

    script = H2Backend(on)
    port = raw(script).port
    over_h2 = 'upstream_protocol = "h2"\n'
    it: EdgeKit = edge(route(port, over_h2 + USERS))
    with Speaker(it, pki) as speaker:
        assert speaker.outcome(speaker.headers(path="/users/7/a%2Fb?q")) == "200"
        assert it.reload(route(port, over_h2 + USERS.replace("/people", "/persons")))["reloaded"]
        assert speaker.outcome(speaker.headers(path="/users/7")) == "200"
        assert it.reload(route(port, over_h2 + OLD))["reloaded"]
        assert speaker.outcome(speaker.headers(path="/old//evil.test")) == "400"
        assert speaker.outcome(speaker.headers(path="/old/x")) == "200"
    assert [it.fields[b":path"] for it in script.asked] == [b"/people/7/a%2Fb?q", b"/persons/7", b"/x"]
