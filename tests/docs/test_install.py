"""The commands of the page on installing are run: the wheel as `make wheel` makes it, but for optimisation, which takes
minutes; `/opt` and `/usr/local/bin` are folders of the test's own. Those of systemd and of containers are not."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN = ("Build the wheel", "Into an environment of its own", "For the whole machine")


def test_the_wheel_installs_into_an_environment_and_for_the_whole_machine(tmp_path: Path) -> None:
    page = (ROOT / "docs/how-to/install.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", page, re.M | re.S))
    script = "\n".join(block for name in RUN for block in re.findall(r"^```sh\n(.*?)^```", sections[name], re.M | re.S))
    assert script.count("--version") == 2 and script.count("make wheel") == 1
    script = script.replace("make wheel", f"make -s -C {ROOT} wheel WHOLE= ARGS='--profile dev'").replace("sudo ", "")
    (tmp_path / "target").symlink_to(ROOT / "target")
    (tmp_path / "bin").mkdir()
    script = script.replace("/usr/local/bin", f"{tmp_path}/bin").replace("/opt/", f"{tmp_path}/opt/")
    done = subprocess.run(
        ["bash", "-euc", f"export PATH={tmp_path}/bin:$PATH\n{script}\ncommand -v everyhop"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert done.stdout.splitlines().count(f"everyhop {version}") == 2, done.stdout
    assert done.stdout.splitlines()[-1] == f"{tmp_path}/bin/everyhop"
    # The engine is in it: it judges a file that the same command wrote.
    installed = tmp_path / "opt" / "everyhop" / "bin" / "everyhop"
    for arguments in (["demo", "--write", "play"], ["where", "api.demo.test/", "--config", "play/everyhop.toml"]):
        told = subprocess.run([installed, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.startswith("route    api  play/everyhop.toml:")
