"""The configuration as people write it. Read next: `config.py`, then `route.py`."""

from everyhop.model.acceptance import Acceptance
from everyhop.model.acme import AcmeSection
from everyhop.model.authorizer import Authorizer, PassAcceptance
from everyhop.model.basic import Basic
from everyhop.model.collector import Collector, Traces
from everyhop.model.compress import Compress
from everyhop.model.config import AdminSection, Config, EngineSection, StatusSection
from everyhop.model.cookies import Cookies
from everyhop.model.cors import Cors
from everyhop.model.crl import CrlSection
from everyhop.model.edits import Edits
from everyhop.model.given import Answer, Redirect
from everyhop.model.health import Health
from everyhop.model.hop import Backend, Hop, Verify
from everyhop.model.identity import CaIdentity, ComingIdentity, FileIdentity, Identity, SpiffeIdentity
from everyhop.model.limit import Limit
from everyhop.model.limits import Limits, RouteLimits
from everyhop.model.listener import Listener
from everyhop.model.log import LogSection, RouteLog
from everyhop.model.mirror import Mirror
from everyhop.model.most import Most
from everyhop.model.retries import Retries
from everyhop.model.route import Allow, Rewrite, Route
from everyhop.model.side import Side
from everyhop.model.site import Clients, KeyPair, ShownIdentity, Site
from everyhop.model.slow import Slow
from everyhop.model.store import Store
from everyhop.model.tickets import Tickets
from everyhop.model.token import Issuer, Jwt
from everyhop.model.waf import Exclusion, InspectorSection, Waf

__all__ = [
    "Acceptance",
    "AcmeSection",
    "AdminSection",
    "Allow",
    "Answer",
    "Authorizer",
    "Backend",
    "Basic",
    "CaIdentity",
    "Clients",
    "Collector",
    "ComingIdentity",
    "Compress",
    "Config",
    "Cookies",
    "Cors",
    "CrlSection",
    "Edits",
    "EngineSection",
    "Exclusion",
    "FileIdentity",
    "Health",
    "Hop",
    "Identity",
    "InspectorSection",
    "Issuer",
    "Jwt",
    "KeyPair",
    "Limit",
    "Limits",
    "Listener",
    "LogSection",
    "Mirror",
    "Most",
    "PassAcceptance",
    "Redirect",
    "Retries",
    "Rewrite",
    "Route",
    "RouteLimits",
    "RouteLog",
    "ShownIdentity",
    "Side",
    "Site",
    "Slow",
    "SpiffeIdentity",
    "StatusSection",
    "Store",
    "Tickets",
    "Traces",
    "Verify",
    "Waf",
]
