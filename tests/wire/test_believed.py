"""What a trusted proxy says of the request that it took, beside the address: believed where the listener says so, in one
way or not at all, and of nobody else. Judged at the recording backend, in both protocols of a client's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.kit import EdgeKit, Pki, Raw
from tests.threats.ground import serving
from tests.threats.talk import PROTOCOLS, Talk, arrivals

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

TRUSTED, STRANGER, BEFORE = "127.0.0.9", "127.0.0.1", "10.0.0.7"
ALL = '["address", "proto", "host", "port", "forwarded", "request-id"]'
NAMES = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded")

Case = tuple[str, list[tuple[bytes, bytes]], dict[str, str]]


def told(chain: str = TRUSTED, proto: str = "https", host: str = "a.test", port: str | None = None) -> dict[str, str]:
    """What a backend gets, all of one."""
    nodes = ", ".join(f"for={hop}" for hop in chain.split(", "))
    found = {"x-forwarded-for": chain, "x-forwarded-proto": proto, "x-forwarded-host": host}
    found["forwarded"] = f'{nodes};proto={proto};host="{host}"'
    return found | ({"x-forwarded-port": port} if port else {})


PROTO, HOST, PORT = b"X-Forwarded-Proto", b"X-Forwarded-Host", b"X-Forwarded-Port"
FOR, LIST = b"X-Forwarded-For", b"Forwarded"
CASES: list[Case] = [
    ("nothing", [], told()),
    ("scheme", [(PROTO, b"http")], told(proto="http")),
    ("scheme of a WebSocket", [(PROTO, b"WS")], told(proto="http")),
    ("scheme twice alike", [(PROTO, b"http, HTTP"), (PROTO, b"http")], told(proto="http")),
    ("two schemes", [(PROTO, b"http"), (PROTO, b"https")], told()),
    ("two schemes in one", [(PROTO, b"http, https")], told()),
    ("no scheme", [(PROTO, b"gopher")], told()),
    ("host", [(HOST, b"Shop.Test")], told(host="shop.test")),
    ("host and port", [(HOST, b"shop.test"), (PORT, b"8443")], told(host="shop.test:8443", port="8443")),
    ("the scheme's own port", [(HOST, b"shop.test"), (PORT, b"443")], told(host="shop.test", port="443")),
    ("a port alone", [(PORT, b"8443")], told(host="a.test:8443", port="8443")),
    ("host and port apart", [(HOST, b"shop.test:1"), (PORT, b"2")], told()),
    ("two hosts", [(HOST, b"shop.test"), (HOST, b"other.test")], told()),
    ("no host", [(HOST, b"shop.test/x")], told()),
    ("no port", [(HOST, b"shop.test"), (PORT, b"65536")], told(host="shop.test")),
    ("twins", [(b"X_Forwarded_Proto", b"http"), (b"X-Forwarded.Host", b"six.test")], told()),
    (
        "a list",
        [(LIST, b'for=203.0.113.7;proto=http;host="shop.test:8080"')],
        told(f"203.0.113.7, {TRUSTED}", "http", "shop.test:8080"),
    ),
    (
        "a list that the client began",
        [(LIST, b"for=6.6.6.6;proto=http;host=six.test, for=203.0.113.7;proto=https;host=shop.test")],
        told(f"203.0.113.7, {TRUSTED}", "https", "shop.test"),
    ),
    (
        "a list of several proxies",
        [(LIST, b"for=203.0.113.7;proto=http;host=shop.test"), (LIST, b"for=10.0.0.7;proto=https;host=inner.test")],
        told(f"203.0.113.7, {BEFORE}, {TRUSTED}", "http", "shop.test"),
    ),
    ("a list of nobody", [(LIST, b"for=_hidden;proto=http")], told(proto="http")),
    ("a list and the fields, alike", [(LIST, b"for=203.0.113.7;proto=http"), (FOR, b"203.0.113.7"), (PROTO, b"http")],
     told(f"203.0.113.7, {TRUSTED}", "http")),
    ("a list and the fields, apart", [(LIST, b"for=203.0.113.8;proto=https"), (FOR, b"203.0.113.7"), (PROTO, b"http")],
     told()),
    ("no list", [(LIST, b'for=203.0.113.7;host="'), (FOR, b"203.0.113.7"), (PROTO, b"http"), (PORT, b"80")],
     told(host="a.test:80", port="80")),
]  # fmt: skip


def behind(edge: Edges, raw: Raws, believe: str) -> tuple[EdgeKit, Raw]:
    backend = raw(serving)
    text = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n'
    networks = f'["{TRUSTED}/32", "{BEFORE}/32"]'
    return edge(text, listener=f"trusted_proxies = {{ networks = {networks}, believe = {believe} }}"), backend


def heads(it: EdgeKit, pki: Pki, backend: Raw, source: str, protocol: str, asking: list[list[tuple[bytes, bytes]]]):  # type: ignore[no-untyped-def]
    """What reached the backend of each."""
    before = [len(record) for record in backend.records]
    with Talk(it.port, pki, "a.test", protocol, source) as talk:
        for pairs in asking:
            assert talk.ask(b"/", *pairs).status == 200
    pad = before + [0] * (len(backend.records) - len(before))
    return list(arrivals([bytes(r)[at:] for r, at in zip(backend.records, pad, strict=True)]))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_a_trusted_proxy_says_of_its_request_goes_on_in_one_voice(
    edge: Edges, raw: Raws, pki: Pki, protocol: str
) -> None:
    """X01. Whatever is told, X-Forwarded-* and Forwarded say the same, and the route is that of the request's own host."""
    it, backend = behind(edge, raw, ALL)
    arrived = heads(it, pki, backend, TRUSTED, protocol, [pairs for _, pairs, _ in CASES])
    for (name, _, expected), got in zip(CASES, arrived, strict=True):
        found = {n: got.one(n) for n in NAMES if got.all(n)}
        assert found == expected, name
        assert got.one("host") == "a.test" and "six" not in str(got), name
    # Of anybody else nothing is believed.
    for (name, _, _), got in zip(
        CASES, heads(it, pki, backend, STRANGER, protocol, [p for _, p, _ in CASES]), strict=True
    ):
        assert {n: got.one(n) for n in NAMES if got.all(n)} == told(STRANGER), name


