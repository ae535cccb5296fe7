"""What must be configured for a capability to be true of a route: one pure check a capability, named after what it needs.

The pattern says what could be given (`capabilities.py`); a check here says what is missing for it to be given on this
route, and the mend. It never looks at files or at what runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from everyhop.model import Config, Hop, Mirror, Route, Site
from everyhop.plan import NOWHERE

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class Standing:
    """A route with what its promises rest on."""

    route: Route
    index: int
    """Its place among the routes of the file."""
    sites: tuple[tuple[int, Site], ...]
    """Every site, with its index, inside which a request can reach the route; none where TLS passes through."""
    keys: tuple[tuple[int, Site, str], ...]
    """Sites whose certificate is also good for a host of the route, and the name by which it is."""
    config: Config
    shared: frozenset[tuple[int, int]] = frozenset()
    """Identities and sites, by their index in the file, that have the same key, wherever it is read from."""
    open_at: tuple[int, ...] = ()
    """Listeners, by their index, by which requests come to it in the clear."""


@dataclass(frozen=True)
class Missing:
    """What is not configured, how to mend it, safest first, and where the other half of the contradiction stands."""

    what: str
    mend: tuple[str, ...]
    at: tuple[Key, ...] = ()


Check = Callable[[Standing], Missing | None]


def by_pattern(_: Standing) -> Missing | None:
    """Nothing: the pattern alone gives it."""
    return None


def http2_both_ways(it: Standing) -> Missing | None:
    """`upstream_protocol = "h2"`, and `h2` in the site's `alpn`."""
    if it.route.upstream_protocol == "auto":
        what = "gRPC needs HTTP/2 to the backend, and the route lets its backends choose HTTP/1.1"
        return Missing(what, ('upstream_protocol = "h2"',), (own(it, "upstream_protocol"),))
    if it.route.upstream_protocol != "h2":
        return Missing(
            "gRPC needs HTTP/2 to the backend, and the route speaks HTTP/1.1 to it", ('upstream_protocol = "h2"',)
        )
    for i, site in it.sites:
        if "h2" not in site.http_alpn:
            return Missing(
                f"site {site.name!r} offers no HTTP/2 to clients",
                ('alpn = ["h2", "http/1.1"]',),
                (("site", i, "alpn"),),
            )
    return None


def upgrades_pass(it: Standing) -> Missing | None:
    """`websocket` not false, and `upgrades`, if there are any, with it."""
    if it.route.upgrades is not None and "websocket" not in map(str.lower, it.route.upgrades):
        listed = ", ".join(f'"{name}"' for name in ("websocket", *it.route.upgrades))
        return Missing("the route lists upgrades without it", (f"upgrades = [{listed}]",), (own(it, "upgrades"),))
    if it.route.websocket is False:
        return Missing("the route refuses upgrades", ("websocket = true",), (own(it, "websocket"),))
    return None


def fields_edited(it: Standing) -> Missing | None:
    """`request` or `response`, with a field to set, add or remove; or `host_header`, or `cookies`."""
    if it.route.host_header is not None or it.route.cookies is not None:
        return None
    if any(
        side is not None and (side.remove or side.set or side.add) for side in (it.route.request, it.route.response)
    ):
        return None
    return Missing(
        "no field is changed",
        ('request = { set = { x-edge = "{tls.version}" } }', 'response = { remove = ["server"] }'),
    )


def mirrored(it: Standing) -> Missing | None:
    """`mirror`, with the place that copies go to."""
    if it.route.mirror is None:
        return Missing("no request is copied", ('mirror = { to = ["10.0.9.9:8443"], share = 0.1 }',))
    return None


def path_moved(it: Standing) -> Missing | None:
    """`strip` or `rewrite`."""
    if it.route.strip is not None or it.route.rewrite is not None:
        return None
    return Missing("paths go on as they came", ('rewrite = "/prefix{path}"', 'path = "/v1" and strip = "/v1"'))


def tokens_asked(it: Standing) -> Missing | None:
    """`jwt`, with the `[[issuer]]` whose tokens are believed."""
    if it.route.jwt is None:
        return Missing("the route asks for no token", ('jwt = { issuer = "corp" }',))
    return None


