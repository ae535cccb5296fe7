"""Sentences about listeners where HTTP comes in the clear."""

from __future__ import annotations

from everyhop.plan import Listener, Plan, SpeaksRedirect, SpeaksServe


def about_plain(plan: Plan) -> list[str]:
    """A paragraph for each such listener."""
    return [said for it in plan.listeners if (said := about(it))]


def about(it: Listener) -> str:
    if isinstance(it.speaks, SpeaksServe):
        return (
            f"Listener {it.name!r} at {', '.join(it.bind)} serves requests that come in the clear: the hop from its clients is open. "
            + (
                "It is bound to this host, and only what runs there reaches it."
                if (a := it.acceptance) is None
                else f"{a.owner} accepted that until {a.until}: {a.why} ({a.context}; since {a.since}). "
                "Whoever is on the way reads and changes every request and its answer."
            )
            + " The edge knows of a client no more than its address, and of a TLS that ended before only what a trusted proxy says."
        )
    if not isinstance(it.speaks, SpeaksRedirect):
        return ""
    return (
        f"Listener {it.name!r} at {', '.join(it.bind)} speaks plain HTTP and forwards nothing: {sent(it.speaks)}. "
        "What a client sends there before it is told can be read and changed by whoever is on its way."
    )


def sent(it: SpeaksRedirect) -> str:
    port = "" if it.https_port == 443 else f" at port {it.https_port}"
    return f"a request for a name of a site or a passthrough route is sent to https{port} by 308, any other is refused"
