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

    def over(self, before: Asked) -> Asked:
        """With what was asked before, where nothing is said now."""
        return Asked(
            **{
                key: before_ if now is None else now
                for (key, now), before_ in zip(asdict(self).items(), asdict(before).values(), strict=True)
            }
        )


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
    verify = expected(
        entry, route, asked, base, by_authority={f"{GIVEN}{it}" for it, by in identities.items() if by == "ca"}
    )
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


def expected(entry: Table, route: Table, asked: Asked, base: Path, *, by_authority: set[str]) -> dict[str, Any]:
    given = dict(entry.get("verify") or route.get("verify") or {})
    if asked.ca is not None:
        given = {"ca": label(asked.ca, base)} | ({"name": given["name"]} if "name" in given else {})
        # An identity of an authority brings its lists with its roots; by SPIFFE there are none.
        given |= {"crl": asked.ca} if asked.ca in by_authority else {}
    if asked.name is not None:
        given["name"] = asked.name
    if not given.keys() & {"ca", "pin"}:
        raise Misuse(
            f"nothing says by whose word {entry['at']} will be believed: roots are never implied",
            "  say it: --ca FILE with the roots of whoever certifies it, or --ca system",
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
