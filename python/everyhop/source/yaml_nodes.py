"""YAML into the same values as TOML: maps, lists, strings, numbers, booleans, dates. Nothing else of YAML is taken.

Aliases, anchors, tags and merge keys are refused: a configuration is read by people, and what it says stands where it says it.
"""

from __future__ import annotations

import bisect
import datetime as dt
import re

import yaml

from everyhop.source.levels import MOST_LEVELS

Key = tuple[str | int, ...]
Span = tuple[int, int, int]

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NotYaml(Exception):
    """With the place, what is wrong and how to mend it."""

    def __init__(self, mark: yaml.Mark | None, what: str, mend: str, index: int = 0) -> None:
        super().__init__(what)
        self.index = mark.index if mark else index
        self.what, self.mend = what, mend

    def place(self, text: str) -> tuple[int, int]:
        """Line and column."""
        before = text[: self.index]
        return before.count("\n") + 1, self.index - (before.rfind("\n") + 1) + 1


UNSEEN = re.compile("[\x85\u2028\u2029]")

# What opens a level and what closes one. Beyond some levels the library would run out of stack, and we with it.
OPENS = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
CLOSES = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


def compose(text: str, most_levels: int = MOST_LEVELS) -> yaml.Node | None:
    if (odd := UNSEEN.search(text)) is not None:
        # What stands behind it looks like the rest of a comment, and would be taken.
        what = f"U+{ord(odd[0]):04X} ends a line for YAML and for no editor"
        raise NotYaml(None, what, "write a plain line break, or leave it out", odd.start())
    levels = 0
    try:
        for token in yaml.scan(text, Loader=Loader):
            if isinstance(token, yaml.AliasToken | yaml.AnchorToken):
                raise NotYaml(
                    token.start_mark, "anchors and aliases are not taken", "write the value out where it is used"
                )
            if isinstance(token, yaml.TagToken):
                raise NotYaml(token.start_mark, "tags are not taken", "write the plain value")
            levels += isinstance(token, OPENS) - isinstance(token, CLOSES)
            if levels > most_levels:
                raise NotYaml(token.start_mark, f"this is nested deeper than {most_levels} levels", "write it flatter")
        node: yaml.Node | None = yaml.compose(text, Loader=Loader)
    except yaml.MarkedYAMLError as e:
        what = ", ".join(part for part in (e.context, e.problem) if part)
        raise NotYaml(e.problem_mark or e.context_mark, what, "mend the YAML here") from e
    except yaml.YAMLError as e:
        raise NotYaml(None, str(e), "mend the YAML") from e
    except (ValueError, RecursionError) as e:
        raise NotYaml(None, f"it cannot be read: {e}", "mend the YAML") from e
    return node


def values(text: str) -> dict[str, object]:
    node = compose(text)
    if node is None:
        return {}
    value = build(node)
    if not isinstance(value, dict):
        raise NotYaml(node.start_mark, "the file is not a mapping", "start with: version: 1")
    return value


def build(node: yaml.Node) -> object:
    if isinstance(node, yaml.SequenceNode):
        return [build(item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        found: dict[str, object] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                raise NotYaml(key.start_mark, "a key must be a plain word", "write the key as a word")
            if key.value in found:
                raise NotYaml(key.start_mark, f"the key {key.value!r} occurs twice", "keep one of them")
            found[key.value] = build(value)
        return found
    return scalar(node)


def scalar(node: yaml.Node) -> object:
    kind = node.tag.rpartition(":")[2]
    text: str = node.value
    if kind == "str":
        return text
    if kind == "bool":
        return text.lower() in {"true", "yes", "on"}
    try:
        if kind == "int":
            return int(text.replace("_", ""), 0)
        if kind == "float":
            return float(text.replace("_", ""))
        if kind == "timestamp":
            return dt.date.fromisoformat(text) if len(text) == 10 else dt.datetime.fromisoformat(text)
    except ValueError as e:
        raise NotYaml(node.start_mark, f"{text!r} cannot be read: {e}", "write it in the usual form or quote it") from e
    raise NotYaml(node.start_mark, f"{text!r} says nothing here", "give a value or leave the key out")


def places(text: str) -> dict[Key, Span]:
    found: dict[Key, Span] = {}

    starts = [0, *(m.end() for m in re.finditer("\n", text))]

    def at(mark: yaml.Mark) -> tuple[int, int]:
        line = bisect.bisect_right(starts, mark.index)
        return line, mark.index - starts[line - 1] + 1

    def note(key: Key, node: yaml.Node) -> None:
        (line, column), (last, end) = at(node.start_mark), at(node.end_mark)
        found[key] = (line, column, max(end - column if last == line else 1, 1))

    def walk(key: Key, node: yaml.Node) -> None:
        note(key, node)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                walk((*key, index), item)
        elif isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                note((*key, str(name.value), "\0key"), name)
                walk((*key, str(name.value)), value)

    if (node := compose(text)) is not None:
        walk((), node)
    return found
