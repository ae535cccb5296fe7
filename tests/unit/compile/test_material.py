"""What the engine is given beside a plan: each kind of it by its own id, listed so that a change of it is one, and printed by nobody."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from everyhop.compile import Compiled, compile_file
from everyhop.compile.compiled import Material, Sealed
from everyhop.errors import Refused
from everyhop.identity.tokens import TokenKey
from everyhop.model.identity import PAIR
from tests.kit import Pki
from tests.kit.tokens import Issuer

TEXT = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{ chain = "edge.pem", key = "file:edge.key" }]
[[route]]
name = "r"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:1"]
"""
SECOND = dt.timedelta(seconds=1)
HASHED = "ann:$2y$05$abcdefghijklmnopqrstuuWzJ8lCUOzNxp1zX8MDqJqVJRVo6fqL2"


@pytest.fixture
def folder(pki: Pki, tmp_path: Path) -> Path:
    for name in ("edge.pem", "edge.key", "identity.pem", "identity.key"):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_bytes((pki.folder / name).read_bytes())
    return tmp_path


def compiled(folder: Path, more: str, now: dt.datetime | None = None) -> Compiled:
    return compile_file(folder / "everyhop.toml", now=now, text=TEXT + more)


def put(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(0o600)
    path.write_text(text)


def told(folder: Path, more: str, id_: str, kind: str) -> tuple[object, object]:
    """What the engine gets under the id, or nothing, and the mark that it is listed with."""
    it = compiled(folder, more)
    entries = {str(e["id"]): e for e in it.material.entries}
    assert entries[id_]["chain_sha256"] and entries[id_]["not_after_s"] is None
    return json.loads(it.material.blob).get(kind, {}).get(id_), entries[id_]["chain_sha256"]


def keys(by: Issuer) -> str:
    return json.dumps({"keys": [by.jwk()]})


KINDS: dict[str, tuple[str, tuple[str, str], Callable[[], str]]] = {
    "keys of an issuer": (
        '[[issuer]]\nname = "corp"\nissuer = "https://login.test"\naudience = "api"\nkeys = { file = "it" }\n'
        'algorithms = ["ES256"]\n[[issuer]]\nname = "far"\nissuer = "https://far.test"\naudience = "api"\n'
        'keys = { from = "https://far.test/keys", verify = { ca = "system" } }\nalgorithms = ["ES256"]\n',
        ("issuer/corp", "issuers"),
        lambda: keys(Issuer()),
    ),
    "users": (
        '[[route]]\nname = "u"\nhost = "a.test"\npath = "/u"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'
        'basic = { file = "it" }\n',
        ("users/it", "users"),
        lambda: f"{os.urandom(4).hex()}{HASHED}\n",
    ),
    "the password of a store": (
        '[[store]]\nname = "counters"\nto = ["127.0.0.1:6379"]\ntls = "plaintext"\npassword = "file:it"\n',
        ("store/counters", "stores"),
        lambda: os.urandom(16).hex(),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_given_by_its_id_and_what_changes_in_it_changes_its_mark(folder: Path, kind: str) -> None:
    more, (id_, where), text = KINDS[kind]
    seen = []
    for _ in range(2):
        put(folder / "it", text())
        seen.append(told(folder, more, id_, where))
    assert all(given for given, _ in seen) and seen[0][0] != seen[1][0] and seen[0][1] != seen[1][1]
    assert told(folder, more, id_, where) == seen[1], "the same file, the same mark"


def test_rules_of_our_own_are_listed_and_the_engine_is_given_none_of_them(folder: Path) -> None:
    waf = '[[waf]]\nname = "crs"\nextra = ["own.conf"]\n'
    seen = []
    for n in (1, 2):
        put(folder / "own.conf", f'SecRule ARGS "@streq {n}" "id:{n},phase:1,deny"\n')
        seen.append(told(folder, waf, "rules/own.conf", "rules"))
    assert [given for given, _ in seen] == [None, None] and seen[0][1] != seen[1][1]


def test_what_is_printed_of_it_shows_no_key_no_pin_and_nothing_that_was_read(folder: Path) -> None:
    key = TokenKey("pkcs11:token=t", "/usr/lib/module.so", b"4711", b"\x30\x00")
    it = Material([], "0", b"secret of a blob", {"site/s/0": key})
    assert "secret" not in repr(it) and "pkcs11" not in repr(it)
    assert "held" not in repr(Sealed(b"held")) and "held=" not in repr(compiled(folder, ""))


def coming(more: str) -> str:
    return f'[[identity]]\nname = "own"\n{more}\n'


@pytest.mark.parametrize(
    ("more", "mend"),
    [
        (
            coming('from = "ca"\nauthority = "ca.test:1"'),
            "everyhop status tells why it was not renewed; another token enrols it anew",
        ),
        (
            coming('from = "spiffe"\nagent = "unix:/run/agent.sock"\nid = "spiffe://corp.test/edge"'),
            "everyhop status tells why it was not renewed",
        ),
        (
            coming('chain = "identity.pem"\nkey = "file:identity.key"'),
            "renew it; the files are watched, no restart is needed",
        ),
    ],
    ids=["of an authority", "of an agent", "of files"],
)
def test_where_an_identity_has_ended_the_mend_is_that_of_who_renews_it(folder: Path, more: str, mend: str) -> None:
    (folder / "identities" / "own").mkdir(parents=True, mode=0o700)
    held = (folder / "identities" / "own" / PAIR).parent
    held.mkdir(mode=0o700)
    pem = (folder / "identity.pem").read_text()
    put(held / Path(PAIR).name, (folder / "identity.key").read_text() + pem)
    ends = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc
    with pytest.raises(Refused) as refused:
        compiled(folder, more, now=ends + SECOND)
    found = {f.place.line: f for f in refused.value.findings if f.slug == "certificate/expired"}
    lines = TEXT.count("\n")
    (line,) = (it for it in found if it > lines)
    assert found[line].what == f"identity 'own': the certificate ended on {ends:%Y-%m-%d}"
    assert found[line].mend == (mend,)
