"""What is taken on somebody's word along a route, and whose: by the backend, and by the edge of its clients, of issuers of tokens, of who
knows a password and of whoever is asked. It judges no hop: read next `map.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from everyhop.model.listener import fields
from everyhop.plan import AtEdge, Way
from everyhop.screen import few


@dataclass(frozen=True)
class Believed:
    """A word that is taken without proof."""

    who: str
    what: str
    why: str


HEADER = (Believed("the backend", "the PROXY header", "anyone who reaches it can send one"),)
"""Of whom TLS passes through to, where it is sent one."""


def words(way: AtEdge, pattern: str, networked: bool) -> tuple[Believed, ...]:
    """What the backend takes on somebody's word. `networked`: its plaintext crosses a network."""
    if pattern == "mutual" or (way.is_stream and way.send_proxy != "v2"):
        return ()
    if pattern == "reencrypt":
        why = "it cannot tell the edge from any other caller"
    else:
        why = "anyone who reaches it can say the same" if networked else "any process on this host can say the same"
    what = "the PROXY header" if way.is_stream else "X-Forwarded-For and every other header"
    return (Believed("the backend", what, why),)


def issued(way: AtEdge) -> tuple[Believed, ...]:
    """What the edge takes on the word of those who issue tokens."""
    if way.jwt is None:
        return ()
    claims = ", ".join(map(str, way.jwt.claims))
    what = f"tokens of {' or '.join(way.jwt.issuers)}" + (f" with {claims}" if claims else "")
    too = "the backend and the mirror get it too" if way.mirror else "the backend gets it too"
    why = "whoever has such a token, or the issuer's key, gets in" + ("" if way.jwt.strip else f"; {too}")
    return (Believed("the edge", what, why),)


def signed_in(way: AtEdge) -> tuple[Believed, ...]:
    """What the edge takes on the word of who knows a password, and who comes to know it."""
    if way.basic is None:
        return ()
    many = "users" if way.basic.names is None else f"{len(way.basic.names)} user{'s' * (len(way.basic.names) != 1)}"
    too = "the backend and the mirror get them too" if way.mirror else "the backend gets them too"
    why = "the edge reads each password as it is typed; whoever has one, or can write to the file, gets in"
    return (
        Believed(
            "the edge", f"passwords of the {many} in {way.basic.file}", why + ("" if way.basic.strip else f"; {too}")
        ),
    )


def decided(way: AtEdge) -> tuple[Believed, ...]:
    """What the edge takes on the word of whoever is asked about requests."""
    if way.ask is None:
        return ()
    return (
        Believed(
            "the edge",
            f"authorizer {way.ask}'s word on who may pass",
            "whoever runs it, or gets its place, lets anybody in",
        ),
    )


def addressed(way: Way) -> tuple[Believed, ...]:
    """What an address is taken for."""
    if way.allow_networks is None:
        return ()
    what = f"an address in {few(way.allow_networks)}"
    return (Believed("the edge", what, "it says where a client is, and not who that is"),)


def said_of_clients(proxied: list[str], trusted: dict[tuple[str, ...], list[str]]) -> list[Believed]:
    """What the edge believes of whom a client is."""
    found = []
    if proxied:
        said = f"the PROXY header of {', '.join(proxied)}"
        found.append(Believed("the edge", said, "it says who the client is, and nothing proves it"))
    for believed, networks in trusted.items():
        addresses = {"address", "forwarded"} & {*believed}
        reasons = ["up to the first address that is none of them"] if addresses else []
        if {*believed} - {"address"}:
            reasons.append("backends are told it as the edge's own word; no route is chosen by it")
        found.append(Believed("the edge", f"{fields(believed)} of {', '.join(networks)}", "; ".join(reasons)))
    return found
