"""An operator's own pages for errors of the edge's own: for who prefers HTML alone, in both protocols, and told anew once they change."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.kit import Answer, EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.raw import answering
from tests.wire.test_http2 import Speaker, curl
from tests.wire.test_own_answers import answers

Edges = Callable[..., EdgeKit]

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
JSON = "application/json, text/plain, */*"
GONE = b"<!doctype html><title>Gone</title><h1>Nothing here: \xc3\xa9</h1>\n"
DOWN = b"<!doctype html><title>Down</title><h1>We are back soon</h1>\n"
HTML = "text/html; charset=utf-8"


@pytest.fixture
def folder(pki: Pki) -> Path:
    """With a page for 404 and one for every error of the edge's or a backend's that begins with 5."""
    made = pki.folder / "pages"
    made.mkdir(exist_ok=True)
    (made / "404.html").write_bytes(GONE)
    (made / "down.html").write_bytes(DOWN)
    return made


def routes(port: int) -> str:
    """One to a backend at `port`, for a path of `/only`; one that answers itself."""
    return (
        f'[[route]]\nname = "r"\nhost = "a.test"\npath = "/only"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n'
        '[[route]]\nname = "own"\nhost = "a.test"\npath = "/own"\nanswer = { status = 404, text = "of its own" }\n'
    )


def paged(port: int, *lines: str) -> str:
    return routes(port) + "[pages]\n" + "\n".join(lines) + "\n"


BOTH = ('404 = "{pki}/pages/404.html"', '5xx = "{pki}/pages/down.html"')


def ask(sock: object, path: str, accept: str = "", method: str = "GET", more: str = "") -> Answer:
    line = f"Accept: {accept}\r\n" if accept else ""
    return exchange(sock, f"{method} {path} HTTP/1.1\r\nHost: a.test\r\n{line}{more}\r\n", method)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "status", "slug", "page"),
    [("/only", 502, "hop/connect-failed", DOWN), ("/", 404, "request/not-found", GONE)],
)
def test_who_prefers_html_gets_the_page_with_the_errors_status_and_others_what_they_always_got(
    edge: Edges, pki: Pki, folder: Path, path: str, status: int, slug: str, page: bytes
) -> None:
    it = edge(paged(free_port(), *BOTH))
    sock = tls(it.port, "a.test", pki.public.file)
    for _ in range(2):
        answer = ask(sock, path, BROWSER)
        assert (answer.status, answer.body, answer.headers["content-type"]) == (status, page, HTML)
        assert (answer.headers["vary"], answer.headers["cache-control"]) == ("accept", "no-store")
        assert slug in answer.headers["proxy-status"] and answer.headers["x-request-id"]
        answer = ask(sock, path, JSON)
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
        assert json.loads(answer.text)["reason"] == slug
        for accept in ("", "*/*", "text/plain"):
            answer = ask(sock, path, accept)
            assert (answer.status, answer.headers["content-type"]) == (status, "text/plain; charset=utf-8")
            assert f"reason: {slug}\n" in answer.text


def test_head_is_told_the_length_of_the_page_and_nothing_of_it(edge: Edges, pki: Pki, folder: Path) -> None:
    it = edge(paged(free_port(), *BOTH))
    sock = tls(it.port, "a.test", pki.public.file)
    answer = ask(sock, "/", BROWSER, "HEAD")
    assert (answer.status, answer.headers["content-length"], answer.body) == (404, str(len(GONE)), b"")
    assert ask(sock, "/", BROWSER).body == GONE


def test_http2_gets_the_same_and_a_call_of_grpc_is_told_in_its_own_words(edge: Edges, pki: Pki, folder: Path) -> None:
    it = edge(paged(free_port(), *BOTH))
    call = (("te", "trailers"), ("content-type", "application/grpc"), ("accept", BROWSER))
    with Speaker(it, pki) as client:
        asked = [
            client.headers(("accept", BROWSER), path="/only"),
            client.headers(("accept", BROWSER), path="/"),
            client.headers(("accept", BROWSER), path="/", method="HEAD"),
            client.headers(("accept", JSON), path="/only"),
            client.headers(("accept", "*/*"), path="/"),
            client.headers(*call, path="/", method="POST"),
        ]
        down, gone, head, problem, plain, called = answers(client, *asked).values()
    assert (down[0][":status"], down[0]["content-type"], down[1]) == ("502", HTML, DOWN)
    assert (gone[0][":status"], gone[0]["content-type"], gone[1]) == ("404", HTML, GONE)
    assert (head[0][":status"], head[0]["content-length"], head[1]) == ("404", str(len(GONE)), b"")
    assert json.loads(problem[1])["reason"] == "hop/connect-failed"
    assert plain[0]["content-type"] == "text/plain; charset=utf-8" and b"request/not-found" in plain[1]
    assert (called[0][":status"], called[0]["grpc-status"], called[1]) == ("200", "12", b"")


@pytest.mark.parametrize("spoken", ["--http1.1", "--http2"])
def test_curl_is_told_in_text_and_gets_the_page_where_it_asks_for_html(
    edge: Edges, pki: Pki, folder: Path, spoken: str
) -> None:
    it = edge(paged(free_port(), *BOTH))
    url = f"https://a.test:{it.port}/"
    assert b"reason: request/not-found" in curl(it, spoken, url).stdout
    assert curl(it, spoken, "-H", "Accept: text/html", url).stdout == GONE


def test_an_error_without_a_page_is_told_by_the_edges_own_and_what_others_answer_passes(
    edge: Edges, pki: Pki, folder: Path, raw: Callable[..., Raw]
) -> None:
    """Errors of a backend and of a route are theirs."""
    said = b"HTTP/1.1 503 No\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\nits words"
    it = edge(paged(raw(answering(said)).port, '5xx = "{pki}/pages/down.html"'))
    sock = tls(it.port, "a.test", pki.public.file)
    missing = ask(sock, "/", BROWSER)
    assert missing.status == 404 and "<h1>404 Not Found</h1>" in missing.text
    own = ask(sock, "/own", BROWSER)
    assert (own.status, own.text, own.headers["content-type"]) == (404, "of its own", "text/plain; charset=utf-8")
    behind = ask(sock, "/only", BROWSER)
    assert (behind.status, behind.text) == (503, "its words")


def test_a_status_goes_before_its_class_wherever_it_stands(edge: Edges, pki: Pki, folder: Path) -> None:
    it = edge(paged(free_port(), '4xx = "{pki}/pages/down.html"', '404 = "{pki}/pages/404.html"'))
    sock = tls(it.port, "a.test", pki.public.file)
    assert ask(sock, "/", BROWSER).body == GONE
    elsewhere = exchange(sock, f"GET / HTTP/1.1\r\nHost: other.test\r\nAccept: {BROWSER}\r\n\r\n")
    assert (elsewhere.status, elsewhere.body) == (421, DOWN)


def test_a_page_of_64_kib_comes_whole_in_both_protocols(edge: Edges, pki: Pki, folder: Path) -> None:
    page = (b"<!doctype html>" + b"0123456789abcdef" * 4096)[:65_536]
    (folder / "404.html").write_bytes(page)
    it = edge(paged(free_port(), *BOTH))
    assert ask(tls(it.port, "a.test", pki.public.file), "/", BROWSER).body == page
    with Speaker(it, pki) as client:
        streams = [client.headers(("accept", BROWSER)) for _ in range(3)]
        assert [body for _, body in answers(client, *streams).values()] == [page] * 3


def test_a_page_that_changes_is_told_anew_and_one_that_is_none_any_more_leaves_the_last_good_one(
    edge: Edges, pki: Pki, folder: Path
) -> None:
    """Without a reload, as a certificate's file is watched."""
    it = edge(paged(free_port(), *BOTH))
    sock = tls(it.port, "a.test", pki.public.file)
    assert ask(sock, "/", BROWSER).body == GONE
    (folder / "404.html").write_bytes(b"<h1>another</h1>")

    def told() -> bytes:
        return ask(tls(it.port, "a.test", pki.public.file), "/", BROWSER).body

    until(lambda: told() == b"<h1>another</h1>")
    (folder / "404.html").write_bytes(b"\xff")
    answer = it.admin("reload")
    assert not answer["reloaded"] and "pages/file" in json.dumps(answer)
    assert told() == b"<h1>another</h1>"
