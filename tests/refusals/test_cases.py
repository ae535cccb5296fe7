"""Each case is a wrong configuration, the slugs that refuse it, and its mend, which passes. Every slug has a case."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from everyhop.authority.enrolment import Token
from everyhop.compile import compile_file
from everyhop.demo.certificates import Authority
from everyhop.errors import Refused
from everyhop.refusals import ASKED, ONLINE, PAGES, Finding, merged, render, to_json
from everyhop.trust import CAPABILITIES
from everyhop.trust.kept import by_pattern
from tests.kit import Pki
from tests.kit.forge import BOTH, FETCHED, HOUR, Signer, alone, crl, forged, new_key, of_version_1, public, root
from tests.kit.forge import saved as save
from tests.kit.inspector import built
from tests.kit.tokens import Issuer, number
from tests.refusals import said

DAY = 24 * HOUR
ALONE: dict[str, Any] = {
    "alone": {},
    "alone-nameless": {"names": ()},
    "alone-for-clients": {"usages": (ExtendedKeyUsageOID.CLIENT_AUTH,)},
    "alone-weak": {"key": rsa.generate_private_key(65537, 1024)},
    "alone-old": {"begins": -96 * HOUR, "ends": -48 * HOUR},
    "alone-early": {"begins": 48 * HOUR},
    "alone-soon": {"ends": 4 * DAY},
}
"""Certificates that backends made for themselves, each wrong in one way but the first."""

CASES = sorted(Path(__file__).parent.glob("*.case"))
PRELUDE = """version = 1
[[listener]]
name = "public"
bind = ["127.0.0.1:8443"]
[[site]]
name = "edge"
hosts = ["a.test"]
certs = [{ chain = "edge.pem", key = "file:edge.key" }]
[[identity]]
name = "edge"
chain = "identity.pem"
key = "file:identity.key"
"""


def parts(path: Path) -> list[tuple[Path, str, str, str]]:
    """Where what is said of it stands, name, wrong text with its slugs in the first line, mended text."""
    found = []
    for block in re.split(r"^=== ", path.read_text(), flags=re.M)[1:]:
        head, _, rest = block.partition("\n")
        wrong, _, mended = rest.partition("--- mended\n")
        found.append((path.with_suffix(".said"), head.strip(), wrong, mended))
    return found


ALL = [it for path in CASES for it in parts(path)]


@dataclass(frozen=True)
class Made:
    """What cases refer to, and when it was made."""

    folder: Path
    now: dt.datetime


SAID = {path: said.blocks(path) for path, *_ in ALL}


@pytest.fixture(scope="module", autouse=True)
def written() -> Iterator[None]:
    """Where they are to be: of cases that did not run what was said before, of those that are gone nothing."""
    yield
    for path, found in SAID.items() if said.WRITES else ():
        said.write(path, {head: found[head] for of, head, *_ in ALL if of == path and head in found})


def judge(made: Made, text: str, *, yaml: bool = False) -> tuple[list[Finding], str]:
    """What is found, and how it is told."""
    full = text if "!whole" in text else PRELUDE + text
    path = made.folder / ("case.yaml" if yaml else "case.toml")
    path.write_text(full.replace("# !whole\n", ""))
    try:
        findings = compile_file(path, now=made.now).findings
    except Refused as e:
        findings = e.findings
    for finding in findings:
        stands_at_a_word(finding, path.read_text())
    shown = merged(findings)
    told = render(shown, {str(path): path.read_text()})
    for finding in shown:
        assert finding.what and finding.why and finding.mend, finding
        assert finding.place.line > 0, f"{finding} has no place"
        assert f"more  everyhop explain {finding.slug}" in told
    assert len(to_json(shown)) == len(shown)
    return findings, told


def stands_at_a_word(finding: Finding, text: str) -> None:
    """At a key or a value, not at a table or list that holds it among others; only a key that is missing stands nowhere."""
    for place in (finding.place, *finding.also):
        if not place.shown:
            continue  # in another file, of which nothing is told
        row = text.split("\n")[place.line - 1]
        marked = row[place.column - 1 :][: place.width]
        if finding.slug not in {"config/missing-key", "config/foreign", "config/syntax"}:
            assert marked.strip() and marked[0] not in "[{" and not row.startswith("["), (finding, marked)


def unsigned(path: Path) -> bytes:
    """The list with its signature's last bit the other way: as good as none."""
    der = bytearray(x509.load_pem_x509_crl(path.read_bytes()).public_bytes(Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_crl(bytes(der)).public_bytes(Encoding.PEM)


@pytest.fixture(scope="module")
def made(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """All of one day, however late it is: what is said of dates is held word by word. They tell whole seconds, and so does now."""
    while True:
        folder, now = tmp_path_factory.mktemp("cases"), dt.datetime.now(dt.UTC).replace(microsecond=0)
        shutil.copytree(pki.folder, folder, dirs_exist_ok=True)
        fill(folder)
        if dt.datetime.now(dt.UTC).date() == now.date():
            return Made(folder, now)


def fill(it: Path) -> None:
    authority = Authority(it, "Case CA")
    for name, days in (("edge", 800.0), ("identity", 800.0), ("old", -2.0), ("soon", 5.0)):
        authority.leaf(name, "a.test", days=days)
    authority.leaf("two", "two.test", days=800.0)
    authority.leaf("long", "two.test", days=900.0)
    authority.leaf("pki-edge", "*.w.test", days=800.0)
    crl(it / "revoked.crl", root(authority))
    crl(it / "stale.crl", root(authority), begins=-48 * HOUR, ends=-DAY)
    crl(it / "other.crl", root(Authority(it, "Other CA")))
    for name, more in ALONE.items():
        public(it, name, alone("alone.test", **more))
    crl(it / "alone.crl", root(authority))
    impostor = Signer(authority.cert, new_key("ec"))
    right, wrong = ((it / "revoked.crl").read_text(), crl(it / "forged.crl", impostor).read_text())
    (it / "mixed.crl").write_text(right + wrong)
    (it / "unsigned.crl").write_bytes(unsigned(it / "revoked.crl"))
    for name, mode in (
        ("open", 0o644),
        ("group-writes", 0o620),
        ("all-write", 0o602),
        ("all-run", 0o601),
        ("group-reads", 0o640),
    ):
        (it / f"{name}.key").write_bytes((it / "edge.key").read_bytes())
        (it / f"{name}.key").chmod(mode)
    for name, token in (("good", str(Token(bytes(32), bytes(32)))), ("wrong", "hunter2")):
        (it / f"{name}.token").touch(0o600)
        (it / f"{name}.token").write_text(f"{token}\n")
    for name, pin, mode in (("good", "hunter2\n", 0o600), ("empty", "\n", 0o600), ("open", "hunter2\n", 0o644)):
        (it / f"{name}.pin").touch(mode)
        (it / f"{name}.pin").write_text(pin)
        (it / f"{name}.pin").chmod(mode)
    (it / "empty.pem").write_text("")
    (it / "down.html").write_bytes(b"x" * 65_536)
    (it / "large.html").write_bytes(b"x" * 65_537)
    (it / "latin.html").write_bytes(b"<p>zur\xfcck</p>")
    (it / "zero.html").write_bytes(b"<p>\0</p>")
    (it / "blank.html").write_text(" \n")
    (it / "folder.html").mkdir()
    (it / "folder").mkdir(0o755)
    (it / "open-lists").mkdir()
    (it / "open-lists").chmod(0o777)
    odd_chains(it, root(authority))
    key_sets(it)
    users(it)
    rules(it)


BCRYPT = "$2y$10$4EdzJ7Uti4XCmlxOOf6O/uQKcQxedCw.IlzOmSBv5wrlF1IvZ1BEK"
"""Of htpasswd."""
ARGON2 = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$IWJR6forQfRjS4Y1mffdqnUx3GwYyJwSZsDZt9LHzUM"


def users(folder: Path) -> None:
    """Files of users: one that is good, and each with one thing wrong."""
    good = f"alice:{BCRYPT}\n"
    for name, text in {
        "users": f"# ours\n\n{good}bob:{ARGON2}:since 2024\n",
        "empty": "# nobody yet\n",
        "md5": f"{good}carol:$apr1$N0Rtrqza$535Gm7EyeYPAVawtcJWPh0\n",
        "sha1": "carol:{SHA}6dcfXufJLW3J6S/9rRe4vUlBj5g=\n",
        "crypt": f"carol:eBdFn5YQE6hJA\n{good}",
        "plain": f"carol:hunter2 is secret\n{good}",
        "argon2i": f"carol:{ARGON2.replace('argon2id', 'argon2i')}\n",
        "pasted": f"{good}hunter2 is secret\n",
        "blank": f" alice:{BCRYPT}\n",
        "cut": f"{good}carol:{BCRYPT[:40]}\n",
        "costly": f"carol:{BCRYPT.replace('$10$', '$16$')}\ndave:{ARGON2.replace('m=19456', 'm=1048576')}\n",
        "cheap": f"{good}carol:{BCRYPT.replace('$10$', '$05$')}\n",
        "twice": f"{good}bob:{ARGON2}\nalice:{ARGON2}\n",
    }.items():
        (folder / f"{name}.users").write_text(text)
    (folder / "latin.users").write_bytes(b"j\xf6rg:" + BCRYPT.encode() + b"\n")
    (folder / "large.users").write_text(good + "#" * 1_048_576)
    (folder / "many.users").write_text("".join(f"u{i}:{BCRYPT}\n" for i in range(10_001)))


def rules(folder: Path) -> None:
    """Of one's own, for the inspector: one file that is good, and others with one thing wrong each."""
    (folder / "own.conf").write_text('SecRule ARGS:q "@streq five" "id:101,phase:2,deny,status:403,msg:\'five\'"\n')
    (folder / "broken.conf").write_text('# ours\nSecRule ARGS "@rx (" "id:102,phase:2,deny"\n')
    (folder / "opens.conf").write_text('SecRule ARGS "@pmFromFile /etc/passwd" "id:103,phase:2,deny"\n')
    (folder / "latin.conf").write_bytes(b"# zur\xfcck\n")


KEYS = {kind: Issuer(kind) for kind in ("ES256", "RS256")}


def key_sets(folder: Path) -> None:
    """Of issuers of tokens: one that is good, and each with one thing wrong."""
    good = KEYS["ES256"].jwk()
    weak = rsa.generate_private_key(65537, 1024).public_key().public_numbers()
    for name, keys in {
        "keys": [good],
        "several": [good, KEYS["RS256"].jwk(use="enc", kid="for encryption")],
        "empty": [],
        "encryption": [{**good, "use": "enc"}],
        "broken": [good, {**good, "kid": "k2", "y": good["x"]}],
        "secret": [good, {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}],
        "private": [{**good, "d": good["x"]}],
        "weak": [{"kty": "RSA", "kid": "old", "n": number(weak.n), "e": "AQAB"}],
    }.items():
        (folder / f"{name}.json").write_text(json.dumps({"keys": keys}))
    (folder / "garbage.json").write_text("<html>not found</html>")
    (folder / "store.password").touch(0o600)
    (folder / "store.password").write_text("hunter2\n")
    for name, secret in {
        "tickets": bytes(range(100, 148)),
        "hex": bytes(range(32)).hex().encode() + b"\n",
        "short": bytes(range(31)),
        "short-hex": bytes(range(31)).hex().encode(),
        "typed": b"correct horse battery staple hunter2",
        "zeros": bytes(64),
        "pem": (folder / "edge.key").read_bytes(),
    }.items():
        (folder / f"{name}.secret").touch(0o600)
        (folder / f"{name}.secret").write_bytes(secret)
    (folder / "open.secret").write_bytes(bytes(range(48)))
    (folder / "large.json").write_text(json.dumps({"keys": [good]}) + " " * 262_144)


def odd_chains(folder: Path, by: Signer) -> None:
    """Chains and roots with one thing wrong, for identities."""

    def saved(file: str, it: Signer, *chain: Signer) -> None:
        save(folder, file, it, Signer(it.cert, it.key, [c.cert for c in chain]))

    odd = ec.generate_private_key(ec.SECP256K1())
    saved("v1", of_version_1("two", by))
    stapled = x509.TLSFeature([x509.TLSFeatureType.status_request])
    saved("stapled", forged("two", by, more=[stapled]))
    saved("rsa1024", forged("two", by, key=rsa.generate_private_key(65537, 1024)))
    saved("k1", forged("two", by, key=odd))
    middle, again = forged("Middle CA", by, ca=True), forged("Middle CA", by, ca=True)
    lower = forged("Lower CA", middle, ca=True)
    deep = forged("two", lower, ends=800 * DAY)
    for file, chain in {
        "rekeyed": (lower, again),
        "swapped": (middle, lower),
        "twice": (lower, lower, middle),
        "extra": (lower, again, middle),
        "deep": (lower, middle),
    }.items():
        saved(file, deep, *chain)
    old = forged("Old CA", by, ca=True, begins=-48 * HOUR, ends=-DAY)
    saved("below-old", forged("two", old, ends=800 * DAY), old)
    saved("fetched", forged("two", middle, ends=800 * DAY, more=[FETCHED]))
    saved("server-only", forged("two", by, ends=800 * DAY, usages=BOTH[:1]))
    saved("as-authority", forged("two", by, ends=800 * DAY, ca=True))
    weak = forged("Weak CA", by, ca=True, key=odd).cert.public_bytes(Encoding.PEM)
    (folder / "weak.pem").write_bytes(weak)
    (folder / "partly.pem").write_bytes(weak + (folder / "case-ca.pem").read_bytes())


@pytest.mark.parametrize(("path", "head", "wrong", "mended"), ALL, ids=[it[1] for it in ALL])
def test_a_wrong_configuration_is_refused_for_its_reason_and_in_its_words_and_its_mend_passes(
    made: Made, path: Path, head: str, wrong: str, mended: str
) -> None:
    today = made.now.date()
    stand_in = {"@today": today, "@later": today + 60 * DAY, "@too-late": today + 400 * DAY}

    def filled(text: str) -> str:
        for name, value in stand_in.items():
            text = text.replace(name, str(value))
        return text

    slug, _, severity = head.split(" ")[0].partition("!")
    if "[[waf]]" in wrong + mended and "!no-inspector" not in wrong:
        built()
    with pytest.MonkeyPatch.context() as patch:
        if "!no-inspector" in wrong:
            patch.setenv("EVERYHOP_WAF", "/nowhere/everyhop-waf")
        if "!no-spiffe" in wrong:
            patch.setattr("everyhop.compile.rules_identities.is_installed", lambda: False)
        found, told = judge(made, filled(wrong), yaml="yaml" in head)
    told = said.lasting(told, made.folder, today, wrong)
    if said.WRITES:
        SAID[path][head] = told
    assert told == SAID[path].get(head), f"{path.name} has other words; see {said.__name__}"
    assert slug in [f.slug for f in found], found
    assert {f.severity for f in found if f.slug == slug} == {severity or "refused"}
    after, _ = judge(made, filled(mended), yaml="yaml" in head)
    assert [f.slug for f in after if f.severity == "refused" or f.slug == slug] == []


def test_nothing_is_said_of_a_case_that_is_gone() -> None:
    heads = sorted((path, head) for path, head, *_ in ALL)
    assert heads == sorted((path, head) for path, found in SAID.items() for head in found)
    assert {*SAID} == {*Path(__file__).parent.glob("*.said")}


def test_every_slug_has_a_case() -> None:
    """But for those that the network is asked about: `tests/acme/test_online.py`."""
    assert {head.split(" ")[0].partition("!")[0] for _, head, _, _ in ALL} == set(PAGES) - ONLINE - ASKED


def test_every_capability_that_needs_something_or_is_not_built_has_a_case() -> None:
    slugs = ("route/requirement-not-built", "route/requirement-not-configured")
    wrong = {
        "".join(re.findall(r'^requires = \["(.*)"\]', text, re.M)) for _, head, text, _ in ALL if head.startswith(slugs)
    }
    assert wrong == {name for name, row in CAPABILITIES.items() if not row.built or row.check is not by_pattern}
