"""`everyhop explain`: a refusal, a capability, a route or a whole configuration, in full sentences, drawn, or as a page."""

from __future__ import annotations

import dataclasses
import datetime as dt
import difflib
import re
import socket
from pathlib import Path
from typing import Annotated

import typer

from everyhop import __version__
from everyhop.admin import Client
from everyhop.cli.console import print_json
from everyhop.cli.troubles import told, troubles
from everyhop.compile import Compiled, compile_file
from everyhop.errors import EveryhopError, Misuse, Surroundings
from everyhop.explain import (
    Running,
    Sheet,
    about_capability,
    about_checks,
    about_plain,
    about_route,
    checks,
    drawing,
    inventory,
    page,
)
from everyhop.explain.sentences import EYE, LOCK
from everyhop.refusals import PAGES
from everyhop.screen import beside, line, lines, paint_all, wrapped
from everyhop.source import find
from everyhop.trust import CAPABILITIES, RouteTrust, trust_map


def register(app: typer.Typer) -> None:
    app.command("explain", help="Explain a refusal, a capability, a route, or who must be trusted with what.")(explain)


def wire() -> dict[str, tuple[int, str]]:
    """Refusals of connections and requests, from the engine's own table."""
    from everyhop import _door

    return {slug: (status, sentence) for slug, status, sentence in _door.wire_refusals()}


