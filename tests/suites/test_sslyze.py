"""sslyze: what a site offers, against Mozilla's profiles of the same names, and the known holes of TLS servers."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit import EdgeKit, Pki
from tests.suites.peers import Nginx, found

Edges = Callable[..., EdgeKit]

ROUTE = '[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n'
VERSIONS = {"intermediate": {"tls_1_2", "tls_1_3"}, "modern": {"tls_1_3"}}
TRIED = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3")
MORE = ("--early_data", "--resum")

NOT_OURS = {"maximum_certificate_lifespan"}
"""What the certificate's owner answers for: how long the one that he brings is valid."""


@pytest.mark.parametrize("policy", ["intermediate", "modern"])
def test_a_policy_is_mozillas_profile_of_that_name(
    edge: Edges, nginx: Nginx, pki: Pki, tmp_path: Path, policy: str
) -> None:
    """T09: old versions, renegotiation, compression, fallback, weak ciphers and curves, Heartbleed, ROBOT, CCS. T08."""
    # Some of sslyze's hellos name no server; it shall see what the site is like all the same.
    it = edge(ROUTE.format(port=nginx.ports["plaintext"]), site=f'policy = "{policy}"', listener='no_sni = "edge"')
    report = tmp_path / "report.json"
    command = [found("sslyze"), "--mozilla_config", policy, *MORE, "--sni", "a.test", "--json_out", str(report)]
    command += ["--certinfo_ca_file", str(pki.public.file), f"127.0.0.1:{it.port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    (server,) = json.loads(report.read_text())["server_scan_results"]
    scan: dict[str, dict[str, Any]] = server["scan_result"]
    assert {k: v["status"] for k, v in scan.items() if v["status"] not in {"COMPLETED", "NOT_SCHEDULED"}} == {}

    def result(of: str) -> Any:
        assert scan[of]["status"] == "COMPLETED", of
        return scan[of]["result"]

    assert {v for v in TRIED if result(f"{v}_cipher_suites")["is_tls_version_supported"]} == VERSIONS[policy]
    assert not result("heartbleed")["is_vulnerable_to_heartbleed"]
    assert not result("openssl_ccs_injection")["is_vulnerable_to_ccs_injection"]
    assert result("robot")["robot_result"].startswith("NOT_VULNERABLE")
    assert not result("session_renegotiation")["is_vulnerable_to_client_renegotiation_dos"]
    assert not result("tls_compression")["supports_compression"]
    assert not result("tls_1_3_early_data")["supports_early_data"]
    issues = set(re.findall(r"^ *\* (\w+): ", done.stdout.partition("COMPLIANCE AGAINST")[2], re.M))
    assert issues <= NOT_OURS, done.stdout
    assert ("OK - Compliant" in done.stdout) == (not issues), done.stdout
    assert it.status()["panics"] == 0
