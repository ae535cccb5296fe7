"""Sites whose certificate an authority issues: the plan of a file is one, whether it was issued yet or not; what was is material."""

from __future__ import annotations

from pathlib import Path

import pytest

from everyhop.compile import Compiled, compile_file
from everyhop.demo.certificates import Authority
from everyhop.errors import Refused

SITE = """[[listener]]
name = "tls"
bind = ["127.0.0.1:1"]
[[site]]
name = "new"
hosts = ["new.test"]
certs = "acme"
[[route]]
name = "r"
host = "new.test"
redirect = { to = "https://other.test" }
"""
ACME = """version = 1
[acme]
authority = ["https://ca.internal/dir"]
terms_agreed = true
keys = ["ecdsa-p256", "rsa-2048"]
"""
TEXT = ACME + SITE


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (it := tmp_path / "everyhop.toml").write_text(TEXT)
    return it


def issue(folder: Path, kind: str, host: str = "new.test") -> Path:
    leaf = Authority(folder, "Issued CA").leaf(f"{kind}-issued", host)
    (to := folder / "acme" / "sites" / "new").mkdir(parents=True, exist_ok=True)
    (path := to / f"{kind}.pem").write_bytes(leaf.key.read_bytes() + leaf.chain.read_bytes())
    path.chmod(0o600)
    return path


def ids(it: Compiled) -> list[str]:
    return [str(entry["id"]) for entry in it.material.entries if str(entry["id"]).startswith("site/")]


def test_the_plan_is_the_same_before_and_after_and_the_material_is_not(config: Path) -> None:
    before = compile_file(config)
    path = issue(config.parent, "ecdsa-p256")
    after = compile_file(config)
    assert (before.plan_digest, ids(before), ids(after)) == (after.plan_digest, [], ["site/new/0"])
    assert before.watched[path] is None and after.watched[path] is not None
    assert path in before.issued() and after.issued() == before.issued() <= {*before.watched}
    assert before.material.digest != after.material.digest


def test_each_kind_of_key_is_shown_as_soon_as_it_is_there(config: Path) -> None:
    issue(config.parent, "rsa-2048")
    assert ids(compile_file(config)) == ["site/new/1"]
    issue(config.parent, "ecdsa-p256")
    assert ids(compile_file(config)) == ["site/new/0", "site/new/1"]


def test_what_lies_there_and_cannot_be_used_is_refused_as_any_other_file_is(config: Path) -> None:
    issue(config.parent, "ecdsa-p256").chmod(0o644)
    with pytest.raises(Refused) as e:
        compile_file(config)
    assert {it.slug for it in e.value.findings} == {"certificate/key-exposed"}


def test_names_that_come_to_a_site_are_no_reason_against_the_certificate_that_it_has(config: Path) -> None:
    issue(config.parent, "ecdsa-p256")
    config.write_text(TEXT.replace('hosts = ["new.test"]', 'hosts = ["new.test", "more.test"]'))
    assert ids(compile_file(config)) == ["site/new/0"], "another one is ordered, and this one shown until it is there"
