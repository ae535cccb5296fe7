"""The pieces of a value that is put together for each request: text, and what the edge knows by then."""

from __future__ import annotations

import re
from typing import get_args

from everyhop import plan

Piece = plan.Text | plan.Of | plan.OfClaim | plan.OfUser | plan.OfAnswer
VARIABLES: tuple[str, ...] = get_args(plan.Variable)

CLAIM = re.compile(r"claim((?:\.[^.{}\s]+)+)")
"""Of the token that a route asks for; objects around it by their names, with a dot behind each."""
USER = "{user}"
PIECE = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[^{}]+|[{}]")


class NoPiece(ValueError):
    """A brace that opens nothing, or a variable that is none."""


def pieces(text: str, *, claims: bool = False, user: bool = False) -> list[Piece]:
    """`claims`: those of a token may be named; `user`: who signed in by a password may. Raises `NoPiece` with what is wrong."""
    found: list[Piece] = []
    for word in PIECE.findall(text):
        if word in ("{", "}"):
            raise NoPiece(f"a brace stands alone in {text!r}")
        if word[0] == "{" and word != "{{":
            if claims and (claim := CLAIM.fullmatch(word[1:-1])):
                found.append(plan.OfClaim(kind="claim", path=claim[1][1:].split(".")))
                continue
            if user and word == USER:
                found.append(plan.OfUser(kind="user"))
                continue
            if word[1:-1] not in VARIABLES:
                raise NoPiece(f"{word} is nothing that the edge knows")
            found.append(plan.Of(kind="of", of=word[1:-1]))
            continue
        written = word[0] if word in ("{{", "}}") else word
        if found and isinstance(found[-1], plan.Text):
            found[-1] = plan.Text(kind="text", text=found[-1].text + written)
        else:
            found.append(plan.Text(kind="text", text=written))
    return found
