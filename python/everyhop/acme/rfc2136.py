"""`dns-01` by dynamic update (RFC 2136) of the zone's own server, signed by TSIG (RFC 8945).

The zone is the one that the server itself is told of, or found by asking it for the SOA above the name.
"""

from __future__ import annotations

import base64
import contextlib
from dataclasses import dataclass, field

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.tsigkeyring
import dns.update

from everyhop.acme.publisher import record

TTL_S = 60
ALGORITHMS = ("hmac-sha256", "hmac-sha384", "hmac-sha512")
"""What keys may sign by; MD5 and SHA-1 are no longer to be used (RFC 8945 §6)."""


@dataclass(frozen=True)
class Update:
    """Adds and removes single records of the RRset: others' answers, of a wildcard beside its base, stay."""

    server: str
    """Its address: not a name, which would be asked of the very DNS that is being changed."""
    port: int
    key_name: str
    secret: str = field(repr=False)
    """Base64, as `tsig-keygen` writes it."""
    algorithm: str = "hmac-sha256"
    zone: str | None = None
    timeout_s: float = 10.0
    settle_s: float = 0.0
    """How long secondaries take."""

    kinds = ("dns-01",)

    def publish(self, kind: str, name: str, token: str, key_authorization: str) -> float:
        where, text = record(name, key_authorization)
        zone = self.zone_of(where)
        change = self.change(zone)
        change.add(relative(where, zone), TTL_S, "TXT", text)
        self.send(change, zone)
        return self.settle_s

    def withdraw(self, kind: str, name: str, token: str, key_authorization: str) -> None:
        where, text = record(name, key_authorization)
        zone = self.zone_of(where)
        change = self.change(zone)
        change.delete(relative(where, zone), "TXT", text)
        self.send(change, zone)

    def change(self, zone: dns.name.Name) -> dns.update.UpdateMessage:
        if self.algorithm not in ALGORITHMS:
            raise OSError(
                f"the key {self.key_name} is for {self.algorithm}, and one of {', '.join(ALGORITHMS)} is needed"
            )
        try:
            base64.b64decode(self.secret, validate=True)
            ring = dns.tsigkeyring.from_text({self.key_name: (self.algorithm, self.secret)})
        except (ValueError, dns.exception.DNSException) as e:
            raise OSError(f"the key {self.key_name} is no key for TSIG (base64)") from e
        return dns.update.UpdateMessage(zone, keyring=ring)

    def zone_of(self, where: str) -> dns.name.Name:
        """Raises `OSError`."""
        if self.zone is not None:
            return dns.name.from_text(self.zone)
        name = dns.name.from_text(where)
        while name != dns.name.root:
            answer = self.asked(dns.message.make_query(name, dns.rdatatype.SOA))
            for rrset in [*answer.answer, *answer.authority]:
                if rrset.rdtype == dns.rdatatype.SOA and name.is_subdomain(rrset.name):
                    return rrset.name
            name = name.parent()
        raise OSError(f"the server {self.server} has no zone of {where}")

    def send(self, change: dns.update.UpdateMessage, zone: dns.name.Name) -> None:
        rcode = self.asked(change).rcode()
        if rcode != dns.rcode.NOERROR:
            raise OSError(f"{self.server} refuses to change {zone.to_text(True)}: {dns.rcode.to_text(rcode)}")

    def asked(self, message: dns.message.Message) -> dns.message.Message:
        """By TCP: an answer over UDP could be anybody's where it is not signed. Raises `OSError`."""
        try:
            return dns.query.tcp(message, self.server, timeout=self.timeout_s, port=self.port)
        except dns.exception.Timeout:
            raise OSError(f"{self.server} does not answer within {self.timeout_s:.0f} s") from None
        except dns.tsig.PeerError as e:
            raise OSError(f"{self.server} refuses the key {self.key_name}: {e}") from e
        except (dns.exception.DNSException, EOFError, ValueError) as e:
            raise OSError(f"{self.server} does not answer as a DNS server: {e or type(e).__name__}") from e


def relative(where: str, zone: dns.name.Name) -> dns.name.Name:
    """Raises `OSError`."""
    name = dns.name.from_text(where)
    with contextlib.suppress(dns.exception.DNSException):
        if name.is_subdomain(zone):
            return name.relativize(zone)
    raise OSError(f"{where} is not in the zone {zone.to_text(True)}")
