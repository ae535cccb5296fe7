"""A command that is newer, or older, than what runs says so, and is not at fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from everyhop.admin import Client
from everyhop.cli.diff import running
from everyhop.cli.running_plan import running_plan
from everyhop.cli.status import status
from everyhop.cli.where import answer_of
from everyhop.errors import Surroundings

GOLDEN = Path(__file__).parents[3] / "schema/golden/everything.json"
OTHERS: dict[str, Callable[[], object]] = {
    "status": lambda: status(None),
    "diff": lambda: running(""),
    "where": lambda: answer_of({}, None, offline=False),
}


@pytest.mark.parametrize("command", OTHERS)
def test_a_plan_that_another_version_runs_is_told_as_that(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = json.loads(GOLDEN.read_text())
    assert running_plan(GOLDEN.read_text()).routes
    del plan["routes"][0]["name"]

    def ask(self: Client, ask: str, **fields: object) -> dict[str, Any]:
        told = json.dumps(plan)
        return {"supervisor": {"plan": told, "troubles": []}, "engine": None, "plan": told, "judged": {}, "places": {}}

    monkeypatch.setattr(Client, "ask", ask)
    monkeypatch.setattr(Client, "__init__", lambda self, config: None)
    with pytest.raises(Surroundings) as told:
        OTHERS[command]()
    assert "another version of Everyhop" in str(told.value) and any("adopted" in line for line in told.value.more)
