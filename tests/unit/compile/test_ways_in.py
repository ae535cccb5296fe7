"""What rules ask before there is a plan is asked of one with all that a plan has: one that lacks a part is a fault of ours, and loud,
since rules that are asked nothing find nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from everyhop import plan
from everyhop.compile import compile_file
from everyhop.errors import Refused

TEXT = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{ chain = "x", key = "file:y" }]
[[route]]
name = "r"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:1"]
[[route]]
name = "alike"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:2"]
"""


def slugs(folder: Path, text: str = TEXT) -> list[str]:
    path = folder / "everyhop.toml"
    path.write_text(text)
    with pytest.raises(Refused) as refused:
        compile_file(path, files="skip")
    return [it.slug for it in refused.value.findings]


@pytest.mark.parametrize("part", sorted(plan.Plan.model_fields))
def test_a_part_that_what_is_asked_lacks_is_loud_and_no_rule_is_silent_for_it(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert slugs(tmp_path) == ["route/tie"]
    whole = plan.Plan

    def lacking(**parts: object) -> plan.Plan:
        return whole(**{name: it for name, it in parts.items() if name != part})  # type: ignore[arg-type]

    monkeypatch.setattr(plan, "Plan", lacking)
    with pytest.raises(ValidationError, match=part):
        compile_file(tmp_path / "everyhop.toml", files="skip")


def test_a_plan_without_its_parts_is_not_taken_for_one_that_contradicts_itself() -> None:
    """Also where it was never looked at here."""
    lacking = plan.Plan.model_construct()
    with pytest.raises(ValueError, match="missing field") as fault:
        plan.apart(lacking, lacking)
    assert not isinstance(fault.value, plan.Contradictory)


def test_where_two_parts_contradict_each_other_that_is_refused_and_nothing_is_asked(tmp_path: Path) -> None:
    twice = TEXT + TEXT[TEXT.index("[[site]]") : TEXT.index("[[route]]")].replace('"s"', '"t"')
    assert "site/host-twice" in slugs(tmp_path, twice), slugs(tmp_path, twice)
