"""What a plan says of the access log: the file's, and what a route does otherwise."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from everyhop.plan.part import Part
from everyhop.plan.told import Always, Never

STDOUT = "stdout"
"""What standard output is called where places are."""
NOWHERE = ("/dev/null", "/dev/zero", "/dev/full")
"""Files where no line of a log stays."""


class ToOff(Part):
    to: Literal["off"]

    @property
    def place(self) -> str | None:
        """By which a descriptor of it is known to who opens it and who writes to it."""
        return None


class ToStdout(Part):
    to: Literal["stdout"]

    @property
    def place(self) -> str | None:
        return STDOUT


class ToFile(Part):
    to: Literal["file"]
    path: Never[str]

    @property
    def place(self) -> str | None:
        return self.path


class InJson(Part):
    """`null`: all that a line has by itself."""

    format: Literal["json"]
    fields: Always[list[str] | None]


class InCombined(Part):
    format: Literal["combined"]


Access = Annotated[ToOff | ToStdout | ToFile, Field(discriminator="to")]
LogForm = Annotated[InJson | InCombined, Field(discriminator="format")]


class Log(Part):
    access: Always[Access]
    form: Always[LogForm]
    on_full: Always[Literal["drop", "refuse"]]


class Quiet(Part):
    """What went as decided leaves no line."""

    kind: Literal["quiet"]


class OwnLog(Part):
    kind: Literal["own"]
    access: Always[Access]
    form: Always[LogForm]


RouteLog = Annotated[Quiet | OwnLog, Field(discriminator="kind")]
