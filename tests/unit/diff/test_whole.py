"""What is said of the whole edge: where metrics are read, where orders are taken, and whether a log is kept."""

from __future__ import annotations

import pytest

from everyhop.diff import compare
from everyhop.diff.settings import settings_changes
from everyhop.model import Config
from everyhop.plan import Plan
from tests.unit.diff.test_gate import plan, refused, route, told


def top(more: str) -> Plan:
    return plan(route("r"), more=more)


def status(bind: str) -> Plan:
    return top(f'[status]\nbind = "{bind}"\n' if bind else "")


@pytest.mark.parametrize(
    ("was", "now", "kind"),
    [
        ("", "127.0.0.1:9180", "status-moved"),
        ("", "10.0.0.1:9180", "status-exposed"),
        ("127.0.0.1:9180", "10.0.0.1:9180", "status-exposed"),
        ("127.0.0.1:9180", "127.0.0.2:9180", "status-moved"),
        ("10.0.0.1:9180", "10.0.0.2:9180", "status-exposed"),
        ("10.0.0.1:9180", "10.0.0.1:9181", "status-moved"),
        ("10.0.0.1:9180", "127.0.0.1:9180", "status-closed"),
        ("10.0.0.1:9180", "", "status-closed"),
    ],
)
def test_metrics_are_exposed_where_others_than_before_can_read_them(was: str, now: str, kind: str) -> None:
    (change,) = compare(status(was), status(now))
    assert change.kind == kind
    assert change.what == f"metrics were at {was or 'no address'}, now at {now or 'no address'}"


def test_an_access_log_that_is_off_or_nowhere_is_told_as_off() -> None:
    on, off, nowhere = (top(f'[log]\naccess = "{to}"\n') for to in ("stdout", "off", "/dev/null"))
    for less in (off, nowhere):
        (weaker,) = told(on, less, "evidence-weakened")
        assert weaker.what == "the access log is off" and refused(on, less) == {weaker.allow}
        (stronger,) = told(less, on, "evidence-strengthened")
        assert stronger.what == "the access log is on" and refused(less, on) == set()


def test_where_orders_are_taken_is_told_with_both_places() -> None:
    def at(admin: dict[str, str]) -> Config:
        listener = [{"name": "l", "bind": ["127.0.0.1:8443"]}]
        return Config.model_validate({"version": 1, "listener": listener, "admin": admin})

    usual, own = at({}), at({"socket": "/run/own.sock"})
    (gone,) = settings_changes(usual, own)
    assert (gone.kind, gone.what) == ("control-moved", "orders were taken at the usual socket, now at /run/own.sock")
    (back,) = settings_changes(own, usual)
    assert (back.kind, back.what) == ("control-moved", "orders were taken at /run/own.sock, now at the usual one")
    assert settings_changes(own, own) == []


def test_a_proof_that_is_believed_longer_is_weaker_and_one_for_shorter_is_not() -> None:
    short, long = (top(f"[limits]\nmax_age_s = {age}\n") for age in (600, 1200))
    assert told(short, long, "proof-lengthened") and not told(short, long, "proof-shortened")
    assert told(long, short, "proof-shortened") and not told(long, short, "proof-lengthened")


def test_another_page_for_errors_is_told_and_weakens_nothing() -> None:
    one, two = (top(f'[pages]\n404 = "one.html"\n5xx = "{name}.html"\n') for name in ("one", "two"))
    (change,) = compare(one, two)
    assert change.direction == "neutral"
    assert change.what == "who prefers HTML was told of errors 404 by one.html, 5xx by one.html; now 404 by one.html, 5xx by two.html"  # fmt: skip
    (gone,) = compare(two, top(""))
    assert (gone.direction, gone.what.endswith("; now by the edge's own page")) == ("neutral", True)
