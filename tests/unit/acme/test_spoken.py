"""What is read of and said to authorities: names of authorities and certificates, waits, challenges, and others' words."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import pytest
from acme import messages
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from everyhop.acme import authority
from everyhop.acme.client import identity_of, moment
from everyhop.acme.directory import KNOWN
from everyhop.acme.network import seconds_of
from everyhop.acme.problem import LONGEST, of_error, printable
from everyhop.acme.publisher import record
from everyhop.acme.tls_alpn import IDENTIFIER, challenge_pair

DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


def test_an_authority_has_a_word_or_an_address() -> None:
    assert authority("letsencrypt").url == KNOWN["letsencrypt"] and authority("letsencrypt").public
    own = authority("https://ca.internal:9000/acme/directory", Path("/ca.pem"))
    assert not own.public and own.roots() == "/ca.pem" and own.id != authority("letsencrypt").id


@pytest.mark.parametrize(
    "text", ["letsencrpyt", "http://ca.test/dir", "https://", "https://u:p@ca.test/", "ca.test", ""]
)
def test_what_is_no_authority_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="letsencrypt-staging"):
        authority(text)


@pytest.mark.parametrize(
    ("told", "date", "seconds"),
    [
        ("120", "", 120.0),
        ("0", "", 0.0),
        ("Thu, 01 Jan 2026 01:00:00 GMT", DATE, 3600.0),
        ("Wed, 31 Dec 2025 01:00:00 GMT", DATE, 0.0),
        ("Thu, 01 Jan 2026 01:00:00 GMT", "", None),
        ("-5", DATE, None),
        ("1e3", DATE, None),
        ("٣", DATE, None),
        ("9" * 400, DATE, None),
        ("soon", DATE, None),
    ],
)
def test_how_long_to_wait_is_read_by_the_clock_of_who_says_it(told: str, date: str, seconds: float | None) -> None:
    assert seconds_of(told, date) == seconds


@given(st.text(), st.text())
def test_nothing_that_is_said_of_waiting_is_a_fault(told: str, date: str) -> None:
    it = seconds_of(told, date)
    assert it is None or it >= 0


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00", "soon", ""])
def test_a_moment_without_a_zone_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        moment(text)
    assert moment("2026-01-01T01:00:00+01:00") == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def test_a_certificate_is_named_as_the_standard_s_example_is() -> None:
    """RFC 9773, appendix A."""
    pem = b"""-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----
"""
    assert identity_of(x509.load_pem_x509_certificate(pem)) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


def test_the_certificate_of_a_challenge_is_what_the_standard_wants() -> None:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    chain, key = challenge_pair("a.test", "token.thumb", now)
    leaf = x509.load_pem_x509_certificate(chain)
    assert leaf.issuer == leaf.subject
    leaf.verify_directly_issued_by(leaf)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.DNSName("a.test")]
    (proof,) = [it for it in leaf.extensions if it.oid == IDENTIFIER]
    assert proof.critical and isinstance(proof.value, x509.UnrecognizedExtension)
    assert proof.value.value == b"\x04\x20" + hashlib.sha256(b"token.thumb").digest()
    private = load_pem_private_key(key, None)
    assert private.public_key() == leaf.public_key()
    assert leaf.not_valid_before_utc < now < leaf.not_valid_after_utc
    assert leaf.public_bytes(Encoding.DER)


def test_the_record_of_a_wildcard_is_that_of_its_base() -> None:
    assert record("*.a.test", "k")[0] == record("a.test", "k")[0] == "_acme-challenge.a.test"
    assert len(record("a.test", "k")[1]) == 43


@given(st.text(max_size=2000))
def test_what_a_stranger_says_is_one_line_of_bounded_length(text: str) -> None:
    it = printable(text)
    assert it.isprintable() and len(it) <= LONGEST + 4


def test_a_problem_with_parts_is_told_for_each_name_in_the_authority_s_words() -> None:
    told = {
        "type": "urn:ietf:params:acme:error:malformed",
        "detail": "Some of the identifiers requested were rejected",
        "subproblems": [
            {
                "type": "urn:ietf:params:acme:error:rejectedIdentifier",
                "detail": "This CA will not issue for it",
                "identifier": {"type": "dns", "value": "bad.example.org"},
            }
        ],
    }
    found = of_error(messages.Error.from_json(told), 400, None, "letsencrypt")
    assert str(found) == (
        "letsencrypt: Some of the identifiers requested were rejected; bad.example.org: This CA will not issue for it"
    )


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("rateLimited", 429, "limited"),
        ("rateLimited", 503, "limited"),
        ("serverInternal", 500, "outage"),
        ("malformed", 502, "outage"),
        ("caa", 403, "refused"),
        ("unheardOf", 400, "refused"),
    ],
)
def test_a_no_is_of_the_kind_that_fits_it(code: str, status: int, kind: str) -> None:
    error = messages.Error.from_json({"type": f"urn:ietf:params:acme:error:{code}", "detail": "x"})
    found = of_error(error, status, None, "a")
    assert (found.kind, found.code) == (kind, code)
