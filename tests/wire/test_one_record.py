"""Several messages of a handshake in one record, as BoringSSL writes them (Chrome, gRPC, Envoy): who is refused by the first of them is
refused, and nothing behind it is looked at."""

from __future__ import annotations

from collections.abc import Callable

import grpc

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.grpc_peer import SERVICE, server
from tests.kit.raw import OK, answering

GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


def test_a_client_whose_certificate_nobody_trusts_ends_its_own_connection_alone(
    edge: Callable[..., EdgeKit], raw: Callable[..., Raw], pki: Pki
) -> None:
    own = raw(answering(OK))
    it = edge(
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{own.port}"]\n',
        site='clients = { ca = "{pki}/public-ca.pem" }',
        threads=1,
    )
    with tls(it.port, "a.test", pki.public.file, leaf=pki.client) as sock:
        assert exchange(sock, GET).status == 200
        for _ in range(3):
            assert call(it.port, pki) == grpc.StatusCode.UNAVAILABLE
        assert exchange(sock, GET).status == 200, "another's connection goes on"


def call(port: int, pki: Pki) -> object:
    """By a client that shows a certificate of another authority."""
    leaf = pki.backend
    credentials = grpc.ssl_channel_credentials(
        pki.public.file.read_bytes(), leaf.key.read_bytes(), leaf.chain.read_bytes()
    )
    options = (("grpc.ssl_target_name_override", "a.test"), ("grpc.enable_retries", 0))
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        try:
            channel.unary_unary(f"/{SERVICE}/One")(b"abc", timeout=20)
        except grpc.RpcError as e:
            return e.code()
    return grpc.StatusCode.OK


def test_a_backend_that_is_another_than_its_name_ends_its_own_connection_alone(
    edge: Callable[..., EdgeKit], raw: Callable[..., Raw], pki: Pki
) -> None:
    other, port = server(pki.other, pki.internal.file)
    own = raw(answering(OK))
    verify = 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }'
    try:
        it = edge(
            f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{own.port}"]\n'
            f'[[route]]\nname = "other"\nhost = "a.test"\npath = "/other"\ntls = "mutual"\nto = ["127.0.0.1:{port}"]\n{verify}\n'
            'present = "edge"\nupstream_protocol = "h2"\n',
            threads=1,
        )
        with tls(it.port, "a.test", pki.public.file) as sock:
            answer = exchange(sock, GET.replace("/ ", "/other "))
            assert (answer.status, "hop/name-mismatch" in answer.text) == (502, True), answer.text
            assert exchange(sock, GET).status == 200
    finally:
        other.stop(None)
