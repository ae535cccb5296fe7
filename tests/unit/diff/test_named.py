"""Names of clients in two allow-lists: who is let in that was not."""

from __future__ import annotations

import pytest

from everyhop.diff.named import beyond

WHOLE, ONE, DEEP, ELSEWHERE = (f"spiffe://{it}" for it in ("td/*", "td/a", "td/a/b", "td2/a"))


@pytest.mark.parametrize(
    ("now", "was", "more"),
    [
        (["a"], ["a"], []),
        (["b", "a"], [], ["a", "b"]),
        (["a", "b"], ["a"], ["b"]),
        (["a"], ["a", "b"], []),
        ([ONE, DEEP], [WHOLE], []),
        ([WHOLE], [WHOLE], []),
        ([WHOLE], [ONE, DEEP], [WHOLE]),
        ([DEEP], [ONE], [DEEP]),
        ([ELSEWHERE, ONE], [WHOLE], [ELSEWHERE]),
        # What is no ID of a workload is itself alone, whatever it looks like.
        (["td", "https://td/a"], [WHOLE], ["https://td/a", "td"]),
    ],
)
def test_a_name_is_more_unless_it_or_the_whole_of_its_trust_domain_was_let_in(
    now: list[str], was: list[str], more: list[str]
) -> None:
    assert beyond(now, was) == more
