"""What every piece of a plan is: all keys there, none beside them, and nothing that changes. Read next: `forms.py`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)
