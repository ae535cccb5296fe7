"""`dns-01` by dynamic update (RFC 2136) of the zone's own server, signed by TSIG (RFC 8945).

The zone is the one that the server itself is told of, or found by asking it for the SOA above the name.
"""

from __future__ import annotations

import base64
import contextlib
import time
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
    """The publisher. Adds and removes single records of the RRset: others' answers, of a wildcard beside its base, stay."""

    server: str
    """Its address: not a name, which would be asked of the very DNS that is being changed."""
    port: int
    key_name: str
    secret: str = field(repr=False)
    """Base64, as `tsig-keygen` writes it."""
    algorithm: str = "hmac-sha256"
    zone: str | None = None
    timeout_s: float = 10.0
    """For one change."""
    settle_s: float = 0.0
    """How long secondaries take."""

    kinds = ("dns-01",)

    def publish(self, kind: str, name: str, token: str, key_authorization: str) -> float:
        Talk(self).change(name, key_authorization, there=True)
        return self.settle_s

    def withdraw(self, kind: str, name: str, token: str, key_authorization: str) -> None:
        Talk(self).change(name, key_authorization, there=False)


class Talk:
    """One change, within the time that it has as a whole. Each of its functions raises `OSError`."""

    def __init__(self, by: Update) -> None:
        self.by, self.until = by, time.monotonic() + by.timeout_s
        if by.algorithm not in ALGORITHMS:
            raise OSError(f"the key {by.key_name} is for {by.algorithm}, and one of {', '.join(ALGORITHMS)} is needed")
        try:
            base64.b64decode(by.secret, validate=True)
            self.ring = dns.tsigkeyring.from_text({by.key_name: (by.algorithm, by.secret)})
        except (ValueError, dns.exception.DNSException) as e:
            raise OSError(f"the key {by.key_name} is no key for TSIG (base64)") from e

    def change(self, name: str, key_authorization: str, *, there: bool) -> None:
        where, text = record(name, key_authorization)
        zone = self.zone_of(where)
        it = dns.update.UpdateMessage(zone)
        if there:
            it.add(relative(where, zone), TTL_S, "TXT", text)
        else:
            it.delete(relative(where, zone), "TXT", text)
        rcode = self.asked(it).rcode()
        if rcode != dns.rcode.NOERROR:
            raise OSError(f"{self.by.server} refuses to change {zone.to_text(True)}: {dns.rcode.to_text(rcode)}")

    def zone_of(self, where: str) -> dns.name.Name:
        if self.by.zone is not None:
            return dns.name.from_text(self.by.zone)
        name = dns.name.from_text(where)
        while name != dns.name.root:
            answer = self.asked(dns.message.make_query(name, dns.rdatatype.SOA))
            for rrset in [*answer.answer, *answer.authority]:
                if rrset.rdtype == dns.rdatatype.SOA and name.is_subdomain(rrset.name):
                    return rrset.name
            name = name.parent()
        raise OSError(f"the server {self.by.server} has no zone of {where}")

    def asked(self, message: dns.message.Message) -> dns.message.Message:
        """Signed, and by TCP: nobody on the way answers instead."""
        message.use_tsig(self.ring)
        left = self.until - time.monotonic()
        silent = f"{self.by.server} does not answer within {self.by.timeout_s:.0f} s"
        if left <= 0:
            raise OSError(silent)
        try:
            return dns.query.tcp(message, self.by.server, timeout=left, port=self.by.port)
        except dns.exception.Timeout:
            raise OSError(silent) from None
        except dns.tsig.PeerError as e:
            raise OSError(f"{self.by.server} refuses the key {self.by.key_name}: {e}") from e
        except OSError as e:
            raise OSError(f"{self.by.server} port {self.by.port} is not reached: {e.strerror or e}") from e
        except (dns.exception.DNSException, EOFError, ValueError) as e:
            raise OSError(f"{self.by.server} does not answer as a DNS server: {e or type(e).__name__}") from e


def relative(where: str, zone: dns.name.Name) -> dns.name.Name:
    """Raises `OSError`."""
    name = dns.name.from_text(where)
    with contextlib.suppress(dns.exception.DNSException):
        if name.is_subdomain(zone):
            return name.relativize(zone)
    raise OSError(f"{where} is not in the zone {zone.to_text(True)}")
