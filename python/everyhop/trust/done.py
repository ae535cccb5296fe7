"""What the edge does to what it reads, in full sentences: fields that it changes, and how many requests it lets go on at
once. An edge that ends TLS can do it; who audits one must see where it does. Read next: `map.py`."""

from __future__ import annotations

import json

from everyhop.plan import (
    AsItCame,
    AsksGrpc,
    AsksHttp,
    AtBackend,
    AtEdge,
    Compress,
    Cookies,
    Cors,
    Edits,
    HealthCheck,
    InCombined,
    InJson,
    Limiter,
    Most,
    Quiet,
    Retries,
    Route,
    Share,
    Spread,
    Way,
)


def done(way: Way) -> tuple[str, ...]:
    """One sentence each, in the order in which it happens."""
    if isinstance(way, AtBackend):
        return tuple(spread(way.spread, [str(at) for at in way.backends], "connections"))
    if not isinstance(way, AtEdge):
        return ()
    what = "connections" if way.is_stream else "requests"
    return (
        *limited(way.limited_by),
        *bounded(way.most),
        *moved(way),
        *edited("a request", way.request),
        *spread(way.spread, [str(b.at) for b in way.backends], what),
        *tried(way.retries),
        *copied(way),
        *returned(way),
        *edited("an answer", way.response),
        *shared(way.cors),
        *compressed(way.compress),
    )


def logged(route: Route) -> list[str]:
    """Nothing where its lines are those of the file."""
    it = route.log
    if it is None:
        return []
    if isinstance(it, Quiet):
        return ["What goes as decided leaves no line in the access log; what is refused or fails does."]
    form = "in the combined format" if isinstance(it.form, InCombined) else "in JSON"
    if isinstance(it.form, InJson) and it.form.fields is not None:
        form = f"with {', '.join(it.form.fields)}"
    return [f"Its lines of the access log go to {it.access.place}, {form}."]


def spread(it: Spread | None, backends: list[str], what: str) -> list[str]:
    """How backends share what comes; nothing where they take turns, one like the other."""
    if it is None:
        return []
    named = list(zip(backends, it.shares, strict=False))  # the engine holds them to each other
    taking = ", ".join(f"{at} {share.weight}" for at, share in named if share.weight and not share.backup)
    out = [f"{BY[it.by.kind].format(name=getattr(it.by, 'name', ''), what=what)} By weight: {taking or 'none'}."]
    if it.sticky is not None:
        out += [
            f"A client comes back to its backend by the cookie {it.sticky.cookie} of the edge, which no backend is shown."
        ]
    out += [f"{at} takes nothing new." for at, share in named if share.weight == 0]
    out += zones([share for _, share in named])
    backups = [at for at, share in named if share.backup and share.weight]
    out += [f"Only while none of those is up: {', '.join(backups)}."] if backups else []
    slow = f"One that came back up takes a hundredth of its share at first, and the whole after {it.slow_start_s} s."
    out += [slow] if it.slow_start_s else []
    return out + checked(it.health, backups=bool(backups))


def zones(shares: list[Share]) -> list[str]:
    """Which come first at an edge of the same zone. That is said of distance, and of nothing else."""
    named = sorted({it.zone for it in shares if it.zone is not None})
    if not named:
        return []
    return [
        f"Zones: {', '.join(named)}. An edge in one of them goes to those in the same zone while 70 % of them, by weight, are up;"
        " with fewer as much goes elsewhere as is missing. Who is verified, and how, is the same in each zone."
    ]


def checked(it: HealthCheck | None, *, backups: bool) -> list[str]:
    """What the edge asks backends by itself."""
    if it is None:
        return []
    asks, answer = it.asks, ""
    what = "connects, with the handshake where the hop has TLS that ends here"
    if isinstance(asks, AsksHttp):
        what, answer = f"asks for {asks.path} of {asks.host}", f", to be answered {ranges(asks)}{saying(asks)}"
    elif isinstance(asks, AsksGrpc):
        whom = f"the service {asks.service}" if asks.service else "the server"
        what, answer = f"calls grpc.health.v1 for {whom} of {asks.host}", ", to be answered SERVING"
    return [
        f"Every {it.every_s} s the edge {what}, at each backend over the route's own hop{answer} within {it.timeout_s} s; one that "
        f"fails {it.down_after} in a row takes nothing new until it passes {it.up_after}.",
        f"While fewer than half are up{', and no backup is,' if backups else ''} all are used, but none whose certificate is refused.",
    ]


def saying(asks: AsksHttp) -> str:
    return "" if asks.body is None else f" with {json.dumps(asks.body, ensure_ascii=False)} in its body"


def ranges(asks: AsksHttp) -> str:
    each = (str(it.first) if it.first == it.last else f"{it.first}-{it.last}" for it in asks.statuses)
    return " or ".join(each)


