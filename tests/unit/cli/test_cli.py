"""Wrong input of every kind gives a clear message and the right exit code, never a traceback."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from everyhop.cli.app import COMMANDS
from everyhop.demo.certificates import Authority
from tests.kit.nursery import everyhop

pytestmark = pytest.mark.thorough

GOOD = """version = 1
# who listens
[[listener]]
name = "public"
bind = ["127.0.0.1:8443"]
[[site]]
name = "edge"
hosts = ["a.test"]
certs = [{ chain = "edge.pem", key = "file:edge.key" }]
[[route]]
name = "wiki"     # kept
host = "a.test"
tls = "plaintext"
to = ["10.0.3.9:3000"]
"""


def cli(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    done = everyhop(*arguments, cwd=cwd, env={**os.environ, "COLUMNS": "80", **environment})
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return done


def flat(text: str) -> str:
    """Without the breaks of a narrow terminal."""
    return " ".join(text.split())


def test_no_file_says_where_it_looked(tmp_path: Path) -> None:
    done = cli("check", cwd=tmp_path)
    assert done.returncode == 4 and "everyhop.toml" in done.stderr and "advise" in done.stderr
    assert cli("check", "nowhere.toml", cwd=tmp_path).returncode == 4


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["check", "--nonsense"], ["check", "--at", "soon"], ["explain", "hop/plaintex"], ["probe", "x"]],
)
def test_a_wrong_command_line_is_misuse(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "everyhop.toml").write_text(GOOD)
    done = cli(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("everyhop: ")


def test_without_a_command_the_commands_are_listed_and_each_has_its_help() -> None:
    listed = cli()
    assert (listed.returncode, listed.stderr) == (0, "")
    names = [row.split()[0] for row in listed.stdout.partition("Commands:\n")[2].splitlines() if row.strip()]
    assert names == list(COMMANDS)
    for name in names:
        shown = cli(name, "--help")
        assert shown.returncode == 0 and shown.stdout.startswith(f"Usage: everyhop {name} "), shown


def test_a_command_that_only_asks_a_running_edge_does_not_wait_for_what_runs_one() -> None:
    code = "import sys, everyhop.cli.drain; print(*sorted(it for it in sys.modules if it.startswith('everyhop.')))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "everyhop.admin.client" in found
    assert not {"everyhop.compile", "everyhop.model", "everyhop.plan", "everyhop.admin.supervisor"} & set(found), found


def test_a_start_brings_in_nothing_that_a_plain_file_does_not_use(tmp_path: Path) -> None:
    """What is imported is held for as long as the supervisor runs."""
    code = (
        "import sys; from pathlib import Path; import everyhop.cli.run; from everyhop.compile import compile_file; "
        "compile_file(Path(sys.argv[1]), files='skip'); print(*sys.modules)"
    )
    path = tmp_path / "everyhop.toml"
    path.write_text(GOOD.replace("10.0.3.9", "127.0.0.1"))
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = set(done.stdout.split())
    assert {"everyhop.compile.compiler", "everyhop.admin.supervisor"} <= found, done.stderr
    others = {"yaml", "ssl", "acme", "josepy", "grpc", "dns", "http.client", "asyncio", "rich", "tomlkit"}
    ours = {
        f"everyhop.{it}"
        for it in ("acme.keeper", "authority.acts", "explain", "diff", "advise", "migrate", "demo", "grade")
    }
    assert not (others | ours) & found, sorted((others | ours) & found)


def streamed(*arguments: str, ends: str, buffered: bool = True) -> tuple[int, str]:
    """How a command ends whose streams a shell has changed, and what it said on standard error."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED" or not buffered}
    if not buffered:
        environment["PYTHONUNBUFFERED"] = "1"
    command = ["sh", "-c", f'exec "$@" {ends}', "sh", sys.executable, "-m", "everyhop", *arguments]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, text=True, check=False
    )
    assert "Traceback" not in done.stderr and "our fault" not in done.stderr, done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize("ends", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_a_stream_that_is_closed_or_full_changes_no_exit_code(tmp_path: Path, ends: str) -> None:
    path = tmp_path / "everyhop.toml"
    path.write_text(GOOD.replace("10.0.3.9", "127.0.0.1"))
    Authority(tmp_path, "CA").leaf("edge", "a.test")
    for arguments, code in ((["check", str(path)], 0), (["check", str(tmp_path / "none.toml")], 4), (["nonsense"], 2)):
        assert streamed(*arguments, ends=ends)[0] == code, arguments


def test_standard_output_that_cannot_be_written_is_told_as_the_surroundings(tmp_path: Path) -> None:
    said = (4, "everyhop: cannot write to standard output: No space left on device\n")
    path = tmp_path / "everyhop.toml"
    path.write_text(GOOD.replace("10.0.3.9", "127.0.0.1"))
    Authority(tmp_path, "CA").leaf("edge", "a.test")
    for arguments in (["--version"], ["plan", str(path)], ["plan", str(path), "--json"], ["check", str(path)]):
        assert [streamed(*arguments, ends=">/dev/full", buffered=it) for it in (True, False)] == [said] * 2, arguments
    assert streamed("--help", ends=">/dev/full") == said


@pytest.mark.parametrize("what", ["route", "listener"])
def test_an_acceptance_of_what_stands_in_a_list_in_one_line_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "everyhop.toml"
    route = '{ name = "wiki", host = "a.test", tls = "plaintext", to = ["10.0.3.9:3000"] }'
    listener = '{ name = "wiki", bind = ["127.0.0.1:8080"], speaks = "http", serve = true }'
    text = f"version = 1\n{what} = [ {route if what == 'route' else listener} ]\n"
    path.write_text(text)
    more = ["--listener"] if what == "listener" else []
    given = ["--owner", "me", "--until", "2027-01-01", "--why", "x", "--config", str(path)]
    done = cli("accept", "wiki", *more, *given)
    assert (done.returncode, path.read_text()) == (4, text)
    assert done.stderr == f"everyhop: {what} 'wiki' stands in a list in one line; write it as [[{what}]]\n"


def test_an_nginx_file_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text("events {}\nhttp {\n  server { listen 443 ssl; }\n}\n")
    done = cli("check", str(path))
    assert done.returncode == 1 and "an nginx configuration" in done.stderr


def test_accepting_a_route_keeps_comments_and_makes_it_pass(tmp_path: Path) -> None:
    path = tmp_path / "everyhop.toml"
    path.write_text(GOOD)
    assert cli("check", "--no-files", str(path)).returncode == 1
    done = cli("accept", "wiki", "--owner", "me", "--until", "2099-01-01", "--why", "x", "--config", str(path))
    assert done.returncode == 2 and "a year at most" in done.stderr
    assert path.read_text() == GOOD, "nothing was written"
    import datetime as dt

    until = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=90)
    done = cli(
        "accept", "wiki", "--owner", "me@example.com", "--until", str(until), "--why", "old box", "--config", str(path)
    )
    assert done.returncode == 0, done.stderr
    assert "# who listens" in path.read_text() and "# kept" in path.read_text()
    done = cli("check", "--no-files", str(path))
    assert done.returncode == 0, done.stderr
    shown = done.stdout.split("\n")
    assert shown[:3] == [
        "!!  wiki",
        "      client =TLS= edge -!plaintext!- 10.0.3.9:3000",
        "      read by: edge, that network  90 days left",
    ]
    done = cli("check", "--no-files", "--at", str(until + dt.timedelta(days=2)), str(path))
    assert done.returncode == 1 and "acceptance/expired" in done.stderr


