"""Which fields can choose a route is known on both sides: the compiler refuses those that the engine does not hear."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from everyhop import _door
from everyhop.compile import names

UNHEARD = [
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "x_forwarded_host",
    "X.Forwarded.Port",
    "X-Forwarded-Client-Cert",
    "Forwarded",
    "X-Real-IP",
    "x_real_ip",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "True-Client-IP",
    "X-Request-ID",
    "x.request.id",
    "X-Remote-User",
    "X-Original-URL",
    "X-Original-Host",
    "X-Rewrite-URL",
    "Client-Cert",
    "client_cert",
    "Client-Cert-Chain",
    "X-Client-Cert",
    "X-SSL-Client-Verify",
    "SSL-Client-Cert",
    "X-TLS-Client-Cert",
    "content_length",
    "transfer_encoding",
    "Transfer-Encoding",
    "Connection",
    "Keep-Alive",
    "TE",
    "Proxy-Connection",
    "Proxy-Authorization",
    "Proxy-Authenticate",
    "Upgrade",
    "HTTP2-Settings",
]
HEARD = [
    "X-Tenant",
    "X-Role",
    "Cookie",
    "Authorization",
    "Accept",
    "User-Agent",
    "Content-Type",
    "Content-Length",
    "X-Forward",
    "X-Realip",
    "Client",
    "Forwarded-By",
    "X-Requested-With",
    "X-SSL",
    "Origin",
    "Date",
    "Expect",
    "Range",
]


@pytest.fixture(scope="module")
def plan() -> str:
    return (Path(__file__).parents[2] / "schema" / "golden" / "everything.json").read_text().rstrip("\n")


def chosen(plan: str, field: str) -> bool:
    """Whether the engine's matcher takes a route that asks for that field."""
    asked = json.loads(plan)
    route = next(r for r in asked["routes"] if r["name"] == "wiki")
    route["way"]["headers"] = [{"of": "field", "equals": "yes", "name": field.lower()}]
    host = "wiki.example.com"
    question = {
        "listener": None,
        "sni": host,
        "host": host,
        "path": "/",
        "method": "GET",
        "headers": [[field.lower(), "yes"]],
        "client": None,
        "token": None,
        "address": None,
    }
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return bool(json.loads(_door.where_in(text, json.dumps(question)))["route"] == "wiki")


@pytest.mark.parametrize("field", UNHEARD)
def test_a_field_that_only_the_edge_sets_chooses_no_route(plan: str, field: str) -> None:
    """X01, X02, R03."""
    assert not names.is_heard(field)
    assert not chosen(plan, field)


@pytest.mark.parametrize("field", HEARD)
def test_any_other_field_may_choose_a_route(plan: str, field: str) -> None:
    """R03."""
    assert names.is_heard(field)
    assert chosen(plan, field)


def test_the_host_is_no_header() -> None:
    """R02. Over HTTP/2 there is none of that name."""
    assert not names.is_heard("Host")
