"""The page of words names each type as it is in the tree, and can be found."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "words.md"
SOURCES = [*(ROOT / "crates").rglob("*.rs"), *(ROOT / "python" / "everyhop").rglob("*.py")]
TYPES = re.compile(
    r"^\s*(?:pub(?:\(\w+\))? )?(?:struct|enum|trait|class|type) ([A-Z]\w*)|^([A-Z]\w+) = (?:Annotated|Literal)", re.M
)
WORD = re.compile(r"^- (?:`(\w+)`|\*\*(.+?)\*\*(?: and \*\*(.+?)\*\*)?): \S")


def lines() -> list[str]:
    return [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("- ")]


def test_each_type_that_the_page_names_is_in_the_tree() -> None:
    there = {a or b for path in SOURCES for a, b in TYPES.findall(path.read_text(encoding="utf-8"))}
    named = [found[1] for line in lines() if (found := WORD.match(line)) and found[1]]
    assert len(named) > 30
    assert [name for name in named if name not in there] == []


def test_each_word_is_one_line_that_says_something_and_stands_once() -> None:
    assert [line for line in lines() if not WORD.match(line)] == []
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]:
        words = re.findall(r"^- (\S+)", section, re.M)
        assert len(words) == len(set(words))


def test_the_four_patterns_are_among_the_words() -> None:
    from everyhop.trust import PATTERNS

    words = {word.lower() for line in lines() if (found := WORD.match(line)) for word in found.groups() if word}
    assert set(PATTERNS) <= words


def test_the_page_is_linked_where_people_look() -> None:
    for page in ("README.md", "CONTRIBUTING.md"):
        assert "docs/explanation/words.md" in (ROOT / page).read_text(encoding="utf-8")
