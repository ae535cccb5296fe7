"""Who does the work of `features.py`: each with one port for each feature, and the configuration that the page prints. All
end TLS 1.3 at the edge for a.test, go on in plaintext with keep-alive, and do the same to each request.

Read next: `features.py`, which proves that they do, and measures.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import tracing
from bench.envoy import EXTENSIONS, cluster, listener, routed, router
from bench.subjects import (
    SUBJECT_CPU,
    Subject,
    nginx_behind,
    nginx_frame,
    pinned,
    released,
    version_of,
    which,
)
from everyhop.demo.stage import free_port

FEATURES = ("plain", "edits", "redirect", "gzip", "hash", "routes", "log", "traces")
ROUTES = 5000
BACKENDS = 8
TEXT_BYTES = 10 * 1024
FIELDS = ("time", "client", "method", "path", "status", "bytes_out", "duration_us", "header:user-agent")
"""Of a line of the log, which all of them write."""


@dataclass(frozen=True)
class Behind:
    """The origin's ports: one alone, and as many as a hash spreads over; and the collector's."""

    ports: tuple[int, ...]
    spans: int

    @property
    def one(self) -> int:
        return self.ports[0]


def text_of(size: int) -> bytes:
    """English enough that it compresses as pages do."""
    words = (Path(__file__).parent / "performance.template.md").read_text().split()
    found, n = bytearray(), 0
    while len(found) < size:
        found += f'<p id="{n}">{" ".join(words[(n * 7 + i) % len(words)] for i in range(12))}</p>\n'.encode()
        n += 1
    return bytes(found[:size])


def origin(folder: Path) -> tuple[Behind, subprocess.Popen[bytes]]:
    """nginx, which tells in fields of its own what it was asked for and at which port."""
    back = Behind(tuple(free_port() for _ in range(BACKENDS)), free_port())
    www = folder / "www"
    (www / "text.html").write_bytes(text_of(TEXT_BYTES))
    told = (
        "add_header X-Origin yes; add_header X-Port $server_port; add_header X-Asked $uri;\n"
        'add_header X-Heard "$http_x_edge/$http_x_debug"; add_header X-Traced $http_traceparent;'
    )
    servers = (
        "types { text/html html; }\n"
        f"server {{ {' '.join(f'listen 127.0.0.1:{port} backlog=4096;' for port in back.ports)}\n"
        f"root {www}; {told}\n"
        f"location = /text.html {{ }}\nlocation / {{ return 200 '{'x' * 256}'; }} }}\n"
        + tracing.collector(folder, back.spans)
    )
    return back, nginx_behind(folder, "f", servers)


def shortened(text: str, marks: tuple[str, ...]) -> str:
    """Of what is there 5,000 times, the first."""
    rows, seen = [], 0
    for row in text.split("\n"):
        if any(mark in row for mark in marks):
            seen += 1
            if seen > 1:
                continue
            row += f"   # and {ROUTES - 1:,} more"
        rows.append(row)
    return "\n".join(rows)


def everyhop(folder: Path, back: Behind) -> Subject:
    ports = {name: free_port() for name in FEATURES}
    to = f'to = ["127.0.0.1:{back.one}"]'
    many = ", ".join(f'"127.0.0.1:{port}"' for port in back.ports)
    head = (
        'version = 1\n[engine]\nthreads = 1\n[log]\naccess = "off"\n'
        + "".join(f'[[listener]]\nname = "{name}"\nbind = ["127.0.0.1:{port}"]\n' for name, port in ports.items())
        + '[[site]]\nname = "s"\nhosts = ["a.test"]\ncerts = [{ chain = "edge.pem", key = "file:edge.key" }]\n'
        + tracing.of_everyhop(back.spans)
    )

    def route(name: str, more: str, *, behind: str = f'tls = "plaintext"\n{to}\n', path: str = "") -> str:
        where = f'path = "{path}"\n' if path else ""
        own = name if name in ports else "routes"
        untraced = "traces = false\n" if behind and name != "traces" else ""
        return f'[[route]]\nname = "{name}"\nhost = "a.test"\nlisteners = ["{own}"]\n{where}{behind}{untraced}{more}'

    fields = ", ".join(f'"{name}"' for name in FIELDS)
    text = head + "".join(
        (
            route("plain", ""),
            route(
                "edits",
                'request = { set = { x-edge = "one" }, remove = ["x-debug"] }\n'
                'response = { set = { x-frame-options = "DENY", cache-control = "no-store" }, remove = ["x-origin"] }\n',
            ),
            route("redirect", 'redirect = { to = "https://b.test{path}{query}", status = 308 }\n', behind=""),
            route("gzip", 'compress = ["gzip"]\n'),
            route("hash", 'balance = "hash:path"\n', behind=f'tls = "plaintext"\nto = [{many}]\n'),
            route("log", f'log = {{ to = "{folder}/everyhop.log", fields = [{fields}] }}\n'),
            route("traces", ""),
        )
    )
    rows = [
        f'[[route]]\nname = "r{i}"\nhost = "a.test"\nlisteners = ["routes"]\npath = "/r/{i}"\ntls = "plaintext"\n'
        f'{to}\ntraces = false\nstrip = "/r/{i}"\nrewrite = "/s/{i}{{path}}"\n'
        for i in range(ROUTES)
    ]
    it = released(folder, "everyhop", text + "".join(rows), ports)
    it.config = text + rows[0] + f"# and {ROUTES - 1:,} more\n"
    return it


def nginx(folder: Path, back: Behind) -> Subject | None:
    program = which("nginx")
    if not program:
        return None
    ports = {name: free_port() for name in FEATURES if name != "traces"}
    log = (
        'log_format j escape=json \'{"time":"$time_iso8601","client":"$remote_addr","method":"$request_method",'
        '"path":"$uri","status":$status,"bytes_out":$body_bytes_sent,"duration":$request_time,'
        '"user_agent":"$http_user_agent"}\';\n'
    )
    common = "proxy_set_header Connection ''; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto https;"
    on = "proxy_pass http://plain;"
    inside = {
        "plain": f"location / {{ {common} {on} }}",
        "edits": f"location / {{ {common} proxy_set_header X-Edge one; proxy_set_header X-Debug ''; proxy_hide_header X-Origin;\n"
        " proxy_hide_header X-Frame-Options; proxy_hide_header Cache-Control;\n"
        f" add_header X-Frame-Options DENY always; add_header Cache-Control no-store always; {on} }}",
        "redirect": "location / { return 308 https://b.test$request_uri; }",
        "gzip": f"gzip on; gzip_comp_level 4; gzip_proxied any; gzip_types text/html; location / {{ {common} {on} }}",
        "hash": f"location / {{ {common} proxy_pass http://many; }}",
        "routes": "\n".join(f"location /r/{i}/ {{ {common} proxy_pass http://plain/s/{i}/; }}" for i in range(ROUTES)),
        "log": f"access_log {folder}/nginx.log j buffer=64k flush=1s; location / {{ {common} {on} }}",
    }
    many = " ".join(f"server 127.0.0.1:{port};" for port in back.ports)
    keep = "keepalive 1024; keepalive_requests 100000000;"
    text = (
        f"daemon off; worker_processes 1; pid {folder}/features.pid; error_log /dev/null;\n"
        "events { worker_connections 32768; }\n"
        f"http {{ {nginx_frame(folder, 'features')} {log}"
        f"ssl_certificate {folder}/edge.pem; ssl_certificate_key {folder}/edge.key; ssl_protocols TLSv1.3;\n"
        "ssl_ecdh_curve X25519; proxy_http_version 1.1;\n"
        f"upstream plain {{ server 127.0.0.1:{back.one}; {keep} }}\nupstream many {{ hash $uri consistent; {many} {keep} }}\n"
        + "".join(
            f"server {{ listen 127.0.0.1:{ports[name]} ssl http2 backlog=4096;\n{what} }}\n"
            for name, what in inside.items()
        )
        + "}\n"
    )
    config = folder / "features.conf"
    config.write_text(text)
    started = pinned(SUBJECT_CPU, [program, "-c", str(config), "-p", str(folder)])
    return Subject("nginx", version_of(program, "-v"), ports, started, shortened(text, ("location /r/",)))


def haproxy(folder: Path, back: Behind) -> Subject | None:
    program = which("haproxy")
    if not program:
        return None
    ports = {name: free_port() for name in FEATURES if name != "traces"}
    (folder / "edge-both.pem").write_bytes((folder / "edge.pem").read_bytes() + (folder / "edge.key").read_bytes())
    (folder / "routes.map").write_text("".join(f"/r/{i}/ /s/{i}/\n" for i in range(ROUTES)))
    line = (
        'log-format \'{"time":"%tr","client":"%ci","method":"%HM","path":"%HPO","status":%ST,"bytes_out":%B,'
        '"duration":%Ta,"user_agent":"%[capture.req.hdr(0),json(utf8s)]"}\''
    )
    inside = {
        "plain": "",
        "edits": " http-request set-header x-edge one\n http-request del-header x-debug\n http-response del-header x-origin\n"
        " http-response set-header x-frame-options DENY\n http-response set-header cache-control no-store\n",
        "redirect": " http-request redirect code 308 prefix https://b.test\n",
        "gzip": "",
        "hash": "",
        "routes": f" http-request set-var(txn.to) path,map_beg({folder}/routes.map)\n"
        " http-request deny deny_status 404 unless { var(txn.to) -m found }\n"
        " http-request set-path %[var(txn.to)]%[path,field(4,/,0)]\n",
        "log": " log stdout len 8192 format raw local0\n declare capture request len 128\n http-request capture hdr(user-agent) id 0\n"
        f" {line}\n",
    }
    own = {"gzip": "gzip", "hash": "many"}
    text = (
        "global\n nbthread 1\n maxconn 7500\n ssl-default-bind-options ssl-min-ver TLSv1.3\n"
        "defaults\n mode http\n timeout connect 5s\n timeout client 600s\n timeout server 600s\n http-reuse always\n"
        " option forwardfor\n"
        + "".join(
            f"frontend {name}\n bind 127.0.0.1:{ports[name]} ssl crt {folder}/edge-both.pem alpn h2,http/1.1 curves X25519\n"
            f" http-request set-header X-Forwarded-Proto https\n{what} default_backend {own.get(name, 'plain')}\n"
            for name, what in inside.items()
        )
        + f"backend plain\n server s 127.0.0.1:{back.one}\n"
        f"backend gzip\n compression algo gzip\n compression type text/html\n server s 127.0.0.1:{back.one}\n"
        "backend many\n balance uri path-only\n hash-type consistent\n"
        + "".join(f" server s{i} 127.0.0.1:{port}\n" for i, port in enumerate(back.ports))
    )
    config = folder / "features.cfg"
    config.write_text(text)
    with (folder / "haproxy.log").open("wb") as log:
        command = ["taskset", "-c", SUBJECT_CPU, program, "-f", str(config)]
        started = subprocess.Popen(command, stdout=log, stderr=subprocess.DEVNULL)
    return Subject("haproxy", version_of(program, "-v"), ports, started, text)


def envoy(folder: Path, back: Behind) -> Subject | None:
    program = which("envoy")
    if not program:
        return None
    ports = {name: free_port() for name in FEATURES}

    def to(cluster: str, **more: object) -> dict[str, object]:
        return {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s", **more}}

    def header(key: str, value: str) -> dict[str, object]:
        return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}

    edits = {
        **to("plain"),
        "request_headers_to_add": [header("x-edge", "one")],
        "request_headers_to_remove": ["x-debug"],
        "response_headers_to_add": [header("x-frame-options", "DENY"), header("cache-control", "no-store")],
        "response_headers_to_remove": ["x-origin"],
    }
    led = {
        "host_redirect": "b.test",
        "https_redirect": True,
        "port_redirect": 443,
        "response_code": "PERMANENT_REDIRECT",
    }
    rows = [
        {"match": {"prefix": f"/r/{i}/"}, "route": {"cluster": "plain", "timeout": "0s", "prefix_rewrite": f"/s/{i}/"}}
        for i in range(ROUTES)
    ]
    by_path = [{"header": {"header_name": ":path"}}]
    inside: dict[str, list[dict[str, object]]] = {
        "plain": [to("plain")],
        "edits": [edits],
        "redirect": [{"match": {"prefix": "/"}, "redirect": led}],
        "gzip": [to("plain")],
        "hash": [to("many", hash_policy=by_path)],
        "routes": rows,  # type: ignore[dict-item]
        "log": [to("plain")],
        "traces": [to("plain")],
    }
    library = {"@type": f"{EXTENSIONS}compression.gzip.compressor.v3.Gzip", "compression_level": "COMPRESSION_LEVEL_4"}
    packs = {
        "@type": f"{EXTENSIONS}filters.http.compressor.v3.Compressor",
        "response_direction_config": {"common_config": {"content_type": ["text/html"]}},
        "compressor_library": {"name": "gzip", "typed_config": library},
    }
    writes = {
        "@type": f"{EXTENSIONS}access_loggers.file.v3.FileAccessLog",
        "path": f"{folder}/envoy.log",
        "log_format": {
            "json_format": {
                "time": "%START_TIME%",
                "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
                "method": "%REQ(:METHOD)%",
                "path": "%REQ(:PATH)%",
                "status": "%RESPONSE_CODE%",
                "bytes_out": "%BYTES_SENT%",
                "duration": "%DURATION%",
                "user_agent": "%REQ(USER-AGENT)%",
            }
        },
    }

    def served(name: str, routes: list[dict[str, Any]]) -> dict[str, Any]:
        packing = [{"name": "envoy.filters.http.compressor", "typed_config": packs}] if name == "gzip" else []
        manager = {
            "codec_type": "AUTO",
            "route_config": routed(routes),
            "http_filters": [*packing, router()],
            **({"access_log": [{"name": "f", "typed_config": writes}]} if name == "log" else {}),
            **({"tracing": tracing.of_envoy()} if name == "traces" else {}),
        }
        return listener(name, ports[name], manager, folder, ["h2", "http/1.1"])

    whole = {
        "static_resources": {
            "listeners": [served(name, routes) for name, routes in inside.items()],
            "clusters": [
                cluster("plain", (back.one,)),
                cluster("many", back.ports, lb_policy="RING_HASH"),
                cluster("spans", (back.spans,)),
            ],
        },
        "layered_runtime": tracing.ENVOY_BATCHES,
    }
    config = folder / "features.json"
    config.write_text(json.dumps(whole))
    del rows[1:]
    command = [program, "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "off"]
    shown = json.dumps(whole, indent=1) + f"\n(and {ROUTES - 1:,} more routes)"
    return Subject("envoy", version_of(program, "--version"), ports, pinned(SUBJECT_CPU, command), shown)


MAKERS: dict[str, Callable[[Path, Behind], Subject | None]] = {
    "everyhop": everyhop,
    "nginx": nginx,
    "haproxy": haproxy,
    "envoy": envoy,
}
