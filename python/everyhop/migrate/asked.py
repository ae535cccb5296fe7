"""How backends will be spoken with once they are moved: what was asked for, else what the route, or the file, says already. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from everyhop.compile.names import address
from everyhop.errors import Misuse
from everyhop.model.identity import GIVEN

Table = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """By the command line; `None` is what it does not say."""

    present: str | None = None
    ca: str | None = None
    name: str | None = None
    to_port: int | None = None
    spiffe: str | None = None

    def over(self, before: Asked) -> Asked:
        """With what was asked before, where nothing is said now. Who is expected, by name, by ID or by both, is said as one."""
        now, then = asdict(self), asdict(before)
        if self.name is not None or self.spiffe is not None:
            then |= {"name": None, "spiffe": None}
        return Asked(**{key: then[key] if said is None else said for key, said in now.items()})


def entries(route: Table) -> list[dict[str, Any]]:
    """Those of `to`, each in its long form."""
    return [{"at": it} if isinstance(it, str) else dict(it) for it in route.get("to", [])]


def is_mutual(entry: Table, route: Table) -> bool:
    return bool((entry.get("tls") or route.get("tls")) == "mutual")


def moved(entry: Table, route: Table, identities: Mapping[str, str], asked: Asked, base: Path) -> dict[str, Any]:
    """The entry as it stands in `to` once its hop is mutual.

    Raises `Misuse` where it is not said who is expected there, or what is shown.
    """
    at = elsewhere(str(entry["at"]), asked.to_port)
    rest = {key: value for key, value in entry.items() if key not in {"at", "tls", "verify", "present"}}
    verify = expected(entry, route, asked, base, at, {f"{GIVEN}{it}": by for it, by in identities.items()})
    present = shown(entry, route, list(identities), asked)
    said: dict[str, Any] = {} if verify == route.get("verify") else {"verify": verify}
    said |= {} if present == route.get("present") else {"present": present}
    return {"at": at, **rest, "tls": "mutual", **said}


def elsewhere(at: str, port: int | None) -> str:
    """The address, at another port where one was asked for."""
    found = address(at)
    if found is None or found.unix is not None or found.service is not None:
        raise Misuse(
            f"{at} is no HOST:PORT: a handshake with it cannot be tried before it is moved",
            '  write it by hand: { at = ..., tls = "mutual", verify = { ca = ..., name = ... }, present = ... }',
        )
    return at if port is None else f"{at.rpartition(':')[0]}:{port}"


def expected(
    entry: Table, route: Table, asked: Asked, base: Path, at: str, brought: Mapping[str, str]
) -> dict[str, Any]:
    """At `at`, by what is asked for and what the file says. `brought`: roots by their label, and where they come from."""
    given = dict(entry.get("verify") or route.get("verify") or {})
    if asked.ca is not None:
        given = {"ca": label(asked.ca, base)} | {key: given[key] for key in ("name", "spiffe") if key in given}
        # An identity of an authority brings its lists with its roots; by SPIFFE there are none.
        given |= {"crl": asked.ca} if brought.get(asked.ca) == "ca" else {}
    if asked.spiffe is not None:
        # Instead of what was expected before: certificates of workloads need carry no name, and an ID is proved by roots alone.
        given = {key: said for key, said in given.items() if key not in {"name", "pin"}} | {"spiffe": asked.spiffe}
    if asked.name is not None:
        given["name"] = asked.name
    if not given.keys() & {"ca", "pin"}:
        theirs = [f"--ca {it}" for it, by in brought.items() if by == ("ca" if asked.spiffe is None else "spiffe")]
        raise Misuse(
            f"nothing says by whose word {at} will be believed: roots are never implied",
            "  say it: --ca FILE with the roots of whoever certifies it, or --ca system",
            *(f"  or {it}, for those that came with that identity" for it in theirs),
        )
    host = address(at)
    if (
        brought.get(str(given.get("ca")).partition("/")[0]) == "spiffe"
        and not given.keys() & {"name", "spiffe"}
        and host
        and host.ip
    ):
        raise Misuse(
            f"nothing says who is expected at {at}: the roots of a trust domain vouch for each of its workloads",
            "  say it: --spiffe spiffe://TRUST-DOMAIN/PATH",
            "  or see who answers there, without --apply: --spiffe 'spiffe://TRUST-DOMAIN/*'",
        )
    return given


def label(ca: str, base: Path) -> str:
    """As the configuration in `base` names it: a path of ours is made whole."""
    if ca == "system" or (base / ca).exists() or not Path(ca).exists():
        return ca
    return str(Path(ca).absolute())


def shown(entry: Table, route: Table, identities: Sequence[str], asked: Asked) -> str:
    if said := asked.present or entry.get("present") or route.get("present"):
        return str(said)
    if len(identities) == 1:
        return identities[0]
    there = ", ".join(identities)
    raise Misuse(
        f"there are several identities to show: {there}" if identities else "there is no [[identity]] to show",
        "  say which: --present NAME"
        if identities
        else "  write [[identity]] with name, chain and key; everyhop ca issue makes both",
    )
