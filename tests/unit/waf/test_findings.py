"""What rules found is read out of a log as it is written, and an exclusion that is told can be written as it stands."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from everyhop.model import Exclusion
from everyhop.waf.families import is_sum, looks_for
from everyhop.waf.findings import counted, exclusion, in_log
from tests.kit.nursery import everyhop

TODAY = dt.date(2026, 11, 27)


def line(verdict: str, *rules: tuple[int, str], path: str = "/search", id_: str = "a" * 16) -> str:
    waf = {"by": "crs", "verdict": verdict, "score": 5, "matched": len(rules), "duration_us": 9}
    told = [{"rule": rule, "on": on} for rule, on in rules]
    known = {"id": id_, "route": "shop", "method": "GET", "host": "a.test", "path": path}
    return json.dumps({**known, "waf": {**waf, "rules": told}}, separators=(",", ":"))


LOG = [
    line("allowed", (920300, "REQUEST_HEADERS")),
    line("denied", (942100, "ARGS:q"), (949110, "TX:blocking_inbound_anomaly_score")),
    line("would-deny", (942100, "ARGS:q"), (941100, "ARGS:q"), id_="b" * 16),
    '{"waf":null,"id":"c"}',
    "not of this form",
    line("denied", (942100, "ARGS:q"))[:-30],
]


def test_only_what_rules_denied_or_would_have_is_found() -> None:
    assert [(it.id[0], it.verdict, len(it.rules)) for it in in_log(LOG)] == [("a", "denied", 2), ("b", "would-deny", 2)]


def test_rules_are_counted_where_they_matched_and_what_adds_them_up_is_not_one() -> None:
    assert counted(in_log(LOG)) == [
        (2, 942100, "ARGS:q", "a.test/search", "b" * 16),
        (1, 941100, "ARGS:q", "a.test/search", "b" * 16),
    ]


@pytest.mark.parametrize(
    ("on", "path", "said"),
    [
        ("ARGS:q", "/search", {"path": "/search", "argument": "q"}),
        ("ARGS_GET:filter[name]", "/", {"argument": "filter[name]"}),
        ("REQUEST_COOKIES:a", "/a%20b", {}),
        ('ARGS:"x', "/a", {"path": "/a"}),
    ],
)
def test_an_exclusion_that_is_told_is_one_and_as_narrow_as_what_was_found(
    on: str, path: str, said: dict[str, str]
) -> None:
    text = exclusion(942100, on, path, TODAY)
    (read,) = tomllib.loads(f"exclude = [{text}]")["exclude"]
    it = Exclusion.model_validate(read)
    assert {key: value for key in ("path", "argument") if (value := getattr(it, key)) is not None} == said
    assert (it.rule, it.since, it.until - it.since) == (942100, TODAY, dt.timedelta(days=180))


def test_each_rule_of_the_set_is_told_by_what_it_looks_for() -> None:
    assert looks_for(942100) == "injections into SQL" and looks_for(200005) == "more arguments than are read"
    assert looks_for(101) == "a rule of one's own" and is_sum(949110) and not is_sum(942100)


def test_the_command_tells_of_one_request_and_of_all(tmp_path: Path) -> None:
    (log := tmp_path / "access.log").write_text("\n".join(LOG))

    def said(*more: str) -> subprocess.CompletedProcess[str]:
        return everyhop("waf", "explain", str(log), *more)

    every = said().stdout
    assert "2 request(s)" in every and "2 x 942100 on ARGS:q" in every and "949110" not in every
    one = said("--id", "a" * 16).stdout
    assert "injections into SQL" in one and 'exclude = [{ rule = 942100, path = "/search", argument = "q"' in one
    assert said("--id", "f" * 16).returncode == 2
    assert json.loads(said("--json").stdout)["requests"] == 2
