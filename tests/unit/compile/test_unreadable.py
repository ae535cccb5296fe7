"""Whatever a library raises over a file that it did not expect becomes a finding with a place, never an error of ours."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from everyhop.compile.reading import read
from everyhop.compile.world import ends_at
from everyhop.demo.certificates import Authority
from everyhop.errors import Refused
from everyhop.identity import Roots, Unusable, read_crl, read_pair, read_roots

DEEP = 100_000
"""Far beyond Python's own bound; in C this many took the stack, and the process with it."""

TEXTS = {
    "arrays.toml": ("version = 1\na = " + "[" * DEEP + "]" * DEEP, 2),
    "tables.toml": ("version = 1\n" + "[" + "a." * 90 + "b]\nx = 1\n", 2),
    "keys.toml": ("version = 1\n\na." + "b." * 900 + "c = 1\n", 3),
    "inline.toml": ("version = 1\na = " + "{a = " * 5000, 2),
    "digits.toml": ("version = 1\n\nx = " + "9" * 5000, 3),
    "flow.yaml": ("version: 1\na: " + "[" * DEEP + "]" * DEEP, 2),
    "maps.yaml": ("version: 1\na: " + "{a: " * DEEP + "}" * DEEP, 2),
    "block.yaml": ("version: 1\na:\n " + "- " * DEEP + "x", 3),
    "digits.yaml": ("version: 1\nx: " + "9" * 5000, 2),
    "escape.yaml": ('version: 1\nx: "\\ud800"', 2),
    "date.yaml": ("version: 1\nx: 2024-99-99", 2),
    "nul.yaml": ("\0", 1),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_no_parser_expects_is_refused_at_its_place(name: str) -> None:
    text, line = TEXTS[name]
    with pytest.raises(Refused) as told:
        read(Path(name), text)
    (found,) = told.value.findings
    assert (found.slug, found.place.line) == ("config/syntax", line)


def test_the_last_day_of_the_calendar_has_an_end() -> None:
    import datetime as dt

    assert ends_at(dt.date.max) > ends_at(dt.date.max - dt.timedelta(days=1))
    assert ends_at(dt.date(2026, 12, 31)) == dt.datetime(2027, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    it = tmp_path_factory.mktemp("certificates")
    Authority(it, "Some CA").leaf("leaf", "a.test")
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp112r1", "-nodes"]
    command = [*request, "-subj", "/CN=a.test", "-keyout", str(it / "odd.key"), "-out", str(it / "odd.pem")]
    subprocess.run(command, check=True, capture_output=True)
    (it / "binary.key").write_bytes(b"\xff\xfe a remark\n" + (it / "leaf.key").read_bytes())
    (it / "binary.key").chmod(0o600)
    return it


def test_a_good_pair_is_the_baseline(folder: Path) -> None:
    assert read_pair("leaf.pem", "file:leaf.key", folder, {}).names == ("a.test",)


@pytest.mark.parametrize(("chain", "key"), [("odd.pem", "leaf.key"), ("odd.pem", "odd.key"), ("leaf.pem", "odd.key")])
def test_a_curve_that_nobody_knows_is_unusable(folder: Path, chain: str, key: str) -> None:
    with pytest.raises(Unusable) as told:
        read_pair(chain, f"file:{key}", folder, {})
    assert told.value.slug.startswith("certificate/")


def test_a_remark_of_bytes_that_are_no_text_is_passed_over(folder: Path) -> None:
    assert read_pair("leaf.pem", "file:binary.key", folder, {}).key_pem == (folder / "leaf.key").read_bytes()
    (folder / "remark.key").write_bytes(b"\xff\xfe a remark\n")
    (folder / "remark.key").chmod(0o600)
    with pytest.raises(Unusable):
        read_pair("leaf.pem", "file:remark.key", folder, {})


@pytest.mark.parametrize("at", range(40, 400, 9))
def test_a_certificate_with_one_wrong_byte_is_read_or_unusable(folder: Path, at: int) -> None:
    """Names, dates, keys and extensions are parsed late: wherever it is wrong, nothing else comes of it."""
    import base64

    lines = (folder / "leaf.pem").read_text().splitlines()
    der = bytearray(base64.b64decode("".join(lines[1:-1])))
    der[at % len(der)] ^= 0x55
    body = base64.encodebytes(bytes(der)).decode()
    wrong = folder / "wrong.pem"
    wrong.write_text(f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")
    for reading in (
        lambda: read_pair("wrong.pem", "file:leaf.key", folder, {}),
        lambda: read_roots("wrong.pem", folder),
        lambda: read_crl("wrong.pem", Roots(pem=wrong.read_bytes(), sha256="", files={}), folder, "clients"),
    ):
        try:
            reading()
        except Unusable:
            continue
