"""Whether the DNS lets an authority issue for a name (CAA: RFC 8659, and RFC 8657 for how it is proved). Pure: who asks is given.

The authority asks by itself, from elsewhere, and its answer counts. Read next: `let.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

CRITICAL = 128
KNOWN = {"issue", "issuewild", "issuemail", "issuevmc", "iodef", "contactemail", "contactphone"}
"""Tags that are registered; an authority that meets another one which is critical must not issue (RFC 8659 §4.1)."""

ACCOUNT, METHODS = "accounturi", "validationmethods"


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
    is_of_account: bool = False
    """It may issue, and to other accounts."""


@dataclass(frozen=True)
class Standing:
    """The records that count for a name, and where they stand; none where there are none up to the top."""

    name: str
    at: str = ""
    records: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Issuer:
    """What `issue` and `issuewild` say: whom, and under which conditions. Of nobody where it cannot be read."""

    name: str
    conditions: dict[str, str]


Ask = Callable[[str], Sequence[Record]]
"""The records at a name, none where there are none. Raises `OSError` where that cannot be told."""


def standing(name: str, ask: Ask) -> Standing:
    """The records that count for one name of a site: its own, or else those of the nearest name above it that has some.

    Raises `OSError` where the DNS does not tell.
    """
    labels = name.removeprefix("*.").split(".")
    for i in range(len(labels)):
        at = ".".join(labels[i:])
        if records := ask(at):
            return Standing(name, at, tuple(records))
    return Standing(name)


def judged(it: Standing, authorities: Collection[str], kinds: Collection[str], account: str | None = None) -> Verdict:
    """`authorities`: the names by which one authority is known; `kinds`: the challenges that can be answered; `account`: where it has
    the account that would ask, if there is one.
    """
    at = it.at
    strange = [one.tag for one in it.records if one.flags & CRITICAL and one.tag.lower() not in KNOWN]
    if strange:
        return Verdict("may not", at, f"say {strange[0]!r}, which no authority knows and all must obey")
    by_tag = {
        tag: [issuer(one.value) for one in it.records if one.tag.lower() == tag] for tag in ("issue", "issuewild")
    }
    tag = "issuewild" if it.name.startswith("*.") and by_tag["issuewild"] else "issue"
    if not by_tag[tag]:
        return Verdict("may")
    mine = [one for one in by_tag[tag] if one.name in authorities]
    if not mine:
        let = ", ".join(sorted({one.name for one in by_tag[tag] if one.name})) or "nobody"
        return Verdict("may not", at, f"let {let} issue ({tag})")
    ways = [(one, methods(one)) for one in mine]
    fit = [one for one, allowed in ways if allowed is None or {*allowed} & {*kinds}]
    if not fit:
        allowed = ", ".join(sorted({one for _, some in ways for one in some or ()})) or "nothing"
        return Verdict(
            "may not", at, f"let it issue for what is proved by {allowed}, and here that is {', '.join(kinds)}"
        )
    return by_account(at, fit, account)


def by_account(at: str, fit: Sequence[Issuer], account: str | None) -> Verdict:
    """Accounts are the same where their URLs are, letter by letter (RFC 8657 §3)."""
    accounts = [one.conditions.get(ACCOUNT) for one in fit]
    if None in accounts or (account is not None and account in accounts):
        return Verdict("may")
    named = list(dict.fromkeys(str(one) for one in accounts))
    why = f"let it issue to the {'account' if len(named) == 1 else 'accounts'} {', '.join(named)} alone"
    if account is None:
        return Verdict("perhaps", at, why)
    return Verdict("may not", at, f"{why}, and the one here is {account}", is_of_account=True)


def methods(it: Issuer) -> list[str] | None:
    """By which a name may be proved; `None` for any."""
    told = it.conditions.get(METHODS)
    return None if told is None else [one.strip() for one in told.split(",")]


def issuer(value: str) -> Issuer:
    """`letsencrypt.org; validationmethods=dns-01`. What is not of that form lets nobody issue (RFC 8659 §4.2), nor does what names two
    accounts (RFC 8657 §3) or says twice by what a name is proved.
    """
    name, _, rest = value.partition(";")
    conditions: dict[str, str] = {}
    for part in rest.split(";"):
        if not part.strip():
            continue
        tag, equals, said = part.strip().partition("=")
        if not equals or not tag.isalnum():
            return Issuer("", {})
        if tag.lower() in conditions and tag.lower() in (ACCOUNT, METHODS):
            return Issuer("", {})
        conditions[tag.lower()] = said.strip()
    return Issuer(name.strip().lower().rstrip("."), conditions)
