"""Rules that requests are inspected by, and the process that does it. Read next: `route.py`, which names a policy."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.authorizer import PassAcceptance
from everyhop.model.base import Section


class Exclusion(Section):
    """A person's recorded, expiring word that a rule is not asked of some requests."""

    rule: Annotated[int, Field(ge=1, le=999_999_999)]
    """Its number, such as 942100."""
    path: str | None = None
    """Below which it is not asked, such as `/search`; decoded and without dot segments. Default: everywhere."""
    argument: str | None = None
    """Of which it is not asked, such as `q`. Default: of all of the request."""
    owner: Annotated[str, Field(min_length=1)]
    """Who answers for it: a person or a team that can be reached."""
    why: Annotated[str, Field(min_length=1)]
    since: dt.date
    until: dt.datetime | dt.date
    """Ends at 24:00 UTC of that day, or at that moment; at most a year after `since`. From then on the rule is asked again."""


class Waf(Section):
    """`[[waf]]`: a policy of the OWASP Core Rule Set, by which the requests of routes that name it (`waf`) are inspected, each as a whole: its head, and what its body begins with. That is done by Coraza in a process of its own, which opens no file and no connection; it is built of Go (`make waf`), and without it a file with a `[[waf]]` is refused. What it costs is told [there](../how-to/inspect-requests.md)."""

    name: str
    mode: Literal["block", "detect"] = "block"
    """`block`: a request is held until the rules were asked, and refused with 403 where they deny it. `detect`: it goes on at once, and what the rules would have denied is told in the log; that is how one begins."""
    paranoia: Annotated[int, Field(ge=1, le=4)] = 1
    """The level of the rules: the higher, the more attacks are found, and the more of what is none."""
    extra: list[str] = []
    """Files with rules of your own, in the language of ModSecurity; they are watched."""
    exclude: list[Exclusion] = []
    """Rules that are not asked of some requests, each by somebody's word and for a time: `[{ rule = 942100, path = "/search", argument = "q", owner = "shop", why = "free text", since = 2026-11-01, until = 2027-04-30 }]`."""
    body_bytes: Annotated[int, Field(ge=1, le=1_048_576)] = 131_072
    """How much of a body is inspected, and held until then."""
    over_body: Literal["refuse", "pass-inspected"] = "refuse"
    """What becomes of a request with a longer body. `refuse`: 413. `pass-inspected`: its beginning is inspected, and the rest goes on unseen: an attack behind it is not found."""
    when_down: Literal["refuse", "pass"] = "refuse"
    """What becomes of a request where nobody is there who inspects, or more than `at_once` are inspected. `refuse`: 503. `pass`: it goes on, uninspected, which takes a `pass_acceptance`. What cannot be inspected, or not in time, never passes: a client could bring that about."""
    pass_acceptance: PassAcceptance | None = None
    """Whose word it is that requests pass uninspected."""
    deadline_ms: Annotated[int, Field(ge=10, le=10_000)] = 2_000
    """For the rules; what they have said nothing of by then is refused with 503. An ordinary request takes 2 to 50 ms, 64 KiB of JSON a second."""
    at_once: Annotated[int, Field(ge=1, le=10_000)] = 256
    """Requests that are inspected, or wait for it, at once, all threads together; bodies that are held come to as many times `body_bytes` at most. Of one address, or one /64 of IPv6, a quarter of both, and the addresses take turns."""

    @property
    def data(self) -> None:
        """What a leak would be is said of routes."""
        return None


class InspectorSection(Section):
    """`[inspector]`: the process that inspects requests, where there is a `[[waf]]`."""

    cores: Annotated[int, Field(ge=1, le=1024)] | None = None
    """How many requests it inspects at a time; default: half of the engine's threads, rounded up. It has a lower priority than the engine, so that requests that are not inspected do not wait for those that are."""
    memory_mb: Annotated[int, Field(ge=256, le=1_048_576)] = 512
    """How much memory it may take beside what its rules take."""