BY = {
    "turns": "Backends take turns.",
    "least": "Of two backends at random the one that has fewer {what} under way for its weight is chosen.",
    "client_address": "The same client address goes to the same backend, as long as that is up and not too busy.",
    "header": "The same {name} goes to the same backend, as long as that is up and not too busy.",
    "cookie": "The same cookie {name} goes to the same backend, as long as that is up and not too busy.",
    "path": "The same path goes to the same backend, as long as that is up and not too busy.",
}


def limited(by: list[Limiter]) -> list[str]:
    return [
        f"Limit {it.name}: {it}; "
        + ("others are answered 429." if it.mode == "refuse" else "others pass, and are counted and logged.")
        for it in by
    ]


def bounded(most: Most | None) -> list[str]:
    if most is None:
        return []
    out = []
    if most.connections is not None:
        out += [
            f"At most {most.connections} connection(s) are open to each backend, and one for each thread; a request that finds no room"
            " is refused with 503."
        ]
    if most.requests is None:
        return out
    waits = f", {most.waiting} more wait up to {most.wait_s} s" if most.waiting else ""
    return [*out, f"At most {most.requests} request(s) are under way at once{waits}; others are refused with 503."]


def moved(way: AtEdge) -> list[str]:
    host = [f"Backends are asked for the host {way.host_header}, whichever a client asked for."] * bool(way.host_header)
    if isinstance(way.target, AsItCame):
        return host
    return [
        *host,
        f"A path goes to the backend {way.target}; what is judged and logged is the path that was asked for.",
    ]


def tried(it: Retries | None) -> list[str]:
    if it is None:
        return []
    when = [f"one answers {' or '.join(map(str, it.on))}"] * bool(it.on)
    when += [
        f"has not begun to answer after {it.per_try_s} s"
        if it.on
        else f"one has not begun to answer after {it.per_try_s} s"
    ] * (it.per_try_s is not None)
    return [
        f"A GET or HEAD goes to another backend, up to {it.attempts} in all, where {', or '.join(when)};"
        f" of the requests under way {it.budget_percent} in a hundred at most, or three."
    ]


def copied(way: AtEdge) -> list[str]:
    """Where copies of requests go."""
    it = way.mirror
    if it is None:
        return []
    whom = " or ".join(f"{b.at} ({b.hop.tls})" for b in it.backends)
    share = "Each request" if it.share_per_million == 1_000_000 else f"{it.share_per_million / 10_000:g} % of requests"
    go = "goes" if it.share_per_million == 1_000_000 else "go"
    return [
        f"{share} {go} to {whom} as well, as a copy, if the body has {it.body_bytes} bytes at most; its answers are thrown away."
        " What opens a tunnel and what calls gRPC is not copied.",
        *edited("a copy", it.request),
    ]


def returned(way: AtEdge) -> list[str]:
    named = "Where a backend names itself, by a host or path of its own, in Location or a cookie, the edge names what was asked for."
    return [named] * (way.locations == "rewrite") + guarded(way.cookies)


def guarded(cookies: Cookies | None) -> list[str]:
    if cookies is None:
        return []
    words = [
        *["Secure"] * cookies.secure,
        *["HttpOnly"] * cookies.http_only,
        *([f"SameSite={cookies.same_site.capitalize()}"] if cookies.same_site else []),
    ]
    said = [f"Cookies of backends that have a name are given {', '.join(words)} where they lack it."] * bool(words)
    return said + (
        [f"Cookies of backends are for {cookies.path}, whatever they say, but those whose names begin with __Host-."]
        if cookies.path
        else []
    )


def shared(cors: Cors | None) -> list[str]:
    if cors is None:
        return []
    who = "Any page of the web" if "*" in cors.origins else f"Pages of {', '.join(cors.origins)}"
    acts = ", and may act as the user of the browser" if cors.credentials else ""
    return [
        f"{who} may read answers in browsers{acts}; the edge says so, and answers preflights before it looks at who may pass."
    ]


def compressed(compress: Compress | None) -> list[str]:
    if compress is None:
        return []
    secrets = (
        " also of those who are known, so that their length tells of what is in them (BREACH)"
        if compress.with_credentials
        else " but not of those who are known by a cookie, a login or a certificate"
    )
    return [f"Answers go out compressed ({', '.join(compress.codings)}),{secrets}."]


def edited(whose: str, edits: Edits) -> list[str]:
    words = [
        (edits.remove, "removes {}"),
        ([str(it) for it in edits.set], "sets {}"),
        ([str(it) for it in edits.add], "adds {}"),
    ]
    parts = [form.format(", ".join(f'"{it}"' for it in names)) for names, form in words if names]
    return [f"Of {whose} the edge {'; it '.join(parts)}."] if parts else []
