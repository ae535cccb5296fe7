"""What a server of keys answered: taken where it is a set by which tokens could be verified, else not used, and why. What a hostile
one can do is to say nothing. Read next: `key_servers.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

from everyhop import _door
from everyhop.compile import Compiled
from everyhop.compile.key_sets import MOST_BYTES, WRONG, called
from everyhop.engine.resolver import Found, ask
from everyhop.plan import KeysServer, NamePlace

LEAST_S, USUAL_S, MOST_S = 60.0, 600.0, 3600.0
"""How soon a set is asked for again: as it says, within these."""
WITHIN_S = 10.0


@dataclass(frozen=True)
class Set:
    """Keys that can be used."""

    text: str = field(repr=False)
    sha256: str
    algorithms: frozenset[str]
    keys: int
    left_out: tuple[str, ...]
    """What of it is not used, and why: only what no issuer should publish."""
    fetched_s: float
    holds_s: float = USUAL_S
    over: str = ""
    """What TLS came to on the way."""


@dataclass(frozen=True)
class NotUsed:
    why: str


def first_answer(compiled: Compiled, issuer: str) -> dict[str, object]:
    """What the issuer's server answers now. Blocks for as long as its name and it take, the latter for `WITHIN_S` at most."""
    it = next(it for it in compiled.plan.issuers if it.name == issuer)
    assert isinstance(it.keys, KeysServer)
    names: dict[str, list[object]] = {}
    if isinstance(at := it.keys.backend.at, NamePlace):
        try:
            names[at.name] = list(resolved(compiled, at.name).ips)
        except (OSError, ValueError) as e:
            return {"slug": "hop/unresolved", "why": f"{at.name} does not resolve", "detail": str(e)}
    question = {
        "issuer": issuer,
        "material": compiled.material.entries,
        "names": names,
        "within_ms": int(WITHIN_S * 1000),
        "most_bytes": MOST_BYTES,
    }
    told = json.loads(_door.fetch_keys(compiled.plan_json, compiled.material.blob, json.dumps(question)))
    return dict(told)


def resolved(compiled: Compiled, name: str) -> Found:
    servers = compiled.config.dns.servers
    if not servers:
        return ask(name)
    # Imported where it is used: few configurations name servers.
    from everyhop.engine.dns import asking

    return asking(servers)(name)


def judged(told: Mapping[str, object], algorithms: Iterable[str], now_s: float) -> Set | NotUsed:
    """Of an answer that came at `now_s`, for an issuer that signs by `algorithms`."""
    if "slug" in told:
        detail = f": {told['detail']}" if told["detail"] else ""
        return NotUsed(f"{told['why']}{detail} [{told['slug']}]")
    status = int(str(told["status"]))
    if 300 <= status < 400:
        return NotUsed(f"it answered {status}, and no redirect is followed: name the URL where the keys are")
    if status != 200:
        return NotUsed(f"it answered {status}")
    if int(str(told["bytes"])) > MOST_BYTES:
        return NotUsed(f"what it answered is longer than {MOST_BYTES // 1024} KiB")
    if not told["is_text"]:
        return NotUsed("what it answered is no text in UTF-8")
    said, age = told["cache_control"], told["age"]
    assert isinstance(said, list) and isinstance(age, list)
    found = read_set(str(told["body"]), now_s, holds_s(said, age))
    if isinstance(found, Set) and not found.algorithms & {*algorithms}:
        return NotUsed("none of its keys verifies what the issuer signs by (algorithms)")
    return replace(found, over=way(told["hop"])) if isinstance(found, Set) else found


def way(hop: object) -> str:
    """`, by TLS 1.3 X25519MLKEM768`: of what an observation has of a hop."""
    said = [str(hop[of]) for of in ("version", "group") if hop.get(of)] if isinstance(hop, dict) else []
    return f", by {' '.join(said)}" if said else ""


def read_set(text: str, fetched_s: float, holds: float = USUAL_S) -> Set | NotUsed:
    try:
        count, algorithms, left_out = _door.judge_keys(text)
    except ValueError as e:
        return NotUsed(f"what it answered is no set of keys: {e}")
    wrong = tuple(f"{called(at, kid)} {WRONG[why][1]}" for at, kid, why in left_out if why in WRONG)
    if not count:
        return NotUsed("no key of its set could verify a token" + (f": {'; '.join(wrong)}" if wrong else ""))
    return Set(text, sha256(text.encode()).hexdigest(), frozenset(algorithms), count, wrong, fetched_s, holds)


def holds_s(cache_control: list[str], age: list[str]) -> float:
    """For how long the answer says that it is fresh (RFC 9111 §5.2.2), within what an edge waits."""
    said = [part.strip().lower() for value in cache_control for part in value.split(",")]
    if {"no-store", "no-cache"} & {*said}:
        return LEAST_S
    ages = [int(found[1]) for part in said if (found := re.fullmatch(r'max-age="?(\d{1,10})"?', part))]
    if not ages:
        return USUAL_S
    old = int(age[0]) if age and re.fullmatch(r"\d{1,10}", age[0].strip()) else 0
    return min(max(float(min(ages) - old), LEAST_S), MOST_S)
