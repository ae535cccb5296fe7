"""A configuration for advised services, that passes `check --no-files` as it stands.

It never invents an owner: a plaintext hop without one is left without its acceptance, and that is the one refusal left.
"""

from __future__ import annotations

import datetime as dt

from everyhop.advise.rules import Advice, Service
from everyhop.compile.names import address

HEAD = """\
version = 1

[[listener]]
name = "public"
bind = ["[::]:443"]
"""


def text(value: str) -> str:
    """A TOML basic string."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'


def configuration(services: list[tuple[Service, Advice]]) -> str:
    """The file for all services that have a pattern: one listener, one site for all names whose TLS ends at the edge."""
    fit = [(s, a) for s, a in services if a.pattern is not None]
    ended = [s for s, a in fit if a.pattern != "passthrough"]
    out = [HEAD]
    if ended:
        hosts = ", ".join(text(h) for h in dict.fromkeys(s.host for s in ended))
        out.append(
            f'[[site]]\nname  = "edge"\nhosts = [{hosts}]\ncerts = [{{ chain = "/etc/everyhop/edge.pem", key = "file:/etc/everyhop/edge.key" }}]\n'
        )
    if any(a.pattern == "mutual" for _, a in fit):
        out.append(
            '[[identity]]\nname  = "edge"\nchain = "/etc/everyhop/identity.pem"\nkey   = "file:/etc/everyhop/identity.key"\n'
        )
    out += [route(s, a) for s, a in fit]
    return "\n".join(out)


def route(service: Service, advice: Advice) -> str:
    needs = service.requirements.needs
    lines = ["[[route]]", f"name = {text(service.name)}", f"host = {text(service.host)}", f'tls  = "{advice.pattern}"']
    lines.append(f"to   = [{', '.join(text(t) for t in service.to)}]")
    if advice.pattern in {"mutual", "reencrypt"}:
        first = address(service.to[0])
        named = first.name if first else None
        expected = "" if named else f", name = {text(service.name + '.internal')}"
        lines.append(f'verify = {{ ca = "/etc/everyhop/internal-ca.pem"{expected} }}')
    if advice.pattern == "mutual":
        lines.append('present = "edge"')
    if "grpc" in needs:
        lines.append('upstream_protocol = "h2"')
    if service.requirements.data != "not-sure":
        lines.append(f'data = "{service.requirements.data}"')
    if needs:
        lines.append(f"requires = [{', '.join(text(n) for n in sorted(needs))}]")
    if advice.pattern == "plaintext" and service.owner and service.until:
        context = "legacy"
        lines += [
            "[route.acceptance]",
            f"owner = {text(service.owner)}",
            f"why = {text(service.why or 'the backend has no TLS')}",
        ]
        lines += [f'context = "{context}"', f"since = {dt.datetime.now(dt.UTC).date()}", f"until = {service.until}"]
    return "\n".join(lines) + "\n"
