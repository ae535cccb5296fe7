"""Which site ends the TLS of a name, and inside which sites a route is reached, and which routes tie: asked of the engine's matcher, of as much
of the configuration as matching needs. The rules ask here before there is a plan; they have no matcher of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from everyhop import plan
from everyhop.compile import names
from everyhop.compile.build import at_edge, here
from everyhop.compile.policies import policy
from everyhop.compile.streams import protocol_of, streaming
from everyhop.compile.world import World
from everyhop.model import Route
from everyhop.plan import Contradictory, Question, Request, Tie, apart, decide, text_of, ties


@dataclass(frozen=True)
class WaysIn:
    """By the engine's own matcher; sites and routes by their index in the file."""

    owner: dict[str, int]
    """By a name or pattern of the file: the site that ends its TLS."""
    reached: dict[int, dict[int, Request]]
    """By route: the sites inside which some request reaches it, each with such a request."""
    ties: tuple[Tie, ...]
    """Routes that some request fits alike."""
    text: str = ""
    """The plan that was asked, and its routes by their index in the file."""
    routes: tuple[int, ...] = ()

    def takers(self, asked: list[tuple[str, str]]) -> list[int | None]:
        """The route that takes a GET of each host and path; `None` where none does."""
        found = decide(self.text, [Question(host=host, path=path, sni=host) for host, path in asked]) if asked else []
        return [self.routes[it.route] if it.served and it.route is not None else None for it in found]


NOTHING = WaysIn({}, {}, ())


def ways_in(world: World) -> WaysIn | None:
    """`None` where the configuration contradicts itself so far that nothing can be matched; that is refused elsewhere."""
    routes = [(i, bare) for i, r in enumerate(world.config.route) if (bare := matching(r)) is not None]
    carried = streaming(world)
    shape = plan.Plan(
        plan=1,
        engine=plan.Engine(threads=plan.ThreadsCores(count="cores"), drain_s=0, sandbox="off", keys="engine"),
        log=plan.Log(access=plan.ToOff(to="off"), form=plan.InCombined(format="combined"), on_full="drop"),
        status=plan.StatusOff(kind="off"),
        limits=plan.Limits(**world.config.limits.model_dump()),
        pages=[],
        collectors=[],
        traces=None,
        stores=[],
        tickets=None,
        listeners=listeners(world),
        sites=[
            plan.Site(
                name=site.name,
                hosts=world.site_hosts.get(site.name, []),
                listeners=site.listeners,
                certs=[],
                clients=plan.ClientsNothing(mode="nothing"),
                policy=policy("intermediate"),
                protocol=protocol_of(carried, site.name),
                alpn=[],
                hsts=None,
            )
            for site in world.config.site
        ],
        identities=[],
        issuers=[],
        authorizers=[],
        wafs=[],
        routes=[bare for _, bare in routes],
    )
    text = text_of(shape)
    try:
        both = apart(text, text)
    except Contradictory:
        return None
    reached: dict[int, dict[int, Request]] = {i: {} for i, _ in routes}
    for it in both.requests:
        if it.old.verdict == "terminate" and it.old.route is not None and it.old.site is not None:
            reached[routes[it.old.route][0]].setdefault(it.old.site, it)
    ended = {it.pattern: it.old[1] for it in both.names if it.old[0] == "terminate"}
    alike = (Tie(routes[t.first][0], routes[t.late][0], t.host, t.path) for t in ties(text))
    owners = {name: site for name, site in ended.items() if site is not None}
    return WaysIn(owners, reached, tuple(alike), text, tuple(i for i, _ in routes))


def listeners(world: World) -> list[plan.Listener]:
    """As much of them as matching needs; none where nobody names one, and all let reach the same."""
    config = world.config
    serving = any(it.speaks == "http" and it.serve for it in config.listener)
    if (
        not serving
        and not any(site.listeners for site in config.site)
        and not any(route.listeners for route in config.route)
    ):
        return []
    refuse = plan.Refuse(answer="refuse")
    tls, plain = plan.SpeaksTls(kind="tls"), plan.SpeaksRedirect(kind="redirect", https_port=443)
    served = plan.SpeaksServe(kind="serve", reach=plan.SameHost(kind="same_host"))
    return [
        plan.Listener(
            name=it.name,
            bind=[],
            speaks=tls if it.speaks == "tls" else served if it.serve else plain,
            no_sni=refuse,
            unknown_sni=refuse,
            accept_proxy=[],
            trusted_proxies=[],
            trusted_clients=[],
            believe=[],
            connections=0,
            starttls=None,
        )
        for it in config.listener
    ]


NOTHING_SAID = plan.Given(status=200, location=None, fields=[], body=plan.NoContent(kind="nothing"))


def matching(it: Route) -> plan.Route | None:
    """As much of a route as matching needs; `None` where its names or its path are none."""
    hosts = [host for text in it.hosts if (host := names.served(text)) is not None]
    if not hosts or any(given is not None and names.path(given) is None for given in (it.path, it.path_exact)):
        return None
    way: plan.Way
    if it.is_answered:
        way = here(it.model_copy(update={"allow": None}), NOTHING_SAID)
    elif it.tls == "passthrough":
        way = plan.AtBackend(
            ends="at_backend", allow_networks=None, send_proxy="off", starttls=None, spread=None, backends=[]
        )
    else:
        # Whom a route refuses, it has matched.
        unmatched = (
            *(
                "allow",
                "jwt",
                "basic",
                "ask",
                "waf",
                "websocket",
                "upgrades",
                "paths",
                "strip",
                "rewrite",
                "host_header",
            ),
            *(
                "request",
                "response",
                "locations",
                "cookies",
                "cors",
                "compress",
                "retries",
                "mirror",
                "answers",
                "balance",
                "sticky",
                "health",
                "slow_start_s",
            ),
        )
        way = at_edge(it.model_copy(update=dict.fromkeys(unmatched)), [], [])
    return plan.Route(
        name=it.name,
        hosts=hosts,
        listeners=it.listeners,
        priority=it.priority,
        data="undeclared",
        requires=[],
        limits=plan.RouteLimits(**dict(it.limits)),
        log=None,
        traces=plan.TracedAsFile(kind="as_file"),
        way=way,
    )
