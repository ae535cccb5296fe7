"""`everyhop guard`: the same edge beside a backend that knows nothing of TLS. It ends the hop by mutual TLS, lets in whom it is told, and
speaks plaintext to this host alone. What it runs is a configuration like any other, which `--print-config` shows.

Read next: `guard_config.py`, the configuration; `guard_enrol.py`, its certificate where an authority issues it.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from everyhop.admin.paths import runtime_dir
from everyhop.cli.guard_config import Enrolled, Files, Guarded, Own, at_the_edge, configuration
from everyhop.compile.names import address, bind, client
from everyhop.errors import Misuse, Surroundings
from everyhop.identity import Unusable, names_of, read_names
from everyhop.screen import line, lines

LOCK = "guard.lock"


def register(app: typer.Typer) -> None:
    app.command("guard", help="Run beside a backend: mutual TLS for who is admitted, and nobody else.")(guard)


def guard(
    listen: Annotated[str, typer.Option("--listen", metavar="[ADDRESS]:PORT", help="Where edges come.")],
    to: Annotated[str, typer.Option("--to", metavar="HOST:PORT", help="The backend: on this host, or unix:PATH.")],
    admit: Annotated[
        list[str] | None,
        typer.Option(
            "--admit",
            metavar="NAME",
            help="Who may come, by its certificate's name; may be repeated.",
            show_default=False,
        ),
    ] = None,
    enroll: Annotated[
        str | None,
        typer.Option(
            "--enroll",
            metavar="TOKEN@HOST:PORT",
            help="Get its certificate from everyhop ca serve, and renew it. For TOKEN also file:PATH, env:NAME or cred:NAME;"
            " HOST:PORT alone once it has one; - reads it from standard input.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", help="With --enroll: what edges are to verify it by; in its certificate.", show_default=False
        ),
    ] = None,
    cert: Annotated[
        Path | None,
        typer.Option("--cert", metavar="FILE", help="Or the certificate that edges verify.", show_default=False),
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Its key.", show_default=False)] = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            "--ca",
            metavar="FILE",
            help="Roots that edges' certificates chain to; with --enroll, those of that authority.",
            show_default=False,
        ),
    ] = None,
    crl: Annotated[
        str | None,
        typer.Option(
            "--crl",
            metavar="FILE|URL",
            help="With --ca: lists of certificates that were taken back.",
            show_default=False,
        ),
    ] = None,
    tcp: Annotated[bool, typer.Option("--tcp", help="What is inside TLS goes on unread.")] = False,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            metavar="FOLDER",
            help="For its sockets, log, configuration and, with --enroll, its certificate.",
            show_default=False,
        ),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the configuration that it would run, and end.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Look whether the backend answers past the guard, and whom the guard refuses. Exit code 1: not so.",
        ),
    ] = False,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="ADDRESS", help="With --check: this host's address to look from.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --check: for programs.")] = False,
) -> None:
    admitted = known(admit or [])
    if check:
        from everyhop.cli.guard_check import asked_of, looked

        raise typer.Exit(looked(*asked_of(to, listen), admitted, source, as_json=as_json))
    if source is not None or as_json:
        raise Misuse("--from and --json go with --check")
    if not admitted:
        raise Misuse("say who may come: --admit NAME, as the edge's certificate has it")
    behind, at = places(to, listen)
    if crl is not None and ca is None:
        raise Misuse("--crl goes with --ca: with --enroll alone, lists come from the authority by themselves")
    if enroll is None:
        own: Own = files(cert, key, ca)
        if name is not None:
            raise Misuse("--name goes with --enroll: the names of --cert are those that it has")
        folder = (state or runtime_dir() / "guard").absolute()
    else:
        if cert is not None or key is not None:
            raise Misuse("its certificate comes by --enroll, or lies in --cert and --key: say one of both")
        from everyhop.cli.guard_enrol import asked

        by = asked(sys.stdin.readline().strip() if enroll == "-" else enroll)
        folder = (state or lasting()).absolute()
        own = Enrolled(by.authority, by.reference, folder / "identity")
    it = Guarded(folder, at, behind, admitted, own, ca, crl, tcp)
    if print_config:
        lines(configuration(it).rstrip("\n"))
        return
    names: Sequence[str]
    workload: str | None = None
    if isinstance(own, Files):
        try:
            names = read_names(str(own.cert.absolute()), folder)
        except Unusable as e:
            raise Surroundings(str(e)) from e
        taken(folder)
    else:
        from everyhop.cli.guard_enrol import enrolled
        from everyhop.cli.guard_enrol import workload as id_of

        taken(folder)
        leaf = enrolled(by, own.folder, name)
        names, workload = names_of(leaf), id_of(leaf)
        if name is not None:
            names, workload = ([], name) if name == workload else ([name], None)
    run(it, names, workload)


def known(names: Sequence[str]) -> list[str]:
    """As they are compared. Raises `Misuse` for what nobody can prove."""
    try:
        return [client(one) for one in names]
    except ValueError as e:
        raise Misuse(f"--admit {', '.join(names)}: {e}") from e


def places(to: str, listen: str) -> tuple[str, str]:
    """The backend's address and the guard's own. Raises `Misuse` for a backend that is not on this host."""
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
    return str(behind), at


def files(cert: Path | None, key: Path | None, ca: Path | None) -> Files:
    if cert is None or key is None or ca is None:
        raise Misuse("it needs a certificate: --enroll TOKEN@HOST:PORT of everyhop ca, or --cert, --key and --ca")
    return Files(cert, key)


def lasting() -> Path:
    """Where a certificate outlives a start of the machine."""
    if os.geteuid() == 0:
        return Path("/var/lib/everyhop/guard")
    given = os.environ.get("XDG_STATE_HOME")
    return (Path(given) if given else Path.home() / ".local/state") / "everyhop/guard"


def taken(folder: Path) -> None:
    """The folder is there, and no other guard's as long as this process lives. Raises `Surroundings`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Open until we end, however that is: then the kernel lets go of it.
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
        raise Surroundings(
            f"another guard runs by what lies in {folder}, and would take this one's configuration for its own",
            "  give each a folder: --state FOLDER",
        ) from e
    except OSError as e:
        raise Surroundings(f"cannot use {folder}: {e.strerror}") from e


def run(it: Guarded, names: Sequence[str], workload: str | None) -> None:
    path = it.folder / "guard.toml"
    try:
        path.write_text(configuration(it), encoding="utf-8")
    except OSError as e:
        raise Surroundings(f"cannot write {path}: {e.strerror}") from e
    for row in at_the_edge(it, names, workload):
        line(row, flush=True)
    # It takes a while to be read, and nothing above needs it.
    from everyhop.admin.supervisor import Supervisor

    raise typer.Exit(Supervisor(path).run())
