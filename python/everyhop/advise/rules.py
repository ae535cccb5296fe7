"""The rules of the field, as a pure function: what is required of a service decides where its TLS should end.

- HTTP routing, security or observability at the edge: TLS ends there.
- Strict confidentiality from end to end, or the backend must see the client's own certificate: passthrough.
- A backend that can hold a certificate and ask for ours: mutual. One that only has a certificate: reencrypt.
- One without TLS: the same host if it can be; else plaintext, only as a dated acceptance; and data whose leak would be
  a major incident does not travel unencrypted, not even inside.

What cannot be had together is a conflict, named as one, with the ways out. Nothing is silently weakened.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from everyhop.advise.spoken import SPOKEN, Protocol
from everyhop.model.words import Data, Pattern
from everyhop.trust import CAPABILITIES, PATTERNS
from everyhop.trust.capabilities import UNREAD

Answer = Literal["yes", "no", "not-sure"]


@dataclass(frozen=True)
class Requirements:
    """What is known of a service. `not-sure` is an answer: it shows in the confidence."""

    role: Literal["transport", "control", "not-sure"] = "not-sure"
    """Is the edge a transport device or a control point for it?"""
    needs: frozenset[str] = frozenset()
    """Names of capabilities."""
    data: Data | Literal["not-sure"] = "not-sure"
    backend_tls: Answer = "not-sure"
    """The backend can speak TLS with a certificate of its own."""
    backend_asks: Answer = "not-sure"
    """The backend can demand and verify a client certificate: ours."""
    same_host: Answer = "no"
    """The backend is reached by a loopback address or a Unix socket."""
    several: Answer = "not-sure"
    """There is more than one backend."""
    protocol: Protocol = "http"
    """What is spoken inside TLS; of anything but HTTP the edge reads nothing."""

    @property
    def is_stream(self) -> bool:
        return self.protocol != "http"


@dataclass(frozen=True)
class Service:
    """A service to be put behind the edge."""

    name: str
    host: str
    to: tuple[str, ...]
    requirements: Requirements
    owner: str | None = None
    why: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class Conflict:
    """Requirements that cannot be had together, and what can be done."""

    between: tuple[str, str]
    because: str
    ways_out: tuple[str, ...]


@dataclass(frozen=True)
class Advice:
    """A pattern, or conflicts. Never both, never neither."""

    pattern: Pattern | None
    forced_by: tuple[str, ...] = ()
    gives_up: tuple[str, ...] = ()
    duties: tuple[str, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    sure: Literal["sure", "fairly sure", "a guess"] = "sure"
    assumed: tuple[str, ...] = ()
    if_changed: tuple[str, ...] = ()


def wants(it: Requirements, allowed: frozenset[str]) -> list[str]:
    """Needs that only patterns of `allowed` can give."""

    def given(need: str) -> set[str]:
        row = CAPABILITIES[need]
        return {p for p in PATTERNS if row.given_by(p, stream=it.is_stream and p != "passthrough")}

    return sorted(n for n in it.needs if given(n) <= allowed)


TERMINATING = frozenset({"mutual", "reencrypt", "plaintext"})


def advise(it: Requirements) -> Advice:
    """Exactly one outcome for any requirements, with what it would become if one of them changed."""
    advice = decide(it)
    return replace(advice, if_changed=tuple(changes(it, advice)))


def decide(it: Requirements) -> Advice:
    """The outcome; what could not be kept becomes the conflict that it is."""
    impossible = unkept(it)
    possible = frozenset(n for n in it.needs if CAPABILITIES[n].built and not is_unread(n, it))
    advice = choose(replace(it, needs=possible))
    if impossible or advice.pattern is None:
        return Advice(None, conflicts=(*impossible, *advice.conflicts))
    rows = [CAPABILITIES[n] for n in sorted(it.needs)]
    found = [
        Conflict((row.title, advice.forced_by[-1]), row.reason, (row.instead, "drop one of the two"))
        for row in rows
        if not row.given_by(advice.pattern, stream=it.is_stream and advice.pattern != "passthrough")
    ]
    if found:
        return Advice(None, conflicts=tuple(found))
    spoken = SPOKEN[it.protocol].duty if it.is_stream else ""
    duties = (*advice.duties, *dict.fromkeys(duty for duty in (*(row.duty for row in rows), spoken) if duty))
    assumed = advice.assumed
    if it.several == "not-sure" and (more := sorted(it.needs & SEVERAL)):
        assumed = (*assumed, f"there is a second backend, for: {CAPABILITIES[more[0]].title}")
    return replace(advice, duties=duties, sure=sureness(assumed), assumed=assumed)


SEVERAL = frozenset({"retries", "health-by-connection", "stickiness"})
"""What one backend alone cannot give."""


def is_unread(need: str, it: Requirements) -> bool:
    """Requests would have to be read for it, and there are none."""
    return it.is_stream and CAPABILITIES[need].reads_http


def unkept(it: Requirements) -> list[Conflict]:
    """What no pattern would keep: not built, not of what is spoken, not with one backend, not on one route."""
    found = [
        Conflict((row.title, "what Everyhop has"), "Everyhop has none yet", (row.instead, "drop the requirement"))
        for row in (CAPABILITIES[n] for n in sorted(it.needs))
        if not row.built
    ]
    found += [
        Conflict(
            (CAPABILITIES[n].title, f"a service that speaks {it.protocol}"),
            UNREAD,
            (CAPABILITIES[n].instead, "drop the requirement"),
        )
        for n in sorted(it.needs)
        if CAPABILITIES[n].built and is_unread(n, it)
    ]
    if {"jwt", "passwords"} <= it.needs and not it.is_stream:
        found.append(
            Conflict(
                (CAPABILITIES["jwt"].title, CAPABILITIES["passwords"].title),
                "a request has one Authorization, and a route asks for one kind of it",
                ("two routes: by a path, or by a field that one kind of clients has", "drop one of the two"),
            )
        )
    if it.several == "no":
        found += [
            Conflict(
                (CAPABILITIES[n].title, "one backend"),
                "nobody stands in for a backend that is alone",
                ("run a second backend", "drop the requirement"),
            )
            for n in sorted(it.needs & SEVERAL)
        ]
    return found


def choose(it: Requirements) -> Advice:
    reads, blind = wants(it, TERMINATING), wants(it, frozenset({"passthrough"}))
    # Told of each that needs the edge blind, beside the first of those that need it to read.
    conflicts = [
        Conflict(
            (CAPABILITIES[b].title, CAPABILITIES[r].title),
            f"{CAPABILITIES[b].title}: {CAPABILITIES[b].reason}; {CAPABILITIES[r].title}: {CAPABILITIES[r].reason}",
            (
                f"{CAPABILITIES[r].instead or 'do it at the backend'}, and pass TLS through",
                "accept the edge as a reader, and end TLS there (mutual)",
                "split the service: one name passed through for what must stay closed, one terminated for the rest",
            ),
        )
        for b in blind
        for r in reads[:1]
    ]
    if it.role == "transport" and reads:
        conflicts.append(
            Conflict(
                ("the edge as a transport device", CAPABILITIES[reads[0]].title),
                CAPABILITIES[reads[0]].reason,
                (CAPABILITIES[reads[0]].instead or "do it at the backend", "let the edge be a control point"),
            )
        )
    if it.role == "control" and blind:
        conflicts.append(
            Conflict(
                ("the edge as a control point", CAPABILITIES[blind[0]].title),
                CAPABILITIES[blind[0]].reason,
                (
                    CAPABILITIES[blind[0]].instead or "pass it through",
                    "let the edge be a transport device for this name",
                ),
            )
        )
    if conflicts:
        return Advice(None, conflicts=tuple(conflicts))
    if blind or it.role == "transport":
        return passthrough(it, blind)
    return terminated(it, reads)


def passthrough(it: Requirements, blind: list[str]) -> Advice:
    forced = tuple(f"{CAPABILITIES[n].title}: only passthrough gives it" for n in blind) or (
        "the edge is to be a transport device",
    )
    if it.backend_tls == "no":
        return Advice(
            None,
            conflicts=(
                Conflict(
                    (forced[0], "a backend without TLS"),
                    "in passthrough the backend is where TLS ends",
                    (
                        "give the backend a certificate",
                        "put a TLS server beside the backend, on its host",
                        "end TLS at the edge after all",
                    ),
                ),
            ),
        )
    sure, assumed = confidence([("the backend can hold a certificate", it.backend_tls)])
    return Advice(
        "passthrough",
        forced,
        gives_up=tuple(c.title for c in CAPABILITIES.values() if "passthrough" not in c.patterns and c.built),
        duties=(
            "the backend's certificate is the public one: its keys, renewal and cipher settings are the backend's",
        ),
        sure=sure,
        assumed=assumed,
    )


Sure = Literal["sure", "fairly sure", "a guess"]


def sureness(assumed: tuple[str, ...]) -> Sure:
    return "sure" if not assumed else "fairly sure" if len(assumed) == 1 else "a guess"


def confidence(answers: list[tuple[str, str]]) -> tuple[Sure, tuple[str, ...]]:
    assumed = tuple(text for text, given in answers if given == "not-sure")
    return sureness(assumed), assumed


EDGE_DUTIES = (
    "the edge holds the site's key: keep the file to its user, renew the certificate (files are watched), patch the edge",
    "the edge is in scope for audits of this data",
)


def terminated(it: Requirements, reads: list[str]) -> Advice:
    forced = [f"{CAPABILITIES[n].title}: {CAPABILITIES[n].reason}" for n in reads]
    if it.role == "control" and not reads:
        forced.append("the edge is to be a control point")
    answers = [] if reads or it.role == "control" else [("the edge may read the traffic", "not-sure")]
    given_up = ("nobody between client and backend can read", "the backend sees the client's own handshake")
    if it.backend_tls != "no" and it.backend_asks != "no":
        sure, assumed = confidence(
            [
                *answers,
                ("the backend can hold a certificate", it.backend_tls),
                ("the backend can demand ours", it.backend_asks),
            ]
        )
        return Advice(
            "mutual",
            (*forced, "the internal network is hostile: both sides of the hop prove who they are"),
            given_up,
            (*EDGE_DUTIES, "an internal CA for two certificates: the backend's and the edge's identity"),
            sure=sure,
            assumed=assumed,
        )
    knows = "backend-knows-edge" in it.needs
    if it.backend_tls != "no":
        if knows:
            return Advice(
                None,
                conflicts=(
                    Conflict(
                        (
                            "the backend knows that it is the edge who calls",
                            "a backend that cannot ask for a certificate",
                        ),
                        CAPABILITIES["backend-knows-edge"].reason,
                        (
                            "configure the backend to demand a client certificate",
                            "put something in front of the backend that can",
                        ),
                    ),
                ),
            )
        sure, assumed = confidence([*answers, ("the backend can hold a certificate", it.backend_tls)])
        return Advice(
            "reencrypt",
            (*forced, "the backend cannot ask for a certificate, but it has one"),
            (*given_up, "the backend does not know that it is the edge who calls"),
            (*EDGE_DUTIES, "keep other callers away from the backend by the network"),
            sure=sure,
            assumed=assumed,
        )
    return without_tls(it, forced, answers, given_up)


def without_tls(
    it: Requirements, forced: list[str], answers: list[tuple[str, str]], given_up: tuple[str, ...]
) -> Advice:
    guard = "put a guard beside the backend, on its host, that ends mutual TLS and talks to it on loopback: the route is mutual then"
    wanted = [n for n in ("encrypted-to-backend", "backend-knows-edge") if n in it.needs]
    if it.same_host == "yes":
        if wanted:
            row = CAPABILITIES[wanted[0]]
            conflict = Conflict(
                (row.title, "a backend without TLS"), row.reason, ("give the backend a certificate", guard)
            )
            return Advice(None, conflicts=(conflict,))
        sure, assumed = confidence(answers)
        return Advice(
            "plaintext",
            (*forced, "the backend has no TLS and is on this host: the hop never leaves it"),
            (*given_up, "processes on this host can call the backend"),
            EDGE_DUTIES,
            sure=sure,
            assumed=assumed,
        )
    if it.data == "major-incident" or wanted:
        first = CAPABILITIES[wanted[0]].title if wanted else "data whose leak would be a major incident"
        because = (
            "if the data would be a major incident if leaked, it does not travel unencrypted, not even inside"
            if not wanted
            else CAPABILITIES[wanted[0]].reason
        )
        return Advice(
            None,
            conflicts=(
                Conflict(
                    (first, "a backend without TLS on another host"),
                    because,
                    ("give the backend a certificate", guard, "move the backend to the edge's host"),
                ),
            ),
        )
    sure, assumed = confidence(
        [*answers, ("a leak would not be a major incident", "not-sure" if it.data == "not-sure" else "yes")]
    )
    return Advice(
        "plaintext",
        (*forced, "the backend has no TLS and is on another host: a risk that somebody accepts, with an end"),
        (
            *given_up,
            "anyone on the network behind can read and change it",
            "the backend can believe no X-Forwarded-For",
        ),
        (*EDGE_DUTIES, "somebody owns the acceptance and decides again before it ends"),
        sure=sure,
        assumed=assumed,
    )


def outcome(advice: Advice) -> str:
    return advice.pattern or "a conflict"


def changes(it: Requirements, advice: Advice) -> list[str]:
    """What the answer becomes if one answer were another."""
    flips = [
        ("the backend could demand our certificate", replace(it, backend_tls="yes", backend_asks="yes")),
        ("the backend could not demand our certificate", replace(it, backend_tls="yes", backend_asks="no")),
        ("the backend had no TLS", replace(it, backend_tls="no", backend_asks="no")),
        ("the backend were on this host", replace(it, same_host="yes")),
        ("nobody between client and backend may read", replace(it, needs=it.needs | {"end-to-end-confidentiality"})),
        *([] if it.is_stream else [("the edge had to route by path", replace(it, needs=it.needs | {"path-routing"}))]),
        ("a leak were a major incident", replace(it, data="major-incident")),
    ]
    found = []
    for text, changed in flips:
        other = decide(changed)
        if changed != it and outcome(other) != outcome(advice):
            found.append(f"if {text}, the answer becomes {outcome(other)}")
    return found
