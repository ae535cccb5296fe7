"""A route: whom it serves, where TLS ends for it, and which backends answer, or what the edge answers itself. `tls` has no
default: it is the choice. Read next: `given.py`."""

from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.acceptance import Acceptance
from everyhop.model.base import Section
from everyhop.model.basic import Basic
from everyhop.model.compress import Coding, Compress
from everyhop.model.cookies import Cookies
from everyhop.model.cors import Cors
from everyhop.model.edits import Edits
from everyhop.model.given import Answer, Redirect
from everyhop.model.health import Health
from everyhop.model.hop import Backend, Verify
from everyhop.model.limits import RouteLimits
from everyhop.model.log import RouteLog
from everyhop.model.mirror import Mirror
from everyhop.model.most import Most
from everyhop.model.retries import Retries
from everyhop.model.slow import Slow
from everyhop.model.sticky import Sticky
from everyhop.model.token import Jwt
from everyhop.model.words import Data, Pattern, StartTls

Capability = str


class Allow(Section):
    """Which clients may pass. What is said of both is asked of both."""

    clients: list[str] | None = None
    """Verified clients, by DNS, URI or e-mail names of their certificates (subjectAltName), or `sha256:` and the SHA-256 of a certificate in hexadecimal digits. DNS names and the host of an e-mail address are compared without case. `spiffe://td/path` is the ID of one workload and `spiffe://td/*` all of a trust domain, by the rules of SPIFFE: a certificate with two URIs is neither. On passthrough it cannot be said: nobody proves anything to the edge."""
    networks: list[str] | None = None
    """Networks of which the client's address must be in one: `10.0.0.0/8`, `2001:db8::/32`, or one address. The address is that of the log: the peer's, or the client's whom a PROXY header or `trusted_proxies` name. It proves nothing of who is there. On passthrough the connection is closed before a backend is connected to; requests elsewhere get 403."""


class Rewrite(Section):
    """What a path becomes that a regular expression fits."""

    regex: Annotated[str, Field(min_length=1)]
    """It has to fit the whole path, in the form that routes are matched by: `/users/(?<id>[0-9]+)(?<rest>/.*)?`. It is matched in linear time, so it has no look-around and no backreferences ([syntax](https://docs.rs/regex/latest/regex/#syntax)). A path that it does not fit goes on as it came."""
    to: Annotated[str, Field(min_length=1)]
    """The path that goes on, with the groups of the expression by their names: `/people/{id}{rest}`; `{{` and `}}` are braces. A request is refused with 400 where it comes to what leaves the root or could be read as the name of a server."""


