"""The whole file."""

from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.acme import AcmeSection
from everyhop.model.authorizer import Authorizer
from everyhop.model.base import Section
from everyhop.model.collector import Collector, Traces
from everyhop.model.crl import CrlSection
from everyhop.model.identity import GIVEN, Identity, SpiffeIdentity
from everyhop.model.limit import Limit
from everyhop.model.limits import Limits
from everyhop.model.listener import Listener
from everyhop.model.log import LogSection
from everyhop.model.route import Route
from everyhop.model.site import Site
from everyhop.model.store import Store
from everyhop.model.tickets import Tickets
from everyhop.model.token import Issuer
from everyhop.model.waf import InspectorSection, Waf


class EngineSection(Section):
    """`[engine]`"""

    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Worker threads; default: the cores that this process may use. Not reloadable."""
    drain_s: Annotated[int, Field(ge=0, le=86_400)] = 30
    """How long a drain waits for what is in flight."""
    retire_s: Annotated[int, Field(ge=0, le=604_800)] = 3_600
    """After `everyhop upgrade`: how long the engine before may still carry what it carries, such as tunnels."""
    zone: str | None = None
    """Where this edge is, so that backends with the same `zone` come first. One file may serve edges in several zones: `everyhop run --zone`, then the environment's `EVERYHOP_ZONE`, go before it. It stands in no plan, so that plans of all edges are the same."""
    user: str | None = None
    """Whom the engine becomes when it is started by root; default: nobody. Not reloadable."""
    sandbox: Literal["enforce", "best-effort", "off"] = "best-effort"
    """The engine opens no file, starts no program and binds no port, and the kernel holds it to that: as far as it can (`status` tells), wholly or not at all. Not reloadable."""
    keys: Literal["engine", "apart"] = "engine"
    """Where private keys of sites and identities are. `engine`: in its memory. `apart`: in that of another process, the keyholder, which has no network and signs handshakes of these sites and identities and nothing else, so that whoever takes the engine takes no key of theirs away (a secret of `[tickets]` is in the engine all the same). A full handshake costs more then: [what it costs](../how-to/keep-keys-apart.md)."""


class AdminSection(Section):
    """`[admin]`"""

    socket: str | None = None
    """The supervisor's Unix socket; the engine's lies beside it."""


class DnsSection(Section):
    """`[dns]`: how backends' names are followed to their addresses."""

    servers: list[str] = []
    """DNS servers that are asked, by IP address, perhaps with a port; default: the machine's own resolver, with its hosts file."""
    resolve_s: Annotated[int, Field(ge=1, le=86_400)] = 30
    """How long an address is believed at most: a server's answer for as long as it says, if that is less; the machine's resolver does not say."""


class StatusSection(Section):
    """`[status]`"""

    bind: str | None = None
    """Address of /metrics, /livez and /readyz, read-only; keep it on loopback."""


class Config(Section):
    """`everyhop.toml`"""

    version: Literal[1]
    """The form of this file."""
    include: list[str] = []
    """Files whose `[[listener]]`, `[[site]]`, `[[identity]]`, `[[collector]]`, `[[issuer]]`, `[[store]]`, `[[limit]]`, `[[authorizer]]`, `[[waf]]` and `[[route]]` follow this file's own, by name or by a pattern such as `routes/*.toml`. Paths in them mean what they would mean here."""
    engine: EngineSection = EngineSection()
    log: LogSection = LogSection()
    admin: AdminSection = AdminSection()
    dns: DnsSection = DnsSection()
    status: StatusSection = StatusSection()
    limits: Limits = Limits()
    tickets: Tickets | None = None
    inspector: InspectorSection = InspectorSection()
    acme: AcmeSection = AcmeSection()
    crl: CrlSection = CrlSection()
    pages: dict[str, str] = {}
    """Pages of HTML for errors that the edge makes itself, by status or class: `{ 404 = "pages/404.html", 5xx = "pages/down.html" }`. A status goes before its class. Who prefers HTML gets it, with the error's own status; programs are told as ever. A page has 64 KiB at most, in UTF-8; the file is watched."""
    listener: Annotated[list[Listener], Field(min_length=1)]
    site: list[Site] = []
    identity: list[Identity] = []
    collector: list[Collector] = []
    traces: Traces | None = None
    """Without it no request becomes a span, and what clients say of a trace goes on to backends as it came."""
    issuer: list[Issuer] = []
    store: list[Store] = []
    limit: list[Limit] = []
    authorizer: list[Authorizer] = []
    waf: list[Waf] = []
    route: list[Route] = []

    def given_by(self, label: str) -> Identity | None:
        """Whose roots or lists stand for a file of that name, if there is such an identity."""
        name = label.removeprefix(GIVEN)
        if name == label:
            return None
        # Names may hold a slash, so the whole of it goes before the name of one by SPIFFE with a trust domain behind it.
        above = name.rpartition("/")[0]
        by_domain = (it for it in self.identity if isinstance(it, SpiffeIdentity) and it.name == above)
        return next((it for it in self.identity if it.name == name), None) or next(by_domain, None)
