"""What routes are warned of beside a waf is what its rules do: asked of the inspector itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from everyhop.compile import compile_file
from everyhop.compile.rules_waf_fit import BODIES, METHODS, OF_BODIES, OF_METHODS
from everyhop.waf import frames
from everyhop.waf.inspector import Inspector
from everyhop.waf.requests import read
from tests.kit.inspector import built

HEAD = """\
version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{ chain = "c", key = "file:k" }]
"""
ROUTE = '[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\nwaf = "crs"\n'
WORD = 'owner = "o", why = "w", since = 2026-11-01, until = 2027-01-31'


@pytest.fixture(scope="module")
def inspector() -> Iterator[Inspector]:
    with Inspector([frames.Policy()], program=built()) as it:
        yield it


def denied_by(it: Inspector, method: str, kind: str = "") -> set[int]:
    body = b"\0\0\0\0\0" if kind else b""
    of_kind = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n" if kind else ""
    head = f"{method} /x HTTP/1.1\r\nHost: a.test\r\nUser-Agent: u\r\nAccept: */*\r\n{of_kind}\r\n"
    request, _ = read(head.encode() + body, 1000)
    return {match.rule for match in it.ask(request).rules}


def test_the_methods_and_bodies_that_are_not_warned_of_are_those_that_the_set_takes(inspector: Inspector) -> None:
    for method in METHODS:
        assert OF_METHODS not in denied_by(inspector, method), method
    for method in ("PUT", "PATCH", "DELETE", "PROPFIND"):
        assert OF_METHODS in denied_by(inspector, method), method
    for kind in BODIES:
        assert OF_BODIES not in denied_by(inspector, "POST", kind), kind
    for kind in ("application/grpc", "application/grpc+proto", "application/x-protobuf", "application/octet-stream"):
        assert OF_BODIES in denied_by(inspector, "POST", kind), kind


@pytest.mark.parametrize(
    ("waf", "route", "warned"),
    [
        ("", 'method = "PUT"', 1),
        ("", 'method = ["PUT", "PATCH", "GET"]', 2),
        ("", 'headers = { content-type = "application/grpc" }\nhealth = { grpc = "x" }\nupstream_protocol = "h2"', 2),
        ("", 'headers = { content-type = "Application/JSON; charset=utf-8" }', 0),
        ("", "limits = { body_bytes = 131073 }", 1),
        ("", "limits = { body_bytes = 131072 }", 0),
        ("body_bytes = 1048576", "limits = { body_bytes = 131073 }", 0),
        ('over_body = "pass-inspected"', "limits = { body_bytes = 131073 }", 0),
        ("", 'upgrades = ["tcp"]', 1),
        ("", "websocket = true", 1),
        ("", "websocket = false", 0),
        ("", "", 0),
        ('mode = "detect"', 'method = "PUT"\nlimits = { body_bytes = 131073 }', 0),
        ('mode = "detect"', 'upgrades = ["tcp"]', 1),
        (f"exclude = [{{ rule = 911100, {WORD} }}]", 'method = "PUT"', 0),
        (f'exclude = [{{ rule = 911100, path = "/x", {WORD} }}]', 'method = "PUT"', 1),
        (f"exclude = [{{ rule = 911100, {WORD} }}]", 'health = { grpc = "x" }\nupstream_protocol = "h2"', 1),
        ('extra = ["own.conf"]', 'method = "PUT"\nlimits = { body_bytes = 131073 }', 1),
    ],
)
def test_a_route_is_warned_of_what_it_shows_itself_and_of_nothing_else(
    tmp_path: Path, waf: str, route: str, warned: int
) -> None:
    file = tmp_path / "everyhop.toml"
    file.write_text(f'{HEAD}[[waf]]\nname = "crs"\n{waf}\n{ROUTE}{route}\n')
    found = compile_file(file, files="skip", past_dates="close").findings
    assert [f.slug for f in found if f.slug == "waf/unfit-route"] == ["waf/unfit-route"] * warned, found
