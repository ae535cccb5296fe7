"""Which statuses are well, and whom a check asks for."""

from __future__ import annotations

import pytest

from everyhop.compile.health import asked_host, health, statuses
from everyhop.model import Route
from everyhop.plan import AsksGrpc, AsksHttp, Statuses


def route(**more: object) -> Route:
    given = {"name": "r", "host": ["*.w.test", "A.Test."], "tls": "plaintext", "to": ["127.0.0.1:1"], **more}
    return Route.model_validate(given)


def test_statuses_are_ranges_and_single_ones() -> None:
    assert statuses("200-299, 401") == [Statuses(first=200, last=299), Statuses(first=401, last=401)]


@pytest.mark.parametrize("text", ["", "2xx", "299-200", "100", "99-200", "600", "200-", "200,,201", "٢٠٠"])
def test_what_is_no_final_status_of_http_is_none(text: str) -> None:
    assert statuses(text) is None


def test_a_check_asks_for_the_host_that_it_names_else_that_of_backends_else_the_first_that_is_no_wildcard() -> None:
    path = {"path": "/h"}
    assert asked_host(route(health=path)) == "a.test"
    assert asked_host(route(health=path, host_header="b.test:81")) == "b.test:81"
    assert asked_host(route(health={**path, "host": "C.test"}, host_header="b.test")) == "c.test"
    assert asked_host(route(health=path, host="*.w.test")) is None


def test_what_is_left_out_has_its_default() -> None:
    found = health(route(health={"path": "/h"}))
    assert found is not None
    usual = [Statuses(first=200, last=299)]
    assert found.asks == AsksHttp(kind="http", host="a.test", path="/h", statuses=usual, body=None)
    assert (found.every_s, found.timeout_s, found.down_after, found.up_after) == (5, 2, 2, 1)
    called = health(route(health={"grpc": "", "down_after": 3}))
    assert called is not None and called.asks == AsksGrpc(kind="grpc", host="a.test", service="")
    assert called.down_after == 3 and health(route()) is None
