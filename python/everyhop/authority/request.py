"""A request of somebody else (PKCS#10), judged before anything of it is used: its key, and names that it may have. A request that asks
for more than that is refused whole; who wrote it would otherwise believe to have what was left out."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from everyhop.authority.certify import USES
from everyhop.authority.names import Name, named, names_in
from everyhop.errors import Declined, Misuse, Surroundings
from everyhop.files import read_regular

MOST_BYTES = 64 * 1024
LEAST_RSA, MOST_RSA, LEAST_EXPONENT = 2048, 8192, 65537
CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
NOT_TAKEN = "nothing was issued"


def from_file(path: Path) -> x509.CertificateSigningRequest:
    """The one request in a file.

    Raises `Surroundings` where it cannot be read, `Declined` where it is none.
    """
    try:
        data = read_regular(path, MOST_BYTES)[0]
    except (OSError, ValueError) as e:
        raise Surroundings(f"{path} cannot be read: {getattr(e, 'strerror', None) or e}") from e
    return parsed(data, str(path))


def parsed(data: bytes, where: str) -> x509.CertificateSigningRequest:
    """Raises `Declined`."""
    make = "  openssl req -new -key KEY -subj /CN=NAME -addext subjectAltName=DNS:NAME"
    if data.count(b"-----BEGIN ") != 1:
        raise Declined(f"{where} is not one PEM request for a certificate; {NOT_TAKEN}", make)
    try:
        return x509.load_pem_x509_csr(data)
    except Exception as e:  # bytes of a stranger: a version that there is not is no ValueError
        raise Declined(f"{where} holds no request for a certificate that can be read; {NOT_TAKEN}", make) from e


def judged(csr: x509.CertificateSigningRequest, where: str, names: Collection[Name], use: str) -> list[Name]:
    """The names that it is to have: `names` where they were said, else those that it asks for.

    Raises `Declined` for a request that asks for anything else, `Misuse` where no name is said at all.
    """
    try:
        proved = csr.is_signature_valid
        digest = csr.signature_hash_algorithm
        extensions = list(csr.extensions)
        asked = [name_of(it) for it in names_in(csr)]
        key = csr.public_key()
    except Declined:
        raise
    except Misuse as e:
        raise Declined(f"{where} asks for a name that is not certified here: {e}; {NOT_TAKEN}") from e
    except Exception as e:
        # Bytes of a stranger: curves that nobody knows, names that are none, extensions that stand there twice.
        raise Declined(f"{where} cannot be read: {type(e).__name__}: {e}; {NOT_TAKEN}") from e
    if (weak := weakness(key)) is not None:
        raise Declined(
            f"{where}: {weak}; {NOT_TAKEN}", "  make a key that TLS uses here: openssl ecparam -genkey -name prime256v1"
        )
    # What verifies signatures may know such ones no more, and says that they are none.
    if (broken := isinstance(digest, hashes.SHA1 | hashes.MD5)) or not proved:
        how = "by SHA-1 or MD5" if broken else "not by the key that it names"
        raise Declined(f"{where} is signed {how}: nobody proved to have that key; {NOT_TAKEN}")
    # A bit string that ends within a byte reads as the same signature: two requests that differ would be one.
    if csr.public_bytes(Encoding.DER)[-len(csr.signature) - 1] != 0:
        raise Declined(f"{where} has a signature that is no whole number of bytes; {NOT_TAKEN}")
    for it in extensions:
        if (more := too_much(it, use)) is not None:
            raise Declined(f"{where} asks for {more}; {NOT_TAKEN}", "  make the request without it")
    if names and (others := [str(it) for it in asked if it not in names]):
        raise Declined(
            f"{where} asks for {', '.join(others)} as well, which was not said; {NOT_TAKEN}",
            "  name them, or make the request without them",
        )
    if not (names or asked):
        raise Misuse(
            f"{where} asks for no name in subjectAltName, and none was said: everyhop ca issue DIR NAME --csr ..."
        )
    return list(dict.fromkeys(names or asked))


def name_of(it: x509.GeneralName) -> Name:
    """Raises `Declined` for a name of a kind that is not certified here, `Misuse` for one that is none."""
    if not isinstance(it, x509.DNSName | x509.UniformResourceIdentifier | x509.IPAddress):
        raise Declined(
            f"the request asks for a name of a kind that is not certified here ({type(it).__name__}); {NOT_TAKEN}"
        )
    found = named(str(it.value))
    kind = {"dns": x509.DNSName, "uri": x509.UniformResourceIdentifier, "ip": x509.IPAddress}[found.kind]
    if not isinstance(it, kind):
        raise Declined(
            f"the request asks for {it.value!s} as a name of another kind ({type(it).__name__}); {NOT_TAKEN}"
        )
    return found


def weakness(key: object) -> str | None:
    """Why nobody should believe in a key, in words."""
    if isinstance(key, rsa.RSAPublicKey):
        if not LEAST_RSA <= key.key_size <= MOST_RSA:
            return f"its key is RSA of {key.key_size} bits, and {LEAST_RSA} to {MOST_RSA} are taken"
        small = key.public_numbers().e < LEAST_EXPONENT
        return f"its key is RSA with an exponent below {LEAST_EXPONENT}" if small else None
    if isinstance(key, ec.EllipticCurvePublicKey):
        return (
            None
            if isinstance(key.curve, CURVES)
            else f"its key is on the curve {key.curve.name}, which TLS does not know here"
        )
    if isinstance(key, ed25519.Ed25519PublicKey):
        return None
    return "its key is of a kind that TLS does not use here"


def too_much(it: x509.Extension[x509.ExtensionType], use: str) -> str | None:
    """What an extension asks for that nobody gets, in words."""
    value = it.value
    if isinstance(value, x509.SubjectAlternativeName | x509.SubjectKeyIdentifier):
        return None
    if isinstance(value, x509.BasicConstraints):
        return "the certificate of an authority (CA:TRUE)" if value.ca else None
    if isinstance(value, x509.KeyUsage):
        signs = value.key_cert_sign or value.crl_sign
        return "a key that signs certificates or lists (key usage)" if signs else None
    if isinstance(value, x509.ExtendedKeyUsage):
        others = [oid for oid in value if oid not in USES[use]]
        return f"a use that it is not issued for (extended key usage {others[0].dotted_string})" if others else None
    known = {oid: name for name, oid in vars(ExtensionOID).items() if not name.startswith("_")}
    return f"an extension that is not given here ({known.get(it.oid, it.oid.dotted_string)})"


def certified(csr: x509.CertificateSigningRequest) -> CertificateIssuerPublicKeyTypes:
    """The key of a request that was judged."""
    key = csr.public_key()
    assert isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey)
    return key
