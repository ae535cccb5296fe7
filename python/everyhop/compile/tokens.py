"""What a configuration says of tokens, in the form of the plan. Read next: `rules_tokens.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from everyhop import plan
from everyhop.compile.key_servers import keys
from everyhop.model import Issuer, Jwt


def issuer(it: Issuer) -> plan.Issuer:
    return plan.Issuer(
        name=it.name,
        issuer=it.issuer,
        audience=sorted(set(it.audiences)),
        algorithms=sorted(set(it.algorithms)),
        type=it.type,
        leeway_s=it.leeway_s,
        keys=keys(it),
    )


def jwt(it: Jwt) -> plan.Jwt:
    return plan.Jwt(
        issuers=sorted(set(it.issuers)),
        at=place(it.from_),
        claims=[plan.ClaimMatch(path=list(path), any=any_of(value)) for path, value in sorted(named(it.claims))],
        strip=it.strip,
    )


def place(text: str) -> plan.FromAuthorization | plan.FromCookie | plan.FromField:
    kind, _, name = text.partition(":")
    if kind == "cookie":
        return plan.FromCookie(kind="cookie", name=name)
    return plan.FromField(kind="field", name=name.lower()) if name else plan.FromAuthorization(kind="authorization")


def named(table: Mapping[str, object]) -> Iterator[tuple[tuple[str, ...], object]]:
    """What stands in a table and in those in it, by the names on the way."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from (((name, *path), inner) for path, inner in named(value))
        else:
            yield (name,), value


def any_of(value: object) -> list[plan.ClaimText | plan.ClaimWhole | plan.ClaimTruth]:
    if isinstance(value, list):
        return [it for one in value for it in any_of(one)]
    if isinstance(value, bool):
        return [plan.ClaimTruth(kind="truth", truth=value)]
    if isinstance(value, int):
        return [plan.ClaimWhole(kind="whole", whole=value)]
    return [plan.ClaimText(kind="text", text=str(value))]


def told(it: Jwt | None, request: plan.Edits) -> plan.Edits:
    """What backends are told of a token's claims, among what else is set: in the place of what clients say."""
    if it is None or not it.forward:
        return request
    claims = [
        plan.Edit(name=str(name).lower(), value=[plan.OfClaim(kind="claim", path=list(path))])
        for path, name in named(it.forward)
    ]
    return request.model_copy(update={"set": sorted([*request.set, *claims], key=lambda edit: edit.name)})
