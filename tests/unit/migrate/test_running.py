"""When a moved backend does worse than it did before, by the counts of the running edge."""

from __future__ import annotations

import pytest

from everyhop.migrate.running import Counts, bearable, counted, untaken, worse

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
    assert counted(engine, "q", "a:1", "mutual").failed == 3, "of the same hop behind another route"


def test_an_edge_that_does_not_take_the_file_is_quoted() -> None:
    begun = "the running edge did not take the file"
    found = [{"slug": "hop/plaintext", "what": "it is plaintext"}, {"slug": "route/overlap", "what": "two of them"}]
    refused = untaken({"reloaded": False, "findings": found})
    assert str(refused) == f"{begun}: it was refused"
    assert refused.more == ("  [hop/plaintext] it is plaintext", "  [route/overlap] two of them")
    down = untaken({"reloaded": False, "why": "the engine does not answer"})
    assert (str(down), down.more) == (f"{begun}: the engine does not answer", ())
