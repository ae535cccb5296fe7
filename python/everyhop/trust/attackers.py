"""What each attacker gets of a route, argued row by row, because that is what a review asks for. It decides nothing.
Read next: `map.py`."""

from __future__ import annotations

from dataclasses import dataclass

ATTACKERS = {
    "beside": "a host beside the backend",
    "tap": "a tap or mirror port between edge and backend",
    "direct": "somebody who can reach the backend directly",
    "edge": "whoever takes the edge",
    "backend": "whoever takes one backend",
}


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
    if told:
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
        "tap": Exposure(False, False, False, noise),
        "direct": direct,
        "edge": edge,
        "backend": Exposure(True, True, False, "the backend is where TLS ends: that service is theirs"),
    }


def attackers(way: str, networked: bool, *, demand_asks: bool = False) -> dict[str, Exposure]:
    """Where TLS ends at the edge, by attacker; `way` is that of the route's weakest backend, `networked` says that its
    plaintext crosses a network, `demand_asks` that a backend which asks for no certificate is sent nothing."""
    edge = Exposure(True, True, True, "TLS ends there: it reads and changes every request, and has the keys to go on")
    taken = Exposure(True, True, False, "that backend's traffic is theirs, and no other's")
    if way == "mutual":
        so = "and a backend that does not ask for it is sent nothing" if demand_asks else "if the backend asks for it"
        sealed = Exposure(
            False, False, False, f"TLS both ways verified; without the edge's key nobody gets an answer, {so}"
        )
        return {"beside": sealed, "tap": sealed, "direct": sealed, "edge": edge, "backend": taken}
    if way == "reencrypt":
        return {
            "beside": Exposure(
                False, False, True, "it cannot read what passes, but it can call the backend and forge headers"
            ),
            "tap": Exposure(False, False, False, "the hop is TLS, and the backend proves who it is"),
            "direct": Exposure(False, False, True, "the backend answers whoever reaches it, and believes its headers"),
            "edge": edge,
            "backend": taken,
        }
    if networked:
        return {
            "beside": Exposure(
                True, True, True, "on that network it can redirect, read and change what passes, and forge headers"
            ),
            "tap": Exposure(True, False, False, "requests, cookies and answers pass in the clear"),
            "direct": Exposure(False, False, True, "the backend answers whoever reaches it, and believes its headers"),
            "edge": edge,
            "backend": taken,
        }
    return {
        "beside": Exposure(False, False, False, "the hop never leaves this host"),
        "tap": Exposure(False, False, False, "the hop never leaves this host"),
        "direct": Exposure(False, False, True, "any process on this host can call the backend and forge headers"),
        "edge": edge,
        "backend": Exposure(True, True, True, "it is on the edge's host: what it can reach there is theirs as well"),
    }
