"""A configuration for advised services, that passes `check --no-files` as it stands, with all that they require in it.

It never invents an owner or a backend: a plaintext hop without an owner is left without its acceptance, and that is the
one refusal left.
"""

from __future__ import annotations

import datetime as dt

from everyhop.advise.rules import Advice, Service
from everyhop.advise.spoken import SPOKEN, Protocol
from everyhop.compile.names import address
from everyhop.trust import CAPABILITIES, Setting

PUBLIC = """\
[[listener]]
name = "public"
bind = ["[::]:443"]
"""


def listeners(spoken: list[Protocol]) -> list[str]:
    """A listener for HTTP, and one for each other protocol on its port."""
    own = [it for it in dict.fromkeys(spoken) if it != "http" and SPOKEN[it].port != 443]
    out = [PUBLIC] if not own or len(own) < len(set(spoken)) else []
    for it in own:
        lines = ["[[listener]]", f'name = "{it}"', f'bind = ["[::]:{SPOKEN[it].port}"]']
        if SPOKEN[it].starttls:
            lines.append(f'starttls = "{SPOKEN[it].starttls}"')
        out.append("\n".join(lines) + "\n")
    return out


def text(value: str) -> str:
    """A TOML basic string."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'


def settings(service: Service, advice: Advice) -> list[Setting]:
    """What the service's requirements need configured."""
    rows = (CAPABILITIES[n] for n in sorted(service.requirements.needs))
    assert advice.pattern is not None
    found = [s for row in rows for s in row.writes if s.is_for(advice.pattern, stream=is_stream(service, advice))]
    return list(dict.fromkeys(found))


def is_stream(service: Service, advice: Advice) -> bool:
    """TLS ends here, and what is in it is carried unread."""
    return service.requirements.is_stream and advice.pattern != "passthrough"


def written(found: list[Setting], table: str) -> list[str]:
    return [f"{s.key} = {s.value}" for s in found if s.table == table]


def configuration(services: list[tuple[Service, Advice]]) -> str:
    """The file for all services that have a pattern: one listener for each protocol, and a site for all names whose TLS ends
    here, that speak the same and of whose clients the same is demanded."""
    fit = [(s, a) for s, a in services if a.pattern is not None]
    every = list(dict.fromkeys(setting for s, a in fit for setting in settings(s, a)))
    out = ["version = 1\n"]
    for table, head in (
        ("log", "[log]"),
        ("status", "[status]"),
        ("collector", "[[collector]]"),
        ("traces", "[traces]"),
    ):
        out += [head + "\n" + "\n".join(lines) + "\n"] if (lines := written(every, table)) else []
    out += listeners([s.requirements.protocol for s, _ in fit])
    out += sites([(s, a) for s, a in fit if a.pattern != "passthrough"])
    if any(a.pattern == "mutual" for _, a in fit):
        out.append(
            '[[identity]]\nname  = "edge"\nchain = "/etc/everyhop/identity.pem"\nkey   = "file:/etc/everyhop/identity.key"\n'
        )
    if issuer := written(every, "issuer"):
        out.append("[[issuer]]\n" + "\n".join(issuer) + "\n")
    if counted := written(every, "limit"):
        out.append("\n".join(["[[limit]]", 'name = "per-client"', *counted]) + "\n")
    if authorizer := written(every, "authorizer"):
        out.append("[[authorizer]]\n" + "\n".join(authorizer) + "\n")
    if waf := written(every, "waf"):
        out.append("[[waf]]\n" + "\n".join(waf) + "\n")
    out += [route(s, a) for s, a in fit]
    return "\n".join(out)


def sites(ended: list[tuple[Service, Advice]]) -> list[str]:
    """A site for names that demand nothing, and one for those of which a service demands something: a handshake comes
    before any path, so what one service of a name demands holds for all of that name."""
    demands: dict[tuple[str, Protocol], list[str]] = {}
    for service, advice in ended:
        mine = demands.setdefault((service.host, service.requirements.protocol), [])
        mine += [line for line in written(settings(service, advice), "site") if line not in mine]
    groups: dict[tuple[str, ...], list[str]] = {}
    for (host, protocol), lines in demands.items():
        name = "edge" if protocol == "http" else f"edge-{protocol}"
        offers = [f'alpn  = ["{SPOKEN[protocol].alpn}"]'] if protocol != "http" and SPOKEN[protocol].alpn else []
        groups.setdefault((name + ("-demanding" if lines else ""), *offers, *sorted(lines)), []).append(host)
    return [
        "\n".join(
            [
                "[[site]]",
                f"name  = {text(name)}",
                f"hosts = [{', '.join(map(text, hosts))}]",
                f'certs = [{{ chain = "/etc/everyhop/{name}.pem", key = "file:/etc/everyhop/{name}.key" }}]',
                *lines,
            ]
        )
        + "\n"
        for (name, *lines), hosts in sorted(groups.items())
    ]


def route(service: Service, advice: Advice) -> str:
    needs = service.requirements.needs
    lines = ["[[route]]", f"name = {text(service.name)}", f"host = {text(service.host)}", f'tls  = "{advice.pattern}"']
    if is_stream(service, advice):
        lines.append('protocol = "tcp"')
    lines.append(f"to   = [{', '.join(text(t) for t in service.to)}]")
    if advice.pattern in {"mutual", "reencrypt"}:
        first = address(service.to[0])
        named = first.name if first else None
        expected = "" if named else f", name = {text(service.name + '.internal')}"
        lines.append(f'verify = {{ ca = "/etc/everyhop/internal-ca.pem"{expected} }}')
    if advice.pattern == "mutual":
        lines.append('present = "edge"')
    asks = SPOKEN[service.requirements.protocol].starttls if service.requirements.is_stream else None
    if asks and advice.pattern != "plaintext":
        lines.append(f'starttls = "{asks}"')
    lines += written(settings(service, advice), "route")
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
