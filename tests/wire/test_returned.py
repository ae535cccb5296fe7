"""What backends say of themselves, in Location and in cookies, as their clients get it: by HTTP/1.1 and HTTP/2 on either side."""

from __future__ import annotations

from collections.abc import Callable

import h2.events
import pytest

from tests.kit import EdgeKit, Pki, Raw, tls
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.raw import answering, head
from tests.wire.test_http2 import Speaker

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

STRIPPED = 'path = "/v1"\nstrip = "/v1"\n'
BOTH = STRIPPED + 'rewrite = "/internal{path}"\n'
NAMED = 'host_header = "api.internal"\n'
MADE = "rewrite = { regex = '/v1/(?<rest>.*)', to = \"/one/{rest}\" }\n"
GUARDED = 'cookies = { secure = true, http_only = true, same_site = "lax" }\n'


def route(port: int, more: str) -> str:
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}\n'


def saying(*fields: tuple[str, str], status: int = 302) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"HTTP/1.1 {status} Found\r\n{lines}Content-Length: 0\r\n\r\n".encode("latin-1")


def told(it: EdgeKit, pki: Pki, path: str = "/v1/x", host: str = "a.test") -> list[tuple[str, str]]:
    """The fields of the answer, by a client of HTTP/1.1."""
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        answer = head(sock, bytearray())
    assert answer is not None
    lines = answer.decode("latin-1").split("\r\n")[1:-2]
    return [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]


def values(found: list[tuple[str, str]], name: str) -> list[str]:
    return [value for field, value in found if field == name]


@pytest.mark.parametrize(
    ("more", "said", "became"),
    [
        (STRIPPED, "/login?next=/x", "/v1/login?next=/x"),
        (STRIPPED, "http://127.0.0.1:{port}/login", "https://a.test/v1/login"),
        (STRIPPED, "http://a.test/login", "https://a.test/v1/login"),
        (STRIPPED, "http://a.test:{port}/login", "https://a.test/v1/login"),
        (STRIPPED, "/v1/login", "/v1/login"),
        (STRIPPED, "login", "login"),
        (STRIPPED, "https://login.example/x", "https://login.example/x"),
        (STRIPPED, "//evil.example/x", "//evil.example/x"),
        (STRIPPED, "http://127.0.0.1:1/x", "http://127.0.0.1:1/x"),
        (BOTH, "/internal/login", "/v1/login"),
        (BOTH, "http://127.0.0.1:{port}/internal/login", "https://a.test/v1/login"),
        (BOTH, "/elsewhere", "/elsewhere"),
        (MADE, "http://127.0.0.1:{port}/one/login", "https://a.test/one/login"),
        (MADE, "/one/login", "/one/login"),
        (NAMED, "http://api.internal/x", "https://a.test/x"),
        (NAMED, "https://api.internal:{port}/x#y", "https://a.test/x#y"),
        (NAMED, "/x", "/x"),
        (NAMED + 'locations = "keep"\n', "http://api.internal/x", "http://api.internal/x"),
        (STRIPPED + 'locations = "keep"\n', "/login", "/login"),
        ('locations = "rewrite"\n', "http://127.0.0.1:{port}/x", "https://a.test/x"),
        ("", "http://127.0.0.1:{port}/x", "http://127.0.0.1:{port}/x"),
    ],
)
def test_a_backend_that_names_itself_is_named_as_its_client_knows_it_and_others_are_left_alone(
    edge: Edges, pki: Pki, raw: Raws, more: str, said: str, became: str
) -> None:
    answers: list[bytes] = []
    backend = raw(lambda sock, record: answering(*answers)(sock, record))
    said, became = (text.replace("{port}", str(backend.port)) for text in (said, became))
    answers.append(saying(("Location", said), ("content-location", said), ("X-Location", said)))
    found = told(edge(route(backend.port, more)), pki)
    assert values(found, "location") == values(found, "content-location") == [became]
    assert values(found, "x-location") == [said], "no other field is touched"


def test_the_port_that_a_client_named_is_named_again(edge: Edges, pki: Pki, raw: Raws) -> None:
    it = edge(route(raw(answering(saying(("Location", "http://api.internal/x")))).port, NAMED))
    assert values(told(it, pki, host="a.test:8443"), "location") == ["https://a.test:8443/x"]


def test_what_a_route_sets_itself_is_what_its_clients_get(edge: Edges, pki: Pki, raw: Raws) -> None:
    """Edits come after, and see what has come back."""
    set_it = 'response = { set = { location = "http://api.internal/kept" } }\n'
    it = edge(route(raw(answering(saying(("Location", "http://api.internal/x")))).port, NAMED + set_it))
    assert values(told(it, pki), "location") == ["http://api.internal/kept"]


COOKIES = (
    "a=1; Path=/x",
    "b=2; SameSite=None; Secure",
    "__Host-c=3; Path=/; Secure",
    "odd",
    "d=4; Domain=api.internal",
)


def test_cookies_are_given_what_they_lack_and_come_back_under_the_path_that_was_asked_for(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    answer = saying(*[("Set-Cookie", it) for it in COOKIES], status=200)
    it = edge(route(raw(answering(answer)).port, STRIPPED + NAMED + GUARDED))
    assert values(told(it, pki), "set-cookie") == [
        "a=1; Path=/v1/x; Secure; HttpOnly; SameSite=Lax",
        "b=2; SameSite=None; Secure; HttpOnly",
        "__Host-c=3; Path=/; Secure; HttpOnly; SameSite=Lax",
        "odd",
        "d=4; Secure; HttpOnly; SameSite=Lax",
    ]
    assert it.reload(route(it_port := raw(answering(answer)).port, ""))["reloaded"], it_port
    assert values(told(it, pki), "set-cookie") == list(COOKIES), "without it they go on as they came"


def test_a_path_that_a_route_gives_cookies_stands_in_the_place_of_their_own(edge: Edges, pki: Pki, raw: Raws) -> None:
    answer = saying(
        ("Set-Cookie", "a=1; Path=/x; Path=/; Secure"), ("set-cookie", "b"), ("set-cookie", "c=;"), status=200
    )
    it = edge(route(raw(answering(answer)).port, 'cookies = { path = "/only" }\n'))
    assert values(told(it, pki), "set-cookie") == ["a=1; Secure; Path=/only", "b", "c=;; Path=/only"]


def test_the_same_holds_over_http2_on_both_sides(edge: Edges, pki: Pki, raw: Raws) -> None:
    def on(spoken: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.StreamEnded):
            fields = [(b":status", b"302"), (b"location", b"https://api.internal/internal/x")]
            fields += [(b"set-cookie", b"a=1; Path=/internal/x"), (b"set-cookie", b"odd")]
            spoken.h2.send_headers(asked.stream, fields, end_stream=True)

    port = raw(H2Backend(on)).port
    it = edge(route(port, 'upstream_protocol = "h2"\n' + BOTH + NAMED + GUARDED))
    with Speaker(it, pki) as speaker:
        stream = speaker.headers(path="/v1/y")
        answers = (e for e in speaker.events() if isinstance(e, h2.events.ResponseReceived) and e.stream_id == stream)
        got = [(name.decode(), value.decode()) for name, value in next(answers).headers]
    assert values(got, "location") == ["https://a.test/v1/x"]
    assert values(got, "set-cookie") == ["a=1; Path=/v1/x; Secure; HttpOnly; SameSite=Lax", "odd"]
    assert values(told(it, pki), "location") == ["https://a.test/v1/x"], "and to clients of HTTP/1.1"
