"""The commands in the documents are run, and what they print is what the documents show (`...` stands for anything)."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from everyhop.demo.backends import Backend
from everyhop.demo.certificates import Authority
from everyhop.demo.stage import free_port
from tests.applications.peer import opa
from tests.kit.forge import root, saved
from tests.kit.inspector import built
from tests.kit.workload_api import WorkloadApi, entry, svid

ROOT = Path(__file__).parents[2]
MARK = "@@next@@"
DOMAIN = "spiffe://corp.example"
WAITS = {
    "everyhop run": "for _ in $(seq 200); do everyhop status --config play/everyhop.toml >/dev/null 2>&1 && break; sleep 0.1; done",
    "everyhop ca serve": "for _ in $(seq 200); do grep -qs ready: ca.log && break; sleep 0.1; done",
    "guard.log": "for _ in $(seq 200); do grep -qs ready: guard.log && break; sleep 0.1; done",
    "play/backends.py": "for _ in $(seq 200); do grep -qs 'are up' background.log && break; sleep 0.1; done",
}
"""Of a command that goes on in the background: what shows that it is there."""


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Each command with the lines that it is shown to print."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.startswith("> "):
                found[-1] = (f"{found[-1][0]}\n{line[2:]}", [])
            else:
                found[-1][1].append(line)
    return found


def matches(shown: list[str], printed: str) -> bool:
    pattern = ""
    for line in shown:
        pattern += r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\s*\n"
    return re.search(pattern, printed + "\n") is not None


PAGES = (
    "tutorial/first-edge",
    "tutorial/mutual-from-nothing",
    "how-to/choose",
    "how-to/find-what-is-wrong",
    "how-to/behind-a-load-balancer",
    "how-to/canary",
    "how-to/let-in-by-token",
    "how-to/let-in-by-password",
    "how-to/try-waf-rules",
    "how-to/ask-an-authorizer",
    "how-to/ask-open-policy-agent",
    "how-to/inspect-requests",
    "how-to/run-an-authority",
    "how-to/guard-a-backend",
    "how-to/let-identities-renew",
    "how-to/revoke-by-url",
    "how-to/get-certificates-by-acme",
    "how-to/grade-a-server",
    "how-to/share-ticket-keys",
    "how-to/keep-keys-in-an-hsm",
)


@pytest.mark.parametrize("page", [f"docs/{page}.md" for page in PAGES])
def test_a_page_does_what_it_says(page: str, tmp_path: Path) -> None:
    if "waf" in page or "inspect" in page:
        built()
    more = [str(Path(opa()).parent)] if "open-policy-agent" in page else []
    does_what_it_says((ROOT / page).read_text(), tmp_path, *more)


def test_the_page_on_agents_does_what_it_says(tmp_path: Path) -> None:
    """All but the registration, which `make spire` tries with SPIRE itself: the agent and the workload behind the edge are there, at other places."""
    (at := tmp_path / "agent").mkdir(mode=0o755)
    authority = Authority(tmp_path, "corp.example")
    agent, by = WorkloadApi(at / "agent.sock"), root(authority)
    agent.give(entry(f"{DOMAIN}/edge", svid(by, f"{DOMAIN}/edge"), [by]))
    leaf = saved(tmp_path, "orders", svid(by, f"{DOMAIN}/orders"), by)
    agent.start()
    behind = Backend("orders", leaf, clients=authority.file, demands=True)
    try:
        text = (ROOT / "docs/how-to/take-identities-from-spire.md").read_text()
        text = text.replace("unix:/run/spire/sockets/agent.sock", agent.at).replace(
            "10.0.1.7:8443", f"127.0.0.1:{behind.port}"
        )
        does_what_it_says(text, tmp_path)
        assert {it[":path"] for it in behind.seen} == {"/orders"}
    finally:
        behind.close()
        agent.stop()


def does_what_it_says(text: str, tmp_path: Path, *more: str) -> None:
    """Runs each command of the page, with a folder of its own, and ports; `more` is of the path."""
    port = free_port()
    text = text.replace("8443", str(port))
    for other in ("8444", "8445", "8446"):
        text = text.replace(other, str(free_port()))
    all_ = commands(text)
    # What a page leaves in the background ends with it.
    script = ["set -m", "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT"]
    for command, _ in all_:
        line = command.replace("demo --write play", f"demo --write play --port {port}")
        if line.endswith("&"):
            line = line if ">" in line else line[:-1] + "> background.log 2>&1 &"
        waits = [WAITS[word] for word in WAITS if word in line]
        script += ["rm -f background.log", line, *waits, f"echo; echo '{MARK}'"]
    environment = {
        "PATH": ":".join([str(Path(sys.executable).parent), *more, "/usr/bin", "/bin", "/usr/sbin"]),
        "HOME": str(tmp_path),
        "TERM": "dumb",
        "COLUMNS": "80",
    }
    bash = shutil.which("bash") or "bash"
    try:
        done = subprocess.run(
            [bash, "-c", "\n".join(script)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    except subprocess.TimeoutExpired as e:
        # What a program in the background said is in its log alone.
        logs = "".join(f"--- {log.name}\n{log.read_text()}" for log in sorted(tmp_path.glob("*.log")))
        said = ((e.stdout or b"") + (e.stderr or b"")).decode(errors="replace")
        raise AssertionError(f"not at its end after 300 s\n{said}\n{logs}") from None
    outputs = (done.stdout).split(MARK)
    errors = done.stderr
    assert len(outputs) == len(all_) + 1, done.stdout + errors
    for (command, shown), printed in zip(all_, outputs, strict=False):
        if shown:
            assert matches(shown, printed.strip() + "\n" + errors), (
                f"{command}\nshown:\n{shown}\nprinted:\n{printed}\n{errors}"
            )


def test_what_the_readme_shows_is_there() -> None:
    text = (ROOT / "README.md").read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (ROOT / target).exists(), target
    assert "make demo" in text and "make check" in text
