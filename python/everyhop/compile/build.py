"""From a judged configuration to the plan. Pure: the same configuration and certificates' names give the same bytes."""

from __future__ import annotations

from collections.abc import Container
from typing import Literal

from everyhop import plan
from everyhop.compile import asking, inspecting, names, tokens, users
from everyhop.compile.hops import accepted, ca, hop, place
from everyhop.compile.kinds_of_file import kind_of
from everyhop.compile.limiters import limited_by
from everyhop.compile.logged import logged, own_log
from everyhop.compile.mirroring import hops_of, mirrored
from everyhop.compile.origins import origin
from everyhop.compile.pieces import pieces
from everyhop.compile.plain import https_port
from everyhop.compile.policies import policy
from everyhop.compile.spreading import spread
from everyhop.compile.streams import protocol_of, streaming
from everyhop.compile.ticket_keys import shared
from everyhop.compile.world import World, backends
from everyhop.model import Collector, Edits, Listener, Rewrite, Route, Site, Slow, Store, Traces

NO_EDITS = plan.Edits(remove=[], set=[], add=[])


def build(world: World) -> plan.Plan:
    config = world.config
    carried = streaming(world)
    bound = names.bind(config.status.bind) if config.status.bind else None
    return plan.Plan(
        plan=1,
        engine=plan.Engine(
            threads=threads(config.engine.threads),
            drain_s=config.engine.drain_s,
            sandbox=config.engine.sandbox,
            keys=config.engine.keys,
        ),
        log=logged(config.log),
        status=plan.StatusBound(kind="bound", bind=bound) if bound else plan.StatusOff(kind="off"),
        limits=plan.Limits(**config.limits.model_dump()),
        tickets=shared(config.tickets),
        pages=error_pages(config.pages),
        collectors=[collector(c) for c in config.collector],
        traces=traces(config.traces) if config.traces else None,
        stores=[store(it) for it in sorted(config.store, key=lambda it: it.name)],
        listeners=[listener(world, i) for i in range(len(config.listener))],
        sites=[site(world, s, carried) for s in config.site],
        identities=[
            plan.Identity(name=i.name, material=f"identity/{i.name}", chain=i.chain, key=i.origin)
            for i in config.identity
        ],
        issuers=[tokens.issuer(it) for it in sorted(config.issuer, key=lambda it: it.name)],
        authorizers=[asking.authorizer(it) for it in sorted(config.authorizer, key=lambda it: it.name)],
        wafs=[inspecting.waf(it) for it in sorted(config.waf, key=lambda it: it.name)],
        routes=[route(world, r) for r in config.route],
    )


def error_pages(given: dict[str, str]) -> list[plan.ErrorPage]:
    """By status first, then by class."""
    spans = {of: (int(of[0]) * 100, int(of[0]) * 100 + 99) if of.endswith("xx") else (int(of), int(of)) for of in given}
    pages = [plan.ErrorPage(first=a, last=b, page=f"page/{given[of]}") for of, (a, b) in spans.items()]
    return sorted(pages, key=lambda it: (it.first != it.last, it.first))


def collector(it: Collector) -> plan.Collector:
    told = [plan.Backend(at=place(b.at), hop=hop(it, b)) for b in backends(it)]
    return plan.Collector(name=it.name, under=it.path, backends=told)


def store(it: Store) -> plan.Store:
    asked = [plan.Backend(at=place(b.at), hop=hop(it, b)) for b in backends(it)]
    speaks: plan.StoreRedis | plan.StoreEnvoy = plan.StoreRedis(kind="redis")
    if it.speaks == "envoy":
        speaks = plan.StoreEnvoy(kind="envoy", domain=it.domain or "everyhop")
    return plan.Store(
        name=it.name, speaks=speaks, backends=asked, user=it.user, password=it.password, database=it.database
    )


def traces(it: Traces) -> plan.Traces:
    return plan.Traces(
        collector=it.collector,
        ppm=ppm(it.ratio),
        slow_ms=max(1, round(it.slow_s * 1000)),
        service=it.service,
        resource=[plan.Attribute(name=name, value=value) for name, value in sorted(it.attributes.items())],
        query=it.query,
    )


def ppm(ratio: float) -> int:
    """A plan has no fractions."""
    return round(ratio * 1_000_000)


