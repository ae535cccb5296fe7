"""BIND, as Debian has it, with a zone that a key may change."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

import dns.message
import dns.query
import dns.rdatatype

from everyhop.demo.stage import free_port
from tests.acme.pebble import COUNT, Program
from tests.applications.peer import found

ZONE = """\
$TTL 60
@ IN SOA ns.{zone}. ops.{zone}. 1 3600 600 86400 60
@ IN NS ns
ns IN A 127.0.0.1
"""
CONFIG = """\
options {{
  directory "{folder}"; pid-file "{folder}/pid"; session-keyfile "{folder}/session.key";
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion no; dnssec-validation no; empty-zones-enable no; notify no;
}};
controls {{ }};
key "acme" {{ algorithm hmac-sha256; secret "{secret}"; }};
key "stranger" {{ algorithm hmac-sha256; secret "{secret}"; }};
zone "{zone}" {{ type primary; file "zone"; update-policy {{ grant acme zonesub TXT; }}; }};
"""


class Bind:
    """Answers for `zone` alone, in which `records` stand, too."""

    def __init__(self, folder: Path, zone: str, records: str = "") -> None:
        self.zone, self.secret = zone, base64.b64encode(secrets.token_bytes(32)).decode()
        command = found("named")
        for _ in range(8):
            self.port = free_port()
            here = folder / f"bind-{next(COUNT)}"
            here.mkdir()
            (here / "zone").write_text(ZONE.format(zone=zone) + records)
            config = CONFIG.format(folder=here, port=self.port, secret=self.secret, zone=zone)
            (here / "named.conf").write_text(config)
            self.process = Program(
                [command, "-g", "-n", "1", "-c", str(here / "named.conf")], here / "log", [self.port]
            )
            if self.process.alive():
                return
        raise AssertionError(self.process.said())

    def texts(self, name: str) -> set[str]:
        """The TXT records that are there."""
        answer = dns.query.tcp(dns.message.make_query(name, dns.rdatatype.TXT), "127.0.0.1", 10, port=self.port)
        return {item.strings[0].decode() for rrset in answer.answer for item in rrset}

    def close(self) -> None:
        self.process.close()
