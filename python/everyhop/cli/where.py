"""`everyhop where NAME[/path]`: which route a request takes, what its hops are, who can read it, what really happened.

It asks the engine's own matcher: the running one, or where none runs the same code over the compiled file.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import getpass
import ipaddress
import json
import sys
from typing import Annotated, Any

import typer

from everyhop.admin import Client
from everyhop.cli.console import print_json
from everyhop.cli.drawing import SHUT, Front, asked, days_left, hops, inspects, keys_from, marked, readers
from everyhop.cli.drawing import told as told_to
from everyhop.cli.running_plan import running_plan
from everyhop.compile import compile_file
from everyhop.errors import Misuse, Surroundings
from everyhop.evidence.told import observed, of_zone
from everyhop.plan import AtBackend, AtEdge, Listener, Plan, Route
from everyhop.screen import Paint, beside, few, line, lines, wrapped
from everyhop.source import find


def register(app: typer.Typer) -> None:
    app.command("where", help="Which route a request takes, and who can read it.")(where)


def where(
    target: Annotated[
        str, typer.Argument(metavar="NAME[/path]", help="Such as shop.example.com/cart; http:// asks in the clear.")
    ],
    method: Annotated[str, typer.Option("--method", help="Request method.")] = "GET",
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header", metavar="'NAME: VALUE'", help="A request header; may be repeated.", show_default=False
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            help="A token (JWT) that it shows; - reads one. Judged by the running edge alone.",
            show_default=False,
        ),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(
            "--user",
            metavar="NAME",
            help="Whose password it shows, which is asked for. Judged by the running edge alone.",
            show_default=False,
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", help="Where the client is; default: where the route takes it.", show_default=False),
    ] = None,
    alpn: Annotated[
        list[str] | None, typer.Option("--alpn", help="Protocols that the client offers.", show_default=False)
    ] = None,
    sni: Annotated[
        str | None, typer.Option("--sni", help="Server name of the hello; default: NAME.", show_default=False)
    ] = None,
    no_sni: Annotated[bool, typer.Option("--no-sni", help="A hello without a server name.")] = False,
    listener: Annotated[
        str | None, typer.Option("--listener", help="Default: the first that speaks TLS.", show_default=False)
    ] = None,
    config: Annotated[
        str | None, typer.Option("--config", help="Configuration; default as for check.", show_default=False)
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask the file, not the running edge.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    if target.startswith("http://") and listener is None:
        listener = plain_listener(target, config, offline=offline)
    headers = [*(header or []), *([f"authorization: {signed(user)}"] if user is not None else [])]
    ask = question(target, method, headers, sni, no_sni, listener, shown(token), whereabouts(address))
    judged, places, plan = answer_of(ask, config, offline=offline)
    if as_json:
        print_json(judged)
    else:
        tell(target, judged, places, plan, alpn or [])
    raise typer.Exit(0 if judged["slug"] is None or judged["verdict"] == "redirect" else 1)


def plain_listener(target: str, config: str | None, *, offline: bool) -> str:
    """The listener that speaks plain HTTP at the target's port, else the first one that does."""
    plan = None
    if not offline:
        with contextlib.suppress(Surroundings):  # nobody runs it: the file can still be asked
            plan = running_plan(Client(config).ask("status")["supervisor"]["plan"])  # type: ignore[index]
    plan = plan or compile_file(find(config), past_dates="close", files="if-there").plan
    plain = [it for it in plan.listeners if it.is_plain]
    if not plain:
        raise Misuse('no listener speaks plain HTTP, so nothing is taken in the clear: [[listener]] speaks = "http"')
    port = target.removeprefix("http://").partition("/")[0].rpartition(":")[2]
    there = [it for it in plain if any(at.rpartition(":")[2] == port for at in it.bind)]
    return (there or plain)[0].name


def answer_of(
    ask: dict[str, object], config: str | None, *, offline: bool
) -> tuple[dict[str, Any], dict[str, str], Plan]:
    """The running edge's answer; where none runs, that of the same matcher over the file."""
    if not offline:
        try:
            answer = Client(config).ask("where", **ask)
        except Surroundings:
            pass  # nobody runs it: the file can still be asked
        else:
            found, named = answer["judged"], answer["places"]
            assert isinstance(found, dict) and isinstance(named, dict)
            return found, named, running_plan(answer["plan"])
    from everyhop import _door

    compiled = compile_file(find(config), past_dates="close", files="if-there")
    judged = json.loads(_door.where_in(compiled.plan_json, json.dumps(ask))) | {"offline": True}
    return judged, {name: str(place) for name, place in compiled.places().items()}, compiled.plan


def question(
    target: str,
    method: str,
    headers: list[str],
    sni: str | None,
    no_sni: bool,
    listener: str | None,
    token: str | None = None,
    address: str | None = None,
) -> dict[str, object]:
    name, slash, path = target.removeprefix("https://").removeprefix("http://").partition("/")
    pairs = []
    for text in headers:
        field, colon, value = text.partition(":")
        if not colon:
            raise Misuse(f"--header takes 'NAME: VALUE', not {text!r}")
        pairs.append([field.strip().lower(), value.strip()])
    host = name.rpartition(":")[0] if name.rpartition(":")[2].isdigit() and ":" in name else name
    hello = None if no_sni else (sni or host).lower().removesuffix(".")
    return {
        "listener": listener,
        "sni": hello,
        "host": name,
        "path": (slash + path).split("?")[0] or "/",
        "method": method,
        "headers": pairs,
        "client": None,
        "token": token,
        "address": address,
    }


def whereabouts(address: str | None) -> str | None:
    """Of a client; which link of this host it came by does not count, and nothing can be said of it."""
    if address is None:
        return None
    with contextlib.suppress(ValueError):
        if "%" not in address:
            return str(ipaddress.ip_address(address))
    raise Misuse(f"--address takes an IP address, such as 192.0.2.7, not {address!r}")


