"""Who does the work of `passing.py`: each with one port for each check that it has, and the configuration that the page prints.
All end TLS 1.3 at the edge for a.test and go on in plaintext with keep-alive.

Read next: `passing.py`, which proves that they refuse whom they should, and measures.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.envoy import EXTENSIONS, cluster, listener, routed, router
from bench.subjects import SUBJECT_CPU, Subject, nginx_behind, nginx_frame, pinned, released, version_of, which
from everyhop.demo.stage import free_port
from tests.kit.tokens import Issuer

RATE = 1_000_000
"""A second, and as many at once: nobody is refused, and each request is counted. The port `few` lets three pass in an hour."""


@dataclass(frozen=True)
class Behind:
    """The origin's ports: of the backend, and of whoever is asked."""

    one: int
    asked: int


def origin(folder: Path) -> tuple[Behind, subprocess.Popen[bytes]]:
    """nginx; whoever is asked lets nobody pass who says `x-fails`."""
    back = Behind(free_port(), free_port())
    servers = (
        f"server {{ listen 127.0.0.1:{back.one} backlog=4096; location / {{ return 200 '{'x' * 256}'; }} }}\n"
        f"server {{ listen 127.0.0.1:{back.asked} backlog=4096; location / {{ if ($http_x_fails) {{ return 403; }} return 200; }} }}"
    )
    return back, nginx_behind(folder, "w", servers)


def public_key(issuer: Issuer) -> bytes:
    return issuer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def everyhop(folder: Path, back: Behind, issuer: Issuer) -> Subject:
    ports = {name: free_port() for name in ("plain", "limit", "few", "jwt", "ask")}
    (folder / "keys.jwks").write_text(json.dumps({"keys": [issuer.jwk()]}))
    more = {
        "limit": 'limited_by = ["many"]\n',
        "few": 'limited_by = ["few"]\n',
        "jwt": 'jwt = { issuer = "corp" }\n',
        "ask": 'ask = "sso"\n',
    }
    text = (
        'version = 1\n[engine]\nthreads = 1\n[log]\naccess = "off"\n'
        + "".join(f'[[listener]]\nname = "{name}"\nbind = ["127.0.0.1:{port}"]\n' for name, port in ports.items())
        + '[[site]]\nname = "s"\nhosts = ["a.test"]\ncerts = [{ chain = "edge.pem", key = "file:edge.key" }]\n'
        f'[[limit]]\nname = "many"\nrate = "{RATE}/s"\nby = ["client-address"]\n'
        '[[limit]]\nname = "few"\nrate = "3/h"\nby = ["client-address"]\n'
        f'[[issuer]]\nname = "corp"\nissuer = "{issuer.name}"\naudience = "api"\nalgorithms = ["ES256"]\n'
        'keys = { file = "keys.jwks" }\n'
        f'[[authorizer]]\nname = "sso"\nto = ["127.0.0.1:{back.asked}"]\ntls = "plaintext"\npath = "/"\nsends = ["x-fails"]\n'
        + "".join(
            f'[[route]]\nname = "{name}"\nhost = "a.test"\nlisteners = ["{name}"]\ntls = "plaintext"\n'
            f'to = ["127.0.0.1:{back.one}"]\n{more.get(name, "")}'
            for name in ports
        )
    )
    return released(folder, "everyhop", text, ports, shown=text)


def nginx(folder: Path, back: Behind, issuer: Issuer) -> Subject | None:
    """It has no tokens but in what is sold."""
    program = which("nginx")
    if not program:
        return None
    ports = {name: free_port() for name in ("plain", "limit", "few", "ask")}
    common = (
        "proxy_set_header Connection ''; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;"
        " proxy_set_header X-Forwarded-Proto https;"
    )
    on = f"{common} proxy_pass http://plain;"
    asks = (
        "location / { auth_request /asked; " + on + " }\n"
        "location = /asked { internal; proxy_pass http://asked; proxy_pass_request_body off; proxy_pass_request_headers off;"
        " proxy_set_header Connection ''; proxy_set_header Content-Length ''; proxy_set_header Host $host;"
        " proxy_set_header X-Fails $http_x_fails; proxy_set_header X-Forwarded-For $remote_addr;"
        " proxy_set_header X-Forwarded-Method $request_method; proxy_set_header X-Forwarded-Proto https;"
        " proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Forwarded-Uri $request_uri; }"
    )
    inside = {
        "plain": f"location / {{ {on} }}",
        "limit": f"location / {{ limit_req zone=many burst=100000 nodelay; {on} }}",
        "few": f"location / {{ limit_req zone=few burst=2 nodelay; limit_req_status 429; {on} }}",
        "ask": asks,
    }
    keep = "keepalive 1024; keepalive_requests 100000000;"
    text = (
        f"daemon off; worker_processes 1; pid {folder}/passing.pid; error_log /dev/null;\n"
        "events { worker_connections 32768; }\n"
        f"http {{ {nginx_frame(folder, 'passing')}"
        f"ssl_certificate {folder}/edge.pem; ssl_certificate_key {folder}/edge.key; ssl_protocols TLSv1.3;\n"
        "ssl_ecdh_curve X25519; proxy_http_version 1.1;\n"
        f"limit_req_zone $binary_remote_addr zone=many:10m rate={RATE}r/s; limit_req_zone $binary_remote_addr zone=few:1m rate=1r/m;\n"
        f"upstream plain {{ server 127.0.0.1:{back.one}; {keep} }}\nupstream asked {{ server 127.0.0.1:{back.asked}; {keep} }}\n"
        + "".join(
            f"server {{ listen 127.0.0.1:{ports[name]} ssl backlog=4096;\n{what} }}\n" for name, what in inside.items()
        )
        + "}\n"
    )
    config = folder / "passing.conf"
    config.write_text(text)
    return Subject(
        "nginx",
        version_of(program, "-v"),
        ports,
        pinned(SUBJECT_CPU, [program, "-c", str(config), "-p", str(folder)]),
        text,
    )


