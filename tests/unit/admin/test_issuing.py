"""What a supervisor has issued: by which challenges names can be proved is what runs now, and what stands in the way is met again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from everyhop.acme import Keeper, Leaving
from everyhop.acme.site import Stepped
from everyhop.admin.issuing import Issuing
from everyhop.compile import Compiled, compile_file
from everyhop.demo.stage import free_port
from everyhop.errors import Surroundings
from tests.kit.edge import until
from tests.unit.compile.test_acme import SITE

CLEAR = """[[listener]]
name = "web"
bind = ["127.0.0.1:2"]
speaks = "http"
https_port = 1
"""


def compiled(folder: Path, more: str = "", port: int | None = None) -> Compiled:
    acme = f'version = 1\n[acme]\nauthority = ["https://127.0.0.1:{port or free_port()}/dir"]\nterms_agreed = true\n'
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


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """An authority that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as it:
        it.settimeout(20)
        yield it


def test_a_step_under_way_ends_with_the_edge_and_nobody_is_said_to_be_down(
    issuing: Issuing, tmp_path: Path, silent: socket.socket
) -> None:
    issuing.look(compiled(tmp_path, port=silent.getsockname()[1]), None, 0)
    keeper, thread = issuing.keeper, issuing.thread
    assert keeper is not None and thread is not None
    with silent.accept()[0]:
        issuing.end()
        assert not thread.is_alive(), "it was told to end, and waited for"
    assert keeper.standings.silence(0.0) is None, "the authority did nothing wrong"
    assert not [it for it in keeper.states.values() if it.failures or it.problem]
    kept = [it.name for it in (tmp_path / "acme").rglob("*") if it.is_file()]
    assert not [name for name in kept if "state.json" in name or name.startswith(".")], "and nothing is half written"


def test_a_challenge_that_nobody_is_told_of_any_more_waits_no_longer(issuing: Issuing, tmp_path: Path) -> None:
    issuing.look(compiled(tmp_path), None, 0)
    answers, ended = issuing.answers, threading.Event()
    assert answers is not None

    def publish() -> None:
        try:
            answers.publish("http-01", "a.test", "token", "text")
        except Leaving:
            ended.set()

    thread = threading.Thread(target=publish)
    thread.start()
    until(lambda: answers.version == 1)
    issuing.end()
    thread.join(5)
    assert ended.is_set()


def test_with_other_authorities_the_next_keeper_waits_until_the_step_of_the_one_before_is_over(
    issuing: Issuing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where that cannot be told to end: a program that changes a zone, say."""
    over, steps = threading.Event(), list[int]()

    def step(keeper: Keeper) -> Stepped:
        steps.append(id(keeper))
        if len({*steps}) == 1:
            over.wait(20)
        return Stepped(60.0)

    monkeypatch.setattr(Keeper, "step", step)
    monkeypatch.setattr("everyhop.admin.issuing.AT_ONCE_S", 0.0)
    issuing.look(compiled(tmp_path), None, 0)
    until(lambda: len(steps) == 1)
    first = issuing.thread
    issuing.look(compiled(tmp_path), None, 0)
    assert first is not None and first.is_alive() and issuing.thread is not first and len(steps) == 1
    over.set()
    until(lambda: len({*steps}) == 2)
    assert not first.is_alive()


def test_a_fault_of_ours_in_a_step_is_told_in_the_loop_and_ends_no_renewal(
    issuing: Issuing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []

    def step(_: Keeper) -> Stepped:
        steps.append(1)
        if len(steps) == 1:
            raise KeyError("half")
        return Stepped(60.0)

    def told() -> str:
        try:
            issuing.look(it, None, 0)
        except KeyError as e:
            return str(e)
        return ""

    monkeypatch.setattr(Keeper, "step", step)
    it = compiled(tmp_path)
    assert until(told) == "'half'"
    issuing.due.set()
    until(lambda: len(steps) > 1)
    assert issuing.thread is not None and issuing.thread.is_alive()
    assert told() == "", "told once"


def test_what_stands_in_the_way_of_certificates_is_looked_through_once_and_told_while_it_lasts(
    issuing: Issuing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("everyhop.admin.issuing.say", said.append)
    issuing.look(compiled(tmp_path), None, 0)
    until(lambda: issuing.problems() or None, told=lambda: str(said))
    told = until(lambda: it if (it := issuing.problems()) is issuing.problems() else None)
    assert ["tried again at" in why for why in told.values()] == [True]
    issuing.speak()
    assert len([line for line in said if line.startswith("no certificate for site")]) == 1


def test_after_each_step_files_are_looked_at_soon(issuing: Issuing, tmp_path: Path) -> None:
    """It is the one who writes them; nobody would look at ten thousand of them each second."""
    looked: list[int] = []
    issuing.hasten = lambda: looked.append(1)
    it = compiled(tmp_path)
    issuing.look(it, None, 0)
    until(lambda: issuing.did or None)
    issuing.look(it, None, 0)
    assert looked
