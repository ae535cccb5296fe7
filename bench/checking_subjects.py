"""Who asks the backends of `many_checks.py` whether they are well: each with the same thousand, as often, as patiently. In plaintext, or by
TLS with a certificate of its own and the backend's looked at. nginx asks nobody by itself in what is free.

Read next: `many_checks.py`, which proves that whoever is not well gets no request, and measures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.envoy import EXTENSIONS, cluster, listener, routed, router
from bench.subjects import SUBJECT_CPU, Subject, pinned, released, version_of, which
from everyhop.demo.stage import free_port


@dataclass(frozen=True)
class Checked:
    """The backends and how they are reached; certificates lie in the folder by these names: `edge` and `identity` of who asks, `bench-ca`."""

    folder: Path
    ports: Sequence[int]
    mutual: bool
    every_s: int

    def path(self, name: str) -> str:
        """By which the backends tell who asks."""
        return f"/healthz/{name}"

    def both(self, name: str) -> Path:
        """Chain and key in one file."""
        file = self.folder / f"{name}-both.pem"
        file.write_bytes(b"".join((self.folder / f"{name}.{kind}").read_bytes() for kind in ("pem", "key")))
        return file


def everyhop(it: Checked) -> Subject:
    port = free_port()
    to = ", ".join(f'"127.0.0.1:{port}"' for port in it.ports)
    hop = 'tls = "plaintext"\n'
    if it.mutual:
        hop = 'tls = "mutual"\npresent = "edge"\nverify = { ca = "bench-ca.pem", name = "backend.test" }\n'
    text = (
        'version = 1\n[log]\naccess = "off"\n[engine]\nthreads = 1\n'
        f'[[listener]]\nname = "public"\nbind = ["127.0.0.1:{port}"]\n'
        '[[site]]\nname = "s"\nhosts = ["a.test"]\ncerts = [{ chain = "edge.pem", key = "file:edge.key" }]\n'
        '[[identity]]\nname = "edge"\nchain = "identity.pem"\nkey = "file:identity.key"\n'
        f'[[route]]\nname = "r"\nhost = "a.test"\nto = [{to}]\n{hop}'
        f'health = {{ path = "{it.path("everyhop")}", every_s = {it.every_s} }}\n'
    )
    return released(it.folder, "everyhop", text, {"checks": port}, shown=shortened(text, f"[{to}]", len(it.ports)))


def haproxy(it: Checked) -> Subject | None:
    """It closes each connection behind its check."""
    program = which("haproxy")
    if not program:
        return None
    port = free_port()
    tls = ""
    if it.mutual:
        tls = f" ssl verify required ca-file {it.folder}/bench-ca.pem verifyhost backend.test sni str(backend.test) check-sni backend.test crt {it.both('identity')}"
    servers = [f" server s{i} 127.0.0.1:{port}\n" for i, port in enumerate(it.ports)]
    text = (
        "global\n nbthread 1\n maxconn 1000\n ssl-default-bind-options ssl-min-ver TLSv1.3\n"
        "defaults\n mode http\n timeout connect 5s\n timeout client 600s\n timeout server 600s\n timeout check 2s\n"
        f"frontend f\n bind 127.0.0.1:{port} ssl crt {it.both('edge')}\n default_backend b\n"
        f"backend b\n option httpchk\n http-check send meth GET uri {it.path('haproxy')} ver HTTP/1.1 hdr Host a.test\n"
        f" http-check expect rstatus 2..\n default-server check inter {it.every_s}s fall 2 rise 2{tls}\n"
    )
    config = it.folder / "checks.cfg"
    config.write_text(text + "".join(servers))
    process = pinned(SUBJECT_CPU, [program, "-f", str(config)])
    shown = f"{text}{servers[0]}# and {len(servers) - 1:,} more"
    return Subject("haproxy", version_of(program, "-v"), {"checks": port}, process, shown)


def envoy(it: Checked) -> Subject | None:
    program = which("envoy")
    if not program:
        return None
    port = free_port()
    pair = {
        kind: {"filename": f"{it.folder}/identity.{end}"}
        for kind, end in (("certificate_chain", "pem"), ("private_key", "key"))
    }
    named = {"san_type": "DNS", "matcher": {"exact": "backend.test"}}
    context = {
        "@type": f"{EXTENSIONS}transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": "backend.test",
        "common_tls_context": {
            "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [pair],
            "validation_context": {
                "trusted_ca": {"filename": f"{it.folder}/bench-ca.pem"},
                "match_typed_subject_alt_names": [named],
            },
        },
    }
    check = {
        "timeout": "2s",
        "interval": f"{it.every_s}s",
        "no_traffic_interval": f"{it.every_s}s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 2,
        "http_health_check": {"host": "a.test", "path": it.path("envoy")},
    }
    more: dict[str, Any] = {"health_checks": [check], "common_lb_config": {"healthy_panic_threshold": {"value": 0}}}
    if it.mutual:
        more["transport_socket"] = {"name": "t", "typed_config": context}
    manager = {
        "codec_type": "AUTO",
        "route_config": routed([{"match": {"prefix": "/"}, "route": {"cluster": "b", "timeout": "0s"}}]),
        "http_filters": [router()],
    }
    files = listener("checks", port, manager, it.folder, ["http/1.1"])

    def whole(ports: Sequence[int]) -> dict[str, Any]:
        return {"static_resources": {"listeners": [files], "clusters": [cluster("b", tuple(ports), **more)]}}

    config = it.folder / "checks.json"
    config.write_text(json.dumps(whole(it.ports)))
    command = [program, "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "off"]
    shown = json.dumps(whole(it.ports[:1]), indent=1) + f"\n(and {len(it.ports) - 1:,} more backends)"
    return Subject("envoy", version_of(program, "--version"), {"checks": port}, pinned(SUBJECT_CPU, command), shown)


def shortened(text: str, all_: str, count: int) -> str:
    """With the first backend alone."""
    first = all_.split(", ")[0].rstrip("]")
    return text.replace(all_, f"{first}]   # and {count - 1:,} more")


MAKERS: dict[str, Callable[[Checked], Subject | None]] = {"everyhop": everyhop, "haproxy": haproxy, "envoy": envoy}
