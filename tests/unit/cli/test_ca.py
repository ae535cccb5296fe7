"""`everyhop ca` as somebody calls it: what it prints is so, what it refuses it refuses with the way out, and no secret is in any of it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.kit.own_ca import PASSPHRASE, OwnCa
from tests.unit.cli.test_cli import cli

pytestmark = pytest.mark.thorough


@pytest.fixture
def own(tmp_path: Path) -> OwnCa:
    return OwnCa(tmp_path, "--domain", "corp.example")


def test_what_is_told_of_a_new_authority_and_of_what_it_issues_is_so(own: OwnCa, tmp_path: Path) -> None:
    leaf = own.leaf(tmp_path / "a", "a.corp.example")
    (cert, issuer) = x509.load_pem_x509_certificates(leaf.chain.read_bytes())
    key = load_pem_private_key(leaf.key.read_bytes(), None)
    assert key.public_key() == cert.public_key()
    assert leaf.key.stat().st_mode & 0o777 == 0o600 and leaf.chain.stat().st_mode & 0o777 == 0o644
    cert.verify_directly_issued_by(issuer)
    told = own.list()
    (one,) = told["certificates"]
    assert int(one["serial"], 16) == cert.serial_number and one["names"] == ["a.corp.example"]
    assert one["state"] == "in force" and one["ends"] == cert.not_valid_after_utc.isoformat()
    assert told["troubles"] == [] and told["name"] == "corp.example"
    (generation,) = told["generations"]
    assert generation["ends"] == issuer.not_valid_after_utc.isoformat()
    shown = own.does("list")
    assert one["serial"] in shown and "1 in force, 1 issued in all" in shown
    for file in ("roots.pem", "crl.pem"):
        assert (own.at / file).read_bytes() == (own.public / file).read_bytes()
    said = own.does("revoke", "a.corp.example", "--reason", "superseded")
    assert one["serial"] in said and str(own.public / "crl.pem") in said
    (one,) = own.list()["certificates"]
    assert (one["state"], one["reason"]) == ("revoked", "superseded")
    assert one["serial"] not in own.does("list") and one["serial"] in own.does("list", "--all")


def test_tokens_are_listed_by_their_hash_and_withdrawn_and_no_secret_is_shown(own: OwnCa) -> None:
    tokens = [own.does("token", name).strip() for name in ("a.corp.example", "b.corp.example")]
    listed = json.loads(own.does("token", "--list", "--json"))["tokens"]
    assert [(it["names"], it["state"]) for it in listed] == [(["a.corp.example"], "good"), (["b.corp.example"], "good")]
    shown = own.does("token", "--list")
    assert listed[0]["sha256"][:12] in shown and "2 good" in shown
    said = own.does("token", "--withdraw", listed[0]["sha256"][:12])
    assert "a.corp.example" in said and "b.corp.example" not in said
    after = own.does("token", "--list")
    assert (
        "1 good" in after and "a.corp.example" not in after and "a.corp.example" in own.does("token", "--list", "--all")
    )
    assert not any(it.split(".")[1] in text for it in tokens for text in (shown, said, after))
    for wrong in (["--withdraw", "a.corp.example"], ["c.corp.example", "--list"], ["--list", "--withdraw", "x"], []):
        done = own.asked("token", *wrong)
        assert done.returncode == 2 and "everyhop:" in done.stderr


def test_a_name_that_two_have_is_not_guessed_at(own: OwnCa, tmp_path: Path) -> None:
    own.leaf(tmp_path / "a", "a.corp.example")
    own.leaf(tmp_path / "b", "a.corp.example", "b.corp.example")
    done = own.asked("revoke", "a.corp.example")
    serials = [it["serial"] for it in own.list()["certificates"]]
    assert done.returncode == 2 and all(it in done.stderr for it in serials)
    assert {it["state"] for it in own.list()["certificates"]} == {"in force"}
    own.does("revoke", serials[0])
    assert [it["state"] for it in own.list()["certificates"] if it["serial"] == serials[0]] == ["revoked"]
    own.does("revoke", "a.corp.example", "--all")
    assert {it["state"] for it in own.list()["certificates"]} == {"revoked"}
    assert own.asked("revoke", "nobody.corp.example").returncode == 2


REFUSED = [
    (["issue", "evil.example"], 1, "outside of what 'corp.example' certifies"),
    (["issue", "10.0.0.1"], 1, "of addresses it certifies none"),
    (["issue", "*.corp.example"], 2, "wildcard"),
    (["issue", "a.corp.example", "--lifetime", "398d"], 1, "397 days at most"),
    (["issue", "a.corp.example", "--lifetime", "soon"], 2, "--lifetime takes"),
    (["issue", "a.corp.example", "--for", "everything"], 2, "--for takes"),
    (["issue"], 2, "say for whom"),
    (["issue", "a.corp.example", "--csr", "nowhere.csr"], 4, "nowhere.csr cannot be read"),
    (["issue", "a.corp.example", "--out", "/nowhere/a"], 4, "/nowhere is no folder"),
    (["revoke", "AB"], 2, "no certificate in force"),
    (["revoke", "AB", "--reason", "whim"], 2, "--reason takes"),
    (["rotate", "--activate"], 2, "no rotation is under way"),
    (["rotate", "--retire"], 2, "nothing is there but what issues"),
    (["rotate", "--force"], 2, "one step at a time"),
    (["init", "--domain", "corp.example"], 4, "not empty"),
    (["crl", "--to", "/nowhere"], 4, "cannot write /nowhere/roots.pem"),
]


def test_what_cannot_be_is_refused_with_its_code_and_changes_nothing(own: OwnCa) -> None:
    before = own.list()["certificates"]
    for arguments, code, says in REFUSED:
        act, *more = arguments
        if act == "init":
            more += ["--passphrase-file", str(own.passphrase)]
        done = own.asked(act, *more)
        assert (done.returncode, says in done.stderr) == (code, True), (arguments, done.stderr)
        assert "Traceback" not in done.stderr
    assert own.list()["certificates"] == before


def test_init_wants_to_know_for_what_and_a_passphrase_that_nobody_guesses(tmp_path: Path) -> None:
    made = tmp_path / "ca"
    short, exposed = tmp_path / "short", tmp_path / "exposed"
    for file, text, mode in ((short, "secret\n", 0o600), (exposed, f"{PASSPHRASE}\n", 0o644)):
        file.write_text(text)
        file.chmod(mode)
    for more, code, says in [
        ([], 2, "say what it certifies"),
        (["--domain", "corp.example", "--passphrase-file", str(short)], 2, "12 letters at least"),
        (["--domain", "corp.example", "--passphrase-file", str(exposed)], 4, "can be used by others (mode 0644)"),
        (["--domain", "corp.example", "--publish", "/nowhere"], 4, "/nowhere is no folder"),
        (["--network", "10.0.0.1/8"], 2, "is no network"),
        (["--trust-domain", "Corp"], 2, "is no trust domain"),
        (["--domain", "corp.example", "--passphrase", PASSPHRASE], 2, "passphrase"),
    ]:
        done = cli("ca", "init", str(made), *more)
        assert (done.returncode, says in done.stderr) == (code, True), (more, done.stderr)
        assert not made.exists() and PASSPHRASE not in done.stderr


def test_a_passphrase_is_asked_for_where_somebody_sits(tmp_path: Path) -> None:
    """And neither shown nor written down."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "everyhop", "ca", "init", str(tmp_path / "ca"), "--domain", "corp.example"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    said = b""
    for question in (b"passphrase of the root: ", b"the same again: "):
        while question not in said:
            said += os.read(ours, 4096)
        os.write(ours, f"{PASSPHRASE}\n".encode())
    with open(ours, "rb", buffering=0) as screen:
        try:
            while more := screen.read(4096):
                said += more
        except OSError:  # how the end of a terminal is told
            pass
    assert process.wait(60) == 0, said
    assert b"made 'corp.example'" in said and PASSPHRASE.encode() not in said
    assert all(PASSPHRASE.encode() not in p.read_bytes() for p in (tmp_path / "ca").rglob("*") if p.is_file())