def traced(given: bool | float | None) -> plan.Traced:
    if given is None or given is True:
        return plan.TracedAsFile(kind="as_file")
    # 0.0 is no false: what went otherwise than it should is told all the same.
    return plan.TracedNever(kind="never") if given is False else plan.TracedShare(kind="share", ppm=ppm(given))


def threads(given: int | None) -> plan.ThreadsCores | plan.ThreadsFixed:
    return plan.ThreadsFixed(count="fixed", threads=given) if given else plan.ThreadsCores(count="cores")


def listener(world: World, index: int) -> plan.Listener:
    it = world.config.listener[index]

    def answer(text: str) -> plan.Refuse | plan.AnswerSite | plan.AnswerRoute:
        if text == "refuse":
            return plan.Refuse(answer="refuse")
        if any(s.name == text for s in world.config.site):
            return plan.AnswerSite(answer="site", site=text)
        return plan.AnswerRoute(answer="route", route=text)

    return plan.Listener(
        name=it.name,
        bind=[names.bind(b) or b for b in it.bind],
        speaks=speaks(world, it),
        no_sni=answer(it.no_sni),
        unknown_sni=answer(it.unknown_sni),
        accept_proxy=[str(names.network(n)) for n in it.accept_proxy],
        trusted_proxies=[str(names.network(n)) for n in it.trusts.networks] if it.trusts else [],
        trusted_clients=sorted({names.client(text) for text in it.trusts.clients}) if it.trusts else [],
        believe=sorted(set(it.trusts.believe)) if it.trusts else [],
        connections=it.connections,
        starttls=it.starttls,
    )


def speaks(world: World, it: Listener) -> plan.SpeaksTls | plan.SpeaksRedirect | plan.SpeaksServe:
    if it.speaks == "tls":
        return plan.SpeaksTls(kind="tls")
    if it.serve:
        if all((at := names.address(text)) is not None and at.is_literal_loopback for text in it.bind):
            return plan.SpeaksServe(kind="serve", reach=plan.SameHost(kind="same_host"))
        assert it.acceptance is not None, "judged before"
        return plan.SpeaksServe(kind="serve", reach=accepted(it.acceptance))
    port = https_port(world.config, it)
    assert port is not None, "judged before"
    return plan.SpeaksRedirect(kind="redirect", https_port=port)


def site(world: World, it: Site, carried: Container[str]) -> plan.Site:
    clients: plan.ClientsNothing | plan.ClientsAsk | plan.ClientsRequire = plan.ClientsNothing(mode="nothing")
    if it.clients:
        crl = f"crl/{it.clients.crl}" if it.clients.crl else None
        made = plan.ClientsRequire if it.clients.mode == "require" else plan.ClientsAsk
        clients = made(mode=it.clients.mode, ca=ca(it.clients.ca), crl=crl, stale_crl=it.clients.stale_crl)  # type: ignore[arg-type]
    return plan.Site(
        name=it.name,
        hosts=sorted(world.site_hosts[it.name]),
        listeners=sorted(set(it.listeners)) if it.listeners else None,
        certs=certs(world, it),
        clients=clients,
        policy=policy(it.policy, post_quantum=it.require_post_quantum),
        protocol=(spoken := protocol_of(carried, it.name)),
        alpn=it.http_alpn if spoken == "http" else list(it.alpn or []),
        hsts=plan.Hsts(**it.hsts.model_dump()) if it.hsts else None,
    )


def certs(world: World, it: Site) -> list[plan.Cert]:
    """What comes by itself is in the plan whether it is there yet or not: the plan of one text is one."""
    if it.identity is not None:
        shown = next(one for one in world.config.identity if one.name == it.identity)
        return [plan.Cert(material=f"identity/{shown.name}", chain=shown.chain, key=shown.origin)]
    if it.is_by_acme:
        issued = world.config.acme.issued(it.name)
        return [plan.Cert(material=f"site/{it.name}/{i}", chain=chain, key="acme") for i, chain in enumerate(issued)]
    return [plan.Cert(material=f"site/{it.name}/{i}", chain=c.chain, key=c.key) for i, c in enumerate(it.pairs)]


