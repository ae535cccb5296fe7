"""Whether the DNS lets an authority issue for a name (CAA: RFC 8659, and RFC 8657 for how it is proved). Pure: who asks is given.

The authority asks by itself, from elsewhere, and its answer counts. Read next: `asked.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

CRITICAL = 128
KNOWN = {"issue", "issuewild", "issuemail", "issuevmc", "iodef", "contactemail", "contactphone"}
"""Tags that are registered; an authority that meets another one which is critical must not issue (RFC 8659 §4.1)."""


@dataclass(frozen=True)
class Record:
    flags: int
    tag: str
    value: str


@dataclass(frozen=True)
class Verdict:
    """`may`: nothing speaks against it; `may not`; or it depends on `why`, which only the authority knows."""

    says: Literal["may", "may not", "perhaps"]
    at: str = ""
    """The name at which the records stand that count."""
    why: str = ""


@dataclass(frozen=True)
class Issuer:
    """What `issue` and `issuewild` say: whom, and under which conditions. Of nobody where it cannot be read."""

    name: str
    conditions: dict[str, str]


Ask = Callable[[str], Sequence[Record]]
"""The records at a name, none where there are none. Raises `OSError` where that cannot be told."""


def judged(name: str, authorities: Collection[str], kinds: Collection[str], ask: Ask) -> Verdict:
    """Of one name of a site. `authorities`: the names by which the authority is known; `kinds`: the challenges that can be answered.

    Raises `OSError` where the DNS does not tell.
    """
    base = name.removeprefix("*.")
    labels = base.split(".")
    for i in range(len(labels)):
        at = ".".join(labels[i:])
        if records := ask(at):
            return of_records(records, at, authorities, kinds, is_wildcard=name != base)
    return Verdict("may")


def of_records(
    records: Sequence[Record], at: str, authorities: Collection[str], kinds: Collection[str], *, is_wildcard: bool
) -> Verdict:
    strange = [it.tag for it in records if it.flags & CRITICAL and it.tag.lower() not in KNOWN]
    if strange:
        return Verdict("may not", at, f"say {strange[0]!r}, which no authority knows and all must obey")
    by_tag = {tag: [issuer(it.value) for it in records if it.tag.lower() == tag] for tag in ("issue", "issuewild")}
    tag = "issuewild" if is_wildcard and by_tag["issuewild"] else "issue"
    if not by_tag[tag]:
        return Verdict("may")
    mine = [it for it in by_tag[tag] if it.name in authorities]
    if not mine:
        let = ", ".join(sorted({it.name for it in by_tag[tag] if it.name})) or "nobody"
        return Verdict("may not", at, f"let {let} issue ({tag})")
    ways = [(it, methods(it)) for it in mine]
    fit = [it for it, allowed in ways if allowed is None or {*allowed} & {*kinds}]
    if not fit:
        allowed = ", ".join(sorted({one for _, some in ways for one in some or ()})) or "nothing"
        return Verdict(
            "may not", at, f"let it issue for what is proved by {allowed}, and here that is {', '.join(kinds)}"
        )
    if all("accounturi" in it.conditions for it in fit):
        accounts = list(dict.fromkeys(it.conditions["accounturi"] for it in fit))
        which = "account" if len(accounts) == 1 else "accounts"
        return Verdict("perhaps", at, f"let it issue to the {which} {', '.join(accounts)} alone")
    return Verdict("may")


def methods(it: Issuer) -> list[str] | None:
    """By which a name may be proved; `None` for any."""
    told = it.conditions.get("validationmethods")
    return None if told is None else [one.strip() for one in told.split(",")]


def issuer(value: str) -> Issuer:
    """`letsencrypt.org; validationmethods=dns-01`. What is not of that form lets nobody issue (RFC 8659 §4.2)."""
    name, _, rest = value.partition(";")
    conditions: dict[str, str] = {}
    for part in rest.split(";"):
        if not part.strip():
            continue
        tag, equals, said = part.strip().partition("=")
        if not equals or not tag.isalnum():
            return Issuer("", {})
        conditions[tag.lower()] = said.strip()
    return Issuer(name.strip().lower().rstrip("."), conditions)
