"""What may take over from what runs: decided without a file, a socket or a clock."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from everyhop.admin.change import Apply, Lasting, Refuse, RestartNeeded, dated, decide, differing, lasting, past
from everyhop.compile import Compiled, compile_file

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
TEXT = """\
version = 1
[engine]
threads = 2
[[listener]]
name = "public"
bind = ["127.0.0.1:8443"]
[[site]]
name = "edge"
hosts = ["a.test", "b.test"]
certs = [{ chain = "edge.pem", key = "file:edge.key" }]
"""
ROUTE = """\
[[route]]
name = "{name}"
host = "{name}.test"
tls = "plaintext"
to = ["10.0.0.5:8080"]
[route.acceptance]
owner = "me"
why = "test"
context = "legacy"
since = 2026-01-01
until = {until}
"""


def compiled(text: str = TEXT, *routes: tuple[str, str], now: dt.datetime = NOW) -> Compiled:
    whole = text + "".join(ROUTE.format(name=name, until=until) for name, until in routes)
    return compile_file(Path("everyhop.toml"), text=whole, now=now, files="skip", past_dates="close")


GOOD = ("a", "2026-12-31")
HOLDS = Lasting(threads=2, status=None, sandbox="best-effort", user=None, admin=None)


def test_what_holds_is_what_the_configuration_asks_for() -> None:
    assert lasting(compiled(TEXT, GOOD), 8) == HOLDS
    assert lasting(compiled(TEXT.replace("threads = 2\n", ""), GOOD), 8).threads == 8


def test_another_route_may_take_over() -> None:
    assert decide(HOLDS, frozenset(), compiled(TEXT, GOOD, ("b", "2026-12-01")), 8) == Apply()


UNHELD = {
    "threads": TEXT.replace("threads = 2", "threads = 3"),
    "status": TEXT + '[status]\nbind = "127.0.0.1:9000"\n',
    "sandbox": TEXT.replace("[engine]", '[engine]\nsandbox = "enforce"'),
    "user": TEXT.replace("[engine]", '[engine]\nuser = "daemon"'),
    "admin": TEXT + '[admin]\nsocket = "/run/other.sock"\n',
}


@pytest.mark.parametrize("what", UNHELD)
def test_what_only_a_start_gives_needs_a_restart_and_says_which_setting(what: str) -> None:
    verdict = decide(HOLDS, frozenset(), compiled(UNHELD[what], GOOD), 8)
    assert isinstance(verdict, RestartNeeded) and len(verdict.settings) == 1
    assert verdict.why.startswith("restart needed: [") and "cannot change from" in verdict.why


def test_every_lasting_setting_has_a_test_and_a_sentence() -> None:
    assert set(UNHELD) == set(Lasting.__dataclass_fields__)
    other = Lasting(threads=3, status="x", sandbox="off", user="x", admin="x")
    assert len(differing(HOLDS, other)) == len(UNHELD)


def test_a_date_that_is_over_is_refused_where_it_is_brought_in() -> None:
    before, after = compiled(TEXT, GOOD), compiled(TEXT, GOOD, ("b", "2026-11-20"))
    verdict = decide(HOLDS, past(before.findings), after, 8)
    assert isinstance(verdict, Refuse)
    assert [f.slug for f in verdict.findings if f.severity == "refused"] == ["acceptance/expired"]


def test_a_date_that_was_over_before_stays_closed_and_refuses_nothing() -> None:
    before = compiled(TEXT, ("b", "2026-11-20"))
    # Another route came before it, and every line of the file moved.
    after = compiled("# a remark\n" + TEXT, GOOD, ("b", "2026-11-20"))
    assert decide(HOLDS, past(before.findings), after, 8) == Apply()


def test_another_past_date_of_the_same_route_is_brought_in() -> None:
    before, after = compiled(TEXT, ("b", "2026-11-20")), compiled(TEXT, ("b", "2026-11-21"))
    assert isinstance(decide(HOLDS, past(before.findings), after, 8), Refuse)


def test_a_refusal_goes_before_a_restart() -> None:
    """Both stand in the file; the restart would end in the refusal."""
    after = compiled(UNHELD["sandbox"], ("b", "2026-11-20"))
    assert isinstance(decide(HOLDS, frozenset(), after, 8), Refuse)


def test_other_findings_keep_their_severity() -> None:
    soon = compiled(TEXT, ("a", "2026-11-25")).findings
    assert [f.slug for f in soon] == ["acceptance/ends-soon"]
    assert dated(soon, frozenset()) == soon and not past(soon)


def test_holding_counts_cores_only_where_the_plan_says_so() -> None:
    after = compiled(TEXT.replace("threads = 2\n", ""), GOOD)
    assert decide(HOLDS, frozenset(), after, 2) == Apply()
    assert isinstance(decide(replace(HOLDS, threads=4), frozenset(), after, 2), RestartNeeded)
