"""`everyhop probe HOST:PORT`: one handshake with a TLS server, described, with the same TLS that the engine uses."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from everyhop.cli.console import print_json
from everyhop.compile.names import address
from everyhop.errors import Misuse, Surroundings
from everyhop.identity import Unusable, read_pair, read_roots
from everyhop.screen import line


def register(app: typer.Typer) -> None:
    app.command("probe", help="Shake hands with a TLS server and tell what it does.")(probe)


def probe(
    at: Annotated[str, typer.Argument(metavar="HOST:PORT", help="Such as 10.0.1.7:8443.")],
    sni: Annotated[
        str | None, typer.Option("--sni", help="Server name to ask for; default: HOST.", show_default=False)
    ] = None,
    ca: Annotated[str, typer.Option("--ca", help="Roots to verify against.")] = "system",
    present: Annotated[
        str | None,
        typer.Option("--present", metavar="CHAIN,KEY", help="Certificate and key files to show.", show_default=False),
    ] = None,
    alpn: Annotated[list[str] | None, typer.Option("--alpn", help="Protocols to offer.", show_default=False)] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    from everyhop import _door

    if address(at) is None:
        raise Misuse(f"probe takes HOST:PORT, not {at!r}")
    identity = None
    try:
        roots = read_roots(ca, Path.cwd()).pem.decode()
        if present is not None:
            chain, comma, key = present.partition(",")
            if not comma:
                raise Misuse("--present takes CHAIN,KEY")
            pair = read_pair(chain, f"file:{key}", Path.cwd(), {})
            identity = (pair.chain_pem.decode(), pair.key_pem.decode())
    except Unusable as e:
        raise Surroundings(f"{e.what}; {e.mend}") from e
    try:
        seen = json.loads(_door.probe(at, sni, roots, identity, alpn or ["h2", "http/1.1"], timeout))
    except OSError as e:
        raise Surroundings(str(e)) from e
    certificates = [x509.load_der_x509_certificate(base64.b64decode(c)) for c in seen.pop("chain")]
    seen["chain"] = [described(c) for c in certificates]
    if as_json:
        print_json(seen)
    else:
        tell(seen)
    raise typer.Exit(0 if seen["handshake"] == "ok" else 1)


def described(cert: x509.Certificate) -> dict[str, object]:
    try:
        san = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [*san.get_values_for_type(x509.DNSName), *map(str, san.get_values_for_type(x509.IPAddress))]
    except x509.ExtensionNotFound:
        names = []
    return {
        "subject": cert.subject.rfc4514_string(),
        "issuer": cert.issuer.rfc4514_string(),
        "names": names,
        "not_after": cert.not_valid_after_utc.isoformat(),
    }


def tell(seen: dict[str, object]) -> None:
    line(f"{seen['at']}  handshake {seen['handshake']}")
    line(f"  tls       {seen['version']}  {seen['suite']}  {seen['group'] or ''}  alpn {seen['alpn'] or 'none'}")
    chain = seen["chain"]
    for depth, cert in enumerate(chain if isinstance(chain, list) else []):
        names = ", ".join(cert["names"]) or cert["subject"]
        line(f"  {'shows' if depth == 0 else '     '}     {names}, until {cert['not_after'][:10]}, by {cert['issuer']}")
    line(f"  verified  {seen['verified']}")
    asks = seen["asked_for_certificate"]
    line(f"  asks      {'who we are' if asks else 'not who we are'}{'; we showed ours' if seen['presented'] else ''}")
