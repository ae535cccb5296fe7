"""Edges that the kit forks are those that users begin: the same words, the same end, and a parent that hears of it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from everyhop.demo.stage import Edge, free_port
from tests.kit import EdgeKit
from tests.kit.nursery import Quick, everyhop
from tests.kit.own_ca import OwnCa

Edges = Callable[..., EdgeKit]
ROUTE = '[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n'


@pytest.mark.parametrize("how", [Edge, Quick])
def test_an_edge_ends_in_order_or_by_a_signal_and_says_which(edge: Edges, how: type[Edge]) -> None:
    """Killed first: the engine lives on, and the next supervisor takes it over and ends it."""
    it = edge(ROUTE.format(port=free_port()))
    assert it.edge.stop() == 0
    begun = []
    for ends, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 0)):
        begun.append(how(it.config))
        begun[-1].wait_for("ready:")
        assert begun[-1].process.poll() is None
        begun[-1].process.send_signal(ends)
        assert begun[-1].process.wait(60) == code == begun[-1].process.poll()
    for one in begun:
        one.listener.join(60)
        assert not one.listener.is_alive()


@pytest.mark.parametrize("how", [Edge, Quick])
def test_an_edge_has_the_environment_and_the_folder_of_who_begins_it(
    how: type[Edge], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVERYHOP_TRIED", "1")
    it = how(Path("nowhere.toml"))
    assert it.process.wait(30) == 4
    it.listener.join(30)
    assert any("nowhere.toml" in line for line in it.said), it.said


@pytest.mark.parametrize(
    "words, given",
    [
        (["--version"], None),
        (["check", "nowhere.toml"], None),
        (["where"], None),
        (["password", "ann"], "a secret\n"),
        (["advise", "--services", "-"], ""),
    ],
)
def test_a_command_prints_the_same_and_ends_the_same_as_one_that_a_user_begins(
    words: list[str], given: str | None, tmp_path: Path
) -> None:
    """But for salts."""
    command = [sys.executable, "-m", "everyhop", *words]
    theirs = subprocess.run(command, input=given, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    ours = everyhop(*words, given=given, cwd=tmp_path)
    assert ours.returncode == theirs.returncode and ours.stderr == theirs.stderr
    assert re.sub(r"\$\S+", "", ours.stdout) == re.sub(r"\$\S+", "", theirs.stdout) and ours.stdout + ours.stderr


def test_a_command_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        everyhop(
            "ca", "serve", str(OwnCa(tmp_path, "--network", "127.0.0.0/8").at), "--listen", "127.0.0.1:0", timeout=2
        )
