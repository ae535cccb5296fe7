"""Every field of a plan, and whether a change of it is a change in trust. A field that is not here fails a test."""

from __future__ import annotations

from enum import Enum


class Told(Enum):
    """When a change of a field is told."""

    ALWAYS = "always"
    BY_EFFECT = "by effect"
    """Where some request gets something else by it."""
    NEVER = "never"


RELEVANT, BY_EFFECT, SILENT = Told.ALWAYS, Told.BY_EFFECT, Told.NEVER

# By the class of the plan's form and its field. The reason stands where it is not obvious.
FIELDS: dict[str, Told] = {
    "Plan.plan": SILENT,
    "Plan.engine": RELEVANT,
    "Plan.log": RELEVANT,
    "Plan.status": RELEVANT,
    "Plan.limits": RELEVANT,
    "Engine.threads": SILENT,
    "ThreadsFixed.threads": SILENT,
    "Engine.drain_s": SILENT,
    "Engine.sandbox": RELEVANT,
    "Limits.max_age_s": RELEVANT,  # how long a proof is believed; the others say what a flood costs, not who reads
    "Plan.listeners": RELEVANT,
    "Plan.sites": RELEVANT,
    "Plan.identities": SILENT,  # an identity matters where a hop presents it
    "Plan.routes": RELEVANT,
    "Log.access": RELEVANT,
    "Log.on_full": RELEVANT,
    "ToFile.path": SILENT,
    "StatusBound.bind": RELEVANT,
    "Listener.name": SILENT,
    "Listener.bind": RELEVANT,
    "Listener.no_sni": RELEVANT,
    "Listener.unknown_sni": RELEVANT,
    "Listener.accept_proxy": RELEVANT,
    "Listener.trusted_proxies": RELEVANT,
    "Listener.connections": SILENT,
    "AnswerSite.site": SILENT,  # the hosts behind the name count
    "AnswerRoute.route": SILENT,
    "Site.name": SILENT,
    "Site.hosts": RELEVANT,
    "Site.certs": RELEVANT,
    "Cert.material": SILENT,  # an id; the material has its own digest
    "Cert.chain": SILENT,  # renewed certificates have names of their own; their key counts, and the hosts
    "Cert.key": RELEVANT,
    "Site.clients": RELEVANT,
    "Site.policy": RELEVANT,
    "Site.alpn": BY_EFFECT,  # whether a WebSocket can be opened
    "ClientsAsk.ca": RELEVANT,
    "ClientsAsk.crl": RELEVANT,
    "ClientsAsk.stale_crl": RELEVANT,
    "ClientsRequire.ca": RELEVANT,
    "ClientsRequire.crl": RELEVANT,
    "ClientsRequire.stale_crl": RELEVANT,
    "TlsPolicy.versions": RELEVANT,
    "TlsPolicy.suites": RELEVANT,
    "TlsPolicy.groups": RELEVANT,
    "Identity.name": SILENT,
    "Identity.material": SILENT,
    "Identity.chain": BY_EFFECT,  # where a hop presents it
    "Identity.key": RELEVANT,
    "Route.name": SILENT,
    "Route.hosts": RELEVANT,
    "Route.priority": BY_EFFECT,
    "Route.data": RELEVANT,
    "Route.requires": RELEVANT,
    "Route.way": RELEVANT,
    "AtBackend.send_proxy": RELEVANT,
    "AtBackend.backends": RELEVANT,
    "AtEdge.pattern": RELEVANT,
    "AtEdge.path": RELEVANT,
    "AtEdge.methods": RELEVANT,
    "AtEdge.headers": RELEVANT,
    "AtEdge.allow_clients": RELEVANT,
    "AtEdge.websocket": BY_EFFECT,
    "AtEdge.upstream_protocol": BY_EFFECT,  # the same
    "AtEdge.backends": RELEVANT,
    "ExactPath.path": RELEVANT,
    "PrefixPath.path": RELEVANT,
    "HeaderMatch.name": RELEVANT,
    "HeaderMatch.equals": RELEVANT,
    "IpPlace.ip": RELEVANT,
    "IpPlace.port": RELEVANT,
    "NamePlace.name": RELEVANT,
    "NamePlace.port": RELEVANT,
    "UnixPlace.path": RELEVANT,
    "Backend.at": RELEVANT,
    "Backend.hop": RELEVANT,
    "MutualHop.verify": RELEVANT,
    "MutualHop.present": BY_EFFECT,
    "MutualHop.policy": RELEVANT,
    "ReencryptHop.verify": RELEVANT,
    "ReencryptHop.policy": RELEVANT,
    "PlaintextHop.reach": RELEVANT,
    "Verify.ca": RELEVANT,
    "Verify.name": RELEVANT,
    "Accepted.acceptance": RELEVANT,
    "Acceptance.owner": RELEVANT,
    "Acceptance.why": SILENT,
    "Acceptance.context": SILENT,
    "Acceptance.since": SILENT,
    "Acceptance.until": SILENT,  # the text for people; the moment is what counts
    "Acceptance.closes_at_s": RELEVANT,
}
