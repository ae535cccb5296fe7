"""Full sentences about a route: who reads, who proves what to whom, whose word is believed, what each attacker gets."""

from __future__ import annotations

import datetime as dt

from everyhop.screen import ahead, few
from everyhop.trust import ATTACKERS, CAPABILITIES, PATTERNS, VISIBLE, RouteTrust, Signed

ENDS = {
    "passthrough": "TLS ends at the backend. The edge carries bytes, routes by the server name and is blind to HTTP.",
    "mutual": "TLS ends at the edge, which reads every request. A second TLS session goes to the backend, and both sides prove who they are.",
    "reencrypt": "TLS ends at the edge, which reads every request. A second TLS session goes to the backend, which proves who it is; the edge does not.",
    "plaintext": "TLS ends at the edge, which reads every request. Behind it nothing is encrypted.",
    "answered": "TLS ends at the edge, which reads every request and answers itself. There is nothing behind it.",
}
UNREAD = "holds every byte in the clear, and passes all of it on unread: it is blind to the protocol of the application"
"""What the edge does where a route carries TCP, in the place of reading requests."""

LOCK, EYE = "==[lock]==", "--[eye! plaintext]--"


def drawn(it: RouteTrust) -> list[str]:
    """The hops, a backend a line: a lock where TLS is, an eye and the word where anyone can look."""
    edge = f"client {EYE if it.open_at else LOCK} " + ("(edge)" if it.way == "passthrough" else "edge")
    if not it.backends:
        return [edge]
    behind = [(at, pattern, "") for at, pattern in it.backends]
    behind += [(at, pattern, " (mirror: copies alone)") for at, pattern in it.mirrors]
    legs = [EYE if pattern == "plaintext" else LOCK for _, pattern, _ in behind]
    wide = max(map(len, legs))
    rows = [f"{leg.ljust(wide)} {at}{what}" for leg, (at, _, what) in zip(legs, behind, strict=True)]
    return [f"{edge if n == 0 else ' ' * len(edge)} {row}" for n, row in enumerate(rows)]


def told(it: RouteTrust) -> list[str]:
    """Below the parties: who is asked about its requests, who is told of them, who inspects them, and who says whose tokens pass, by the same signs."""
    asked = [(it.asks.name, at, pattern) for at, pattern in it.asks.hops] if it.asks else []
    lines = [(pattern, f"{at}, authorizer {name}: asked about each request") for name, at, pattern in asked]
    aside = [(it.collector.name, at, pattern) for at, pattern in it.collector.hops] if it.collector else []
    lines += [(pattern, f"{at}, collector {name}: told of paths") for name, at, pattern in aside]
    lines += [
        (by, f"{at}, store {store.name} ({store.kind}): {store.does}") for store in it.stores for at, by in store.hops
    ]
    lines += [(key.pattern, f"{key.at}, keys of issuer {key.name}: say whose tokens pass") for key in it.keyed]
    if it.inspected is not None:
        does = "inspects each request" if it.inspected.blocks else "inspects copies, and refuses nothing"
        lines.append(("same-host", f"this host, waf {it.inspected.name}: {does}"))
    before = " " * drawn(it)[0].index("edge")
    return [f"{before}edge {EYE if pattern == 'plaintext' else LOCK} {what}" for pattern, what in lines]


def parties(it: RouteTrust) -> str:
    """Below the lines, under each party: whether it reads."""
    first = drawn(it)[0]
    out = "reads".ljust(first.index("edge")) + ("blind" if it.way == "passthrough" else "reads")
    return out.ljust(first.rindex(it.backends[0][0])) + "reads" if it.backends else out


def listed(parts: tuple[str, ...] | list[str]) -> str:
    before, last = ", ".join(parts[:-1]), parts[-1]
    return f"{before} and {last}" if before else last


def ends(it: RouteTrust) -> str:
    """Where TLS ends; where its backends differ, which of them the rest is said of."""
    said = whole_end(it)
    if not it.encrypted_too:
        said = said.replace("TLS ends at the edge, which", "No TLS comes to the edge, which").replace("A second", "A")
    return said.replace("reads every request", UNREAD) if it.stream else said


def whole_end(it: RouteTrust) -> str:
    patterns = dict.fromkeys(pattern for _, pattern in it.backends)
    if len(patterns) < 2:
        return ENDS[it.way]
    each = [f"{pattern} to {listed([at for at, p in it.backends if p == pattern])}" for pattern in patterns]
    return (
        f"TLS ends at the edge, which reads every request. Behind it: {'; '.join(each)}. "
        "What follows is said of the weakest."
    )


