"""What all parts of the configuration share: strict types, no unknown keys, nothing changes after reading."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the configuration."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)
