"""An unknown key is answered by what was meant: every row of the table, every spelling, in every table that it is for."""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from everyhop.compile.foreign_words import ANYWHERE, ROWS, TABLES, Absent, Lives, Row, Unbuilt
from everyhop.compile.hints import answered, folded, hint, known_tables
from everyhop.compile.reading import read
from everyhop.errors import Refused
from everyhop.model import (
    Acceptance,
    AcmeSection,
    Config,
    FileIdentity,
    Issuer,
    Limit,
    Listener,
    Route,
    Site,
    Store,
    Tickets,
    Traces,
    Verify,
    Waf,
)
from everyhop.model.config import AdminSection, DnsSection, EngineSection, StatusSection
from everyhop.model.limits import Limits
from everyhop.model.log import LogSection
from everyhop.trust import CAPABILITIES

MODELS: dict[str, type[BaseModel]] = {
    "": Config,
    "engine": EngineSection,
    "acme": AcmeSection,
    "log": LogSection,
    "admin": AdminSection,
    "dns": DnsSection,
    "status": StatusSection,
    "limits": Limits,
    "listener": Listener,
    "site": Site,
    "identity": FileIdentity,
    "issuer": Issuer,
    "waf": Waf,
    "limit": Limit,
    "store": Store,
    "route": Route,
    "traces": Traces,
    "tickets": Tickets,
    "route.verify": Verify,
    "route.acceptance": Acceptance,
}
LEVELS = ("", "listener", "site", "route")
BASE = {
    "": "version = 1\n{}\n",
    "listener": '[[listener]]\nname = "l"\nbind = ["127.0.0.1:1"]\n{}\n',
    "site": '[[site]]\nname = "s"\ncerts = [{{ chain = "c", key = "file:k" }}]\n{}\n',
    "route": '[[route]]\nname = "r"\nhost = "a.test"\ntls = "passthrough"\nto = ["127.0.0.1:2"]\n{}\n',
}
KNOWN = known_tables()
SPELT = [(row, word, table) for row in ROWS for word in row.spellings for table in (LEVELS if row.at == ANYWHERE else row.at)]  # fmt: skip


def written(path: Path, table: str, word: str) -> str:
    """A file that is good but for one key."""
    text = "".join(part.format(f'"{word}" = 1' if name == table else "") for name, part in BASE.items())
    path.write_text(text)
    return text


def name(row: Row) -> str:
    return row.spellings[0]


@pytest.mark.parametrize("row", [r for r in ROWS if isinstance(r.answer, Lives)], ids=name)
def test_what_a_row_says_to_write_is_taken_where_it_says(row: Row) -> None:
    assert isinstance(row.answer, Lives)
    model = MODELS[row.answer.table]
    values = tomllib.loads(row.answer.example)
    assert values
    for key, value in values.items():
        field = model.model_fields[key]
        strict: TypeAdapter[object] = TypeAdapter(field.rebuild_annotation())
        try:
            strict.validate_python(value, strict=True)
        except ValidationError as e:
            raise AssertionError(f"{row.answer.table}: {row.answer.example}") from e


@pytest.mark.parametrize("row", [r for r in ROWS if isinstance(r.answer, Unbuilt)], ids=name)
def test_what_a_row_calls_not_built_the_capability_matrix_does_too(row: Row) -> None:
    assert isinstance(row.answer, Unbuilt)
    assert not CAPABILITIES[row.answer.capability].built
    assert CAPABILITIES[row.answer.capability].instead in row.answer.told("route")


def test_no_key_of_ours_is_called_not_built_where_another_proxy_has_its_name() -> None:
    """As `redirect` and `hsts` were for a while after they had come."""
    ours = {key for kind in (Config, Listener, Site, Route, Limits) for key in kind.model_fields}
    gone = {word for row in ROWS if not isinstance(row.answer, Lives) for word in row.spellings}
    assert len(ours) > 60 and not ours & gone


def test_every_capability_that_is_not_built_has_its_words() -> None:
    said = {row.answer.capability for row in ROWS if isinstance(row.answer, Unbuilt)}
    assert said == {name for name, row in CAPABILITIES.items() if not row.built}


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_a_row_answers_each_of_its_words_in_each_table_that_it_is_for(row: Row, tmp_path: Path) -> None:
    path = tmp_path / "everyhop.toml"
    asked = 0
    for _, word, table in (it for it in SPELT if it[0] is row):
        if any(folded(key) == folded(word) for key in KNOWN.get(table, ())):
            continue
        other = answered(table, word)
        assert other is row.answer or row.at == ANYWHERE, f"{word} in {table or 'the file'} has two rows"
        asked += 1
        if table in BASE:
            written(path, table, word)
            with pytest.raises(Refused) as refused:
                read(path)
            assert [f.slug for f in refused.value.findings] == ["config/unknown-key"]
            assert other is not None and refused.value.findings[0].mend == (other.told(table),)
    assert asked


def test_a_table_of_which_a_file_has_several_is_written_as_one() -> None:
    several = {name for name, field in Config.model_fields.items() if str(field.annotation).startswith("list[")}
    assert {it for it in TABLES if it in Config.model_fields} == {it for it in several if it != "include"}


def test_no_word_has_two_answers_in_one_table() -> None:
    for one, other in itertools.combinations(ROWS, 2):
        if set(one.at) & set(other.at):
            assert not set(map(folded, one.spellings)) & set(map(folded, other.spellings)), (name(one), name(other))


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_a_row_spells_a_word_once_and_speaks_of_tables_that_exist(row: Row) -> None:
    assert len(set(map(folded, row.spellings))) == len(row.spellings)
    assert row.at == ANYWHERE or set(row.at) <= {*KNOWN}
    if row.at != ANYWHERE:
        for table, word in itertools.product(row.at, row.spellings):
            assert folded(word) not in map(folded, KNOWN[table]), f"{word} is a key of {table}"
    if isinstance(row.answer, Absent):
        assert row.answer.told("route").startswith("not built; ")


@pytest.mark.parametrize(
    ("table", "word", "says"),
    [
        ("route", "proxy_pass", 'here it is: to = ["10.0.0.5:8443"]'),
        ("", "proxy-pass", 'it is said in [[route]]: to = ["10.0.0.5:8443"]'),
        ("route", "insecureSkipVerify", "nothing switches verification off"),
        ("route", "verify none", "nothing switches verification off"),
        ("site", "VERIFY_NONE", "left out, no client is asked"),
        ("route", "weight", "it is a key of [route.to], not of [[route]]"),
        ("route", "lb_policy", 'here it is: balance = "least-requests"'),
        ("route", "Rate-Limit", 'here it is: limited_by = ["per-client"]'),
        ("route.acceptance", "expires", "here it is: until ="),
        ("listener", "accept-proxy", "here it is spelt accept_proxy"),
        ("route", "verifyy", "the nearest key here is verify"),
        ("engine", "thraeds", "the nearest key here is threads"),
        ("route", "idle_s", "it is a key of [limits], not of [[route]]"),
        ("limits", "drain_s", "it is a key of [engine], not of [limits]"),
    ],
)
def test_a_hint_says_what_was_meant(table: str, word: str, says: str) -> None:
    assert says in hint(table, word)


@pytest.mark.parametrize("word", ["hat", "pth_x", "frobnicate", "x", "port80", "verification_policy"])
def test_a_key_that_only_resembles_one_is_not_guessed_at(word: str) -> None:
    assert hint("route", word) == "remove it, or see: everyhop schema"
