"""A route as a drawing: boxes for the parties, a thick green line where TLS is, a dashed red one with a mark and the word
where anyone can look. Every backend is in it, each with its own way."""

from __future__ import annotations

from html import escape

from everyhop.screen import printable
from everyhop.trust import RouteTrust

WIDTH, MARGIN, TOP, GAP, ROW = 760, 4, 8, 14, 15
CLIENT, EDGE, BACKEND = (MARGIN, 112), (246, 150), (540, WIDTH - 540 - MARGIN)
"""Where each column of boxes begins, and how wide it is."""
LETTERS = {CLIENT: 14, EDGE: 19, BACKEND: 27}
"""How many stand in a line of a box."""
LABELS = {
    "passthrough": "the same TLS session",
    "mutual": "TLS, both prove",
    "reencrypt": "TLS, it proves",
    "plaintext": "! plaintext",
}


def text(raw: str) -> str:
    """Text of the configuration, harmless in a page."""
    return escape(printable(raw), quote=True)


def split(raw: str, most: int) -> list[str]:
    """In pieces that fit, with nothing left out."""
    shown = printable(raw)
    return [shown[at : at + most] for at in range(0, len(shown), most)] or [""]


def box(column: tuple[int, int], top: int, height: int, rows: list[str], below: str, reads: bool) -> str:
    x, width = column
    middle, first = x + width // 2, top + (height - ROW * (len(rows) + 1)) // 2 + 12
    written = "".join(
        f'<text x="{middle}" y="{first + n * ROW}" text-anchor="middle">{escape(row)}</text>'
        for n, row in enumerate(rows)
    )
    fill = "#fff4e5" if reads else "#eef2f5"
    return (
        f'<rect x="{x}" y="{top}" width="{width}" height="{height}" rx="6" fill="{fill}" stroke="#445"/>{written}'
        f'<text x="{middle}" y="{first + len(rows) * ROW}" text-anchor="middle" class="small">{escape(below)}</text>'
    )


def leg(x1: int, x2: int, y: int, label: str, encrypted: bool) -> str:
    style = (
        'stroke="#16803c" stroke-width="5"' if encrypted else 'stroke="#b3261e" stroke-width="3" stroke-dasharray="6 5"'
    )
    shade = "" if encrypted else ' fill="#b3261e" font-weight="bold"'
    return (
        f'<line x1="{x1}" y1="{y}" x2="{x2}" y2="{y}" {style}/>'
        f'<text x="{(x1 + x2) // 2}" y="{y - 8}" text-anchor="middle" font-size="11"{shade}>{escape(label)}</text>'
    )


def drawing(it: RouteTrust) -> str:
    """An SVG element; all text of the configuration is escaped."""
    passed = it.way == "passthrough"
    parts: list[str] = []
    top = TOP
    for at, pattern, below in [(*b, "reads") for b in it.backends] + [(*m, "mirror, reads copies") for m in it.mirrors]:
        rows = split(at, LETTERS[BACKEND])
        height = ROW * (len(rows) + 1) + 14
        y = top + height // 2
        parts.append(leg(sum(EDGE), BACKEND[0], y, LABELS[pattern], pattern != "plaintext"))
        parts.append(box(BACKEND, top, height, rows, below, True))
        top += height + GAP
    if not it.backends:
        top += ROW * 2 + 14 + GAP
    beside = [(hop, "authorizer, asked") for hop in (it.asks.hops if it.asks else ())]
    beside += [(hop, "collector, told of paths") for hop in (it.collector.hops if it.collector else ())]
    beside += [(hop, f"store, {store.does}") for store in it.stores for hop in store.hops]
    for (at, pattern), below in beside:
        rows = split(at, LETTERS[BACKEND])
        height = ROW * (len(rows) + 1) + 14
        parts.append(leg(sum(EDGE), BACKEND[0], top + height // 2, LABELS[pattern], pattern != "plaintext"))
        parts.append(box(BACKEND, top, height, rows, below, True))
        top += height + GAP
    if it.inspected is not None:
        rows = split(f"waf {it.inspected.name}", LETTERS[BACKEND])
        height = ROW * (len(rows) + 1) + 14
        parts.append(leg(sum(EDGE), BACKEND[0], top + height // 2, "this host", True))
        below = "inspects, reads" if it.inspected.blocks else "inspects copies, reads"
        parts.append(box(BACKEND, top, height, rows, below, True))
        top += height + GAP
    for key in it.keyed:
        rows = split(key.at, LETTERS[BACKEND])
        height = ROW * (len(rows) + 1) + 14
        parts.append(leg(sum(EDGE), BACKEND[0], top + height // 2, LABELS[key.pattern], key.pattern != "plaintext"))
        parts.append(box(BACKEND, top, height, rows, "keys: says whose tokens pass", False))
        top += height + GAP
    whole = top - GAP - TOP
    first = LABELS["plaintext"] if it.open_at else "TLS"
    parts.append(leg(sum(CLIENT), EDGE[0], TOP + whole // 2, first, not it.open_at))
    parts.append(box(CLIENT, TOP, whole, ["client"], "reads", True))
    parts.append(
        box(
            EDGE,
            TOP,
            whole,
            ["edge"],
            "cannot read"
            if passed
            else "reads, and answers"
            if not it.backends
            else "unread TCP, holds key"
            if it.stream
            else "reads, holds a key",
            not passed,
        )
    )
    title = f"{it.name}: {', '.join(it.hosts)}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top - GAP + TOP}" width="{WIDTH}" role="img" font-family="system-ui, sans-serif" font-size="13">'
        f"<title>{text(title)}</title><style>.small{{font-size:11px;fill:#445}}</style>{''.join(parts)}</svg>"
    )
