"""What each attacker gets of a route, argued row by row, because that is what a review asks for. It decides nothing.
Read next: `map.py`."""

from __future__ import annotations

from dataclasses import dataclass, replace

ATTACKERS = {
    "front": "whoever is on the way from client to edge",
    "beside": "a host beside the backend",
    "tap": "a tap or mirror port between edge and backend",
    "direct": "somebody who can reach the backend directly",
    "edge": "whoever takes the edge",
    "backend": "whoever takes one backend",
    "mirror": "whoever takes the mirror",
}


"""`front` is asked of routes alone to which requests come in the clear, `mirror` of those that copy theirs."""


@dataclass(frozen=True)
class Exposure:
    """What one attacker gets of a route, and why."""

    reads: bool
    changes: bool
    pretends: bool
    """To be the edge, or a client, towards the backend."""
    why: str


def passing(told: bool, keys: list[str]) -> dict[str, Exposure]:
    """Where TLS passes through. `told`: the backend is sent the client's address; `keys`: names for which the edge has a
    key that is good for the route as well."""
    noise = "one TLS session from client to backend; the network carries noise"
    client = "it is a client like any other; the backend decides by the client's own proof"
    beside, direct = Exposure(False, False, False, noise), Exposure(False, False, False, client)
    tap = beside
    if told:
        tap = Exposure(
            False, False, False, f"{noise}, but for the PROXY header in front of it: it says who the client is"
        )
        beside = Exposure(
            False, False, True, f"{noise}, but for the PROXY header in front of it: it can forge the address"
        )
        direct = Exposure(False, False, True, f"{client}, but believes the address in a PROXY header of anyone")
    edge = Exposure(False, False, False, "the edge holds no key for it; it can only stop or delay what it carries")
    if keys:
        why = f"the edge has a key for {', '.join(keys)}, and with it can end the TLS of new connections"
        edge = Exposure(True, True, False, why)
    return {
        "beside": beside,
        "tap": tap,
        "direct": direct,
        "edge": edge,
        "backend": Exposure(True, True, False, "the backend is where TLS ends: that service is theirs"),
    }


def before(networked: bool) -> Exposure:
    """Where requests come in the clear. `networked`: from elsewhere than this host."""
    if networked:
        why = "requests come in the clear: it reads and changes them and their answers, and asks as whoever it likes"
        return Exposure(True, True, True, why)
    return Exposure(
        False, False, False, "requests come in the clear from this host alone: only what runs there is on the way"
    )


def alone() -> dict[str, Exposure]:
    """Where TLS ends at the edge, which answers itself."""
    nothing = Exposure(False, False, False, "nothing goes on from the edge: it answers itself")
    edge = Exposure(True, True, False, "TLS ends there: it reads every request, and answers as it likes")
    asked = (attacker for attacker in ATTACKERS if attacker not in ("front", "mirror"))
    return {attacker: edge if attacker == "edge" else nothing for attacker in asked}


@dataclass(frozen=True)
class Passing:
    """What goes over the hop behind the edge, in words."""

    all: str
    """What whoever holds the edge reads."""
    forge: str
    """What whoever reaches the backend can pretend beside calling it; empty for nothing."""
    believes: str
    """What such a backend believes of anyone; empty for nothing."""
    shown: str
    """What a tap reads where nothing is encrypted."""


REQUESTS = Passing("every request", "forge headers", "its headers", "requests, cookies and answers pass in the clear")
STREAM = Passing("every byte", "", "", "all that client and backend say passes in the clear")
TOLD_STREAM = Passing("every byte", "forge the PROXY header", "the PROXY header", STREAM.shown)


GOES_ON = ", and has the keys to go on"
KEYS_APART = "; its keys are apart: who takes the engine alone has handshakes signed for as long as that is so, and takes no key away"
BUT_TICKETS = ", but for the secret of session tickets, which the engine has"
COPIES = Exposure(True, False, False, "copies of requests go there, with what they hold; its answers reach nobody")


def attackers(way: str, networked: bool, *, demand_asks: bool, passing: Passing, copies: bool) -> dict[str, Exposure]:
    """As `behind`; `copies`: copies of requests go to a mirror."""
    found = behind(way, networked, demand_asks=demand_asks, passing=passing)
    return {**found, "mirror": COPIES} if copies else found


def apart(found: dict[str, Exposure], *, tickets: bool) -> dict[str, Exposure]:
    """Of a route whose keys are none of them in the engine. `tickets`: a secret of its tickets is, which edges share."""
    edge = found["edge"]
    said = KEYS_APART + (BUT_TICKETS if tickets else "")
    return {**found, "edge": replace(edge, why=edge.why.replace(GOES_ON, said))}


def behind(way: str, networked: bool, *, demand_asks: bool, passing: Passing) -> dict[str, Exposure]:
    """Where TLS ends at the edge, by attacker; `way` is that of the route's weakest backend, `networked` says that its
    plaintext crosses a network, `demand_asks` that a backend which asks for no certificate is sent nothing."""
    forging = f" and {passing.forge}" if passing.forge else ""
    also = f", and {passing.forge}" if passing.forge else ""
    believing = f", and believes {passing.believes}" if passing.believes else ""
    edge = Exposure(True, True, True, f"TLS ends there: it reads and changes {passing.all}{GOES_ON}")
    taken = Exposure(True, True, False, "that backend's traffic is theirs, and no other's")
    if way == "mutual":
        so = "and a backend that does not ask for it is sent nothing" if demand_asks else "if the backend asks for it"
        sealed = Exposure(
            False, False, False, f"TLS both ways verified; without the edge's key nobody gets an answer, {so}"
        )
        return {"beside": sealed, "tap": sealed, "direct": sealed, "edge": edge, "backend": taken}
    if way == "reencrypt":
        return {
            "beside": Exposure(False, False, True, f"it cannot read what passes, but it can call the backend{forging}"),
            "tap": Exposure(False, False, False, "the hop is TLS, and the backend proves who it is"),
            "direct": Exposure(False, False, True, f"the backend answers whoever reaches it{believing}"),
            "edge": edge,
            "backend": taken,
        }
    if networked:
        return {
            "beside": Exposure(True, True, True, f"on that network it can redirect, read and change what passes{also}"),
            "tap": Exposure(True, False, False, passing.shown),
            "direct": Exposure(False, False, True, f"the backend answers whoever reaches it{believing}"),
            "edge": edge,
            "backend": taken,
        }
    return {
        "beside": Exposure(False, False, False, "the hop never leaves this host"),
        "tap": Exposure(False, False, False, "the hop never leaves this host"),
        "direct": Exposure(False, False, True, f"any process on this host can call the backend{forging}"),
        "edge": edge,
        "backend": Exposure(True, True, True, "it is on the edge's host: what it can reach there is theirs as well"),
    }
