"""Another key for the account at an authority (RFC 8555 §7.3.5), so that at every moment a key that it knows is on the disk.

The new one is written down before it is sent, and takes the place of the old one only after the authority has shown that it knows
it. Whoever dies in between, or loses the answer, asks which of the two is known, before anything else is asked. Read next: `account.py`.
"""

from __future__ import annotations

import json

from acme import jws, messages
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC
from josepy.util import ComparableECKey

from everyhop.acme.client import Client
from everyhop.acme.problem import Stopped, stopped
from everyhop.acme.store import Store


def made() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def as_jwk(pem: bytes, where: str) -> JWKEC:
    """Raises `Stopped` where it is no key: another one in its place would be another account."""
    try:
        key = load_pem_private_key(pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError
    except (ValueError, TypeError):
        raise stopped("here", f"{where} is no key on P-256") from None
    return JWKEC(key=ComparableECKey(key))


def rolled(store: Store, folder: str, client: Client, url: str) -> bool:
    """Changes the key of the account at `url`, whose files are in `folder`; false where the authority took the old one to stay.

    Raises `Stopped`: what the authority says against it, or that nobody knows yet which of the two it has.
    """
    if not isinstance(getattr(client.directory, "keyChange", None), str):
        raise stopped("refused", "offers no change of an account's key", authority=client.network.who)
    pem = made()
    store.write(f"{folder}/key.next.pem", pem)
    try:
        change(client, url, as_jwk(pem, "the new key"))
    except Stopped:
        # A no, or an answer that was lost: it knows one of the two, and says which.
        if settled(store, folder, client, url):
            return True
        raise
    return settled(store, folder, client, url)


def settled(store: Store, folder: str, client: Client, url: str | None) -> bool:
    """Whether the key to come is the account's by now; then the client signs with it. Raises `Stopped` where nobody says.

    Where the authority knows neither, both stay.
    """
    pem = store.read(f"{folder}/key.next.pem")
    if pem is None:
        return False
    new = as_jwk(pem, f"{store.where(folder)}/key.next.pem")
    assert client.network.key is not None, "it signs"
    old: JWK = client.network.key
    is_new = store.read(f"{folder}/key.pem") == pem or is_of(client, new, url)
    if is_new:
        store.write(f"{folder}/key.pem", pem)
    elif not is_of(client, old, url):
        client.network.key = old
        return False
    store.remove(f"{folder}/key.next.pem")
    client.network.key = new if is_new else old
    return is_new


def is_of(client: Client, key: JWK, url: str | None) -> bool:
    """Whether the authority has an account by that key, and it is this one (RFC 8555 §7.3.1). Raises `Stopped`."""
    account, before = client.network.account, client.network.key
    client.network.account, client.network.key = None, key
    try:
        with client.network.asking():
            wanted = messages.NewRegistration(only_return_existing=True)
            found = client._post(client.directory["newAccount"], wanted).headers.get("Location")
    except Stopped as e:
        if e.problem.code == "accountDoesNotExist":
            return False
        raise
    finally:
        client.network.account, client.network.key = account, before
    return found is not None and url in {None, found}


def change(client: Client, url: str, new: JWKEC) -> None:
    """The new key signs that it is to be the account's, and the old one that the account says so."""
    assert client.network.key is not None, "it signs"
    to = client.directory["keyChange"]
    said = {"account": url, "oldKey": client.network.key.public_key().to_partial_json()}
    inner = jws.JWS.sign(json.dumps(said).encode(), key=new, alg=ES256, nonce=None, url=to)
    with client.network.asking():
        client._post(to, inner)
