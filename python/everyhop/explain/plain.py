"""Sentences about listeners where HTTP comes in the clear."""

from __future__ import annotations

from everyhop.plan import Listener, Plan, SpeaksRedirect


def about_plain(plan: Plan) -> list[str]:
    """A paragraph for each such listener."""
    return [said for it in plan.listeners if (said := about(it))]


def about(it: Listener) -> str:
    if not isinstance(it.speaks, SpeaksRedirect):
        return ""
    return (
        f"Listener {it.name!r} at {', '.join(it.bind)} speaks plain HTTP and forwards nothing: {sent(it.speaks)}. "
        "What a client sends there before it is told can be read and changed by whoever is on its way."
    )


def sent(it: SpeaksRedirect) -> str:
    port = "" if it.https_port == 443 else f" at port {it.https_port}"
    return f"a request for a name of a site or a passthrough route is sent to https{port} by 308, any other is refused"
