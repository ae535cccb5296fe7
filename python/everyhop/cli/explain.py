"""`everyhop explain SLUG`: what a refusal means, why it is one, and what a request is answered with on the wire."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer

from everyhop.cli.console import print_json
from everyhop.errors import Misuse
from everyhop.refusals import PAGES


def register(app: typer.Typer) -> None:
    app.command("explain", help="Say what a refusal means; without a slug, list them all.")(explain)


def wire() -> dict[str, tuple[int, str]]:
    """Refusals of connections and requests, from the engine's own table."""
    from everyhop import _door

    return {slug: (status, sentence) for slug, status, sentence in _door.wire_refusals()}


def explain(
    slug: Annotated[
        str | None, typer.Argument(help="Such as hop/plaintext-without-acceptance.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    on_wire = wire()
    if slug is None:
        listing = {s: p.title for s, p in PAGES.items()} | {s: text for s, (_, text) in on_wire.items()}
        if as_json:
            print_json(listing)
        else:
            width = max(map(len, listing))
            for name in sorted(listing):
                print(f"{name.ljust(width)}  {listing[name]}")
        return
    if slug in PAGES:
        page = PAGES[slug]
        if as_json:
            print_json({"slug": slug, "of": "configuration", "title": page.title, "why": page.why, "more": page.more})
            return
        print(f"{slug}\n\n{sentence(page.title)} {sentence(page.why)}")
        if page.more:
            print(f"\n{page.more}")
        print("\nFound by: everyhop check, run and reload. The finding itself says where and how to mend it.")
    elif slug in on_wire:
        status, text = on_wire[slug]
        if as_json:
            print_json({"slug": slug, "of": "traffic", "status": status or None, "sentence": text})
            return
        print(f"{slug}\n\n{sentence(text)}")
        answered = (
            f"The client is answered {status}, with the slug in Proxy-Status."
            if status
            else "No HTTP was spoken: the connection is closed."
        )
        print(f'\n{answered}\nThe access log\'s line has it as "end", `everyhop status` and /metrics count it.')
    else:
        near = difflib.get_close_matches(slug, [*PAGES, *on_wire], 3, 0.4)
        raise Misuse(
            f"there is no {slug!r}" + (f"; did you mean {', '.join(near)}?" if near else "; everyhop explain lists all")
        )


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
