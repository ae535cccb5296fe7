"""How a guard comes to its certificate: by a token, before it serves, so that a token that is not good is told at once. Later ones come
by themselves (`../admin/renewing.py`). What is there is never given up for what did not come."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from everyhop.authority import client
from everyhop.authority.enrolment import Token, token_of
from everyhop.authority.held import Held
from everyhop.cli.ca_serve import address
from everyhop.errors import Declined, Misuse, Surroundings
from everyhop.files import must_take
from everyhop.identity import Unusable, names_of
from everyhop.identity.keys import key_bytes
from everyhop.screen import line

REFERENCES = ("file:", "env:", "cred:")
ANOTHER = "  have another made, at the authority: everyhop ca token DIR NAME"


@dataclass(frozen=True)
class Asked:
    """`--enroll`: whom to ask, and by what. The token does not show in `repr`."""

    host: str
    port: int
    reference: str | None = None
    token: Token | None = None

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def asked(text: str) -> Asked:
    """Of `TOKEN@HOST:PORT`, `file:PATH@HOST:PORT` or, where there is a certificate, `HOST:PORT`. Raises `Misuse`."""
    said, at, where = text.rpartition("@")
    host, port = address(where)
    if not at:
        return Asked(host, port)
    if said.startswith(REFERENCES):
        kind, _, rest = said.partition(":")
        # The configuration lies in another folder than the one that this was said in.
        return Asked(host, port, f"file:{Path(rest).absolute()}" if kind == "file" else said)
    return Asked(host, port, token=token_of(said))


def enrolled(by: Asked, folder: Path, name: str | None) -> x509.Certificate:
    """The certificate that the guard shows, which lies in `folder` then. One that is in force is gone on with, and no token is used.

    Raises `Declined` where the authority refuses or gives what is of no use, `Surroundings` where it is not reached, `Misuse` without
    a token where one is needed.
    """
    held = Held(folder)
    with held.alone():
        leaf = held.leaf()
        if leaf is not None and dt.datetime.now(dt.UTC) < leaf.not_valid_after_utc:
            fits(leaf, name, f"  what is there lies in {folder}: with another --state, a token gets another")
            line(f"goes on with {told(leaf)}; no token was used", flush=True)
            return leaf
        if (token := token_for(by)) is None:
            over = (
                "none in"
                if leaf is None
                else f"one that is over since {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC in"
            )
            raise Misuse(
                f"it needs a certificate, and has {over} {folder}: say --enroll TOKEN@{by.authority}",
                "  have a token made, at the authority: everyhop ca token DIR NAME",
            )
        must_take(folder)
        try:
            given = client.enroll(token, by.host, by.port)
        except Declined as e:
            raise Declined(str(e), ANOTHER) from e
        leaf = x509.load_pem_x509_certificates(given.chain_pem)[0]
        fits(leaf, name, ANOTHER)
        held.keep(given.key_pem + given.chain_pem, given.roots_pem, given.lists_pem)
    line(f"has {told(leaf)}, from {by.authority}; it is renewed at half of its life", flush=True)
    return leaf


def token_for(by: Asked) -> Token | None:
    if by.reference is None:
        return by.token
    try:
        data, _ = key_bytes(by.reference, Path.cwd(), os.environ)
    except Unusable as e:
        raise Surroundings(e.what, "  " + e.mend.replace("the key's PEM", "the token")) from e
    return token_of(data.decode(errors="replace").strip())


def fits(leaf: x509.Certificate, name: str | None, mend: str) -> None:
    """Raises `Declined` for a certificate that a guard cannot live by."""
    try:
        uses = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        uses = set()
    for missing, what in (
        (ExtendedKeyUsageOID.SERVER_AUTH, "for clients alone, and edges would believe no server by it"),
        (ExtendedKeyUsageOID.CLIENT_AUTH, "for servers alone, and could not be renewed by itself"),
    ):
        if missing not in uses:
            raise Declined(f"the certificate of {called(leaf)} is {what}; the token must be made with --for both", mend)
    if name is not None and name not in (*names_of(leaf), workload(leaf)):
        raise Declined(f"the certificate is of {called(leaf)}, not of {name}", mend)


def told(leaf: x509.Certificate) -> str:
    return f"a certificate of {called(leaf)} until {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"


def called(leaf: x509.Certificate) -> str:
    return ", ".join([*names_of(leaf), *filter(None, [workload(leaf)])]) or "nobody"


def workload(leaf: x509.Certificate) -> str | None:
    """The SPIFFE ID of a certificate."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    return next((uri for uri in names.get_values_for_type(x509.UniformResourceIdentifier)), None)
