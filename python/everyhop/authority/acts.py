"""What an authority does from day to day: it issues, lists, takes back and publishes. Each act is one step of the index: what is not
in it never left the process, and what is in it may have."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from everyhop.authority import certify, generation, index
from everyhop.authority.certify import pem, serial_of
from everyhop.authority.folder import PUBLIC, SECRET, STATE, as_json, closed, content, locked, replace, state
from everyhop.authority.generation import Generation, open_key
from everyhop.authority.index import Entry, Index
from everyhop.authority.names import SPIFFE, Name
from everyhop.authority.policy import Policy
from everyhop.authority.request import certified, judged
from everyhop.errors import Declined, Misuse, Surroundings
from everyhop.files import synced

LONGEST = dt.timedelta(days=397)
LIST_LASTS = dt.timedelta(days=30)
MOST_NAMES = 100
STOLEN = "key-compromise"
VERSION = 1  # of what is kept
ROOTS, LISTS = "roots.pem", "crl.pem"
Clock = Callable[[], dt.datetime]


def utc() -> dt.datetime:
    """Now, in whole seconds as certificates have them."""
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Issued:
    """A certificate with what it brings along, and its key where that was made here."""

    entry: Entry
    chain_pem: bytes = field(repr=False)
    key_pem: bytes | None = field(repr=False)
    is_cut: bool
    """Whether it ends sooner than was asked for, with its issuer."""


@dataclass(frozen=True)
class Authority:
    """One that is there. `at` is its folder."""

    at: Path
    policy: Policy
    active: int
    trusted: tuple[int, ...]
    publish: tuple[str, ...]
    clock: Clock = utc

    def generations(self) -> list[Generation]:
        return [generation.read(self.at, n) for n in self.trusted]

    def index(self) -> Index:
        return index.read(self.at)

    def in_force(self, known: Index, now: dt.datetime) -> list[Entry]:
        """What those believe who trust the roots of now."""
        return [it for it in known.entries.values() if it.generation in self.trusted and it.in_force(now)]

    def issue(
        self,
        names: Collection[Name],
        use: str,
        lasts: dt.timedelta,
        csr: x509.CertificateSigningRequest | None = None,
        where: str = "the request",
    ) -> Issued:
        """A certificate for `names`, or for those of a request; its key is made here unless a request has one.

        Raises `Declined` for a name outside, for a request that asks for more, for one that would last too long.
        """
        wanted = list(dict.fromkeys(names)) if csr is None else judged(csr, where, list(names), use)
        fits(wanted, lasts)
        for name in wanted:
            self.policy.admit(name)
        if csr is not None:
            public, made = certified(csr), None
        else:
            made = certify.new_key()
            public = made.public_key()
        with self.changing():
            return self.issue_held(wanted, use, lasts, public, made)

    def issue_held(
        self,
        names: list[Name],
        use: str,
        lasts: dt.timedelta,
        public: CertificateIssuerPublicKeyTypes,
        made: ec.EllipticCurvePrivateKey | None = None,
        token: str | None = None,
    ) -> Issued:
        """Issues what was judged, under the lock that the caller holds. `token`: which one is used up by it, in the same step.

        Raises `Declined`.
        """
        now, known = self.clock(), self.index()
        self.unknown_to_thieves(public, known)
        mine = generation.read(self.at, self.active)
        by = mine.signer()
        ends = min(now + lasts, by.cert.not_valid_after_utc)
        if ends <= now:
            raise Declined(
                f"the issuing authority ended on {ends:%Y-%m-%d}; nothing was issued",
                "  make another: everyhop ca rotate DIR",
            )
        cert = certify.leaf(names, public, use, by, now, ends)
        while serial_of(cert) in known.entries:  # nobody will ever see it
            cert = certify.leaf(names, public, use, by, now, ends)
        told = {
            "event": "issued",
            "at": now.isoformat(),
            "serial": serial_of(cert),
            "names": [str(it) for it in names],
            "for": use,
            "generation": self.active,
            "begins": cert.not_valid_before_utc.isoformat(),
            "ends": cert.not_valid_after_utc.isoformat(),
            "lasts_s": int(lasts.total_seconds()),
            "certificate": pem(cert).decode(),
        }
        told |= {"token": token} if token is not None else {}
        index.add(self.at, known.whole, told)
        key = open_key(made) if made else None
        return Issued(index.entry(told), pem(cert, by.cert), key, ends < now + lasts)

    def unknown_to_thieves(self, public: CertificateIssuerPublicKeyTypes, known: Index) -> None:
        """Raises `Declined` for a key that others have, or that is an authority's own."""
        mine = _spki(public)
        if any(_spki(c.public_key()) == mine for g in self.generations() for c in (g.root, g.issuing)):
            raise Declined("that key is the authority's own; nothing was issued")
        for it in known.entries.values():
            if it.reason == STOLEN and _spki(x509.load_pem_x509_certificate(it.pem.encode()).public_key()) == mine:
                raise Declined(
                    f"that key was taken back as stolen, with certificate {it.serial}; nothing was issued",
                    "  make a new key",
                )

    def revoke(self, which: str, reason: str, *, every: bool = False) -> list[Entry]:
        """Takes back the certificate of that serial, or those in force of that name, and publishes a new list. Of one that was
        taken back for another reason it can be said later that its key was stolen: nobody gets a certificate for that key again.

        Raises `Misuse` where there is none, or several and not `every`.
        """
        with self.changing():
            now, known = self.clock(), self.index()
            found = self.chosen(known, which, now)
            if len(found) > 1 and not every:
                serials = [f"  {it.serial}  until {it.ends:%Y-%m-%d}" for it in found]
                raise Misuse(
                    f"{len(found)} certificates in force are of {which!r}: name one by its serial, or say --all",
                    *serials,
                )
            whole = known.whole
            for it in found:
                if it.revoked is None or (reason == STOLEN and it.reason != STOLEN):
                    told = {"event": "revoked", "at": now.isoformat(), "serial": it.serial, "reason": reason}
                    whole = index.add(self.at, whole, told)
            try:
                self._publish(LIST_LASTS)
            except Surroundings as e:
                raise Surroundings(
                    f"taken back, and not published everywhere: {e}", "  then: everyhop ca crl DIR"
                ) from e
            after = self.index()
            return [after.entries[it.serial] for it in found]

    def chosen(self, known: Index, which: str, now: dt.datetime) -> list[Entry]:
        """By serial, however it is written, or by name. One that was taken back already is chosen too: it is published again.

        Raises `Misuse`.
        """
        digits = which.replace(":", "").removeprefix("0x").upper()
        if (it := known.entries.get(digits) or known.entries.get(f"0{digits}")) is not None:
            return [it]
        found = [it for it in self.in_force(known, now) if which in it.names]
        if not found:
            why = f"no certificate in force is of {which!r}, by serial or by name; nothing was done"
            raise Misuse(why, "  everyhop ca list DIR --all")
        return found

    def publish_all(self, lasts: dt.timedelta = LIST_LASTS, also: Collection[Path] = ()) -> list[Path]:
        """Signs new lists, and writes them and the roots into the folder, and wherever they are published.

        Raises `Surroundings`.
        """
        with self.changing():
            return self._publish(lasts, also)

    def _publish(self, lasts: dt.timedelta, also: Collection[Path] = ()) -> list[Path]:
        now, known = self.clock(), self.index()
        number = known.lists + 1
        index.add(self.at, known.whole, {"event": "list", "at": now.isoformat(), "number": number})
        # Below one that ended nothing is believed anyway, and its list could not be fresh.
        found = [it for it in self.generations() if now < it.issuing.not_valid_after_utc]
        lists = []
        for it in found:
            by = it.signer()
            gone = [
                certify.revoked(int(e.serial, 16), e.revoked, e.reason)
                for e in known.entries.values()
                if e.generation == it.number and e.revoked and now < e.ends
            ]
            lists.append(certify.revocations(by, gone, number, now, min(now + lasts, by.cert.not_valid_after_utc)))
        above = {g.root: of_root([o for o in found if o.root == g.root]) for g in found}
        roots = dict.fromkeys(g.root for g in self.generations())
        # Who signed them comes along, for edges that know the root alone (`identity/vouched.py`).
        along = [it.issuing for it in found]
        texts = {ROOTS: pem(*roots), LISTS: pem(*above.values(), *lists, *along)}
        written = []
        for folder in (self.at, *map(Path, self.publish), *also):
            for name, text in texts.items():
                replace(folder / name, text, PUBLIC)
                written.append(folder / name)
        return written

    def published(self) -> list[x509.CertificateRevocationList]:
        """The lists of the last time, the roots' own among them.

        Raises `Surroundings`.
        """
        blocks = content(self.at / LISTS).split(b"-----END X509 CRL-----\n")[:-1]
        return [x509.load_pem_x509_crl(it + b"-----END X509 CRL-----\n") for it in blocks]

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Under the lock, and only if the authority is still what was read before."""
        with locked(self.at):
            if read_state(self.at, self.clock) != self:
                raise Surroundings("another process changed the authority meanwhile; nothing was done", "  do it again")
            yield

    def keep(self) -> None:
        """Writes what it is, in one step."""
        told = {"version": VERSION, "policy": self.policy.to_json(), "active": self.active}
        told |= {"trusted": list(self.trusted), "publish": list(self.publish)}
        replace(self.at / STATE, as_json(told), SECRET)


def _spki(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined, no-any-return]


def of_root(below: list[Generation]) -> x509.CertificateRevocationList:
    """The root's list, while these stand below it: the newest, which lasts longest. Of one alone it names those before."""
    return below[0].alone_list if len(below) == 1 else max(below, key=lambda it: it.number).root_list


