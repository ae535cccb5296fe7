"""What another process compiles is what this one would have made of it: the plan, the findings, the refusals. Where the other one comes to
nothing, this one does it."""

from __future__ import annotations

import datetime as dt
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from everyhop.compile import Compiled, compile_file, compiler, elsewhere
from everyhop.compile.compiled import Sealed
from everyhop.compile.elsewhere import compile_elsewhere, in_another, renew_elsewhere
from everyhop.demo.certificates import Authority
from everyhop.errors import Refused
from tests.kit.forge import crl, root

TEXT = """\
version = 1
[[listener]]
name = "public"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
certs = [{ chain = "s.pem", key = "file:s.key" }]
clients = { ca = "public-ca.pem", crl = "list.pem" }
[[site]]
name = "soon"
hosts = ["soon.test"]
certs = [{ chain = "soon.pem", key = "file:soon.key" }]
[[route]]
name = "r"
host = "s.test"
tls = "reencrypt"
to = ["backend.test:1"]
verify = { ca = "public-ca.pem", crl = "http://127.0.0.1:1/list.pem" }
"""


class Ground:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "everyhop.toml"
        self.authority = Authority(folder, "Public CA")
        self.authority.leaf("s", "s.test")
        self.authority.leaf("soon", "soon.test", days=3)
        crl(folder / "list.pem", root(self.authority))
        self.path.write_text(TEXT)

    def elsewhere(self, before: Compiled | None = None) -> Compiled:
        return compile_elsewhere(self.path, past_dates="close", before=before)

    def here(self) -> Compiled:
        return compile_file(self.path, past_dates="close")


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


