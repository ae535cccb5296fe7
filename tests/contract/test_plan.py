"""Both languages read the golden plans, and both refuse a stray, a dropped or a doubled key at every place."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everyhop import _door
from everyhop.plan import canonical, read_plan

GOLDEN = sorted((Path(__file__).parents[2] / "schema" / "golden").glob("*.json"))


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


def both_refuse(text: str) -> None:
    with pytest.raises(ValueError):
        read_plan(text)
    with pytest.raises(ValueError):
        _door.read_plan(text)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_both_languages_read_a_golden_plan_and_its_bytes_are_canonical(path: Path) -> None:
    text = path.read_text().rstrip("\n")
    _door.read_plan(text)
    assert canonical(read_plan(text).model_dump(mode="json")) == text


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_a_stray_or_dropped_key_is_refused_by_both_everywhere(path: Path) -> None:
    whole = json.loads(path.read_text())
    for index, found in enumerate(objects(whole)):
        for key in [*found, None]:
            changed = copy.deepcopy(whole)
            at = next(o for i, o in enumerate(objects(changed)) if i == index)
            if key is None:
                at["stray"] = None
            else:
                del at[key]
            both_refuse(json.dumps(changed))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_a_doubled_key_is_refused_by_both_everywhere(path: Path) -> None:
    text = path.read_text()
    for at, char in enumerate(text):
        if char == "{" and text[at + 1] == '"':
            key = text[at + 1 : text.index('"', at + 2) + 1]
            both_refuse(f"{text[: at + 1]}{key}:null,{text[at + 1 :]}")
