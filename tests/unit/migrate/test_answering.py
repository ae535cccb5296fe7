"""Whether a backend answers by mutual TLS: what is said of it is what a handshake showed, and what could not be tried is said so."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from everyhop.authority.enrolment import Token
from everyhop.compile import Compiled, compile_file
from everyhop.demo.backends import Backend
from everyhop.migrate.answering import Answer, answers, instead, proved, uris
from everyhop.plan import AtEdge, ByRoots, BySpiffe, MutualHop
from tests.kit import Pki
from tests.kit.forge import forged, root

TEXT = """version = 1
{engine}
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{{ chain = "edge.pem", key = "file:edge.key" }}]
[[identity]]
name = "i"
chain = "identity.pem"
key = "{key}"
[[identity]]
name = "own"
from = "ca"
authority = "127.0.0.1:1"
token = "file:token"
[[route]]
name = "r"
host = "a.test"
tls = "mutual"
to = ["127.0.0.1:1", "127.0.0.1:{port}"]
present = "{present}"
verify = {verify}
"""
BY_NAME = '{ ca = "internal-ca.pem", name = "backend.internal" }'
ID = "spiffe://corp.example/b"


def compiled(
    pki: Pki,
    port: int = 2,
    verify: str = BY_NAME,
    key: str = "file:identity.key",
    engine: str = "",
    present: str = "i",
) -> Compiled:
    text = TEXT.format(port=port, verify=verify, key=key, engine=engine, present=present)
    (pki.folder / "token").write_text(str(Token(bytes(32), bytes(32))))
    (pki.folder / "token").chmod(0o600)
    return compile_file(pki.folder / "everyhop.toml", text=text)


def asked(pki: Pki, port: int, verify: str = BY_NAME) -> Answer:
    return answers(compiled(pki, port, verify), "r", 1)


@pytest.fixture
def backend(pki: Pki) -> Iterator[Backend]:
    it = Backend("b", pki.backend, clients=pki.internal.file, demands=True)
    yield it
    it.close()


def test_one_that_proves_who_it_is_asks_who_we_are_and_takes_it_is_ready(pki: Pki, backend: Backend) -> None:
    found = asked(pki, backend.port)
    assert found.ready and found.why.startswith("proves to be backend.internal by TLS 1.3, and takes what 'i' shows")


def test_one_that_is_somebody_else_asks_nobody_or_is_not_there_is_not_ready(pki: Pki, backend: Backend) -> None:
    found = asked(pki, backend.port, '{ ca = "internal-ca.pem", name = "other.internal" }')
    assert not found.ready and "[hop/name-mismatch]" in found.why
    found = asked(pki, backend.port, '{ ca = "public-ca.pem", name = "backend.internal" }')
    assert not found.ready and "[hop/untrusted]" in found.why
    nobody = Backend("n", pki.backend)
    found = asked(pki, nobody.port)
    nobody.close()
    assert not found.ready and found.why == "does not ask who we are: it would be mutual in name only"
    plain = Backend("p")
    found = asked(pki, plain.port)
    plain.close()
    assert not found.ready and re.match(r"no TLS that holds: .+ \[hop/[a-z-]+\]: .+", found.why)
    silent = Backend("s", pki.backend, clients=pki.public.file, demands=True)
    found = asked(pki, silent.port)
    silent.close()
    assert not found.ready and "[hop/" in found.why, (
        "it says after the handshake alone that it does not take what we show"
    )
    with socket.create_server(("127.0.0.1", 0)) as it:
        port = it.getsockname()[1]
    found = asked(pki, port)
    assert not found.ready and found.why.startswith("does not answer: ")


def test_one_is_known_by_what_is_pinned_as_well_and_without_roots(pki: Pki, backend: Backend) -> None:
    spki = x509.load_pem_x509_certificate(pki.backend.chain.read_bytes()).public_key()
    mine = hashlib.sha256(spki.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
    assert asked(pki, backend.port, f'{{ pin = "sha256:{mine}" }}').ready
    found = asked(pki, backend.port, f'{{ pin = "sha256:{"0" * 64}" }}')
    assert not found.ready and "[hop/pin-mismatch]" in found.why


def test_nobody_is_asked_before_an_authority_gave_what_is_shown_and_by_what_is_judged(pki: Pki) -> None:
    """Nothing listens at port 1: it is said before."""
    found = answers(compiled(pki, present="own"), "r", 0)
    assert found == Answer(False, "identity 'own' has no certificate yet")
    found = answers(compiled(pki, verify='{ ca = "identity:own", crl = "identity:own", name = "b.test" }'), "r", 0)
    assert found == Answer(False, "the roots of identity:own are not there yet")


@pytest.mark.skipif(os.geteuid() != 0, reason="a module is root's")
def test_a_key_in_a_token_is_not_tried_and_that_is_said(pki: Pki, tmp_path: Path) -> None:
    """It was an error of ours."""
    (module := tmp_path / "m.so").write_bytes(b"")
    uri = f"pkcs11:token=a;object=b?module-path={module}"
    it = compiled(pki, key=uri, engine='[engine]\nkeys = "apart"')
    found = answers(it, "r", 0)
    assert not found.ready and "is in a token, of which nothing is asked here" in found.why


def of(pki: Pki, verify: str) -> MutualHop:
    way = compiled(pki, verify=verify).plan.routes[0].way
    assert isinstance(way, AtEdge)
    hop = way.backends[0].hop
    assert isinstance(hop, MutualHop)
    return hop


def seen(pki: Pki, names: Sequence[str | x509.GeneralName], why: str | None = "hop/name-mismatch") -> dict[str, object]:
    cert = forged("b", root(pki.internal), names=names).cert
    return {"chain": [base64.b64encode(cert.public_bytes(Encoding.DER)).decode()], "verified_why": why}


def uri(text: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(text)


def test_who_it_is_instead_is_told_where_it_is_one_workload_whose_id_is_whole(pki: Pki) -> None:
    by_name, by_id = of(pki, BY_NAME).verify.by, of(pki, f'{{ ca = "internal-ca.pem", spiffe = "{ID}" }}').verify.by
    both = of(pki, f'{{ ca = "internal-ca.pem", spiffe = "{ID}", name = "b.test" }}').verify.by
    assert isinstance(by_name, ByRoots) and isinstance(by_id, BySpiffe) and isinstance(both, BySpiffe)
    other = "spiffe://corp.example/c"
    for by in (by_name, by_id):
        told = f"; it is {other}: if that is who belongs there, say --spiffe {other}"
        assert instead(seen(pki, [uri(other)]), by) == told
        for odd in ([], ["b.test"], [uri(other), uri(ID)], [uri("https://c.test/")], [uri("spiffe://corp.example/*")]):
            assert instead(seen(pki, odd), by) == "", odd
        assert instead(seen(pki, [uri(other)], "hop/untrusted"), by) == ""
    assert instead(seen(pki, [uri(other)]), both) == "", "beside a name the ID may be right"


def test_what_it_proves_to_be_is_what_was_asked_of_it(pki: Pki) -> None:
    assert proved(seen(pki, ["b.test"]), of(pki, BY_NAME)) == "backend.internal"
    one = of(pki, f'{{ ca = "internal-ca.pem", spiffe = "{ID}" }}')
    assert proved(seen(pki, [uri(ID)]), one) == ID == proved(seen(pki, []), one)
    every = of(pki, '{ ca = "internal-ca.pem", spiffe = "spiffe://corp.example/*" }')
    assert proved(seen(pki, [uri(ID)]), every) == f"{ID}, which is of spiffe://corp.example/*,"
    both = of(pki, f'{{ ca = "internal-ca.pem", spiffe = "{ID}", name = "b.test" }}')
    assert proved(seen(pki, [uri(ID), "b.test"]), both) == f"{ID} and b.test"


def test_a_certificate_that_cannot_be_read_names_no_workload(pki: Pki) -> None:
    assert uris({"chain": [base64.b64encode(b"nonsense").decode()]}) == [] == uris(seen(pki, []))
    assert uris(seen(pki, [uri(ID), "b.test"])) == [ID]
    leaf, issuer = (seen(pki, [uri(who)])["chain"] for who in (ID, f"{ID}/issuer"))
    assert isinstance(leaf, list) and isinstance(issuer, list)
    assert uris({"chain": leaf + issuer}) == [ID], "of the certificate itself, and not of who signed it"
    unknown = x509.UnrecognizedExtension(x509.TLSFeature.oid, bytes.fromhex("3003020106"))
    odd = forged("b", root(pki.internal), names=[uri(ID)], more=[unknown]).cert.public_bytes(Encoding.DER)
    assert uris({"chain": [base64.b64encode(odd).decode()]}) == [], "a feature of TLS that nobody knows"
