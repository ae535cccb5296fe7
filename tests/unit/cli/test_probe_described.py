"""What `probe` tells of a certificate that a stranger shows: what can be read of it, and never an error of ours."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from everyhop.cli.probe import described
from everyhop.demo.certificates import Authority
from everyhop.identity import sha256
from tests.kit.forge import forged, root


def test_of_a_certificate_that_says_what_nobody_can_read_the_rest_is_told(tmp_path: Path) -> None:
    """It was an error of ours: what reading it raises is of no one kind."""
    unknown = x509.UnrecognizedExtension(x509.TLSFeature.oid, bytes.fromhex("3003020106"))
    by = root(Authority(tmp_path, "One CA"))
    for more, names in (([], ["a.test", "10.0.0.1"]), ([unknown], [])):
        der = forged("a.test", by, names=["a.test", "10.0.0.1"], more=more).cert.public_bytes(Encoding.DER)
        it = described(der)
        assert (it["subject"], it["issuer"], it["names"]) == ("CN=a.test", "CN=One CA", names)
        assert it["sha256"] == sha256(der)
    assert described(b"none") == {
        "subject": None,
        "issuer": None,
        "names": [],
        "not_after": None,
        "sha256": sha256(b"none"),
    }
