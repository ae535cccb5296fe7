"""Binding: a port is ours alone or not ours at all. The kernel would share it among all who ask to, if they are one user."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from everyhop.compile import compile_file
from everyhop.demo.stage import free_port
from everyhop.engine import Bound, bind_all
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
