"""One self-contained page for a design review or an auditor: no script, no request to anywhere, nothing but escaped text.

It says of itself who made it, where and when, and keeps apart what was decided (by the file) and what was observed (by an
edge that was asked). Read next: `seen.py`, `inventory.py`, `markup.py`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from everyhop.explain.inventory import Item
from everyhop.explain.markup import bullets, code, facts, pattern, table, verdict
from everyhop.explain.seen import Running, of_route, whole
from everyhop.explain.sentences import allowed, collected, ends, kept, listed, opened, ways_in
from everyhop.explain.style import STYLE
from everyhop.explain.svg import drawing, text
from everyhop.identity import Described
from everyhop.trust import ATTACKERS, CAPABILITIES, PATTERNS, RouteTrust


@dataclass(frozen=True)
class Sheet:
    """What the page says of itself, and what it rests on beside the map."""

    name: str
    digest: str
    reservation: str
    now: dt.datetime
    host: str
    version: str
    items: list[Item] = field(default_factory=list)
    running: Running | None = None
    why_not: str = "no edge was asked"
    """Why nothing was observed, where `running` is `None`."""
    plain: list[str] = field(default_factory=list)
    """Of listeners where HTTP comes in the clear, a paragraph each."""


HOW = {"mutual": "both prove who they are", "reencrypt": "it proves who it is", "plaintext": "in the clear"}


def anchor(name: str) -> str:
    return text(name).replace(" ", "-")


def hops(it: RouteTrust) -> str:
    """The drawing again, as a list: for a narrow screen, and for who does not see drawings."""
    if it.way == "passthrough":
        rows = [f"client {pattern('passthrough')} {text(at)}, through an edge that is blind" for at, _ in it.backends]
    else:
        first = pattern("plaintext") if it.open_at else '<span class="shut">= TLS</span>'
        rows = [f"client {first} edge, which reads"]
        rows += [] if it.backends else ["and answers itself: there is nothing behind it"]
        rows += [f"edge {pattern(way)} {text(at)} ({text(HOW[way])})" for at, way in it.backends]
        rows += [f"edge {pattern(way)} {text(at)}, a mirror: copies alone ({text(HOW[way])})" for at, way in it.mirrors]
    return '<ol class="hops">' + "".join(f"<li>{row}</li>" for row in rows) + "</ol>"


def route(it: RouteTrust, sheet: Sheet) -> str:
    rows = [
        (text(title), *(verdict(yes) for yes in (e.reads, e.changes, e.pretends)), text(e.why))
        for key, title in ATTACKERS.items()
        if key in it.attackers
        for e in [it.attackers[key]]
    ]
    proven = [
        f"Between {h.between[0]} and {h.between[1]}: "
        + (f"encrypted{f', TLS {h.oldest} or newer' if h.oldest else ''}" if h.encrypted else "! in the clear")
        + f"; {'proven: ' + '; '.join(h.proofs) if h.proofs else 'nobody proves anything'}"
        for h in it.hops
    ]
    believed = [f"{b.who} believes {b.what}: {b.why}" for b in it.believed]
    matched = f"{', '.join(it.hosts)} {it.matches}".rstrip()
    return (
        f'<section class="route"><div class="top"><h2 id="{anchor(it.name)}">{text(it.name)} {pattern(it.way)}</h2>'
        f'<p>{code(matched)} <span class="dim">data: {text(it.data)}</span></p>'
        f"{drawing(it)}{hops(it)}</div><p>{text(ends(it))} It can be read by {text(listed(it.readers))}; its keys are used by {text(listed(it.key_holders))}.</p>"
        + bullets(proven)
        + "".join(
            f"<p>{text(sentence)}</p>"
            for sentence in [
                *opened(it, sheet.now),
                *allowed(it),
                *ways_in(it),
                *it.done,
                *collected(it),
                *kept(it),
            ]
        )
        + (f"<p>Believed without proof:</p>{bullets(believed)}" if believed else "")
        + f"<h3>Observed</h3>{of_route(sheet.running, it.name)}"
        + f"<h3>What an attacker gets</h3>{table(('attacker', 'reads', 'changes', 'pretends', 'because'), rows)}</section>"
    )


def left(end: dt.datetime, now: dt.datetime) -> str:
    return f"{(end - now).days} days left" if end > now else '<span class="bad">! ended, the route is closed</span>'


def acceptances(maps: list[RouteTrust], now: dt.datetime) -> str:
    out = []
    for it in maps:
        if it.closes_at_s is not None and (signed := it.signed) is not None:
            end = dt.datetime.fromtimestamp(it.closes_at_s, dt.UTC)
            out.append(
                f"<h3>{text(it.name)}</h3>"
                + facts(
                    [
                        ("plaintext to", text(", ".join(it.accepted_for))),
                        ("owner", text(signed.owner)),
                        ("reason", text(signed.why)),
                        ("context", text(signed.context)),
                        ("since", text(signed.since)),
                        ("until", text(signed.until)),
                        ("closes at", f"{end:%Y-%m-%d %H:%M} UTC: {left(end, now)}"),
                    ]
                )
            )
    for way in {way.listener: way for it in maps for way in it.open_at}.values():
        if way.closes_at_s is not None and (signed := way.signed) is not None:
            end = dt.datetime.fromtimestamp(way.closes_at_s, dt.UTC)
            rest = (
                f"{(end - now).days} days left"
                if end > now
                else '<span class="bad">! ended, the listener is closed</span>'
            )
            out.append(
                f"<h3>listener {text(way.listener)}</h3>"
                + facts(
                    [
                        ("requests in the clear at", text(", ".join(way.bind))),
                        ("owner", text(signed.owner)),
                        ("reason", text(signed.why)),
                        ("context", text(signed.context)),
                        ("since", text(signed.since)),
                        ("until", text(signed.until)),
                        ("closes at", f"{end:%Y-%m-%d %H:%M} UTC: {rest}"),
                    ]
                )
            )
    return "".join(out) or "<p>None: no plaintext crosses a network.</p>"


def certificate(it: Described, now: dt.datetime) -> str:
    over = ' <span class="bad">! over</span>' if it.ends <= now else ""
    return facts(
        [
            ("subject", text(it.subject)),
            ("names", text(", ".join(it.names) or "none")),
            ("issuer", text(it.issuer)),
            ("key", text(it.key)),
            ("signed with", text(it.signed_with)),
            ("serial", code(it.serial)),
            ("valid", text(f"{it.begins:%Y-%m-%d %H:%M} to {it.ends:%Y-%m-%d %H:%M} UTC") + over),
            ("SHA-256", code(it.sha256)),
        ]
    )


def certificates(sheet: Sheet) -> str:
    served = sheet.running.material() if sheet.running else None
    out = []
    for item in sheet.items:
        shelf = item.shelf
        note = ""
        if served is not None:
            same = shelf.sha256 is not None and served.get(item.id) == shelf.sha256
            note = "the edge serves this" if same else "! the edge that runs serves another, or none"
        out.append(f"<h3>{text(item.what)}</h3><p>{code(shelf.path)} {text(note)}</p>")
        if shelf.why_not is not None:
            out.append(f'<p class="wrong">! It cannot be shown: {text(shelf.why_not)}</p>')
        elif not shelf.certificates:
            out.append(
                f"<p>{shelf.count} roots, kept by the system and not listed; SHA-256 {code(shelf.sha256 or '')}</p>"
            )
        out += [certificate(it, sheet.now) for it in shelf.certificates]
    return "".join(out) or "<p>None is named.</p>"


def matrix() -> str:
    rows = [
        (
            text(c.title) + ("" if c.built else ' <span class="dim">(not built yet)</span>'),
            *("yes" if p in c.patterns else "no" for p in PATTERNS),
            text(c.reason),
            text(c.instead),
        )
        for c in CAPABILITIES.values()
    ]
    return table(("capability", *PATTERNS, "why not", "instead"), rows)


def page(maps: list[RouteTrust], sheet: Sheet) -> str:
    """The whole page."""
    index = [
        (
            f'<a href="#{anchor(m.name)}">{text(m.name)}</a>',
            pattern(m.way),
            text(", ".join([at for at, _ in m.backends] + [f"{at} (mirror)" for at, _ in m.mirrors]) or "none"),
            text(listed([*m.readers, *[to.reads for to in (m.asks, m.inspected, m.collector, *m.stores) if to]])),
            text(m.clients),
        )
        for m in maps
    ]
    about = facts(
        [
            ("configuration", code(sheet.name)),
            ("plan", code(sheet.digest) + text(sheet.reservation)),
            ("made", text(f"{sheet.now:%Y-%m-%d %H:%M:%S} UTC on host {sheet.host} by Everyhop {sheet.version}")),
        ]
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Where TLS ends: {text(sheet.name)}</title><style>{STYLE}</style></head><body><h1>Where TLS ends</h1>"
        f"{about}<h2>Observed</h2>{whole(sheet.running, sheet.why_not, sheet.digest)}"
        f"<h2>Routes</h2>{table(('route', 'pattern', 'backends', 'read by', 'client certificates'), index)}"
        f"<h2>Accepted plaintext</h2>{acceptances(maps, sheet.now)}"
        + "".join(route(it, sheet) for it in maps)
        + ("<h2>In the clear</h2>" + "".join(f"<p>{text(it)}</p>" for it in sheet.plain) if sheet.plain else "")
        + f"<h2>Certificates</h2><p>As their files are at the time of this page.</p>{certificates(sheet)}"
        + f"<h2>What each pattern can give</h2>{matrix()}</body></html>\n"
    )
