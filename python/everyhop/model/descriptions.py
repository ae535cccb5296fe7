"""Descriptions for schemas and reference pages: the docstring behind each attribute, read from the source when asked for.

Nothing else needs them, and to read them whenever a class is made (pydantic's `use_attribute_docstrings`) was a seventh of
what the start of a command costs.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import sys

from pydantic import BaseModel


def with_descriptions(base: type[BaseModel]) -> None:
    """Gives the attributes of `base`, and of all that is made from it, their descriptions."""
    family: list[type[BaseModel]] = [base]
    for model in family:
        family += model.__subclasses__()
    for model in family:
        for name, field in model.model_fields.items():
            field.description = field.description or next(
                filter(None, (behind(of, name) for of in model.__mro__)), None
            )
    # What has a part takes over the part's schema as it stands, and a part may come later in the list: so once more.
    for model in family + family:
        model.model_rebuild(force=True)


def behind(model: type, attribute: str) -> str | None:
    return docstrings(model.__module__).get((model.__name__, attribute)) if issubclass(model, BaseModel) else None


@functools.cache
def docstrings(module: str) -> dict[tuple[str, str], str]:
    """By class and attribute."""
    found: dict[tuple[str, str], str] = {}
    classes = [one for one in ast.parse(inspect.getsource(sys.modules[module])).body if isinstance(one, ast.ClassDef)]
    for model in classes:
        for said, then in itertools.pairwise(model.body):
            match said, then:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[model.name, name] = inspect.cleandoc(text)
    return found
