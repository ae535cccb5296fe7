"""`everyhop ca`: a small authority of one's own in a folder, so that mutual TLS inside needs no expert."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from everyhop.authority import Authority, Entry, Issued, activate, begin, opened, prepare, retire
from everyhop.authority.certify import REASONS, USES
from everyhop.authority.folder import PUBLIC, SECRET, replace_all
from everyhop.authority.names import named
from everyhop.authority.policy import told
from everyhop.authority.request import from_file
from everyhop.cli.ca_list import list_
from everyhop.cli.ca_serve import enroll_, renew_, serve
from everyhop.cli.ca_token import token
from everyhop.cli.console import print_json
from everyhop.cli.passphrase import asked, chosen
from everyhop.cli.spans import span
from everyhop.errors import Misuse, Surroundings
from everyhop.screen import line

Dir = Annotated[Path, typer.Argument(metavar="DIR", help="The authority's folder.")]
Passphrase = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="Where the root's passphrase stands; else it is asked for.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="An authority of one's own: certificates for names inside.")
    group.command("init", help="Make an authority in a folder: a root and what issues below it.")(init)
    group.command("issue", help="Issue a certificate, with a key made here or for a request (--csr).")(issue)
    group.command("list", help="Show what is in force and what ends when.")(list_)
    group.command("revoke", help="Take a certificate back, and publish that.")(revoke)
    group.command("crl", help="Sign and publish the revocation lists anew.")(crl)
    group.command("rotate", help="Take a new root into use: begin, --activate, --retire.")(rotate)
    group.command("serve", help="Issue over HTTPS, for tokens and to who has a certificate already.")(serve)
    group.command("token", help="Print a token that somebody gets one certificate by; list them, or withdraw one.")(
        token
    )
    group.command("enroll", help="Get a certificate by a token.")(enroll_)
    group.command("renew", help="Get another one by that certificate.")(renew_)
    app.add_typer(group, name="ca")


def init(
    dir_: Dir,
    domain: Annotated[
        list[str] | None, typer.Option("--domain", metavar="NAME", help="Hosts in and below it.", show_default=False)
    ] = None,
    trust_domain: Annotated[
        list[str] | None, typer.Option("--trust-domain", metavar="NAME", help="SPIFFE IDs in it.", show_default=False)
    ] = None,
    network: Annotated[
        list[str] | None, typer.Option("--network", metavar="CIDR", help="Addresses in it.", show_default=False)
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What it is called; default: the first domain.", show_default=False)
    ] = None,
    publish: Annotated[
        list[Path] | None,
        typer.Option(
            "--publish",
            metavar="FOLDER",
            help="Where roots.pem and crl.pem are written as well, for edges.",
            show_default=False,
        ),
    ] = None,
    passphrase_file: Passphrase = None,
) -> None:
    domains, trusts, networks = domain or [], trust_domain or [], network or []
    called = name or next(iter([*domains, *trusts, *networks]), "")
    policy = told(called, domains, trusts, networks)
    places = tuple(str(it.absolute()) for it in publish or [])
    for place in places:
        if not Path(place).is_dir():
            raise Surroundings(f"{place} is no folder to publish to; nothing was made", f"  mkdir {place}")
    it = begin(dir_, policy, chosen(passphrase_file), places)
    (first,) = it.generations()
    line(f"made {policy.name!r} in {it.at}")
    line(f"  it certifies {certifies(it)}, until {first.issuing.not_valid_after_utc:%Y-%m-%d}")
    line(f"  trust it by {it.at / 'roots.pem'}; its revocation lists are {it.at / 'crl.pem'}")
    line(f"  take {it.at / '1' / 'root.key'} away to a place of its own: only a new issuing authority needs it")


def certifies(it: Authority) -> str:
    policy = it.policy
    parts = [f"hosts in {', '.join(policy.domains)}"] if policy.domains else []
    parts += [f"SPIFFE IDs in {', '.join(policy.trust_domains)}"] if policy.trust_domains else []
    parts += [f"addresses in {', '.join(policy.networks)}"] if policy.networks else []
    return "; ".join(parts)


def issue(
    dir_: Dir,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Hosts, addresses, a SPIFFE ID.")] = None,
    use: Annotated[str, typer.Option("--for", metavar="|".join(USES), help="What it proves.")] = "both",
    lifetime: Annotated[str, typer.Option("--lifetime", metavar="TIME", help="Such as 12h or 90d.")] = "90d",
    csr: Annotated[
        Path | None,
        typer.Option("--csr", metavar="FILE", help="A request (PKCS#10): its key is certified.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="PATH",
            help="Where to, without .pem and .key; default: the first name.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    if use not in USES:
        raise Misuse(f"--for takes {', '.join(USES)}, not {use!r}")
    wanted = [named(it) for it in names or []]
    if not (wanted or csr):
        raise Misuse("say for whom: everyhop ca issue DIR NAME, or --csr FILE")
    it = opened(dir_)
    request = from_file(csr) if csr else None
    where = out or Path(re.sub(r"[^A-Za-z0-9.-]+", "-", wanted[0].text if wanted else request_name(csr)))
    if not where.absolute().parent.is_dir():
        raise Surroundings(f"{where.absolute().parent} is no folder; nothing was issued")
    issued = it.issue(wanted, use, span(lifetime), request, str(csr))
    chain, key = where.with_name(f"{where.name}.pem"), where.with_name(f"{where.name}.key")
    try:
        made = [(key, issued.key_pem, SECRET)] if issued.key_pem is not None else []
        replace_all(*made, (chain, issued.chain_pem, PUBLIC))
    except Surroundings as e:
        serial = issued.entry.serial
        raise Surroundings(
            f"issued as {serial}, and lost: {e}", f"  take it back: everyhop ca revoke {dir_} {serial}"
        ) from e
    tell(issued, chain, key, as_json=as_json)


def request_name(csr: Path | None) -> str:
    assert csr is not None
    return csr.name.removesuffix(csr.suffix)


def tell(issued: Issued, chain: Path, key: Path, *, as_json: bool) -> None:
    it = issued.entry
    if as_json:
        made = str(key) if issued.key_pem else None
        print_json(
            {"serial": it.serial, "names": it.names, "ends": it.ends.isoformat(), "chain": str(chain), "key": made}
        )
        return
    line(f"issued {', '.join(it.names)}, until {it.ends:%Y-%m-%d %H:%M} UTC, as {it.serial}")
    if issued.is_cut:
        line("  it ends with the issuing authority, sooner than was asked for: everyhop ca rotate makes another")
    line(f"  {chain} is the certificate with its issuer" + (f", {key} its key" if issued.key_pem else ""))


def revoke(
    dir_: Dir,
    which: Annotated[str, typer.Argument(metavar="SERIAL|NAME", help="As everyhop ca list shows them.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="|".join(REASONS), help="It stands in the list.")
    ] = "unspecified",
    every: Annotated[bool, typer.Option("--all", help="All in force of that name.")] = False,
) -> None:
    if reason not in REASONS:
        raise Misuse(f"--reason takes {', '.join(REASONS)}, not {reason!r}")
    it = opened(dir_)
    gone: list[Entry] = it.revoke(which, reason, every=every)
    for one in gone:
        line(f"taken back: {one.serial}, {', '.join(one.names)}")
    published(it, [Path(p) / "crl.pem" for p in (str(it.at), *it.publish)])


def published(it: Authority, files: list[Path]) -> None:
    lists = it.published()
    ends = min(one.next_update_utc for one in lists if one.next_update_utc)
    line(f"the lists hold until {ends:%Y-%m-%d %H:%M} UTC: {', '.join(map(str, files))}")


def crl(
    dir_: Dir,
    lifetime: Annotated[str, typer.Option("--lifetime", metavar="TIME", help="How long the lists hold.")] = "30d",
    to: Annotated[
        list[Path] | None,
        typer.Option(
            "--to", metavar="FOLDER", help="Where roots.pem and crl.pem are written as well.", show_default=False
        ),
    ] = None,
) -> None:
    it = opened(dir_)
    files = it.publish_all(span(lifetime), to or [])
    published(it, [file for file in files if file.name == "crl.pem"])


def rotate(
    dir_: Dir,
    to_activate: Annotated[bool, typer.Option("--activate", help="The new root issues from now on.")] = False,
    to_retire: Annotated[bool, typer.Option("--retire", help="The old root is trusted no more.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Even while certificates of it are in force.")] = False,
    keep_root: Annotated[
        bool, typer.Option("--keep-root", help="A new issuing authority below the root that is there.")
    ] = False,
    root_key: Annotated[
        Path | None,
        typer.Option(
            "--root-key", metavar="FILE", help="Where the root's key is, for --keep-root.", show_default=False
        ),
    ] = None,
    passphrase_file: Passphrase = None,
) -> None:
    if (
        (to_activate and to_retire)
        or (force and not to_retire)
        or ((keep_root or root_key) and (to_activate or to_retire))
    ):
        raise Misuse("begin (--keep-root), then --activate, then --retire (--force): one step at a time")
    it = opened(dir_)
    if to_activate:
        it = activate(it)
        line("the new authority issues from now on; both are trusted")
        line("  next: issue each certificate anew; everyhop ca list shows those of the old one")
        line(f"  then: everyhop ca rotate {dir_} --retire")
    elif to_retire:
        it, gone, alive = retire(it, force=force)
        line(f"retired: {', '.join(f'generation {n}' for n in gone)}; {len(alive)} certificate(s) of it were in force")
        line(f"  what trusted it: replace it by {it.at / 'roots.pem'}")
    else:
        asks = asked(passphrase_file) if keep_root else chosen(passphrase_file)
        it = prepare(it, asks, keep_root=keep_root, root_key=root_key)
        line("a new authority is there, and the one before goes on issuing; both are trusted")
        line(f"  next: wherever the old roots are trusted, trust {it.at / 'roots.pem'}, and let crl.pem follow")
        line(f"  then: everyhop ca rotate {dir_} --activate")
