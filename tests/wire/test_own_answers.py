"""Routes that have nothing behind them: what the edge answers itself, in both protocols, and where a redirect leads."""

from __future__ import annotations

import json
from collections.abc import Callable

import h2.events
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit import Answer, EdgeKit, Pki, exchange, tls
from tests.wire.test_http2 import Speaker

Edges = Callable[..., EdgeKit]

REDIRECT = '[[route]]\nname = "www"\nhost = "a.test"\nredirect = { to = "https://b.example{path}{query}" }\n'
DOWN = (
    '[[route]]\nname = "down"\nhost = "b.test"\n'
    "answer = { status = 503, text = \"back soon\\n\", headers = { retry-after = '600', x-id = '{request.id}' } }\n"
)


def ask(target: str, host: str = "a.test", method: str = "GET", more: str = "") -> str:
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"


def get(it: EdgeKit, pki: Pki, target: str, host: str = "a.test", **fields: str) -> Answer:
    with tls(it.port, host, pki.public.file) as sock:
        return exchange(sock, ask(target, host, **fields), fields.get("method", "GET"))


def test_a_redirect_leads_on_with_path_and_query_byte_for_byte_and_the_connection_goes_on(
    edge: Edges, pki: Pki
) -> None:
    it = edge(REDIRECT)
    sock = tls(it.port, "a.test", pki.public.file)
    for target in ("/", "/a%2Fb/./c//d?x=1&y=%00?", "/%C3%A9?", "//evil.example/x", "/a;b=c"):
        answer = exchange(sock, ask(target))
        assert answer.status == 308 and answer.body == b"" and answer.headers["content-length"] == "0"
        assert answer.headers["location"] == f"https://b.example{target}"
        assert "date" in answer.headers and "connection" not in answer.headers
    line = it.line(lambda line: line["path"] == "/a;b=c")
    assert (line["route"], line["pattern"], line["status"], line["end"]) == ("www", "answered", 308, "done")
    assert line["backend_hop"] is None and line["failed_hops"] == []


def test_the_asterisk_is_led_to_the_root_and_no_other_host(edge: Edges, pki: Pki) -> None:
    it = edge(REDIRECT)
    assert get(it, pki, "*", method="OPTIONS").headers["location"] == "https://b.example/"


def test_an_answer_has_its_status_its_fields_and_its_text(edge: Edges, pki: Pki) -> None:
    it = edge(DOWN)
    answer = get(it, pki, "/x", "b.test")
    assert (answer.status, answer.text, answer.headers["retry-after"]) == (503, "back soon\n", "600")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    line = it.line(lambda line: line["path"] == "/x")
    assert (line["bytes_out"], line["id"]) == (10, answer.headers["x-id"])
    route = next(r for r in it.status()["routes"] if r["name"] == "down")
    assert route["backends"] == []


def test_head_gets_the_head_of_what_get_would(edge: Edges, pki: Pki) -> None:
    it = edge(DOWN)
    sock = tls(it.port, "b.test", pki.public.file)
    for _ in range(2):
        answer = exchange(sock, ask("/", "b.test", "HEAD"), "HEAD")
        assert (answer.status, answer.headers["content-length"], answer.body) == (503, "10", b"")
    assert exchange(sock, ask("/", "b.test")).text == "back soon\n"


def test_a_short_body_is_read_and_the_connection_goes_on(edge: Edges, pki: Pki) -> None:
    it = edge(REDIRECT)
    sock = tls(it.port, "a.test", pki.public.file)
    body = "Content-Length: 5\r\n"
    assert exchange(sock, ask("/", "a.test", "POST", body) + "hello").headers["location"] == "https://b.example/"
    chunked = "Transfer-Encoding: chunked\r\n"
    assert exchange(sock, ask("/", "a.test", "POST", chunked) + "5\r\nhello\r\n0\r\n\r\n").status == 308
    assert exchange(sock, ask("/again")).headers["location"] == "https://b.example/again"


@pytest.mark.parametrize("status", [200, 503])
def test_who_waits_before_sending_is_answered_at_once_and_told_that_nobody_reads_it(
    edge: Edges, pki: Pki, status: int
) -> None:
    it = edge(DOWN.replace("503", str(status)))
    more = "Content-Length: 5\r\nExpect: 100-continue\r\n"
    answer = get(it, pki, "/", "b.test", method="POST", more=more)
    assert (answer.status, answer.headers["connection"]) == (status, "close")


def answers(client: Speaker, *streams: int) -> dict[int, tuple[dict[str, str], bytes]]:
    """What each stream got, once all of them ended."""
    heads: dict[int, dict[str, str]] = {}
    bodies = dict.fromkeys(streams, b"")
    left = set(streams)
    for event in client.events():
        if isinstance(event, h2.events.ResponseReceived):
            heads[event.stream_id] = {bytes(n).decode(): bytes(v).decode() for n, v in event.headers}
        elif isinstance(event, h2.events.DataReceived):
            bodies[event.stream_id] += event.data
            client.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            left.discard(event.stream_id)
        if not left:
            break
    return {stream: (heads[stream], bodies[stream]) for stream in streams}


