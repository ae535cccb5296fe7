"""What the two commands need of a machine: found, installed or told, from one list. Commands are hidden by a PATH that has
only what the test puts there; apt-get and sudo are stand-ins that write down what they are asked."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAIN = "bash sed sort head cut dirname mktemp rm tail env cat touch chmod true tee"
NEEDED = (
    "cc h2load nghttpd curl openssl valgrind strace slowhttptest systemd-analyze go git fcgiwrap litmus docker-registry "
    "prometheus promtool redis-server redis-cli mosquitto mosquitto_pub ldapsearch htpasswd argon2 postgres "
    "softhsm2-util"
)
# In /usr/sbin, where the list looks as well.
DAEMONS = "nginx haproxy slapd dovecot"
RUST = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]


class Machine:
    """A folder of commands, as good as a machine that has all; `lose` and `put` change one thing."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.asked = folder / "asked"
        for name in PLAIN.split():
            (self.bin / name).symlink_to(shutil.which(name) or pytest.fail(f"no {name}"))
        (self.bin / "python3").symlink_to(sys.executable)
        for name in [*NEEDED.split(), *DAEMONS.split()]:
            self.put(name, "exit 0")
        self.put("cargo", f"echo 'cargo {RUST}.0 (abc 2026-01-01)'")
        self.put("id", "echo 1000")
        self.put("sudo", "exit 1")
        self.policy = folder / "policy"
        self.put("apt-get", f'echo "$@" >> {self.asked}; [ $1 != install ] || {self.policy} || echo no service >> {self.asked}; case $1 in install) touch {self.bin}/strace; chmod +x {self.bin}/strace;; esac')  # fmt: skip

    def put(self, name: str, does: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!{shutil.which('bash')}\n{does}\n")
        path.chmod(0o755)

    def lose(self, name: str) -> None:
        (self.bin / name).unlink()

    def ask(self, what: str = "check") -> tuple[int, str]:
        done = subprocess.run(
            [ROOT / "tools" / "machine", what],
            env={"PATH": str(self.bin), "EVERYHOP_POLICY_RC_D": str(self.policy)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.stderr, done.stderr
        return done.returncode, done.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    it = Machine(tmp_path)
    assert it.ask() == (0, "")
    return it


def test_a_machine_without_rust_is_told_how_to_get_it(machine: Machine) -> None:
    machine.lose("cargo")
    code, said = machine.ask("demo")
    assert code == 4 and f"lacks Rust; {RUST} or newer" in said and "https://sh.rustup.rs" in said


def test_a_debian_whose_own_cargo_is_too_old_is_told_what_to_do(machine: Machine) -> None:
    machine.put("cargo", "echo 'cargo 1.65.0'")
    code, said = machine.ask("demo")
    assert code == 4 and f"is Rust 1.65.0, and {RUST} or newer is needed" in said and "https://sh.rustup.rs" in said
    assert 'export PATH="$HOME/.cargo/bin:$PATH"' in said


def test_without_root_the_one_line_to_paste_is_told(machine: Machine) -> None:
    machine.lose("strace")
    machine.lose("h2load")
    assert machine.ask("demo") == (0, "")
    code, said = machine.ask()
    assert code == 4 and not machine.asked.exists()
    assert said.splitlines()[1:] == [
        "  sudo apt-get update && sudo apt-get install -y --no-install-recommends nghttp2-client strace"
    ]


@pytest.mark.parametrize("way", ["root", "sudo"])
def test_where_it_may_it_installs_what_is_missing_and_says_which(machine: Machine, way: str) -> None:
    machine.lose("strace")
    machine.put(*(("id", "echo 0") if way == "root" else ("sudo", '[ "$1" = -n ] && shift; exec "$@"')))
    assert machine.ask() == (0, "this machine lacks, and gets from Debian: strace\n")
    installs = "install -y -q --no-install-recommends strace"
    assert machine.asked.read_text().splitlines() == ["update -q", installs, "no service"], (
        "while it installs none is started"
    )
    assert not machine.policy.exists(), "and afterwards it is as it was"
    assert machine.ask() == (0, "") and len(machine.asked.read_text().splitlines()) == 3


def test_what_cannot_be_installed_is_told(machine: Machine) -> None:
    machine.lose("valgrind")
    machine.put("id", "echo 0")
    machine.put("apt-get", "echo 'no network'; exit 100")
    code, said = machine.ask()
    assert code == 4 and "no network" in said and "--no-install-recommends valgrind" in said


def test_the_list_is_said_once() -> None:
    packages = set(re.findall(r":([a-z][a-z0-9+-]+)", re.sub(r"#.*", "", (ROOT / "tools/machine").read_text())[:2000]))
    assert {"nginx-light", "build-essential", "python3-venv"} <= packages
    for name in ("Makefile", ".ci/run"):
        text = (ROOT / name).read_text()
        assert "apt-get" not in text
        assert not {p for p in packages if "-" in p and p in text}
    assert f"Rust](https://rustup.rs) {RUST}" in (ROOT / "README.md").read_text()
