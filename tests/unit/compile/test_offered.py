"""What an editor is offered by the schema can pass; what is always refused is refused in its own words, and offered by nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from everyhop.cli.schema import config_schema
from everyhop.compile import compile_file
from everyhop.compile.policies import DATED, WORDS
from everyhop.errors import Refused

SCHEMA: dict[str, Any] = config_schema()
POLICIES: list[str] = SCHEMA["$defs"]["Site"]["properties"]["policy"]["enum"]


def compiled(folder: Path, policy: str) -> None:
    path = folder / "everyhop.toml"
    path.write_text(
        'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:8443"]\n[[site]]\nname = "s"\nhosts = ["a.test"]\n'
        f'certs = [{{ chain = "x", key = "file:y" }}]\npolicy = "{policy}"\n'
    )
    compile_file(path, files="skip")


@pytest.mark.parametrize("policy", POLICIES)
def test_each_policy_that_is_offered_can_be_had(policy: str, tmp_path: Path) -> None:
    compiled(tmp_path, policy)


def test_every_policy_that_there_is_is_offered() -> None:
    assert sorted(POLICIES) == sorted([*DATED, *WORDS])


@pytest.mark.parametrize(("policy", "slug"), [("fips", "site/policy-unavailable"), ("fibs", "config/wrong-value")])
def test_one_that_cannot_be_had_is_refused_by_name_and_recommended_by_nobody(
    policy: str, slug: str, tmp_path: Path
) -> None:
    with pytest.raises(Refused) as refused:
        compiled(tmp_path, policy)
    (found,) = refused.value.findings
    assert found.slug == slug and not any("fips" in it for it in found.mend)


def test_an_identity_is_offered_what_goes_with_its_form_alone() -> None:
    forms = {name: SCHEMA["$defs"][name]["properties"]["from"] for name in ("FileIdentity", "CaIdentity", "SpiffeIdentity")}  # fmt: skip
    assert {name: it["const"] for name, it in forms.items()} == {
        "FileIdentity": "files",
        "CaIdentity": "ca",
        "SpiffeIdentity": "spiffe",
    }
