"""What an engine observed, as sentences: the hops of a connection, who proved what on them, how a try at one failed.

It takes the parts of an observation as `status` and `where` bring them, and decides nothing.
"""

from __future__ import annotations

from typing import Any

IDENTITY = {
    "demanded": "knows us",
    "not_demanded": "DID NOT ASK WHO WE ARE",
    "refused": "REFUSED US",
    "not_presented": "",
    "unknown": "",
}
"""What a backend made of our certificate."""
OPEN = "!plaintext!"


def observed(last: dict[str, Any] | None) -> str:
    """The hops of the last connection, as they really were."""
    if last is None:
        return "nothing yet"
    client = last["client_hop"]
    first = f"{client['tls']} TLS {client['version'] or '?'} {client['group'] or ''}".strip()
    if client["tls"] == "plaintext":
        first = f"from the client {OPEN}"
    hop = last.get("backend_hop")
    if not hop or hop["tls"] == "passthrough":
        return first
    return f"{first} | {hop_observed(hop)}"


def hop_observed(hop: dict[str, Any]) -> str:
    """One hop from the edge on, as it really was."""
    if hop["tls"] == "plaintext":
        return OPEN
    version = f"TLS {hop['version']}" if hop["version"] else "no TLS came about"
    return f"{hop['tls']} {version} {hop['group'] or ''} {IDENTITY.get(hop['identity'], '')}".rstrip()


def failure(last: dict[str, Any]) -> str:
    """One failed try at a backend, in one sentence."""
    where = f" ({last['address']})" if last["address"] and last["address"] != last["at"] else ""
    said = [f"{last['at']}{where} {last['end']} at {last['time']}"]
    if shown := last["certificate"]:
        names = ", ".join(shown["names"]) or "no name"
        said.append(f"expected {last['expected']}, shown {names}: {shown['subject']} of {shown['issuer']}")
        said.append(f"until {shown['not_after']}, SHA-256 {shown['sha256'][:16]}")
    if last["alert"]:
        said.append(f"alert {last['alert']}")
    if last["detail"]:
        said.append(str(last["detail"]))
    return "; ".join(said)


def of_zone(engine: dict[str, Any] | None, route: dict[str, Any]) -> str | None:
    """How much of what comes stays in the edge's own zone; `None` where zones make no difference."""
    stays = route.get("stays_ppm")
    if engine is None or stays is None:
        return None
    zone = engine.get("zone")
    if stays == 1_000_000:
        return f"all goes to {zone}, where this edge is, while 70 % of it is up"
    return (
        f"{stays / 10_000:.1f} % goes to {zone}, where this edge is, and the rest elsewhere: less than 70 % of it is up"
    )


RULES = {
    "connects": "connects, handshakes or first answers that failed",
    "timeouts": "requests without an answer within first_byte_s",
    "5xx": "answers of 500 or more",
    "slow": "answers that began later than {slow_ms} ms",
}
"""By the name of a rule of `eject_on`: what it counts. Connects are counted on every route."""


def ejected(address: dict[str, Any]) -> str:
    """The rule by which it is, with its figures; nothing where it is not, or the engine does not say."""
    by = address.get("ejected")
    if not by:
        return ""
    row = "one more" if by["row"] < by["after"] else f"{by['row']} in a row"
    bound = "it was on trial" if by["row"] < by["after"] else f"eject_after = {by['after']}"
    what = RULES[by["rule"]].format(slow_ms=by.get("slow_ms"))
    return f" by {by['rule']}: {what}, {row} ({bound}); looked at again every {by['every_s']} s"


def troubles_of(route: dict[str, Any]) -> list[str]:
    """What is not as it should be with one route and its backends."""
    found = []
    if route["closed"]:
        found.append(f"closed: {route['closed']}")
    if route.get("panics"):
        found.append("fewer than half of its backends are up: all are used, but none whose certificate is refused")
    for backend in [*route["backends"], *((route.get("mirror") or {}).get("backends", ()))]:
        if backend["state"] != "up" and not route["closed"]:
            seen = (backend.get("check") or {}).get("seen") if backend["state"] == "down" else None
            by = f" by its check: {seen}" if seen else ""
            if backend["state"] == "ejected" and len(backend["addresses"]) == 1:
                by = ejected(backend["addresses"][0])
            found.append(f"{backend['at']} {backend['state']}{by}")
        for address in backend["addresses"]:
            if len(backend["addresses"]) > 1 and address["state"] != "up":
                found.append(f"{backend['at']} ({address['at']}) {address['state']}{ejected(address)}")
            if address["impostor"]:
                found.append(f"wrong certificate: {failure(address['last_failure'])}")
            elif address["failures"]:
                found.append(f"failed last: {failure(address['last_failure'])}")
        if backend["identity"] == "refused":
            found.append(f"{backend['at']} refuses our certificate")
        if backend["identity"] == "not_demanded":
            so = "it is sent nothing" if "hop/identity-not-demanded" in backend["failed"] else "mutual in name only"
            found.append(f"{backend['at']} does not ask for our certificate: {so}")
    return found
