"""What is found in a configuration, whether it is refused for it or not. No file is read."""

from __future__ import annotations

import datetime as dt

from everyhop.compile import compile_file
from everyhop.errors import Refused
from everyhop.refusals import Finding


def findings(text: str, now: dt.datetime | None = None) -> list[Finding]:
    try:
        return list(compile_file("everyhop.toml", now=now, files="skip", text=text).findings)
    except Refused as e:
        return list(e.findings)