def haproxy(folder: Path, back: Behind, issuer: Issuer) -> Subject | None:
    """It asks nobody but by its own protocol (SPOE) or a program in Lua."""
    program = which("haproxy")
    if not program:
        return None
    ports = {name: free_port() for name in ("plain", "limit", "few", "jwt")}
    (folder / "edge-both.pem").write_bytes((folder / "edge.pem").read_bytes() + (folder / "edge.key").read_bytes())
    (folder / "issuer.pem").write_bytes(public_key(issuer))
    token = (
        " http-request deny deny_status 401 unless { req.hdr(authorization) -m found }\n"
        " http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')\n"
        " http-request set-var(txn.now) date()\n"
        " http-request deny deny_status 401 unless { http_auth_bearer,jwt_header_query('$.alg') -m str ES256 }\n"
        f" http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_payload_query('$.iss') -m str {issuer.name} }}\n"
        " http-request deny deny_status 401 unless { http_auth_bearer,jwt_payload_query('$.aud') -m str api }\n"
        " http-request deny deny_status 401 if { var(txn.exp),sub(txn.now) -m int lt 0 }\n"
        f' http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_verify("ES256","{folder}/issuer.pem") -m int 1 }}\n'
    )
    counts = " http-request track-sc0 src\n http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {} }}\n"
    inside = {
        "plain": "",
        "limit": " stick-table type ip size 1m expire 10s store http_req_rate(1s)\n" + counts.format(RATE),
        "few": " stick-table type ip size 1m expire 1h store http_req_rate(1h)\n" + counts.format(3),
        "jwt": token,
    }
    text = (
        "global\n nbthread 1\n maxconn 7500\n ssl-default-bind-options ssl-min-ver TLSv1.3\n"
        "defaults\n mode http\n timeout connect 5s\n timeout client 600s\n timeout server 600s\n http-reuse always\n"
        " option forwardfor\n"
        + "".join(
            f"frontend {name}\n bind 127.0.0.1:{ports[name]} ssl crt {folder}/edge-both.pem alpn http/1.1 curves X25519\n"
            f" http-request set-header X-Forwarded-Proto https\n{what} default_backend plain\n"
            for name, what in inside.items()
        )
        + f"backend plain\n server s 127.0.0.1:{back.one}\n"
    )
    config = folder / "passing.cfg"
    config.write_text(text)
    return Subject("haproxy", version_of(program, "-v"), ports, pinned(SUBJECT_CPU, [program, "-f", str(config)]), text)


def envoy(folder: Path, back: Behind, issuer: Issuer) -> Subject | None:
    """Its local limit counts all clients together; a count of each would be another service's."""
    program = which("envoy")
    if not program:
        return None
    ports = {name: free_port() for name in ("plain", "limit", "few", "jwt", "ask")}

    def limited(most: int, every: str) -> dict[str, Any]:
        on = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
        return {
            "@type": f"{EXTENSIONS}filters.http.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "l",
            "token_bucket": {"max_tokens": most, "tokens_per_fill": most, "fill_interval": every},
            "filter_enabled": on,
            "filter_enforced": on,
        }

    tokens = {
        "@type": f"{EXTENSIONS}filters.http.jwt_authn.v3.JwtAuthentication",
        "providers": {
            "corp": {
                "issuer": issuer.name,
                "audiences": ["api"],
                "local_jwks": {"inline_string": json.dumps({"keys": [issuer.jwk()]})},
                "jwt_cache_config": {"jwt_cache_size": 1000},
            }
        },
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "corp"}}],
    }
    asks = {
        "@type": f"{EXTENSIONS}filters.http.ext_authz.v3.ExtAuthz",
        "http_service": {
            "server_uri": {"uri": "http://asked", "cluster": "asked", "timeout": "1s"},
            "authorization_request": {"allowed_headers": {"patterns": [{"exact": "x-fails"}]}},
        },
    }
    inside = {"plain": None, "limit": limited(RATE, "1s"), "few": limited(3, "3600s"), "jwt": tokens, "ask": asks}

    def served(name: str, check: dict[str, Any] | None) -> dict[str, Any]:
        manager = {
            "codec_type": "HTTP1",
            "route_config": routed([{"match": {"prefix": "/"}, "route": {"cluster": "plain", "timeout": "0s"}}]),
            "http_filters": [*([{"name": "c", "typed_config": check}] if check else []), router()],
        }
        return listener(name, ports[name], manager, folder, ["http/1.1"])

    whole = {
        "static_resources": {
            "listeners": [served(name, check) for name, check in inside.items()],
            "clusters": [cluster("plain", (back.one,)), cluster("asked", (back.asked,))],
        }
    }
    config = folder / "passing.json"
    config.write_text(json.dumps(whole))
    command = [program, "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "off"]
    return Subject(
        "envoy", version_of(program, "--version"), ports, pinned(SUBJECT_CPU, command), json.dumps(whole, indent=1)
    )


MAKERS: dict[str, Callable[[Path, Behind, Issuer], Subject | None]] = {
    "everyhop": everyhop,
    "nginx": nginx,
    "haproxy": haproxy,
    "envoy": envoy,
}
