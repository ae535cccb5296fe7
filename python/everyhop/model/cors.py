"""Which pages of other origins may read what a route answers (the Fetch standard's CORS protocol)."""

from typing import Annotated

from pydantic import Field

from everyhop.model.base import Section


class Cors(Section):
    """The edge answers preflights itself, and says in every answer who may read it: a backend's own `Access-Control-*` fields are taken out, so that there is one truth."""

    origins: Annotated[list[str], Field(min_length=1)]
    """Whose pages, each by scheme, host and port, as browsers write them: `https://app.example.com`; `https://*.example.com` is every name below, by whole labels, and not `example.com` itself; `*` is everybody, never with `credentials`."""
    methods: list[str] | None = None
    """What they may use. Default: those of the route, or else `GET`, `HEAD` and `POST`, which browsers allow in any case. Methods are written in capitals, and compared as they are written."""
    headers: list[str] = []
    """Which fields they may send beyond those that browsers let through anyway; `authorization` and `content-type` (for JSON) have to be named."""
    expose: list[str] = []
    """Which fields of an answer their scripts may read beyond the usual ones."""
    max_age_s: Annotated[int, Field(ge=0, le=86_400)] = 600
    """How long a browser may remember the answer to a preflight; some remember for two hours at most."""
    credentials: bool = False
    """Whether their requests may carry cookies, client certificates and logins of the user. Only to origins that are trusted with all that the user may do here."""
