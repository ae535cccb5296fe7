"""Every sentence that `explain` says of a route of each form, word by word, as a person reads it.

`said.txt` was read by a person; a change of it is to be read again: `EVERYHOP_WRITE_SAID=1 pytest tests/unit/explain`, then
`git diff`. What is said of more kinds of routes stands in `tests/unit/trust/said.txt`.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

from everyhop.explain.sentences import about_route
from tests.unit.trust.test_said import CASES
from tests.unit.trust.test_trust import mapped_route

FILE = Path(__file__).with_name("said.txt")
FORMS = (
    "passthrough",
    "mutual, must ask, clients must prove themselves",
    "late",
    "tcp, reencrypt",
    "tcp, same host",
    "answered by the edge",
    "changed and bounded",
    "of one listener",
    "passthrough, from networks",
    "mutual, by name and from networks",
)
LEFT = dt.timedelta(days=40)
"""Until an acceptance ends, where there is one."""


def test_what_is_explained_of_a_route_of_each_form_is_what_was_read(tmp_path: Path) -> None:
    blocks = []
    for name in FORMS:
        route, more = CASES[name]
        it = mapped_route(tmp_path, route, **more)
        now = dt.datetime.fromtimestamp(it.closes_at_s or 0, dt.UTC) - LEFT
        # Of who signed the days are told, and those are another each day.
        told = [row for row in about_route(it, now) if not row.startswith("Its reason, as written")]
        blocks.append("\n".join([f"# {name}", *told]))
    text = "\n\n".join(blocks) + "\n"
    if os.environ.get("EVERYHOP_WRITE_SAID"):
        FILE.write_text(text)
    assert text == FILE.read_text()
