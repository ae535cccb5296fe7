"""Keys that a token has: named by a PKCS#11 URI, which a door reads, with the module that is loaded for them and the PIN. What a token
itself says is asked elsewhere, in a process of its own: no module is loaded here, and nothing of a PIN is told."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from everyhop import _door
from everyhop.identity.keys import key_bytes, kind_of
from everyhop.identity.mark import Mark
from everyhop.identity.unusable import Unusable

SCHEME = "pkcs11:"
MOST_PIN_BYTES = 255
EXAMPLE = "pkcs11:token=edge;object=shop?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/etc/everyhop/pin"


@dataclass(frozen=True)
class TokenKey:
    """A private key that a token has."""

    uri: str
    module: str
    """The file of the module that speaks with it."""
    pin: bytes | None = field(repr=False)
    certificate: bytes = field(repr=False)
    """In DER: the key must be its."""


def in_token(reference: str) -> bool:
    return reference.startswith(SCHEME)


def read_uri(text: str) -> tuple[str, str | None]:
    """The module's file, and where the PIN is kept. Raises `Unusable`."""
    found, wrong = _door.read_key_uri(text)
    if wrong is not None:
        at, why, has_pin = wrong
        if has_pin:
            mend = "write it to a file that nobody else reads, and name that: pin-source=/etc/everyhop/pin"
            raise Unusable("key/pin-inline", why, mend, "key")
        raise Unusable("key/uri", f"the PKCS#11 URI is none that names a key: {why}, at its byte {at}", EXAMPLE, "key")
    assert found is not None, "one of both"
    return found


def pin_reference(text: str) -> str:
    """Where the PIN of a key is kept; empty where nowhere is said, or nothing can be read."""
    found, _ = _door.read_key_uri(text)
    return (found[1] if found else None) or ""


def read_token_key(
    uri: str, leaf: x509.Certificate, base: Path, environ: Mapping[str, str]
) -> tuple[TokenKey, dict[Path, Mark]]:
    """The key, as far as files tell, and the file that its PIN stands in. Raises `Unusable`."""
    module, source = read_uri(uri)
    public = leaf.public_key()
    fits = isinstance(public, rsa.RSAPublicKey) or (
        isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1 | ec.SECP384R1)
    )
    if not fits:
        what = f"the certificate's key is {kind_of(public)}, and tokens are asked for RSA, P-256 and P-384"
        raise Unusable("certificate/unusable", what, "make a key on P-256 in the token, and have it certified")
    judge_module(Path(module))
    pin, files = (None, dict[Path, Mark]()) if source is None else read_pin(source, base, environ)
    return TokenKey(uri, module, pin, leaf.public_bytes(Encoding.DER)), files


def read_pin(source: str, base: Path, environ: Mapping[str, str]) -> tuple[bytes, dict[Path, Mark]]:
    try:
        data, files = key_bytes(source, base, environ)
    except Unusable as e:
        slug = "key/pin-exposed" if e.slug == "certificate/key-exposed" else "key/pin"
        raise Unusable(slug, f"the PIN: {e.what}", e.mend.replace("the key's PEM", "the PIN"), "key") from e
    data = data.rstrip(b"\r\n")
    if not data or len(data) > MOST_PIN_BYTES or b"\n" in data:
        what = f"{source} holds no PIN: it is one line, of at most {MOST_PIN_BYTES} bytes"
        raise Unusable("key/pin", what, "write the PIN alone into it", "key")
    return data, files


def judge_module(path: Path) -> None:
    """It is code that runs beside keys: whoever can change it has them sign. Raises `Unusable`."""
    mend = "name the module that came with the token's software, such as /usr/lib/softhsm/libsofthsm2.so"
    try:
        real = path.resolve(strict=True)
        seen = real.stat()
    except (OSError, RuntimeError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        raise Unusable("key/module", f"the module {path}: {why}", mend, "key") from e
    if not stat.S_ISREG(seen.st_mode):
        raise Unusable("key/module", f"the module {path} is no file", mend, "key")
    for it in (real, *real.parents):
        seen = it.stat()
        # In a folder such as /tmp nobody replaces what is another's; on a file that bit keeps nobody from writing.
        sticky = it != real and seen.st_mode & stat.S_ISVTX
        others = seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky
        if seen.st_uid != 0:
            what, mend = f"it is loaded, and {it} belongs to user {seen.st_uid}", f"chown root {it}"
        elif others:
            what, mend = f"it is loaded, and {it} can be written by others", f"chmod go-w {it}"
        else:
            continue
        raise Unusable("key/module", f"the module {path}: {what} (mode {stat.S_IMODE(seen.st_mode):04o})", mend, "key")
    if not os.access(real, os.R_OK):
        raise Unusable("key/module", f"the module {path} cannot be read", "let everyhop read it", "key")
