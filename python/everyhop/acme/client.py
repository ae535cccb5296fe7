"""The requests of RFC 8555 that an order takes, one function each, with what the `acme` package lacks: `replaces` (RFC 9773
§5) and certificates' own names for it. Each raises `Stopped`. Read next: `order.py`.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from acme import challenges, client, messages
from cryptography import x509
from josepy.json_util import field
from josepy.jwk import JWK

import everyhop.acme.tls_alpn  # noqa: F401 -- importing it is what makes its challenge known
from everyhop.acme.directory import Directory, is_https
from everyhop.acme.due import Window
from everyhop.acme.network import Network
from everyhop.acme.problem import Stopped, stopped


class NewOrder(messages.NewOrder):
    """With the certificate that it replaces, which an authority does not count against its limits."""

    replaces: str | None = field("replaces", omitempty=True)


@dataclass(frozen=True)
class Placed:
    """An order as the authority has it."""

    url: str
    body: messages.Order


class Client(client.ClientV2):
    """Signs with the account's key and speaks to one authority."""

    def __init__(self, directory: Directory, network: Network) -> None:
        super().__init__(directory.it, network)
        self.directory_, self.network = directory, network

    def place(self, names: Sequence[str], profile: str | None, replaces: str | None) -> Placed:
        with self.network.asking():
            response = self._post(self.directory["newOrder"], new_order(names, profile, replaces))
            return self.placed(response.headers.get("Location"), messages.Order.from_json(response.json()))

    def order(self, url: str) -> Placed:
        with self.network.asking():
            return self.placed(url, messages.Order.from_json(self._post_as_get(url).json()))

    def placed(self, url: str | None, body: messages.Order) -> Placed:
        """What is used of it must be there."""
        urls = [url, body.finalize, *(body.authorizations or [])]
        if not all(is_https(it) for it in urls) or body.status is None or not body.authorizations:
            raise stopped("outage", "answers with an order that is none", authority=self.network.who)
        assert url is not None
        return Placed(url, body)

    def authorization(self, url: str) -> messages.Authorization:
        with self.network.asking():
            body: messages.Authorization = messages.Authorization.from_json(self._post_as_get(url).json())
            if body.identifier is None or body.status is None:
                raise stopped("outage", "answers with an authorization that is none", authority=self.network.who)
            return body

    def answer(self, challenge: messages.ChallengeBody, key: JWK) -> None:
        """Says that what was asked for is there."""
        assert isinstance(challenge.chall, challenges.KeyAuthorizationChallenge)
        with self.network.asking():
            self._post(challenge.uri, challenge.chall.response(key))

    def finalize(self, url: str, csr: x509.CertificateSigningRequest) -> None:
        with self.network.asking():
            self._post(url, messages.CertificateRequest(csr=csr))

    def download(self, url: str) -> bytes:
        with self.network.asking():
            return self._post_as_get(url).content

    def take_back(self, leaf: x509.Certificate, reason: int) -> None:
        """Revokes it (RFC 8555 §7.6); one that is revoked already is."""
        if not isinstance(getattr(self.directory, "revokeCert", None), str):
            raise stopped("refused", "takes no certificate back", authority=self.network.who)
        try:
            with self.network.asking():
                self.revoke(leaf, reason)
        except Stopped as e:
            if e.problem.code != "alreadyRevoked":
                raise

    def window(self, certificate: x509.Certificate) -> tuple[Window, float | None]:
        """When it should be renewed, and seconds after which to ask again (RFC 9773 §4)."""
        assert self.directory_.renewal_info is not None
        with self.network.asking():
            found = self.net.get(f"{self.directory_.renewal_info}/{identity_of(certificate)}").json()["suggestedWindow"]
            it = Window(moment(found["start"]), moment(found["end"]))
        return it, self.network.retry_after_s()


def new_order(names: Sequence[str], profile: str | None, replaces: str | None) -> NewOrder:
    identifiers = [messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name) for name in names]
    return NewOrder(identifiers=identifiers, profile=profile, replaces=replaces)


def identity_of(certificate: x509.Certificate) -> str:
    """Its issuer's key and its serial number (RFC 9773 §4.1). Raises `ValueError` where it does not say its issuer's."""
    try:
        authority = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        authority = None
    if authority is None:
        raise ValueError("it does not name its issuer's key")
    # As DER writes an INTEGER: with a leading zero where the number would read as a negative one.
    serial = certificate.serial_number
    octets = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    return ".".join(base64.urlsafe_b64encode(it).decode().rstrip("=") for it in (authority, octets))


def moment(text: str) -> dt.datetime:
    """RFC 3339; without a zone it is none."""
    it = dt.datetime.fromisoformat(text)
    if it.tzinfo is None:
        raise ValueError(text)
    return it.astimezone(dt.UTC)
