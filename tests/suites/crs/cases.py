"""Cases of the rule set, read from its own files, and the bytes that its own tool (go-ftw) would send for each.

`make waf` copies the files from the module that the rules come from: rules and cases are of one commit.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import yaml

CASES = Path(__file__).resolve().parents[3] / "target" / "waf" / "crs-tests"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Stage:
    sent: bytes
    wanted: dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One case; `name` is rule and number, as its authors say it."""

    name: str
    of_response: bool
    stages: tuple[Stage, ...]


@functools.cache
def every() -> list[Case]:
    """All cases, in the order of their files."""
    found = []
    for path in sorted(CASES.glob("*/*.yaml")):
        text = yaml.load(path.read_text(), LOADER)
        if text is None:
            continue  # all of it is commented out
        rule = text.get("rule_id") or int(re.findall(r"\d+", path.name)[0])
        for number, test in enumerate(text["tests"], 1):
            stages = tuple(Stage(sent(it["input"]), it["output"]) for it in test["stages"])
            of_response = path.parent.name.startswith("RESPONSE-")
            found.append(Case(f"{rule}-{test.get('test_id', number)}", of_response, stages))
    return found


def sample(cases: list[Case], size: int) -> list[Case]:
    """The same ones each time, from everywhere."""
    of_requests = (it for it in cases if not it.of_response)
    return sorted(of_requests, key=lambda it: hashlib.sha256(it.name.encode()).digest())[:size]


def sent(given: dict[str, Any]) -> bytes:
    """What go-ftw sends: method, fields and body as they are said, with what it adds by itself."""
    if raw := given.get("encoded_request"):
        return base64.b64decode(raw)
    method, data = given.get("method", "GET"), str(given.get("data", "")).encode()
    fields = [(str(name), str(value)) for name, value in (given.get("headers") or {}).items()]

    def of(name: str) -> list[str]:
        return [value for other, value in fields if other.lower() == name]

    complete = given.get("autocomplete_headers", not given.get("stop_magic", False))
    if data and complete:
        if not of("content-type"):
            fields.append(("Content-Type", "application/x-www-form-urlencoded"))
        if any(value.lower() == "application/x-www-form-urlencoded" for value in of("content-type")):
            data = form(data)
    if any("multipart/form-data;" in value.lower() for value in of("content-type")):
        data = data.replace(b"\n", b"\r\n")
    if complete:
        if not of("connection"):
            fields.append(("Connection", "close"))
        # Its pattern is of one alternative with an anchor at the beginning, and one with an anchor at the end.
        if not of("content-length") and (data or re.search("^POST|PUT|PATCH|DELETE$", method)):
            fields.append(("Content-Length", str(len(data))))
    line = f"{method} {given.get('uri', '/')} {given.get('version', 'HTTP/1.1')}\r\n"
    head = line + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    return head.encode() + data


def form(data: bytes) -> bytes:
    """Encodes what stands between & and =, unless it was encoded already."""
    text = data.decode()
    if unquote_plus(text, errors="surrogateescape") != text:
        return data
    pairs = (part.partition("=") for part in text.split("&"))
    return "&".join(f"{quote_plus(key)}{equals}{quote_plus(value)}" for key, equals, value in pairs).encode()
