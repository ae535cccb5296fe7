"""What a plan says of the engine as a whole: its threads, its log, where it tells of itself, and its limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from everyhop.plan.part import Part
from everyhop.plan.told import Always, Never


class ThreadsCores(Part):
    """One for each core that the process may use: a word, so that the plan is the same on every machine."""

    count: Literal["cores"]


class ThreadsFixed(Part):
    count: Literal["fixed"]
    threads: Never[Annotated[int, Field(ge=1, le=65_535)]]


class Engine(Part):
    threads: Never[Annotated[ThreadsCores | ThreadsFixed, Field(discriminator="count")]]
    drain_s: Never[int]
    sandbox: Always[Literal["off", "best-effort", "enforce"]]
    keys: Always[Literal["engine", "apart"]]


class StatusOff(Part):
    kind: Literal["off"]


class StatusBound(Part):
    kind: Literal["bound"]
    bind: Always[str]


class Limits(Part):
    """What a flood costs, and how long a proof is believed."""

    hello_bytes: Never[int]
    handshake_s: Never[int]
    head_bytes: Never[int]
    head_fields: Never[int]
    target_bytes: Never[int]
    head_s: Never[int]
    body_progress_s: Never[int]
    body_bytes: Never[int]
    answer_silence_s: Never[int]
    total_s: Never[int]
    idle_s: Never[int]
    linger_s: Never[int]
    linger_bytes: Never[int]
    half_closed_s: Never[int]
    connect_s: Never[int]
    first_byte_s: Never[int]
    tunnel_idle_s: Never[int]
    max_age_s: Always[int]
    upstream_idle_s: Never[int]
    upstream_idle_connections: Never[int]
    eject_after: Never[int]
    eject_s: Never[int]
    informational_responses: Never[int]
    h2_streams: Never[int]
    h2_header_list_bytes: Never[int]
    h2_header_fields: Never[int]
    h2_stream_window_bytes: Never[int]
    h2_connection_window_bytes: Never[int]
    h2_resets: Never[int]
    connections_per_source: Never[int]
    handshakes_per_source: Never[int]
    source_ipv6_prefix: Never[int]


class ErrorPage(Part):
    """What those are told who prefer HTML, of errors from the first status to the last. The first that fits is told."""

    first: Always[int]
    last: Always[int]
    page: Always[str]

    def __str__(self) -> str:
        of = self.first if self.first == self.last else f"{self.first // 100}xx"
        return f"{of} by {self.page.removeprefix('page/')}"


class RouteLimits(Part):
    """`null`: the file's holds."""

    connect_s: Never[int | None]
    first_byte_s: Never[int | None]
    body_progress_s: Never[int | None]
    body_bytes: Never[int | None]
    answer_silence_s: Never[int | None]
    total_s: Never[int | None]
    tunnel_idle_s: Never[int | None]
