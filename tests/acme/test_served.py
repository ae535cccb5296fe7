"""An edge whose sites have their certificates from an authority: from nothing to served, by a handshake and in the clear."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from everyhop.demo.stage import free_port
from tests.acme.pebble import Names, Pebble
from tests.kit import EdgeKit, Pki, Raw
from tests.kit.edge import until
from tests.kit.raw import OK, answering
from tests.wire.test_challenges import asks

Edges = Callable[..., EdgeKit]


@pytest.mark.parametrize("challenge", ["tls-alpn-01", "http-01"])
def test_a_site_without_a_certificate_gets_one_and_is_served(
    edge: Edges, raw: Callable[..., Raw], pki: Pki, names: Names, tmp_path: Path, challenge: str
) -> None:
    backend, plain, secure = raw(answering(OK)), free_port(), free_port()
    pebble = Pebble(pki, tmp_path, resolver=names.port, http_port=plain, tls_port=secure)
    try:
        it = edge(
            f'[acme]\nauthority = ["https://127.0.0.1:{pebble.port}/dir"]\nca = "{pki.public.file}"\nterms_agreed = true\n'
            f'challenges = ["{challenge}"]\n'
            f'[[listener]]\nname = "web"\nbind = ["127.0.0.1:{plain}"]\nspeaks = "http"\nhttps_port = {secure}\n'
            f'[[listener]]\nname = "second"\nbind = ["127.0.0.1:{secure}"]\n'
            '[[site]]\nname = "new"\nhosts = ["new.test", "other.new.test"]\ncerts = "acme"\n'
            f'[[route]]\nname = "r"\nhost = ["new.test", "other.new.test"]\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n'
        )

        def shown() -> x509.Certificate | None:
            try:
                return x509.load_der_x509_certificate(asks(secure, "new.test", ["http/1.1"])[1])
            except ssl.SSLError:
                return None

        until(lambda: shown() is not None, 60)
        found = shown()
        assert found is not None
        carried = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert {*carried.get_values_for_type(x509.DNSName)} == {"new.test", "other.new.test"}
        assert "Pebble" in found.issuer.rfc4514_string()
        told = it.admin("status")["supervisor"]["acme"]
        assert [(one["site"], one["problem"], one["pending"]) for one in told] == [("new", None, False)]
        ends = [line["end"] for line in it.all_lines()]
        how = "hello" if challenge == "tls-alpn-01" else "plain"
        assert ends.count(f"{how}/challenge-answered") >= 2
    finally:
        pebble.close()
