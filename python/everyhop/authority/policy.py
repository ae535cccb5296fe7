"""What an authority certifies: hosts of its domains, SPIFFE IDs of its trust domains, addresses of its networks.

Its issuing certificate says so too, critically (RFC 5280 §4.2.1.10), so that whoever steals its key gets no further. One thing
stays out: where trust domains are named, URIs are not constrained in the certificate. webpki, by which Everyhop verifies, and
pyca/cryptography refuse every URI below such a constraint, the permitted ones as well.
"""

from __future__ import annotations

import ipaddress
from dataclasses import asdict, dataclass
from typing import Any

from cryptography import x509

from everyhop.authority.names import SPIFFE, Name, host, trust_domain
from everyhop.errors import Declined, Misuse

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NOWHERE = (
    "invalid"  # RFC 2606 §2: no host has it. OpenSSL takes an empty constraint on URIs for one that excludes nothing
)


@dataclass(frozen=True)
class Policy:
    """What may be certified; nothing where a list is empty."""

    name: str
    domains: tuple[str, ...] = ()
    trust_domains: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()

    def admit(self, name: Name) -> None:
        """Raises `Declined` for a name that lies outside, with what lies inside."""
        if self.holds(name):
            return
        what = {"dns": self.domains, "uri": [SPIFFE + it for it in self.trust_domains], "ip": self.networks}[name.kind]
        kind = {"dns": "host names", "uri": "SPIFFE IDs", "ip": "addresses"}[name.kind]
        inside = f"those of {', '.join(what)}" if what else "none"
        option = {"dns": "--domain", "uri": "--trust-domain", "ip": "--network"}[name.kind]
        said = "so it was told when it was made"
        if name.kind != "uri" or not what:
            said += ", and its certificate says so to whoever verifies"
        raise Declined(
            f"{str(name)!r} is outside of what {self.name!r} certifies; nothing was issued",
            f"  of {kind} it certifies {inside}: {said}",
            f"  name one of those, or make another authority for it: everyhop ca init DIR {option} ...",
        )

    def holds(self, name: Name) -> bool:
        """Whether the name lies inside."""
        if name.kind == "dns":
            return any(name.text == it or name.text.endswith(f".{it}") for it in self.domains)
        if name.kind == "uri":
            return any(name.text.startswith(f"{SPIFFE}{it}/") for it in self.trust_domains)
        return any(ipaddress.ip_address(name.text) in ipaddress.ip_network(it) for it in self.networks)

    def constraints(self) -> x509.NameConstraints:
        """The same, as the issuing certificate says it."""
        permitted: list[x509.GeneralName] = [x509.DNSName(it) for it in self.domains]
        permitted += [x509.IPAddress(ipaddress.ip_network(it)) for it in self.networks]
        excluded: list[x509.GeneralName] = []
        if not self.domains:
            excluded.append(x509.DNSName(""))
        if not self.networks:
            excluded += [x509.IPAddress(ipaddress.ip_network(it)) for it in ("0.0.0.0/0", "::/0")]
        if not self.trust_domains:
            permitted.append(x509.UniformResourceIdentifier(NOWHERE))
        return x509.NameConstraints(permitted or None, excluded or None)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, it: dict[str, Any]) -> Policy:
        """Raises `KeyError` or `TypeError`."""
        return cls(it["name"], tuple(it["domains"]), tuple(it["trust_domains"]), tuple(it["networks"]))


def told(name: str, domains: list[str], trust_domains: list[str], networks: list[str]) -> Policy:
    """The policy of what somebody said.

    Raises `Misuse`.
    """
    if not (domains or trust_domains or networks):
        raise Misuse(
            "say what it certifies: --domain corp.example, --trust-domain corp.example, --network 10.0.0.0/8; one that certifies"
            " any name is worth stealing"
        )
    if not name.isprintable() or not 0 < len(name) <= 40 or name != name.strip():
        raise Misuse(f"{name!r} is no name for an authority: 1 to 40 letters")
    return Policy(
        name,
        tuple(dict.fromkeys(map(host, domains))),
        tuple(dict.fromkeys(map(trust_domain, trust_domains))),
        tuple(dict.fromkeys(map(network, networks))),
    )


def network(text: str) -> str:
    """A network in its one form.

    Raises `Misuse`.
    """
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as e:
        raise Misuse(f"{text!r} is no network such as 10.0.0.0/8 or fd00::/8: {e}") from e
