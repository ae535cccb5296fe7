"""What of a port can be seen from here: who is bound to it, whether it answers, whom it refuses. Each look is a connection like anybody's;
nothing is sent to a backend but where a guard let it through."""

from __future__ import annotations

import datetime as dt
import errno
import ipaddress
import os
import socket
import ssl
import struct
from pathlib import Path

import ifaddr
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from everyhop.authority import certify
from everyhop.authority.generation import open_key
from everyhop.authority.names import named
from everyhop.compile.names import Address
from everyhop.errors import Misuse, Surroundings

PATIENCE_S = 5.0
"""A guard that is ours refuses at once; who says nothing for so long has let somebody in."""
LISTENING = "0A"
PLAIN = b"GET / HTTP/1.1\r\nHost: check.invalid\r\nConnection: close\r\n\r\n"
REFUSING = ("CERTIFICATE_REQUIRED", "UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN")
"""Alerts that say no to a certificate, or to none (RFC 8446 §6.2). TLS 1.2 has no word for the latter, so that 1.3 is spoken here."""


def bound(port: int) -> set[str]:
    """The addresses that somebody on this host listens at on `port`, as the kernel lists them."""
    found: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:  # a kernel without IPv6
            continue
        for row in rows:
            _, local, _, state, *_ = row.split()
            host, _, digits = local.partition(":")
            if state == LISTENING and int(digits, 16) == port:
                words = [struct.pack("=I", int(host[i : i + 8], 16)) for i in range(0, len(host), 8)]
                found.add(str(ipaddress.ip_address(b"".join(words))))
    return found


def reached_by_others(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    return not (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


def own_addresses() -> list[str]:
    """Of this host, but for loopback; those of one link with its number."""
    found = []
    for adapter in ifaddr.get_adapters():
        for it in adapter.ips:
            text, scope = (it.ip, 0) if isinstance(it.ip, str) else (it.ip[0], it.ip[2])
            if reached_by_others(text):
                found.append(f"{text}%{scope}" if scope else text)
    return sorted(set(found))


def hosts_of(at: Address) -> list[str]:
    """Where a name leads to. Raises `Misuse`, `Surroundings`."""
    if at.ip is not None:
        ip = ipaddress.ip_address(at.ip)
        return ["127.0.0.1" if ip.is_unspecified else at.ip]
    if at.name is None:
        raise Misuse(f"{at} is no address and port")
    try:
        found = socket.getaddrinfo(at.name, at.port, type=socket.SOCK_STREAM)
    except OSError as e:
        raise Surroundings(f"{at.name} leads nowhere: {e.strerror}") from e
    return sorted({str(it[4][0]) for it in found})


def connected(host: str, port: int, source: str | None) -> socket.socket:
    """Raises `OSError`; `Surroundings` for a source that is not of this host."""
    if source is None or (":" in source) != (":" in host):
        return socket.create_connection((host, port), PATIENCE_S)
    try:
        return socket.create_connection((host, port), PATIENCE_S, source_address=(source, 0))
    except OSError as e:
        if source.partition("%")[0] not in {it.partition("%")[0] for it in own_addresses()} and reached_by_others(
            source
        ):
            raise Surroundings(f"--from {source} is no address of this host") from e
        raise


class NotAsked(Exception):
    """A connection that did not come so far as to be refused: nothing is known of who listens there."""


def answers(host: str, port: int, source: str | None) -> bool:
    """Raises `NotAsked`."""
    try:
        connected(host, port, source).close()
    except (ConnectionError, TimeoutError):
        return False
    except OSError as e:
        # A firewall's word for no, beside those of above.
        if e.errno == errno.EHOSTUNREACH:
            return False
        raise NotAsked(e.strerror or str(e)) from e
    return True


def lets_in_plaintext(host: str, port: int, source: str | None) -> str | None:
    """What came back that is neither TLS nor a refusal; `None` where nothing did."""
    try:
        with connected(host, port, source) as sock:
            sock.sendall(PLAIN)
            data = sock.recv(64)
    except OSError:
        return None
    is_refused = data[:1] == b"\x15" or (data.startswith(b"HTTP/") and data[9:10] == b"4")
    return None if is_refused or not data else data.split(b"\r\n")[0].decode(errors="replace")


def why_not_refused(host: str, port: int, source: str | None, calls_itself: str | None) -> str | None:
    """`None` where whoever shows a certificate of an authority that nobody knows, or none without a name, is refused for that."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Whom we meet is not asked: that is the edge's part.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if calls_itself is not None:
        show(context, calls_itself)
    try:
        with connected(host, port, source) as sock, context.wrap_socket(sock) as tls:
            # Over TLS 1.3 the handshake is over here before who we are was judged there.
            try:
                came = tls.recv(1)
            except TimeoutError:
                return "it was let in, and a request is waited for"
            return "it was answered" if came else "the connection was ended without a reason"
    except ssl.SSLError as e:
        reason = e.reason or str(e)
        return None if "ALERT" in reason and reason.endswith(REFUSING) else f"it does not speak TLS with us: {reason}"
    except OSError as e:
        return f"no handshake came about: {e.strerror or e}"


def show(context: ssl.SSLContext, name: str) -> None:
    """A certificate that its own key signed, in whoever's name."""
    key, who, now = certify.new_key(), certify.subject("everyhop guard --check"), dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(hours=1))
    made = made.not_valid_after(now + dt.timedelta(hours=1))
    made = made.add_extension(x509.SubjectAlternativeName([named(name).general()]), critical=False)
    made = made.add_extension(x509.ExtendedKeyUsage(list(certify.USES["client"])), critical=False)
    # The standard library takes a pair from a file alone: this one is in memory.
    with os.fdopen(os.memfd_create("pair", os.MFD_CLOEXEC), "wb") as file:
        file.write(open_key(key) + certify.pem(made.sign(key, hashes.SHA256())))
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