SERVES = """version = 1
[[listener]] # the balancer's
name = "wiki"
bind = ["10.0.0.9:8080"]
speaks = "http"
serve = true
[[listener]]
name = "public"
bind = ["127.0.0.1:8443"]
[[listener]]
name = "web"
bind = ["127.0.0.1:8081"]
speaks = "http"
https_port = 8443
[[site]]
name = "s"
hosts = ["wiki.test"]
certs = [{ chain = "x", key = "file:y" }]
[[route]]
name = "wiki"
host = "wiki.test"
tls = "plaintext"
to = ["127.0.0.1:1"]
"""


def test_accepting_a_listener_writes_to_it_and_not_to_the_route_of_its_name(tmp_path: Path) -> None:
    import datetime as dt

    path = tmp_path / "everyhop.toml"
    path.write_text(SERVES)
    refused = cli("check", "--no-files", str(path))
    assert refused.returncode == 1 and "everyhop accept wiki --listener --owner NAME" in refused.stdout + refused.stderr
    until = str(dt.datetime.now(dt.UTC).date() + dt.timedelta(days=90))
    given = (
        "--owner",
        "me",
        "--until",
        until,
        "--why",
        "VLAN 9",
        "--context",
        "isolated-network",
        "--config",
        str(path),
    )
    for name, why in (("public", "speaks TLS"), ("web", "forwards nothing"), ("other", "has no listener 'other'")):
        done = cli("accept", name, "--listener", *given)
        assert done.returncode == 2 and why in done.stderr, done.stderr
    done = cli("accept", "wiki", "--listener", *given[:2], "--until", "2099-01-01", *given[4:])
    assert done.returncode == 2 and "a year at most" in done.stderr
    assert path.read_text() == SERVES, "nothing was written"
    done = cli("accept", "wiki", "--listener", *given)
    assert done.returncode == 0, done.stderr
    text = path.read_text()
    assert "# the balancer's" in text and text.index("[listener.acceptance]") < text.index('name = "public"')
    assert "[route.acceptance]" not in text
    done = cli("check", "--no-files", str(path))
    assert done.returncode == 0, done.stderr


