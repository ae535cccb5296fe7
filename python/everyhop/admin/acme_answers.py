"""What is answered of certificates by ACME: all there is to know of them, what somebody asks for by hand, and what came of it.

Read next: `../acme/by_hand.py`, which does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from everyhop.acme import Keeper
    from everyhop.admin.supervisor import Supervisor


class ByHand(BaseModel):
    """The question of `everyhop acme`."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    protocol: Literal[1]
    ask: Literal["acme"]
    do: Literal["list", "seen", "renew", "revoke", "rollover"]
    site: Annotated[str, Field(max_length=4096)] | None = None
    serial: Annotated[str, Field(pattern="^[0-9a-f]{1,40}$")] | None = None
    reason: Literal["unspecified", "key-compromise", "affiliation-changed", "superseded", "cessation-of-operation"] = (
        "unspecified"
    )
    only: bool = False
    number: int = 0
    """Of what was asked for, as `seen` asks."""


def by_hand(it: Supervisor, question: dict[str, object]) -> dict[str, object]:
    """Waits for nothing: what is asked for gets a number, by which it is asked what came of it."""
    asked = ByHand.model_validate(question)
    keeper = it.issuing.by_hand()
    if asked.do == "list":
        return listed(keeper, it.issuing.shown)
    if keeper is None:
        return {"why": 'no certificate by ACME is here: a site with certs = "acme" has one'}
    if asked.do == "seen":
        return keeper.by_hand.seen(asked.number) or {"is": "forgotten", "why": "the supervisor began anew meanwhile"}
    if it.loop.stopping:
        return {"why": "it is stopping; nothing is taken any more"}
    from everyhop.acme.by_hand import Asked

    number = keeper.by_hand.ask(Asked(asked.do, asked.site, asked.serial, asked.reason, asked.only))
    it.issuing.due.set()
    return {"number": number}


def listed(keeper: Keeper | None, shown: frozenset[str]) -> dict[str, object]:
    if keeper is None:
        return {"sites": [], "revocations": []}
    return {
        "sites": [
            {
                "site": site.site,
                "names": list(site.names),
                "problem": None if site.problem is None else str(site.problem),
                "next_try": site.next_try.isoformat(),
                "certificates": [
                    {
                        "key": one.kind,
                        "serial": one.serial,
                        "names": list(one.names),
                        "authority": one.authority,
                        "until": None if one.until is None else one.until.isoformat(),
                        "renewed_at": one.renewed_at.isoformat(),
                        "why": one.why,
                        "pending": one.pending,
                        "served": one.mark in shown,
                    }
                    for one in site.certificates
                ],
            }
            for site in keeper.status()
        ],
        "revocations": [one.told() for one in keeper.revocations.all.values()],
    }
