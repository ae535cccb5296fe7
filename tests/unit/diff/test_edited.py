"""What is changed of requests and answers on their way: told with what it was, what it is, and who sees it."""

from __future__ import annotations

import pytest

from everyhop.diff import compare
from everyhop.plan import Plan
from tests.unit.diff.test_gate import plan, refused, route, told


def of(more: str) -> Plan:
    return plan(route("r", more=more))


BARE = of("")


@pytest.mark.parametrize(
    ("more", "what", "so"),
    [
        ('request = { set = { x-a = "1" } }\n', "request.set was nothing, now x-a: 1", "backends see other fields"),
        ('request = { remove = ["x-a"] }\n', "request.remove was nothing, now x-a", "backends see other fields"),
        ('response = { add = { x-a = "1" } }\n', "response.add was nothing, now x-a: 1", "clients see other fields"),
    ],
)
def test_fields_that_are_changed_are_told_with_who_sees_them(more: str, what: str, so: str) -> None:
    (change,) = compare(BARE, of(more))
    assert (change.kind, change.direction, change.what, change.so) == ("fields-edited", "neutral", what, so)


def test_another_host_that_backends_are_asked_for_is_told_with_both() -> None:
    own = of('host_header = "own.test"\n')
    said = "the host that backends are asked for was"
    changes = [[it.what for it in compare(*of) if it.what.startswith(said)] for of in ((BARE, own), (own, BARE))]
    assert changes == [
        [f"{said} whichever the client asked for, now own.test"],
        [f"{said} own.test, now whichever the client asked for"],
    ]


def test_paths_that_go_on_otherwise_are_told_with_both() -> None:
    strips = of('path = "/x"\nstrip = "/x"\n')
    (change,) = told(of('path = "/x"\n'), strips, "path-rewritten")
    assert change.what.startswith("paths went on as they came, now ") and "/x" in change.what
    (back,) = told(strips, of('path = "/x"\n'), "path-rewritten")
    assert back.what.endswith(", now as they came") and "/x" in back.what


def test_a_route_that_reads_nothing_any_more_is_weaker_and_told_by_what_it_carries() -> None:
    tcp = of('protocol = "tcp"\n')
    assert "reading-stopped:r" in refused(BARE, tcp)
    (stopped,), (begun,) = told(BARE, tcp, "reading-stopped"), told(tcp, BARE, "reading-begun")
    assert stopped.what == "the route carries TCP, and read HTTP before"
    assert begun.what == "the route carries HTTP, and read nothing before"
