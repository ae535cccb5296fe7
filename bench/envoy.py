"""Envoy's configuration, as far as all that is measured of it has it alike. Read next: `feature_subjects.py`, `passing_subjects.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

EXTENSIONS = "type.googleapis.com/envoy.extensions."


def at(port: int) -> dict[str, Any]:
    return {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}


def listener(name: str, port: int, manager: dict[str, Any], folder: Path, alpn: list[str]) -> dict[str, Any]:
    """TLS 1.3 with the edge's certificate, and behind it what the manager of HTTP connections does."""
    tls = {
        "@type": f"{EXTENSIONS}transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "ecdh_curves": ["X25519"]},
            "tls_certificates": [
                {
                    "certificate_chain": {"filename": f"{folder}/edge.pem"},
                    "private_key": {"filename": f"{folder}/edge.key"},
                }
            ],
            "alpn_protocols": alpn,
        },
    }
    kind = f"{EXTENSIONS}filters.network.http_connection_manager.v3.HttpConnectionManager"
    chain = {
        "filters": [
            {"name": "h", "typed_config": {"@type": kind, "stat_prefix": name, "use_remote_address": True, **manager}}
        ],
        "transport_socket": {"name": "t", "typed_config": tls},
    }
    return {"name": name, **at(port), "filter_chains": [chain]}


def cluster(name: str, ends: tuple[int, ...], **more: Any) -> dict[str, Any]:
    """In plaintext, without a bound that a measurement would meet."""
    wide = {"thresholds": [{"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}]}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": wide,
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": at(port)} for port in ends]}],
        },
        **more,
    }


def routed(routes: list[dict[str, Any]]) -> dict[str, Any]:
    return {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]}


def router() -> dict[str, Any]:
    return {"name": "r", "typed_config": {"@type": f"{EXTENSIONS}filters.http.router.v3.Router"}}