class Route(Section):
    """`[[route]]`"""

    name: str
    host: str | list[str]
    """Exact names or `*.` and a suffix."""
    listeners: Annotated[list[str], Field(min_length=1)] | None = None
    """Names of the only `[[listener]]`s by which it is reached; by any other it is as if it were not there. Default: every one that its site answers at."""
    path: str | None = None
    """Prefix on segment boundaries: `/v2` is `/v2` and `/v2/x`, not `/v2x`. What only a lenient backend would read as a path under it, such as `/V2`, `/v2;a=b` or `/x/..%3B/v2`, is refused with 400 and not taken for another route's."""
    path_exact: str | None = None
    method: str | list[str] | None = None
    headers: dict[str, str] = {}
    """Fields that must be there with exactly this value, each time they occur. Not those that only the edge may set, such as `X-Forwarded-Proto`."""
    cookie: dict[str, str] = {}
    """Cookies that must be there with exactly this value, such as `{ canary = "1" }`; where one is sent several times, each must have it. They count as `headers` do where several routes fit."""
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = 0
    """Breaks ties; higher wins."""
    protocol: Literal["http", "tcp"] = "http"
    """What is spoken inside TLS that ends here. `tcp`: anything, such as MQTT, Redis or SMTP; the edge reads none of it, and the route is chosen by the server's name alone."""
    tls: Pattern | None = None
    """Where TLS ends: `passthrough` (at the backend), `mutual` or `reencrypt` (here, then again to the backend), or
    `plaintext` behind the edge, which takes an acceptance. It has no default; only a route with `redirect` or `answer`, which has nothing behind it, is without."""
    to: Annotated[list[str | Backend], Field(min_length=1)] = []
    """The backends, by address as in `at`; as little left out as `tls`."""
    redirect: Redirect | None = None
    """The route has nothing behind it: it leads its clients elsewhere."""
    answer: Answer | None = None
    """The route has nothing behind it: it tells its clients this."""
    off_host: bool = False
    """A loopback address that leads elsewhere (a tunnel, a port-forward)."""
    verify: Verify | None = None
    present: str | None = None
    """The `[[identity]]` shown to the backend."""
    demand_asks: bool | None = None
    """Whether a backend that did not ask for our certificate is sent nothing: without the question, mutual TLS is so in name only. Default: true where `tls = "mutual"` and `data = "major-incident"`, else false."""
    require_post_quantum: bool | None = None
    """Whether its hops are by post-quantum key exchange (X25519MLKEM768, TLS 1.3) alone: a backend that has none gets no request. Default: it comes first, and others pass."""
    data: Data | None = None
    """What a leak would be."""
    acceptance: Acceptance | None = None
    despite: Literal["major-incident"] | None = None
    """Says that plaintext is accepted although the data would be a major incident."""
    requires: list[Capability] = []
    """Capabilities that the route must have, such as `client-certificate-at-edge` or `end-to-end-confidentiality`: refused where its pattern cannot give one, where what it needs is not configured, and where Everyhop has none yet."""
    covers: list[str] = []
    """On a passthrough route: its names that a site's wildcard certificate also covers, which is known and wanted."""
    allow: Allow | None = None
    jwt: Jwt | None = None
    """The token (JWT) that a request must have, such as `{ issuer = "corp", claims = { scope = "api.read" } }`: [how](../how-to/let-in-by-token.md). It is asked for after `allow`; without one, or with one that does not pass, a request is refused with 401, and with 403 where the token is good and its claims are not these."""
    basic: Basic | None = None
    """Whose name and password a request must show (HTTP's Basic scheme), such as `{ file = "users", forward = "x-user" }`: [how](../how-to/let-in-by-password.md). It is asked for after `allow`, by 401 where there is none or it is wrong. Not beside `jwt`."""
    ask: str | None = None
    """The `[[authorizer]]` that is asked about each of its requests, such as `"sso"`: [how](../how-to/ask-an-authorizer.md). After `allow`, `jwt` and `basic`, before anything is changed or a backend hears of it, and before a byte of the body is asked for."""
    waf: str | None = None
    """The `[[waf]]` by whose rules each of its requests is inspected, such as `"crs"`: [how](../how-to/inspect-requests.md). After all who say who passes, before a backend hears of it."""
    send_proxy: Literal["off", "v2"] = "off"
    """Tells a backend the client's address by a PROXY header, where TLS passes through or `protocol = "tcp"`; in the latter case also what TLS came to and whether the client was verified."""
    starttls: StartTls | None = None
    """A protocol in whose words a backend is asked for TLS before it begins: where `protocol = "tcp"` and the hop is `mutual` or `reencrypt`, or where TLS passes through. A backend that does not say yes is sent nothing."""
    websocket: bool | None = None
    """Whether WebSocket upgrades pass; default true where TLS ends here."""
    upgrades: list[str] | None = None
    """Which protocols of `Upgrade` may become a tunnel, such as `["websocket", "tcp", "SPDY/3.1"]`: by their names and versions, compared without case (RFC 9110 §7.8). Instead of `websocket`, and all of them: `[]` refuses each. Default where TLS ends here: `["websocket"]`. What asks for another, or for several at once, is refused. Versions of HTTP and TLS itself never pass."""
    limits: RouteLimits = RouteLimits()
    """Times of its own where it needs more patience, or less, than `[limits]` has for all; a passthrough route and one of `tcp` know `connect_s` and `tunnel_idle_s`."""
    log: Literal[False] | str | RouteLog | None = None
    """Where its lines of the access log go, in the format of `[log]`; or a table that says more. `false`: what goes as decided leaves no line, for what is asked every second; what is refused or fails is told where `[log] access` says."""
    paths: Literal["faithful", "strict"] | None = None
    """`faithful`, the default where TLS ends here: a path goes on byte for byte as it came, and passes if it leads to this route however a backend may read it. `strict`: only paths that every backend reads alike pass, without encoded slashes, empty or dot segments, and go on in their canonical form."""
    upstream_protocol: Literal["http/1.1", "h2", "auto"] | None = None
    """What is spoken to the backends: `http/1.1`, the default where TLS ends here; `h2`, for gRPC, also in plaintext; `auto`: each backend chooses on each connection, by ALPN, so only where the hop is TLS. There a backend that answers nothing speaks HTTP/1.1, a WebSocket is opened on a connection that offers HTTP/1.1 alone, and a call of gRPC to a backend that chose HTTP/1.1 is refused."""
    limited_by: Annotated[list[str], Field(min_length=1, max_length=16)] | None = None
    """The `[[limit]]`s by which its requests are counted, asked in this order once a request is admitted; what one of them refuses counts for none. `limits` are times and sizes."""
    most: Most | None = None
    """How many requests it takes at once; without it as many as come."""
    retries: Retries | None = None
    """When a `GET` or `HEAD` goes to another backend after a bad answer of one, or none in time, such as `{ on = [503] }`. Without it only what no backend can have acted on goes again."""
    mirror: Mirror | None = None
    """Where a copy of some of its requests goes as well, such as `{ to = ["10.0.9.9:8443"], share = 0.1 }`: [how](../how-to/mirror-requests.md). It is a hop like any other, nobody gets its answers, and no request waits for it."""
    strip: str | None = None
    """What is taken from the beginning of the path before it goes to the backend: `"/v1"` makes `/` of `/v1` and `/x` of `/v1/x`. The route's `path` is that or below it. `X-Forwarded-Prefix` tells the backend. The rest goes on byte for byte; what a backend could then read as the name of a server (`//name`) is refused with 400."""
    rewrite: str | Rewrite | None = None
    """What goes to the backend instead of the path: `"/internal{path}"` puts a prefix before it (before what `strip` left), `"/one/path"` stands for all, and a table with a regular expression makes another of it. The query goes on as it came. What is matched, judged and logged is the path that the client sent."""
    host_header: str | None = None
    """The host that backends are asked for (Host, `:authority`) instead of the one that the client asked for, with a port or without; `X-Forwarded-Host` says the client's. By which name a backend is verified, and what its TLS is told (SNI), is said by `verify`."""
    request: Edits | None = None
    """Fields that are changed on the way to the backend. A route is chosen by what the client sent."""
    response: Edits | None = None
    """Fields that are changed in the backend's answer; not in what the edge answers itself."""
    locations: Literal["rewrite", "keep"] | None = None
    """What becomes of `Location` and `Content-Location` where a backend names itself in them: `rewrite`, the default where backends are asked for something else than clients asked for (`host_header`, `strip`, `rewrite`): they name what the client asked for; else `keep`: they go on as they came. With it goes back the `Path` of a cookie, and a `Domain` that clients know by another name. URLs of others are never touched."""
    cookies: Cookies | None = None
    """What the cookies of its backends are given, such as `{ secure = true, http_only = true, same_site = "lax" }`."""
    cors: Cors | None = None
    """Which pages of other origins may read its answers, refusals of the edge included. Without it what the backend says of that goes on."""
    balance: str | None = None
    """Which backend a request goes to. `round-robin`, the default: they take turns, as often as their `weight` says. `least-requests` (where no request is read: `least-connections`): of two at random the one that has less under way for its weight. `hash:client-address`, `hash:header:NAME`, `hash:cookie:NAME`, `hash:path`: the same one for the same address, value or path, for as long as it is up; one that leaves moves none of the others' keys, and one that has five quarters of its share under way, and six, is passed over. Who has no such field or cookie goes by turns. Where no request is read, a client's address is all that a backend can be chosen by. Several addresses of one name take turns whatever is written here."""
    sticky: Sticky | None = None
    """A client comes back to the backend that answered it first, such as `{ cookie = "edge" }`: [how](../how-to/spread-requests.md#send-a-client-back-to-its-backend). `balance` says where it goes first, and where when that one is away, drained or removed."""
    health: Health | None = None
    """What the edge asks each backend by itself, such as `{ path = "/healthz" }`: [how](../how-to/check-backends.md). Without it only what requests meet tells which backends are well."""
    slow_start_s: Annotated[int, Field(ge=1, le=3600)] | None = None
    """In how long a backend that came back up takes its own share again, be it that its check passed or that it was ejected: a hundredth at first, then more by the second. Without it at once."""
    traces: bool | Annotated[float, Field(ge=0, le=1)] | None = None
    """Where the file has `[traces]`: `false`, none of its requests becomes a span, and what clients say of a trace goes on as it came; or a `ratio` of its own, such as `0.5`."""
    compress: Annotated[list[Coding], Field(min_length=1)] | Compress | None = None
    """In which codings answers go out that came without one: `["zstd", "br", "gzip"]`, or a table that says more. Off by default: [what it gives away](../how-to/answer-browsers.md#compress-answers)."""
    answers: Literal["strict", "lenient"] | None = None
    """How a backend's answers in HTTP/1.1 are read. `strict`, the default where TLS ends here: as RFC 9112 has them, anything else is 502. `lenient`: also lines that end with LF alone, a Content-Length that is said twice alike, and chunk sizes with zeros before or white space behind them; what goes on is written afresh. Requests are always read strictly."""
    eject_on: list[Literal["timeouts", "5xx"] | Slow] | None = None
    """What lets a backend be left alone beside connects and handshakes that fail, `limits.eject_after` times in a row: `timeouts`, the default where TLS ends here, that it takes a request and no answer begins within `first_byte_s`; `5xx`, that its answers have such a status; `{ slow_ms = 800 }`, that they begin later than that. It comes back once the edge itself could connect and shake hands, asked every `limits.eject_s`. Never more than half of a route's backends are left alone, unless a backup is up."""

    @property
    def is_answered(self) -> bool:
        """The edge answers itself, and nothing lies behind. What cannot read requests cannot answer any: that is refused."""
        given = self.redirect is not None or self.answer is not None
        return given and self.tls != "passthrough" and self.protocol == "http"

    @property
    def names_clients(self) -> bool:
        """It takes those alone who prove a name that it has: where they are is no such name."""
        return self.allow is not None and self.allow.clients is not None

    @property
    def is_stream(self) -> bool:
        """TLS ends here, and what is in it is not read."""
        return self.protocol == "tcp" and self.tls != "passthrough"

    @property
    def carries_requests(self) -> bool:
        """Requests are read here and carried to a backend: where none are, what is said of them is refused as a whole."""
        return self.tls != "passthrough" and not self.is_stream and not self.is_answered

    @property
    def compressed(self) -> Compress | None:
        """`compress` in its long form."""
        return Compress.model_validate({"with": self.compress}) if isinstance(self.compress, list) else self.compress

    @property
    def own_log(self) -> RouteLog | None:
        """`log` in its long form, where it names a place."""
        return RouteLog(to=self.log) if isinstance(self.log, str) else self.log or None

    @property
    def hosts(self) -> list[str]:
        return [self.host] if isinstance(self.host, str) else list(self.host)

    @property
    def methods(self) -> list[str]:
        if self.method is None:
            return []
        return [self.method] if isinstance(self.method, str) else list(self.method)
