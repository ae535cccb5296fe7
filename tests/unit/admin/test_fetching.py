"""Fetching one list, from a real server and by a clock that is moved: when it asks, what it keeps, and what changes nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from everyhop.admin.fetching import LEAST_S, Fetcher, brought_in, fetch_now
from everyhop.admin.standing import FIRST_S, MOST_S
from everyhop.compile import Compiled
from everyhop.demo.certificates import Authority
from everyhop.identity import Roots, read_roots
from everyhop.model import CrlSection
from tests.kit.forge import HOUR, Signer, crl, root
from tests.kit.list_server import MISBEHAVIOURS, ListServer


class Ground:
    def __init__(self, folder: Path) -> None:
        self.folder, authority = folder, Authority(folder, "CA")
        self.by = root(authority)
        self.served = ListServer(folder, self.by)
        self.roots = (read_roots(authority.file.name, folder),)
        self.now = dt.datetime.now(dt.UTC)
        self.it = self.fetcher()

    def fetcher(self, most_bytes: int = 1 << 20, within_s: float = 5.0, **section: object) -> Fetcher:
        given = CrlSection.model_validate(section)
        more = {"most_bytes": most_bytes, "within_s": within_s, "clock": lambda: self.now, "lot": lambda: 0.0}
        return Fetcher(self.served.url, given, self.folder, self.roots, **more)  # type: ignore[arg-type]

    def kept(self) -> bytes | None:
        return self.it.path.read_bytes() if self.it.path.exists() else None

    def refused(self) -> str:
        """Nothing changes, and why is told."""
        before = self.kept()
        self.it.step()
        assert self.kept() == before
        assert self.it.standing.problem is not None
        return self.it.standing.problem


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    it = Ground(tmp_path)
    yield it
    it.served.close()


def test_a_list_is_kept_for_us_alone_and_asked_for_anew_when_it_is_due(ground: Ground) -> None:
    pem = ground.served.publish()
    assert ground.it.step() == 3600.0
    assert ground.kept() == pem and ground.it.standing.problem is None
    assert (ground.it.path.stat().st_mode & 0o777, ground.it.path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert ground.it.standing.next_try == ground.now + HOUR and ground.it.standing.asked == ground.now
    assert [it.name for it in ground.it.path.parent.iterdir()] == [ground.it.path.name]


@pytest.mark.parametrize(
    ("ends", "refresh_s", "wait_s"),
    [(24 * HOUR, 600, 600), (HOUR, 3600, 1800), (dt.timedelta(seconds=30), 3600, LEAST_S), (-HOUR, 7, 7)],
)
def test_it_is_asked_for_at_half_of_the_time_that_is_left_if_that_is_sooner(
    ground: Ground, ends: dt.timedelta, refresh_s: int, wait_s: float
) -> None:
    ground.served.publish(ends=ends, begins=-2 * HOUR)
    ground.now = dt.datetime.now(dt.UTC)
    assert ground.fetcher(refresh_s=refresh_s).step() == pytest.approx(wait_s, abs=2)


def test_edges_do_not_all_ask_at_once(ground: Ground) -> None:
    ground.it.lot = lambda: 1.0
    assert ground.it.step() == 2700.0


@pytest.mark.parametrize("wrong", [*sorted(MISBEHAVIOURS), "cut short", "unbounded"])
def test_whatever_else_a_server_says_changes_nothing_and_is_told(ground: Ground, wrong: str) -> None:
    assert ground.it.step() == 3600.0
    ground.served.wrong = wrong
    why = ground.refused()
    assert why and "Error" not in why.split(":")[0], why
    ground.served.wrong = ""
    ground.served.publish()
    assert ground.it.step() == 3600.0 and ground.it.standing.problem is None


def test_a_server_that_is_not_there_changes_nothing_and_is_asked_less_and_less(ground: Ground) -> None:
    ground.it.step()
    ground.served.close()
    waits = [ground.it.step() for _ in range(12)]
    assert waits[:3] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S] and waits[-1] == MOST_S
    assert ground.it.standing.problem == "Connection refused" and ground.it.standing.next_update is not None


def test_what_is_too_large_is_not_read_to_its_end(ground: Ground) -> None:
    ground.it = ground.fetcher(most_bytes=len(ground.served.body))
    assert ground.it.step() == 3600.0
    ground.it.most_bytes -= 1
    assert ground.refused() == f"it gives more than {ground.it.most_bytes} bytes"


@pytest.mark.parametrize("wrong", ["endless", "dripping", "silent"])
def test_a_server_that_drips_or_says_nothing_is_waited_for_no_longer_than_that(ground: Ground, wrong: str) -> None:
    ground.served.wrong = wrong
    ground.it = ground.fetcher(within_s=1.0)
    assert ground.refused() == "no answer within 1 s"


def test_a_list_of_another_signer_or_an_older_one_changes_nothing(ground: Ground) -> None:
    old = ground.served.body
    ground.served.publish()
    ground.it.step()
    ground.served.body = old
    assert "is older than the one that is held" in ground.refused()
    stranger = root(Authority(ground.folder, "Stranger"))
    ground.served.publish(by=Signer(ground.by.cert, stranger.key))
    assert "is not signed by that authority" in ground.refused()


def test_over_a_start_the_one_that_is_kept_is_what_an_older_one_is_held_to(ground: Ground) -> None:
    old = ground.served.body
    ground.served.publish()
    ground.it.step()
    ground.it = ground.fetcher()
    ground.served.body = old
    assert "is older than the one that is held" in ground.refused()


def test_what_is_kept_and_was_spoiled_is_fetched_anew(ground: Ground) -> None:
    pem = ground.served.publish()
    ground.it.step()
    ground.it.path.write_bytes(pem[:-40])
    ground.it = ground.fetcher()
    assert ground.it.step() == 3600.0 and ground.kept() == pem


def test_a_server_that_knows_its_list_by_a_mark_gives_it_once(ground: Ground) -> None:
    ground.served.tag = '"one"'
    ground.it.step()
    assert ground.it.step() == 3600.0 and ground.it.standing.problem is None
    assert ["If-None-Match" in it for it in ground.served.questions] == [False, True]
    # What is gone is asked for as a whole.
    ground.it.path.unlink()
    assert ground.it.step() == 3600.0 and ground.kept() is not None
    assert "If-None-Match" not in ground.served.questions[-1]


def test_after_something_that_was_refused_no_mark_is_believed(ground: Ground) -> None:
    ground.served.tag = '"one"'
    ground.it.step()
    ground.served.wrong = "garbage"
    ground.refused()
    ground.served.wrong = ""
    ground.it.step()
    assert "If-None-Match" not in ground.served.questions[-1]


def test_where_others_can_write_nothing_is_kept(ground: Ground) -> None:
    ground.it.path.parent.mkdir()
    ground.it.path.parent.chmod(0o777)
    assert "others can write in" in ground.refused()
    assert ground.kept() is None


def test_roots_that_changed_judge_what_is_held_anew(ground: Ground) -> None:
    ground.it.step()
    second = Authority(ground.folder, "Second")
    ground.it.roots = (read_roots(second.file.name, ground.folder),)
    assert ground.it.held() is None
    assert "nobody could tell who signed it" in ground.refused()
    crl(ground.folder / "next.pem", root(second))
    ground.served.publish(by=root(second))
    assert ground.it.step() == 3600.0


def test_a_reload_asks_for_all_lists_that_it_brings_in_at_once_and_waits_for_none_for_long(ground: Ground) -> None:
    silent = ListServer(ground.folder, ground.by)
    silent.wrong = "silent"
    try:
        after = cast(Compiled, After(ground, ground.served.url, silent.url))
        late = fetch_now([ground.served.url, silent.url], after, wait_s=1.0)
        assert [*late] == [silent.url] and late[silent.url].startswith("it did not come within 1 s")
        assert ground.kept() is not None
    finally:
        silent.close()


def test_only_lists_that_nobody_waited_for_are_brought_in(ground: Ground) -> None:
    there, waits, fresh = "http://a.test", "http://b.test", "http://c.test"
    running = cast(Compiled, After(ground, there, waits, has=there))
    assert brought_in(running, cast(Compiled, After(ground, there, waits, fresh, has=there))) == [fresh]
    assert brought_in(running, cast(Compiled, After(ground, there, waits))) == [there], "it is of no use by other roots"
    unsigned = After(ground, fresh)
    unsigned.lists[fresh] = ()
    assert brought_in(running, cast(Compiled, unsigned)) == []


class After:
    """As much of a compilation as lists need."""

    def __init__(self, ground: Ground, *urls: str, has: str = "") -> None:
        self.path = ground.folder / "everyhop.toml"
        self.lists: dict[str, tuple[Roots, ...]] = dict.fromkeys(urls, ground.roots)
        self.config = SimpleNamespace(crl=CrlSection())
        self.material = SimpleNamespace(entries=[{"id": f"crl/{has}"}])