def passwords_asked(it: Standing) -> Missing | None:
    """`basic`, with the file of users who may sign in."""
    if it.route.basic is None:
        return Missing("the route asks for no password", ('basic = { file = "users" }',))
    return None


def asks(it: Standing) -> Missing | None:
    """`ask`, with the `[[authorizer]]` that is asked; and that nobody's word lets requests pass unasked."""
    if it.route.ask is None:
        return Missing("the route asks nobody about its requests", ('ask = "sso"',))
    for i, by in enumerate(it.config.authorizer):
        if by.name == it.route.ask and by.when_down == "pass":
            what = f"requests pass unasked while authorizer {by.name!r} is down"
            return Missing(what, ('when_down = "refuse"',), (("authorizer", i, "when_down"),))
    return None


def inspected(it: Standing) -> Missing | None:
    """`waf`, with the `[[waf]]` whose rules are asked; that it blocks, and sees bodies to their end; and that nobody's word lets requests pass uninspected."""
    if it.route.waf is None:
        return Missing("the route's requests are not inspected", ('waf = "crs"',))
    for i, by in enumerate(it.config.waf):
        if by.name != it.route.waf:
            continue
        if by.mode == "detect":
            return Missing(f"waf {by.name!r} only detects", ('mode = "block"',), (("waf", i, "mode"),))
        if by.when_down == "pass":
            what = f"requests pass uninspected while the inspector of waf {by.name!r} is down"
            return Missing(what, ('when_down = "refuse"',), (("waf", i, "when_down"),))
        if by.over_body != "refuse":
            what = f"of a body waf {by.name!r} sees only the beginning"
            return Missing(what, ('over_body = "refuse"',), (("waf", i, "over_body"),))
    return None


def origins_said(it: Standing) -> Missing | None:
    """`cors`, with the origins."""
    if it.route.cors is None:
        mend = 'cors = { origins = ["https://app.example.com"] }'
        return Missing("what is said of other origins is the backend's", (mend,))
    return None


def compresses(it: Standing) -> Missing | None:
    """`compress`, with the codings."""
    if it.route.compress is None:
        return Missing("answers go out as they came", ('compress = ["zstd", "br", "gzip"]',))
    return None


def bounded(it: Standing) -> Missing | None:
    """`most`, with the number of requests at once."""
    if it.route.most is None or it.route.most.requests is None:
        return Missing("the route takes as many requests as come", ("most = { requests = 100, waiting = 100 }",))
    return None


def rate_limited(it: Standing) -> Missing | None:
    """`limited_by`, with a `[[limit]]` that has a `rate` and refuses."""
    known = {limit.name: limit for limit in it.config.limit}
    named = [known[name] for name in it.route.limited_by or [] if name in known]
    mend = ('[[limit]] name = "per-client", rate = "100/s"', 'limited_by = ["per-client"]')
    if not any(limit.rate is not None and limit.mode == "refuse" for limit in named):
        what = "no limit with a rate holds the route's clients back"
        return Missing(what, mend, (own(it, "limited_by"),) if named else ())
    return None


def asks_by_http(it: Standing) -> Missing | None:
    """`health`, with the path that is asked for or the service of gRPC."""
    mend = ('health = { path = "/healthz" }',)
    if it.route.health is None:
        return Missing("nobody asks the route's backends whether they are well", mend)
    if it.route.health.path is None and it.route.health.grpc is None:
        what = "the route asks its backends only whether they take connections"
        return Missing(what, mend, (own(it, "health"),))
    return None


def comes_back(it: Standing) -> Missing | None:
    """`sticky`, with the name of the cookie; or `balance` by a key that clients have."""
    if it.route.sticky is None and not (it.route.balance or "").startswith(("hash:cookie:", "hash:client-address")):
        return Missing("nothing leads a client back to the backend that it had", ('sticky = { cookie = "edge" }',))
    return None


def status_bound(it: Standing) -> Missing | None:
    """`[status] bind`, where the metrics are read."""
    if it.config.status.bind is None:
        return Missing("no address is bound where metrics could be read", ('[status] bind = "127.0.0.1:9180"',))
    return None


