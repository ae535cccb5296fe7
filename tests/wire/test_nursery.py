"""Edges that the kit forks are those that users begin: the same words, the same end, and a parent that hears of it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from everyhop.demo.stage import Edge, free_port
from tests.kit import EdgeKit
from tests.kit.nursery import Quick

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
