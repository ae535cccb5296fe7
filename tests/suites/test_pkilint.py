"""pkilint: whatever the internal authority signs is held against RFC 5280, and it finds nothing (K02)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from everyhop.authority import activate, begin, prepare
from everyhop.authority.acts import LONGEST
from everyhop.authority.names import named
from everyhop.authority.policy import told
from tests.kit.forge import alone
from tests.suites.peers import found

PASSPHRASE = b"correct horse battery"
POLICIES = {
    "hosts": (["corp.example"], [], []),
    "addresses": ([], [], ["10.0.0.0/8", "fd00::/8"]),
    "workloads": ([], ["corp.example"], []),
    "all": (["corp.example", "other.example"], ["corp.example"], ["10.0.0.0/8"]),
}
NAMES = {
    "hosts": [["a.corp.example"], [f"{'a' * 60}.corp.example"]],
    "addresses": [["10.0.0.1", "fd00::1"]],
    "workloads": [["spiffe://corp.example/a"]],
    "all": [["a.corp.example", "b.other.example", "10.0.0.1", "spiffe://corp.example/ns/a"], ["10.0.0.1"]],
}


MISTAKEN = "pkix.invalid_uri_syntax"
"""Of a scheme that its list of schemes lacks, `spiffe`; and of a constraint on URIs, which is a host's name and no URI (RFC 5280
§4.2.1.10), and is read as one."""


def has_uri(cert: x509.Certificate) -> int:
    """How many it names, or permits."""
    found: list[x509.GeneralName] = []
    for it in cert.extensions:
        if isinstance(it.value, x509.NameConstraints):
            found += it.value.permitted_subtrees or []
        elif isinstance(it.value, x509.SubjectAlternativeName):
            found += it.value
    return sum(isinstance(name, x509.UniformResourceIdentifier) for name in found)


def minded(command: str, data: bytes, folder: Path, *more: str) -> list[str]:
    """The codes of what a linter finds, beside what it only remarks on."""
    file = folder / "one.pem"
    file.write_bytes(data)
    arguments = [found(command), "lint", "--severity", "NOTICE", "--format", "JSON", *more, str(file)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=110, check=False)
    listed = [it["code"] for at in json.loads(done.stdout)["results"] for it in at["finding_descriptions"]]
    assert (done.returncode == 0) == (not listed), done.stdout + done.stderr
    return listed


@pytest.mark.parametrize("kind", POLICIES)
def test_nothing_is_found_in_what_the_authority_signs(kind: str, tmp_path: Path) -> None:
    it = begin(tmp_path / "ca", told("Inside", *POLICIES[kind]), PASSPHRASE)
    issued = [
        it.issue([named(n) for n in names], use, LONGEST)
        for names, use in zip(NAMES[kind], ("both", "server"), strict=False)
    ]
    it.revoke(issued[0].entry.serial, "key-compromise")
    it = activate(prepare(it, PASSPHRASE))
    certs = [x509.load_pem_x509_certificates(one.chain_pem)[0] for one in issued]
    certs += [cert for g in it.generations() for cert in (g.root, g.issuing)]
    for cert in certs:
        wrong = [MISTAKEN] * has_uri(cert)
        assert minded("lint_pkix_cert", cert.public_bytes(Encoding.PEM), tmp_path) == wrong, cert
    lists = it.published()
    assert len(lists) == 4
    for one in lists:
        assert (
            minded("lint_crl", one.public_bytes(Encoding.PEM), tmp_path, "--type", "CRL", "--profile", "PKIX") == []
        ), one


def test_the_linter_does_find_what_is_wrong(tmp_path: Path) -> None:
    """One that says nothing would have found nothing above, either."""
    bad = alone("a.test", ca=True)
    assert minded("lint_pkix_cert", bad.cert.public_bytes(Encoding.PEM), tmp_path)
