"""What is said to the inspector and by it: frames of a length, a kind and a payload. `waf/frame/frame.go` is the other side,
and tells the form.

Nothing here reads or writes a socket. A frame that is not to the letter what it must be raises `Broken`: both sides are ours.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from everyhop.errors import EveryhopError

VERSION = 1
POLICIES, READY, REFUSED, REQUEST, VERDICT, FAILED = 1, 2, 3, 4, 5, 6
MOST_ANSWER = 1 << 20
HEAD = struct.Struct(">IB")
ACTIONS = ("allow", "deny", "would-deny")
REASONS = {
    1: "no policy has that number",
    2: "the body is longer than the policy inspects",
    3: "too many requests wait",
    4: "a rule failed",
}
SEVERITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")
NO_SEVERITY = 255


class Broken(EveryhopError):
    """A frame that is none: our fault, on one of the two sides."""


class Field(NamedTuple):
    name: bytes
    value: bytes


class RuleFile(NamedTuple):
    """Rules of the user's own; `name` is how an error in them is told."""

    name: str
    text: str


class Exclusion(NamedTuple):
    """Takes a rule back: below a path, for an argument, or both; everywhere where neither is said."""

    rule: int
    path: str = ""
    argument: str = ""


@dataclass(frozen=True)
class Policy:
    """What requests are inspected by. `paranoia` is 1 to 4; `body_bytes` is how much of a body is inspected."""

    name: str = "crs"
    paranoia: int = 1
    blocks: bool = True
    body_bytes: int = 131_072
    extra: tuple[RuleFile, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()


@dataclass(frozen=True)
class Request:
    """One request. `version` is ten times that of HTTP; `whole` says whether `body` is all of it."""

    method: str
    target: bytes
    host: str
    fields: tuple[Field, ...]
    body: bytes = b""
    whole: bool = True
    version: int = 11
    client: str = "192.0.2.1"
    client_port: int = 40_000


class Match(NamedTuple):
    """A rule that matched, and on which variable; never on what value."""

    rule: int
    severity: str | None
    phase: int
    message: str
    on: str


@dataclass(frozen=True)
class Verdict:
    action: str
    status: int
    score: int
    rules: tuple[Match, ...] = ()


class Ready(NamedTuple):
    engine: str
    rules: str
    counts: tuple[int, ...]


class Wrong(NamedTuple):
    """What is wrong with a policy; no file and line 0 where it is in none."""

    policy: str
    file: str
    line: int
    what: str


def frame(kind: int, payload: bytes) -> bytes:
    return HEAD.pack(1 + len(payload), kind) + payload


def policies_frame(policies: list[Policy]) -> bytes:
    """The first frame of all."""
    out = [struct.pack(">BH", VERSION, len(policies))]
    for it in policies:
        out += [_short(it.name.encode()), struct.pack(">BBI", it.paranoia, it.blocks, it.body_bytes)]
        out.append(struct.pack(">H", len(it.extra)))
        for file in it.extra:
            out += [_short(file.name.encode()[:200]), _long(file.text.encode())]
        out.append(struct.pack(">H", len(it.exclusions)))
        for one in it.exclusions:
            out += [struct.pack(">I", one.rule), _short(one.path.encode()), _short(one.argument.encode())]
    return frame(POLICIES, b"".join(out))


def request_frame(number: int, policy: int, it: Request) -> bytes:
    """A question about one request."""
    client = ipaddress.ip_address(it.client)
    out = [struct.pack(">QH", number, policy), _short(it.method.encode()), _long(it.target)]
    out += [struct.pack(">B", it.version), _short(it.host.encode())]
    out += [struct.pack(">B", client.version), client.packed, struct.pack(">H", it.client_port)]
    out.append(struct.pack(">H", len(it.fields)))
    for name, value in it.fields:
        out += [_short(name), _long(value)]
    out += [struct.pack(">B", it.whole), _long(it.body)]
    return frame(REQUEST, b"".join(out))


def _short(text: bytes) -> bytes:
    return struct.pack(">H", len(text)) + text


def _long(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


@dataclass
class _Reader:
    left: bytes
    at: int = field(default=0)

    def numbers(self, form: str) -> tuple[int, ...]:
        size = struct.calcsize(form)
        return struct.unpack(form, self.take(size))

    def take(self, size: int) -> bytes:
        taken = self.left[self.at : self.at + size]
        if len(taken) < size:
            raise Broken("the inspector's answer ends early")
        self.at += size
        return taken

    def text(self) -> str:
        (size,) = self.numbers(">H")
        # Cut at a length, a message may end within a letter.
        return self.take(size).decode(errors="replace")

    def end(self) -> None:
        if self.at != len(self.left):
            raise Broken("the inspector's answer has bytes left over")


def read_ready(payload: bytes) -> Ready:
    """What was loaded: engine, rule set, and how many rules each policy has."""
    read = _Reader(payload)
    _version(read)
    engine, rules = read.text(), read.text()
    (count,) = read.numbers(">H")
    it = Ready(engine, rules, tuple(read.numbers(">I")[0] for _ in range(count)))
    read.end()
    return it


def read_refused(payload: bytes) -> list[Wrong]:
    """What is wrong with the policies."""
    read = _Reader(payload)
    _version(read)
    (count,) = read.numbers(">H")
    wrong = [Wrong(read.text(), read.text(), read.numbers(">I")[0], read.text()) for _ in range(count)]
    read.end()
    return wrong


def read_verdict(payload: bytes) -> tuple[int, Verdict]:
    """The number of a request, and what became of it."""
    read = _Reader(payload)
    number, action, status, score, count = read.numbers(">QBHIH")
    if action >= len(ACTIONS):
        raise Broken(f"the inspector says action {action}")
    rules = []
    for _ in range(count):
        rule, severity, phase = read.numbers(">IBB")
        said = SEVERITIES[severity] if severity < len(SEVERITIES) else None
        if said is None and severity != NO_SEVERITY:
            raise Broken(f"the inspector says severity {severity}")
        rules.append(Match(rule, said, phase, read.text(), read.text()))
    read.end()
    return number, Verdict(ACTIONS[action], status, score, tuple(rules))


def read_failed(payload: bytes) -> tuple[int, str]:
    """The number of a request, and why there is no verdict on it."""
    read = _Reader(payload)
    number, why = read.numbers(">QB")
    read.end()
    if why not in REASONS:
        raise Broken(f"the inspector says reason {why}")
    return number, REASONS[why]


def _version(read: _Reader) -> None:
    (version,) = read.numbers(">B")
    if version != VERSION:
        raise Broken(
            f"the inspector speaks version {version} of its frames, and this is {VERSION}: build both of one source"
        )