def test_a_thousand_addresses_in_plaintext_are_told_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "everyhop.toml"
    to = ", ".join(f'"10.0.{i // 250}.{i % 250 + 1}:3000"' for i in range(1000))
    path.write_text(GOOD.replace('["10.0.3.9:3000"]', f"[{to}]"))
    said = cli("check", "--no-files", str(path))
    assert said.returncode == 1
    told = " ".join((said.stdout + said.stderr).split())
    assert (
        "decrypted traffic to 10.0.0.1:3000, 10.0.0.2:3000, 10.0.0.3:3000 and 997 more and names no acceptance" in told
    )


def test_json_is_json(tmp_path: Path) -> None:
    path = tmp_path / "everyhop.toml"
    path.write_text(GOOD)
    found = json.loads(cli("check", "--no-files", "--json", str(path)).stdout)
    assert not found["ok"] and found["findings"][0]["slug"] == "hop/plaintext-without-acceptance"
    assert found["findings"][0]["line"] == 13
    assert json.loads(cli("schema").stdout)["properties"]["route"]
    assert json.loads(cli("explain", "--list", "--json").stdout)["hop/no-roots"]


def test_nobody_to_ask_is_told_with_what_to_do(tmp_path: Path) -> None:
    for command in ("status", "reload"):
        done = cli(command, cwd=tmp_path, XDG_RUNTIME_DIR=str(tmp_path))
        assert done.returncode == 4 and "everyhop run" in done.stderr


def test_one_cause_for_many_routes_is_one_refusal(tmp_path: Path) -> None:
    routes = "".join(
        f'[[route]]\nname = "w{i}"\nhost = "a.test"\npath = "/{i}"\ntls = "plaintext"\nto = ["10.0.3.9:3000"]\n'
        for i in range(400)
    )
    path = tmp_path / "everyhop.toml"
    path.write_text(GOOD[: GOOD.index("[[route]]")] + routes)
    done = cli("check", "--no-files", str(path))
    assert done.returncode == 1
    assert done.stderr.count("refused [hop/plaintext-without-acceptance]") == 1
    assert "(and 399 more routes)" in flat(done.stderr)


TWO = """[[route]]
name = "one"
host = "a.test"
path = "/1"
tls = "mutual"
to = ["127.0.0.1:1"]
verify = { ca = "ca.pem", name = "b.internal" }
present = "nobody"
[[route]]
name = "two"
host = "a.test"
path = "/2"
tls = "mutual"
to = ["127.0.0.1:1"]
verify = { ca = "ca.pem", name = "b.internal" }
present = "someone"
"""


def test_two_faults_of_one_kind_are_two_findings_with_both_names(tmp_path: Path) -> None:
    path = tmp_path / "everyhop.toml"
    path.write_text(GOOD[: GOOD.index("[[route]]")] + TWO)
    done = cli("check", "--no-files", str(path))
    assert done.stderr.count("refused [config/unknown-name]") == 2
    assert (
        "'nobody'" in done.stderr and "'someone'" in done.stderr and "more" not in done.stderr.replace("  more  ", "")
    )
    path.write_text(GOOD + "foo = 1\nbar = 2\n")
    done = cli("check", "--no-files", str(path))
    assert "foo is not a key" in done.stderr and "bar is not a key" in done.stderr
    path.write_text(GOOD[: GOOD.index("[[route]]")] + TWO.replace("someone", "nobody"))
    done = cli("check", "--no-files", str(path))
    assert done.stderr.count("refused [config/unknown-name]") == 1 and "(and 1 more routes)" in flat(done.stderr)


