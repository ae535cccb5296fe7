"""A route that promises certificates apart holds it against one key under two names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from everyhop.compile import compile_file
from everyhop.errors import Refused
from tests.kit import Pki
from tests.unit.diff.test_gate import plan, route

APART = 'requires = ["independent-certificates"]\n'


def test_one_key_by_two_spellings_of_its_place_is_one_key() -> None:
    promised = route("r", "mutual", APART).replace('present = "i"', 'present = "other"')
    for place, refused in (("file:z", False), ("file:./y", True), ("file:k/../y", True)):
        other = f'[[identity]]\nname = "other"\nchain = "o"\nkey = "{place}"\n'
        if not refused:
            assert plan(promised, more=other).routes
            continue
        with pytest.raises(Refused) as refusal:
            plan(promised, more=other)
        assert [f.slug for f in refusal.value.findings] == ["route/requirement-not-configured"]


def test_a_copy_of_a_key_is_the_same_key(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    text = (
        'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:8443"]\n[[site]]\nname = "s"\nhosts = ["a.test"]\n'
        f'certs = [{{ chain = "{tmp_path}/edge.pem", key = "file:{tmp_path}/edge.key" }}]\n[[identity]]\nname = "i"\n'
        f'chain = "{tmp_path}/identity.pem"\nkey = "file:{tmp_path}/identity.key"\n'
        '[[route]]\nname = "r"\nhost = "a.test"\ntls = "mutual"\nto = ["10.0.0.1:1"]\npresent = "i"\n'
        f'verify = {{ ca = "{pki.internal.file}", name = "n" }}\n{APART}'
    )
    path = tmp_path / "everyhop.toml"
    assert compile_file(path, text=text).plan.routes
    for kind in ("pem", "key"):
        shutil.copyfile(tmp_path / f"edge.{kind}", tmp_path / f"identity.{kind}")
    with pytest.raises(Refused) as refusal:
        compile_file(path, text=text)
    assert [f.slug for f in refusal.value.findings] == ["route/requirement-not-configured"]
