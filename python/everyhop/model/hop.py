"""Places behind the edge as a route names them: where each is, how it is spoken with and who is expected there. Read next: `route.py`."""

from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.base import Section
from everyhop.model.words import HopTls


class Verify(Section):
    """Whom we expect at a backend: by chain and name, always both; by chain and SPIFFE ID; or by the fingerprint of its certificate or key."""

    ca: str | None = None
    """PEM file of the roots, or `system`, or `identity:NAME` for those that came with an identity. Never implied. A certificate that a backend made for itself (`openssl req -x509`) may stand here too: then that very certificate is what it shows, with the name."""
    name: str | None = None
    """The name in the backend's certificate, or the IP address in it (an IP SAN); default: the backend's host name. Names are those of subjectAltName; the common name is none (RFC 9525)."""
    spiffe: str | None = None
    """With `ca`, instead of the name: the SPIFFE ID of the workload, `spiffe://td/backend`, or `spiffe://td/*` for any of a trust domain, by the rules of the X509-SVID standard: the one URI of its certificate is that ID; one with two URIs is nobody's. No other name is asked for, and one where `name` is written."""
    pin: str | list[str] | None = None
    """Instead of `ca`: `sha256:` and the SHA-256, in hexadecimal digits, of the certificate or of its public key (SubjectPublicKeyInfo). One of several must fit. No chain is asked for, and a name only where `name` is written; the dates must hold all the same."""
    crl: str | None = None
    """PEM file of revocation lists (RFC 5280), one for each authority of the backend's chain; what no list speaks of is refused. The file is watched. Or a URL, `https://` or `http://`, from which the list is fetched again and again ([`[crl]`](#crl)). `identity:NAME`: those that came with an identity."""
    stale_crl: Literal["refuse", "allow"] = "refuse"
    """What a list means whose next update is overdue: no backend passes until it comes, or the old list still holds."""


class Hop(Section):
    """A place that is sent something, and how. It may be stronger than its route, never weaker."""

    at: str
    """`host:port`, `[ip]:port`, `unix:PATH`, or `srv:_NAME._tcp.DOMAIN` for a service that `[dns] servers` are asked about (SRV)."""
    tls: HopTls | None = None
    verify: Verify | None = None
    present: str | None = None
    demand_asks: bool | None = None
    require_post_quantum: bool | None = None
    off_host: bool | None = None


class Backend(Hop):
    """An entry of `to` that says more than an address. It may be stronger than its route, never weaker."""

    weight: Annotated[int, Field(ge=0, le=1000)] | None = None
    """How often it takes its turn beside the others; default 1. 0: it takes nothing new, and what is under way there ends in its own time."""
    backup: bool = False
    """It takes requests only while none of the others is up."""
    zone: str | None = None
    """Where it is: edges in the same zone (`[engine] zone`) go there first. It says nothing of how the way there is protected."""
