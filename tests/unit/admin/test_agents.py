"""An identity by `from = "spiffe"`, with an agent that says nothing more: a connection may be dead and silent, so what is late is asked for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from everyhop.admin import agents
from everyhop.demo.certificates import Authority
from everyhop.identity import agent as asking
from everyhop.model import SpiffeIdentity
from tests.kit.edge import until
from tests.kit.forge import Signer, root
from tests.kit.workload_api import WorkloadApi, entry, svid

pytestmark = pytest.mark.thorough
NAME = "spiffe://corp.example/edge"
SECOND = dt.timedelta(seconds=1)


class Ground:
    def __init__(self, folder: Path) -> None:
        self.agent = WorkloadApi(folder / "agent.sock")
        self.roots = root(Authority(folder, "A"))
        self.agent.start()
        self.now = dt.datetime.now(dt.UTC)
        given = {"name": "own", "from": "spiffe", "agent": self.agent.at, "id": NAME}
        self.it = agents.Follower(SpiffeIdentity.model_validate(given), folder, clock=lambda: self.now, lot=lambda: 0.0)

    def gives(self) -> Signer:
        it = svid(self.roots, NAME, begins=-SECOND, ends=9 * SECOND)
        self.agent.give(entry(NAME, it, [self.roots]))
        return it

    def until(self) -> dt.datetime | None:
        return self.it.standing.until


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    it = Ground(tmp_path)
    yield it
    it.it.end()
    it.it.thread.join(30)
    assert not it.it.thread.is_alive()
    it.agent.stop()


def test_what_is_late_is_asked_for_though_the_connection_stands(ground: Ground) -> None:
    given = ground.gives()
    ground.it.thread.start()
    until(lambda: ground.until() == given.cert.not_valid_after_utc)
    assert ground.it.patience_s() == pytest.approx(LIFE_LEFT_S, abs=1)
    asked = ground.agent.asked
    ground.now += 6 * SECOND
    ground.agent.give(
        entry(NAME, given, [ground.roots])
    )  # by the stream, after which it is late by the clock that was moved
    until(lambda: ground.agent.asked >= asked + 2)
    assert ground.it.standing.problem is None


def test_what_is_damaged_is_replaced(ground: Ground) -> None:
    (at := ground.it.held.at / "set-0").mkdir(parents=True)
    ground.it.held.at.chmod(0o700)
    (ground.it.held.at / "current").symlink_to("set-0")
    (at / "pair.pem").write_text("half of i")
    given = ground.gives()
    ground.it.thread.start()
    until(lambda: ground.until() == given.cert.not_valid_after_utc)
    assert ground.it.standing.problem is None


LIFE_LEFT_S = 5.0
"""Until six tenths of ten seconds, of which one has passed."""


def test_an_agent_that_hangs_is_told_of_and_what_is_there_stays(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "ANSWER_S", 0.5)
    given = ground.gives()
    ground.it.thread.start()
    until(lambda: ground.until() == given.cert.not_valid_after_utc)
    ground.agent.silent = True
    ground.now += dt.timedelta(hours=1)
    ground.it.came.put("asked again")
    until(lambda: "Deadline Exceeded" in str(ground.it.standing.problem))
    assert ground.until() == given.cert.not_valid_after_utc
