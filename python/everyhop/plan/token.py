"""Tokens that somebody else issues: whose are believed, and what a route wants of them. Read next: `route.py`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.token import Algorithm, TokenType
from everyhop.plan.hop import Backend
from everyhop.plan.part import Part
from everyhop.plan.told import Always, Never


class KeysFile(Part):
    kind: Literal["file"]
    path: Always[str]

    def __str__(self) -> str:
        return self.path


class KeysServer(Part):
    """Fetched by the supervisor; the hop there is one as to a backend."""

    kind: Literal["server"]
    authority: Always[str]
    path: Always[str]
    backend: Always[Backend]

    def __str__(self) -> str:
        scheme = "http" if self.backend.hop.tls == "plaintext" else "https"
        return f"{scheme}://{self.authority}{self.path}"


class Issuer(Part):
    name: Never[str]
    issuer: Always[str]
    audience: Always[list[str]]
    algorithms: Always[list[Algorithm]]
    type: Always[TokenType | None]
    leeway_s: Always[Annotated[int, Field(ge=0, le=4_294_967_295)]]
    keys: Always[Annotated[KeysFile | KeysServer, Field(discriminator="kind")]]


class FromAuthorization(Part):
    kind: Literal["authorization"]

    def __str__(self) -> str:
        return "Authorization"


class FromCookie(Part):
    kind: Literal["cookie"]
    name: Always[str]

    def __str__(self) -> str:
        return f"the cookie {self.name}"


class FromField(Part):
    kind: Literal["field"]
    name: Always[str]

    def __str__(self) -> str:
        return f"the field {self.name}"


class ClaimText(Part):
    kind: Literal["text"]
    text: Always[str]

    def __str__(self) -> str:
        return self.text


class ClaimWhole(Part):
    kind: Literal["whole"]
    whole: Always[int]

    def __str__(self) -> str:
        return str(self.whole)


class ClaimTruth(Part):
    kind: Literal["truth"]
    truth: Always[bool]

    def __str__(self) -> str:
        return str(self.truth).lower()


class ClaimMatch(Part):
    """A claim by its name, each before the last one that of an object around it, and what it may be: one of these."""

    path: Always[list[str]]
    any: Always[list[Annotated[ClaimText | ClaimWhole | ClaimTruth, Field(discriminator="kind")]]]

    def __str__(self) -> str:
        return f"{'.'.join(self.path)} = {' or '.join(map(str, self.any))}"


class Jwt(Part):
    issuers: Always[list[str]]
    at: Always[Annotated[FromAuthorization | FromCookie | FromField, Field(discriminator="kind")]]
    claims: Always[list[ClaimMatch]]
    strip: Always[bool]
