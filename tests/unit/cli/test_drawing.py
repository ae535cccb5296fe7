"""Who reads a route, in one line: each once, on whichever side of the edge it reads."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from everyhop.cli.drawing import SHUT, fronts, readers
from everyhop.compile import compile_file

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
SIGNED = 'acceptance = { owner = "o", why = "w", context = "isolated-network", since = 2026-11-01, until = 2027-01-01 }'
HERE, ACROSS, BOTH = '"127.0.0.1:1"', '"10.0.0.5:80"', '"127.0.0.1:1", "10.0.0.5:80"'
TEXT = """version = 1
[[listener]]
name = "public"
bind = ["127.0.0.1:443"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{{ chain = "none.pem", key = "file:none.key" }}]
{listener}
[[route]]
name = "r"
host = "a.test"
tls = "plaintext"
to = [{to}]
{more}
"""
CLEAR = '[[listener]]\nname = "clear"\nbind = ["{}:80"]\nspeaks = "http"\nserve = true\n{}\n'


@pytest.mark.parametrize(
    ("to", "listener", "more", "told"),
    [
        (HERE, "", "", "edge, this host"),
        (ACROSS, "", SIGNED, "edge, that network"),
        (BOTH, "", SIGNED, "edge, that network"),
        (HERE, CLEAR.format("127.0.0.1", ""), "", "edge, this host"),
        (HERE, CLEAR.format("10.0.0.1", SIGNED), "", "edge, this host, the clients' network"),
        (BOTH, CLEAR.format("127.0.0.1", ""), SIGNED, "edge, that network, this host"),
        (HERE, CLEAR.format("127.0.0.1", ""), 'mirror = { to = ["127.0.0.1:2"] }', "edge, this host, the mirror"),
    ],
)
def test_each_who_reads_is_told_once(tmp_path: Path, to: str, listener: str, more: str, told: str) -> None:
    text = TEXT.format(to=to, listener=listener, more=more)
    plan = compile_file(tmp_path / "everyhop.toml", now=NOW, text=text, files="if-there").plan
    assert readers(plan.routes[0], fronts(plan).get("r", SHUT)) == told
