"""Rules of the access log that no short configuration breaks, and what is told when a file was opened and could not be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from everyhop.compile import compile_file
from everyhop.compile.rules_log import MOST, unopened
from everyhop.engine.logs import CannotOpen, close, open_each, open_logs
from everyhop.errors import Refused
from everyhop.evidence import Observation
from everyhop.model.log import LINE

HEAD = 'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:8443"]\n'


def written(folder: Path, *logs: str, top: str = "") -> Path:
    path = folder / "everyhop.toml"
    routes = (
        f'[[route]]\nname = "r{i}"\nhost = "h{i}.test"\ntls = "passthrough"\nto = ["127.0.0.1:1"]\nlog = {log}\n'
        for i, log in enumerate(logs)
    )
    path.write_text(HEAD + "".join(routes) + top)
    return path


def test_the_fields_that_can_be_picked_are_those_of_an_observation() -> None:
    assert sorted(LINE) == sorted(Observation.model_fields)


def test_more_places_than_an_engine_has_threads_for_are_refused_and_as_many_are_not(tmp_path: Path) -> None:
    top = '[log]\naccess = "off"\n'
    logs = [f'"{tmp_path}/{i}.log"' for i in range(MOST)]
    # What is off is no place, and one that is named twice is one.
    enough = written(tmp_path, *logs, logs[1], top=top)
    assert len(compile_file(enough).plan.log_places) == MOST
    with pytest.raises(Refused) as told:
        compile_file(written(tmp_path, *logs, top='[log]\naccess = "stdout"\n'))
    (finding,) = told.value.findings
    assert f"{MOST + 1} places, and {MOST} are the most" in finding.what
    line = (tmp_path / "everyhop.toml").read_text().splitlines()[finding.place.line - 1]
    assert f"/{MOST - 1}.log" in line, "the first that is too many"


def test_a_line_goes_to_no_folder_and_through_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for fine in ("new.log", "file", "folder/x.log", "not/there/yet.log"):
        assert compile_file(written(tmp_path, f'"{tmp_path}/{fine}"')).findings == [], fine
    for odd, why in (
        ("folder", "it is a folder"),
        ("file/x.log", "/file is no folder"),
        ("a\\u0000b", "null byte"),
        ("x" * 300, "name too long"),
    ):
        for log in (f'"{tmp_path}/{odd}"', f'{{ to = "{tmp_path}/{odd}" }}'):
            with pytest.raises(Refused) as told:
                compile_file(written(tmp_path, log))
            (finding,) = told.value.findings
            assert finding.slug == "log/cannot-open" and why in finding.what, finding
            line = (tmp_path / "everyhop.toml").read_text().splitlines()[finding.place.line - 1]
            assert line[finding.place.column - 1 :].startswith(f'"{tmp_path}/{odd}"')


def test_all_files_are_opened_or_none_and_what_cannot_be_is_told_where_it_stands(tmp_path: Path) -> None:
    compiled = compile_file(
        written(
            tmp_path,
            f'"{tmp_path}/a.log"',
            f'{{ to = "{tmp_path}/no/b.log" }}',
            top=f'[log]\naccess = "{tmp_path}/c.log"\n',
        )
    )
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(CannotOpen) as told:
        open_logs(compiled.plan)
    assert set(os.listdir("/proc/self/fd")) == before, "none stays open"
    finding = unopened(compiled.document, compiled.config, told.value.place, told.value.why)
    line = compiled.text.splitlines()[finding.place.line - 1]
    assert finding.slug == "log/cannot-open" and line.startswith("log = { to = ")
    assert line[finding.place.column - 1 :].startswith(f'"{tmp_path}/no/b.log"')
    assert f"{tmp_path}/no/b.log" in finding.what and "No such file" in finding.what
    found, (wrong,) = open_each(compiled.plan)
    assert [Path(place).name for place in found] == ["c.log", "a.log"] and wrong.place.endswith("b.log")
    close(found)
    assert stat.S_IMODE((tmp_path / "a.log").stat().st_mode) & 0o137 == 0, "others read nothing"
    main = unopened(compiled.document, compiled.config, f"{tmp_path}/c.log", "x")
    assert compiled.text.splitlines()[main.place.line - 1].startswith("access = ")


def test_a_file_that_several_routes_have_is_marked_at_the_first_of_them(tmp_path: Path) -> None:
    compiled = compile_file(written(tmp_path, f'"{tmp_path}/a.log"', f'{{ to = "{tmp_path}/a.log" }}'))
    finding = unopened(compiled.document, compiled.config, f"{tmp_path}/a.log", "x")
    assert compiled.text.splitlines()[finding.place.line - 1].startswith('log = "')
