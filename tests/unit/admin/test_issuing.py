"""What a supervisor has issued: by which challenges names can be proved is what runs now, and what stands in the way is met again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from everyhop.admin.issuing import Issuing
from everyhop.compile import Compiled, compile_file
from everyhop.demo.stage import free_port
from everyhop.errors import Surroundings
from tests.unit.compile.test_acme import SITE

CLEAR = """[[listener]]
name = "web"
bind = ["127.0.0.1:2"]
speaks = "http"
https_port = 1
"""


def compiled(folder: Path, more: str = "") -> Compiled:
    acme = f'version = 1\n[acme]\nauthority = ["https://127.0.0.1:{free_port()}/dir"]\nterms_agreed = true\n'
    (config := folder / "everyhop.toml").write_text(acme + SITE + more)
    return compile_file(config)


@pytest.fixture
def issuing(tmp_path: Path) -> Iterator[Issuing]:
    it = Issuing(tmp_path / "everyhop.toml")
    yield it
    it.end()


def kinds(it: Issuing) -> list[str]:
    assert it.answers is not None
    return list(it.answers.kinds)


def test_names_are_proved_in_the_clear_where_a_listener_speaks_so_and_only_while_it_does(
    issuing: Issuing, tmp_path: Path
) -> None:
    for more, expected in (("", ["tls-alpn-01"]), (CLEAR, ["tls-alpn-01", "http-01"]), ("", ["tls-alpn-01"])):
        issuing.look(compiled(tmp_path, more), None, 0)
        assert kinds(issuing) == expected


def test_what_stands_in_the_way_is_met_again_at_each_look_until_it_is_gone(issuing: Issuing, tmp_path: Path) -> None:
    (state := tmp_path / "acme").mkdir()
    state.chmod(0o755)
    it = compiled(tmp_path)
    for _ in range(3):
        with pytest.raises(Surroundings, match="can be used by others"):
            issuing.look(it, None, 0)
    state.chmod(0o700)
    issuing.look(it, None, 0)
    assert kinds(issuing) == ["tls-alpn-01"]


def test_where_no_site_wants_one_nothing_is_begun(issuing: Issuing, tmp_path: Path) -> None:
    """Of passthrough alone, say."""
    text = 'version = 1\n[[listener]]\nname = "tls"\nbind = ["127.0.0.1:1"]\n'
    route = '[[route]]\nname = "r"\nhost = "p.test"\ntls = "passthrough"\nto = ["127.0.0.1:2"]\n'
    (config := tmp_path / "everyhop.toml").write_text(text + route)
    issuing.look(compile_file(config), None, 0)
    assert issuing.keeper is None and not (tmp_path / "acme").exists()
