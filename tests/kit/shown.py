"""What stands in an inspector's place, allows everything, and keeps what it was shown of each request."""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from pathlib import Path

SPEAKS = """#!{python}
import socket, struct, sys
edge = socket.socket(fileno=int(next(it for it in sys.argv if it.startswith("-fd=")).partition("=")[2]))
def taken(count):
    out = b""
    while len(out) < count:
        out += edge.recv(count - len(out)) or sys.exit()
    return out
def said(kind, payload):
    edge.sendall(struct.pack(">IB", 1 + len(payload), kind) + payload)
with open({to!r}, "ab", buffering=0) as kept:
    while True:
        length, kind = struct.unpack(">IB", taken(5))
        payload = taken(length - 1)
        if kind == {policies}:
            said({ready}, b"\\x01\\0\\x01x\\0\\x01y\\0\\x01\\0\\0\\0\\x01")
        else:
            kept.write(struct.pack(">I", len(payload)) + payload)
            said({verdict}, payload[:8] + bytes(9))
"""


@dataclass(frozen=True)
class Shown:
    """One request, as a frame had it."""

    method: bytes
    target: bytes
    host: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    whole: bool

    def values(self, name: bytes) -> list[bytes]:
        return [value for of, value in self.fields if of.lower() == name]


class Keeper:
    """A program at an inspector's place: its path, and what it was shown so far."""

    def __init__(self, folder: Path) -> None:
        self.kept, self.program = folder / "shown", folder / "everyhop-waf"
        text = SPEAKS.format(python=sys.executable, to=str(self.kept), policies=1, ready=2, verdict=5)
        self.program.write_text(text)
        self.program.chmod(0o755)

    def shown(self) -> list[Shown]:
        data, out = self.kept.read_bytes(), []
        while data:
            (length,) = struct.unpack_from(">I", data)
            out.append(read(data[4 : 4 + length]))
            data = data[4 + length :]
        return out


def read(payload: bytes) -> Shown:
    at = 10

    def taken(form: str) -> bytes:
        nonlocal at
        (size,) = struct.unpack_from(form, payload, at)
        at += struct.calcsize(form) + size
        return payload[at - size : at]

    method, target = taken(">H"), taken(">I")
    at += 1
    host = taken(">H")
    at += 1 + (4 if payload[at] == 4 else 16) + 2
    (count,) = struct.unpack_from(">H", payload, at)
    at += 2
    fields = tuple((taken(">H"), taken(">I")) for _ in range(count))
    whole = payload[at] == 1
    at += 1
    return Shown(method, target, host, fields, taken(">I"), whole)
