"""What to write instead of a key that is not known: the word of another proxy, the same key as it is spelt here, one that
is almost the same, or the same in another table.

Never a key that means something else: where nothing fits, it says only where the keys are listed. Read next:
`foreign_words.py`.
"""

from __future__ import annotations

import re

from pydantic import BaseModel

from everyhop.compile.foreign_words import ANYWHERE, ROWS, Answer, bracketed
from everyhop.model import Config

MOST_CHANGES = 2
"""Of letters, until a key is another word and not a slip; one where it is short."""
SHORT = 5


def hint(table: str, word: str) -> str:
    """The mend for `word`, written in `table` (`""` for the top of the file, `route.verify` for one within another)."""
    tables = known_tables()
    here = tables.get(table, ())
    if same := [key for key in here if folded(key) == folded(word)]:
        return f"here it is spelt {same[0]}"
    if answer := answered(table, word):
        return answer.told(table)
    near = nearest(word, here)
    if near and changes(word, near) == 1:
        return f"the nearest key here is {near}"
    if elsewhere := [t for t, keys in tables.items() if folded(word) in map(folded, keys)]:
        return f"it is a key of {' and '.join(map(bracketed, elsewhere))}, not of {bracketed(table)}"
    if near:
        return f"the nearest key here is {near}"
    return "remove it, or see: everyhop schema"


def answered(table: str, word: str) -> Answer | None:
    """The row for `word` that speaks of this table, else the one that holds anywhere."""
    rows = [row for row in ROWS if folded(word) in map(folded, row.spellings)]
    here = [row for row in rows if table in row.at] or [row for row in rows if row.at == ANYWHERE]
    return here[0].answer if here else None


def folded(word: str) -> str:
    """Without what proxies spell in different ways: case, `-`, `_`, blanks and dots."""
    return re.sub(r"[-_\s.]", "", word).lower()


def nearest(word: str, keys: tuple[str, ...]) -> str | None:
    found = min(keys, key=lambda key: changes(word, key), default=None)
    most = 1 if len(word) <= SHORT else MOST_CHANGES
    return found if found is not None and changes(word, found) <= most else None


def changes(one: str, other: str) -> int:
    """How many letters are added, lost, changed or swapped with their neighbour."""
    rows = [list(range(len(other) + 1))]
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            least = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                least = min(least, rows[-2][j - 2] + 1)
            row.append(least)
        rows.append(row)
    return rows[-1][-1]


def known_tables(model: type[BaseModel] = Config, name: str = "") -> dict[str, tuple[str, ...]]:
    """The keys of every table of the file."""
    found = {name: tuple(field.alias or key for key, field in model.model_fields.items())}
    for key, field in model.model_fields.items():
        for inner in submodels(field.annotation):
            for table, keys in known_tables(inner, f"{name}.{key}" if name else key).items():
                found[table] = tuple(dict.fromkeys((*found.get(table, ()), *keys)))
    return found


def submodels(annotation: object) -> list[type[BaseModel]]:
    """The tables that a field may hold, each of its forms."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return list(dict.fromkeys(one for inner in getattr(annotation, "__args__", ()) for one in submodels(inner)))