def told_to_collector(it: Standing) -> Missing | None:
    """`[traces]` with a `[[collector]]`, and not `traces = false` on the route."""
    if it.config.traces is None:
        mend = '[traces] with collector = "NAME", and a [[collector]] of that name'
        return Missing("there is no [traces], so that no request becomes a span", (mend,))
    if it.route.traces is False:
        return Missing("the route says traces = false", ("remove it",), (own(it, "traces"),))
    return None


ASKED_OF_LINES = ("time", "client", "end")
"""Without these a line does not say when something happened, who was there, or how it ended."""


def access_log(it: Standing) -> Missing | None:
    """`[log] access` not off, nor a file where no line stays; or a `log` of the route that is one; lines with `time`, `client` and
    `end`."""
    route, log = it.route, it.config.log
    if route.log is False:
        return Missing("what goes as decided leaves no line there", ("remove log = false",), (own(it, "log"),))
    given = route.own_log
    to = log.access if given is None else given.to
    at: Key = ("log", "access") if given is None else own(it, "log")
    if to in {"off", *NOWHERE}:
        mend = ('[log] access = "stdout"', '[log] access = "/var/log/everyhop/access.log"')
        return Missing(f"the access log is {'' if to == 'off' else 'at '}{to}", mend, (at,))
    fields = log.fields if given is None or given.fields is None else given.fields
    if (log.format if given is None or given.format is None else given.format) == "combined":
        fields = None
    lacking = [name for name in ASKED_OF_LINES if fields is not None and name not in map(str.lower, fields)]
    if lacking:
        where: Key = own(it, "log", "fields") if given and given.fields else ("log", "fields")
        return Missing(f"its lines do not say {' and '.join(lacking)}", ("add it to fields",), (where,))
    return None


def log_or_nothing(it: Standing) -> Missing | None:
    """`[log] access` not off, and `on_full = "refuse"`."""
    if (off := access_log(it)) is not None:
        return off
    if it.config.log.on_full != "refuse":
        what = "when the log cannot keep up its lines are dropped, and requests pass without one"
        return Missing(what, ('[log] on_full = "refuse"',))
    return None


def several_backends(it: Standing) -> Missing | None:
    """Two or more backends in `to`."""
    if len(it.route.to) < 2:
        return Missing(
            "the route has one backend, and nobody stands in for it",
            ("name a second backend in to = [...]",),
            (own(it, "to"),),
        )
    return None


def from_clients(it: Standing) -> Missing | None:
    """No listener that serves in the clear by which the route can be reached."""
    for i in it.open_at:
        what = f"requests come to the route in the clear by listener {it.config.listener[i].name!r}"
        tls = [f'"{one.name}"' for one in it.config.listener if one.speaks == "tls"] or ['"NAME"']
        return Missing(what, (f"listeners = [{', '.join(tls)}]",), (("listener", i, "serve"),))
    return None


def clients_proved(it: Standing) -> Missing | None:
    """`clients` with `mode = "require"` in every site by which the route can be reached; or `ask`, with `allow.clients` on the route; and no listener that serves it in the clear."""
    if (open_hop := from_clients(it)) is not None:
        return open_hop
    for i, site in it.sites:
        if site.clients is None:
            what = f"a request can reach the route through site {site.name!r}, which asks no client for a certificate"
            mend = f'give site {site.name!r} clients = {{ ca = "/etc/everyhop/client-ca.pem", mode = "require" }}'
            return Missing(what, (mend,), (("site", i, "name"),))
        if site.clients.mode != "require" and not it.route.names_clients:
            what = f"a client may come to site {site.name!r} without a certificate, and the route takes it"
            whom = "or say on the route whom it takes: allow = { clients = [...] }"
            return Missing(what, ('mode = "require"', whom), (("site", i, "clients", "mode"),))
    return None


def networks_named(it: Standing) -> Missing | None:
    """`allow` with `networks`."""
    if it.route.allow is None or it.route.allow.networks is None:
        mend = 'allow = { networks = ["10.0.0.0/8"] }'
        return Missing("the route takes clients wherever they are", (mend,))
    return None


def address_told(it: Standing) -> Missing | None:
    """On a passthrough route, or with `protocol = "tcp"`, `send_proxy = "v2"`; where requests are read X-Forwarded-For is always
    set."""
    return proxy_header(it) if it.route.tls == "passthrough" or it.route.is_stream else None


