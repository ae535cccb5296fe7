"""The rules of what requests are inspected by: of several policies, files and exclusions the one that is wrong is pointed at."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from everyhop.compile import compile_file
from everyhop.errors import Refused
from everyhop.refusals import Finding
from tests.kit.inspector import built

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
HEAD = 'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:8443"]\n'
WORD = 'owner = "o", why = "w", since = 2026-11-26, until = 2027-01-31'
GOOD = 'SecRule ARGS:q "@streq five" "id:101,phase:2,deny,status:403,msg:\'five\'"\n'
BROKEN = '# ours\nSecRule ARGS "@rx (" "id:102,phase:2,deny"\n'


def waf(name: str, more: str) -> str:
    return f'[[waf]]\nname = "{name}"\n{more}\n'


def found(folder: Path, text: str, *, files: bool = False) -> tuple[list[Finding], list[str]]:
    """All but that no route names them."""
    path = folder / "everyhop.toml"
    path.write_text(HEAD + text)
    try:
        findings = list(compile_file(path, now=NOW, files="read" if files else "skip").findings)
    except Refused as e:
        findings = list(e.findings)
    return [f for f in findings if f.slug != "waf/unused"], (HEAD + text).splitlines()


def at(it: Finding, lines: list[str]) -> str:
    return lines[it.place.line - 1][it.place.column - 1 :]


def exclude(*those: str) -> str:
    return "exclude = [\n" + "".join(f"{{ {it}, {WORD} }},\n" for it in those) + "]"


def test_what_the_inspector_refuses_is_told_where_it_was_written(tmp_path: Path) -> None:
    built()
    (tmp_path / "good.conf").write_text(GOOD)
    (tmp_path / "broken.conf").write_text(BROKEN)
    fine = waf("fine", f'extra = ["good.conf"]\n{exclude("rule = 942100")}')
    assert found(tmp_path, fine, files=True)[0] == []
    findings, lines = found(tmp_path, fine + waf("odd", 'extra = ["good.conf",\n"broken.conf"]'), files=True)
    assert [(f.slug, at(f, lines)) for f in findings] == [("waf/rules", '"broken.conf"]')]
    assert "waf 'odd'" in findings[0].what and "broken.conf:2: " in findings[0].what
    odd = waf("odd", exclude("rule = 942100", "rule = 999999"))
    findings, lines = found(tmp_path, fine + odd, files=True)
    assert [(f.slug, at(f, lines).partition(",")[0]) for f in findings] == [("waf/exclusion", "999999")]
    assert "waf 'odd'" in findings[0].what


def test_where_nobody_inspects_it_is_told_once_at_the_first_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERYHOP_WAF", str(tmp_path / "nothing"))
    findings, lines = found(tmp_path, waf("one", "") + waf("two", ""), files=True)
    assert [(f.slug, at(f, lines)) for f in findings] == [("waf/no-inspector", '"one"')]


def test_a_file_of_rules_that_is_not_there_is_told_of_each_policy_and_nobody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERYHOP_WAF", str(tmp_path / "nothing"))
    (tmp_path / "good.conf").write_text(GOOD)
    text = waf("one", 'extra = ["good.conf", "not.conf"]') + waf("two", 'extra = ["nor.conf"]')
    findings, lines = found(tmp_path, text, files=True)
    assert [(f.slug, at(f, lines)) for f in findings] == [("waf/rules", '"not.conf"]'), ("waf/rules", '"nor.conf"]')]


@pytest.mark.parametrize(
    ("those", "told"),
    [
        (("rule = 942100", 'rule = 942100, path = "/x"', 'rule = 942100, argument = "q"', "rule = 942110"), []),
        (("rule = 942100", "rule = 942100", "rule = 942100"), [1, 2]),
        (('rule = 942100, path = "/x"', 'rule = 942100, path = "/x"'), [1]),
        (("rule = 949110",), [0]),
        (("rule = 942100", "rule = 949110"), [1]),
    ],
)
def test_each_rule_is_taken_back_once_and_never_that_by_which_all_others_refuse(
    tmp_path: Path, those: tuple[str, ...], told: list[int]
) -> None:
    text = waf("w", exclude(*those))
    findings, lines = found(tmp_path, text)
    first = lines.index("exclude = [") + 2
    assert [(f.slug, f.place.line - first) for f in findings] == [("waf/exclusion", n) for n in told]
    assert all(p.line == first for f in findings for p in f.also)


def test_a_file_of_rules_stands_once_and_each_time_more_points_at_the_first(tmp_path: Path) -> None:
    findings, lines = found(tmp_path, waf("w", 'extra = [\n"a.conf",\n"b.conf",\n"a.conf",\n"a.conf"]'))
    assert [(f.slug, lines[f.also[0].line - 1]) for f in findings] == [("waf/rules", '"a.conf",')] * 2
    assert [lines[f.place.line - 1] for f in findings] == ['"a.conf",', '"a.conf"]']
    assert len({f.place.line for f in findings} | {f.also[0].line for f in findings}) == 3


@pytest.mark.parametrize(
    ("since", "until", "slug"),
    [
        ("2026-11-26", "2027-01-31", None),
        ("2026-11-26", "2026-11-20", "acceptance/dates"),
        ("2026-10-01", "2026-11-20", "acceptance/expired"),
    ],
)
def test_a_word_that_lets_requests_pass_holds_as_long_as_it_says(
    tmp_path: Path, since: str, until: str, slug: str | None
) -> None:
    one = f'rule = 942100, owner = "o", why = "w", since = {since}, until = {until}'
    for text in (
        waf("w", f"exclude = [{{ {one} }}]"),
        waf("w", f'when_down = "pass"\npass_acceptance = {{ {one.partition(", ")[2]} }}'),
    ):
        found_ = {f.slug for f in found(tmp_path, text)[0]}
        assert (slug in found_) if slug else found_ == set(), (text, found_)
