"""What is written down less of, or no more, is told: of the file and of a route. Another file is not."""

from __future__ import annotations

import pytest

from everyhop.diff import Change, compare
from everyhop.plan import Plan
from tests.unit.diff.test_gate import plan, refused, route

FILE = '[log]\naccess = "/var/log/all.log"\n'


def of(log: str, more: str = FILE) -> Plan:
    return plan(route("r", more=f"log = {log}\n" if log else ""), more=more)


def both(was: Plan, now: Plan) -> list[Change]:
    changes = compare(was, now)
    back = compare(now, was)
    assert {c.direction for c in back} == {{"weaker": "stronger", "stronger": "weaker"}[c.direction] for c in changes}
    return changes


@pytest.mark.parametrize(
    ("log", "what"),
    [
        ("false", "what goes there left a line, and now leaves a line only where something was refused or failed"),
        ('"/dev/null"', "what goes there left a line, and now leaves no line"),
    ],
)
def test_a_route_that_becomes_silent_is_told_with_how_silent_it_is(log: str, what: str) -> None:
    (change,) = both(of(""), of(log))
    assert (change.kind, change.about, change.what) == ("evidence-weakened", "r", what)
    assert refused(of(""), of(log)) == {"evidence-weakened:r"}


def test_another_file_is_no_change_of_what_is_known() -> None:
    for log in ('"/var/log/r.log"', '"stdout"', '{ to = "/var/log/r.log", format = "json" }'):
        assert compare(of(""), of(log)) == []
    assert compare(of('"/a.log"'), of('"/b.log"')) == []


def test_a_file_that_was_off_and_a_route_that_has_its_own() -> None:
    off = '[log]\naccess = "off"\n'
    (change,) = both(of("", off), of('"/a.log"', off))
    assert (change.kind, change.about) == ("evidence-strengthened", "r")
    assert compare(of("", off), of("false", off)) == []


def test_fields_that_a_line_has_no_more_are_told_by_name_and_so_are_those_that_come_besides() -> None:
    whole, some = of(""), of('{ to = "/r.log", fields = ["time", "client", "end", "header:user-agent"] }')
    weaker, stronger = compare(whole, some)
    assert (weaker.kind, stronger.kind) == ("evidence-weakened", "evidence-strengthened")
    assert "client_hop" in weaker.what and "client," not in weaker.what.replace("client_hop,", "")
    assert stronger.what == "lines of the access log say besides: header:user-agent"
    order = of('{ to = "/r.log", fields = ["end", "client", "time", "header:user-agent"] }')
    assert compare(some, order) == []


def test_the_combined_format_says_less_of_the_file_as_a_whole_and_is_told_once() -> None:
    old, new = of(""), of("", FILE + 'format = "combined"\n')
    changes = compare(old, new)
    assert [(c.kind, c.about) for c in changes] == [("evidence-weakened", "log"), ("evidence-strengthened", "log")]
    assert "backend_hop" in changes[0].what and "header:referer" in changes[1].what
