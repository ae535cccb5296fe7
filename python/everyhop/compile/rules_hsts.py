"""Rules about Strict-Transport-Security: what is said to browsers holds as it is written."""

from __future__ import annotations

from everyhop.compile.streams import streaming
from everyhop.compile.world import World

YEAR_S = 31_536_000
"""What lists that browsers ship ask for at least."""


def judge(world: World) -> None:
    unread = streaming(world)
    for i, site in enumerate(world.config.site):
        if site.hsts is None:
            continue
        if site.name in unread:
            world.refuse(
                "site/hsts",
                ("site", i, "hsts"),
                f"site {site.name!r} carries TCP and has no answers of HTTP that could say it",
                "remove hsts",
            )
        elif site.hsts.preload and (not site.hsts.subdomains or site.hsts.max_age_s < YEAR_S):
            world.refuse(
                "site/hsts",
                ("site", i, "hsts", "preload"),
                f"site {site.name!r} asks for the lists that browsers ship, which take nobody "
                + ("for less than a year" if site.hsts.subdomains else "without the names below its own"),
                f"hsts = {{ max_age_s = {max(YEAR_S, site.hsts.max_age_s)}, subdomains = true, preload = true }}",
                "or remove preload",
                of_key=True,
            )