def fits(names: list[Name], lasts: dt.timedelta) -> None:
    """Raises `Misuse` for what no certificate is like, `Declined` for what lasts too long."""
    if not 0 < len(names) <= MOST_NAMES:
        raise Misuse(f"a certificate has 1 to {MOST_NAMES} names")
    if sum(it.kind == "uri" for it in names) > 1:
        raise Misuse(f"a certificate has one SPIFFE ID ({SPIFFE}...): two would be two workloads (X509-SVID 2)")
    if lasts > LONGEST:
        raise Declined(
            f"a certificate lasts {LONGEST.days} days at most here, not {lasts.days}; nothing was issued",
            "  issue another before it ends: everyhop ca list tells what ends when",
        )


def begin(at: Path, policy: Policy, passphrase: bytes, publish: tuple[str, ...] = (), clock: Clock = utc) -> Authority:
    """Makes an authority in a folder that is not there yet, or is empty: whole, or not at all.

    Raises `Surroundings`.
    """
    at = at.absolute()
    try:
        if at.exists() and (not at.is_dir() or any(at.iterdir())):
            raise Surroundings(f"{at} is there already and not empty; nothing was made", "  name another folder")
        at.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=at.parent, prefix=f".{at.name}-"))
        try:
            generation.make(beside, 1, policy, passphrase, clock(), None)
            it = Authority(beside, policy, 1, (1,), publish, clock)
            it.keep()
            index.begin(beside, clock())
            it.publish_all()
            beside.chmod(0o700)
            beside.rename(at)
            synced(at.parent)
        finally:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(beside)
    except OSError as e:
        raise Surroundings(f"cannot make {at}: {e.strerror}") from e
    return opened(at, clock)


def opened(at: Path, clock: Clock = utc) -> Authority:
    """The authority in a folder.

    Raises `Surroundings` where there is none, or where others could use it.
    """
    closed(at)
    return read_state(at.absolute(), clock)


def read_state(at: Path, clock: Clock) -> Authority:
    told = state(at)
    try:
        if told["version"] != VERSION:
            raise Surroundings(
                f"{at / STATE} is of version {told['version']}, and this Everyhop knows {VERSION}; nothing was done",
                "  use the Everyhop that wrote it, or a later one",
            )
        policy = Policy.from_json(told["policy"])
        return Authority(at, policy, told["active"], tuple(told["trusted"]), tuple(told["publish"]), clock)
    except (KeyError, TypeError) as e:
        raise Surroundings(f"{at / STATE} is damaged ({e})", "  put back the last copy of it") from e
