"""Where connections arrive: both families, limits, names of backends, a log that cannot be written."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from everyhop.demo.backends import Backend
from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.edge import until

Edges = Callable[..., EdgeKit]
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


def route(to: str, more: str = "", tls_: str = "plaintext") -> str:
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "{tls_}"\nto = ["{to}"]\n{more}\n'


def test_one_socket_takes_both_families_and_ipv4_is_told_as_such(edge: Edges, pki: Pki) -> None:
    backend = Backend("b")
    it = edge(route(f"127.0.0.1:{backend.port}"))
    port = free_port()
    it.config.write_text(it.config.read_text().replace(f"127.0.0.1:{it.port}", f"[::]:{port}", 1))
    assert it.admin("reload")["reloaded"]
    for host in ("127.0.0.1", "::1"):
        with tls(port, "a.test", pki.public.file, host=host) as sock:
            assert exchange(sock, GET).status == 200
        assert backend.seen[-1]["x-forwarded-for"] == host
    backend.close()


def test_a_full_listener_takes_no_more_until_someone_leaves(edge: Edges, pki: Pki) -> None:
    """D01."""
    backend = Backend("b")
    it = edge(route(f"127.0.0.1:{backend.port}"), listener="connections = 2")
    held = [tls(it.port, "a.test", pki.public.file) for _ in range(2)]
    for sock in held:
        assert exchange(sock, GET).status == 200
    with pytest.raises(OSError):
        tls(it.port, "a.test", pki.public.file)
    assert until(lambda: it.status()["refused"].get("connection/limit"))
    held.pop().close()

    def fits() -> bool:
        try:
            with tls(it.port, "a.test", pki.public.file) as sock:
                return exchange(sock, GET).status == 200
        except OSError:
            return False

    until(fits)
    held.pop().close()
    backend.close()


def test_a_backend_is_found_by_its_name_and_one_that_is_nowhere_closes_its_route(edge: Edges, pki: Pki) -> None:
    leaf = pki.internal.leaf("local", "localhost")
    backend = Backend("b", leaf)
    verify = 'verify = { ca = "{pki}/internal-ca.pem" }'
    it = edge(route(f"localhost:{backend.port}", verify, "reencrypt"))
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).status == 200
    assert it.line(lambda x: x["route"] == "r")["backend_hop"]["at"] == f"localhost:{backend.port}"
    assert it.reload(route("nowhere.invalid:1", verify, "reencrypt"))["reloaded"], (
        "a name that is nowhere refuses nothing"
    )
    with tls(it.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, GET)
    assert answer.status == 503 and "hop/unresolved" in answer.text
    backend.close()


def test_a_backend_on_a_unix_socket_is_this_host(edge: Edges, pki: Pki) -> None:
    import tempfile
    import threading

    path = Path(tempfile.mkdtemp(prefix="eh-")) / "b.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(8)
        # Started by root the engine is nobody, who must reach the socket.
        path.parent.chmod(0o755)
        path.chmod(0o666)

        def serve() -> None:
            with listener.accept()[0] as sock:
                sock.recv(4096)
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix")

        threading.Thread(target=serve, daemon=True).start()
        it = edge(route(f"unix:{path}"))
        with tls(it.port, "a.test", pki.public.file) as sock:
            assert exchange(sock, GET).body == b"unix"


def test_a_log_that_cannot_be_written_refuses_where_that_was_asked_for(edge: Edges, pki: Pki) -> None:
    backend = Backend("b")
    it = edge(route(f"127.0.0.1:{backend.port}"))
    text = it.config.read_text().replace(f'access = "{it.log}"', 'access = "/dev/full"\non_full = "refuse"')
    it.config.write_text(text)
    assert it.admin("reload")["reloaded"]

    def refused() -> bool:
        with tls(it.port, "a.test", pki.public.file) as sock:
            answer = exchange(sock, GET)
        return answer.status == 503 and "log/full" in answer.text

    until(refused)
    backend.close()
