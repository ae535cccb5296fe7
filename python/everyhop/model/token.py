"""Tokens that somebody else issues (JWT): whose are believed, and what a route wants of them. Read next: `route.py`."""

from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.base import Section
from everyhop.model.hop import Verify

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""By public keys alone: a secret that the edge knew it could issue tokens by."""
TokenType = Literal["jwt", "at+jwt"]

Single = str | int | bool
Wanted = Single | Annotated[list[Single], Field(min_length=1)]
Wants = dict[str, Wanted | dict[str, Wanted | dict[str, Wanted]]]
Names = dict[str, str | dict[str, str | dict[str, str]]]


class IssuerKeys(Section):
    """Where an issuer's public keys are: in a `file`, or fetched `from` its server."""

    file: str | None = None
    """A JWK Set (RFC 7517), as issuers publish it at their `jwks_uri`; 256 KiB at most. It is watched: with other keys in it, tokens are verified by those from then on."""
    from_: Annotated[str | None, Field(alias="from")] = None
    """The URL of such a set, which the supervisor asks for: before it is ready, then as often as the answer says (`Cache-Control: max-age`, between 1 minute and 1 hour; else every 10 minutes), at a reload, and when a token names a key that is not there, at most once in 30 s. The last good set is believed for 24 hours. `https://`; `http://` of this host alone. No redirect is followed."""
    verify: Verify | None = None
    """Whom we expect there, as at a backend."""
    present: str | None = None
    """The `[[identity]]` shown to it."""
    demand_asks: bool = False
    """Whether nothing is asked of one that did not ask for our certificate."""
    require_post_quantum: bool = False
    """Whether it is asked by post-quantum key exchange (X25519MLKEM768, TLS 1.3) alone: one that has none is believed in nothing new."""


class Issuer(Section):
    """`[[issuer]]`: who is believed when a token says who somebody is."""

    name: str
    issuer: Annotated[str, Field(min_length=1)]
    """As its tokens say it (`iss`), to the letter: a slash at the end counts."""
    audience: str | list[str]
    """For whom its tokens are, as they say it (`aud`): one of these must be in each. Without it a token that somebody got for another service would do here."""
    keys: IssuerKeys
    algorithms: Annotated[list[Algorithm], Field(min_length=1)]
    """By which it signs. A key is used for those of its own kind alone, and where it names one (`alg`) for that."""
    type: TokenType | None = None
    """What a token says to be (`typ`): `at+jwt` takes access tokens alone (RFC 9068), `jwt` those that say `JWT` or nothing. Default: either."""
    leeway_s: Annotated[int, Field(ge=0, le=300)] = 30
    """How far its clock and the edge's may be apart."""

    @property
    def audiences(self) -> list[str]:
        return [self.audience] if isinstance(self.audience, str) else self.audience


class Jwt(Section):
    """A request passes with a token of one of these issuers alone, that is for us, valid now and has these claims."""

    issuer: str | list[str]
    """Names of `[[issuer]]`s."""
    from_: Annotated[str, Field(alias="from")] = "authorization"
    """Where it is: `authorization` (`Authorization: Bearer`), `cookie:NAME`, or `header:NAME` for a field whose whole value it is. It is looked for nowhere else."""
    claims: Wants = {}
    """What it must say beside that, such as `{ scope = "api.read", email_verified = true }`: a claim is that, or is a list with it. Of several values in a list one is enough; of a `scope` (or `scp`) each word that is named must be there. What stands in an object is written as one: `{ realm_access = { roles = "admin" } }`."""
    forward: Names = {}
    """Claims that the backend is told, by the fields that say them: `{ sub = "x-user" }`. Whatever a client sends in a field of that name, or of one that is read alike (`X_User`), goes no further. A list goes as `a, b`."""
    strip: bool = False
    """The token goes no further than the edge."""

    @property
    def issuers(self) -> list[str]:
        return [self.issuer] if isinstance(self.issuer, str) else self.issuer
