"""What a file that should be PEM holds instead, in words that say how to make it PEM."""

from __future__ import annotations

import base64
import re

from everyhop.identity.unusable import Half, Unusable

LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
KEY_BLOCK = re.compile(rb"-----BEGIN ((?:EC |RSA )?PRIVATE KEY)-----.*?-----END \1-----", re.S)
UTF16 = (b"\xff\xfe", b"\xfe\xff")
SLUG = "certificate/unreadable"


def key_block(data: bytes, name: str) -> bytes:
    """The first private key in `data`, alone: notes, parameters and certificates beside it are passed over.

    Raises `Unusable` with what stands there instead; `name` is the file, or the reference of what is no file.
    """
    found = KEY_BLOCK.search(data)
    if found is None:
        raise Unusable(SLUG, *instead(data, name, "key"), "key")
    block = found[0]
    if b"\\n" in block or b"\n" not in block:
        written = r"\n is written out" if b"\\n" in block else "nothing stands"
        mend = (
            'keep its lines as they are: KEY="$(cat edge.key)"'
            if name.startswith("env:")
            else "give it as PEM, in lines"
        )
        raise Unusable(SLUG, f"{name} holds no PEM key: {written} where its lines should end", mend, "key")
    if b"ENCRYPTED" in block:
        raise locked(name)
    return block + b"\n"


def locked(name: str) -> Unusable:
    return Unusable(
        SLUG, f"{name} is locked by a password", "give it without one: openssl pkey -in locked.key -out open.key", "key"
    )


def instead(data: bytes, name: str, wanted: str) -> tuple[str, str]:
    """What `data` holds, which has no PEM of what is wanted, and how to mend it."""
    no = f"{name} holds no PEM {wanted}"
    labels = [label.decode() for label in LABEL.findall(data)]
    way = MADE.get(wanted, {})
    if not data.strip():
        return f"{no}: it is empty", f"give a PEM file with a {wanted}"
    if data.startswith(UTF16):
        return f"{no}: it is UTF-16", "save it as plain ASCII: iconv -f UTF-16 -t ASCII"
    if "ENCRYPTED PRIVATE KEY" in labels and wanted == "key":
        it = locked(name)
        return it.what, it.mend
    for label in labels:
        if label in way:
            return f"{no} but {way[label][0]}", way[label][1]
    if labels:
        held = ", ".join(dict.fromkeys(labels))
        return f"{no} that is whole or of a kind that is known here: {held}", f"give a whole PEM {wanted}"
    if data[:1] == b"\x30":
        return f"{no}: it is DER", way["DER"][1]
    if is_base64_of_pem(data):
        return f"{no}: it is base64 of one", "decode it: base64 -d"
    return no, f"give a PEM file with a {wanted}"


MADE = {
    "key": {
        "DER": ("", "make it PEM: openssl pkey -inform DER -in edge.der -out edge.key"),
        "OPENSSH PRIVATE KEY": ("one of OpenSSH", "make it PEM: ssh-keygen -p -m PKCS8 -f edge.key"),
        "CERTIFICATE": ("a certificate", "name the key's file; key and chain may be swapped"),
    },
    "certificate": {
        "DER": ("", "make it PEM: openssl x509 -inform DER -in edge.der -out edge.pem"),
        "PKCS7": ("PKCS#7", "make it PEM: openssl pkcs7 -print_certs -in edge.p7b -out edge.pem"),
        "TRUSTED CERTIFICATE": ("one in OpenSSL's own form", "make it PEM: openssl x509 -in edge.pem -out plain.pem"),
        "CERTIFICATE REQUEST": ("a request for one", "give what the authority made of it"),
        "PRIVATE KEY": ("a key", "name the certificate's file; key and chain may be swapped"),
        "EC PRIVATE KEY": ("a key", "name the certificate's file; key and chain may be swapped"),
        "RSA PRIVATE KEY": ("a key", "name the certificate's file; key and chain may be swapped"),
    },
}
"""What other forms are, and how each becomes the one that is wanted."""


def is_base64_of_pem(data: bytes) -> bool:
    try:
        return b"-----BEGIN" in base64.b64decode(b"".join(data.split()), validate=True)
    except ValueError:
        return False


__all__ = ["Half", "instead", "key_block"]
