"""What is written down of requests and connections: where, in which format, and which fields of a line."""

from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.base import Section

LINE = (
    *("time", "conn", "listener", "peer", "client", "sni", "client_hop", "id", "route", "pattern", "plan", "material"),
    *("backend_hop", "protocol", "method", "host", "path", "status", "grpc_status", "bytes_in", "bytes_out"),
    *("duration_us", "end", "detail", "told_id", "trace_id", "token", "user", "ask", "waf", "failed_hops", "alarms"),
)
"""The fields of a line, in the order of one that is whole."""
HEADER = "header:"

Format = Literal["json", "combined"]
LineField = Annotated[str, Field(json_schema_extra={"pattern": f"^({'|'.join(LINE)}|{HEADER}.+)$"})]
Fields = Annotated[list[LineField], Field(min_length=1)]


class LogSection(Section):
    """`[log]`"""

    access: str = "stdout"
    """`stdout`, `off` or a file."""
    format: Format = "json"
    """`json`, an object a line; or `combined`, the format that nginx and Apache write and that tools such as goaccess and fail2ban read."""
    fields: Fields | None = None
    """Which fields a line in `json` has, in this order, and `header:NAME` for a field of the request: `["time", "client", "route", "status", "end", "header:user-agent"]`. Default: [all that a line has by itself](../how-to/read-the-access-log.md). What `status` and `where` show is whole in any case."""
    on_full: Literal["drop", "refuse"] = "drop"
    """When the log cannot keep up: drop and count lines, or refuse requests."""


class RouteLog(Section):
    """Where the lines of one route go, and what they say."""

    to: str
    """A file, or `stdout`. Several routes, and `[log] access`, may name the same."""
    format: Format | None = None
    """Default: that of `[log]`."""
    fields: Fields | None = None
    """Default: those of `[log]`, where the format is the same."""
