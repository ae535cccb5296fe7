"""`everyhop demo`: each act says what was measured, and one that measured something else ends it."""

from __future__ import annotations

import re
import subprocess
import sys


def test_the_demo_plays_its_five_acts_and_the_last_leaves_a_mutual_route() -> None:
    command = [sys.executable, "-m", "everyhop", "demo", "--once"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^Act (\d):", done.stdout, re.M) == ["1", "2", "3", "4", "5"]
    last = done.stdout.partition("Act 5:")[2]
    assert re.search(r"traffic went on: [1-9]\d* request\(s\) meanwhile, 0 lost", last), last
    assert 'is tls = "mutual" in everyhop.toml; the acceptance by demo@example.com is gone' in last
    assert "it asked who we are" in last and "bytes of noise" in last and "session=canary" not in last
    assert "all five acts are over" in last
