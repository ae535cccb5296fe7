"""Envoy and the edge ask the same authorizer about the same requests, for the same backend: what it is told, and what becomes of what it
answers, is the same, but for what stands here with its reason. An exception that is needed no more is a failure too."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import grpc
import pytest

from tests.kit import Pki
from tests.kit.alike import Ask, Both, Differs, Pairs, between
from tests.kit.envoy import found
from tests.kit.ext_authz import OK, Peer, no, option, put, yes

pytestmark = pytest.mark.skipif(found() is None, reason="Envoy is not here: make target/peers/.there installs it")


@pytest.fixture(scope="module")
def both(pki: Pki) -> Iterator[Both]:
    with contextlib.ExitStack() as opened:
        yield Both(pki, opened)


OF = "AttributeContext"
TWICE = (("X-A", "1"), ("x-a", "2"), ("Cookie", "a=b"), ("Authorization", "Basic YTpi"), ("X-Secret", "s"))
FORGED = (
    ("X-Forwarded-For", "6.6.6.6"),
    ("X-Forwarded-Proto", "http"),
    ("X-Request-Id", "mine"),
    ("X-Forwarded-Client-Cert", "URI=spiffe://test/root"),
)
ASKS: dict[str, tuple[Ask, str, Differs]] = {
    "a page": (Ask(), "", {}),
    "a page by HTTP/2": (Ask(speaks="h2"), "", {}),
    "a query": (Ask(path="/a/b?x=%2f&y&z=%7e"), "", {}),
    "two slashes": (Ask(path="//a//b"), "", {}),
    "a path that is written otherwise than it must be": (
        Ask(path="/a%2fb/%7Ec%41/%e4"),
        "the form that routes are matched by has hex in capitals, and a backend gets what the client wrote",
        {
            "path": ("/a%2fb/~cA/%e4", "/a%2Fb/~cA/%E4"),
            "target": ("GET /a%2fb/~cA/%e4", "GET /a%2fb/%7Ec%41/%e4"),
        },
    ),
    "dots in a path": (
        Ask(path="/a/./b/../c"),
        "a path is not resolved for the backend, which might do it otherwise: paths = strict refuses it",
        {"path": ("/a/c", "/a/./b/../c"), "target": ("GET /a/c", "GET /a/./b/../c")},
    ),
    "encoded dots": (
        Ask(path="/a/%2e%2e/c"),
        "the same",
        {"path": ("/c", "/a/../c"), "target": ("GET /c", "GET /a/%2e%2e/c")},
    ),
    "fields more than once": (Ask(fields=TWICE), "", {}),
    "fields more than once by HTTP/2": (Ask(fields=(*TWICE, ("Cookie", "c=d")), speaks="h2"), "", {}),
    "two lines of cookies": (
        Ask(fields=(("Cookie", "a=b"), ("Cookie", "c=d"))),
        "lines of cookies belong together by a semicolon (RFC 9113, 8.2.3): a comma is part of a value",
        {"headers": ({"cookie": "a=b,c=d"}, {"cookie": "a=b; c=d"})},
    ),
    "an empty field": (Ask(fields=(("X-A", ""),)), "", {}),
    "spaces around a value": (Ask(fields=(("X-A", "  1 \t"),)), "", {}),
    "a value beyond ASCII": (Ask(fields=(("X-A", "\u00e9"),)), "", {}),
    "a name that is read like another": (Ask(fields=(("x_a", "1"),)), "", {}),
    "a host with a port": (Ask(host="a.test:8443"), "", {}),
    "a host with a port by HTTP/2": (Ask(host="a.test:8443", speaks="h2"), "", {}),
    "a host in capitals": (
        Ask(host="A.Test"),
        "a host is told as routes are matched by it",
        {"host": ("A.Test", "a.test")},
    ),
    "a host with its dot": (Ask(host="a.test."), "the same", {"host": ("a.test.", "a.test")}),
    "a whole address": (Ask(path="https://a.test/x?y"), "", {}),
    "a whole address with another scheme": (
        Ask(path="http://a.test/x"),
        "it came over TLS, whatever it says",
        {"scheme": ("http", "https")},
    ),
    "a body": (Ask("POST", fields=(("Content-Type", "text/plain"),), body=b"hello"), "", {}),
    "a body by HTTP/2": (Ask("POST", fields=(("Content-Type", "text/plain"),), body=b"hello", speaks="h2"), "", {}),
    "DELETE": (Ask("DELETE"), "", {}),
    "HEAD": (Ask("HEAD"), "", {}),
    "OPTIONS": (Ask("OPTIONS"), "", {}),
    "PROPFIND": (Ask("PROPFIND"), "", {}),
    "a client with a certificate": (Ask(leaf="client"), "", {}),
    "a client with a certificate by HTTP/2": (Ask(leaf="client", speaks="h2"), "", {}),
    "what a client may not say of itself": (Ask(fields=FORGED), "", {}),
}


@pytest.mark.parametrize("name", ASKS)
def test_an_authorizer_is_told_by_the_edge_what_envoy_tells_it(both: Both, name: str) -> None:
    ask, why, differs = ASKS[name]
    envoy, edge = (both.told(port, ask) for port in (both.envoy.port, both.edge.port))
    assert envoy["asked"] and edge["asked"]
    assert between(envoy, edge) == differs, why


def test_of_itself_the_edge_tells_nothing_and_of_a_request_no_more_than_that(both: Both) -> None:
    """Envoy tells where it is, when it was asked, and of metadata that there is none."""
    for port, where, more in (
        (both.envoy.port, Peer("127.0.0.1", both.envoy.port, "a.test"), {("Request", 1), (OF, 11), (OF, 13)}),
        (both.edge.port, Peer(), set()),
    ):
        both.comes(port, Ask(), OK)
        (check,) = both.asked.checks
        assert (check.destination, check.other) == (where, more)


def test_what_can_be_read_in_two_ways_is_asked_about_by_envoy_alone(both: Both) -> None:
    """A backslash becomes a slash on the way through it."""
    ask = Ask(path="/a\\b")
    assert both.told(both.envoy.port, ask)["path"] == "/a/b"
    assert both.told(both.edge.port, ask) == {"asked": False, "status": 400}


FROM = Ask(path="/p?x=1", fields=(("Authorization", "Basic YTpi"),))
FORGES = Ask(path="/p?x=1", fields=(("Authorization", "Basic YTpi"), ("X-User", "root")))
CAME = [("authorization", "Basic YTpi"), ("host", "a.test")]
KIM = option("x-user", "kim")


def refused(got: Pairs | None = None, target: str = "GET /p?x=1") -> Differs:
    """Envoy lets it pass, and the edge does not."""
    passes = {"target": (target, ""), "got": (CAME if got is None else got, [])}
    return {"status": (200, 503), **passes, "told": ([], None), "body": (b"ok", None)}


def answered(status: int, *told: tuple[str, str], body: bytes = b"") -> Differs:
    """Its client is told that by Envoy, and by the edge that nobody could say."""
    return {"status": (status, 503), "told": (list(told), None), "body": (body, None)}


def got(envoy: Pairs, edge: Pairs) -> Differs:
    return {"got": (CAME + envoy, CAME + edge)}


SAYS: dict[str, tuple[Ask, bytes | grpc.StatusCode, str, Differs]] = {
    "yes": (FROM, OK, "", {}),
    "yes, with a field": (FROM, yes(KIM), "", {}),
    "yes, with a field that a client forges": (FORGES, yes(KIM), "", {}),
    "yes, with one in its place": (FORGES, yes(option("x-user", "kim", append=False)), "", {}),
    "yes, with two, of which the later one stands": (FROM, yes(option("x-role", "a"), option("x-role", "b")), "", {}),
    "yes, with one beside the client's": (
        FORGES,
        yes(option("x-user", "kim", append=True)),
        "what a client says in a field that is taken never goes on",
        got([("x-user", "root,kim")], [("x-user", "kim")]),
    ),
    "yes, with two beside each other": (
        FROM,
        yes(option("x-role", "a", append=True), option("x-role", "b", append=True)),
        "Envoy appends to what a client says, and adds nothing where it says nothing; here nothing of it is left",
        got([], [("x-role", "a, b")]),
    ),
    "yes, and nothing of what a client forges": (
        FORGES,
        OK,
        "what a client says in a field that is taken never goes on",
        got([("x-user", "root")], []),
    ),
    "yes, with a field if there is none": (FROM, yes(option("x-user", "kim", action=1)), "", {}),
    "yes, with a field if there is one": (
        FROM,
        yes(option("x-user", "kim", action=3)),
        "Envoy reads `append` alone, and the edge `append_action` as the protocol has it",
        got([("x-user", "kim")], []),
    ),
    "yes, with a field of bytes": (
        FROM,
        yes(option("x-user", b"kim")),
        "Envoy leaves `raw_value` unread",
        got([("x-user", "")], [("x-user", "kim")]),
    ),
    "yes, with an empty field": (
        FROM,
        yes(option("x-user", "")),
        "a field without a value is none",
        got([("x-user", "")], []),
    ),
    "yes, with a field that nobody takes": (
        FROM,
        yes(option("x-other", "o")),
        "what is not listed is not taken",
        got([("x-other", "o")], []),
    ),
    "yes, without a field that a client forges": (FORGES, yes(removes=("x-user",)), "", {}),
    "yes, without another field of the client's": (
        FROM,
        yes(removes=("authorization",)),
        "what a backend should not see is not shown to it, and `takes` says what the edge takes out",
        refused([("host", "a.test")]),
    ),
    "yes, for another query": (
        FROM,
        yes(more=put(7, put(1, "a") + put(2, "b"))),
        "one request, judged once: what was asked for stays",
        refused(target="GET /p?a=b&x=1"),
    ),
    "yes, for less of a query": (FROM, yes(more=put(8, "x")), "the same", refused(target="GET /p")),
    "yes, for another path": (
        FROM,
        yes(option(":path", "/admin")),
        "the same; routes were matched by the one that came",
        refused(target="GET /admin"),
    ),
    "yes, for another host": (
        FROM,
        yes(option("host", "b.test")),
        "the same; the field is not taken",
        {"got": ([CAME[0], ("host", "b.test")], CAME)},
    ),
    "yes, and the client is told something": (
        FROM,
        yes(tells=(option("set-cookie", "s=1"), option("set-cookie", "t=1"), option("x-tell", "t"))),
        "of a yes a client is told cookies",
        {
            "told": (
                [("set-cookie", "s=1"), ("set-cookie", "t=1"), ("x-tell", "t")],
                [("set-cookie", "s=1"), ("set-cookie", "t=1")],
            )
        },
    ),
    "yes, with metadata": (FROM, OK + put(4, b""), "", {}),
    "yes, with what nobody knows": (FROM, OK + put(99, "x"), "", {}),
    "yes, with a second line in a field": (
        FROM,
        yes(option("x-user", "a\r\nx-role: root")),
        "whoever is asked has failed, not the edge",
        {"status": (500, 503)},
    ),
    "yes, with a name that is none": (FROM, yes(option("x user", "a")), "the same", {"status": (500, 503)}),
    "yes, with more than fits": (FROM, yes(option("x-user", "x" * 70_000)), "the same", {"status": (500, 503)}),
    "yes, three hundred times": (FROM, yes(*[KIM] * 300), "an answer is bounded", refused([*CAME, ("x-user", "kim")])),
    "yes and no": (FROM, put(1, b"") + put(2, b"") + put(3, b""), "what could be either is neither", refused()),
    "yes, with what a no would say": (FROM, put(1, b"") + put(2, put(1, put(1, 401))), "the same", refused()),
    "nothing": (FROM, b"", "nobody said yes: in Envoy a status that is left out is OK", refused()),
    "no message": (FROM, b"<html>", "", {}),
    "its failure": (FROM, grpc.StatusCode.INTERNAL, "", {}),
    "that it is not there": (FROM, grpc.StatusCode.UNAVAILABLE, "", {}),
    "that it may not be asked": (FROM, grpc.StatusCode.PERMISSION_DENIED, "", {}),
    "its failure in a message": (
        FROM,
        put(1, put(1, 13)) + put(5, put(1, put(1, 502))),
        "a failure is 503 with a slug, whatever number it would have",
        answered(502),
    ),
    "no": (FROM, put(1, put(1, 7)), "", {}),
    "no, by another status": (FROM, put(1, put(1, 16)), "", {}),
    "no, and nothing of it": (FROM, no(), "", {}),
    "no, beside what a yes would say": (FROM, put(1, put(1, 16)) + put(3, b""), "", {}),
    "no, without a status": (
        FROM,
        put(2, put(1, put(1, 401))),
        "a no is one without a status beside it",
        {"status": (200, 401), "target": ("GET /p?x=1", ""), "got": (CAME, []), "body": (b"ok", b"")},
    ),
    "no, with how to sign in": (FROM, no(401, option("WWW-Authenticate", "Basic realm=x"), body="no"), "", {}),
    "no, with a page": (FROM, no(403, option("content-type", "text/html"), body="<b>no"), "", {}),
    "no, with a field that tells of the inside": (
        FROM,
        no(403, option("x-inner", "s"), body="no"),
        "of a no a client is told what leads it further",
        {"told": ([("content-type", "text/plain"), ("x-inner", "s")], [("content-type", "text/plain")])},
    ),
    "no, but a way": (
        FROM,
        no(302, option("location", "https://login.test/"), option("set-cookie", "c=1"), option("set-cookie", "d=2")),
        "",
        {},
    ),
    "no, with a length that is not its own": (FROM, no(403, option("content-length", "1"), body="long"), "", {}),
    "no, by HTTP/2": (Ask(speaks="h2"), no(401, option("www-authenticate", "Basic"), body="no"), "", {}),
    "no, with 404": (
        FROM,
        no(404),
        "a no is 401, 403 or a redirect: anything else may be its own trouble",
        answered(404),
    ),
    "no, with 429": (FROM, no(429, option("retry-after", "3")), "the same", answered(429, ("retry-after", "3"))),
    "no, with 500": (FROM, no(500), "the same", {"status": (500, 503)}),
    "no, with 200": (
        FROM,
        no(200, body="x"),
        "the same: a no is not a page",
        answered(200, ("content-type", "text/plain"), body=b"x"),
    ),
}


@pytest.mark.parametrize("name", SAYS)
def test_what_an_authorizer_answers_comes_to_what_it_comes_to_behind_envoy(both: Both, name: str) -> None:
    ask, says, why, differs = SAYS[name]
    envoy, edge = (both.comes(port, ask, says) for port in (both.envoy.port, both.edge.port))
    assert between(envoy, edge) == differs, why
