"""What `explain checks` says of a route: those of the engine's list that it has, and nothing where no request is seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from everyhop import _door
from everyhop.cli.app import app, commands
from everyhop.compile import compile_file
from everyhop.explain import about_checks, checks
from everyhop.explain.checks import HERE, OF_STREAMS

BEGINS = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["*.test"]
certs = [{ chain = "x", key = "file:y" }]
clients = { ca = "c.pem" }
"""
PASSED = '[[route]]\nname = "r"\nhost = "pay.test"\ntls = "passthrough"\nto = ["127.0.0.1:1"]\n'
STREAM = '[[route]]\nname = "r"\nhost = "mq.test"\ntls = "plaintext"\nprotocol = "tcp"\nto = ["127.0.0.1:1"]\nallow = { clients = ["a"] }\n'
GIVEN = '[[route]]\nname = "r"\nhost = "www.test"\nredirect = { to = "https://a.test{path}" }\n'
FROM = 'allow = { networks = ["10.0.0.0/8", "2001:db8::/32"] }\n'
SIGNED = """[[route]]
name = "r"
host = "old.test"
tls = "plaintext"
to = ["10.0.0.9:1"]
acceptance = { owner = "me", why = "it is old", context = "legacy", since = 2026-11-01, until = 2027-06-01 }
"""


def names(folder: Path, route: str) -> list[str]:
    path = folder / "everyhop.toml"
    path.write_text(BEGINS + route)
    plan = compile_file(path, files="skip", past_dates="close").plan
    return [it.name for it in checks(plan, plan.routes[0])]


def test_each_check_of_the_engine_is_judged_of_each_route_and_no_other() -> None:
    order = [name for name, _, _ in _door.checks()]
    assert set(order) == set(HERE) and set(order) >= OF_STREAMS


@pytest.mark.parametrize(
    ("route", "has"),
    [
        (PASSED, []),
        (PASSED + FROM, ["networks"]),
        (STREAM, ["session", "route", "clients"]),
        (
            STREAM.replace("clients = [", 'networks = ["10.0.0.0/8"], clients = ['),
            ["session", "route", "networks", "clients"],
        ),
        (GIVEN, ["head", "session", "route"]),
        (GIVEN + FROM, ["head", "session", "route", "networks"]),
        (SIGNED, ["head", "session", "route", "upgrade", "acceptance"]),
    ],
    ids=[
        "passthrough",
        "passthrough, from networks",
        "a stream",
        "a stream, from networks",
        "an answer of the edge's own",
        "an answer of the edge's own, from networks",
        "a plaintext hop by somebody's word",
    ],
)
def test_a_route_has_those_that_can_refuse_what_comes_to_it(tmp_path: Path, route: str, has: list[str]) -> None:
    assert names(tmp_path, route) == has


FULL = '[log]\naccess = "{}"\non_full = "refuse"\n'


@pytest.mark.parametrize(
    ("log", "own", "has"),
    [
        (FULL.format("stdout"), "", {"log"}),
        (FULL.format("stdout"), 'log = "stdout"\n', {"log"}),
        (FULL.format("stdout"), 'log = "/tmp/own.log"\n', {"log", "own-log"}),
        (FULL.format("off"), 'log = "/tmp/own.log"\n', {"own-log"}),
        (FULL.format("stdout"), "log = false\n", {"log"}),
        (FULL.format("stdout").replace("refuse", "drop"), 'log = "/tmp/own.log"\n', set()),
    ],
)
def test_a_log_is_a_check_only_where_nothing_passes_without_its_line(
    tmp_path: Path, log: str, own: str, has: set[str]
) -> None:
    path = tmp_path / "everyhop.toml"
    path.write_text(BEGINS.replace("version = 1\n", f"version = 1\n{log}") + GIVEN + own)
    plan = compile_file(path, files="skip").plan
    assert {it.name for it in checks(plan, plan.routes[0])} & {"log", "own-log"} == has


def test_where_tls_passes_through_it_says_that_nothing_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "everyhop.toml"
    path.write_text(BEGINS + PASSED)
    plan = compile_file(path, files="skip").plan
    above, rows = about_checks(plan, plan.routes[0])
    assert "the edge sees no request: it checks none" in above and rows == []
    path.write_text(BEGINS + PASSED + FROM)
    plan = compile_file(path, files="skip").plan
    above, rows = about_checks(plan, plan.routes[0])
    asks = "its client's address is in a network that the route allows: 10.0.0.0/8, 2001:db8::/32  [request/address-not-allowed]"
    assert above.endswith(f"Before a backend is connected to, the edge checks that {asks}.") and rows == []


def asked(folder: Path, *words: str) -> tuple[int, str]:
    path = folder / "everyhop.toml"
    path.write_text(BEGINS + SIGNED)
    commands(["explain"])
    it = CliRunner().invoke(app, ["explain", *words, "--config", str(path)])
    return it.exit_code, it.output if it.exception is None else f"{it.output}{it.exception}"


def test_the_command_prints_them_numbered_in_their_order_and_for_programs_with_every_reason(tmp_path: Path) -> None:
    code, text = asked(tmp_path, "checks", "r")
    assert code == 0
    rows = [line for line in text.splitlines() if line[:4].strip().isdigit()]
    assert [row.split()[:2] for row in rows] == [[str(n), name] for n, name in enumerate(names(tmp_path, SIGNED), 1)]
    code, text = asked(tmp_path, "checks", "r", "--json")
    found = json.loads(text)
    reasons = {name: slugs for name, _, slugs in _door.checks()}
    assert {it["name"]: it["slugs"] for it in found} == {name: reasons[name] for name in names(tmp_path, SIGNED)}
    assert found[-1]["here"] == "of me, until 2027-06-01"


@pytest.mark.parametrize(("words", "says"), [(("checks", "s"), "no route 's'"), (("r", "r"), "explain checks r")])
def test_what_is_no_route_is_told(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    code, text = asked(tmp_path, *words)
    assert code != 0 and says in text
