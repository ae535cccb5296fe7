"""What a guard runs, as a configuration, and what is written at the edge in front of it. It reads and writes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BELIEVED = ["address", "client-cert", "host", "port", "prefix", "proto", "request-id"]
"""What an edge says of its client on each request, whatever that sent."""
NAME = "guard"
"""Of its listener, its site and its identity."""
GIVEN = f"identity:{NAME}"
URLS = ("https://", "http://")


@dataclass(frozen=True)
class Files:
    """A certificate that somebody else renews."""

    cert: Path
    key: Path


@dataclass(frozen=True)
class Enrolled:
    """One that an authority of `everyhop ca` issues, and that is renewed by itself."""

    authority: str
    token: str | None
    """A reference such as `file:PATH`: a token itself is written nowhere."""
    folder: Path


Own = Files | Enrolled


@dataclass(frozen=True)
class Guarded:
    """All that is said to a guard. `ca` and `crl` are whom it believes edges by: without, what came with its own certificate."""

    folder: Path
    listen: str
    to: str
    admitted: Sequence[str]
    own: Own
    ca: Path | None = None
    crl: str | None = None
    tcp: bool = False


def configuration(it: Guarded) -> str:
    """Paths become absolute: it lies in a folder of its own."""
    who = listed(it.admitted)
    believed = "" if it.tcp else f"trusted_proxies = {{ clients = {who}, believe = {listed(BELIEVED)} }}\n"
    return (
        f"version = 1\n[admin]\nsocket = {quoted(str(it.folder / 'admin.sock'))}\n"
        f"[log]\naccess = {quoted(str(it.folder / 'access.log'))}\n"
        f'[[listener]]\nname = "{NAME}"\nbind = [{quoted(it.listen)}]\n{believed}'
        f"{identity(it.own)}"
        f'[[site]]\nname = "{NAME}"\nhosts = ["*"]\n'
        f"certs = [{shown(it.own)}]\n"
        f'clients = {{ {roots(it)}, mode = "require" }}\n'
        f'[[route]]\nname = "backend"\nhost = "*"\ntls = "plaintext"\nto = [{quoted(it.to)}]\nallow = {{ clients = {who} }}\n'
        + ('protocol = "tcp"\n' if it.tcp else "")
    )


def identity(own: Own) -> str:
    if isinstance(own, Files):
        return ""
    token = "" if own.token is None else f"token = {quoted(own.token)}\n"
    return (
        f'[[identity]]\nname = "{NAME}"\nfrom = "ca"\nauthority = {quoted(own.authority)}\n'
        f"{token}state = {quoted(str(own.folder))}\n"
    )


def shown(own: Own) -> str:
    if isinstance(own, Enrolled):
        return f'{{ identity = "{NAME}" }}'
    return f"{{ chain = {absolute(own.cert)}, key = {quoted(f'file:{own.key.absolute()}')} }}"


def roots(it: Guarded) -> str:
    if it.ca is None:
        return f'ca = "{GIVEN}", crl = "{GIVEN}"'
    if it.crl is None:
        return f"ca = {absolute(it.ca)}"
    lists = quoted(it.crl) if it.crl.startswith(URLS) else absolute(Path(it.crl))
    return f"ca = {absolute(it.ca)}, crl = {lists}"


def absolute(path: Path) -> str:
    return quoted(str(path.absolute()))


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def listed(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(quoted, texts))}]"


def at_the_edge(it: Guarded, names: Sequence[str], workload: str | None) -> list[str]:
    """What whoever runs the edge writes there. `names` and `workload` are what the guard's certificate says it is."""
    port = it.listen.rpartition(":")[2]
    name = next((one for one in names if "*" not in one), None)
    known = f"spiffe = {quoted(workload)}" if name is None and workload else f"name = {quoted(name or 'NAME')}"
    if isinstance(it.own, Enrolled):
        whose = f'an [[identity]] with from = "ca" and authority = {quoted(it.own.authority)}, admitted here'
        by = 'ca = "identity:IDENTITY", crl = "identity:IDENTITY"'
    else:
        whose, by = "an [[identity]] whose certificate is admitted here", f"ca = {quoted(str(it.ca))}"
    return [
        "at the edge, on the route of this backend:",
        f'  to = ["THIS-HOST:{port}"]',
        '  tls = "mutual"',
        f'  present = "IDENTITY"   # {whose}',
        f"  verify = {{ {by}, {known} }}",
    ]
