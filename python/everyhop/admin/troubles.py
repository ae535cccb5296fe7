"""What is wrong now, as far as the supervisor sees it: a refused reload, a failed renewal, dates that are over, names that no
longer resolve, an engine that died. The engine sees the rest (`crates/control/src/trouble.rs`).

It changes nothing and says nothing. Read next: `watch.py`, which puts both together and says what broke and what healed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping

from everyhop import _door
from everyhop.compile import Compiled
from everyhop.engine.messages import Trouble
from everyhop.plan import AtBackend, MutualHop, Plan, reached

SENTENCES = {kind: sentence for kind, _, sentence in _door.troubles()}
UNREADY = {kind for kind, unready, _ in _door.troubles() if unready}
ORDER = {kind: n for n, (kind, _, _) in enumerate(_door.troubles())}
"""The worst first."""

LATELY = dt.timedelta(hours=1)
"""How long after its death an engine is spoken of."""


BY_ITSELF = ("ca:", "spiffe:")
"""Where the key is kept of an identity that comes by itself."""


def trouble(kind: str, about: str = "", why: str = "") -> Trouble:
    return Trouble(kind=kind, about=about, why=why)


def rank(kind: str) -> int:
    """Its place, the worst being 0; a kind that only another version knows comes last."""
    return ORDER.get(kind, len(ORDER))


def over(running: Compiled, now: dt.datetime, ways_in: Callable[[Plan], dict[int, list[str]]]) -> list[Trouble]:
    """Certificates that are over and what they close, and revocation lists that are stale."""
    now_s = now.timestamp()
    ends = {str(e["id"]): e["not_after_s"] for e in running.material.entries}
    past = {id_: end for id_, end in ends.items() if isinstance(end, int) and end <= now_s}
    if not past:
        return []
    plan, found = running.plan, []
    for site in plan.sites:
        mine = [it.material for it in site.certs if it.material in ends]
        gone = [id_ for id_ in mine if id_ in past]
        if not gone:
            continue
        routes = [plan.routes[r].name for r, sites in ways_in(plan).items() if site.name in sites]
        for id_ in gone:
            closed = (
                f"it closes {listed('route', routes)}" if gone == mine else "another one of the site is shown instead"
            )
            found.append(trouble("certificate-over", f"site {site.name}", f"it ended at {moment(past[id_])}; {closed}"))
    for identity in plan.identities:
        if (end := past.get(f"identity/{identity.name}")) is not None:
            routes = [r.name for r in plan.routes if presents(r.way, identity.name)]
            shown_to = [f"backends of {listed('route', routes)}"]
            collectors = [c.name for c in plan.collectors if presents(c, identity.name)]
            shown_to += [listed("collector", collectors)] if collectors else []
            authorizers = [a.name for a in plan.authorizers if presents(a, identity.name)]
            shown_to += [listed("authorizer", authorizers)] if authorizers else []
            stores = [it.name for it in plan.stores if presents(it, identity.name)]
            shown_to += [listed("store", stores)] if stores else []
            why = f"it ended at {moment(end)}; {' and '.join(shown_to)} will refuse it"
            found.append(trouble("certificate-over", f"identity {identity.name}", why))
    for id_, end in past.items():
        if id_.startswith("crl/"):
            found.append(trouble("revocation-stale", id_.removeprefix("crl/"), f"it was due at {moment(end)}"))
    return found


def uncertified(running: Compiled, problems: Mapping[str, str]) -> list[Trouble]:
    """Sites that have no certificate yet, and those whose next one does not come. `problems`: by site, why."""
    there = running.material.ids
    found = []
    for site in running.plan.sites:
        mine = [it for it in site.certs if it.key == "acme"]
        about, why = f"site {site.name}", problems.get(site.name, "")
        if mine and not any(it.material in there for it in mine):
            found.append(trouble("certificate-missing", about, why or "it is being asked for"))
        elif mine and why:
            found.append(trouble("certificate-not-issued", about, why))
    return found


def unidentified(running: Compiled, problems: Mapping[str, tuple[bool, str]]) -> list[Trouble]:
    """Identities that have not come yet, and those that are not renewed. `problems`: by identity, whether it is there, and why."""
    there = running.material.ids
    found = []
    for it in running.plan.identities:
        about, (_, why) = f"identity {it.name}", problems.get(it.name, (False, ""))
        if it.key.startswith(BY_ITSELF) and it.material not in there:
            found.append(trouble("identity-missing", about, why or "it is being asked for"))
        elif it.key.startswith(BY_ITSELF) and why:
            found.append(trouble("identity-not-renewed", about, why))
    return found


def unlisted(running: Compiled, problems: Mapping[str, str]) -> list[Trouble]:
    """Revocation lists that were not fetched yet, and those whose next one does not come. `problems`: by URL, why."""
    there = running.material.ids
    found = []
    for url, signers in running.lists.items():
        why = problems.get(url, "")
        if f"crl/{url}" not in there:
            waits = "it is being asked for" if signers else "nobody knows yet who is to sign it"
            found.append(trouble("revocation-missing", url, why or waits))
        elif why:
            found.append(trouble("revocation-not-fetched", url, why))
    return found


def presents(way: object, identity: str) -> bool:
    if isinstance(way, AtBackend):
        return False
    return any(isinstance(b.hop, MutualHop) and b.hop.present == identity for b in getattr(way, "backends", ()))


def moment(at_s: object) -> str:
    assert isinstance(at_s, int)
    return f"{dt.datetime.fromtimestamp(at_s, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


def listed(kind: str, names: Iterable[str]) -> str:
    given = sorted(names)
    return f"{kind}{'s' if len(given) > 1 else ''} {', '.join(given)}" if given else f"no {kind}"


class Uncertified:
    """As `uncertified`, which looks at every site: again only where something else runs, or other problems are told."""

    def __init__(self) -> None:
        self.about: tuple[Compiled, Mapping[str, str]] | None = None
        self.found: list[Trouble] = []

    def __call__(self, running: Compiled, problems: Mapping[str, str]) -> list[Trouble]:
        if self.about is None or self.about[0] is not running or self.about[1] is not problems:
            self.about, self.found = (running, problems), uncertified(running, problems)
        return self.found


class WaysIn:
    """By route the names of the sites by which it is reached: asked of the matcher once a plan."""

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self.found: dict[int, list[str]] = {}

    def __call__(self, plan: Plan) -> dict[int, list[str]]:
        if self.plan is not plan:
            self.found = {r: [plan.sites[s].name for s in sites] for r, sites in reached(plan).items()}
            self.plan = plan
        return self.found
