"""Edits of a route: the file means the same but for what was moved, and every comment is where it was."""

from __future__ import annotations

import datetime as dt
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everyhop.errors import EveryhopError, Surroundings
from everyhop.migrate.edit import as_mutual, judged, put_back, route_in, with_entry

TEXT = """\
# the edge of the company
version = 1   # the first

[[route]]
name = "api" # mutual since March
host = "api.test"
tls  = "mutual"
to   = ["10.0.1.7:8443"]
verify = { ca = "ca.pem", name = "api.internal" }
present = "edge"

# the wiki's
[[route]]
name     = "wiki"   # who
host     = "wiki.test"
tls      = "plaintext" # for now
to       = [
  "10.0.0.1:80", # the first
  # the second:
  { at = "10.0.0.2:80", weight = 3 }, # heavier
]
off_host = true
[route.acceptance] # signed
owner   = "a@example.com" # she did
why     = \"\"\"
because
of that\"\"\"
context = "legacy"
since   = 2026-11-01
until   = 2027-02-01

# what comes last
[[route]]
name = "last"
host = "last.test"
tls  = "passthrough"
to   = ["10.0.0.9:443"]
# the end
"""
MOVED = {"tls": "mutual", "verify": {"ca": "ca.pem", "name": "wiki.internal"}, "present": "edge"}


def both() -> str:
    once = with_entry(TEXT, "wiki", 0, {"at": "10.0.0.1:8443", **MOVED})
    return with_entry(once, "wiki", 1, {"at": "10.0.0.2:8443", "weight": 3, **MOVED})


def comments(text: str) -> list[str]:
    return [line.partition("#")[2].strip() for line in text.splitlines() if "#" in line]


def test_a_moved_entry_changes_its_line_and_no_other() -> None:
    lines = with_entry(TEXT, "wiki", 0, {"at": "10.0.0.1:8443", **MOVED}).splitlines()
    before = TEXT.splitlines()
    assert [i for i, (a, b) in enumerate(zip(before, lines, strict=True)) if a != b] == [17]
    assert lines[17] == (
        '  { at = "10.0.0.1:8443", tls = "mutual", verify = { ca = "ca.pem", name = "wiki.internal" }, present = "edge" },'
        " # the first"
    )


def test_an_entry_goes_back_to_the_byte() -> None:
    assert with_entry(with_entry(TEXT, "wiki", 0, {"at": "10.0.0.1:8443", **MOVED}), "wiki", 0, "10.0.0.1:80") == TEXT


def test_the_last_step_leaves_a_plain_mutual_route_and_every_comment_but_the_acceptances() -> None:
    out = as_mutual(both(), "wiki")
    route = route_in(out, "wiki")
    assert route == {
        **{"name": "wiki", "host": "wiki.test", "tls": "mutual", "off_host": True},
        **{"to": ["10.0.0.1:8443", {"at": "10.0.0.2:8443", "weight": 3}]},
        **{"verify": MOVED["verify"], "present": "edge"},
    }
    assert comments(out) == [it for it in comments(TEXT) if it not in {"signed", "she did"}]
    assert "acceptance" not in out and "mark-" not in out
    assert '  { at = "10.0.0.2:8443", weight = 3 }, # heavier\n' in out
    assert '  "10.0.0.1:8443", # the first\n' in out
    assert '\nverify = { ca = "ca.pem", name = "wiki.internal" }\n' in out
    assert out.index("# what comes last") < out.index('name = "last"')


def test_entries_that_expect_different_names_keep_them() -> None:
    other = {**MOVED, "verify": {"ca": "ca.pem", "name": "other.internal"}}
    text = with_entry(
        with_entry(TEXT, "wiki", 0, {"at": "10.0.0.1:8443", **MOVED}), "wiki", 1, {"at": "a.test:1", **other}
    )
    route = route_in(as_mutual(text, "wiki"), "wiki")
    assert "verify" not in route and route["present"] == "edge"
    assert [it["verify"]["name"] for it in route["to"]] == ["wiki.internal", "other.internal"]


def test_what_is_put_back_means_what_it_did_and_what_was_changed_elsewhere_stays() -> None:
    since = (
        as_mutual(both(), "wiki")
        .replace('"last.test"', '"changed.test"')
        .replace("off_host = true", "off_host = false")
    )
    out = put_back(since, TEXT, "wiki")
    assert route_in(out, "wiki") == {**route_in(TEXT, "wiki"), "off_host": False}
    assert TEXT[TEXT.index("to       = [") : TEXT.index("off_host")] in out, "in the layout that it had"
    assert route_in(out, "last")["host"] == "changed.test" and route_in(out, "api") == route_in(TEXT, "api")


@pytest.mark.parametrize(
    "acceptance",
    [
        'acceptance = { owner = "a", why = "b", context = "legacy", since = 2026-11-01, until = 2027-02-01 }\n',
        'acceptance.owner = "a"\n',
        'acceptance.owner = "a"\nacceptance.why = "b"\nacceptance.until = 2027-02-01\n',
        '# on it\n  [route.acceptance]\n  # inside\n  until = 2027-02-01\n  owner = "a"\n# behind\n[route.health]\npath = "/"\n',
    ],
)
def test_an_acceptance_goes_however_it_is_written(acceptance: str) -> None:
    text = (
        f'[[route]]\nname = "r"\ntls = "plaintext"\nto = [{{ at = "10.0.0.1:1", tls = "mutual" }}]\n{acceptance}# end\n'
    )
    out = as_mutual(text, "r")
    wanted = tomllib.loads(text)["route"][0] | {"tls": "mutual", "to": ["10.0.0.1:1"], "verify": None, "present": None}
    assert route_in(out, "r") == {k: v for k, v in wanted.items() if k != "acceptance" and v is not None}
    assert comments(out) == comments(text)


