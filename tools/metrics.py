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

SOURCE = Path(__file__).resolve().parents[1] / "crates/control/src"

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

APART = 'keys = "apart"'
"""What signatures of another process are counted for."""

OTHERS = """
[[listener]]
name = "web"
bind = ["127.0.0.1:{web}"]
speaks = "http"
[[authorizer]]
name = "sso"
to = ["127.0.0.1:1"]
tls = "plaintext"
path = "/auth"
[[issuer]]
name = "corp"
issuer = "https://login.test"
audience = "api"
keys = {{ from = "https://login.test:1/keys.json", verify = {{ ca = "certificates/internal-ca.pem" }} }}
algorithms = ["ES256"]
[[collector]]
name = "otel"
to = ["127.0.0.1:1"]
tls = "plaintext"
[traces]
collector = "otel"
[[route]]
name = "asked"
host = "api.demo.test"
path = "/asked"
paths = "strict"
tls = "plaintext"
to = ["127.0.0.1:1", "127.0.0.1:3"]
ask = "sso"
jwt = {{ issuer = "corp" }}
most = {{ requests = 10, connections = 10, waiting = 10 }}
retries = {{ attempts = 2 }}
mirror = {{ to = ["127.0.0.1:2"], tls = "plaintext" }}
"""
"""What only a listener in the clear, an authorizer, an issuer who is asked for keys, traces, turns, retries and a mirror are counted for."""

ONLY_THERE: dict[str, list[str]] = {
    "everyhop_waf_requests_total": ["waf", "verdict"],
    "everyhop_waf_duration_seconds": ["waf", "le"],
    "everyhop_waf_under_way": ["waf"],
    "everyhop_route_own_zone_ratio": ["route"],
    "everyhop_zone_requests_total": ["route", "zone"],
    "everyhop_grpc_calls_total": ["route", "status"],
}
"""Labels of what is counted beside an inspector, in a zone, and for calls of gRPC alone, as the tests on the wire of those see them."""

OUTRO = """
`pattern` and `tls` are words of the configuration (`answered` of a route that the edge answers itself), `class` is `1xx` to `5xx`, `slug` is one of the
[refusals of traffic](refusals/README.md#of-traffic), `rule` one of those
[by which a backend is ejected](../how-to/protect-a-backend.md#what-is-left-alone-and-by-which-rule), `kind` of what expires is {kinds}, `backend` an address in `to`,
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
    """What an edge with a route of every pattern, and of most of what more they have, says after it carried a request, refused one connection and failed at one backend."""
    with tempfile.TemporaryDirectory(prefix="eh-") as folder:
        stage = Stage(Path(folder))
        try:
            status = free_port()
            until = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=90)
            stage.write(
                until,
                f'\n[status]\nbind = "127.0.0.1:{status}"\n{CHECKED}{LIMITED}{OTHERS.format(web=free_port())}\n[engine]\n{APART}\n',
            )
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


def kinds() -> list[str]:
    """What may expire, by the words that the engine's own source has for it."""
    found = {
        kind for file in SOURCE.glob("metrics*.rs") for kind in re.findall(r'kind=\\"([a-z-]+)\\"', file.read_text())
    }
    return sorted(it for it in found if "acceptance" in it or it in {"certificate", "waf-exclusion"})


def page() -> str:
    told = families(emitted())
    for name, labels in ONLY_THERE.items():
        assert not told[name].labels, f"{name} is counted beside what is run here, too"
        told[name].labels = labels
    rows = [
        f"| `{name}` | {it.kind} | {', '.join(f'`{label}`' for label in it.labels)} | {it.help} |"
        for name, it in told.items()
    ]
    return INTRO + "\n".join(rows) + "\n" + OUTRO.replace("{kinds}", ", ".join(f"`{kind}`" for kind in kinds()))
