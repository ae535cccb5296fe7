"""`everyhop probe HOST:PORT`: one handshake with a TLS server, described, with the same TLS and the same judge as a hop's."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from everyhop.cli.console import print_json
from everyhop.cli.grading import graded
from everyhop.compile.names import address, fingerprint
from everyhop.compile.policies import policy
from everyhop.errors import Misuse, Surroundings
from everyhop.identity import Unusable, read_pair, read_roots, sha256
from everyhop.screen import line


def register(app: typer.Typer) -> None:
    app.command(
        "probe",
        help="Shake hands with a TLS server as a hop would, and tell what it does. Exit code 1: not verified. "
        "With --grade: what it offers, against the TLS policies. Exit code 1: below --at-least; 2: it could not be probed.",
    )(probe)


def probe(
    at: Annotated[
        str, typer.Argument(metavar="HOST:PORT", help="Such as 10.0.1.7:8443. With --grade, without a port: 443.")
    ],
    sni: Annotated[
        str | None,
        typer.Option("--sni", help="Server name to ask for and to expect; default: HOST.", show_default=False),
    ] = None,
    ca: Annotated[str, typer.Option("--ca", help="Roots to verify against.")] = "system",
    pin: Annotated[
        list[str] | None,
        typer.Option(
            "--pin",
            metavar="sha256:DIGITS",
            help="Verify by the fingerprint of its certificate or key instead; with --sni by name as well.",
            show_default=False,
        ),
    ] = None,
    present: Annotated[
        str | None,
        typer.Option("--present", metavar="CHAIN,KEY", help="Certificate and key files to show.", show_default=False),
    ] = None,
    alpn: Annotated[list[str] | None, typer.Option("--alpn", help="Protocols to offer.", show_default=False)] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds.")] = 5.0,
    grade: Annotated[
        bool,
        typer.Option("--grade", help="Try what it offers, and grade it by the TLS policies: a handshake for each."),
    ] = False,
    at_least: Annotated[
        str | None,
        typer.Option(
            "--at-least",
            metavar="POLICY",
            help="With --grade: modern or intermediate, of any version, or one such as intermediate-6.0.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    from everyhop import _door

    if grade and address(at) is None and address(f"{at}:443") is not None:
        at = f"{at}:443"
    if (found := address(at)) is None or found.service is not None or found.unix is not None:
        raise Misuse(f"probe takes HOST:PORT, not {at!r}")
    if at_least is not None and not grade:
        raise Misuse("--at-least judges a grade: add --grade")
    pins = [fingerprint(text) for text in pin or []]
    if None in pins:
        raise Misuse("--pin takes sha256: and 64 hexadecimal digits")
    ask: dict[str, object] = {
        "addr": at,
        "sni": sni,
        "pins": pins,
        "spiffe": None,
        "name_too": sni is not None,
        "identity": None,
        "alpn": alpn or ["h2", "http/1.1"],
        "timeout_s": timeout,
        "lingers": True,
        "policy": policy("intermediate").model_dump(mode="json"),
    }
    try:
        roots = None if pins else read_roots(ca, Path.cwd(), own=True)
        ask["roots_pem"] = roots.pem.decode() if roots else ""
        if present is not None:
            chain, comma, key = present.partition(",")
            if not comma:
                raise Misuse("--present takes CHAIN,KEY")
            pair = read_pair(chain, f"file:{key}", Path.cwd(), {})
            ask["identity"] = (pair.chain_pem.decode(), pair.key_pem.decode())
    except Unusable as e:
        raise Surroundings(f"{e.what}; {e.mend}") from e
    if grade:
        raise typer.Exit(graded(ask, found, roots.certs if roots else (), present, at_least, as_json=as_json))
    try:
        seen = json.loads(_door.probe(json.dumps(ask)))
    except OSError as e:
        raise Surroundings(str(e)) from e
    certificates = [base64.b64decode(c) for c in seen.pop("chain")]
    seen["chain"] = [described(c) for c in certificates]
    seen["pins"] = pins_of(certificates[0]) if certificates else None
    if as_json:
        print_json(seen)
    else:
        tell(seen)
    raise typer.Exit(0 if seen["handshake"] == "ok" and seen["verified"] == "ok" else 1)


def described(der: bytes) -> dict[str, Any]:
    """What a certificate says of itself; one that cannot be read is its fingerprint."""
    found: dict[str, Any] = {"subject": None, "issuer": None, "names": [], "not_after": None, "sha256": sha256(der)}
    try:
        cert = x509.load_der_x509_certificate(der)
        found |= {
            "subject": cert.subject.rfc4514_string(),
            "issuer": cert.issuer.rfc4514_string(),
            "not_after": cert.not_valid_after_utc.isoformat(),
        }
        san = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found["names"] = [*san.get_values_for_type(x509.DNSName), *map(str, san.get_values_for_type(x509.IPAddress))]
    except Exception:  # a stranger's bytes: whatever reading them raises
        return found
    return found


def pins_of(der: bytes) -> dict[str, str | None]:
    """By what the leaf can be pinned."""
    try:
        key = x509.load_der_x509_certificate(der).public_key()
        digits = sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    except Exception:  # a key of a kind that nobody here knows: whatever reading a stranger's bytes raises
        return {"certificate": f"sha256:{sha256(der)}", "key": None}
    return {"certificate": f"sha256:{sha256(der)}", "key": f"sha256:{digits}"}


def tell(seen: dict[str, Any]) -> None:
    line(f"{seen['at']}  handshake {seen['handshake']}")
    if seen["handshake"] != "ok":
        line(f"  said      {seen['handshake_detail']}")
    if seen["handshake"] != "ok" and seen["handshake_why"] in (None, "hop/handshake-failed"):
        offered = seen["offered"]
        line(f"  we offer  TLS {', '.join(offered['versions'])}; {', '.join(offered['groups'])}")
        line(f"            {', '.join(offered['suites'])}")
    if seen["version"]:
        line(f"  tls       {seen['version']}  {seen['suite']}  {seen['group'] or ''}  alpn {seen['alpn'] or 'none'}")
    for depth, cert in enumerate(seen["chain"]):
        names = ", ".join(cert["names"]) or cert["subject"] or "a certificate that cannot be read"
        until = f", until {cert['not_after'][:10]}, by {cert['issuer']}" if cert["not_after"] else ""
        line(f"  {'shows' if depth == 0 else '     '}     {names}{until}")
    why = f" [{seen['verified_why']}]" if seen["verified_why"] else ""
    line(f"  verified  {seen['verified']}{why}")
    if seen["verified_why"] == "hop/weak-key":
        line(f"            {seen['verified_detail']}")
    asks = seen["asked_for_certificate"]
    line(f"  asks      {'who we are' if asks else 'not who we are'}{'; we showed ours' if seen['presented'] else ''}")
    if seen["pins"] and seen["verified_why"] in PINNABLE:
        offer(seen)


PINNABLE = {"hop/untrusted", "hop/name-mismatch", "hop/pin-mismatch", "hop/certificate-wrong-use"}
"""What is wrong with a certificate where knowing it by its fingerprint would do."""


def offer(seen: dict[str, Any]) -> None:
    """The line to paste. What answered may be anybody: that it is the backend is for the reader to find out."""
    pins = seen["pins"]
    line("  pin it    only if the backend itself says so: openssl x509 -noout -fingerprint -sha256 -in ITS.pem")
    line(f'            verify = {{ pin = "{pins["certificate"]}" }}  this certificate')
    if pins["key"]:
        line(f'            verify = {{ pin = "{pins["key"]}" }}  its key, also in the next certificate')