def test_json_has_every_finding_with_its_place_and_an_identity_that_is_no_prose(tmp_path: Path) -> None:
    path = tmp_path / "everyhop.toml"
    path.write_text(GOOD[: GOOD.index("[[route]]")] + TWO.replace("someone", "nobody"))
    found = json.loads(cli("check", "--no-files", "--json", str(path)).stdout)["findings"]
    text = path.read_text().splitlines()
    assert [text[f["line"] - 1] for f in found] == ['present = "nobody"'] * 2
    assert [f["identity"] for f in found] == [
        ["config/unknown-name", "route", n, "present", "nobody"] for n in ("one", "two")
    ]
    path.write_text("# an edit elsewhere\n" + path.read_text())
    again = json.loads(cli("check", "--no-files", "--json", str(path)).stdout)["findings"]
    assert [f["identity"] for f in again] == [f["identity"] for f in found]


def test_an_unreadable_file_is_marked_at_its_own_key(tmp_path: Path) -> None:
    path = tmp_path / "everyhop.toml"
    whole = GOOD.replace('chain = "', 'chain = "keys/')
    path.write_text(whole)
    found = json.loads(cli("check", "--json", str(path)).stdout)["findings"]
    missing = next(f for f in found if f["slug"] == "certificate/unreadable")
    assert path.read_text().splitlines()[missing["line"] - 1][missing["column"] - 1 :].startswith('"keys/')


def test_the_demo_leaves_a_configuration_that_passes(tmp_path: Path) -> None:
    folder = tmp_path / "play"
    assert cli("demo", "--write", str(folder)).returncode == 0
    done = cli("check", str(folder / "everyhop.toml"))
    assert done.returncode == 0, done.stderr
    assert (done.stdout.count("ok  "), done.stdout.count("!!  ")) == (3, 1)
    assert cli("demo", "--write", str(folder)).returncode == 4, "it never overwrites"


@pytest.mark.parametrize("pattern", ["passthrough", "mutual", "reencrypt", "plaintext"])
def test_an_example_decides_what_its_folder_says(pattern: str) -> None:
    path = Path(__file__).parents[3] / "examples" / pattern / "everyhop.toml"
    done = cli("check", "--no-files", "--strict", "--at", "2026-12-01", str(path))
    assert done.returncode == 0, done.stderr
    assert f'tls  = "{pattern}"' in path.read_text().replace("tls     =", "tls  =").replace("tls    =", "tls  =")


def test_diff_gates_and_speaks_markdown_and_sarif(tmp_path: Path) -> None:
    old, new = tmp_path / "old.toml", tmp_path / "everyhop.toml"
    text = GOOD.replace("10.0.3.9:3000", "127.0.0.1:3000")
    old.write_text(text)
    new.write_text(text.replace('hosts = ["a.test"]', 'hosts = ["a.test", "b.test"]'))
    done = cli("diff", str(old), str(new))
    assert done.returncode == 1 and "--allow name-covered:b.test" in done.stdout
    assert cli("diff", str(old), str(new), "--allow", "name-covered:b.test").returncode == 0
    assert cli("diff", str(new), str(old)).returncode == 0, "less is no weakening"
    assert cli("diff", str(old), str(old)).stdout == "nothing changed in trust\n"
    assert "`name-covered`" in cli("diff", str(old), str(new), "--format", "markdown").stdout
    sarif = json.loads(cli("diff", str(old), str(new), "--format", "sarif").stdout)
    assert sarif["version"] == "2.1.0" and sarif["runs"][0]["results"][0]["level"] == "error"
    git = ["git", "-C", str(tmp_path), "-c", "user.email=a@b", "-c", "user.name=a"]
    new.write_text(text)
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *arguments], check=True)
    new.write_text(text.replace('hosts = ["a.test"]', 'hosts = ["a.test", "b.test"]'))
    assert cli("diff", "--git", "HEAD", str(new)).returncode == 1
    assert cli("diff", "--git", "nowhere", str(new)).returncode == 4
    assert cli("diff", str(old), str(new), "--allow", "nonsense:x").returncode == 2


