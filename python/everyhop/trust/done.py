"""What the edge does to what it reads, in full sentences: fields that it changes, and how many requests it lets go on at
once. An edge that ends TLS can do it; who audits one must see where it does. Read next: `map.py`."""

from __future__ import annotations

from everyhop.plan import AsItCame, AtEdge, Cors, Edits, Most, Way


def done(way: Way) -> tuple[str, ...]:
    """One sentence each, in the order in which it happens."""
    if not isinstance(way, AtEdge):
        return ()
    return (
        *bounded(way.most),
        *moved(way),
        *edited("a request", way.request),
        *edited("an answer", way.response),
        *shared(way.cors),
    )


def bounded(most: Most | None) -> list[str]:
    if most is None:
        return []
    waits = f", {most.waiting} more wait up to {most.wait_s} s" if most.waiting else ""
    return [f"At most {most.requests} request(s) are under way at once{waits}; others are refused with 503."]


def moved(way: AtEdge) -> list[str]:
    if isinstance(way.target, AsItCame):
        return []
    return [f"A path goes to the backend {way.target}; what is judged and logged is the path that was asked for."]


def shared(cors: Cors | None) -> list[str]:
    if cors is None:
        return []
    who = "Any page of the web" if "*" in cors.origins else f"Pages of {', '.join(cors.origins)}"
    acts = ", and may act as the user of the browser" if cors.credentials else ""
    return [
        f"{who} may read answers in browsers{acts}; the edge says so, and answers preflights before it looks at who may pass."
    ]


def edited(whose: str, edits: Edits) -> list[str]:
    words = [
        (edits.remove, "removes {}"),
        ([str(it) for it in edits.set], "sets {}"),
        ([str(it) for it in edits.add], "adds {}"),
    ]
    parts = [form.format(", ".join(f'"{it}"' for it in names)) for names, form in words if names]
    return [f"Of {whose} the edge {'; it '.join(parts)}."] if parts else []