def test_http2_gets_the_same_on_one_connection(edge: Edges, pki: Pki) -> None:
    it = edge(REDIRECT + DOWN)
    with Speaker(it, pki) as client:
        asked = [
            client.headers(path="/a?b"),
            client.headers(path="/x", authority="b.test"),
            client.headers(path="/x", authority="b.test", method="HEAD"),
            client.headers(path="/", method="POST", end=False),
        ]
        client.h2.send_data(asked[3], b"hello", end_stream=True)
        client.flush()
        (led, body), (down, text), (head, none), (posted, _) = answers(client, *asked).values()
    assert (led[":status"], led["location"], body) == ("308", "https://b.example/a?b", b"")
    assert (down[":status"], down["retry-after"], text) == ("503", "600", b"back soon\n")
    assert (head[":status"], head["content-length"], none) == ("503", "10", b"")
    assert posted["location"] == "https://b.example/"


def test_a_page_as_large_as_can_be_comes_whole_in_both_protocols(edge: Edges, pki: Pki) -> None:
    page = bytes(range(256)) * 256
    (pki.folder / "large.bin").write_bytes(page)
    it = edge('[[route]]\nname = "r"\nhost = "a.test"\nanswer = { status = 200, file = "{pki}/large.bin" }\n')
    assert get(it, pki, "/").body == page
    with Speaker(it, pki) as client:
        streams = [client.headers() for _ in range(3)]
        assert [body for _, body in answers(client, *streams).values()] == [page] * 3


def test_who_may_not_pass_is_refused_and_not_answered(edge: Edges, pki: Pki) -> None:
    site = 'clients = { ca = "{pki}/public-ca.pem", mode = "ask" }'
    it = edge(REDIRECT + 'allow = { clients = ["client.test"] }\n', site=site)
    assert get(it, pki, "/").status == 403
    with tls(it.port, "a.test", pki.public.file, leaf=pki.client) as sock:
        assert exchange(sock, ask("/")).status == 308


def test_a_websocket_is_answered_as_anything_else(edge: Edges, pki: Pki) -> None:
    it = edge(DOWN)
    more = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    assert get(it, pki, "/", "b.test", more=more).status == 503


def test_a_file_is_told_as_what_its_name_says_and_told_anew_once_it_changed(edge: Edges, pki: Pki) -> None:
    page = pki.folder / "down.html"
    page.write_text("<h1>zu, später wieder</h1>", "utf-8")
    it = edge('[[route]]\nname = "r"\nhost = "a.test"\nanswer = { status = 200, file = "{pki}/down.html" }\n')
    answer = get(it, pki, "/")
    assert (answer.text, answer.headers["content-type"]) == ("<h1>zu, später wieder</h1>", "text/html; charset=utf-8")
    page.write_text("<h1>zu, später wieder</h1>", "latin-1")
    told = it.admin("reload")
    assert not told["reloaded"] and "no text in UTF-8" in str(told), "it would be told in a charset that it is not in"
    assert get(it, pki, "/").text == "<h1>zu, später wieder</h1>"
    page.write_bytes(b"<h1>up</h1>")
    assert it.admin("reload")["reloaded"]
    assert get(it, pki, "/").body == b"<h1>up</h1>"


def test_where_and_explain_say_that_the_edge_answers_itself(edge: Edges, pki: Pki) -> None:
    it = edge(REDIRECT + DOWN)
    told = it.cli("where", "b.test/x", "--config", str(it.config), "--json")
    assert json.loads(told.stdout)["status"] == 503
    told = it.cli("where", "a.test/x", "--config", str(it.config))
    assert "edge, which answers 308 to https://b.example{path}{query}" in told.stdout, told.stdout
    assert "There is nothing behind it." in it.cli("explain", "www", "--config", str(it.config)).stdout.replace(
        "\n", " "
    )


PATHS = st.text(st.sampled_from("/\\.a%2fF5c:@;?#&=\t\r\n \x00é{}"), max_size=12)


def test_whatever_is_asked_a_redirect_leads_to_its_own_host_in_one_field(edge: Edges, pki: Pki) -> None:
    routes = [
        ("a.test", "https://b.example{path}{query}"),
        ("b.test", "/moved{path}{query}"),
        ("c.test", "https://www.{host}/x?y#z"),
    ]
    it = edge(
        "".join(f'[[route]]\nname = "{host}"\nhost = "{host}"\nredirect = {{ to = "{to}" }}\n' for host, to in routes)
        + '[[route]]\nname = "moved"\nhost = "b.test"\npath = "/moved"\nanswer = { status = 200 }\n'
    )
    begins = {"a.test": "https://b.example/", "b.test": "/moved/", "c.test": "https://www.c.test/x?y#z"}
    seen: set[int] = set()

    @settings(max_examples=150, deadline=None)
    @given(st.sampled_from(sorted(begins)), PATHS)
    def leads(host: str, path: str) -> None:
        with tls(it.port, host, pki.public.file, kept=False) as sock:
            answer = exchange(sock, ask(f"/{path}", host).encode())
        seen.add(answer.status)
        assert answer.status in (200, 308, 400)
        if answer.status == 308:
            assert answer.headers["location"].startswith(begins[host])

    leads()
    assert 308 in seen
