"""An authorizer that records what it is asked, and says what a test tells it to; and what a configuration says of one."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.kit.raw import Record, head

Says = Callable[["Question"], bytes | None]
NO = b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"
YES = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Question:
    """A head as the authorizer got it."""

    target: str
    method: str
    fields: dict[str, list[str]] = field(default_factory=dict)

    def one(self, name: str) -> str | None:
        """The value of a field that is there once, or not at all."""
        found = self.fields.get(name.lower(), [])
        assert len(found) <= 1, f"{name}: {found}"
        return found[0] if found else None


def read(head: bytes) -> Question:
    line, *lines = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
    method, target, _ = line.split(" ")
    it = Question(target, method)
    for text in lines:
        name, _, value = text.partition(":")
        it.fields.setdefault(name.lower(), []).append(value.strip())
    return it


class Asked:
    """A script for `Raw`: each question is kept, and answered by `says`, with nothing where that gives none."""

    def __init__(self, says: Says | bytes = YES) -> None:
        self.says: Says = says if callable(says) else lambda _: says
        self.questions: list[Question] = []

    def __call__(self, sock: socket.socket, record: Record) -> None:
        while (got := head(sock, record)) is not None:
            question = read(got)
            self.questions.append(question)
            answer = self.says(question)
            if answer is None:
                return
            sock.sendall(answer)


def block(port: int, more: str = "", *, tls: str = "plaintext", name: str = "sso", path: str = "/auth") -> str:
    """An `[[authorizer]]` on this host."""
    verify = {
        "plaintext": "",
        "reencrypt": 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\n',
        "mutual": 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\npresent = "edge"\n',
    }[tls]
    return (
        f'[[authorizer]]\nname = "{name}"\nto = ["127.0.0.1:{port}"]\ntls = "{tls}"\npath = "{path}"\n{verify}{more}\n'
    )


def route(port: int, more: str = "", *, ask: str = "sso") -> str:
    return (
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\nask = "{ask}"\n{more}\n'
    )