def shown(token: str | None) -> str | None:
    """As it was given; `-` keeps it out of the list of processes and the shell's history."""
    given = sys.stdin.read() if token == "-" else token
    return None if given is None else given.strip().removeprefix("Bearer ").strip()


def signed(user: str) -> str:
    """As a client shows it (RFC 7617). The password is asked for, or is the one line of standard input: what stands among the
    arguments can be read by others on the machine."""
    given = getpass.getpass("password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    return f"Basic {base64.b64encode(f'{user}:{given}'.encode()).decode()}"


def tell(target: str, judged: dict[str, Any], places: dict[str, str], plan: Plan, alpn: list[str]) -> None:
    route = next((r for r in plan.routes if r.name == judged["route"]), None)
    if judged["verdict"] == "redirect":
        line(f"{target}  sent to https with {judged['status']}")
        lines(wrapped(judged["why"], 2, "  "))
        line("  then: everyhop where " + target.removeprefix("http://"))
        return
    if route is None:
        answered = f" with {judged['status']}" if judged["status"] else ": the connection is closed"
        line(f"{target}  refused{answered}")
        lines(wrapped(judged["why"], 2, "  "))
        line(f"  more: everyhop explain {judged['slug']}")
        return
    told("route    ", f"{route.name}  {places.get(route.name, '')}")
    left = days_left(route, dt.datetime.now(dt.UTC))
    by = came(plan, judged)
    front = Front((by,), encrypted_too=False) if by is not None else SHUT
    told("hops     ", f"{hops(route, front)}{'  ' + left if left else ''}{spoken(route, alpn, plan, judged)}")
    if by is not None:
        told("came     ", in_the_clear(by))
    told("read by  ", readers(route, front))
    if (zone := of_zone(judged, judged)) is not None:
        told("zone     ", zone)
    if to := told_to(plan, route):
        told("told     ", to)
    if (nets := route.way.allow_networks) is not None:
        told("from     ", where_from(nets, judged))
    if (token := asked_for(route, judged)) is not None:
        told("token    ", token)
    if (password := password_of(route, judged)) is not None:
        told("password ", password)
    if keys := keys_from(plan, route):
        told("keys     ", keys)
    for limit in route.way.limited_by if isinstance(route.way, AtEdge) else ():
        told("limited  ", f"{limit.name}: {limit}{'' if limit.mode == 'refuse' else '; observed alone'}")
    if to := asked(plan, route):
        told("asks     ", f"{to}; it is not asked now, and what it would say is not known")
    if rules := inspects(plan, route):
        told("rules    ", f"waf {rules}; it is not asked now: everyhop waf test asks it of requests in a file")
    last = "unknown: asked of the file, not of a running edge" if judged.get("offline") else observed(judged["last"])
    told("last     ", last)
    if judged["slug"]:
        now = f"refused with {judged['status']}: {judged['why']}  [{judged['slug']}]"
        for text in beside("now      ", now).split("\n"):
            line(Paint(text, "red"))
    for lost in judged["lost"]:
        told("not      ", f"{lost['route']}: {lost['why']}")


def where_from(networks: list[str], judged: dict[str, Any]) -> str:
    """Of the addresses that a route takes, and the one that was asked of."""
    said = {"passes": "this one is", "refused": "this one is not"}
    found = said.get(judged["address"], "taken as there; --address IP asks of one")
    return f"addresses in {few(networks)}: {found}"


def asked_for(route: Route, judged: dict[str, Any]) -> str | None:
    """Of the token that a route asks for: whose, where it is looked for, and what becomes of the one that was shown."""
    if not isinstance(route.way, AtEdge) or (jwt := route.way.jwt) is None:
        return None
    wants = f"of {' or '.join(jwt.issuers)}, in {jwt.at}"
    if judged["token"] == "refused":
        return f"{wants}: this one is refused"
    said = {"passes": "this one passes", "unjudged": "not judged: no edge runs here that has the issuer's keys"}
    return f"{wants}: {said.get(judged['token'], 'taken as shown; --token TOKEN asks of one')}"


def password_of(route: Route, judged: dict[str, Any]) -> str | None:
    """Of the password that a route asks for: whose, and what becomes of the one that was shown."""
    if not isinstance(route.way, AtEdge) or (basic := route.way.basic) is None:
        return None
    said = {
        "refused": "this one is refused",
        "passes": "this one passes",
        "unjudged": "not judged: no edge runs here that has the file",
    }
    return f"of {basic.file}: {said.get(judged['password'], 'taken as shown; --user NAME asks of one')}"


def came(plan: Plan, judged: dict[str, Any]) -> Listener | None:
    """The listener by which a request came, if that serves in the clear."""
    asked = judged.get("listener")
    return next((it for it in plan.listeners if it.name == asked and it.serves_plain), None)


def in_the_clear(it: Listener) -> str:
    signed = it.acceptance
    whose = f"{signed.owner} accepted it until {signed.until}" if signed else "from this host alone"
    return f"in the clear by listener {it.name!r}, where nobody proves anything: {whose}"


def told(head: str, text: str) -> None:
    for row in beside(head, text).split("\n"):
        line(*marked(row))


def spoken(route: Route, alpn: list[str], plan: Plan, judged: dict[str, Any]) -> str:
    """Which protocol the client would speak, where that is ours to say."""
    if not alpn or isinstance(route.way, AtBackend):
        return ""
    site = next((s for s in plan.sites if s.name == judged["site"]), None)
    chosen = next((p for p in site.alpn if p in alpn), None) if site else None
    return f"  {chosen}" if chosen else "  no common protocol: the handshake fails"
