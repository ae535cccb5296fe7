"""Post-quantum key exchange demanded of clients and of backends: who has none gets nothing, and is told why; who has it is counted.

OpenSSL 3.0, by which Python and the kit's backends speak, has none; another edge has it, as a client by `probe` and as a backend.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest

from everyhop.demo.backends import Backend
from tests.kit import EdgeKit, Pki, exchange, tls
from tests.wire.test_metrics import Told

Edges = Callable[..., EdgeKit]
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
OURS = ssl.OPENSSL_VERSION_INFO < (3, 5)
needs_classical = pytest.mark.skipif(not OURS, reason="this OpenSSL has X25519MLKEM768 itself")


def plain(port: int) -> str:
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n'


def encrypted(port: int, ca: str, name: str, more: str = "require_post_quantum = true") -> str:
    return (
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "reencrypt"\nto = ["127.0.0.1:{port}"]\n'
        f'verify = {{ ca = "{{pki}}/{ca}.pem", name = "{name}" }}\n{more}\n'
    )


def asked(it: EdgeKit, pki: Pki) -> int:
    with tls(it.port, "a.test", pki.public.file) as sock:
        return exchange(sock, GET).status


@needs_classical
def test_a_site_that_requires_it_refuses_clients_without_it_by_name_and_serves_those_that_have_it(
    edge: Edges, pki: Pki
) -> None:
    backend = Backend("b")
    it = edge(plain(backend.port), site="require_post_quantum = true")
    with pytest.raises(ssl.SSLError):
        asked(it, pki)
    line = it.line(lambda x: x["end"] == "handshake/no-post-quantum")
    assert line["client_hop"]["tls"] == "failed" and line["sni"] == "a.test" and backend.seen == []
    seen = it.cli("probe", f"127.0.0.1:{it.port}", "--sni", "a.test", "--ca", str(pki.public.file))
    assert "X25519MLKEM768" in seen.stdout and "verified  ok" in seen.stdout, seen.stdout + seen.stderr
    backend.close()


@needs_classical
def test_handshakes_are_counted_by_site_and_a_reload_keeps_the_count(edge: Edges, pki: Pki) -> None:
    backend = Backend("b")
    told = Told(edge, plain(backend.port))
    it = told.it
    assert asked(it, pki) == 200
    it.cli("probe", f"127.0.0.1:{it.port}", "--sni", "a.test", "--ca", str(pki.public.file))

    def of(said: str) -> float:
        return told.figures()[f'everyhop_site_handshakes_total{{site="edge",post_quantum="{said}"}}']

    assert (of("no"), of("yes")) == (1, 1)
    it.site = 'policy = "modern"\n'
    assert it.reload(plain(backend.port))["reloaded"]
    assert (of("no"), of("yes")) == (1, 1)
    backend.close()


@needs_classical
def test_a_hop_that_requires_it_sends_nothing_to_a_backend_without_it_and_says_what_it_offered(
    edge: Edges, pki: Pki
) -> None:
    old = Backend("old", pki.backend)
    it = edge(encrypted(old.port, "internal-ca", "backend.internal"))
    assert asked(it, pki) == 502
    line = it.line(lambda x: x["end"] == "hop/no-post-quantum")
    assert "we offer TLS 1.3" in line["failed_hops"][0]["detail"] and old.seen == []
    assert "X25519MLKEM768" in line["failed_hops"][0]["detail"]
    old.close()


def test_a_hop_that_requires_it_reaches_a_backend_that_has_it_and_the_line_and_the_count_say_so(
    edge: Edges, pki: Pki
) -> None:
    backend = Backend("b")
    behind = edge(plain(backend.port), site="require_post_quantum = true")
    told = Told(edge, encrypted(behind.port, "public-ca", "a.test"))
    it = told.it
    assert asked(it, pki) == 200
    line = it.line(lambda x: x["status"] == 200)
    assert line["backend_hop"]["group"] == "X25519MLKEM768", line
    counted = told.figures()
    name = f'everyhop_hop_handshakes_total{{route="r",backend="127.0.0.1:{behind.port}",post_quantum='
    assert (counted[name + '"yes"}'], counted[name + '"no"}']) == (1, 0)
    backend.close()
