"""What is kept of a certificate that is taken back comes back as it was, and what is none is nothing."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from everyhop.acme import Store
from everyhop.acme.judge import Chain
from everyhop.acme.problem import Problem
from everyhop.acme.revocations import FOLDER, REASONS, At, Revocation, Revocations, serial_of

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
ONE = Revocation(
    "0a1b",
    "shop",
    "sites/shop",
    "ecdsa-p256",
    "ff" * 32,
    "https://x/",
    "superseded",
    True,
    (NOW + DAY).timestamp(),
    "revoking",
    2,
    7.5,
    Problem("outage", "no answer"),
)


def chain(serial: int) -> Chain:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    return Chain(
        (x509.CertificateBuilder(name, name, key.public_key(), serial, NOW, NOW + DAY).sign(key, hashes.SHA256()),)
    )


def test_what_is_begun_is_there_after_a_restart_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    Revocations(store, NOW).begin(ONE, b"pem")
    it = Revocations(store, NOW)
    assert it.all == {"0a1b": ONE} and it.pem(ONE) == b"pem" and ONE.open


def test_the_next_step_begins_without_the_failures_of_the_one_before(tmp_path: Path) -> None:
    it = Revocations(Store(tmp_path / "s"), NOW)
    it.begin(ONE, b"pem")
    it.goes_on(ONE, "revoked")
    (found,) = Revocations(it.store, NOW).all.values()
    assert found == replace(ONE, at="revoked", failures=0, next_at=0.0, problem=None) and not found.open


@pytest.mark.parametrize(
    ("at", "unwanted", "revoked"),
    [
        ("replacing", True, False),
        ("revoking", True, False),
        ("revoked", True, True),
        ("refused", False, False),
    ],
)
def test_another_one_is_wanted_unless_the_authority_refused(
    at: At, unwanted: bool, revoked: bool, tmp_path: Path
) -> None:
    it, found = Revocations(Store(tmp_path / "s"), NOW), chain(0xA1B)
    assert serial_of(found) == "a1b" and not it.is_unwanted(found)
    it.put(replace(ONE, serial="a1b", at=at))
    assert (it.is_unwanted(found), it.is_revoked(found)) == (unwanted, revoked)
    assert not it.is_unwanted(chain(0xA1C))


def test_a_key_that_whoever_died_has_left_goes_with_the_next_start(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    Revocations(store, NOW).begin(replace(ONE, at="revoked"), b"pem")
    it = Revocations(store, NOW)
    assert list(it.all) == ["0a1b"] and it.pem(ONE) is None


@pytest.mark.parametrize("at", ["replacing", "revoking", "revoked", "refused"])
def test_nothing_is_kept_of_one_that_has_ended(at: At, tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    Revocations(store, NOW).begin(replace(ONE, at=at), b"pem")
    assert Revocations(store, NOW + 2 * DAY).all == {} and not list((store.folder / FOLDER).iterdir())


@pytest.mark.parametrize(
    "wrong",
    [{"at": "elsewhere"}, {"reason": "boredom"}, {"ends": "soon"}, {"problem": {"kind": "x"}}, {"failures": None}],
)
def test_what_is_none_is_nothing(wrong: dict[str, object], tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    store.write_json(f"{FOLDER}/0a1b.json", ONE.as_json())
    assert list(Revocations(store, NOW).all) == ["0a1b"]
    store.write_json(f"{FOLDER}/0a1b.json", ONE.as_json() | wrong)
    store.write(f"{FOLDER}/0a1c.json", b"{")
    assert Revocations(store, NOW).all == {}


def test_the_reasons_are_those_of_the_standard() -> None:
    """RFC 5280 §5.3.1."""
    for name, code in REASONS.items():
        words = name.split("-")
        flag = x509.ReasonFlags(words[0] + "".join(it.title() for it in words[1:]))
        assert {
            "unspecified": 0,
            "keyCompromise": 1,
            "affiliationChanged": 3,
            "superseded": 4,
            "cessationOfOperation": 5,
        }[flag.value] == code
