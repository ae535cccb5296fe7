"""Takes certificates back at the authority that issued them, once another one is served in their place (RFC 8555 §7.6).

Nothing that is shown is taken back unless somebody said so; whatever stops it is tried again, and told. What is taken back is never
shown again, and its key is removed. Read next: `revocations.py`, which keeps them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from josepy.jwa import ES256, RS256
from josepy.jwk import JWKEC, JWKRSA
from josepy.util import ComparableECKey, ComparableRSAKey

from everyhop.acme.account import Account
from everyhop.acme.backoff import delay_s
from everyhop.acme.client import Client
from everyhop.acme.directory import Authority, fetched
from everyhop.acme.judge import Chain, PrivateKey, kept, mark_of
from everyhop.acme.network import Network
from everyhop.acme.problem import Problem, Stopped, printable, stopped
from everyhop.acme.revocations import REASONS, At, Revocation, serial_of
from everyhop.acme.site import Stepped, Wanted
from everyhop.acme.state import site_state
from everyhop.acme.work import roots_of
from everyhop.model.acme import site_folder

if TYPE_CHECKING:
    from everyhop.acme.keeper import Keeper

LOOK_S = 60.0
"""Between two looks at whether the new one is shown, where nobody says so."""
NOT_OURS = {"unauthorized", "accountDoesNotExist"}


@dataclass(frozen=True)
class Found:
    """A certificate in the store of which nobody has asked that yet."""

    site: str
    folder: str
    kind: str
    chain: Chain
    key: PrivateKey
    authority: str
    wanted: Wanted | None
    """What is configured of it."""

    @property
    def serial(self) -> str:
        return serial_of(self.chain)

    @property
    def is_in_force(self) -> bool:
        return self.wanted is not None and self.wanted.chain is not None and serial_of(self.wanted.chain) == self.serial


class TakingBack:
    """Of one keeper."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper

    def found(self, site: str | None, serial: str | None) -> tuple[list[Found], list[Revocation]]:
        """What the store has of a site, configured or not, or by that serial number; and those of which it was asked before.
        Raises `Stopped`."""
        keeper, store = self.keeper, self.keeper.store
        names = {site_folder(name): name for name in keeper.sites}
        if site is not None:
            names.setdefault(site_folder(site), site)
        found: list[Found] = []
        known: dict[str, Revocation] = {}
        if serial is not None and (one := keeper.revocations.all.get(serial)) is not None:
            return [], [one]
        for path in sorted((store.folder / "sites").glob("*/*.pem")):
            folder, kind = f"sites/{path.parent.name}", path.name.removesuffix(".pem")
            if kind.endswith(".next") or (site is not None and folder != site_folder(site)):
                continue
            data = store.read(f"{folder}/{path.name}")
            pair = kept(data) if data is not None else None
            if pair is None:
                continue
            opened = [
                it for it in keeper.revocations.all.values() if (it.folder, it.kind) == (folder, kind) and it.open
            ]
            # One that is under way is what is meant, not what took its place meanwhile.
            before = opened[0] if opened and serial is None else keeper.revocations.all.get(serial_of(pair[0]))
            if before is not None:
                known[before.serial] = before
                continue
            name = names.get(folder, path.parent.name)
            state = keeper.states.get(name) or site_state(store, f"{folder}/state.json")
            renewal = state.renewals.get(kind)
            by = renewal.authority if renewal is not None else ""
            it = Found(name, folder, kind, *pair, by, self.wanted_of(folder, kind))
            if serial in {None, it.serial}:
                found.append(it)
        return found, list(known.values()) if serial is None else []

    def wanted_of(self, folder: str, kind: str) -> Wanted | None:
        return next((it for it in self.keeper.wanted.values() if it.path == f"{folder}/{kind}"), None)

    def begin_again(self, it: Revocation, reason: str, *, only: bool) -> str:
        """One that the authority has refused, or one that is to be gone without another one first. Raises `Stopped`."""
        wanted = self.wanted_of(it.folder, it.kind)
        shown = wanted is not None and wanted.chain is not None and serial_of(wanted.chain) == it.serial
        at: At = "replacing" if shown and not only else "revoking"
        if it.at == "refused":
            self.keeper.revocations.put(replace(it, at=at, reason=reason, only=only, next_at=0.0, problem=None))
        elif it.open and only and not it.only:
            self.keeper.revocations.put(replace(it, at=at, only=True, next_at=0.0))
        return it.serial

    def begin(self, it: Found, reason: str, *, only: bool) -> str:
        """Its serial number; from here on it is taken back, whatever happens to this process. Raises `Stopped`."""
        keeper = self.keeper
        waits = it.is_in_force and not only
        one = Revocation(
            it.serial,
            it.site,
            it.folder,
            it.kind,
            mark_of(it.chain),
            it.authority,
            reason,
            only,
            it.chain.ends.timestamp(),
            "replacing" if waits else "revoking",
        )
        pem = it.chain.pem
        if reason == "key-compromise":
            # It alone may have to say so, where the account is not at hand.
            pem = it.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + pem
        keeper.revocations.begin(one, pem)
        if it.wanted is not None:
            if reason == "key-compromise" and it.wanted.order is not None:
                # Whoever has read this key has read the one to come.
                keeper.work.drop(it.wanted)
            # What was in the way before is tried now.
            keeper.states[it.wanted.site.name].problem = None
            keeper.tell(it.wanted.site.name)
        return it.serial

    def wait_s(self, now: float) -> float:
        every = [it for it in self.keeper.revocations.all.values() if it.open]
        return min((max(it.next_at - now, 0.0) if self.is_ready(it) else LOOK_S for it in every), default=1e9)

    def is_ready(self, it: Revocation) -> bool:
        """Nothing shows it any more, and what took its place is shown."""
        if it.at == "revoking":
            return True
        wanted = self.wanted_of(it.folder, it.kind)
        if wanted is not None and (
            wanted.chain is None
            or serial_of(wanted.chain) == it.serial
            or not self.keeper.is_shown(mark_of(wanted.chain))
        ):
            return False
        return not self.keeper.is_shown(it.mark)

    def step(self) -> Stepped | None:
        now = self.keeper.now()
        for it in self.keeper.revocations.all.values():
            if it.open and it.next_at <= now and self.is_ready(it):
                return self.done(it, now)
        return None

    def done(self, it: Revocation, now: float) -> Stepped:
        keeper, fault = self.keeper, None
        try:
            if it.at == "replacing":
                it = keeper.revocations.goes_on(it, "revoking")
            self.told(it, now)
            it = keeper.revocations.goes_on(it, "revoked")
            self.removed(it)
            said = f"the certificate {it.serial} of site {it.site!r} is revoked ({it.reason})"
            return Stepped(0.0, said=(said,))
        except Stopped as e:
            problem = e.problem
        except Exception as e:
            fault, problem = e, Problem("here", printable(f"a fault of Everyhop's own: {type(e).__name__}: {e}"))
        wait_s = delay_s(problem.kind, it.failures + 1, problem.retry_after_s, keeper.lot())
        final = problem.kind == "refused" and problem.code != "accountDoesNotExist"
        after = replace(
            it, at="refused" if final else it.at, failures=it.failures + 1, next_at=now + wait_s, problem=problem
        )
        with contextlib.suppress(Stopped):
            keeper.revocations.put(after)
        again = "" if final else "; tried again by itself"
        said = f"the certificate {it.serial} of site {it.site!r} is not revoked: {problem}{again}"
        return Stepped(0.0, fault=fault, said=() if str(it.problem) == str(problem) else (said,))

    def told(self, it: Revocation, now: float) -> None:
        """The authority knows it now. Raises `Stopped`."""
        keeper = self.keeper
        pem = keeper.revocations.pem(it)
        authority = next((one for one in keeper.authorities if one.url == it.authority), None)
        if authority is None:
            raise stopped("here", f"{it.authority}, which issued it, is not configured any more: [acme] authority")
        if pem is None:
            raise stopped("here", f"{keeper.store.where('revocations')}/{it.serial}.pem is gone")
        leaf = x509.load_pem_x509_certificates(pem)[0]
        by_key = it.reason == "key-compromise" and b"PRIVATE KEY" in pem
        account = Account(keeper.store, authority, keeper.work.contact, keeper.work.agreed)
        try:
            if by_key and not account.is_there():
                self.told_by_key(authority, pem, leaf, it)
                return
            if keeper.standings.free_at(authority.url, now) > now:
                problem = keeper.standings.of(authority.url).problem
                raise Stopped(problem or Problem("outage", "rests", authority=authority.name))
            client, _ = keeper.work.talk(authority, now)
            client.take_back(leaf, REASONS[it.reason])
        except Stopped as e:
            if e.problem.code == "accountDoesNotExist":
                account.forget()
            if e.problem.kind in {"outage", "refused"}:
                keeper.work.hang_up(authority)
            if not by_key or not (e.problem.kind == "here" or e.problem.code in NOT_OURS):
                raise
            self.told_by_key(authority, pem, leaf, it)

    def told_by_key(self, authority: Authority, pem: bytes, leaf: x509.Certificate, it: Revocation) -> None:
        """By whoever has the certificate's own key, which is proof enough (RFC 8555 §7.6). Raises `Stopped`."""
        key = load_pem_private_key(pem, None)
        assert isinstance(key, PrivateKey), "it was kept with the certificate"
        is_rsa = isinstance(key, rsa.RSAPrivateKey)
        jwk = JWKRSA(key=ComparableRSAKey(key)) if isinstance(key, rsa.RSAPrivateKey) else as_ec(key)
        network = Network(authority.name, roots_of(authority), jwk, self.keeper.work.step_s)
        try:
            network.alg = RS256 if is_rsa else ES256
            Client(fetched(authority, network), network).take_back(leaf, REASONS[it.reason])
        finally:
            network.close()

    def removed(self, it: Revocation) -> None:
        """Neither it nor its key is used again. Raises `Stopped`."""
        keeper = self.keeper
        keeper.revocations.forget_key(it)
        data = keeper.store.read(f"{it.folder}/{it.kind}.pem")
        pair = kept(data) if data is not None else None
        if pair is None or serial_of(pair[0]) != it.serial:
            return
        keeper.store.remove(f"{it.folder}/{it.kind}.pem")
        for key, wanted in keeper.wanted.items():
            if wanted.path == f"{it.folder}/{it.kind}":
                wanted.in_force = wanted.chain = None
                keeper.served = {one: there for one, there in keeper.served.items() if one != key}
                keeper.tell(wanted.site.name)

    def seen(self, serials: tuple[str, ...]) -> dict[str, object]:
        every = [self.keeper.revocations.all[it] for it in serials if it in self.keeper.revocations.all]
        if all(it.at == "revoked" for it in every):
            return {"is": "done", "serials": list(serials)}
        for it in every:
            if it.problem is not None:
                next_try = None if it.at == "refused" else of_moment(it.next_at)
                return {"is": "stopped", "why": str(it.problem), "next_try": next_try}
            told = next((one for one in self.keeper.status() if one.site == it.site), None)
            if it.at == "replacing" and told is not None and told.problem is not None:
                why = f"no other certificate yet: {told.problem}"
                return {"is": "stopped", "why": why, "next_try": told.next_try.isoformat()}
        return {"is": "waiting"}


def of_moment(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat()


def as_ec(key: ec.EllipticCurvePrivateKey) -> JWKEC:
    return JWKEC(key=ComparableECKey(key))
