"""What is shipped to run a guard with: a unit, an image's recipe, a manifest. Each is read as whoever runs it reads it, and its words are
given to the command."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.nursery import everyhop

ROOT = Path(__file__).parents[2]
UNIT, EDGES = (ROOT / "deploy/systemd" / name for name in ("everyhop-guard.service", "everyhop.service"))
RECIPE = ROOT / "deploy/container/guard.Dockerfile"
MANIFEST = ROOT / "deploy/kubernetes/guard.yaml"


def configured(*words: str) -> dict[str, Any]:
    """What the command makes of these words."""
    done = everyhop("guard", *words, "--print-config")
    assert done.returncode == 0, done.stderr
    return tomllib.loads(done.stdout)


def section(unit: Path) -> list[tuple[str, str]]:
    """`[Service]`, with what is said several times."""
    rows = unit.read_text().replace("\\\n", " ").partition("[Service]\n")[2].partition("[Install]")[0].splitlines()
    return [(name, value) for name, _, value in (row.partition("=") for row in rows if row and row[0] != "#")]


def test_the_unit_runs_a_guard_that_keeps_its_certificate_where_the_unit_lets_it() -> None:
    said = dict(section(UNIT))
    program, *words = shlex.split(said["ExecStart"])
    assert program == "/usr/local/bin/everyhop" and words[0] == "guard"
    config = configured(*words[1:])
    (identity,) = config["identity"]
    state = f"/var/lib/{said['StateDirectory']}"
    assert identity["state"] == f"{state}/identity" and said["StateDirectoryMode"] == "0700"
    credential, _, _ = said["LoadCredential"].partition(":")
    assert identity["token"] == f"cred:{credential}"
    assert shlex.split(said["ExecReload"])[1:] == ["reload", "--config", f"{state}/guard.toml"]
    assert config["admin"]["socket"] == f"{state}/admin.sock"
    assert said["Environment"] == f"XDG_RUNTIME_DIR={state}"


def test_the_units_of_guard_and_edge_forbid_the_same() -> None:
    """What everyhop.service forbids has been looked at row by row: docs/reference/systemd-hardening.md."""
    its_own = {
        *("ExecStart", "ExecReload", "LoadCredential", "Environment", "RuntimeDirectory", "RuntimeDirectoryMode"),
        *("StateDirectory", "LogsDirectory", "RestartSec", "RestartPreventExitStatus", "RuntimeDirectoryPreserve"),
    }
    guard, edge = ([row for row in section(unit) if row[0] not in its_own] for unit in (UNIT, EDGES))
    # A guard inspects nothing, so that none of its processes goes behind others by it.
    assert guard == [(name, value.replace("capset setpriority ", "capset ")) for name, value in edge]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text().replace("/usr/local/bin/everyhop", str(Path(sys.executable).with_name("everyhop")))
    unit = tmp_path / UNIT.name
    unit.write_text(text)
    unit.chmod(0o644)
    verify = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    done = subprocess.run(verify, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, [row for row in done.stderr.splitlines() if UNIT.name in row]) == (0, []), done.stderr
    unit.write_text(text.replace("WatchdogSec=30", "WatchdogSec=soon"))
    done = subprocess.run(verify, capture_output=True, text=True, timeout=60, check=False)
    assert f"{UNIT.name}:" in done.stderr and "soon" in done.stderr, "the baseline: it would have said so"


def test_the_image_keeps_its_state_where_the_recipe_makes_room_for_it() -> None:
    said = dict(re.findall(r"^(ENTRYPOINT|CMD|VOLUME|USER) (.*)$", RECIPE.read_text(), re.M))
    program, *words = json.loads(said["ENTRYPOINT"])
    assert program == "everyhop" and words.pop(0) == "guard" and said["USER"] == "10001:10001"
    config = configured(
        *words, *shlex.split("--listen :8443 --to 127.0.0.1:8080 --admit edge.internal --enroll ca.internal:7443")
    )
    assert config["identity"][0]["state"] == f"{said['VOLUME']}/identity"
    assert f"\nENV XDG_RUNTIME_DIR={said['VOLUME']}\n" in RECIPE.read_text()
    assert f"-m 0700 -o everyhop -g everyhop {said['VOLUME']}\n" in RECIPE.read_text()
    assert everyhop("guard", *words, *json.loads(said["CMD"])).returncode == 0
    base = (ROOT / "deploy/container/Dockerfile").read_text()
    assert "useradd --uid 10001 " in base and 'ENTRYPOINT ["everyhop"]' in base


def test_the_manifest_lets_edges_to_the_guard_and_the_guard_to_its_files() -> None:
    deployment, service, policy = yaml.safe_load_all(MANIFEST.read_text())
    spec = deployment["spec"]["template"]["spec"]
    (guard,) = spec["initContainers"]
    (backend,) = spec["containers"]
    assert guard["restartPolicy"] == "Always" and guard["args"][0] == "guard"
    config = configured(*guard["args"][1:])
    (port,) = guard["ports"]
    assert config["listener"][0]["bind"] == [f"[::]:{port['containerPort']}"]
    assert config["route"][0]["to"] == [backend["env"][0]["value"]] and "ports" not in backend
    for it in (service["spec"]["ports"][0]["targetPort"], policy["spec"]["ingress"][0]["ports"][0]["port"]):
        assert it == port["name"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels == service["spec"]["selector"] == policy["spec"]["podSelector"]["matchLabels"]
    mounts = {it["mountPath"]: it for it in guard["volumeMounts"]}
    volumes = {it["name"]: it for it in spec["volumes"]}
    (shown,) = config["site"][0]["certs"]
    for file in (shown["chain"], shown["key"].removeprefix("file:"), config["site"][0]["clients"]["ca"]):
        mount = mounts[str(Path(file).parent)]
        # What key_bytes refuses is any right of others, and writing by the group.
        assert mount["readOnly"] and volumes[mount["name"]]["secret"]["defaultMode"] & 0o027 == 0
    state = Path(config["admin"]["socket"]).parent
    assert (
        "emptyDir" in volumes[mounts[str(state.parent)]["name"]] and guard["securityContext"]["readOnlyRootFilesystem"]
    )


def test_the_page_names_what_is_shipped() -> None:
    page = (ROOT / "docs/how-to/guard-a-backend.md").read_text()
    for file in (UNIT, RECIPE, MANIFEST):
        assert str(file.relative_to(ROOT)) in page
