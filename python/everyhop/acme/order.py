"""One order on its way, a step at a time: placed, proved, finalized, downloaded, judged (RFC 8555 §7.4).

What the authority has is the truth: each step asks for the order and does what its status wants next, so that whoever was
interrupted goes on with the URL and the key alone. Every step is on the disk before the next one. Read next: `keeper.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from acme import challenges, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from josepy.jwk import JWK

from everyhop.acme.client import Client, Placed
from everyhop.acme.directory import is_https
from everyhop.acme.judge import Chain, PrivateKey, ordered
from everyhop.acme.problem import Problem, Stopped, of_error, printable, stopped, words
from everyhop.acme.publisher import Publisher
from everyhop.acme.store import Store

PATIENCE_S = 3600.0
"""Of waiting for one order: resolvers and secondaries may take minutes, and nobody waits for ever."""
POLL_S, MOST_POLL_S = 2.0, 60.0
KEYS = ("ecdsa-p256", "rsa-2048")


@dataclass
class Shown:
    """An answer to a challenge that was published, or may have been."""

    authorization: str
    kind: str
    name: str
    token: str
    key_authorization: str = field(repr=False)
    ready_at: float = 0.0
    """Seconds since 1970."""


@dataclass
class Order:
    """What is kept of it."""

    authority: str
    names: tuple[str, ...]
    profile: str | None
    replaces: str | None
    url: str | None = None
    shown: list[Shown] = field(default_factory=list)
    proved: list[str] = field(default_factory=list)
    finalized: bool = False
    waited_s: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, it: Mapping[str, Any]) -> Order:
        """Raises `TypeError` or `LookupError` for what is none."""
        shown = [Shown(**one) for one in it["shown"]]
        return cls(**{**it, "names": tuple(it["names"]), "shown": shown, "proved": list(it["proved"])})


@dataclass
class Desk:
    """What an order is worked on with: its place in the store, and whom it talks to."""

    store: Store
    path: str
    """Of the order; the key to come and the certificate stand beside it."""
    client: Client
    key: JWK
    publisher: Publisher
    preferred: Sequence[str]
    turn: int
    """Which challenge is tried first: the next one after each failure."""
    now: float
    published: set[tuple[str, str]]
    """What this process has published: what another one did may be gone with it."""
    issuing: Callable[[], None]
    """Notes that a certificate is asked for."""

    @property
    def authority(self) -> str:
        return self.client.network.who

    def save(self, order: Order) -> None:
        self.store.write_json(f"{self.path}.order", order.as_json())


def advanced(order: Order, desk: Desk) -> Chain | float:
    """The certificate, or the seconds after which to go on. Raises `Stopped`."""
    if order.url is None:
        return placed(order, desk)
    it = desk.client.order(order.url)
    match it.body.status:
        case messages.STATUS_PENDING:
            return waited(order, proved(order, it, desk), desk)
        case messages.STATUS_READY:
            return finalized(order, it, desk)
        case messages.STATUS_PROCESSING:
            return waited(order, patience_s(desk), desk)
        case messages.STATUS_VALID:
            return downloaded(order, it, desk)
    raise Stopped(why_not(order, it, desk))


def waited(order: Order, wait_s: float, desk: Desk) -> float:
    """Counts what is spent on waiting, which no outage and no clock that is set adds to."""
    order.waited_s += wait_s
    if order.waited_s > PATIENCE_S:
        raise stopped("refused", f"has not decided within {PATIENCE_S / 60:.0f} minutes", authority=desk.authority)
    return wait_s


def placed(order: Order, desk: Desk) -> float:
    try:
        order.url = desk.client.place(order.names, order.profile, order.replaces).url
    except Stopped as e:
        if order.replaces is None or e.problem.kind != "refused" or e.problem.code == "accountDoesNotExist":
            raise
        # It may know nothing of the one before, or has seen it replaced: that is no reason against a new one.
        order.replaces = None
    desk.save(order)
    return 0.0


def proved(order: Order, it: Placed, desk: Desk) -> float:
    """Goes on with each name that is not proved yet."""
    waits = []
    for url in it.body.authorizations:
        if url in order.proved:
            continue
        if desk.client.network.is_late():
            return 0.0
        body = desk.client.authorization(url)
        if body.status == messages.STATUS_VALID:
            order.proved.append(url)
        elif body.status == messages.STATUS_PENDING:
            waits.append(one_proved(order, url, body, desk))
    desk.save(order)
    return min(waits, default=patience_s(desk))


def one_proved(order: Order, url: str, body: messages.Authorization, desk: Desk) -> float:
    """Seconds until it should be looked at again."""
    name = str(body.identifier.value)
    shown = next((one for one in order.shown if one.authorization == url), None)
    if shown is not None and (url, shown.token) in desk.published and desk.now < shown.ready_at:
        return shown.ready_at - desk.now
    challenge = chosen(body, shown, name, desk)
    if shown is None:
        token, answer = challenge.chall.encode("token"), challenge.chall.key_authorization(desk.key)
        shown = Shown(url, challenge.chall.typ, name, token, answer)
        order.shown.append(shown)
        desk.save(order)
    if (url, shown.token) not in desk.published:
        wait_s = published(order, shown, desk)
        if wait_s > 0:
            return wait_s
    if challenge.status == messages.STATUS_PENDING:
        desk.client.answer(challenge, desk.key)
    return patience_s(desk)


def published(order: Order, shown: Shown, desk: Desk) -> float:
    try:
        wait_s = desk.publisher.publish(shown.kind, shown.name, shown.token, shown.key_authorization)
    except OSError as e:
        # Another kind of challenge may do where this one does not.
        order.shown.remove(shown)
        desk.save(order)
        said = f"the answer to {shown.kind} cannot be published"
        raise stopped("here", said, (shown.name, e.strerror or str(e))) from e
    shown.ready_at = desk.now + wait_s
    desk.published.add((shown.authorization, shown.token))
    desk.save(order)
    return wait_s


def chosen(body: messages.Authorization, shown: Shown | None, name: str, desk: Desk) -> messages.ChallengeBody:
    """The challenge that was begun with, or the first by preference that the authority offers and we can answer."""
    offered = {it.chall.typ: it for it in body.challenges if isinstance(it.chall, challenges.KeyAuthorizationChallenge)}
    if shown is not None and shown.kind in offered:
        return offered[shown.kind]
    can = [kind for kind in desk.preferred if kind in offered and kind in desk.publisher.kinds]
    if not can:
        ours = ", ".join(kind for kind in desk.preferred if kind in desk.publisher.kinds) or "none"
        said = f"wants {' or '.join(sorted(offered)) or 'what nobody here knows'}; configured: {ours}"
        raise stopped("refused", "no challenge can be answered", (name, said), authority=desk.authority)
    return offered[can[desk.turn % len(can)]]


def finalized(order: Order, it: Placed, desk: Desk) -> float:
    csr = request(key_to_come(desk), order.names)
    if not order.finalized:
        # From here on it counts against the authority's limits, whatever becomes of it.
        desk.issuing()
        order.finalized = True
        desk.save(order)
    desk.client.finalize(it.body.finalize, csr)
    return 0.0


def downloaded(order: Order, it: Placed, desk: Desk) -> Chain:
    if not is_https(it.body.certificate):
        raise stopped("outage", "has a certificate and does not say where", authority=desk.authority)
    pem = desk.client.download(str(it.body.certificate))
    return ordered(pem, key_to_come(desk), order.names, desk.authority)


def why_not(order: Order, placed: Placed, desk: Desk) -> Problem:
    """Why an order came to nothing: what the authority says of it and of each name."""
    parts = []
    for url in placed.body.authorizations:
        if url in order.proved or desk.client.network.is_late():
            continue
        body = desk.client.authorization(url)
        name = printable(body.identifier.value)
        parts += [(name, f"{it.chall.typ}: {words(it.error)}") for it in body.challenges or () if it.error is not None]
    if placed.body.error is not None:
        whole = of_error(placed.body.error, 0, None, desk.authority)
        return Problem(whole.kind, whole.said, (*whole.parts, *parts), whole.code, desk.authority)
    said = "could not verify the names" if parts else f"ended the order without a word ({placed.body.status.name})"
    return Problem("refused", said, tuple(parts), "", desk.authority)


def withdrawn(order: Order, publisher: Publisher) -> None:
    """Takes back what was published; what cannot be is left, and proves nothing to anybody by then."""
    for shown in order.shown:
        try:
            publisher.withdraw(shown.kind, shown.name, shown.token, shown.key_authorization)
        except OSError:
            continue


def patience_s(desk: Desk) -> float:
    told = desk.client.network.retry_after_s()
    return POLL_S if told is None else min(max(told, 1.0), MOST_POLL_S)


def new_key(kind: str) -> bytes:
    made: PrivateKey
    made = rsa.generate_private_key(65537, 2048) if kind == "rsa-2048" else ec.generate_private_key(ec.SECP256R1())
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def key_to_come(desk: Desk) -> PrivateKey:
    pem = desk.store.read(f"{desk.path}.next.pem")
    try:
        key = load_pem_private_key(pem or b"", None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, PrivateKey):
        raise stopped("spent", f"the key of this order is gone from {desk.store.where(desk.path)}.next.pem")
    return key


def request(key: PrivateKey, names: Collection[str]) -> x509.CertificateSigningRequest:
    """Its names, and nothing that an authority might refuse: no subject, no must-staple."""
    listed = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    it = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(listed, critical=False)
    return it.sign(key, hashes.SHA256())
