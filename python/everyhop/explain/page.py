"""One self-contained page for a design review or an auditor: no script, no request to anywhere, nothing but escaped text."""

from __future__ import annotations

import datetime as dt
from html import escape

from everyhop.explain.sentences import ends, listed
from everyhop.explain.svg import drawing
from everyhop.trust import ATTACKERS, CAPABILITIES, PATTERNS, RouteTrust

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2530}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}td,th{border:1px solid #cbd3da;padding:.3rem .5rem;text-align:left;vertical-align:top}
th{background:#eef2f5}.yes{color:#b3261e}.no{color:#16803c}section{margin:2rem 0;break-inside:avoid}code{background:#eef2f5;padding:0 .2rem}
svg{max-width:100%;height:auto}h2{margin-bottom:.2rem}.dim{color:#667}
"""


def row(*cells: str, head: bool = False) -> str:
    tag = "th" if head else "td"
    return "<tr>" + "".join(f"<{tag}>{c}</{tag}>" for c in cells) + "</tr>"


def route(it: RouteTrust) -> str:
    attackers = "".join(
        row(
            escape(title),
            *(
                f'<span class="{"yes" if yes else "no"}">{"yes" if yes else "no"}</span>'
                for yes in (e.reads, e.changes, e.pretends)
            ),
            escape(e.why),
        )
        for key, title in ATTACKERS.items()
        for e in [it.attackers[key]]
    )
    believed = "".join(f"<li>{escape(b.who)} believes {escape(b.what)}: {escape(b.why)}</li>" for b in it.believed)
    return (
        f'<section><h2 id="{escape(it.name, quote=True)}">{escape(it.name)}</h2><p><code>{escape(", ".join(it.hosts))} {escape(it.matches)}</code> <span class="dim">data: {escape(it.data)}</span></p>'
        f"{drawing(it)}<p>{escape(ends(it))} It can be read by {escape(listed(it.readers))}; keys are held by {escape(listed(it.key_holders))}.</p>"
        + (
            ""
            if it.allowed is None
            else f"<p>Only clients that prove one of these names pass: {escape(', '.join(it.allowed))}.</p>"
        )
        + (f"<p>Believed without proof:</p><ul>{believed}</ul>" if believed else "")
        + f"<table>{row('attacker', 'reads', 'changes', 'pretends', 'because', head=True)}{attackers}</table></section>"
    )


def acceptances(maps: list[RouteTrust], now: dt.datetime) -> str:
    rows = ""
    for it in maps:
        if it.closes_at_s is not None:
            end = dt.datetime.fromtimestamp(it.closes_at_s, dt.UTC)
            rows += row(
                escape(it.name),
                escape(it.accepted_by or ""),
                f"{end:%Y-%m-%d %H:%M} UTC",
                str((end - now).days) if end > now else "ended",
            )
    if not rows:
        return "<p>None: no plaintext crosses a network.</p>"
    return f"<table>{row('route', 'by', 'until', 'days left', head=True)}{rows}</table>"


def matrix() -> str:
    rows = "".join(
        row(
            escape(c.title) + ("" if c.built else ' <span class="dim">(not built yet)</span>'),
            *("yes" if p in c.patterns else "no" for p in PATTERNS),
            escape(c.reason),
            escape(c.instead),
        )
        for c in CAPABILITIES.values()
    )
    return f"<table>{row('capability', *PATTERNS, 'why not', 'instead', head=True)}{rows}</table>"


def page(maps: list[RouteTrust], *, name: str, digest: str, now: dt.datetime) -> str:
    """The whole page."""
    index = "".join(
        row(
            f'<a href="#{escape(m.name, quote=True)}">{escape(m.name)}</a>',
            escape(m.way),
            escape(listed(m.readers)),
            escape(m.clients),
        )
        for m in maps
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Where TLS ends: {escape(name)}</title><style>{STYLE}</style><h1>Where TLS ends</h1>"
        f'<p class="dim">{escape(name)}, plan <code>{escape(digest)}</code>, {now:%Y-%m-%d %H:%M} UTC</p>'
        f"<table>{row('route', 'pattern', 'read by', 'client certificates', head=True)}{index}</table>"
        f"<h2>Accepted plaintext</h2>{acceptances(maps, now)}"
        + "".join(map(route, maps))
        + f"<h2>What each pattern can give</h2>{matrix()}</html>\n"
    )