@pytest.mark.parametrize(
    ("believe", "expected"),
    [
        ('["address"]', told(f"203.0.113.7, {TRUSTED}")),
        ('["proto"]', told(proto="http")),
        ('["host"]', told(host="shop.test")),
        ('["port"]', told(host="a.test:81", port="81")),
        ('["forwarded"]', told(f"203.0.113.9, {TRUSTED}", "http", "list.test")),
        ('["request-id"]', told()),
    ],
)
def test_a_trusted_proxy_is_believed_in_what_is_named_and_in_nothing_else(
    edge: Edges, raw: Raws, pki: Pki, believe: str, expected: dict[str, str]
) -> None:
    """X01."""
    it, backend = behind(edge, raw, believe)
    all_of_it = [(FOR, b"203.0.113.7"), (PROTO, b"http"), (HOST, b"shop.test"), (PORT, b"81")]
    all_of_it += [(LIST, b"for=203.0.113.9;proto=http;host=list.test"), (b"X-Request-Id", b"abc")]
    (got,) = heads(it, pki, backend, TRUSTED, "http/1.1", [all_of_it])
    assert {n: got.one(n) for n in NAMES if got.all(n)} == expected
    assert (got.one("x-request-id") == "abc") == ("request-id" in believe)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_id_of_a_trusted_proxy_is_the_backends_the_clients_and_the_logs(
    edge: Edges, raw: Raws, pki: Pki, protocol: str
) -> None:
    """X01. One that could be taken for something else in a log or a header is not taken at all."""
    it, backend = behind(edge, raw, ALL)
    good, bad = b"Root=1-67891233-abcdef012345678912345678", [b"a b", b"a,b", b'a"b', b"x" * 129, b""]
    asking = [[(b"X-Request-Id", good)], *([(b"X-Request-Id", b)] for b in bad)]
    asking.append([(b"X-Request-Id", b"one"), (b"X-Request-Id", b"two")])
    first, *others = heads(it, pki, backend, TRUSTED, protocol, asking)
    assert first.one("x-request-id") == good.decode()
    line = it.line(lambda x: x["told_id"] is not None)
    assert line["told_id"] == good.decode() and line["id"] != line["told_id"] and line["route"] == "r"
    own = {o.one("x-request-id") for o in others}
    assert len(own) == len(others) and all(len(i) == 16 for i in own)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("source", [TRUSTED, STRANGER])
def test_a_believed_id_is_shown_by_a_refusal_and_by_the_fields_that_a_route_writes(
    edge: Edges, raw: Raws, pki: Pki, protocol: str, source: str
) -> None:
    """X01. Of a stranger it is not: what is shown then is the edge's own."""
    backend = raw(serving)
    text = (
        f'[[route]]\nname = "r"\nhost = "a.test"\npath = "/in"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n'
    )
    edits = 'request = { set = { x-seen = "<{request.id}>" } }\nresponse = { set = { x-seen = "<{request.id}>" } }\n'
    trusting = f'trusted_proxies = {{ networks = ["{TRUSTED}/32"], believe = ["request-id"] }}'
    it = edge(text + edits, listener=trusting)
    given = b"Root=1-67891233-abc"
    with Talk(it.port, pki, "a.test", protocol, source) as talk:
        passed = talk.ask(b"/in", (b"X-Request-Id", given))
        refused = talk.ask(b"/out", (b"X-Request-Id", given))
    assert (passed.status, refused.status) == (200, 404)
    lines = {path: it.line(lambda x, path=path: x["path"] == path) for path in ("/in", "/out")}  # type: ignore[misc]
    ids = {path: line["told_id"] or line["id"] for path, line in lines.items()}
    assert all((i == given.decode()) == (source == TRUSTED) for i in ids.values())
    (got,) = arrivals([bytes(record) for record in backend.records])
    assert got.one("x-seen") == passed.fields["x-seen"] == f"<{ids['/in']}>"
    assert refused.fields["x-request-id"] == ids["/out"] and f"request: {ids['/out']}\n".encode() in refused.body