def test_plan_tells_every_value_and_where_it_came_from(tmp_path: Path) -> None:
    path = tmp_path / "everyhop.toml"
    path.write_text(GOOD.replace("10.0.3.9:3000", "127.0.0.1:3000"))
    out = cli("plan", str(path)).stdout
    assert 'route[1].name = "wiki"' in out and f"{path}:11:8" in out
    assert any(line.startswith("engine.drain_s = 30") and line.endswith("default") for line in out.splitlines())
    compiled = json.loads(cli("plan", "--compiled", str(path)).stdout)
    assert compiled["routes"][0]["name"] == "wiki"
    assert cli("plan", str(path)).stdout == out, "deterministic"


def test_explain_speaks_of_routes_files_and_capabilities(tmp_path: Path) -> None:
    path = tmp_path / "everyhop.toml"
    path.write_text(GOOD.replace("10.0.3.9:3000", "127.0.0.1:3000"))
    text = cli("explain", "wiki", "--config", str(path)).stdout
    assert "--[eye! plaintext]--" in text and all(len(line) <= 80 for line in text.splitlines())
    assert cli("explain", str(path), "--html", str(tmp_path / "p.html")).returncode == 0
    assert "Where TLS ends" in (tmp_path / "p.html").read_text()
    assert cli("explain", "waf").stdout.startswith("waf: ")
    assert json.loads(cli("explain", str(path), "--json").stdout)[0]["way"] == "plaintext"
    assert cli("explain", "nobody", "--config", str(path)).returncode == 2


def test_fmt_writes_the_one_form_into_the_file_that_a_link_leads_to_and_leaves_its_mode(tmp_path: Path) -> None:
    file, name = tmp_path / "real.toml", tmp_path / "everyhop.toml"
    file.write_text(GOOD)
    file.chmod(0o640)
    name.symlink_to(file)
    would = cli("fmt", "--check", str(name))
    assert would.returncode == 1 and '+tls  = "plaintext"' in would.stdout and file.read_text() == GOOD
    done = cli("fmt", cwd=tmp_path)
    assert done.returncode == 0 and "in its form now" in done.stdout
    assert name.is_symlink() and file.stat().st_mode & 0o777 == 0o640
    text = file.read_text()
    assert tomllib.loads(text) == tomllib.loads(GOOD) and "# who listens" in text and text != GOOD
    assert sorted(p.name for p in tmp_path.iterdir()) == ["everyhop.toml", "real.toml"]
    assert cli("fmt", "--check", cwd=tmp_path).returncode == 0
    assert "is in its form\n" in cli("fmt", cwd=tmp_path).stdout and file.read_text() == text


def test_fmt_leaves_what_it_cannot_read_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("version = 1\nname = \n")
    bad = cli("fmt", "bad.toml", cwd=tmp_path)
    assert bad.returncode == 1 and "bad.toml:2:" in bad.stderr + bad.stdout
    (tmp_path / "it.yaml").write_text("version: 1\n")
    assert cli("fmt", "it.yaml", cwd=tmp_path).returncode == 2
    (tmp_path / "closed").mkdir()
    assert cli("fmt", "closed/none.toml", cwd=tmp_path).returncode == 4


def test_new_asks_three_questions_on_a_terminal_and_overwrites_nothing(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "everyhop", "new"]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as asking:
        os.write(ours, b"Shop.Example.com\n10.0.0.5:8443, 10.0.0.6:8443\n1\n")
        told, _ = asking.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert asking.returncode == 0 and "everyhop.toml is written" in flat(told)
    text = (tmp_path / "everyhop.toml").read_text()
    route = tomllib.loads(text)["route"][0]
    assert (route["host"], route["tls"]) == ("shop.example.com", "mutual")
    assert route["to"] == ["10.0.0.5:8443", "10.0.0.6:8443"]
    again = cli("new", "--host", "a.test", "--to", "10.0.0.5:1", "--tls", "mutual", cwd=tmp_path)
    assert again.returncode == 4 and (tmp_path / "everyhop.toml").read_text() == text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "a.test"], "nobody can be asked here"),
        (["--host", "a b", "--to", "10.0.0.5:1", "--tls", "mutual"], "is no host name"),
        (["--host", "a.test", "--to", "10.0.0.5", "--tls", "mutual"], "is no address"),
        (["--host", "a.test", "--to", "10.0.0.5:1", "--tls", "tls"], "TLS ends by one of"),
    ],
)
def test_new_writes_nothing_from_an_answer_that_is_none(tmp_path: Path, words: list[str], said: str) -> None:
    done = cli("new", *words, cwd=tmp_path)
    assert done.returncode == 2 and said in flat(done.stderr) and not list(tmp_path.iterdir())
