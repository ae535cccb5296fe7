"""Answers that go out compressed where they came without."""

from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.base import Section

Coding = Literal["zstd", "br", "gzip"]


class Compress(Section):
    """Text goes out in a coding that the client takes (RFC 9110 §8.4); what came in one, is a part of something, is shorter than 1 KiB, is vouched for byte for byte or says `no-transform` goes on as it is."""

    with_: Annotated[list[Coding], Field(min_length=1, alias="with")]
    """In order: of those that a client wants alike the first is taken. An answer under way holds 0.4 MiB for `gzip`, 1.1 MiB for `br` or `zstd`; a thread compresses 128 at once, and others go out as they came. A core takes in about 85, 75 and 280 MB of text a second."""
    with_credentials: bool = False
    """Also answers to requests with `Cookie`, `Authorization` or a client certificate, and those that set cookies. Only where no secret stands beside what a stranger may choose: its length tells what is compressed (BREACH)."""
