"""Addresses of backends' names: what the engine is told can be read by it."""

from __future__ import annotations

import socket

import pytest

from everyhop.engine import Resolver


def info(address: str) -> tuple[object, ...]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return (family, socket.SOCK_STREAM, 6, "", (address, 0))


def test_an_address_that_only_one_link_knows_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """`fe80::1%eth0` is an address and a link's name: the engine refuses it, and with it every other of that message."""
    answer = [info("fe80::1%lo"), info("10.0.0.5"), info("2001:db8::1"), info("10.0.0.5")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)
    it = Resolver({"b.test"})
    assert it.answers(5.0) == {"b.test": ["10.0.0.5", "2001:db8::1"]}
    it.stop()


def test_whatever_goes_wrong_with_one_name_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(name: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        if name == "a.test":
            raise UnicodeError("label too long")
        return [info("10.0.0.5")]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    it = Resolver({"a.test", "b.test"})
    assert it.answers(5.0) == {"b.test": ["10.0.0.5"]}
    it.stop()
