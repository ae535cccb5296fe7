"""Sites: the names that the edge ends TLS for, where their keys come from, and what is demanded of clients. Sites are
compared where the same requests come inside both; what they are called does not matter."""

from __future__ import annotations

from operator import attrgetter

from everyhop.diff.ciphers import cipher_changes
from everyhop.diff.kinds import KINDS, Change, either
from everyhop.model.crl import is_url
from everyhop.plan import ByRoots, BySpiffe, ClientsAsk, ClientsNothing, ClientsRequire, Name, Plan, Site
from everyhop.trust import DEMANDS

KINDS.update(
    {
        "name-covered": ("weaker", "the edge's certificates cover a name that they did not"),
        "name-uncovered": ("stronger", "the edge's certificates cover a name no more"),
        "client-demand-strengthened": ("stronger", "more is demanded of clients"),
        "client-roots-changed": ("weaker", "client certificates of another CA are believed"),
        "hsts-lowered": ("weaker", "browsers are told to insist on https for a shorter time or fewer names"),
        "hsts-raised": ("stronger", "browsers are told to insist on https for longer or for more names"),
        "revocation-weakened": ("weaker", "revoked certificates may pass"),
        "revocation-moved": (
            "neutral",
            "the same authority's revocation lists are fetched from a URL, or from another one",
        ),
        "revocation-strengthened": ("stronger", "revoked certificates are refused"),
    }
)

Listed = ClientsAsk | ClientsRequire | ByRoots | BySpiffe
DEMANDED = list(DEMANDS)
OLD, NEW = attrgetter("old"), attrgetter("new")


def name_changes(old: Plan, new: Plan, names: tuple[Name, ...]) -> list[Change]:
    """Names for which the edge begins or ceases to end TLS, at whichever listener."""
    names = tuple(it for it in names if not it.plain)
    was, now = ({it.pattern for it in names if end(it)[0] == "terminate"} for end in (OLD, NEW))
    out = []
    for pattern in dict.fromkeys(it.pattern for it in names if (it.pattern in was) != (it.pattern in now)):
        begins = pattern in now
        what = f"the edge {'now ends TLS for ' + pattern if begins else 'ends TLS for ' + pattern + ' no more'}"
        so = ("it holds a key for that name", "it needs no key for that name")
        out.append(either(begins, ("name-covered", "name-uncovered"), pattern, what, so))
    return out


def site_changes(a: Site, b: Site, request: str) -> list[Change]:
    """`request`: one that came inside `a` and comes inside `b` now."""
    moved = "" if a.name == b.name else f"{request} came inside {a.name!r} and comes inside {b.name!r}: "
    out = clients(a, b, moved) + remembered(a, b, moved)
    out += [
        Change(c.kind, c.about, moved + c.what, c.so)
        for c in cipher_changes(b.name, "towards clients", a.policy, b.policy)
    ]
    return out


FETCHED_NOW = "no list is taken that this authority did not sign; who answers there can keep back the newest until its elder is overdue"


def is_moved(was: Listed, now: Listed) -> bool:
    """Fetched now, and of whom it was before: what is fetched is held to the same signatures."""
    fetched = now.crl is not None and is_url(now.crl.removeprefix("crl/"))
    return fetched and was.crl not in (None, now.crl) and was.ca == now.ca


def remembered(a: Site, b: Site, moved: str) -> list[Change]:
    """What browsers are told to remember: lowered where any part of it is less."""
    was, now = a.hsts, b.hsts
    if was == now:
        return []
    parts = [(it.max_age_s, it.subdomains, it.preload) if it else (-1, False, False) for it in (was, now)]
    less = any(after < before for before, after in zip(*parts, strict=True))
    what = f"{moved}browsers were told {was or 'nothing'} of https, now {now or 'nothing'}"
    so = (
        "a first request may go in the clear again",
        "who was there once comes with https only; it cannot be undone sooner",
    )
    return [either(less, ("hsts-lowered", "hsts-raised"), b.name, what, so)]


def clients(a: Site, b: Site, moved: str) -> list[Change]:
    was, now = a.clients, b.clients
    if was.mode != now.mode:
        less = DEMANDED.index(now.mode) < DEMANDED.index(was.mode)
        what = f"{moved}of clients {was.mode} was demanded, now {now.mode}"
        so = ("clients without proof get in", "clients must prove who they are")
        kinds = ("client-demand-weakened", "client-demand-strengthened")
        out = [either(less, kinds, b.name, what, so)]
    else:
        out = []
    if isinstance(was, ClientsNothing) or isinstance(now, ClientsNothing):
        return out
    if was.ca != now.ca:
        what = f"{moved}client certificates were believed by {was.ca}, now by {now.ca}"
        out.append(Change("client-roots-changed", b.name, what, "other clients can prove themselves"))
    kinds = ("revocation-weakened", "revocation-strengthened")
    has_moved = is_moved(was, now)
    if has_moved:
        what = f"{moved}revoked clients were known by {was.crl}, now by {now.crl}"
        out.append(Change("revocation-moved", b.name, what, FETCHED_NOW))
    elif was.crl != now.crl:
        less = was.crl is not None
        what = f"{moved}revoked clients were known by {was.crl or 'no list'}, now by {now.crl or 'no list'}"
        so = ("a revoked client certificate may pass", "other client certificates are refused")
        out.append(either(less, kinds, b.name, what, so))
    if (has_moved or was.crl == now.crl) and now.crl is not None and was.stale_crl != now.stale_crl:
        less = now.stale_crl == "allow"
        what = f"{moved}an overdue revocation list {'still holds' if less else 'lets no client certificate pass'}"
        so = ("who was revoked since passes", "clients depend on the list being fresh")
        out.append(either(less, kinds, b.name, what, so))
    return out
