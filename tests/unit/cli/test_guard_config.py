"""What a guard runs: whom it admits it demands, whom it believes it names, and what is written at the edge fits it."""

from __future__ import annotations

import datetime as dt
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from everyhop.cli.guard_config import BELIEVED, Enrolled, Files, Guarded, at_the_edge, configuration
from everyhop.compile import compile_file

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
WHO = ["edge.internal", "spiffe://corp.example/edge"]
BY_FILES = Guarded(Path("/g"), "[::]:8443", "127.0.0.1:80", WHO, Files(Path("a.pem"), Path("a.key")), Path("/ca.pem"))
BY_TOKEN = replace(BY_FILES, own=Enrolled("ca.test:7443", "file:/t", Path("/g/identity")), ca=None)


def read(it: Guarded) -> dict[str, Any]:
    return tomllib.loads(configuration(it))


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("it", [BY_FILES, BY_TOKEN, replace(BY_TOKEN, ca=Path("/ca.pem"))])
def test_a_guard_demands_a_certificate_lets_in_who_is_admitted_and_sends_it_to_its_backend_alone(
    it: Guarded, tcp: bool
) -> None:
    given = read(replace(it, tcp=tcp))
    (site,), (route,), (listener,) = given["site"], given["route"], given["listener"]
    assert site["clients"]["mode"] == "require" and route["allow"] == {"clients": WHO}
    assert (route["to"], route["tls"], listener["bind"]) == (["127.0.0.1:80"], "plaintext", ["[::]:8443"])
    # Only who is admitted is believed, and only where there are fields to be believed in.
    believed = {"clients": WHO, "believe": BELIEVED}
    assert listener.get("trusted_proxies") == (None if tcp else believed)
    assert route.get("protocol") == ("tcp" if tcp else None)
    assert "protocol" not in read(it)["route"][0], "HTTP is read unless it is said otherwise"
    plan = compile_file("guard.toml", now=NOW, files="skip", text=configuration(replace(it, tcp=tcp))).plan
    assert plan.sites[0].clients.mode == "require"


def test_whom_it_believes_comes_with_its_certificate_or_from_what_was_said() -> None:
    said = replace(BY_TOKEN, ca=Path("/ca.pem"))
    for it, clients in (
        (BY_TOKEN, {"ca": "identity:guard", "crl": "identity:guard"}),
        (said, {"ca": "/ca.pem"}),
        (replace(said, crl="/list.pem"), {"ca": "/ca.pem", "crl": "/list.pem"}),
        (replace(said, crl="list.pem"), {"ca": "/ca.pem", "crl": str(Path("list.pem").absolute())}),
        (replace(said, crl="https://lists.test/ca"), {"ca": "/ca.pem", "crl": "https://lists.test/ca"}),
        (replace(said, crl="http://lists.test/ca"), {"ca": "/ca.pem", "crl": "http://lists.test/ca"}),
    ):
        assert read(it)["site"][0]["clients"] == {**clients, "mode": "require"}


def test_its_certificate_is_that_of_files_or_one_that_comes_and_no_token_is_written_but_by_where_it_lies() -> None:
    given = read(BY_FILES)
    here = Path.cwd()
    assert "identity" not in given
    assert given["site"][0]["certs"] == [{"chain": f"{here}/a.pem", "key": f"file:{here}/a.key"}]
    given = read(BY_TOKEN)
    assert given["site"][0]["certs"] == [{"identity": "guard"}]
    (identity,) = given["identity"]
    assert identity == {
        "name": "guard",
        "from": "ca",
        "authority": "ca.test:7443",
        "token": "file:/t",
        "state": "/g/identity",
    }
    (identity,) = read(replace(BY_TOKEN, own=Enrolled("ca.test:7443", None, Path("/g/identity"))))["identity"]
    assert "token" not in identity


def test_what_is_said_with_quotes_in_it_stays_one_word() -> None:
    odd = Path('/a "b"\n[admin] \U0001f600')
    given = read(replace(BY_FILES, folder=odd))
    assert given["admin"] == {"socket": str(odd / "admin.sock")} and given["log"]["access"] == str(odd / "access.log")


@pytest.mark.parametrize(
    ("names", "workload", "known"),
    [
        (["a.test", "b.test"], None, 'name = "a.test"'),
        (["*.test", "b.test"], "spiffe://corp.example/b", 'name = "b.test"'),
        (["*.test"], "spiffe://corp.example/b", 'spiffe = "spiffe://corp.example/b"'),
        ([], "spiffe://corp.example/b", 'spiffe = "spiffe://corp.example/b"'),
        ([], None, 'name = "NAME"'),
        (["*.test"], None, 'name = "NAME"'),
    ],
)
def test_what_is_written_at_the_edge_verifies_the_guard_by_what_its_certificate_says(
    names: list[str], workload: str | None, known: str
) -> None:
    for it, by in ((BY_FILES, 'ca = "/ca.pem"'), (BY_TOKEN, 'ca = "identity:IDENTITY", crl = "identity:IDENTITY"')):
        rows = [row.strip() for row in at_the_edge(it, names, workload)]
        assert 'to = ["THIS-HOST:8443"]' in rows and 'tls = "mutual"' in rows
        assert f"verify = {{ {by}, {known} }}" in rows
        (shows,) = (row for row in rows if row.startswith("present = "))
        assert ('authority = "ca.test:7443"' in shows) == (it is BY_TOKEN)
