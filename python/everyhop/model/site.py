"""Names whose TLS ends at the edge, with their certificates. Read next: `identity.py`."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidatorFunctionWrapHandler, WrapValidator

from everyhop.model.base import Section

Named = Literal[
    "intermediate",
    "modern",
    "intermediate-5.7",
    "modern-5.7",
    "intermediate-5.8",
    "modern-5.8",
    "intermediate-6.0",
    "modern-6.0",
]
UNAVAILABLE = "fips"
"""Read all the same, so that it is refused in words of its own; no editor and no mend offers it."""


def told(given: Any, known: ValidatorFunctionWrapHandler) -> Any:
    return given if given == UNAVAILABLE else known(given)


Policy = Annotated[Named, WrapValidator(told)]


class KeyPair(Section):
    """A certificate chain and its key."""

    chain: str
    """PEM file, leaf first."""
    key: str
    """`file:PATH`, `env:NAME` or `cred:NAME` (systemd); never the key itself. Or a `pkcs11:` URI of a key that [a token has](../how-to/keep-keys-in-an-hsm.md), which needs `[engine] keys = "apart"`."""


class Clients(Section):
    """What a site demands of clients."""

    ca: str
    """PEM file of the roots that client certificates must chain to; or `identity:NAME`, those that came with an identity."""
    mode: Literal["require", "ask"] = "require"
    """`require` ends the handshake without one; `ask` lets the client come without."""
    crl: str | None = None
    """PEM file of revocation lists (RFC 5280), one for each authority of a client's chain; what no list speaks of is refused. The file is watched. Or a URL, `https://` or `http://`, from which the list is fetched again and again ([`[crl]`](#crl)). `identity:NAME`: those that came with an identity."""
    stale_crl: Literal["refuse", "allow"] = "refuse"
    """What a list means whose next update is overdue: no client certificate passes until it comes, or the old list still holds."""


class Hsts(Section):
    """What browsers are told to remember (RFC 6797): that these names are to be had with https only."""

    max_age_s: Annotated[int, Field(ge=0, le=4_294_967_295)]
    """For how long. `0`: forget it."""
    subdomains: bool = False
    """All names below as well, whoever serves them."""
    preload: bool = False
    """Browsers may ship it, which takes a year at least and `subdomains`, and months to be undone."""


class ShownIdentity(Section):
    """An `[[identity]]` that is shown to clients too."""

    identity: str
    """Its name."""


def form(given: Any) -> str:
    """So that what is wrong with it is told of the form that it was meant to have."""
    if isinstance(given, str):
        return "acme"
    first = given[0] if isinstance(given, list) and given else None
    named = "identity" in first if isinstance(first, dict) else isinstance(first, ShownIdentity)
    return "identity" if named else "files"


Certs = Annotated[
    Annotated[list[KeyPair], Tag("files")]
    | Annotated[list[ShownIdentity], Field(max_length=1), Tag("identity")]
    | Annotated[Literal["acme"], Tag("acme")],
    Discriminator(form),
]


class Site(Section):
    """`[[site]]`: the handshake belongs to it, since a certificate is shown before any path exists."""

    name: str
    hosts: list[str] | None = None
    """Exact names or `*.` and a suffix; default: the names of the first certificate. `*` is every name that no other site has, and hellos without one: for clients that the site demands a certificate of."""
    listeners: Annotated[list[str], Field(min_length=1)] | None = None
    """Names of the only `[[listener]]`s where it answers; at any other its names are unknown. One of plain HTTP sends to https only names that answer there. Default: every one."""
    certs: Certs = []
    """`"acme"`: an authority issues it, and it is renewed by itself (`[acme]`); it has `hosts` then. `[{ identity = "NAME" }]`: what that `[[identity]]` is, for the `hosts` that are written. Else files, one or more: an ECDSA and an RSA certificate may stand side by side. None only where the site is reached by listeners alone that `serve` in the clear; it has `hosts` then."""
    clients: Clients | None = None
    policy: Policy = "intermediate"
    """`intermediate`: TLS 1.2 (ECDHE and AEAD only) and 1.3. `modern`: 1.3 only. With a version (`intermediate-5.7`) it is [that of Mozilla's guidelines](tls-policies.md), and stays it; without one, the newest that this release knows. `fips` is refused: this build is not that module."""
    require_post_quantum: bool = False
    """Whether handshakes are by post-quantum key exchange (X25519MLKEM768, TLS 1.3) alone, whatever the policy has: clients that offer none are refused."""
    hsts: Hsts | None = None
    """`Strict-Transport-Security` in every answer, the edge's own too, in the place of a backend's; never in the clear."""
    alpn: list[str] | None = None
    """Which protocols are offered, in order of preference. Default for HTTP: `["h2", "http/1.1"]`, and no others. Default where its routes have `protocol = "tcp"`: none, and clients may offer what they like; some clients need the name of theirs, such as `postgresql`; the backend is offered what the client agreed on."""

    @property
    def is_by_acme(self) -> bool:
        return self.certs == "acme"

    @property
    def pairs(self) -> list[KeyPair]:
        """Those that are files of the user's."""
        return [it for it in self.certs if isinstance(it, KeyPair)]

    @property
    def identity(self) -> str | None:
        """The name of the one that it shows."""
        return next((it.identity for it in self.certs if isinstance(it, ShownIdentity)), None)

    @property
    def http_alpn(self) -> list[str]:
        """As a site of HTTP offers it."""
        return ["h2", "http/1.1"] if self.alpn is None else list(self.alpn)
