"""`everyhop guard`: the same edge beside a backend that knows nothing of TLS. It ends the hop by mutual TLS, lets in whom it is told, and
speaks plaintext to this host alone. What it runs is a configuration like any other, which `--print-config` shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from everyhop.admin.paths import runtime_dir
from everyhop.compile.names import address, bind, client
from everyhop.errors import Misuse, Surroundings
from everyhop.identity import Unusable, read_names
from everyhop.screen import line, lines

BELIEVED = ["address", "client-cert", "host", "port", "prefix", "proto", "request-id"]
"""What an edge says of its client on each request, whatever that sent."""


def register(app: typer.Typer) -> None:
    app.command("guard", help="Run beside a backend: mutual TLS for who is admitted, and nobody else.")(guard)


def guard(
    listen: Annotated[str, typer.Option("--listen", metavar="[ADDRESS]:PORT", help="Where edges come.")],
    to: Annotated[str, typer.Option("--to", metavar="HOST:PORT", help="The backend: on this host, or unix:PATH.")],
    admit: Annotated[
        list[str],
        typer.Option("--admit", metavar="NAME", help="Who may come, by its certificate's name; may be repeated."),
    ],
    cert: Annotated[Path, typer.Option("--cert", metavar="FILE", help="The certificate that edges verify.")],
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="Its key.")],
    ca: Annotated[Path, typer.Option("--ca", metavar="FILE", help="Roots that edges' certificates chain to.")],
    tcp: Annotated[bool, typer.Option("--tcp", help="What is inside TLS goes on unread.")] = False,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="FOLDER", help="For its sockets, log and configuration.", show_default=False),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the configuration that it would run, and end.")
    ] = False,
) -> None:
    behind, at = address(to), bind(listen)
    if at is None:
        raise Misuse(f"--listen {listen!r} is no address: write :8443 or 10.0.0.5:8443")
    if behind is None:
        raise Misuse(f"--to {to!r} is no address: write 127.0.0.1:8080, [::1]:8080 or unix:/run/app.sock")
    if not behind.is_literal_loopback:
        raise Misuse(
            f"--to {to} is not on this host: what the guard ends would cross a network in plaintext; run it beside the "
            "backend, and write 127.0.0.1, [::1] or unix:PATH"
        )
    try:
        admitted = [client(name) for name in admit]
    except ValueError as e:
        raise Misuse(f"--admit {', '.join(admit)}: {e}") from e
    folder = (state or runtime_dir() / "guard").absolute()
    text = configuration(folder, at, str(behind), admitted, (cert, key, ca), tcp=tcp)
    if print_config:
        lines(text.rstrip("\n"))
        return
    try:
        own = read_names(str(cert.absolute()), folder)
    except Unusable as e:
        raise Surroundings(str(e)) from e
    path = folder / "guard.toml"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as e:
        raise Surroundings(f"cannot write {path}: {e.strerror}") from e
    for row in at_the_edge(at, own, ca):
        line(row, flush=True)
    # It takes a while to be read, and nothing above needs it.
    from everyhop.admin.supervisor import Supervisor

    raise typer.Exit(Supervisor(path).run())


def configuration(
    folder: Path, at: str, to: str, admitted: Sequence[str], files: tuple[Path, Path, Path], *, tcp: bool
) -> str:
    """What a guard runs. Paths become absolute: it lies in a folder of its own."""
    cert, key, ca = (str(it.absolute()) for it in files)
    who = listed(admitted)
    believed = "" if tcp else f"trusted_proxies = {{ clients = {who}, believe = {listed(BELIEVED)} }}\n"
    return (
        f"version = 1\n[admin]\nsocket = {quoted(str(folder / 'admin.sock'))}\n"
        f"[log]\naccess = {quoted(str(folder / 'access.log'))}\n"
        f'[[listener]]\nname = "guard"\nbind = [{quoted(at)}]\n{believed}'
        f'[[site]]\nname = "guard"\nhosts = ["*"]\n'
        f"certs = [{{ chain = {quoted(cert)}, key = {quoted('file:' + key)} }}]\n"
        f'clients = {{ ca = {quoted(ca)}, mode = "require" }}\n'
        f'[[route]]\nname = "backend"\nhost = "*"\ntls = "plaintext"\nto = [{quoted(to)}]\nallow = {{ clients = {who} }}\n'
        + ('protocol = "tcp"\n' if tcp else "")
    )


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def listed(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(quoted, texts))}]"


def at_the_edge(at: str, own: Sequence[str], ca: Path) -> list[str]:
    """What whoever runs the edge writes there."""
    port = at.rpartition(":")[2]
    name = next((it for it in own if "*" not in it), "NAME")
    return [
        "at the edge, on the route of this backend:",
        f'  to = ["THIS-HOST:{port}"]',
        '  tls = "mutual"',
        '  present = "IDENTITY"   # an [[identity]] whose certificate is admitted here',
        f"  verify = {{ ca = {quoted(str(ca))}, name = {quoted(name)} }}",
    ]
