"""What a route sees to in the cookies that its backends set."""

from typing import Literal

from everyhop.model.base import Section


class Cookies(Section):
    """What each cookie of a backend (`Set-Cookie`) is given where it lacks it. What it says already stays, but `path`; what is no cookie goes on as it came."""

    secure: bool = False
    """Browsers send it by TLS alone."""
    http_only: bool = False
    """Scripts do not see it."""
    same_site: Literal["strict", "lax", "none"] | None = None
    """With which requests of other sites' pages browsers send it: `strict`: none, `lax`: when somebody follows a link, `none`: all; that one takes `secure`."""
    path: str | None = None
    """For which paths it is, in the place of its own word on that. One whose name begins with `__Host-` is for all of them, and keeps that."""
