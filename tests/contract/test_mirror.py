"""Unit tests stand where what they test stands: a folder for each package that has some."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[1] / "unit"
ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "python" / "everyhop"
TESTS = sorted(UNIT.rglob("test_*.py"))
KIT = re.compile(r"^from tests\.kit\.(\w+) import", re.M)


def test_there_are_unit_tests_of_most_packages_and_none_beside_them() -> None:
    folders = {test.parent.relative_to(UNIT) for test in TESTS}
    assert Path() not in folders, "a unit test belongs to a package"
    assert len(folders) >= 10


@pytest.mark.parametrize("test", TESTS, ids=lambda it: str(it.relative_to(UNIT)))
def test_a_unit_test_stands_in_the_folder_of_a_package_that_it_speaks_of(test: Path) -> None:
    package = test.parent.name
    if package == "tools":
        assert "from tools." in test.read_text(encoding="utf-8"), f"{test} says nothing of what is built with"
        return
    assert (SOURCE / package / "__init__.py").is_file(), f"everyhop has no package {package}"
    text = test.read_text(encoding="utf-8")
    spoken = rf"everyhop\.{package}\b" if package != "cli" else r'everyhop\.cli\b|"-m", "everyhop"'
    # What stands on another test's ground, or asks by the kit, speaks by them.
    asked_by = "".join((ROOT / "tests/kit" / f"{name}.py").read_text(encoding="utf-8") for name in KIT.findall(text))
    assert re.search(rf"{spoken}|from tests\.unit\.", text + asked_by), f"{test} says nothing of everyhop.{package}"
