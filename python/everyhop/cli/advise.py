"""`everyhop advise`: requirements in, best fit out; by questions, by flags, or from a list of services."""

from __future__ import annotations

import dataclasses
import datetime as dt
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from everyhop.advise import Advice, Requirements, Service, advise, configuration
from everyhop.advise.rules import SEVERAL
from everyhop.advise.spoken import PROTOCOLS, SPOKEN
from everyhop.cli.console import print_json
from everyhop.cli.questions import ask_all
from everyhop.compile import compile_file
from everyhop.compile.names import address, host
from everyhop.errors import Misuse, Refused, Surroundings
from everyhop.model.words import DATA
from everyhop.refusals import Finding, merged
from everyhop.screen import line, lines, wrapped
from everyhop.source.yaml_nodes import NotYaml, values
from everyhop.trust import CAPABILITIES

ANSWERS = ("yes", "no", "not-sure")


def register(app: typer.Typer) -> None:
    app.command("advise", help="Which pattern fits: from requirements to a configuration.")(command)


def command(
    name: Annotated[str, typer.Option("--name", help="The service.")] = "service",
    host_: Annotated[str, typer.Option("--host", help="Its public name.")] = "service.example.com",
    to: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="HOST:PORT", help="A backend; may be repeated.", show_default=False),
    ] = None,
    need: Annotated[
        list[str] | None,
        typer.Option("--need", metavar="A,B", help="Capabilities: everyhop explain --list.", show_default=False),
    ] = None,
    protocol: Annotated[str, typer.Option("--protocol", help=" | ".join(PROTOCOLS))] = "http",
    role: Annotated[str, typer.Option("--role", help="transport | control | not-sure")] = "not-sure",
    data: Annotated[
        str, typer.Option("--data", help="public | internal | confidential | major-incident | not-sure")
    ] = "not-sure",
    backend_tls: Annotated[
        str, typer.Option("--backend-can-hold-certificate", help="yes | no | not-sure")
    ] = "not-sure",
    backend_asks: Annotated[str, typer.Option("--backend-can-ask-for-ours", help="yes | no | not-sure")] = "not-sure",
    same_host: Annotated[str, typer.Option("--same-host", help="yes | no | not-sure")] = "no",
    owner: Annotated[str | None, typer.Option("--owner", help="Who owns a plaintext hop.", show_default=False)] = None,
    why: Annotated[str | None, typer.Option("--why", help="Why plaintext.", show_default=False)] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="DATE", help="Until when plaintext is accepted.", show_default=False),
    ] = None,
    services: Annotated[
        Path | None,
        typer.Option(
            "--services", metavar="FILE", help="A YAML list of services with the same words.", show_default=False
        ),
    ] = None,
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="Write the configuration there.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    given: dict[str, Any] = {
        "name": name,
        "host": host_,
        "to": to or [],
        "protocol": protocol,
        "needs": [n for text in need or [] for n in text.split(",")],
        "role": role,
        "data": data,
        "backend_tls": backend_tls,
        "backend_asks": backend_asks,
        "same_host": same_host,
        "owner": owner,
        "why": why,
        "until": until,
    }
    if services is not None:
        wanted = [service_of(s) for s in listed(services)]
    elif (
        not any((need, to, owner, protocol != "http"))
        and (role, data, backend_tls, backend_asks) == ("not-sure",) * 4
        and sys.stdin.isatty()
    ):
        wanted = [service_of(given | ask_all())]
    else:
        wanted = [service_of(given)]
    advised = [(s, advise(s.requirements)) for s in wanted]
    text = configuration(advised)
    if write is not None:
        if write.exists():
            raise Surroundings(f"{write} is there already; nothing was written")
        try:
            write.write_text(text, encoding="utf-8")
        except OSError as e:
            raise Surroundings(f"cannot write {write}: {e.strerror}") from e
    if as_json:
        print_json({"services": [plain(s, a) for s, a in advised], "configuration": text})
    else:
        for service, advice in advised:
            tell(service, advice)
        if any(a.pattern for _, a in advised):
            finish(text, advised, write)
    raise typer.Exit(0 if all(a.pattern for _, a in advised) else 1)


def one_of(value: object, allowed: tuple[str, ...], what: str) -> str:
    if value not in allowed:
        raise Misuse(f"{what} is one of {', '.join(allowed)}, not {value!r}")
    return str(value)