def explain(
    what: Annotated[
        str | None,
        typer.Argument(
            help="A slug, a capability, a route or a file; nothing: the whole configuration. `checks`: what ROUTE checks.",
            show_default=False,
        ),
    ] = None,
    of: Annotated[
        str | None,
        typer.Argument(
            metavar="[ROUTE]", help="With `checks`: in which order, and by which reasons.", show_default=False
        ),
    ] = None,
    config: Annotated[
        str | None, typer.Option("--config", help="Configuration; default as for check.", show_default=False)
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write one self-contained page.", show_default=False)
    ] = None,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Write a route's drawing.", show_default=False)
    ] = None,
    slugs: Annotated[bool, typer.Option("--list", help="List all slugs and capabilities.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no running edge what it observed, for the page.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    if of is not None:
        return of_route(what, of, config, as_json)
    on_wire = wire()
    if slugs:
        return listing(on_wire, as_json)
    if what in PAGES:
        return of_configuration(what, as_json)
    if what in on_wire:
        return of_traffic(what, *on_wire[what], as_json)
    if what in CAPABILITIES:
        if as_json:
            return print_json({"capability": what, **CAPABILITIES[what].told()})
        return lines("\n".join(laid_out(about_capability(what))))
    is_file = what is not None and Path(what).is_file()
    if what is not None and not is_file and "/" in what and config is None:
        near = difflib.get_close_matches(what, [*PAGES, *on_wire], 3, 0.4)
        raise Misuse(
            f"there is no {what!r}" + (f"; did you mean {', '.join(near)}?" if near else "; everyhop explain --list")
        )
    compiled = compile_file(find(what if is_file else config), files="if-there", past_dates="close")
    maps = trust_map(compiled.plan)
    plain = about_plain(compiled.plan)
    if what is not None and not is_file:
        chosen = [m for m in maps if m.name == what]
        if not chosen:
            near = difflib.get_close_matches(what, [*(m.name for m in maps), *CAPABILITIES, *PAGES], 3, 0.4)
            raise Misuse(
                f"there is no route, slug or capability {what!r}"
                + (f"; did you mean {', '.join(near)}?" if near else "")
            )
        maps, plain = chosen, []
    tell(maps, plain, compiled, html, svg, as_json, offline=offline)


def of_route(what: str | None, name: str, config: str | None, as_json: bool) -> None:
    """The checks of a route."""
    if what != "checks":
        raise Misuse(f"of a route its checks can be told: everyhop explain checks {name}")
    plan = compile_file(find(config), files="if-there", past_dates="close").plan
    route = next((it for it in plan.routes if it.name == name), None)
    if route is None:
        near = difflib.get_close_matches(name, [it.name for it in plan.routes])
        raise Misuse(f"there is no route {name!r}" + (f"; did you mean {', '.join(near)}?" if near else ""))
    if as_json:
        return print_json([dataclasses.asdict(it) for it in checks(plan, route)])
    above, rows = about_checks(plan, route)
    lines(wrapped(above))
    for head, text in rows:
        lines(beside(head, text))


def tell(
    maps: list[RouteTrust],
    plain: list[str],
    compiled: Compiled,
    html: Path | None,
    svg: Path | None,
    as_json: bool,
    *,
    offline: bool,
) -> None:
    """`plain`: of listeners where HTTP comes in the clear, a paragraph each."""
    now = dt.datetime.now(dt.UTC)
    try:
        if html is not None:
            html.write_text(page(maps, sheet(compiled, now, offline=offline)), encoding="utf-8")
            line(f"written: {html}")
        if svg is not None:
            if len(maps) != 1:
                raise Misuse("--svg draws one route: everyhop explain ROUTE --svg FILE")
            svg.write_text(drawing(maps[0]) + "\n", encoding="utf-8")
            line(f"written: {svg}")
    except OSError as e:
        raise Surroundings(f"cannot write {e.filename}: {e.strerror}") from e
    if as_json:
        print_json([dataclasses.asdict(m) for m in maps])
    elif html is None and svg is None:
        for n, it in enumerate(maps):
            if n:
                line()
            for text in "\n".join(laid_out(about_route(it, now))).split("\n"):
                line(*paint_all(text, DANGER, "red"))
        for paragraph in plain:
            line()
            lines(wrapped(paragraph))


DANGER = re.compile(re.escape(EYE))


def sheet(compiled: Compiled, now: dt.datetime, *, offline: bool) -> Sheet:
    """What the page says beside the map: where and when it was made, certificates, and what an edge observed."""
    running, why_not = (None, "no edge was asked (--offline)") if offline else asked(compiled, now)
    return Sheet(
        name=str(compiled.path),
        digest=compiled.plan_digest,
        reservation=compiled.reservation,
        now=now,
        host=socket.gethostname(),
        version=__version__,
        items=inventory(compiled.config, compiled.path.absolute().parent),
        plain=about_plain(compiled.plan),
        running=running,
        why_not=why_not,
    )


def asked(compiled: Compiled, now: dt.datetime) -> tuple[Running | None, str]:
    """The word of the edge that runs this file; else why there is none."""
    try:
        answer = Client(str(compiled.path)).ask("status")
    except EveryhopError as e:
        return None, str(e)
    supervisor, engine = answer.get("supervisor"), answer.get("engine")
    if not isinstance(supervisor, dict) or not isinstance(engine, dict) or engine["plan_digest"] is None:
        return None, "the edge that was asked has no engine now"
    if supervisor["config"] != str(compiled.path.absolute()):
        return None, f"the edge that was asked runs {supervisor['config']}"
    return Running(now, supervisor, engine, [told(it) for it in troubles(answer)]), ""


def laid_out(paragraphs: list[str]) -> list[str]:
    """Broken at the terminal's width; drawn lines stay whole."""
    return [
        p
        if LOCK in p or EYE in p or not p
        else wrapped(p.strip(), 4 if p.startswith("  ") else 0, "  " if p.startswith("  ") else "")
        for p in paragraphs
    ]


def listing(on_wire: dict[str, tuple[int, str]], as_json: bool) -> None:
    found = (
        {s: p.title for s, p in PAGES.items()}
        | {s: text for s, (_, text) in on_wire.items()}
        | {n: c.title for n, c in CAPABILITIES.items()}
    )
    if as_json:
        return print_json(found)
    column = max(map(len, found))
    for name in sorted(found):
        lines(beside(f"{name.ljust(column)}  ", found[name]))


def of_configuration(slug: str, as_json: bool) -> None:
    it = PAGES[slug]
    if as_json:
        return print_json({"slug": slug, "of": "configuration", "title": it.title, "why": it.why, "more": it.more})
    more = [it.more] if it.more else []
    found_by = "Found by: everyhop check, run and reload. The finding itself says where and how to mend it."
    say(slug, f"{sentence(it.title)} {sentence(it.why)}", *more, found_by)


def of_traffic(slug: str, status: int, text: str, as_json: bool) -> None:
    if as_json:
        return print_json({"slug": slug, "of": "traffic", "status": status or None, "sentence": text})
    answered = (
        f"The client is answered {status}, with the slug in Proxy-Status."
        if status
        else "No HTTP was spoken: the connection is closed."
    )
    told_in = 'The access log\'s line has it as "end", `everyhop status` and /metrics count it.'
    say(slug, sentence(text), f"{answered} {told_in}")


def say(*paragraphs: str) -> None:
    """Each wrapped by itself, with an empty line between them."""
    lines("\n\n".join("\n".join(wrapped(row) if row else "" for row in it.split("\n")) for it in paragraphs))


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
