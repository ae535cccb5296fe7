"""A route as a drawing: boxes for the parties, a thick green line where TLS is, a dashed red one where anyone can look."""

from __future__ import annotations

from html import escape

from everyhop.trust import RouteTrust

WIDTH, HEIGHT, BOX, TOP = 720, 96, 150, 30


def box(x: int, title: str, below: str, reads: bool) -> str:
    fill = "#fff4e5" if reads else "#eef2f5"
    return (
        f'<rect x="{x}" y="{TOP}" width="{BOX}" height="34" rx="6" fill="{fill}" stroke="#445"/>'
        f'<text x="{x + BOX // 2}" y="{TOP + 22}" text-anchor="middle">{escape(title[:22])}</text>'
        f'<text x="{x + BOX // 2}" y="{TOP + 54}" text-anchor="middle" class="small">{escape(below)}</text>'
    )


def leg(x1: int, x2: int, label: str, encrypted: bool) -> str:
    style = (
        'stroke="#16803c" stroke-width="5"' if encrypted else 'stroke="#b3261e" stroke-width="2" stroke-dasharray="6 5"'
    )
    y = TOP + 17
    return (
        f'<line x1="{x1}" y1="{y}" x2="{x2}" y2="{y}" {style}/>'
        f'<text x="{(x1 + x2) // 2}" y="{y - 10}" text-anchor="middle" class="small">{escape(label)}</text>'
    )


def drawing(it: RouteTrust) -> str:
    """An SVG element; all text of the configuration is escaped."""
    first = it.backends[0][0] + (f" +{len(it.backends) - 1}" if len(it.backends) > 1 else "")
    left, middle, right = 4, (WIDTH - BOX) // 2, WIDTH - BOX - 4
    passed = it.way == "passthrough"
    label = {
        "passthrough": "the same TLS session",
        "mutual": "TLS, both prove",
        "reencrypt": "TLS, it proves",
        "plaintext": "in the clear",
    }[it.way]
    parts = [
        leg(left + BOX, middle, "TLS", True),
        leg(middle + BOX, right, label, it.way != "plaintext"),
        box(left, "client", "reads", True),
        box(middle, "edge", "cannot read" if passed else "reads, holds a key", not passed),
        box(right, first, "reads", True),
    ]
    title = f"{it.name}: {', '.join(it.hosts)}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" font-family="system-ui, sans-serif" font-size="13">'
        f"<title>{escape(title)}</title><style>.small{{font-size:11px;fill:#445}}</style>{''.join(parts)}</svg>"
    )
