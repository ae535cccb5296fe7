"""The inspector's own tests, which are in Go beside it: frames at every byte, rules, the closed process, licences."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.kit.inspector import built

WAF = Path(__file__).parents[2] / "waf"


def test_the_inspectors_own_tests_pass_and_its_source_is_in_gos_form() -> None:
    built()
    go = shutil.which("go", path=f"{os.environ['PATH']}:/usr/local/go/bin")
    assert go is not None, "the inspector was built, and there is no Go"
    environment = os.environ | {
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly",
        "PATH": f"{Path(go).parent}:{os.environ['PATH']}",
    }
    for arguments in (["vet"], ["test", "-count=1"]):
        done = subprocess.run(
            [go, *arguments, "-tags", "no_fs_access", "./..."], cwd=WAF, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    gofmt = subprocess.run([Path(go).with_name("gofmt"), "-l", "."], cwd=WAF, capture_output=True, text=True)
    assert (gofmt.returncode, gofmt.stdout) == (0, "")