def test_a_request_of_another_is_certified_by_the_command_and_its_key_stays_there(own: OwnCa, tmp_path: Path) -> None:
    key, csr = tmp_path / "theirs.key", tmp_path / "theirs.csr"
    make = [
        "openssl",
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=x",
    ]
    make += ["-keyout", str(key), "-out", str(csr)]
    subprocess.run([*make, "-addext", "subjectAltName=DNS:a.corp.example"], check=True, capture_output=True)
    own.does("issue", "--csr", str(csr), "--out", str(tmp_path / "theirs"))
    cert = x509.load_pem_x509_certificates((tmp_path / "theirs.pem").read_bytes())[0]
    assert load_pem_private_key(key.read_bytes(), None).public_key() == cert.public_key()
    subprocess.run([*make, "-addext", "basicConstraints=CA:TRUE"], check=True, capture_output=True)
    done = own.asked("issue", "a.corp.example", "--csr", str(csr))
    assert done.returncode == 1 and "CA:TRUE" in done.stderr, done.stderr
    told = json.loads(own.does("issue", "a.corp.example", "--json", "--out", str(tmp_path / "mine")))
    assert told["key"] == str(tmp_path / "mine.key") and len(own.list()["certificates"]) == 2


def test_what_was_taken_back_and_not_published_is_told_until_it_is(own: OwnCa, tmp_path: Path) -> None:
    own.leaf(tmp_path / "a", "a.corp.example")
    before = own.lists.read_bytes()
    own.lists.unlink()
    own.public.rename(tmp_path / "elsewhere")
    done = own.asked("revoke", "a.corp.example")
    assert done.returncode == 4 and "taken back, and not published everywhere" in done.stderr
    (own.at / "crl.pem").write_bytes(before)
    assert own.list()["troubles"] == ["1 certificate(s) were taken back and are on no list: everyhop ca crl DIR"]
    (tmp_path / "elsewhere").rename(own.public)
    assert "the lists hold until" in own.does("crl", "--lifetime", "2d")
    (told,) = own.list()["troubles"]
    # In the same second it is two.
    assert re.match(r"the revocation lists end in (1 day|2 days), and then nobody is believed", told), told
    own.does("crl")
    assert own.list()["troubles"] == []
