"""The key of sticky cookies: made once, kept for ourselves, and sent only where a plan needs it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from everyhop.admin.stickiness import Stickiness
from everyhop.compile import Compiled, compile_file

TEXT = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{ chain = "x", key = "file:y" }]
[[route]]
name = "r"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:1", "127.0.0.1:2"]
"""


def compiled(more: str = 'sticky = { cookie = "edge" }\n') -> Compiled:
    return compile_file("c.toml", files="skip", text=TEXT + more)


def key(it: Compiled) -> bytes:
    return base64.b64decode(json.loads(it.material.blob)["sticky"], validate=True)


def test_a_plan_that_needs_none_is_sent_none_and_none_is_made(runtime: Path) -> None:
    it = Stickiness(runtime / "c.toml")
    plain = compiled("")
    assert it.over(plain) is plain
    assert not it.file.path.exists()


def test_the_same_key_goes_beside_the_same_plan_and_material_for_ever(runtime: Path) -> None:
    before = compiled()
    it = Stickiness(runtime / "c.toml").over(before)
    assert len(key(it)) == 32 and key(Stickiness(runtime / "c.toml").over(compiled())) == key(it)
    assert key(Stickiness(runtime / "other.toml").over(compiled())) != key(it)
    assert (it.plan_digest, it.material.digest) == (before.plan_digest, before.material.digest)
    sent = json.loads(it.material.blob)
    assert json.loads(before.material.blob) == {name: value for name, value in sent.items() if name != "sticky"}


@pytest.mark.parametrize("kept", [{"key": "AAEC"}, {"key": "?"}, {"key": 1}, {"other": "x"}, {}])
def test_what_was_kept_and_is_no_key_is_made_anew(runtime: Path, kept: dict[str, object]) -> None:
    it = Stickiness(runtime / "c.toml")
    it.file.keep(kept)
    made = key(it.over(compiled()))
    assert len(made) == 32 and key(Stickiness(runtime / "c.toml").over(compiled())) == made


def test_a_folder_that_cannot_be_read_keeps_the_key_as_long_as_we_live(
    runtime: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    it = Stickiness(runtime / "c.toml")
    it.file.path.parent.mkdir(parents=True, exist_ok=True)
    it.file.path.mkdir()
    assert key(it.over(compiled())) == key(it.over(compiled()))
    assert "the key of sticky cookies cannot be" in capfd.readouterr().err
