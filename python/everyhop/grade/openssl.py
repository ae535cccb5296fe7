"""What the engine's TLS cannot offer, offered by Python's OpenSSL: versions before TLS 1.2, and suites and groups that no policy has.

Each try is one handshake that is ended at once. Nothing is verified here and nothing is sent: these sessions carry no byte of anybody's.
What this machine's OpenSSL was built without is said, never taken for what the server does not have. Read next: `trying.py`.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

LEVEL = ":@SECLEVEL=0"
"""Whatever was built in: the distribution's own floor would hide what the server takes."""
EVERYTHING = "ALL:COMPLEMENTOFALL:!PSK:!SRP"
"""Suites by a shared key or a password need one."""
V10, V11, V12, V13 = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
OURS = ("NO_CIPHERS_AVAILABLE", "NO_PROTOCOLS_AVAILABLE", "NO_SUITABLE_GROUPS", "NO_CIPHER_MATCH")
"""Reasons for which nothing was offered at all."""
SHORT_DH = "DH_KEY_TOO_SMALL"
FAMILIES = {"RC4": "RC4", "3DES": "DES-CBC3", "export suites": "EXP"}
"""By what stands in the names of suites."""


@dataclass(frozen=True)
class Taken:
    """The server chose that suite, however the handshake ended; and what it showed, where that was looked at."""

    suite: str
    leaf: bytes | None


@dataclass(frozen=True)
class Refused:
    """It answered otherwise, or closed; or what it answered is refused here, for `reason`."""

    reason: str = ""


@dataclass(frozen=True)
class Untried:
    """Nothing is known of it, and why."""

    why: str


@dataclass(frozen=True)
class Peer:
    """Whom to try, and within which time each."""

    host: str
    port: int
    name: str
    timeout_s: float
    identity: tuple[str, str] | None = None
    """Files of a chain and its key, shown where asked for."""

    @property
    def sni(self) -> str | None:
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(self.name)
            return None
        return self.name


def context(
    peer: Peer, low: ssl.TLSVersion, high: ssl.TLSVersion, suites: str = EVERYTHING, group: str = "", level: str = LEVEL
) -> ssl.SSLContext:
    """Raises `ValueError` or `ssl.SSLError` where OpenSSL has none of it."""
    it = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    it.check_hostname, it.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings():
        # Python calls them deprecated, which is why they are asked for.
        warnings.simplefilter("ignore", DeprecationWarning)
        it.minimum_version, it.maximum_version = low, high
    it.set_ciphers(suites + level)
    if group:
        it.set_ecdh_curve(group)
    if peer.identity is not None:
        it.load_cert_chain(*peer.identity)
    return it


def shaken(
    peer: Peer, version: ssl.TLSVersion, suites: str, group: str = "", level: str = LEVEL
) -> Taken | Refused | Untried:
    """One handshake with that alone."""
    try:
        by = context(peer, version, version, suites, group, level)
    except (ValueError, ssl.SSLError):
        return Untried(f"{ssl.OPENSSL_VERSION} here was built without it")
    try:
        with (
            connected(peer) as raw,
            by.wrap_socket(raw, server_hostname=peer.sni, do_handshake_on_connect=False) as sock,
        ):
            try:
                sock.do_handshake()
            except OSError as e:
                return ended(e, sock, peer)
            chosen = sock.cipher()
            return Taken(chosen[0], sock.getpeercert(binary_form=True)) if chosen else Refused()
    except OSError as e:
        return Untried(f"no connection: {e.strerror or e}")


def ended(e: OSError, sock: ssl.SSLSocket, peer: Peer) -> Taken | Refused | Untried:
    """A suite that was chosen before the end was taken: who demands a certificate ends those handshakes later."""
    reason = (e.reason or "") if isinstance(e, ssl.SSLError) else ""
    if (chosen := sock.cipher()) is not None:
        return Taken(chosen[0], None)
    if reason in OURS:
        return Untried(f"{ssl.OPENSSL_VERSION} here was built without it")
    if isinstance(e, TimeoutError):
        return Untried(f"no answer within {peer.timeout_s:g} s")
    return Refused(reason)


@contextlib.contextmanager
def connected(peer: Peer) -> Iterator[socket.socket]:
    """A connection that ends in time, however slowly the server drips."""
    with socket.create_connection((peer.host, peer.port), peer.timeout_s) as sock:
        handle = sock.dup()
        timer = threading.Timer(2 * peer.timeout_s, cut, (handle,))
        timer.daemon = True
        timer.start()
        try:
            yield sock
        finally:
            timer.cancel()
            handle.close()


def cut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def leaf(peer: Peer, kind: str = "") -> bytes | None:
    """What it shows to who speaks with it at all: in any version, or of that kind of key in TLS 1.2."""
    suites = f"a{kind}" if kind else EVERYTHING
    for version in (V12,) if kind else (V13, V12, V11, V10):
        found = shaken(peer, version, suites)
        if isinstance(found, Taken) and found.leaf is not None:
            return found.leaf
    return None


def suites_here(peer: Peer) -> list[str]:
    """The suites of TLS 1.2 and before that can be offered from here."""
    try:
        known = context(peer, V12, V12).get_ciphers()
    except (ValueError, ssl.SSLError):
        return []
    return [it["name"] for it in known if not it["name"].startswith("TLS_")]


def suites_of_tls12(peer: Peer) -> tuple[list[str], str]:
    """All that it takes, in the order in which it chose them; and why there may be more."""
    left, taken = suites_here(peer), list[str]()
    if not left:
        return [], f"{ssl.OPENSSL_VERSION} here offers none"
    while left:
        found = shaken(peer, V12, ":".join(left))
        if isinstance(found, Untried):
            return taken, found.why
        if isinstance(found, Refused) or found.suite not in left:
            break
        taken.append(found.suite)
        left.remove(found.suite)
    return taken, ""


def is_short_dh(peer: Peer, suites: Sequence[str]) -> bool:
    """Whether its group of finite-field Diffie-Hellman is below what OpenSSL's level 2 demands: 2048 bits."""
    mine = [it for it in suites if it.startswith(("DHE-", "ADH-"))]
    if not mine:
        return False
    # Without a certificate of ours, which that level could refuse; it is asked for after the group came.
    found = shaken(replace(peer, identity=None), V12, ":".join(mine), level=":@SECLEVEL=2")
    return isinstance(found, Refused) and found.reason == SHORT_DH


def never_offered(peer: Peer) -> list[str]:
    """What this machine's OpenSSL has not, whoever is asked, and what nobody asks here."""
    names = suites_here(peer)
    missing = ["SSL 2.0", "SSL 3.0", *(word for word, part in FAMILIES.items() if not any(part in it for it in names))]
    return [
        f"{', '.join(missing)}: {ssl.OPENSSL_VERSION} here was built without them",
        "suites by a shared key or a password, CCM in TLS 1.3, and groups other than those of the policies, "
        "secp521r1, secp224r1 and secp192r1",
    ]
