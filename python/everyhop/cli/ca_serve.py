"""`everyhop ca serve`, `enroll` and `renew`: certificates that come without a person in between. Read next: `ca_token.py`."""

from __future__ import annotations

import ipaddress
import json
import re
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from everyhop.authority import opened
from everyhop.authority.acts import LISTS, ROOTS, utc
from everyhop.authority.client import Given, enroll, renew
from everyhop.authority.enrolment import token_of
from everyhop.authority.folder import PUBLIC, SECRET, as_json, content, replace_all
from everyhop.authority.names import named
from everyhop.authority.server import Server
from everyhop.errors import Misuse, Surroundings
from everyhop.files import must_take
from everyhop.screen import line

CHAIN, KEY, FROM = "identity.pem", "identity.key", "authority.json"
Dir = Annotated[Path, typer.Argument(metavar="DIR", help="The authority's folder.")]
ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})")


def address(text: str) -> tuple[str, int]:
    """Raises `Misuse`."""
    found = ADDRESS.fullmatch(text)
    if found is None or int(found[3]) > 65535:
        raise Misuse(f"{text!r} is no address such as 10.0.0.5:8600, [fd00::5]:8600 or ca.internal:8600")
    return found[1] or found[2], int(found[3])


def serve(
    dir_: Dir,
    listen: Annotated[str, typer.Option("--listen", metavar="ADDR", help="Address and port.")],
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="What it is called by who asks; default: the address.", show_default=False),
    ] = None,
) -> None:
    host, port = address(listen)
    it = opened(dir_)
    wanted = [named(text) for text in name or [host]]
    for one in wanted:
        it.policy.admit(one)
    if not name and is_any(host):
        raise Misuse(f"{host} is every address and no name: say --name, by which it is asked")
    with Server(dir_.absolute(), (host, port), wanted, lambda text: line(text, flush=True)) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
        line(
            f"ready: {it.policy.name!r} on {host} port {server.server_address[1]}, as {', '.join(map(str, wanted))}",
            flush=True,
        )
        server.serve_forever()


def is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def enroll_(
    where: Annotated[
        str, typer.Argument(metavar="TOKEN@HOST:PORT", help="What was given; - reads it from standard input.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where certificate, key, roots and lists go.")
    ] = Path(),
) -> None:
    text = sys.stdin.readline().strip() if where == "-" else where
    shown, at, asked = text.rpartition("@")
    if not at:
        raise Misuse("say TOKEN@HOST:PORT")
    token_, (host, port) = token_of(shown), address(asked)
    if not out.is_dir():
        raise Surroundings(f"{out} is no folder; nothing was asked", f"  mkdir {out}")
    must_take(out)
    keep(out, enroll(token_, host, port), host, port)


def renew_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where everyhop ca enroll put it.")],
    if_due: Annotated[bool, typer.Option("--if-due", help="Only if half of its life is over.")] = False,
) -> None:
    try:
        told = json.loads(content(folder / FROM))
        host, port = str(told["host"]), int(told["port"])
        cert = x509.load_pem_x509_certificates(content(folder / CHAIN))[0]
    except Surroundings:
        raise
    except Exception as e:
        raise Surroundings(f"{folder} holds nothing that everyhop ca enroll put there") from e
    half = cert.not_valid_before_utc + (cert.not_valid_after_utc - cert.not_valid_before_utc) / 2
    if if_due and utc() < half:
        line(f"not due before {half:%Y-%m-%d %H:%M} UTC")
        return
    must_take(folder)
    keep(folder, renew(content(folder / ROOTS), folder / CHAIN, folder / KEY, host, port), host, port)


def keep(folder: Path, it: Given, host: str, port: int) -> None:
    cert = x509.load_pem_x509_certificates(it.chain_pem)[0]
    replace_all(
        (folder / ROOTS, it.roots_pem, PUBLIC),
        (folder / LISTS, it.lists_pem, PUBLIC),
        (folder / FROM, as_json({"host": host, "port": port}), PUBLIC),
        (folder / KEY, it.key_pem, SECRET),
        (folder / CHAIN, it.chain_pem, PUBLIC),
    )
    line(f"a certificate until {cert.not_valid_after_utc:%Y-%m-%d %H:%M} UTC: {folder / CHAIN}, its key {folder / KEY}")
    line(f"  who verifies by this authority: {folder / ROOTS}, {folder / LISTS}")
