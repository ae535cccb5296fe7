"""Who is asked whether a route's requests may pass: another service, which is a hop as one to a backend. Read next: `route.py`."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.acceptance import Acceptance
from everyhop.model.base import Section
from everyhop.model.hop import Verify
from everyhop.model.words import HopTls


class PassAcceptance(Section):
    """A person's recorded, expiring agreement that requests pass about which nobody could be asked."""

    owner: Annotated[str, Field(min_length=1)]
    """Who answers for it: a person or a team that can be reached."""
    why: Annotated[str, Field(min_length=1)]
    since: dt.date
    until: dt.datetime | dt.date
    """Ends at 24:00 UTC of that day, or at that moment; at most a year after `since`. From then on requests are refused again where nobody can be asked."""


class Authorizer(Section):
    """`[[authorizer]]`: decides about the requests of routes that `ask` it, as oauth2-proxy, Authelia or Open Policy Agent do (nginx `auth_request`, Traefik `forwardAuth`, Caddy `forward_auth`). It is asked by a `GET` of the edge's own and answers by its status: 2xx, the request goes on; 401, 403 or a redirect, its client is told that. The hop to it is as that to a backend: it hears nothing before it proved who it is."""

    name: str
    speaks: Literal["http", "envoy"] = "http"
    """In which words it is asked. `http`: by `GET` of `path`, as above. `envoy`: by gRPC over HTTP/2, as Envoy's ext_authz asks (`envoy.service.auth.v3.Authorization/Check`), as Open Policy Agent's plugin, Authorino and authorizers written for Envoy or Istio answer: a status of OK, the request goes on; any other, its client is told the `denied_response`, or 403."""
    to: Annotated[list[str], Field(min_length=1)]
    """Where it is, such as `"sso.internal:4180"`, in the forms that a backend has. Several take turns."""
    tls: HopTls
    """How it is reached: `mutual`, `reencrypt`, or `plaintext`, which takes an `acceptance` unless it is on this host."""
    verify: Verify | None = None
    present: str | None = None
    """The `[[identity]]` shown to it."""
    demand_asks: bool = False
    """Whether it hears nothing if it did not ask for our certificate, where `tls = "mutual"`."""
    require_post_quantum: bool = False
    """Whether the hop there is by post-quantum key exchange (X25519MLKEM768, TLS 1.3) alone."""
    off_host: bool = False
    """A loopback address that leads elsewhere (a tunnel, a port-forward)."""
    acceptance: Acceptance | None = None
    """Of plaintext on the way there."""
    path: str | None = None
    """What is asked of it by `http`, such as `/oauth2/auth`, perhaps with a query. What the request asks for stands in `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri`, whose path is the one that routes are matched by; who asks, in `X-Forwarded-For`, `X-Real-IP`, `Forwarded`, and of a verified client in `Client-Cert`."""
    sends: list[str] = []
    """Fields of the request that it is shown beside those, such as `["cookie", "authorization"]`: these, and never all. No body goes there."""
    takes: list[str] = []
    """Fields of an answer by which a request passes that go to the backend with the request, such as `["x-auth-request-user"]`. Whatever a client sends in a field of that name, or of one that is read alike (`X_Auth_Request_User`), goes no further, whether the answer has one or not. Cookies that such an answer sets go to the client."""
    when_down: Literal["refuse", "pass"] = "refuse"
    """What becomes of a request where nobody could be asked, or nobody answered within `deadline_ms`. `refuse`: 503. `pass`: it goes on, unasked, which takes a `pass_acceptance`. An answer that is none, such as 500, never lets a request pass."""
    pass_acceptance: PassAcceptance | None = None
    """Whose word it is that requests pass unasked."""
    deadline_ms: Annotated[int, Field(ge=100, le=60_000)] = 1_000
    """For connecting, TLS and the answer together."""
    at_once: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    """Requests that are asked about at once, all threads together; what comes above it gets 503."""

    @property
    def data(self) -> None:
        """What a leak would be is said of routes."""
        return None
