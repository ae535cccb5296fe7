"""Hosts, paths and addresses in their one form; and the compiler's rule is the engine's."""

from __future__ import annotations

import json

import pytest

from everyhop import _door
from everyhop.compile import names
from everyhop.plan import read_plan


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Shop.Example.COM.", "shop.example.com"),
        ("*.x.y", "*.x.y"),
        ("a_b.c", "a_b.c"),
        ("", None),
        ("a..b", None),
        ("-a.b", None),
        ("1.2.3.4", None),
        ("a b", None),
        ("*", None),
        ("a.*.b", None),
    ],
)
def test_a_host_has_one_form(text: str, form: str | None) -> None:
    assert names.host(text, wildcard=True) == form


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("/", True),
        ("/a/b", True),
        ("/%C3%A9", True),
        ("/%c3", False),
        ("/%61", False),
        ("/a//b", False),
        ("/./a", False),
        ("/..;/a", False),
        ("/%2F", False),
        ("a", False),
        ("/a b", False),
        ("/a/..%3B", False),
        ("/a/..%3Fx", False),
        ("/a/..b", True),
        ("/a/%252f", False),
        ("/a/%2541", True),
    ],
)
def test_a_path_is_taken_only_in_its_canonical_form(text: str, fine: bool) -> None:
    assert (names.path(text) is not None) == fine


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("10.0.0.7/8", "10.0.0.0/8"),
        ("::1", "::1/128"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::ffff:0:0/90", None),
        ("x", None),
    ],
)
def test_a_network_has_one_form_and_a_mapped_one_is_ipv4(text: str, form: str | None) -> None:
    found = names.network(text)
    assert (found and str(found)) == form


@pytest.mark.parametrize(
    ("text", "form", "loopback"),
    [
        ("10.0.0.5:8443", "10.0.0.5:8443", False),
        ("[::ffff:10.0.0.5]:1", "10.0.0.5:1", False),
        ("127.0.0.1:1", "127.0.0.1:1", True),
        ("[::1]:1", "[::1]:1", True),
        ("unix:/run/x", "unix:/run/x", True),
        ("localhost:1", "localhost:1", False),
        ("127.0.0.2:1", "127.0.0.2:1", False),
    ],
)
def test_an_address_has_one_form_and_same_host_is_literal(text: str, form: str, loopback: bool) -> None:
    at = names.address(text)
    assert at is not None and str(at) == form and at.is_literal_loopback == loopback


@pytest.mark.parametrize("text", ["", "x", "x:", "x:0", "x:65536", "::1:80", "[x]:1", "unix:x", "x:+1", "x:1:2"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert names.address(text) is None


def test_offline_the_engines_own_matcher_answers(data: object) -> None:
    from pathlib import Path

    text = (Path(__file__).parents[2] / "schema/golden/everything.json").read_text().rstrip("\n")
    assert read_plan(text)

    def route(host: str, path: str, **more: object) -> object:
        ask = {
            "listener": None,
            "sni": host,
            "host": host,
            "path": path,
            "method": "GET",
            "headers": [],
            "client": None,
            **more,
        }
        return json.loads(_door.where_in(text, json.dumps(ask)))

    assert route("api.example.com", "/v1/x")["route"] == "api"  # type: ignore[index]
    post = route("api.example.com", "/pkg.Service/Call", method="POST", headers=[["x-tenant", "blue"]])
    assert post["route"] == "grpc"  # type: ignore[index]
    assert route("pay.example.com", "/")["verdict"] == "splice"  # type: ignore[index]
    assert route("api.example.com", "/other")["status"] == 404  # type: ignore[index]
    assert route("api.example.com", "/v1/../x")["slug"] == "request/bad-target"  # type: ignore[index]
