"""What becomes of requests and answers on their way: paths, fields, and what browsers are told. Read next: `route.py`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from everyhop.plan.part import Part
from everyhop.plan.told import Always, Never


class AsItCame(Part):
    kind: Literal["as_it_came"]


class Moved(Part):
    """Without `strip` at its beginning, behind `under`; either may be empty."""

    kind: Literal["moved"]
    strip: Always[str]
    under: Always[str]

    def __str__(self) -> str:
        return " and ".join(
            [*[f"without {self.strip}"] * bool(self.strip), *[f"behind {self.under}"] * bool(self.under)]
        )


class Rewritten(Part):
    """What `to` makes of a path that the whole of `regex` fits."""

    kind: Literal["rewritten"]
    regex: Always[str]
    to: Always[str]

    def __str__(self) -> str:
        return f"as {self.to} where it is {self.regex}"


class Fixed(Part):
    kind: Literal["fixed"]
    path: Always[str]

    def __str__(self) -> str:
        return f"as {self.path}"


class Text(Part):
    kind: Literal["text"]
    text: Always[str]

    def __str__(self) -> str:
        return self.text.replace("{", "{{").replace("}", "}}")


Variable = Literal["client.address", "client.name", "tls.version", "request.id", "host", "path", "query", "method"]


class Of(Part):
    kind: Literal["of"]
    of: Always[Variable]

    def __str__(self) -> str:
        return f"{{{self.of}}}"


class OfClaim(Part):
    """Of the token that the route asked for: the claim's name, each before the last one that of an object around it."""

    kind: Literal["claim"]
    path: Always[list[str]]

    def __str__(self) -> str:
        return f"{{claim.{'.'.join(self.path)}}}"


class OfUser(Part):
    """The name that the route asked for with its password."""

    kind: Literal["user"]

    def __str__(self) -> str:
        return "{user}"


class OfAnswer(Part):
    """Of the answer of whoever was asked about the request: the values of that field."""

    kind: Literal["answer"]
    name: Always[str]

    def __str__(self) -> str:
        return f"what the authorizer says in {self.name}"


SameSite = Literal["strict", "lax", "none"]


class Edit(Part):
    name: Always[str]
    value: Always[list[Annotated[Text | Of | OfClaim | OfUser | OfAnswer, Field(discriminator="kind")]]]

    def __str__(self) -> str:
        return f"{self.name}: {''.join(map(str, self.value))}"


class Edits(Part):
    """Removed first, then set, then added."""

    remove: Always[list[str]]
    set: Always[list[Edit]]
    add: Always[list[Edit]]


class Cookies(Part):
    """What is added to each cookie that lacks it; its path in the place of its own."""

    secure: Always[bool]
    http_only: Always[bool]
    same_site: Always[SameSite | None]
    path: Always[str | None]


class Cors(Part):
    """Lists are sorted, and as the fields of an answer have them."""

    origins: Always[list[str]]
    methods: Always[list[str]]
    headers: Always[list[str]]
    expose: Always[list[str]]
    max_age_s: Never[int]
    credentials: Always[bool]


Coding = Literal["zstd", "br", "gzip"]


class Compress(Part):
    """In which codings answers may go out that came without one."""

    codings: Always[list[Coding]]
    with_credentials: Always[bool]
