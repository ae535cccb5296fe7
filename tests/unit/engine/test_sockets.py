"""Binding: a port is ours alone or not ours at all. The kernel would share it among all who ask to, if they are one user."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from everyhop._door import RESERVED_FDS
from everyhop.admin.shortfalls import shortfalls
from everyhop.compile import compile_file
from everyhop.demo.stage import free_port
from everyhop.engine import sockets
from everyhop.engine.sockets import Bound, bind_all, one
from everyhop.errors import Surroundings
from everyhop.plan import Plan
from tests.kit import Pki

SQUATTER = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
it = socket.socket(family)
it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
it.bind((sys.argv[1], 0))
it.listen()
print(it.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def squatter(ip: str) -> Iterator[int]:
    """Another process of our user that shares its port with whoever asks; the port."""
    with Popen([sys.executable, "-c", SQUATTER, ip], stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdin and process.stdout
        yield int(process.stdout.readline())
        process.stdin.close()


def listening(pki: Pki, folder: Path, *binds: str) -> Plan:
    path = folder / "everyhop.toml"
    path.write_text(
        f'version = 1\n[[listener]]\nname = "public"\nbind = {list(binds)}\n'
        f'[[site]]\nname = "edge"\nhosts = ["a.test"]\n'
        f'certs = [{{ chain = "{pki.folder}/edge.pem", key = "file:{pki.folder}/edge.key" }}]\n'
        '[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'
    )
    return compile_file(path).plan


@contextmanager
def bound(plan: Plan, threads: int = 2, have: tuple[Bound, ...] = ()) -> Iterator[list[Bound]]:
    fresh = bind_all(plan, list(have), threads)
    yield fresh
    for it in fresh:
        os.close(it.fd)


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0"), ("::1", "[::1]"), ("::", "[::1]")],
)
def test_another_process_that_would_share_our_port_is_found(pki: Pki, tmp_path: Path, theirs: str, ours: str) -> None:
    before = descriptors()
    with squatter(theirs) as port:
        with socket.socket(socket.AF_INET6 if ":" in theirs else socket.AF_INET) as sharing:
            sharing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sharing.bind((theirs, port))  # the kernel lets us: without the question nobody would notice
        plan = listening(pki, tmp_path, f"{ours}:{port}")
        with pytest.raises(Surroundings, match="in use by another process"):
            bind_all(plan, [], 2)
        # A second listener that is free does not make it pass, and nothing of it stays bound.
        both = listening(pki, tmp_path, f"127.0.0.2:{free_port()}", f"{ours}:{port}")
        with pytest.raises(Surroundings, match="in use by another process"):
            bind_all(both, [], 2)
    assert len(descriptors()) == len(before), "what was bound before is closed again"
    with bound(plan) as fresh:
        assert [it.thread for it in fresh] == [0, 1], "once they are gone it is ours"


def test_a_port_that_we_hold_is_no_stranger_to_us(pki: Pki, tmp_path: Path) -> None:
    one = listening(pki, tmp_path, f"127.0.0.1:{free_port()}")
    with bound(one, threads=3) as have:
        assert len(have) == 3
        with bound(one, threads=3, have=tuple(have)) as more:
            assert more == []


def without_ipv6(family: int, kind: int) -> socket.socket:
    """As on a machine that was started with ipv6.disable=1."""
    if family == socket.AF_INET6:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
    return socket.socket(family, kind)


def test_on_a_machine_without_ipv6_all_addresses_are_those_of_ipv4_and_that_is_told() -> None:
    bind = f"[::]:{free_port()}"
    with one(bind, shared=False, make=without_ipv6) as sock:
        assert sock.getsockname() == ("0.0.0.0", int(bind.rpartition(":")[2]))
        held = Bound("l", bind, 0, sock.fileno())
        assert sockets.without_ipv6([held, held]) == [bind]
    with one(bind, shared=False) as sock:
        assert sock.family == socket.AF_INET6
        assert sockets.without_ipv6([Bound("l", bind, 0, sock.fileno())]) == []


def test_one_address_of_ipv6_is_never_another_and_the_refusal_names_it() -> None:
    with pytest.raises(Surroundings, match=r"^\[::1\]:8443: this machine has no IPv6") as told:
        one("[::1]:8443", shared=False, make=without_ipv6)
    assert "0.0.0.0:8443" in str(told.value)


def test_a_socket_that_cannot_be_had_is_told_with_its_address() -> None:
    def none(family: int, kind: int) -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    for bind in ("[::]:8443", "127.0.0.1:8443"):
        with pytest.raises(Surroundings, match="Too many open files") as told:
            one(bind, shared=True, make=none)
        assert str(told.value).startswith(bind)


def test_connections_that_descriptors_cannot_hold_are_told_with_both_numbers(pki: Pki, tmp_path: Path) -> None:
    plan = listening(pki, tmp_path, "127.0.0.1:8443")
    enough = 2 * plan.listeners[0].connections + RESERVED_FDS
    assert shortfalls(plan, [], enough) == []
    (told,) = shortfalls(plan, [], enough - 2)
    assert "20000 connections" in told and "19999" in told and "LimitNOFILE" in told
    assert "for 1;" in shortfalls(plan, [], 64)[0]
