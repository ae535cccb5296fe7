"""The account at each authority: its key, made once and kept in the store, and where the authority has it.

Losing the key is losing the account's standing with the authority; nobody else reads it. Read next: `store.py`, and `rollover.py`, which
changes it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from acme import errors, messages
from josepy.jwk import JWK, JWKEC

from everyhop.acme.client import Client
from everyhop.acme.directory import Authority
from everyhop.acme.problem import stopped
from everyhop.acme.rollover import as_jwk, made, rolled, settled
from everyhop.acme.store import Store


def kept(state: Path, authority: Authority) -> str | None:
    """Where the authority has the account of a store, for those who only look: the folder is neither made nor put in order, and what they
    may not read is as if it were not there."""
    try:
        it = json.loads((state / folder(authority) / "account.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return url_of(it)


def url_of(it: object) -> str | None:
    url = it.get("url") if isinstance(it, dict) else None
    return url if isinstance(url, str) else None


def folder(authority: Authority) -> str:
    return f"accounts/{authority.id}"


class Account:
    """One at one authority. `contact` are URLs such as `mailto:ops@example.com`; `agreed` that a person read the terms."""

    def __init__(self, store: Store, authority: Authority, contact: Sequence[str], agreed: bool) -> None:
        self.store, self.authority = store, authority
        self.contact, self.agreed = tuple(contact), agreed
        self.folder = folder(authority)

    def key(self) -> JWKEC:
        """Raises `Stopped` where what is kept is no key: another one in its place would be another account."""
        pem = self.store.read(f"{self.folder}/key.pem")
        if pem is None:
            pem = made()
            self.store.write(f"{self.folder}/key.pem", pem)
        return as_jwk(pem, f"{self.store.where(self.folder)}/key.pem")

    def is_there(self) -> bool:
        """Somebody has had one made. Raises `Stopped`."""
        return self.store.read(f"{self.folder}/key.pem") is not None and self.url() is not None

    def url(self) -> str | None:
        """Where the authority has it. Raises `Stopped`."""
        return url_of(self.store.read_json(f"{self.folder}/account.json"))

    def settle(self, client: Client) -> None:
        """Whoever died while the key was changed left two of them: from here on the client signs with the one that is known."""
        settled(self.store, self.folder, client, self.url())

    def roll(self, client: Client) -> bool:
        """Another key. Raises `Stopped`."""
        url = self.url()
        assert url is not None, "the client speaks for it"
        return rolled(self.store, self.folder, client, url)

    def ready(self, client: Client, key: JWK) -> None:
        """Makes the client speak for the account, which is made where there is none. Raises `Stopped`."""
        kept = self.store.read_json(f"{self.folder}/account.json") or {}
        url = kept.get("url")
        if not isinstance(url, str) or kept.get("contact") != list(self.contact):
            url = self.opened(client, key) if not isinstance(url, str) else self.told(client, url)
            self.store.write_json(f"{self.folder}/account.json", {"url": url, "contact": list(self.contact)})
        client.network.account = messages.RegistrationResource(body=messages.Registration(), uri=url)

    def forget(self) -> None:
        """The authority knows it no more; the key stays, and finds it again where it does."""
        self.store.remove(f"{self.folder}/account.json")

    def opened(self, client: Client, key: JWK) -> str:
        directory = client.directory_
        if not self.agreed:
            terms = f": {directory.terms}" if directory.terms else ""
            raise stopped("here", f"its terms are not agreed to{terms}", authority=self.authority.name)
        binding = None
        if self.authority.external is not None:
            try:
                binding = messages.ExternalAccountBinding.from_data(
                    key.public_key(), self.authority.external.kid, self.authority.external.hmac_key, directory.it
                )
            except Exception as e:
                said = "the key of its external account is not base64url"
                raise stopped("here", said, authority=self.authority.name) from e
        elif directory.wants_external:
            said = "it takes accounts only with an external account (kid and key), which is not configured"
            raise stopped("here", said, authority=self.authority.name)
        wanted = messages.NewRegistration.from_data(
            contact=self.contact, terms_of_service_agreed=True, external_account_binding=binding
        )
        client.network.account = None
        try:
            with client.network.asking():
                return str(client.new_account(wanted).uri)
        except errors.ConflictError as e:  # It is there already: an answer was lost, or the store was.
            return str(e.location)

    def told(self, client: Client, url: str) -> str:
        """The contacts have changed."""
        client.network.account = messages.RegistrationResource(body=messages.Registration(), uri=url)
        with client.network.asking():
            client._post(url, messages.UpdateRegistration.from_data(contact=self.contact))
        return url
