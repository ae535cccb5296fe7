"""When a moved backend does worse than it did before, by the counts of the running edge."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from everyhop.engine.frames import listening, packed, receive, send
from everyhop.errors import EveryhopError, Surroundings
from everyhop.migrate.running import Counts, Running, Silent, bearable, counted, untaken, worse

FINE = Counts(requests=100, identity="demanded", route_answers=100)


@pytest.mark.parametrize(
    ("plain", "now", "why"),
    [
        (Counts(), FINE, None),
        (Counts(), Counts(), None),
        (Counts(), Counts(requests=1, failed=1, why="hop/reset x1"), "1 of its tries failed: hop/reset x1"),
        (Counts(), Counts(identity="refused"), "it refuses our certificate"),
        (Counts(), Counts(identity="not_demanded"), "it did not ask who we are"),
        (Counts(), Counts(state="ejected"), "it is ejected"),
        (Counts(), Counts(route_answers=9, route_5xx=1), "1 of the route's 9 answers were 500 or more"),
        (Counts(requests=100, failed=10), Counts(requests=100, failed=12), None),
        (Counts(requests=100, failed=10), Counts(requests=100, failed=40, why="w"), "40 of its tries failed: w"),
        (Counts(route_answers=100, route_5xx=50), Counts(route_answers=40, route_5xx=20), None),
        (Counts(route_answers=100, route_5xx=1), Counts(route_answers=40, route_5xx=20), "20 of the route's 40 answers were 500 or more"),
    ],
)  # fmt: skip
def test_a_hop_does_worse_when_it_fails_more_than_it_did_before(plain: Counts, now: Counts, why: str | None) -> None:
    assert worse(plain, now) == why


def test_nothing_is_bearable_where_nothing_failed_before() -> None:
    assert bearable(0, 0, 1000) == bearable(0, 50, 1000) == 0
    assert bearable(1, 100, 100) == 1 + 3 + 1


def test_counts_are_of_that_hop_and_since_a_mark() -> None:
    backend = {"at": "a:1", "tls": "mutual", "failed": {"s": 3}, "requests": 9, "identity": "demanded", "state": "up"}
    other = {**backend, "tls": "plaintext", "requests": 50, "failed": {}}
    engine = {"routes": [{"name": "r", "answered": {"2xx": 40, "5xx": 2}, "backends": [other, backend]}]}
    now = counted(engine, "r", "a:1", "mutual")
    assert now == Counts(9, 3, "s x3", "demanded", "up", 42, 2)
    assert now.since(Counts(requests=4, failed=1, route_answers=40, route_5xx=1)) == Counts(5, 2, "s x3", "demanded", "up", 2, 1)  # fmt: skip
    assert Counts().since(now) == Counts(), "an engine that is new has counted less"
    assert counted(engine, "r", "b:1", "mutual") == Counts(route_answers=42, route_5xx=2)
    assert counted(engine, "gone", "a:1", "mutual") == Counts()
    engine["routes"].append({"name": "q", "answered": {}, "backends": []})
    of_q = counted(engine, "q", "a:1", "mutual")
    assert of_q == Counts(failed=3), "of the same hop behind another route, and nobody was answered by this one"


@contextlib.contextmanager
def edge(main: Path, answer: dict[str, object]) -> Iterator[Running]:
    """Of `main`, whose supervisor answers once, and so."""
    main.write_text(f'[admin]\nsocket = "{main.parent / "a.sock"}"\n')
    with listening(main.parent / "a.sock") as door:

        def answers() -> None:
            with door.accept()[0] as sock:
                receive(sock)
                send(sock, packed(answer))

        thread = threading.Thread(target=answers, daemon=True)
        thread.start()
        yield Running(main)
        thread.join(30)


def says(config: Path, *, plan: str = "p", maintenance: object = None, drained: object = None) -> dict[str, object]:
    supervisor = {"config": str(config), "plan_digest": plan, "maintenance": maintenance, "drained": drained}
    return {"supervisor": supervisor, "engine": {"routes": []}}


def test_an_edge_counts_as_running_where_it_runs_this_file_and_its_engine_answers(tmp_path: Path) -> None:
    (main := tmp_path / "everyhop.toml").touch()
    (link := tmp_path / "link.toml").symlink_to(main)
    for config in (main, link):
        with edge(main, says(config)) as it:
            assert it.status()["supervisor"]["config"] == str(config)
    other = tmp_path / "other.toml"
    with edge(main, says(other)) as it, pytest.raises(Surroundings, match=f"runs {other}, not {main}"):
        it.status()
    for part in ("supervisor", "engine"):
        with edge(main, {**says(main), part: None}) as it, pytest.raises(Silent, match=r"looking after it$"):
            it.status()


def test_what_was_done_by_hand_is_no_difference_and_another_plan_is(tmp_path: Path) -> None:
    main = tmp_path / "everyhop.toml"
    for answer, differs in (
        (says(main), False),
        (says(main, plan="q"), True),
        (says(main, plan="q", maintenance={"since": 1}), False),
        (says(main, plan="q", drained=["a:1"]), False),
        (says(main, maintenance={"since": 1}), False),
    ):
        with edge(main, answer) as it:
            assert it.differs("p") is differs, answer


def test_a_file_that_the_edge_reads_is_taken_or_it_is_told_that_it_was_not(tmp_path: Path) -> None:
    main = tmp_path / "everyhop.toml"
    with edge(main, {"reloaded": True}) as it:
        it.reload()
    with (
        edge(main, {"reloaded": False, "why": "no"}) as it,
        pytest.raises(EveryhopError, match="not take the file: no"),
    ):
        it.reload()


def test_an_edge_that_does_not_take_the_file_is_quoted() -> None:
    begun = "the running edge did not take the file"
    found = [{"slug": "hop/plaintext", "what": "it is plaintext"}, {"slug": "route/overlap", "what": "two of them"}]
    refused = untaken({"reloaded": False, "findings": found})
    assert str(refused) == f"{begun}: it was refused"
    assert refused.more == ("  [hop/plaintext] it is plaintext", "  [route/overlap] two of them")
    down = untaken({"reloaded": False, "why": "the engine does not answer"})
    assert (str(down), down.more) == (f"{begun}: the engine does not answer", ())