def about_route(it: RouteTrust, now: dt.datetime) -> list[str]:
    """The paragraphs, one a line."""
    out = [f"{it.name}: {listed(it.hosts)} {it.matches}".rstrip(), ""]
    out += [f"  {row}" for row in (*drawn(it), parties(it), *told(it))] + [""]
    out.append(ends(it))
    if it.listeners:
        alone = " and ".join(f'"{name}"' for name in it.listeners)
        out.append(f"It is reached by listener {alone} alone; by any other it is as if it were not there.")
    out += opened(it, now)
    out.append(f"It can be read and changed by {listed(it.changers)}.")
    only = [reader for reader in it.readers if reader not in it.changers]
    out += [f"It can be read, and not changed, by {listed(only)}."] if only else []
    for hop in it.hops:
        version = f", TLS {hop.oldest} or newer" if hop.oldest else ""
        proofs = f"Proven: {'; '.join(hop.proofs)}." if hop.proofs else "Nobody proves anything."
        out.append(
            f"Between {hop.between[0]} and {hop.between[1]}: {'encrypted' if hop.encrypted else 'in the clear'}{version}. {proofs}"
        )
    out += allowed(it)
    out += ways_in(it)
    out += it.done
    out += collected(it)
    out += kept(it)
    out += [f"{b.who.capitalize()} believes {b.what} without proof: {b.why}." for b in it.believed]
    if it.closes_at_s is not None:
        left = dt.datetime.fromtimestamp(it.closes_at_s, dt.UTC) - now
        end = f"ends {ahead(left)}" if left > dt.timedelta() else "has ended: the route is closed"
        out.append(f"{it.accepted_by} accepted the plaintext to {listed(it.accepted_for)}; that {end}.")
    if (signed := it.signed) is not None:
        out.append(
            f"Its reason, as written: {signed.why} ({signed.context}; since {signed.since}, until {signed.until})."
        )
    out.append(f"Whoever watches the wire still sees {listed(VISIBLE)}.")
    out += ["", "What an attacker gets:"]
    for key, title in ATTACKERS.items():
        if key not in it.attackers:
            continue
        e = it.attackers[key]
        gets = (
            ", ".join(w for w, yes in (("reads", e.reads), ("changes", e.changes), ("pretends", e.pretends)) if yes)
            or "nothing"
        )
        out.append(f"  {title}: {gets}; {e.why}")
    return out


def allowed(it: RouteTrust) -> list[str]:
    """Who passes, by name and by address. An address proves nothing, and is not said to."""
    out = []
    if it.allowed is not None:
        out.append(f"Only clients that prove one of these names pass: {', '.join(it.allowed) or 'none'}.")
    if it.networks is not None:
        where = f"from addresses in {few([*it.networks])}"
        out.append(
            f"They pass only {where}." if it.allowed is not None else f"Clients pass only {where}, whoever is there."
        )
    return out


def collected(it: RouteTrust) -> list[str]:
    """Who is asked about its requests, and who is told of them: of what, and by whose word in plaintext; and who says whose tokens
    pass."""
    out = []
    for to in (it.asks, it.collector, *it.stores):
        if to is not None:
            signed = to.accepted
            word = f" {signed[0]} accepted that this goes there in plaintext, until {signed[1]}." if signed else ""
            out.append(to.sentence + word)
    if it.inspected is not None:
        out.append(it.inspected.sentence)
    return [*out, *(key.sentence for key in it.keyed)]


def kept(it: RouteTrust) -> list[str]:
    """Where keys of ours are and come from, and who can open tickets."""
    return [*(key.sentence for key in it.keys), *([it.tickets.sentence] if it.tickets else [])]


def opened(it: RouteTrust, now: dt.datetime) -> list[str]:
    """Where requests come to it in the clear, and whose word that is."""
    out = []
    for way in it.open_at:
        said = f"Requests come to it in the clear by listener {way.listener!r} at {listed(way.bind)}: nobody proves anything there"
        out.append(f"{said}. {bearable(way.signed, way.closes_at_s, now)}")
    if it.open_at and it.encrypted_too:
        out.append("By its other listeners they come with TLS; what is said here is said of the weakest way.")
    return out


def bearable(signed: Signed | None, closes_at_s: int | None, now: dt.datetime) -> str:
    """Why a listener may serve what comes in the clear."""
    if signed is None or closes_at_s is None:
        return "It is bound to this host, and only what runs there reaches it."
    left = dt.datetime.fromtimestamp(closes_at_s, dt.UTC) - now
    end = f"ends {ahead(left)}" if left > dt.timedelta() else "has ended: each request there is refused"
    reason = f"{signed.why} ({signed.context}; since {signed.since}, until {signed.until})"
    return f"{signed.owner} accepted that, and it {end}. The reason, as written: {reason}."


def ways_in(it: RouteTrust) -> list[str]:
    """By which sites it is reached, where they differ in what they demand; the weakest is what holds."""
    if it.way == "passthrough":
        return [] if it.listeners != () else ["No connection reaches it: no listener lets it."]
    if not it.sites:
        return [
            ("No connection" if it.stream else "No request")
            + " reaches it: its names belong to no site, or another route takes all of them."
        ]
    if len({s.clients for s in it.sites}) == 1:
        return []
    closed = "" if it.allowed is None else ", and so none passes"
    return [
        f"Reached as {s.request} through site {s.site!r}: client certificates are {s.clients}"
        + (closed if s.clients == "not asked" else "")
        + "."
        for s in it.sites
    ]


def about_capability(name: str) -> list[str]:
    row = CAPABILITIES[name]
    out = [f"{name}: {row.title}", ""]
    able = [p for p in PATTERNS if p in row.patterns]
    out.append(f"Given by: {listed(able)}." if len(able) < len(PATTERNS) else "Given by every pattern.")
    if row.reason:
        out.append(f"Not by the others: {row.reason}.")
    if row.instead:
        out.append(f"There instead: {row.instead}.")
    if not row.built:
        out.append("Everyhop does not have it yet; the pattern would allow it.")
    else:
        out.append(f"What must be configured: {row.needs}")
    if row.settings:
        out.append(f"Settings: {', '.join(row.settings)}.")
    return out
