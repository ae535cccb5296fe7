"""Listeners: where connections are taken, whose word is believed there, and what hellos without a known name get.
Matched by address: a listener's name is only a name."""

from __future__ import annotations

from collections.abc import Iterable

from everyhop.diff.acceptance import day
from everyhop.diff.address import REACHES, meet, reach
from everyhop.diff.kinds import KINDS, Change, either
from everyhop.diff.networks import left
from everyhop.model.listener import FIELDS, fields
from everyhop.plan import Acceptance, AnswerRoute, AnswerSite, Listener, Plan, Refuse, SpeaksTls, Unnamed

KINDS.update(
    {
        "boundary-moved": ("weaker", "TLS ended at the backend and ends at the edge"),
        "boundary-returned": ("stronger", "TLS ended at the edge and ends at the backend"),
        "trusted-widened": ("weaker", "the word of more networks is believed"),
        "trusted-narrowed": ("stronger", "the word of fewer networks is believed"),
        "believed-more": ("weaker", "more of what trusted proxies say is believed"),
        "believed-less": ("stronger", "less of what trusted proxies say is believed"),
        "unnamed-answered": ("weaker", "hellos without a known name were refused and get an answer"),
        "unnamed-moved": ("neutral", "hellos without a known name get another answer"),
        "unnamed-refused": ("stronger", "hellos without a known name are refused"),
        "address-exposed": ("weaker", "connections are taken from farther away"),
        "address-added": ("neutral", "connections are taken at another address"),
        "address-removed": ("neutral", "connections are taken at an address no more"),
        "plain-added": ("neutral", "plain HTTP is taken at an address, and nothing is forwarded from there"),
        "plain-removed": ("neutral", "plain HTTP is taken at an address no more"),
        "plain-served": ("weaker", "requests that come in the clear are served"),
        "plain-closed": ("stronger", "requests that come in the clear are served no more"),
        "plain-widened": ("weaker", "requests in the clear that came from this host alone come from a network"),
        "plain-narrowed": ("stronger", "requests in the clear come from this host alone"),
    }
)


def listener_changes(old: Plan, new: Plan) -> list[Change]:
    before = {at: x for x in old.listeners for at in x.bind}
    after = {at: x for x in new.listeners for at in x.bind}
    # What is taken in the clear at an address is another thing than what is taken there with TLS.
    was, now = ({at for at, x in its.items() if not x.is_plain} for its in (before, after))
    out = [come(at, was) for at in sorted(now - was)]
    out += [
        Change("address-removed", at, f"connections are taken at {at} no more", "its clients are refused")
        for at in sorted(was - now)
    ]
    clear_was, clear_now = ({at: x for at, x in its.items() if x.serves_plain} for its in (before, after))
    out += served(clear_was, clear_now)
    was, now = ({*before} - was - {*clear_was}, {*after} - now - {*clear_now})
    out += [plain(at) for at in sorted(now - was)]
    out += [
        Change("plain-removed", at, f"plain HTTP is taken at {at} no more", "nobody there sends clients to https")
        for at in sorted(was - now)
    ]
    # A listener that moved to another address altogether is compared all the same, or the move would hide the rest.
    nobody = Listener(
        name="",
        bind=[],
        speaks=SpeaksTls(kind="tls"),
        no_sni=Refuse(answer="refuse"),
        unknown_sni=Refuse(answer="refuse"),
        accept_proxy=[],
        trusted_proxies=[],
        trusted_clients=[],
        believe=[],
        connections=0,
        starttls=None,
    )
    for at, b in sorted(after.items()):
        named = [x for x in old.listeners if x.name == b.name]
        # Whoever took the same connections comes first: what it is called does not matter.
        same = [before[at]] if at in before else [x for x in old.listeners if any(meet(at, one) for one in x.bind)]
        for a in same or named or [nobody]:
            out += trusted(at, "the PROXY header", a.accept_proxy, b.accept_proxy)
            out += proxies(at, a, b)
            for field in ("no_sni", "unknown_sni"):
                out += unnamed(at, field, (old, getattr(a, field)), (new, getattr(b, field)))
    return out


