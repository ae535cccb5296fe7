"""Envoy with its filter `ext_authz` before one backend, where `make bench` has put it: what whoever writes an authorizer knows how it asks."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from bench.envoy import EXTENSIONS, cluster, listener, routed, router
from bench.subjects import which
from everyhop.demo.stage import free_port
from tests.kit.edge import Pki, until


def found() -> str | None:
    return which("envoy")


class Envoy:
    """Asks the authorizer at `asked` about each request, showing it fields that `sends` names, and hands those that pass to `backend`."""

    def __init__(self, pki: Pki, asked: int, backend: int, sends: list[str], deadline_ms: int) -> None:
        program = found()
        assert program
        self.folder = Path(tempfile.mkdtemp(prefix="envoy-"))
        self.port = free_port()
        check = {
            "@type": f"{EXTENSIONS}filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "grpc_service": {"envoy_grpc": {"cluster_name": "asked"}, "timeout": f"{deadline_ms / 1000}s"},
            "allowed_headers": {"patterns": [{"exact": name, "ignore_case": True} for name in sends]},
            "status_on_error": {"code": "ServiceUnavailable"},
            "validate_mutations": True,
        }
        manager = {
            "codec_type": "AUTO",
            "normalize_path": True,
            "route_config": routed([{"match": {"prefix": "/"}, "route": {"cluster": "backend", "timeout": "0s"}}]),
            "http_filters": [{"name": "a", "typed_config": check}, router()],
        }
        whole = {
            "static_resources": {
                "listeners": [self.listens(pki, manager)],
                "clusters": [cluster("backend", (backend,)), cluster("asked", (asked,), **HTTP2)],
            }
        }
        (self.folder / "envoy.json").write_text(json.dumps(whole))
        self.log = self.folder / "envoy.log"
        command = [program, "-c", str(self.folder / "envoy.json"), "--concurrency", "1", "--disable-hot-restart"]
        command += ["-l", "warning", "--log-path", str(self.log)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(self.is_up, 60, self.said)
        except BaseException:
            self.close()
            raise

    def listens(self, pki: Pki, manager: dict[str, Any]) -> dict[str, Any]:
        """As the edge does: it asks for certificates of clients, and takes who shows none."""
        it = listener("edge", self.port, manager, pki.folder, ["h2", "http/1.1"])
        (chain,) = it["filter_chains"]
        context = chain["transport_socket"]["typed_config"]["common_tls_context"]
        context["validation_context"] = {"trusted_ca": {"filename": str(pki.public.file)}}
        return it

    def is_up(self) -> bool | None:
        assert self.process.poll() is None, self.said()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return None

    def said(self) -> str:
        return self.log.read_text()[-3000:] if self.log.exists() else ""

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


HTTP2 = {
    "typed_extension_protocol_options": {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{EXTENSIONS}upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
}