def service_of(given: dict[str, Any]) -> Service:
    known = {
        "name",
        "host",
        "to",
        "protocol",
        "needs",
        "role",
        "data",
        "backend_tls",
        "backend_asks",
        "same_host",
        "owner",
        "why",
        "until",
    }
    if stray := set(given) - known:
        raise Misuse(f"{', '.join(sorted(stray))} is no word for a service; known: {', '.join(sorted(known))}")
    needs = frozenset(n.strip() for n in given.get("needs") or [])
    if unknown := needs - set(CAPABILITIES):
        raise Misuse(f"{', '.join(sorted(unknown))} is no capability; one of: {', '.join(sorted(CAPABILITIES))}")
    name, public = str(given.get("name", "service")), str(given.get("host", "service.example.com"))
    if host(public, wildcard=True) is None:
        raise Misuse(f"{public!r} is no host name")
    protocol = one_of(given.get("protocol", "http"), PROTOCOLS, "protocol")
    port = SPOKEN[protocol].port if protocol in SPOKEN and protocol != "tcp" else 8443
    backends = given.get("to") or [f"10.0.0.5:{port}", f"10.0.0.6:{port}"][: 2 if needs & SEVERAL else 1]
    backends = [backends] if isinstance(backends, str) else backends
    for at in backends:
        if address(str(at)) is None:
            raise Misuse(f"{at!r} is no address; write host:port or unix:/path")
    same = one_of(given.get("same_host", "no"), ANSWERS, "same_host")
    if all((found := address(str(at))) is not None and found.is_literal_loopback for at in backends):
        same = "yes"
    until = given.get("until")
    if until is not None:
        try:
            dt.date.fromisoformat(str(until))
        except ValueError as e:
            raise Misuse(f"until takes a date such as 2027-03-01, not {until!r}") from e
    requirements = Requirements(
        role=cast(Any, one_of(given.get("role", "not-sure"), ("transport", "control", "not-sure"), "role")),
        needs=needs,
        data=cast(Any, one_of(given.get("data", "not-sure"), (*DATA, "not-sure"), "data")),
        backend_tls=cast(Any, one_of(given.get("backend_tls", "not-sure"), ANSWERS, "backend_tls")),
        backend_asks=cast(Any, one_of(given.get("backend_asks", "not-sure"), ANSWERS, "backend_asks")),
        same_host=cast(Any, same),
        protocol=cast(Any, protocol),
        several="not-sure" if not given.get("to") else "yes" if len(backends) > 1 else "no",
    )
    return Service(
        name,
        public,
        tuple(map(str, backends)),
        requirements,
        given.get("owner"),
        given.get("why"),
        str(until) if until else None,
    )


def listed(path: Path) -> list[dict[str, Any]]:
    whole = ""
    try:
        whole = "services:\n" + "\n".join("  " + row for row in path.read_text(encoding="utf-8").split("\n"))
        found = values(whole)
    except OSError as e:
        raise Surroundings(f"cannot read {path}: {e.strerror}") from e
    except NotYaml as e:
        row, column = e.place(whole)
        raise Misuse(f"{path}:{row - 1}:{column}: {e.what}") from e
    services = found.get("services")
    if not isinstance(services, list) or not all(isinstance(s, dict) for s in services):
        raise Misuse(f"{path} is not a list of services; write: - name: api")
    return [
        {
            k: str(v).lower().replace("true", "yes").replace("false", "no") if isinstance(v, bool) else v
            for k, v in s.items()
        }
        for s in services
    ]


def plain(service: Service, advice: Advice) -> dict[str, object]:
    return {"name": service.name, "host": service.host, **dataclasses.asdict(advice)}


def several(title: str, said: tuple[str, ...]) -> None:
    for index, sentence in enumerate(said):
        lines(wrapped(sentence, 14, f"  {title.ljust(11) if index == 0 else ' ' * 11} "))


def tell(service: Service, advice: Advice) -> None:
    if advice.pattern is None:
        line(f"{service.name}: these cannot be had together")
        for conflict in advice.conflicts:
            line(f"  conflict    {conflict.between[0]}")
            line(f"              and {conflict.between[1]}")
            several("because", (conflict.because,))
            several("ways out", conflict.ways_out)
    else:
        line(f'{service.name}: tls = "{advice.pattern}"')
        several("because", advice.forced_by)
        several("you give up", advice.gives_up)
        several("you now run", advice.duties)
        assumed = f"; assumed: {', '.join(advice.assumed)}" if advice.assumed else ""
        several("how sure", (advice.sure + assumed,))
    several("but", advice.if_changed)
    line()


def left(text: str) -> list[Finding]:
    """What services together contradict, though each alone has its pattern, such as a wildcard beside a blind proxy."""
    try:
        compile_file("advised.toml", text=text, files="skip")
    except Refused as e:
        return [
            f for f in merged(e.findings) if f.severity == "refused" and f.slug != "hop/plaintext-without-acceptance"
        ]
    return []


def finish(text: str, advised: list[tuple[Service, Advice]], write: Path | None) -> None:
    path = write or Path("everyhop.toml")
    if write is None:
        lines(text)
    open_ = [
        s.name
        for s, a in advised
        if a.pattern == "plaintext" and s.requirements.same_host != "yes" and not (s.owner and s.until)
    ]
    line("next:")
    for finding in left(text):
        lines(wrapped(f"mend  {finding.what}: {finding.mend[0]}", 8, "  "))
    if open_:
        line(f"  everyhop accept {open_[0]} --owner NAME --until DATE --why TEXT --config {path}")
    line(f"  everyhop check --no-files {path}")
    line(f"  everyhop explain {path}")
    if not open_:
        line(f"  everyhop run --config {path}")