def come(at: str, before: Iterable[str]) -> Change:
    """A new address is a weakening where none of the old ones could be reached from as far."""
    what, so = f"connections are taken at {at}", f"{REACHES[reach(at)]} reaches it, and is served"
    farther = reach(at) > max(map(reach, before), default=3)
    return Change("address-exposed" if farther else "address-added", at, what, so)


def plain(at: str) -> Change:
    what = f"plain HTTP is taken at {at}: requests for names that are served are sent to https, nothing is forwarded"
    so = f"{REACHES[reach(at)]} reaches it; what a client sends there before it is told is in the clear"
    return Change("plain-added", at, what, so)


def served(was: dict[str, Listener], now: dict[str, Listener]) -> list[Change]:
    """Addresses where what comes in the clear is served, by whose word, and until when."""
    out = []
    for at in sorted({*now} - {*was}):
        a = now[at].acceptance
        whose = f"; {a.owner} accepts it until {a.until}" if a else ""
        so = f"{REACHES[reach(at)]} reaches it, and whoever is on the way reads and changes every request and answer"
        out.append(Change("plain-served", at, f"requests that come in the clear to {at} are served{whose}", so))
    for at in sorted({*was} - {*now}):
        what = f"requests that come in the clear to {at} are served no more"
        out.append(Change("plain-closed", at, what, "one hop less that anybody on the way can read"))
    for at in sorted({*was} & {*now}):
        out += signed(at, was[at].acceptance, now[at].acceptance)
    return out


def signed(at: str, a: Acceptance | None, b: Acceptance | None) -> list[Change]:
    if a is None or b is None:
        if a is b:
            return []
        whose = f"{b.owner} accepts it until {b.until}" if b else "no acceptance is needed any more"
        what = f"its listener takes requests in the clear from {'elsewhere, too' if b else 'this host alone'}: {whose}"
        so = ("whoever is on the way reads and changes every request", "nobody has to answer for it")
        return [either(b is not None, ("plain-widened", "plain-narrowed"), at, what, so)]
    out = []
    if a.closes_at_s != b.closes_at_s:
        what = f"requests in the clear were accepted until {day(a)}, now until {day(b)}"
        so = (f"{b.owner} answers for the time in between", "the listener closes sooner")
        longer = b.closes_at_s > a.closes_at_s
        out.append(either(longer, ("acceptance-lengthened", "acceptance-shortened"), at, what, so))
    if a.owner != b.owner:
        what = f"{b.owner} answers for the requests in the clear, {a.owner} did"
        out.append(Change("acceptance-owner-changed", at, what, "ask them whether they know"))
    return out


def trusted(at: str, word: str, was: list[str], now: list[str]) -> list[Change]:
    out = [
        Change("trusted-widened", at, f"{word} of {n} is believed", "whoever is there can name any client")
        for n in left(now, was)
    ]
    out += [
        Change("trusted-narrowed", at, f"{word} of {n} is not believed any more", "fewer words without proof")
        for n in left(was, now)
    ]
    return out


def proxies(at: str, a: Listener, b: Listener) -> list[Change]:
    """Whom a listener believes, and in what: a field that more is believed in is told once, of all whose word it is."""
    out = vouched(at, fields(b.believe or a.believe), a, b)
    if not a.vouched or not b.vouched:
        return out
    more, less = sorted({*b.believe} - {*a.believe}), sorted({*a.believe} - {*b.believe})
    out += [
        Change("believed-more", at, f"{FIELDS[word]} of {', '.join(b.vouched)} is believed", SO[word]) for word in more
    ]
    out += [
        Change("believed-less", at, f"{FIELDS[word]} of {', '.join(a.vouched)} is not believed any more", SURE)
        for word in less
    ]
    return out


