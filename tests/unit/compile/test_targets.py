"""Where a redirect leads: to one server, whatever a client asks for."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from everyhop.compile.pieces import NoPiece, pieces
from everyhop.compile.targets import NoTarget, Target, target

BEGINS = ["https://b.test", "https://{host}", "https://www.{host}:8443", "/x", "/", "https://b.test/", ""]
PARTS = [
    "https://",
    "http://",
    "/",
    "//",
    "b.test",
    "{host}",
    "{path}",
    "{query}",
    ".",
    ":8443",
    "@",
    "\\",
    "?",
    "#",
    "x",
    "..",
    "%2f",
]
PATHS = [
    "/",
    "//evil.test",
    "/\\evil.test",
    "/%2f%2fevil.test",
    "/@evil.test",
    "/.evil.test",
    "/x",
    "///evil.test",
    "/:1/",
    "/..//evil.test",
]
QUERIES = ["", "?x=1", "?//evil.test", "?@evil.test", "?\\evil.test"]


def led(text: str, host: str, path: str, query: str) -> str:
    """What the engine writes: the pieces one after the other."""
    known = {"host": host, "path": path, "query": query}
    return "".join(known[p.of] if p.kind == "of" else getattr(p, "text", "") for p in pieces(text))


def as_a_browser(location: str, base: str) -> str:
    """The server that a browser goes to: a backslash is a slash to it (WHATWG URL §4.4)."""
    return urlsplit(urljoin(base, location.replace("\\", "/"))).netloc


@given(
    st.tuples(st.sampled_from(BEGINS), st.lists(st.sampled_from(PARTS), max_size=3).map("".join)).map("".join),
    st.sampled_from(PATHS),
    st.sampled_from(QUERIES),
)
def test_a_target_that_is_taken_leads_to_one_server_whatever_is_asked_for(text: str, path: str, query: str) -> None:
    try:
        target(pieces(text))
    except (NoTarget, NoPiece):
        assume(False)
    base = "https://a.test/some/where"
    plainly = as_a_browser(led(text, "a.test", "/", ""), base)
    event(plainly)
    assert as_a_browser(led(text, "a.test", path, query), base) == plainly
    assert "evil" not in plainly and urlsplit(urljoin(base, led(text, "a.test", path, query))).scheme == "https"


@pytest.mark.parametrize(
    "text",
    ["https://b.test", "https://b.test{path}{query}", "https://{host}:8443{path}", "https://www.{host}/", "/", "/x{path}", "/x?y=1#z", "HTTPS://b.test/", "/{query}", "https://b.test{query}"],
)  # fmt: skip
def test_what_leads_to_one_server_is_taken(text: str) -> None:
    assert isinstance(target(pieces(text)), Target)


@pytest.mark.parametrize(
    ("text", "host", "path", "whole"),
    [
        ("https://b.test{path}", "a.test", "/x", "https://b.test/x"),
        ("/x{path}{query}", "a.test", "/y", "https://a.test/x/y"),
        ("https://www.{host}", "a.test", "/y", "https://www.a.test"),
    ],
)
def test_a_target_is_followed_as_a_client_follows_it(text: str, host: str, path: str, whole: str) -> None:
    assert target(pieces(text)).of(host, path) == whole
