"""Requests in a file: as a client sends them, or by hand; read by what reads them on the wire."""

from __future__ import annotations

from everyhop.waf.requests import Found, in_file

HAND = b"""# a file of requests
### the first
# a comment
GET /a HTTP/1.1
Host: shop.test

### one with a body
POST /b HTTP/1.1
Host: shop.test
Content-Type: application/json

{"a":
 1}

###
GET /c
###
POST /d HTTP/1.1
Host: shop.test
content-length: 2

abcd
"""


def found(data: bytes, body_bytes: int = 1000) -> list[Found]:
    return list(in_file(data, body_bytes))


def test_requests_written_by_hand_are_read_with_their_lines_and_bodies() -> None:
    first, second, third, fourth = found(HAND)
    assert first.line == 4 and first.request is not None
    assert (first.request.target, first.request.host, first.request.body) == (b"/a", "shop.test", b"")
    assert second.request is not None and second.request.body == b'{"a":\n 1}' and second.request.whole
    assert (b"Content-Length", b"9") in second.request.fields
    assert (third.line, third.shown, third.slug) == (16, "GET /c", "http1/request-line")
    # What says its length itself keeps it.
    assert fourth.request is not None and fourth.request.body == b"ab"


def test_bytes_as_a_client_sends_them_are_one_request_behind_the_other() -> None:
    chunked = b"POST /b HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    first, second, third = found(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n" + chunked + b"GET / HTTP/1.1\r\n\r\nGET /c")
    assert first.request is not None and (first.line, first.request.target) == (1, b"/a")
    assert second.request is not None and (second.line, second.request.body) == (4, b"ab")
    # As on a connection, nothing behind it is read.
    assert (third.line, third.slug, third.request) == (12, "http1/no-host", None)


def test_a_longer_body_is_cut_and_says_so() -> None:
    (it,) = found(b"POST / HTTP/1.1\nHost: a\n\n0123456789\n", 4)
    assert it.request is not None and it.request.body == b"0123" and not it.request.whole


def test_a_file_that_ends_within_a_request_says_where() -> None:
    (head,) = found(b"GET / HTTP/1.1\r\nHost: a\r\n")
    (body,) = found(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
    assert (head.why, body.why) == ("the file ends within its head", "the file ends within its body")
    assert found(b"\n# nothing\n###\n") == []