def vouched(at: str, word: str, a: Listener, b: Listener) -> list[Change]:
    """Whose word counts, by where they are and by what they prove; where only one of the two is asked, the other may be any."""
    if not a.trusted_clients and not b.trusted_clients:
        return trusted(at, word, a.trusted_proxies, b.trusted_proxies)
    so = ("whoever is believed can name any client", "fewer words without proof")
    if not a.vouched or not b.vouched:
        more = bool(b.vouched)
        said = "is believed" if more else "is not believed any more"
        return [
            Change("trusted-widened" if more else "trusted-narrowed", at, f"{word} of {who} {said}", so[not more])
            for who in (b if more else a).vouched
        ]
    out = []
    for was, now, any_of in (
        (a.trusted_clients, b.trusted_clients, "whoever proves nothing"),
        (a.trusted_proxies, b.trusted_proxies, "who is elsewhere"),
    ):
        if bool(was) != bool(now):
            said = f"{word} of {any_of} is believed" + (" no more" if now else ", too")
            out.append(either(not now, ("trusted-widened", "trusted-narrowed"), at, said, so))
        elif now is b.trusted_clients:
            out += [
                either(who in now, ("trusted-widened", "trusted-narrowed"), at, f"{word} of {who} is believed{no}", so)
                for who in sorted({*was} ^ {*now})
                for no in ("" if who in now else " no more",)
            ]
        else:
            out += trusted(at, word, was, now)
    return out


SURE = "the edge says what it knows itself, and lets nobody else say it"
SO = {
    "address": "whoever is there can name any client",
    "client-cert": "whoever is there can name any client's certificate, which backends may let somebody in by",
    "forwarded": "whoever is there can name any client, scheme and host",
    "host": "whoever is there can name any host, which backends may build links from",
    "port": "whoever is there can name any port, which backends may build links from",
    "prefix": "whoever is there can name any path that an application is at, which backends may build links from",
    "proto": "whoever is there can tell backends that a client came in plaintext by TLS",
    "request-id": "whoever is there can give a request an id that others have",
}
"""What follows where a trusted proxy is believed in it."""


def unnamed(at: str, field: str, was: tuple[Plan, Unnamed], now: tuple[Plan, Unnamed]) -> list[Change]:
    (a, a_hosts), (b, b_hosts) = answer(*was), answer(*now)
    # One that has a name in common with the other is the same, whatever it is called.
    if (a, a_hosts) == (b, b_hosts) or (a == b and a_hosts & b_hosts):
        return []
    kind, so = MOVES.get((a, b), ("unnamed-moved", "other backends or sites are reached by clients that name nobody"))
    return [Change(kind, at, f"{field} was {said(was[1])}, now {said(now[1])}", so)]


IN, OUT = "clients that name nobody get in", "clients that name nobody are refused"
MOVES = {
    ("refuse", "site"): ("unnamed-answered", IN),
    ("refuse", "route"): ("unnamed-answered", IN),
    ("site", "refuse"): ("unnamed-refused", OUT),
    ("route", "refuse"): ("unnamed-refused", OUT),
    ("route", "site"): ("boundary-moved", "the edge ends TLS that it passed through, and reads every request"),
    ("site", "route"): ("boundary-returned", "the edge passes TLS through that it ended, and cannot read it"),
}
"""By what was answered and what is now: the kind of change, and what follows."""


def answer(plan: Plan, given: Unnamed) -> tuple[str, frozenset[str]]:
    """What stands behind an answer's name, so that renaming it is silence."""
    if isinstance(given, AnswerSite):
        return given.answer, frozenset(h for s in plan.sites if s.name == given.site for h in s.hosts)
    if isinstance(given, AnswerRoute):
        return given.answer, frozenset(h for r in plan.routes if r.name == given.route for h in r.hosts)
    return given.answer, frozenset()


def said(given: Unnamed) -> str:
    if isinstance(given, AnswerSite):
        return f"site {given.site!r}"
    return f"passthrough route {given.route!r}" if isinstance(given, AnswerRoute) else "refuse"