def at_edge(
    it: Route, to: list[plan.Backend], limiters: list[plan.Limiter], known: users.Users | None = None
) -> plan.AtEdge:
    """The one place where a route's settings become the plan's, also for who asks only what it matches."""
    assert it.tls is not None and it.tls != "passthrough"
    return plan.AtEdge(
        ends="at_edge",
        pattern=it.tls,
        path=path(it),
        methods=sorted(it.methods),
        headers=looked_at(it),
        allow_clients=allowed_clients(it),
        allow_networks=allowed_networks(it),
        jwt=tokens.jwt(it.jwt) if it.jwt else None,
        basic=users.basic(it.basic, known) if it.basic else None,
        ask=it.ask,
        waf=it.waf,
        upgrades=upgrades(it),
        paths=it.paths or "faithful",
        target=target(it),
        host_header=names.authority(it.host_header) if it.host_header else None,
        request=users.signed(it.basic, tokens.told(it.jwt, edits(it.request))),
        response=edits(it.response),
        locations=it.locations or locations(it),
        cookies=plan.Cookies(**it.cookies.model_dump()) if it.cookies else None,
        cors=cors(it),
        compress=compress(it),
        limited_by=limiters,
        most=plan.Most(**it.most.model_dump()) if it.most else None,
        retries=retries(it),
        answers=it.answers or "strict",
        upstream_protocol="tcp" if it.is_stream else it.upstream_protocol or "http/1.1",
        send_proxy=it.send_proxy,
        starttls=it.starttls,
        eject_on=sorted(
            {"timeouts"} if it.eject_on is None else {on for on in it.eject_on if not isinstance(on, Slow)}
        ),
        slow_ms=next((on.slow_ms for on in it.eject_on or () if isinstance(on, Slow)), None),
        spread=spread(it),
        backends=to,
        mirror=mirror(it),
    )


def mirror(it: Route) -> plan.Mirror | None:
    given, as_route = it.mirror, mirrored(it)
    if given is None or as_route is None:
        return None
    return plan.Mirror(
        share_per_million=max(1, round(given.share * 1_000_000)),
        upstream_protocol=as_route.upstream_protocol or "http/1.1",
        request=edits(given.request),
        body_bytes=given.body_bytes,
        at_once=given.at_once,
        timeout_s=given.timeout_s,
        backends=[plan.Backend(at=place(b.at), hop=hop(as_route, b)) for b in hops_of(given.to)],
    )


def looked_at(it: Route) -> list[plan.HeaderMatch]:
    """Fields and cookies by which it is chosen."""
    return [
        *(plan.HeaderMatch(of="field", name=n.lower(), equals=v) for n, v in sorted(it.headers.items())),
        *(plan.HeaderMatch(of="cookie", name=n, equals=v) for n, v in sorted(it.cookie.items())),
    ]


def allowed_clients(it: Route) -> list[str] | None:
    """In the one form that they are compared in; `None` where any may pass."""
    if it.allow is None or it.allow.clients is None:
        return None
    return sorted({names.client(text) for text in it.allow.clients})


def allowed_networks(it: Route) -> list[str] | None:
    """As few as they come to, however the file has them; `None` where any address will do."""
    if it.allow is None or it.allow.networks is None:
        return None
    return [str(net) for net in names.merged(filter(None, map(names.network, it.allow.networks)))]


def upgrades(it: Route) -> list[str]:
    """The protocols that may be switched to, in their one form."""
    if it.is_stream:
        return []
    if it.upgrades is not None:
        return sorted({name.lower() for name in it.upgrades})
    return [] if it.websocket is False else ["websocket"]


def here(it: Route, gives: plan.Given) -> plan.Here:
    """As `at_edge`, where nothing lies behind."""
    return plan.Here(
        ends="here",
        path=path(it),
        methods=sorted(it.methods),
        headers=looked_at(it),
        allow_clients=allowed_clients(it),
        allow_networks=allowed_networks(it),
        gives=gives,
    )


def edits(it: Edits | None) -> plan.Edits:
    """Names in lower case, in an order that does not hang on the file's."""

    if it is None:
        return NO_EDITS
    gone = sorted({name.lower() for name in it.remove})
    return plan.Edits(remove=gone, set=fields(it.set), add=fields(it.add))


def locations(it: Route) -> Literal["rewrite", "keep"]:
    """What the edge changed on the way there it changes back, and nothing else."""
    changed = (it.host_header, it.strip, it.rewrite) != (None, None, None)
    return "rewrite" if changed else "keep"