def proxy_header(it: Standing) -> Missing | None:
    """`send_proxy = "v2"`."""
    if it.route.send_proxy != "v2":
        mend = 'send_proxy = "v2", and let the backend expect it'
        return Missing("the backend is sent no PROXY header, and sees the edge's address", (mend,))
    return None


def no_key_here(it: Standing) -> Missing | None:
    """No site's certificate that is also good for a host of the route, such as a wildcard beside it."""
    for i, site, name in it.keys:
        what = f"the edge holds a key for {name} in site {site.name!r}, and with it could end the TLS of this route"
        mend = f"give site {site.name!r} a certificate, and hosts, of exact names"
        return Missing(what, (mend,), (("site", i, "name"),))
    return None


def everywhere(it: Standing) -> Iterator[tuple[Key, Hop, Mirror | None]]:
    """All that is sent what the route carries, with its place in the file: backends, then the mirror's with the mirror."""
    mirror = it.route.mirror
    lists: list[tuple[Key, Sequence[str | Hop], Mirror | None]] = [(own(it), it.route.to, None)]
    lists += [(own(it, "mirror"), mirror.to, mirror)] if mirror else []
    for at, to, of in lists:
        for j, entry in enumerate(to):
            yield (*at, "to", j), Hop(at=entry) if isinstance(entry, str) else entry, of


def every_hop(*patterns: str) -> Check:
    """A check that each backend, not only the route, has one of `patterns`."""

    def check(it: Standing) -> Missing | None:
        if it.route.tls == "passthrough":
            return None
        for key, entry, mirror in everywhere(it):
            whole = (mirror.tls if mirror else None) or it.route.tls
            tls = entry.tls or whole
            if tls not in patterns:
                whose = own(it, "mirror") if mirror and mirror.tls else own(it)
                said = (*(key if entry.tls else whose), "tls")
                return Missing(f"the hop to {entry.at} is {tls}", (f'tls = "{patterns[0]}"',), (said,))
        return None

    check.__doc__ = f"Every backend's hop is {' or '.join(patterns)}, and every mirror's."
    return check


def asking_demanded(it: Standing) -> Missing | None:
    """Every backend's hop is mutual, with `demand_asks` or `data = "major-incident"` and no word against it."""
    if (other := every_hop("mutual")(it)) is not None:
        return other
    for key, entry, _ in everywhere(it):
        given = it.route.demand_asks if entry.demand_asks is None else entry.demand_asks
        if given is False or (given is None and it.route.data != "major-incident"):
            what = f"{entry.at} may ask nobody for a certificate, and is sent requests all the same"
            said = [(*key, "demand_asks")] if entry.demand_asks is False else []
            said += [own(it, "demand_asks")] if entry.demand_asks is None and given is False else []
            return Missing(what, ("demand_asks = true",), tuple(said))
    return None


def post_quantum(it: Standing) -> Missing | None:
    """`require_post_quantum = true`, and no backend's or mirror's word against it."""
    for key, entry, _ in everywhere(it):
        given = it.route.require_post_quantum if entry.require_post_quantum is None else entry.require_post_quantum
        if not given:
            what = f"the hop to {entry.at} may be by key exchange that a quantum computer opens"
            said = [(*key, "require_post_quantum")] if entry.require_post_quantum is False else []
            if entry.require_post_quantum is None and it.route.require_post_quantum is False:
                said = [own(it, "require_post_quantum")]
            return Missing(what, ("require_post_quantum = true",), tuple(said))
    return None


def keys_apart(it: Standing) -> Missing | None:
    """No `[[identity]]` of the route's hops that has the key of a site's certificate."""
    mirror = it.route.mirror
    shown = {it.route.present, mirror.present if mirror else None, *(entry.present for _, entry, _ in everywhere(it))}
    for i, identity in enumerate(it.config.identity):
        public = [site for n, site in it.sites if (i, n) in it.shared]
        if identity.name in shown and public:
            what = f"identity {identity.name!r} has the key of site {public[0].name!r}"
            return Missing(
                what,
                ("give the identity a key and certificate of its own",),
                (("identity", i, "name" if identity.comes else "key"),),
            )
    return None


def own(it: Standing, *rest: str | int) -> Key:
    """A key below the route."""
    return ("route", it.index, *rest)
