"""In which words a client is told of a refusal: by what it accepts, before a backend was looked for and after."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from everyhop.demo.stage import free_port
from tests.kit import Answer, EdgeKit, Pki, exchange, tls
from tests.wire.test_http2 import Speaker
from tests.wire.test_own_answers import answers

Edges = Callable[..., EdgeKit]

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
JSON = "application/json, text/plain, */*"
PLAIN = "502 Bad Gateway\n\nthe backend does not take connections.\n\nreason: hop/connect-failed\nrequest: {}\n"


@pytest.fixture
def it(edge: Edges) -> EdgeKit:
    """One route to a backend that is not there; for a path of `/only` alone."""
    return edge(
        f'[[route]]\nname = "r"\nhost = "a.test"\npath = "/only"\ntls = "plaintext"\nto = ["127.0.0.1:{free_port()}"]\n'
    )


def ask(sock: object, path: str, accept: str = "", method: str = "GET") -> Answer:
    line = f"Accept: {accept}\r\n" if accept else ""
    return exchange(sock, f"{method} {path} HTTP/1.1\r\nHost: a.test\r\n{line}\r\n", method)  # type: ignore[arg-type]


class Text(HTMLParser):
    """The text of a page, and each element that it has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.said, self.tags = "", set[str]()
        self.feed(page)
        self.close()

    def handle_data(self, data: str) -> None:
        self.said += data

    def handle_starttag(self, tag: str, _: object) -> None:
        self.tags.add(tag)


@pytest.mark.parametrize("accept", ["", "*/*", "image/png", "text/plain"])
def test_who_asks_for_nothing_particular_gets_the_plain_words(it: EdgeKit, pki: Pki, accept: str) -> None:
    answer = ask(tls(it.port, "a.test", pki.public.file), "/only", accept)
    assert answer.text == PLAIN.format(answer.headers["x-request-id"])
    assert answer.headers["content-type"] == "text/plain; charset=utf-8" and "vary" not in answer.headers


@pytest.mark.parametrize(
    ("path", "status", "slug"), [("/only", 502, "hop/connect-failed"), ("/", 404, "request/not-found")]
)
def test_a_browser_gets_a_page_and_a_program_a_problem_on_one_connection(
    it: EdgeKit, pki: Pki, path: str, status: int, slug: str
) -> None:
    sock = tls(it.port, "a.test", pki.public.file)
    for _ in range(2):
        answer = ask(sock, path, BROWSER)
        page = Text(answer.text)
        assert answer.status == status and answer.headers["content-type"] == "text/html; charset=utf-8"
        assert slug in page.said and answer.headers["x-request-id"] in page.said
        assert page.tags <= {"html", "head", "meta", "title", "body", "h1", "p", "code", "br"}
        answer = ask(sock, path, JSON)
        told = json.loads(answer.text)
        assert answer.status == status and answer.headers["content-type"] == "application/problem+json"
        assert (told["type"], told["status"], told["reason"]) == ("about:blank", status, slug)
        assert told["request"] == answer.headers["x-request-id"] and told["title"] and told["detail"]
        assert (answer.headers["vary"], answer.headers["cache-control"]) == ("accept", "no-store")
        assert slug in answer.headers["proxy-status"]


def test_head_is_told_the_length_of_what_get_would_be_told(it: EdgeKit, pki: Pki) -> None:
    sock = tls(it.port, "a.test", pki.public.file)
    length = len(ask(sock, "/only", BROWSER).body)
    assert ask(sock, "/only", BROWSER, "HEAD").headers["content-length"] == str(length)


def test_nothing_of_what_a_client_sends_stands_in_the_page(it: EdgeKit, pki: Pki) -> None:
    sock = tls(it.port, "a.test", pki.public.file)
    answer = ask(sock, "/a'onload=alert(1)//b", BROWSER)
    assert answer.status == 404 and "alert" not in answer.text


def test_http2_is_told_in_the_same_words(it: EdgeKit, pki: Pki) -> None:
    with Speaker(it, pki) as client:
        asked = [
            client.headers(("accept", BROWSER), path="/only"),
            client.headers(("accept", "text/html;q=0.1"), ("accept", "application/json"), path="/only"),
            client.headers(("accept", "application/problem+json"), path="/"),
            client.headers(path="/only"),
        ]
        page, problem, missing, plain = answers(client, *asked).values()
    assert page[0]["content-type"] == "text/html; charset=utf-8" and b"<h1>502" in page[1]
    assert json.loads(problem[1])["reason"] == "hop/connect-failed"
    assert json.loads(missing[1])["reason"] == "request/not-found"
    assert plain[1].decode() == PLAIN.format(plain[0]["x-request-id"])