@pytest.fixture(autouse=True)
def others(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Whether each other process came to something. This one has threads of the tests' own, and imports as they like."""
    came: list[bool] = []

    def asked(work: Callable[[], object]) -> Any:
        came.append(False)
        found = in_another(work)
        came[-1] = True
        return found

    monkeypatch.setattr(elsewhere, "in_another", asked)
    monkeypatch.setattr(elsewhere, "is_alone", lambda: True)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    yield came


def same(one: Compiled, other: Compiled) -> bool:
    return all(getattr(one, it.name) == getattr(other, it.name) for it in fields(one) if it.name != "held")


def test_what_comes_of_another_process_is_what_this_one_would_have_made(ground: Ground, others: list[bool]) -> None:
    found = ground.elsewhere()
    assert others == [True] and isinstance(found.held, Sealed)
    assert same(found, ground.here())
    assert found.lists and "certificate/expires-soon" in {it.slug for it in found.findings}, "what is compared is there"


def test_what_was_read_before_is_not_read_again_there(ground: Ground, others: list[bool]) -> None:
    first = ground.elsewhere()
    ground.authority.leaf("s", "s.test")
    second = ground.elsewhere(first)
    assert first.readings.judged == 5, "two pairs, an authority, a list, and one that is yet to come"
    assert second.readings.judged == 2, "a pair, and what is yet to come"
    assert same(second, ground.here()) and others == [True, True]


def test_what_a_renewal_leaves_is_the_very_same(ground: Ground, others: list[bool]) -> None:
    """By that it is known again: whoever asked the matcher of a plan need not ask once more."""
    first = ground.elsewhere()
    ground.authority.leaf("s", "s.test")
    again = renew_elsewhere(first)
    assert again.plan is first.plan and again.document is first.document and again.config is first.config
    assert again.readings.judged == 2 and again.material.digest != first.material.digest
    assert same(again, ground.here()) and others == [True, True]
    over = renew_elsewhere(first, dt.datetime.now(dt.UTC) + dt.timedelta(days=4))
    assert "certificate/expired" in {it.slug for it in over.findings}


def test_what_is_refused_there_is_refused_here_word_by_word(ground: Ground, others: list[bool]) -> None:
    ground.path.write_text(TEXT.replace('tls = "reencrypt"', 'tls = "mutual"').replace("s.pem", "gone.pem"))
    with pytest.raises(Refused) as by_this_one:
        ground.here()
    with pytest.raises(Refused) as found:
        ground.elsewhere()
    assert others == [False]
    assert found.value.findings == by_this_one.value.findings and len(found.value.findings) > 1
    assert found.value.text == by_this_one.value.text and str(found.value) == str(by_this_one.value)


def broken(how: Callable[[], object]) -> Callable[..., Compiled]:
    here = os.getpid()

    def compiling(*a: Any, **more: Any) -> Compiled:
        if os.getpid() != here:
            how()
        return compile_file(*a, **more)

    return compiling


@pytest.mark.parametrize(
    "how", [lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: sys.exit(1), lambda: os._exit(0), signal.pause]
)
def test_where_another_process_comes_to_nothing_this_one_compiles(
    ground: Ground, others: list[bool], monkeypatch: pytest.MonkeyPatch, how: Callable[[], object]
) -> None:
    monkeypatch.setattr(compiler, "compile_file", broken(how))
    monkeypatch.setattr(elsewhere, "PATIENCE_S", 0.2)
    assert same(ground.elsewhere(), ground.here()) and others == [False]


def test_where_there_can_be_no_other_process_this_one_compiles(
    ground: Ground, others: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(elsewhere, "forked", none)
    fds = os.listdir("/proc/self/fd")
    assert same(ground.elsewhere(), ground.here()) and others == [False]
    assert len(os.listdir("/proc/self/fd")) == len(fds)


def test_an_error_of_ours_is_met_here(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is told, and its place is found, as if nobody else had compiled."""

    def fault(*_: object, **__: object) -> Compiled:
        raise ZeroDivisionError(os.getpid())

    monkeypatch.setattr(compiler, "compile_file", fault)
    with pytest.raises(ZeroDivisionError, match=str(os.getpid())):
        ground.elsewhere()


def test_another_process_is_gone_when_it_was_heard_and_when_it_was_not(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = in_another(os.getpid)
    assert pid != os.getpid() and not Path(f"/proc/{pid}").exists()
    told = ground.path.with_name("pid")

    def silent() -> None:
        told.write_text(str(os.getpid()))
        signal.pause()

    monkeypatch.setattr(elsewhere, "PATIENCE_S", 0.2)
    with pytest.raises(elsewhere.Nothing):
        in_another(silent)
    assert not told.exists() or not Path(f"/proc/{told.read_text()}").exists()


def test_another_process_has_none_of_our_sockets_and_is_not_ended_by_ctrl_c() -> None:
    one, two = socket.socketpair()
    with one, two:
        assert in_another(lambda: [(os.fstat(1).st_ino, Path(f"/proc/self/fd/{one.fileno()}").exists())]) == [
            (os.fstat(1).st_ino, False)
        ]
    assert in_another(lambda: signal.getsignal(signal.SIGINT)) is signal.SIG_IGN


def test_what_is_large_is_compiled_here(ground: Ground, others: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    first = ground.elsewhere()
    monkeypatch.setattr(elsewhere, "LARGE_BYTES", len(TEXT) - 1)
    assert same(ground.elsewhere(), first) and same(renew_elsewhere(first), first)
    ground.path.write_text(
        TEXT.replace(
            "[[site]]", '[[route]]\nname = "x"\nhost = "x.test"\ntls = "passthrough"\nto = ["[::1]:1"]\n[[site]]', 1
        )
    )
    assert [it.name for it in ground.elsewhere(first).plan.routes] == ["x", "r"] and others == [True]


def test_it_is_done_here_beside_threads_that_may_import() -> None:
    """What one of them is importing at the moment another process would wait for, and in vain."""
    code = (
        "import threading, everyhop.compile.elsewhere as it\n"
        "def beside(name):\n"
        "    done = threading.Event()\n"
        "    one = threading.Thread(target=done.wait, name=name)\n"
        "    one.start()\n"
        "    found = it.is_alone()\n"
        "    done.set(), one.join()\n"
        "    return found\n"
        "print(it.is_alone(), *map(beside, ('resolver-0', 'watchdog', 'acme', 'identity edge', 'list http://a', 'keys-0')))"
    )
    said = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["True", "True", "True", "False", "False", "False", "False"]


def test_who_runs_an_edge_imports_nothing_that_compiles_and_no_cryptography() -> None:
    code = "import sys, everyhop.cli.run; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout
    found = {*said.split()}
    assert "everyhop.admin.supervisor" in found and "everyhop.compile.elsewhere" in found
    unwanted = (
        "cryptography",
        "ssl",
        "yaml",
        "asyncio",
        "everyhop.acme",
        "everyhop.trust",
        "everyhop.waf",
        "everyhop.diff",
    )
    compiling = ("everyhop.compile.compiler", "everyhop.compile.world", "everyhop.identity.certificates")
    assert not [it for it in found if it in compiling or it.startswith(unwanted)]
