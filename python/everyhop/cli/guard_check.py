"""`everyhop guard --check`: whether a guarded backend answers anybody past its guard, and whether the guard refuses whom it must. What it
cannot know it says. Exit code 0: everything that was looked at is as it should be. Read next: `guard_looks.py`."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from everyhop.authority.names import named
from everyhop.cli import guard_looks as looks
from everyhop.cli.console import print_json
from everyhop.compile.names import Address, address
from everyhop.errors import Misuse
from everyhop.screen import Paint, line

STRANGER = "edge.internal"
"""What the certificate of another authority is called where nobody is said to be admitted."""


@dataclass(frozen=True)
class Seen:
    """One thing that was looked at. `mend` is for what is wrong."""

    is_good: bool
    what: str
    mend: Sequence[str] = ()


def looked(to: Address, listen: Address, admitted: Sequence[str], source: str | None, *, as_json: bool) -> int:
    """Prints what was seen; gives the exit code."""
    rows = [*backend(to, listen, source), *guard(listen, admitted, source)]
    code = 0 if all(row.is_good for row in rows) else 1
    if as_json:
        seen = [{"good": row.is_good, "what": row.what, "mend": list(row.mend)} for row in rows]
        print_json({"good": code == 0, "seen": seen, "unknown": list(unknown(to, listen))})
        return code
    for row in rows:
        line(Paint("good   ", "green") if row.is_good else Paint("wrong  ", "red"), row.what)
        for mend in row.mend:
            line(f"  mend   {mend}")
    for text in unknown(to, listen):
        line(Paint("unknown", "yellow"), f" {text}")
    return code


def backend(to: Address, listen: Address, source: str | None) -> Iterator[Seen]:
    if to.unix is not None:
        yield from of_unix(Path(to.unix))
        return
    (first, *more) = looks.hosts_of(to)
    if looks.reached_by_others(first):
        for host in (first, *more):
            yield closed(host, to.port, source, here=False)
        return
    if not is_there(first, to.port, source):
        yield Seen(False, f"nothing answers at {to}: there is no backend to be looked at", ["start the backend first"])
        return
    at = sorted(looks.bound(to.port))
    shown = [it for it in at if looks.reached_by_others(it) and (it, to.port) != (listen.ip, listen.port)]
    by = ", ".join(at) or "addresses that the kernel does not list here"
    if shown:
        what = "all addresses" if any(it in ("0.0.0.0", "::") for it in shown) else ", ".join(shown)  # noqa: S104
        yield Seen(False, f"port {to.port} of this host is bound to {what}, not to {to.ip} alone", [*bind_to(to)])
    else:
        yield Seen(True, f"port {to.port} is bound to {by}")
    own = [it for it in looks.own_addresses() if (it, to.port) != (listen.ip, listen.port)]
    for host in own:
        yield closed(host, to.port, source, here=True)
    if not own:
        yield Seen(True, "this host has no address but loopback that anybody could come by")


def of_unix(path: Path) -> Iterator[Seen]:
    try:
        mode = path.stat().st_mode
    except OSError as e:
        yield Seen(False, f"{path}: {e.strerror}: there is no backend to be looked at", ["start the backend first"])
        return
    if not stat.S_ISSOCK(mode):
        yield Seen(False, f"{path} is no socket", ["--to unix:PATH of the backend's socket"])
        return
    # By where it lies: a way to it through a folder that is closed closes no other way.
    reached = all(it.stat().st_mode & stat.S_IXOTH for it in path.resolve().parents)
    if mode & stat.S_IWOTH and reached:
        what = f"every user of this host can speak to {path} (mode {stat.S_IMODE(mode):04o})"
        yield Seen(False, what, [f"chmod 660 {path}, with a group that the guard's user is of"])
    else:
        yield Seen(True, f"{path} is a socket of this host, closed to users that are not meant")


def bind_to(to: Address) -> Iterator[str]:
    yield f"bind the backend to {to.ip}: it is a setting of the backend, often called listen, bind or host"
    yield f"or close port {to.port} to others by the host's firewall, and check from another host"


def is_there(host: str, port: int, source: str | None) -> bool:
    try:
        return looks.answers(host, port, source)
    except looks.NotAsked:
        return False


def closed(host: str, port: int, source: str | None, *, here: bool) -> Seen:
    at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if not looks.answers(host, port, source):
            return Seen(True, f"{at} does not answer")
    except looks.NotAsked as e:
        return Seen(
            False, f"{at} cannot be asked from here: {e}", ["look from an address that leads there: --from ADDRESS"]
        )
    whose = "an address of this host" if here else "from here"
    what = f"{at} answers ({whose}): whoever reaches it gets past the guard"
    # On this host the mend stands with what it is bound to.
    return Seen(
        False,
        what,
        [] if here else [f"bind the backend to 127.0.0.1 of its host, or close port {port} there by a firewall"],
    )


def guard(listen: Address, admitted: Sequence[str], source: str | None) -> Iterator[Seen]:
    called = next(filter(certifiable, admitted), STRANGER)
    for host in looks.hosts_of(listen):
        at = f"[{host}]:{listen.port}" if ":" in host else f"{host}:{listen.port}"
        if not is_there(host, listen.port, source):
            yield Seen(
                False, f"nothing answers at {at}: there is no guard to be looked at", ["start everyhop guard first"]
            )
            continue
        came = looks.lets_in_plaintext(host, listen.port, source)
        if came is None:
            yield Seen(True, f"{at} gives no answer to plaintext")
        else:
            yield Seen(
                False,
                f"{at} answers plaintext: {came}",
                ["--listen must be the guard's own address: what answers there is none"],
            )
        for name, who in ((None, "no certificate"), (called, f"a certificate of another authority, for {called},")):
            why = looks.why_not_refused(host, listen.port, source, name)
            if why is None:
                yield Seen(True, f"{at} refuses whoever shows {who.rstrip(',')}")
            else:
                mend = 'what everyhop guard runs has clients = { ..., mode = "require" }: everyhop guard --print-config'
                yield Seen(False, f"{at} does not refuse whoever shows {who} as it should: {why}", [mend])


def certifiable(name: str) -> bool:
    try:
        named(name)
    except Misuse:
        return False
    return True


def unknown(to: Address, listen: Address) -> Iterator[str]:
    if to.unix is None and to.is_literal_loopback:
        yield f"what other hosts reach, which firewalls decide: there, with an address of this one for ADDRESS, everyhop guard --check --to ADDRESS:{to.port} --listen ADDRESS:{listen.port}"
    if to.is_literal_loopback:
        yield f"who on this host uses {to}: its programs get past the guard"
    else:
        yield "what is reached from other places than this one"
    yield "whom the guard admits: that is what its --admit says"


def asked_of(to: str, listen: str) -> tuple[Address, Address]:
    """Where is looked; `:8443` is every address of this host. Raises `Misuse`."""
    behind, at = address(to), address(f"[::]{listen}" if listen.startswith(":") else listen)
    if behind is None or behind.service is not None:
        raise Misuse(
            f"--to {to!r} is no address: write 127.0.0.1:8080, [::1]:8080, a name with a port, or unix:/run/app.sock"
        )
    if at is None or not (at.ip or at.name):
        raise Misuse(f"--listen {listen!r} is no address: write :8443, 10.0.0.5:8443 or a name with a port")
    return behind, at
