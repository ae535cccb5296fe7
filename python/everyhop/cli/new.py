"""`everyhop new`: a configuration to start from, out of three answers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from everyhop.advise.starting import starting
from everyhop.compile import compile_file
from everyhop.compile.names import address, host, host_mend, oddity
from everyhop.errors import Misuse, Refused, Surroundings
from everyhop.model.words import Pattern
from everyhop.refusals import merged
from everyhop.screen import line, lines, wrapped

ANSWERS: dict[str, Pattern] = {
    "1": "mutual",
    "2": "reencrypt",
    "3": "plaintext",
    "4": "passthrough",
}
PATTERNS: dict[str, Pattern] = {it: it for it in ANSWERS.values()}
CAN = """\
3. What can it do? Then it is said where TLS ends.
   1 it has a certificate, and can ask us for ours    tls = "mutual"
   2 it has a certificate                             tls = "reencrypt"
   3 it speaks plaintext only                         tls = "plaintext"
   4 it ends the clients' TLS itself; we read none    tls = "passthrough\""""


def register(app: typer.Typer) -> None:
    app.command("new", help="Write a configuration to start from, out of three answers.")(new)


def new(
    name: Annotated[
        str | None, typer.Option("--host", help="What clients call the service.", show_default=False)
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="HOST:PORT", help="Where it runs; may be repeated.", show_default=False),
    ] = None,
    tls: Annotated[
        str | None, typer.Option("--tls", help="mutual | reencrypt | plaintext | passthrough", show_default=False)
    ] = None,
    write: Annotated[Path, typer.Option("--write", metavar="FILE", help="Where it is written.")] = Path(
        "everyhop.toml"
    ),
) -> None:
    if write.exists():
        raise Surroundings(f"{write} is there already; nothing was written")
    if None in {name, tls} or not to:
        if not sys.stdin.isatty():
            raise Misuse("nobody can be asked here; say --host NAME --to HOST:PORT --tls PATTERN")
        line("Three questions; nothing is written before the last.")
    public = name_of(name if name is not None else typer.prompt("1. What do clients call it? (shop.example.com)"))
    asked = to or [it.strip() for it in typer.prompt("2. Where does it run? (10.0.0.5:8443, ...)").split(",")]
    backends = tuple(backend_of(it) for it in asked)
    if tls is None:
        lines(CAN)
        tls = ANSWERS.get(typer.prompt("  ", prompt_suffix="> ").strip(), "")
    if (pattern := PATTERNS.get(tls)) is None:
        raise Misuse(f"TLS ends by one of {', '.join(PATTERNS)}" + (f", not {tls!r}" if tls else ""))
    written = starting(public, backends, pattern)
    left = refused(written)
    try:
        write.write_text(written, encoding="utf-8")
    except OSError as e:
        raise Surroundings(f"cannot write {write}: {e.strerror}") from e
    line(f"{write} is written; next:")
    for row in (*left, f"everyhop check {write}", f"everyhop explain {write}", f"everyhop run --config {write}"):
        lines(wrapped(row, 4, "  "))


def name_of(given: str) -> str:
    found = host(given.strip(), wildcard=True)
    if found is None:
        raise Misuse(f"{given!r} is no host name; {host_mend(given)}")
    return found


def backend_of(given: str) -> str:
    if address(given) is None:
        raise Misuse(f"{given!r} is no address; {oddity(given) or 'write host:port or unix:/path'}")
    return given


def refused(text: str) -> list[str]:
    """What a person must still do before it runs; files are not looked at."""
    try:
        compile_file("everyhop.toml", text=text, files="skip")
    except Refused as e:
        return [f"{f.what}: {f.mend[-1]}" for f in merged(e.findings) if f.severity == "refused"]
    return []