def retries(it: Route) -> plan.Retries | None:
    if it.retries is None:
        return None
    return plan.Retries(**{**it.retries.model_dump(), "on": sorted(set(it.retries.on))})


def cors(it: Route) -> plan.Cors | None:
    if it.cors is None:
        return None
    given = it.cors
    methods = it.methods or ["GET", "HEAD", "POST"] if given.methods is None else given.methods
    return plan.Cors(
        origins=sorted({origin(text, credentials=given.credentials) for text in given.origins}),
        methods=sorted(set(methods)),
        headers=sorted({name.lower() for name in given.headers}),
        expose=sorted({name.lower() for name in given.expose}),
        max_age_s=given.max_age_s,
        credentials=given.credentials,
    )


def compress(it: Route) -> plan.Compress | None:
    given = it.compressed
    if given is None:
        return None
    return plan.Compress(codings=list(dict.fromkeys(given.with_)), with_credentials=given.with_credentials)


def fields(table: dict[str, str]) -> list[plan.Edit]:
    """Where claims of a token and who signed in are named there are some, which was judged before."""
    return [plan.Edit(name=n.lower(), value=[*pieces(v, claims=True, user=True)]) for n, v in sorted(table.items())]


def route(world: World, it: Route) -> plan.Route:
    way: plan.Way
    if it.is_answered:
        way = here(it, given(it))
    elif it.tls == "passthrough":
        way = plan.AtBackend(
            ends="at_backend",
            allow_networks=allowed_networks(it),
            send_proxy=it.send_proxy,
            starttls=it.starttls,
            spread=spread(it),
            backends=[place(b.at) for b in backends(it)],
        )
    else:
        to = [plan.Backend(at=place(b.at), hop=hop(it, b)) for b in backends(it)]
        made = at_edge(it, to, limited_by(world.config, it), world.users.get(it.basic.file) if it.basic else None)
        way = made.model_copy(update={"request": asking.taken(world, it.ask, made.request)})
    hosts = sorted({names.served(h) or h for h in it.hosts})
    return plan.Route(
        name=it.name,
        hosts=hosts,
        listeners=sorted(set(it.listeners)) if it.listeners else None,
        priority=it.priority,
        data=it.data or "undeclared",
        requires=sorted(it.requires),
        limits=plan.RouteLimits(**dict(it.limits)),
        log=own_log(world.config, it),
        traces=traced(it.traces),
        way=way,
    )


def given(it: Route) -> plan.Given:
    if it.redirect is not None:
        return plan.Given(
            status=it.redirect.status,
            location=pieces(it.redirect.to),
            fields=fields(it.redirect.headers),
            body=plan.NoContent(kind="nothing"),
        )
    assert it.answer is not None
    body: plan.NoContent | plan.Words | plan.PageContent = plan.NoContent(kind="nothing")
    headers = dict(it.answer.headers)
    if it.answer.file is not None:
        body, kind = plan.PageContent(kind="page", page=f"page/{it.answer.file}"), kind_of(it.answer.file)
    elif it.answer.text is not None:
        body, kind = plan.Words(kind="words", text=it.answer.text), "text/plain; charset=utf-8"
    if body.kind != "nothing" and "content-type" not in {name.lower() for name in headers}:
        headers["content-type"] = kind
    return plan.Given(status=it.answer.status, location=None, fields=fields(headers), body=body)


def path(it: Route) -> plan.AnyPath | plan.ExactPath | plan.PrefixPath:
    if it.path_exact is not None:
        return plan.ExactPath(kind="exact", path=it.path_exact)
    prefix = (it.path or "").rstrip("/")
    return plan.PrefixPath(kind="prefix", path=prefix) if prefix else plan.AnyPath(kind="any")


def target(it: Route) -> plan.AsItCame | plan.Moved | plan.Rewritten | plan.Fixed:
    if isinstance(it.rewrite, Rewrite):
        return plan.Rewritten(kind="rewritten", regex=it.rewrite.regex, to=it.rewrite.to)
    match pieces(it.rewrite or ""):
        case [plan.Text(text=path)]:
            return plan.Fixed(kind="fixed", path=path)
        case [plan.Text(text=under), plan.Of()]:
            return plan.Moved(kind="moved", strip=it.strip or "", under=under)
        case _ if it.strip:
            return plan.Moved(kind="moved", strip=it.strip, under="")
    return plan.AsItCame(kind="as_it_came")
