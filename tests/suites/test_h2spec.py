"""h2spec: every one of its cases, strict ones among them, with HTTP/1.1 and with HTTP/2 behind us."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.kit import EdgeKit
from tests.kit.edge import until
from tests.suites.peers import Nginx, found

CASES = 146

EXCEPTIONS: dict[str, str] = {}
"""Cases that are not passed, each with the reason; one that passes after all must leave this list."""


@pytest.mark.parametrize(
    ("path", "pattern", "protocol"), [("/h1", "plaintext", "HTTP/1.1"), ("/h2", "mutual", "HTTP/2.0")]
)
def test_every_case_of_h2spec_passes(
    front: EdgeKit, nginx: Nginx, tmp_path: Path, path: str, pattern: str, protocol: str
) -> None:
    """P06."""
    report = tmp_path / "report.xml"
    command = [found("h2spec"), "--strict", "--tls", "--insecure", "--host", "localhost", "--port", str(front.port)]
    command += ["--path", path, "--timeout", "10", "--junit-report", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    cases = [
        (f"{case.get('package')}: {case.get('classname')}", [outcome.tag for outcome in case])
        for case in ET.parse(report).iter("testcase")
    ]
    assert len(cases) == CASES
    missed = {name for name, outcome in cases if outcome}
    assert missed == set(EXCEPTIONS), done.stdout
    arrived = until(lambda: [one for one in nginx.seen() if one.path == path])
    assert {(one.pattern, one.protocol) for one in arrived} == {(pattern, protocol)}
