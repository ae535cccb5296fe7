"""The page of metrics, from what an edge emits: one is run, a connection is refused, a backend fails, and /metrics is read.

What each is for is said by the engine's own HELP; nothing is listed here. Read next: `crates/control/src/metrics_text.rs`.
"""

from __future__ import annotations

import datetime as dt
import re
import socket
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from everyhop.demo.client import fetch
from everyhop.demo.stage import Stage, free_port

INTRO = """\
# Metrics

`GET /metrics` at `[status] bind`, in Prometheus' text format; `/livez` and `/readyz` are beside it. Every label's value comes
from the configuration, never from a client, so their number is bounded. `route=""` are connections that reached none.
Counters begin at nought when the engine starts; a reload keeps them.

| metric | type | labels | what it says |
|---|---|---|---|
"""

CHECKED = """
[[route]]
name = "checked"
host = "checked.test"
tls = "passthrough"
to = ["127.0.0.1:1"]
health = { connect = true }
"""
"""What only a route with checks is counted for."""

LIMITED = """
[[limit]]
name = "per-client"
rate = "100/s"
at_once = 10
store = "counters"
[[store]]
name = "counters"
to = ["127.0.0.1:1"]
tls = "plaintext"
[[route]]
name = "limited"
host = "api.demo.test"
path = "/limited"
tls = "plaintext"
to = ["127.0.0.1:1"]
limited_by = ["per-client"]
"""
"""What only a route with limits is counted for."""

OUTRO = """
`pattern` and `tls` are words of the configuration (`answered` of a route that the edge answers itself), `class` is `1xx` to `5xx`, `slug` is one of the
[refusals of traffic](refusals/README.md#of-traffic), `rule` one of those
[by which a backend is ejected](../how-to/protect-a-backend.md#what-is-left-alone-and-by-which-rule), `kind` is `acceptance`, `listener-acceptance` or `certificate`, `backend` an address in `to`,
`limit` the name of a [`[[limit]]`](../how-to/limit-requests.md), `store` that of a [`[[store]]`](../how-to/limit-requests.md#several-edges-one-limit), `mode` is `refuse` or `observe`.

`everyhop_backend_first_byte_seconds` is what of `everyhop_request_duration_seconds` is the backend's: it begins when the head is sent, after any wait for a turn,
a connection or another backend's answer, and ends at the head of the backend's final answer, before its body. Each backend that answered a request is in it by its own
status, also where another was asked afterwards (`retries`), and a tunnel when it opens; what the edge answered itself is not. A body that is sent with the request
is part of it. Where a request goes out at once over an open connection and its answer comes whole, no clock is asked for it but those of the request's beginning
and end: the microseconds that the edge took for it are in it then.

`deploy/prometheus/everyhop.rules.yml` has alerts on these, and its tests beside it; `deploy/grafana/everyhop.json` is a dashboard to import. Prometheus
itself judges both in the project's tests, beside an edge.
"""


@dataclass
class Family:
    """A metric with all of its lines."""

    help: str
    kind: str = ""
    labels: list[str] = field(default_factory=list)


def families(text: str) -> dict[str, Family]:
    """By name, in the order in which they are written."""
    found: dict[str, Family] = {}
    for line in text.splitlines():
        if head := re.fullmatch(r"# (HELP|TYPE) (\S+) (.+)", line):
            what, name, said = head.groups()
            if what == "HELP":
                found[name] = Family(said)
            else:
                found[name].kind = said
        elif sample := re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line):
            name = sample[1]
            family = found.get(name) or found[re.sub(r"_(bucket|sum|count)$", "", name)]
            for label in re.findall(r'(\w+)="(?:[^"\\]|\\.)*"', sample[2] or ""):
                if label not in family.labels:
                    family.labels.append(label)
    return found


def read(port: int) -> str:
    """What /metrics says."""
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n")
        head, _, body = b"".join(iter(lambda: sock.recv(65536), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return body.decode()


def emitted() -> str:
    """What an edge with a route of every pattern, one with checks and one with limits, says after it carried a request, refused one connection and failed at one backend."""
    with tempfile.TemporaryDirectory(prefix="eh-") as folder:
        stage = Stage(Path(folder))
        try:
            status = free_port()
            until = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=90)
            stage.write(until, f'\n[status]\nbind = "127.0.0.1:{status}"\n{CHECKED}{LIMITED}')
            stage.open()
            with socket.create_connection(("127.0.0.1", stage.port), 10) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
                while sock.recv(4096):
                    pass
            # Another than fails: a thread that has a connection to a backend goes on over it.
            answered, _ = fetch(stage, "api")
            assert answered == 200, answered
            stage.relays["shop"].close()
            answered, _ = fetch(stage, "shop")
            assert answered in (502, 503), answered
            # What an answer took is counted when it has ended, which its client may know before.
            while "everyhop_backend_first_byte_seconds_count{" not in (told := read(status)):
                time.sleep(0.05)
            return told
        finally:
            stage.close()


def page() -> str:
    rows = [
        f"| `{name}` | {it.kind} | {', '.join(f'`{label}`' for label in it.labels)} | {it.help} |"
        for name, it in families(emitted()).items()
    ]
    return INTRO + "\n".join(rows) + "\n" + OUTRO
