"""Secrets of ticket keys: what stands in the file is used as it is, told by a fingerprint alone, and random or refused."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from everyhop.compile import Compiled, compile_file
from everyhop.compile.ticket_keys import hours, unfit
from everyhop.errors import Refused
from tests.kit import Pki

SECRET = bytes(range(100, 148))


def compiled(pki: Pki, folder: Path, tickets: str, environ: dict[str, str] | None = None) -> Compiled:
    text = (
        'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:8443"]\n[[site]]\nname = "s"\nhosts = ["a.test"]\n'
        f'certs = [{{ chain = "{pki.folder}/edge.pem", key = "file:{pki.folder}/edge.key" }}]\n'
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n{tickets}'
    )
    return compile_file(folder / "everyhop.toml", text=text, environ=environ or {})


def written(folder: Path, name: str, data: bytes = SECRET) -> Path:
    path = folder / name
    path.touch(0o600)
    path.write_bytes(data)
    return path


def of_tickets(it: Compiled) -> dict[str, object]:
    return {str(e["id"]): e["chain_sha256"] for e in it.material.entries if str(e["id"]).startswith("tickets/")}


@pytest.mark.parametrize(
    "data", [SECRET, b" " + SECRET[1:], SECRET.hex().encode() + b"\n"], ids=["bytes", "a space", "text"]
)
def test_the_engine_is_given_the_bytes_of_the_file_in_the_order_of_the_file(
    pki: Pki, tmp_path: Path, data: bytes
) -> None:
    written(tmp_path, "one.key", data)
    written(tmp_path, "two.key", bytes(range(48)))
    it = compiled(pki, tmp_path, '[tickets]\nkey = ["file:one.key", "file:two.key"]\nrotate = "3h"\n')
    assert [base64.b64decode(t) for t in json.loads(it.material.blob)["tickets"]] == [data, bytes(range(48))]
    assert it.plan.tickets is not None
    assert (it.plan.tickets.keys, it.plan.tickets.rotate_s) == (["file:one.key", "file:two.key"], 10_800)
    assert {tmp_path / "one.key", tmp_path / "two.key"} <= {*it.watched}
    assert list(of_tickets(it)) == ["tickets/0", "tickets/1"]


def test_without_tickets_nothing_of_them_is_sent(pki: Pki, tmp_path: Path) -> None:
    it = compiled(pki, tmp_path, "")
    assert it.plan.tickets is None and "tickets" not in json.loads(it.material.blob) and of_tickets(it) == {}


def test_what_is_told_of_a_secret_is_a_fingerprint_that_is_the_same_at_every_edge(pki: Pki, tmp_path: Path) -> None:
    marks = []
    for name, data in (("here", SECRET), ("there", SECRET), ("other", bytes(range(48)))):
        (tmp_path / name).mkdir()
        written(tmp_path / name, "one.key", data)
        it = compiled(pki, tmp_path / name, '[tickets]\nkey = "file:one.key"\n')
        marks.append(of_tickets(it))
        shown = it.plan_json + json.dumps(it.material.entries) + repr(it) + repr(it.material)
        for form in (data.hex(), base64.b64encode(data).decode(), repr(data)[2:-1], repr(data)):
            assert form not in shown
    assert marks[0] == marks[1] != marks[2]


def test_a_secret_comes_from_the_environment_and_from_systemd_too(pki: Pki, tmp_path: Path) -> None:
    written(tmp_path, "tickets")
    text = SECRET.hex()
    for tickets, environ, data in (
        ('key = "env:TICKETS"', {"TICKETS": text}, text.encode()),
        ('key = "cred:tickets"', {"CREDENTIALS_DIRECTORY": str(tmp_path)}, SECRET),
    ):
        it = compiled(pki, tmp_path, f"[tickets]\n{tickets}\n", environ)
        assert [base64.b64decode(t) for t in json.loads(it.material.blob)["tickets"]] == [data]


def test_a_secret_that_is_refused_is_shown_nowhere(pki: Pki, tmp_path: Path) -> None:
    written(tmp_path, "typed.key", b"correct horse battery staple hunter2")
    with pytest.raises(Refused) as refusal:
        compiled(pki, tmp_path, '[tickets]\nkey = "file:typed.key"\n')
    assert [f.slug for f in refusal.value.findings] == ["tickets/key"]
    assert "horse" not in str(refusal.value.findings)


def test_what_is_random_is_taken_in_bytes_hexadecimal_and_base64() -> None:
    for secret in (os.urandom(n) for n in (32, 33, 48, 4096) for _ in range(200)):
        assert unfit(secret) is None, secret
        for text in (secret[:48].hex().encode(), base64.b64encode(secret[:48])):
            assert unfit(text) is None and unfit(text + b"\n") is None, text


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (bytes(range(31)), "31 bytes"),
        (bytes(range(256)) * 17, "4352 bytes"),
        (b"0123456789abcdef" * 3, "48 hexadecimal digits"),
        (b"abcdefghijklmnopqrstuvwxyz 0123456789 .-_!", "42 characters"),
        (b"\n" * 10 + b"passphrase of a team" + b"\n" * 30, "20 characters"),
        (bytes(48), "1 different bytes"),
        (b"changeme" * 8, "7 different characters"),
        (b"-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49", "is PEM"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_what_is_not_random_or_too_short_is_none(data: bytes, what: str) -> None:
    assert what in (unfit(data) or "")


@pytest.mark.parametrize("text", ["0h", "85h", "1", "h", "1H", "01.5h", "1d", " 1h", "1h ", "-1h", "1000h", "", "١h"])
def test_what_is_no_number_of_hours_that_may_be_is_none(text: str) -> None:
    assert hours(text) is None


def test_hours_from_one_to_three_and_a_half_days_are_taken() -> None:
    assert [hours(f"{n}h") for n in range(1, 85)] == list(range(1, 85))


@pytest.mark.parametrize(
    ("key", "column"), [('"file:bad.key"', 7), ('["file:one.key", "file:bad.key"]', 24)], ids=["one", "of two"]
)
def test_a_secret_that_cannot_be_used_is_refused_where_it_is_named(
    pki: Pki, tmp_path: Path, key: str, column: int
) -> None:
    written(tmp_path, "one.key")
    written(tmp_path, "bad.key", b"short")
    with pytest.raises(Refused) as refusal:
        compiled(pki, tmp_path, f"[tickets]\nkey = {key}\n")
    assert [(f.place.line, f.place.column) for f in refusal.value.findings] == [(15, column)]
