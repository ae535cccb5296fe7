"""The feature `traces` of `features.py`: of ten requests one is kept, the backend is told of its trace, and the collector of its spans, by
OTLP over HTTP in batches of 512. Of more, more spans would come than a collector beside the load takes, and who drops them has less to do. The collector is nginx beside the load, which takes what comes and says in a log whose it was.

Envoy makes a span for each request and one for each try, as Everyhop does (`spawn_upstream_span`), and would send five at a time by itself.
nginx traces by a module that Debian 12 has not, HAProxy by a library that it does not bring.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BATCH = 512
"""As Everyhop has it (crates/record/src/spans.rs)."""
TOOK = "spans.log"
RATIO = 0.1


def collector(folder: Path, port: int) -> str:
    """A server of nginx."""
    return (
        'log_format spans "$uri $status $content_type $request_length";\n'
        f"server {{ listen 127.0.0.1:{port} backlog=4096; client_max_body_size 0; client_body_buffer_size 4m;\n"
        f"location / {{ access_log {folder}/{TOOK} spans; proxy_pass http://127.0.0.1:{port}/took/; }}\n"
        "location /took/ { return 200; } }"
    )


def of_everyhop(port: int) -> str:
    return (
        f'[[collector]]\nname = "otel"\nto = ["127.0.0.1:{port}"]\ntls = "plaintext"\npath = "/everyhop"\n'
        f'[traces]\ncollector = "otel"\nratio = {RATIO}\n'
    )


def of_envoy() -> dict[str, Any]:
    """Of its manager of connections; the cluster is `spans`."""
    service = {"http_uri": {"uri": "http://otel.test/envoy/v1/traces", "cluster": "spans", "timeout": "5s"}}
    kind = "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig"
    typed = {"@type": kind, "http_service": service, "service_name": "envoy"}
    return {
        "random_sampling": {"value": 100 * RATIO},
        "spawn_upstream_span": True,
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": typed},
    }


ENVOY_BATCHES = {"layers": [{"name": "s", "static_layer": {"tracing.opentelemetry.min_flush_spans": BATCH}}]}


def prove(folder: Path, name: str, told: Callable[[], str]) -> None:
    """The backend hears which trace it is, of those that are kept and of those that are not, and the collector gets spans."""
    heard = [told() for _ in range(1000)]
    if odd := [it for it in heard if not re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", it)]:
        raise SystemExit(f"{name} does not do it: traceparent: {odd[0]!r}")
    kept = sum(it.endswith("1") for it in heard)
    if not 0.5 * RATIO < kept / len(heard) < 2 * RATIO:
        raise SystemExit(f"{name} does not do it: of {len(heard)} requests {kept} are kept")
    sent(folder, name, len(heard))


def sent(folder: Path, name: str, requests: int) -> None:
    """Ends the run unless the collector gets about as many batches as two spans of each kept request need."""
    deadline, least = time.monotonic() + 20, 0.8 * 2 * RATIO * requests / BATCH
    while (came := batches(folder, name)) < int(least):
        if time.monotonic() > deadline:
            raise SystemExit(f"{name} does not do it: of {requests} requests the collector got {came} batches of spans")
        time.sleep(0.05)


def batches(folder: Path, name: str) -> int:
    return (folder / TOOK).read_text().count(f"/{name}/v1/traces 200 application/x-protobuf ")
