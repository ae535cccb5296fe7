"""Go's verifier, by which every program in Go believes a certificate, about what `everyhop ca` issues and what it would never."""

from __future__ import annotations

import datetime as dt
import subprocess
from pathlib import Path

import pytest

from everyhop.authority import begin, certify
from everyhop.authority.acts import utc
from everyhop.authority.certify import pem
from everyhop.authority.names import named
from everyhop.authority.policy import told
from tests.applications import peer

DAY = dt.timedelta(days=1)
PASSPHRASE = b"correct horse battery"
POLICIES = {
    "hosts": ((["corp.example"], [], []), ["a.corp.example", "corp.example"]),
    "addresses": (([], [], ["10.0.0.0/8", "fd00::/8"]), ["10.1.2.3", "fd00::1"]),
    "workloads": (([], ["corp.example"], []), ["spiffe://corp.example/ns/a"]),
    "all": (
        (["corp.example"], ["corp.example"], ["10.0.0.0/8"]),
        ["a.corp.example", "10.1.2.3", "spiffe://corp.example/a"],
    ),
}
FOREIGN = {
    "hosts": ["evil.example", "10.0.0.1", "spiffe://corp.example/a"],
    "addresses": ["corp.example", "11.0.0.1", "fe80::1", "spiffe://corp.example/a"],
    "workloads": ["corp.example", "10.0.0.1", "fd00::1"],
    "all": ["evil.example", "11.0.0.1", "fd00::1"],
}


def verified(roots: Path, chain: Path, use: str, *names: str) -> dict[str, str]:
    command = peer.go("verify", roots, chain, use, *names)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return {name: why for name, _, why in (line.partition(" ") for line in done.stdout.splitlines())}


@pytest.mark.parametrize("kind", POLICIES)
def test_go_believes_what_is_issued_and_nothing_outside_of_it(kind: str, tmp_path: Path) -> None:
    parts, names = POLICIES[kind]
    it = begin(tmp_path / "ca", told("Inside", *parts), PASSPHRASE)
    roots, chain = it.at / "roots.pem", tmp_path / "chain.pem"
    for use in ("server", "client"):
        chain.write_bytes(it.issue([named(n) for n in names], use, DAY).chain_pem)
        assert verified(roots, chain, use, *names) == dict.fromkeys(names, "ok")
        other = "client" if use == "server" else "server"
        assert all("incompatible key usage" in why for why in verified(roots, chain, other, *names).values())
    by = it.generations()[0].signer()
    for name in FOREIGN[kind]:
        stolen = certify.leaf([named(name)], certify.new_key().public_key(), "both", by, utc(), utc() + DAY)
        chain.write_bytes(pem(stolen, by.cert))
        assert "constraint" in verified(roots, chain, "server", name)[name], name
