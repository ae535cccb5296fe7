"""What an edge that runs this configuration observed, in the page: which edge, what its hops came to, what failed.

Where none was asked, the page says so: silence is no evidence.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from everyhop.evidence.told import IDENTITY, failure, observed
from everyhop.explain.markup import bullets, code, facts, table
from everyhop.explain.svg import text


@dataclass(frozen=True)
class Running:
    """An edge's own word, as its admin socket gave it."""

    at: dt.datetime
    supervisor: dict[str, Any]
    engine: dict[str, Any]
    troubles: list[str] = field(default_factory=list)
    """What is wrong now, as `everyhop status` says it."""

    def route(self, name: str) -> dict[str, Any] | None:
        return next((r for r in self.engine["routes"] if r["name"] == name), None)

    def material(self) -> dict[str, str]:
        """What it serves: digests of chains by their id."""
        return {str(m["id"]): str(m["chain_sha256"]) for m in self.supervisor["material"]}


def whole(it: Running | None, why_not: str, digest: str) -> str:
    if it is None:
        return f'<p class="wrong">! Nothing here was observed: {text(why_not)}. All that follows is decided, by the file.</p>'
    same = it.engine["plan_digest"] == digest
    plan = (
        "this very plan"
        if same
        else f"! another plan, {it.engine['plan_digest']}: what was observed is said of that one"
    )
    told = facts(
        [
            ("observed until", text(f"{it.at:%Y-%m-%d %H:%M:%S} UTC")),
            (
                "by",
                text(
                    f"Everyhop {it.supervisor['version']}, supervisor {it.supervisor['pid']}, since {it.supervisor['started'][:19]}Z"
                ),
            ),
            ("it runs", text(plan)),
            ("material", code(str(it.engine["material_digest"]))),
            ("handshakes of clients", text(f"{it.engine['handshakes']['ok']} went well")),
        ]
    )
    wrong = it.troubles
    if not wrong:
        return told + '<p class="fine">Nothing is wrong now, as far as it knows.</p>'
    return told + f'<div class="wrong"><strong>! Wrong now:</strong>{bullets(wrong)}</div>'


def of_route(it: Running | None, name: str) -> str:
    """What was observed of one route."""
    if it is None:
        return "<p>Not observed.</p>"
    route = it.route(name)
    if route is None:
        return "<p>Not observed: the edge that runs has no such route.</p>"
    last = route["last"]
    count = f"{route['requests']} request(s), {route['connections']} connection(s)"
    when = f"at {last['time']}: {observed(last)}" if last else "nothing yet"
    rows = [
        (
            text(b["at"]),
            text(b["state"]),
            text(IDENTITY.get(b["identity"], "") or str(b["identity"]).replace("_", " ")),
            text(str(b["requests"])),
            text(", ".join(f"{slug} x{n}" for slug, n in sorted(b["failed"].items())) or "none"),
            text(failure(b["last_failure"]) if b["last_failure"] else "never"),
        )
        for b in route["backends"]
    ]
    head = ("backend", "state", "our identity there", "requests", "failed tries", "last failure")
    refused = ", ".join(f"{slug} x{n}" for slug, n in sorted(route["refused"].items())) or "none"
    return f"<p>Last, {text(when)}. So far {text(count)}; refused: {text(refused)}.</p>" + (
        table(head, rows) if rows else ""
    )