def test_what_stays_is_written_as_it_was() -> None:
    text = '[[route]]\nname = "r"\ntls = "plaintext"\nto = [{ at = "10.0.0.1:1", tls = "mutual" }]\nverify.ca = "x"  # who\n'
    assert as_mutual(text, "r").endswith('tls = "mutual"\nto = ["10.0.0.1:1"]\nverify.ca = "x"  # who\n')


def test_a_route_in_one_line_and_what_is_no_toml_are_told() -> None:
    with pytest.raises(Surroundings, match="in one line"):
        with_entry('route = [{ name = "r", to = ["a:1"], tls = "plaintext" }]', "r", 0, {"at": "a:1", "tls": "mutual"})
    with pytest.raises(Surroundings, match="no TOML"):
        with_entry('route = [{ name = "r"', "r", 0, {"at": "a:1"})


def test_what_would_come_out_otherwise_than_meant_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("everyhop.migrate.edit.inline", lambda _: "10.0.0.1:80")
    with pytest.raises(EveryhopError, match="cannot be edited by a machine"):
        with_entry(TEXT, "wiki", 0, {"at": "10.0.0.1:8443", "tls": "mutual"})
    assert judged(TEXT, TEXT, "wiki", lambda _: None) == TEXT
    with pytest.raises(EveryhopError, match="cannot be edited by a machine"):
        judged(f"{TEXT}no TOML", TEXT, "wiki", lambda _: None)


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=8)
SPACE = st.sampled_from(["", " ", "\n", "# note\n", "  # note\n\n"])
PORTS = st.integers(1, 65535)


@st.composite
def files(draw: st.DrawFn) -> tuple[str, int]:
    """A file of some routes, and how many entries the one in question has."""
    count = draw(st.integers(1, 4))
    entries = []
    for _ in range(count):
        at = f'"10.0.0.1:{draw(PORTS)}"'
        more = draw(st.sampled_from(["", ", weight = 2", ", backup = true", ', zone = "a"', ', tls = "mutual"']))
        entries.append(draw(st.sampled_from([at, f"{{ at = {at}{more} }}", f"{{at={at}{more}}}"])))
    between = draw(st.sampled_from([", ", ",\n  ", ", # it\n  ", "\n  # it\n  , "]))
    route = f'[[route]]\nname = "r"\ntls = "plaintext"\nto = [{between.join(entries)}]\n'
    keys = [f"k{i} = {draw(st.integers())}\n" for i in range(draw(st.integers(0, 2)))]
    tables = ["[route.health]\npath = '/'\n"] if draw(st.booleans()) else []
    if draw(st.booleans()):
        until = dt.date(2027, 2, draw(st.integers(1, 28)))
        tables.insert(
            draw(st.integers(0, len(tables))),
            f"[route.acceptance]{draw(st.sampled_from(['', ' # by']))}\n{draw(SPACE)}until = {until}\nowner = 'a'\n",
        )
    others = [f"[[route]]\nname = 'o{i}'\n{draw(SPACE)}" for i in range(draw(st.integers(0, 2)))]
    parts = [draw(SPACE), "version = 1\n", draw(SPACE), *others[:1], draw(SPACE), route, *keys, draw(SPACE)]
    parts += [part for it in tables for part in (it, draw(SPACE))] + others[1:] + [draw(SPACE)]
    return "".join(it if not it or it.endswith("\n") else it + "\n" for it in parts), count


@settings(deadline=None)
@given(files(), PORTS)
def test_a_file_means_the_same_but_for_the_entries_that_were_moved(it: tuple[str, int], port: int) -> None:
    """One after the other, then as a whole, and back."""
    text, count = it
    before: Any = tomllib.loads(text)
    now = text
    for i in range(count):
        now = with_entry(now, "r", i, {"at": f"10.0.0.9:{port + i}", **MOVED})
        after: Any = tomllib.loads(now)
        assert [len(route_in(now, "r")["to"]), after["version"]] == [count, 1]
        assert without(after) == without(before)
        assert sorted(comments(now)) == sorted(comments(text))
    whole = as_mutual(now, "r")
    route = route_in(whole, "r")
    assert (route["tls"], route["present"], "acceptance" in route) == ("mutual", "edge", False)
    assert without(tomllib.loads(whole)) == without(before)
    lost = sorted(comments(text))
    for kept in comments(whole):
        lost.remove(kept)
    assert set(lost) <= {"by"}, "that of the acceptance's own header"
    assert tomllib.loads(put_back(whole, text, "r")) == before


def without(values: Any) -> Any:
    """All but what a migration may change."""
    moved = {"to", "tls", "verify", "present", "acceptance", "despite"}
    return values | {
        "route": [{k: v for k, v in it.items() if it["name"] != "r" or k not in moved} for it in values["route"]]
    }
