"""step-ca, an authority for names that only a private network knows, by its own program: a root, an issuing authority below it, and one
way to ask, which is ACME.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from everyhop.demo.certificates import Authority, named
from everyhop.demo.stage import free_port
from tests.acme.pebble import Program
from tests.applications.peer import installed

COUNT = itertools.count()


class Step:
    """One, which is started and ended; what it knows stays in `folder`."""

    def __init__(self, folder: Path, *, resolver: int, http_port: int, tls_port: int, lasts: str = "24h") -> None:
        self.folder = folder / f"step-{next(COUNT)}"
        self.folder.mkdir()
        self.root = Authority(self.folder, "Root")
        self.port = free_port()
        self.command = [
            *(installed("step_ca", "step-ca"), str(self.folder / "ca.json"), "--insecure"),
            *(f"--acme-http-port={http_port}", f"--acme-tls-port={tls_port}", f"--resolver=127.0.0.1:{resolver}"),
        ]
        self.issuing(self.root)
        self.configure(lasts=lasts)
        self.process: Program | None = None
        self.start()

    def configure(self, *, lasts: str = "24h", denied: Sequence[str] = ("denied.test",)) -> None:
        claims = {"minTLSCertDuration": "1m", "maxTLSCertDuration": "24h", "defaultTLSCertDuration": lasts}
        config = {
            "root": str(self.root.file),
            "crt": str(self.folder / "issuing.pem"),
            "key": str(self.folder / "issuing.key"),
            "address": f"127.0.0.1:{self.port}",
            "dnsNames": ["127.0.0.1"],
            "logger": {"format": "json"},
            "db": {"type": "badgerv2", "dataSource": str(self.folder / "db")},
            "authority": {
                "provisioners": [{"type": "ACME", "name": "acme", "claims": claims}],
                "policy": {"x509": {"allow": {"dns": ["*.test"]}, "deny": {"dns": list(denied)}}},
            },
        }
        (self.folder / "ca.json").write_text(json.dumps(config))

    def issuing(self, root: Authority) -> None:
        key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
        cert = (
            x509.CertificateBuilder()
            .subject_name(named("Issuing"))
            .issuer_name(root.cert.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=300))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key()), critical=False)
            .sign(root.key, hashes.SHA256())
        )
        (self.folder / "issuing.pem").write_bytes(cert.public_bytes(Encoding.PEM))
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / "issuing.key").write_bytes(plain)

    def rotated(self) -> None:
        """Another root, and another issuing authority below it."""
        self.root = Authority(self.folder, "Root 2")
        self.issuing(self.root)
        self.configure()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/acme/acme/directory"

    def start(self) -> None:
        self.process = Program(self.command, self.folder / "log", [self.port])
        assert self.process.alive(), self.process.said()

    def said(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def close(self) -> None:
        if self.process is not None:
            self.process.close()
