"""Rules about pages for errors of the edge's own: each is for errors, and is a page."""

from __future__ import annotations

import re

from everyhop.compile.kinds_of_file import kind_of
from everyhop.compile.world import World

ERROR = re.compile(r"[45][0-9][0-9]|[45]xx")
UNTOLD = "499"
"""In logs alone: whoever it is about is gone."""


def judge(world: World) -> None:
    for of, label in world.config.pages.items():
        if not ERROR.fullmatch(of) or of == UNTOLD:
            what = f"[pages] has a page for {of!r}, which is no error that anybody is told"
            mend = "write a status from 400 to 599, such as 404, or a class: 4xx or 5xx"
            world.refuse("pages/status", ("pages", of), what, mend, of_key=True)
        if not kind_of(label).startswith("text/html"):
            what = f"the page for {of}: {label!r} is no page of HTML, by its name"
            world.refuse("pages/file", ("pages", of), what, "name a page of HTML: pages/404.html")
