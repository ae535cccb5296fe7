"""`everyhop probe --grade`, of servers that others wrote and of our own edge: each sentence is said of a server of which it is true, and
of no other. The baseline is an edge of which nothing is said; each test changes one thing, and all that is said is compared.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from everyhop.demo.backends import Backend
from everyhop.demo.certificates import Leaf
from everyhop.demo.stage import free_port
from everyhop.identity import sha256
from tests.kit import EdgeKit, Pki, Raw
from tests.kit.forge import FETCHED, HOUR, alone, forged, of_version_1, root, saved, wrapped
from tests.kit.nursery import everyhop
from tests.kit.old_tls import Served, nginx, openssl
from tests.kit.raw import Record, server_context

Edges = Callable[..., EdgeKit]
Starts = Callable[..., Served]
DAY = 24 * HOUR
TWO_YEARS = "hsts = { max_age_s = 63072000 }"
AEAD = "ECDHE-ECDSA-AES128-GCM-SHA256"
AEAD_RSA = "ECDHE-RSA-AES128-GCM-SHA256"
OAKLEY = (
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B"
    "302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE6"
    "49286651ECE65381FFFFFFFFFFFFFFFF"
)
"""The second group of RFC 2409: 1024 bits."""
DHE = "DHE-RSA-AES128-GCM-SHA256"
GROUPS = ("-curves", "X25519:P-256:P-384")
PLAIN = {"tls-1.2", "no-post-quantum", "no-hsts"}
"""What is said of any `openssl s_server` of this age with good settings, and nothing else."""


@pytest.fixture
def serves(tmp_path: Path) -> Iterator[Starts]:
    """Starts servers that end with the test."""
    opened: list[Served] = []

    def start(by: Callable[..., Served], *arguments: Any, **more: Any) -> Served:
        opened.append(by(tmp_path, *arguments, **more))
        return opened[-1]

    yield start
    for it in opened:
        it.close()


def run(port: int, pki: Pki, *more: str) -> subprocess.CompletedProcess[str]:
    asked = ["probe", f"127.0.0.1:{port}", "--sni", "a.test", "--ca", str(pki.public.file), "--grade"]
    return everyhop(*asked, *more, env={**os.environ, "COLUMNS": "160"})


def grade(port: int, pki: Pki, *more: str) -> dict[str, Any]:
    done = run(port, pki, "--json", *more)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ids(found: dict[str, Any]) -> set[str]:
    names = [it["id"] for it in found["findings"]]
    assert len(names) == len(set(names)), names
    assert all(it["what"] and it["mend"] for it in found["findings"])
    return set(names)


def code(port: int, pki: Pki, at_least: str) -> int:
    return run(port, pki, "--at-least", at_least).returncode


@pytest.fixture
def behind() -> Iterator[Backend]:
    it = Backend("b")
    yield it
    it.close()


def route(behind: Backend) -> str:
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{behind.port}"]\n'


# Our own edge, in each preset.


def test_of_an_edge_that_is_modern_nothing_is_said_and_it_is_at_least_everything(
    edge: Edges, pki: Pki, behind: Backend
) -> None:
    it = edge(route(behind), site=f'policy = "modern"\n{TWO_YEARS}')
    found = grade(it.port, pki)
    assert (found["grade"], found["policy"], ids(found)) == ("modern", "modern-6.0", set())
    assert found["versions"] == ["1.3"] and found["groups"][0] == "X25519MLKEM768"
    assert found["suites"] == ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
    assert len(found["satisfies"]) == 6
    for wanted in ("modern", "intermediate", "modern-6.0", "intermediate-5.7"):
        assert code(it.port, pki, wanted) == 0
    assert "modern, by 6.0 of 2026" in run(it.port, pki).stdout


def test_an_edge_of_the_default_policy_is_intermediate_and_its_reason_is_tls_1_2(
    edge: Edges, pki: Pki, behind: Backend
) -> None:
    it = edge(route(behind), site=TWO_YEARS)
    found = grade(it.port, pki)
    assert (found["grade"], found["policy"], ids(found)) == ("intermediate", "intermediate-6.0", {"tls-1.2"})
    # Its certificate is of ECDSA, and so are its suites of TLS 1.2.
    assert len(found["suites"]) == 6 and found["versions"] == ["1.3", "1.2"]
    assert [code(it.port, pki, it_) for it_ in ("modern", "intermediate", "intermediate-6.0")] == [1, 0, 0]
    said = run(it.port, pki).stdout
    assert "not modern because:\n  - it takes TLS 1.2" in said and "below intermediate" not in said


@pytest.mark.parametrize(
    ("policy", "more"), [("intermediate-5.7", {"tls-1.2"}), ("modern-5.7", set())], ids=["intermediate", "modern"]
)
def test_an_edge_of_an_old_guideline_satisfies_that_and_not_the_newest(
    edge: Edges, pki: Pki, behind: Backend, policy: str, more: set[str]
) -> None:
    it = edge(route(behind), site=f'policy = "{policy}"\n{TWO_YEARS}')
    found = grade(it.port, pki)
    assert (found["policy"], ids(found)) == (policy, {"no-post-quantum"} | more)
    word = policy.partition("-")[0]
    assert [code(it.port, pki, name) for name in (word, policy, f"{word}-5.8", f"{word}-6.0")] == [0, 0, 1, 1]
    said = run(it.port, pki).stdout
    assert f"{word}, by 5.7 of 2023" in said and "not by 5.8, 6.0 because:\n  - it has no post-quantum" in said


def test_an_edge_that_requires_post_quantum_is_modern_and_what_could_not_be_asked_of_it_is_said(
    edge: Edges, pki: Pki, behind: Backend
) -> None:
    it = edge(route(behind), site="require_post_quantum = true")
    found = grade(it.port, pki)
    assert (found["policy"], found["groups"]) == ("modern-6.0", ["X25519MLKEM768"])
    if ssl.OPENSSL_VERSION_INFO < (3, 5):
        assert "no session to ask in" in found["hsts"]["text"] and not ids(found)
    else:
        assert ids(found) == {"no-hsts"}


# Others' servers: what they take.


@pytest.fixture(scope="session")
def ecdsa(pki: Pki) -> Leaf:
    return pki.site


@pytest.fixture(scope="session")
def of_rsa(pki: Pki) -> Leaf:
    return pki.public.leaf("of-rsa", "a.test", kind="rsa")


def test_a_server_with_good_settings_is_intermediate_by_the_guideline_of_its_time(
    serves: Starts, pki: Pki, ecdsa: Leaf
) -> None:
    found = grade(serves(openssl, ecdsa, "-cipher", AEAD, *GROUPS).port, pki)
    assert (found["grade"], found["policy"], ids(found)) == ("intermediate", "intermediate-5.7", PLAIN)
    assert found["certificates"][0]["key"] == "ECDSA secp256r1" and found["certificates"][0]["verified"] == "ok"
    assert "secp521r1" not in found["groups"] and found["versions"] == ["1.3", "1.2"]


@pytest.mark.parametrize(
    ("settings", "said", "suites"),
    [
        (["-cipher", f"{AEAD}:ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0", "-no_tls1", "-no_tls1_1"], {"no-encryption"}, "ECDHE-ECDSA-NULL-SHA"),
        (["-cipher", f"{AEAD}:AECDH-AES128-SHA:@SECLEVEL=0", "-no_tls1", "-no_tls1_1"], {"anonymous"}, "AECDH-AES128-SHA"),
        (["-cipher", f"{AEAD}:ECDHE-ECDSA-AES128-SHA256"], {"not-authenticated"}, "ECDHE-ECDSA-AES128-SHA256"),
        (["-cipher", f"{AEAD}:ECDHE-ECDSA-AES128-CCM"], {"other-suite"}, "ECDHE-ECDSA-AES128-CCM"),
    ],
    ids=["nothing encrypted", "nobody proven", "CBC", "of no policy"],
)  # fmt: skip
def test_suites_that_no_policy_has_are_below_and_named_for_what_they_are(
    serves: Starts, pki: Pki, ecdsa: Leaf, settings: list[str], said: set[str], suites: str
) -> None:
    it = serves(openssl, ecdsa, *settings, *GROUPS)
    found = grade(it.port, pki)
    assert (found["grade"], found["policy"], ids(found)) == ("below", None, PLAIN | said)
    assert suites in found["suites"]
    assert any(suites in finding["what"] for finding in found["findings"])
    assert code(it.port, pki, "intermediate") == 1


@pytest.mark.parametrize(
    ("more", "said", "policy"),
    [
        ("AES128-GCM-SHA256", {"no-forward-secrecy"}, None),
        (DHE, {"dhe"}, "intermediate-5.7"),
    ],
)
def test_suites_of_rsa_without_forward_secrecy_are_below_and_dhe_was_given_up_with_5_8(
    serves: Starts, pki: Pki, of_rsa: Leaf, more: str, said: set[str], policy: str | None
) -> None:
    found = grade(serves(openssl, of_rsa, "-cipher", f"{AEAD_RSA}:{more}", *GROUPS).port, pki)
    assert (found["policy"], ids(found)) == (policy, PLAIN | {"key-of-rsa"} | said)


def short_group(folder: Path) -> Path:
    path = folder / "dh.pem"
    der = wrapped(0x30, wrapped(2, b"\0" + bytes.fromhex(OAKLEY)) + wrapped(2, b"\2"))
    path.write_text(ssl.DER_cert_to_PEM_cert(der).replace("CERTIFICATE", "DH PARAMETERS"))
    return path


def test_a_short_group_of_diffie_hellman_is_told_apart_from_one_that_is_long_enough(
    serves: Starts, pki: Pki, of_rsa: Leaf, tmp_path: Path
) -> None:
    suites = f"{AEAD_RSA}:{DHE}:@SECLEVEL=0"
    settings = ["-cipher", suites, "-no_tls1", "-no_tls1_1", *GROUPS]
    found = grade(serves(openssl, of_rsa, *settings, "-dhparam", str(short_group(tmp_path))).port, pki)
    assert (found["policy"], ids(found)) == (None, PLAIN | {"key-of-rsa", "dhe", "short-dh"})
    assert ids(grade(serves(openssl, of_rsa, *settings).port, pki)) == PLAIN | {"key-of-rsa", "dhe"}


def test_versions_before_1_2_are_below_and_named(serves: Starts, pki: Pki, ecdsa: Leaf) -> None:
    suites = f"{AEAD}:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"
    for less, versions, what in (
        ([], ["1.3", "1.2", "1.1", "1.0"], "TLS 1.0 and 1.1"),
        (["-no_tls1"], ["1.3", "1.2", "1.1"], "TLS 1.1"),
    ):
        found = grade(serves(openssl, ecdsa, "-cipher", suites, *GROUPS, *less).port, pki)
        assert (found["grade"], found["versions"]) == ("below", versions)
        assert ids(found) == PLAIN | {"old-version", "not-authenticated"}
        assert any(what in it["what"] for it in found["findings"])


def test_a_server_without_tls_1_3_is_below(serves: Starts, pki: Pki, ecdsa: Leaf) -> None:
    found = grade(serves(openssl, ecdsa, "-cipher", AEAD, "-no_tls1_3", *GROUPS).port, pki)
    assert (found["grade"], ids(found), found["versions"]) == ("below", PLAIN | {"no-tls-1.3"}, ["1.2"])
    assert found["groups"] == ["X25519", "secp256r1"] and found["certificates"][0]["verified"] == "ok"


def test_a_server_that_our_tls_cannot_speak_with_is_graded_by_openssl_and_its_certificate_is_not_judged(
    serves: Starts, pki: Pki, of_rsa: Leaf
) -> None:
    settings = ["-cipher", "AES128-SHA:@SECLEVEL=0", "-tls1_1"]
    found = grade(serves(openssl, of_rsa, *settings).port, pki)
    said = {"old-version", "no-tls-1.3", "no-post-quantum", "key-of-rsa", "not-verified"}
    assert (found["grade"], found["versions"], ids(found)) == ("below", ["1.1"], said)
    assert found["certificates"][0]["names"] == ["a.test"] and found["certificates"][0]["verified"] != "ok"
    assert any("could not be judged" in it["what"] for it in found["findings"])


def test_groups_that_are_weaker_are_below_and_one_that_is_not_is_only_listed(
    serves: Starts, pki: Pki, of_rsa: Leaf
) -> None:
    base = ["-cipher", f"{AEAD_RSA}:@SECLEVEL=0", "-no_tls1", "-no_tls1_1", "-curves"]
    found = grade(serves(openssl, of_rsa, *base, "X25519:P-256:P-521").port, pki)
    assert (found["policy"], ids(found)) == ("intermediate-5.7", PLAIN | {"key-of-rsa"})
    assert "secp521r1" in found["groups"]
    found = grade(serves(openssl, of_rsa, *base, "X25519:P-256:P-224:P-192").port, pki)
    assert (found["policy"], ids(found)) == (None, PLAIN | {"key-of-rsa", "weak-group"})
    assert any("secp224r1, secp192r1" in it["what"] for it in found["findings"])


def test_where_a_certificate_of_ecdsa_hides_a_group_that_is_said(
    serves: Starts, pki: Pki, ecdsa: Leaf, of_rsa: Leaf
) -> None:
    def untried(leaf: Leaf, suite: str) -> list[str]:
        found = grade(serves(openssl, leaf, "-cipher", suite, *GROUPS).port, pki)
        return [it for it in found["not_tried"] if it.startswith("secp224r1:")]

    assert untried(ecdsa, AEAD) != [] and untried(of_rsa, AEAD_RSA) == []


def test_what_this_machine_cannot_offer_is_said_to_be_untried(serves: Starts, pki: Pki, ecdsa: Leaf) -> None:
    it = serves(openssl, ecdsa, "-cipher", AEAD, *GROUPS)
    found = grade(it.port, pki)
    assert any(re.match(r"SSL 2\.0, SSL 3\.0.*: OpenSSL .* built without them", line) for line in found["not_tried"])
    # What was tried and refused is no such thing.
    assert not any(line.startswith(("TLS 1.0", "TLS 1.1")) for line in found["not_tried"])
    assert "not tried:\n  - SSL 2.0, SSL 3.0" in run(it.port, pki).stdout


def test_what_is_met_with_silence_is_untried_and_never_taken_for_refused(
    pki: Pki, ecdsa: Leaf, raw: Callable[..., Raw]
) -> None:
    context = server_context(ecdsa)

    def serve(sock: socket.socket, record: Record) -> None:
        """What is asked in a version before 1.2 gets no answer: the field stands there in the hello (RFC 5246 §7.4.1.2)."""
        hello = sock.recv(11, socket.MSG_PEEK | socket.MSG_WAITALL)
        if hello[9:11] < b"\x03\x03":
            while record.take(sock, 65536):
                pass
            return
        with contextlib.suppress(OSError), context.wrap_socket(sock, server_side=True) as spoken:
            spoken.recv(1)

    found = grade(raw(serve).port, pki, "--timeout", "1")
    assert {"TLS 1.1: no answer within 1 s", "TLS 1.0: no answer within 1 s"} <= set(found["not_tried"])
    assert found["versions"] == ["1.3", "1.2"] and "old-version" not in ids(found)


def test_a_server_that_is_silent_to_tls_1_2_alone_is_modern_as_far_as_was_tried(
    pki: Pki, ecdsa: Leaf, raw: Callable[..., Raw]
) -> None:
    context = server_context(ecdsa)
    context.minimum_version = ssl.TLSVersion.TLSv1_3

    def serve(sock: socket.socket, record: Record) -> None:
        """Who names no versions in an extension has none after 1.2 (RFC 8446 §4.2.1)."""
        size = int.from_bytes(sock.recv(5, socket.MSG_PEEK | socket.MSG_WAITALL)[3:])
        hello = sock.recv(5 + size, socket.MSG_PEEK | socket.MSG_WAITALL)
        if not re.search(rb"\x00\x2b\x00[\x03-\x0b]", hello):
            while record.take(sock, 65536):
                pass
            return
        with contextlib.suppress(OSError), context.wrap_socket(sock, server_side=True) as spoken:
            spoken.recv(1)

    found = grade(raw(serve).port, pki, "--timeout", "1")
    assert "suites of TLS 1.2 beyond those told: no answer within 1 s" in found["not_tried"]
    assert (found["grade"], found["versions"]) == ("modern", ["1.3"])


def test_an_old_nginx_is_below_and_one_of_today_is_not(serves: Starts, pki: Pki, of_rsa: Leaf) -> None:
    curves = "ssl_ecdh_curve X25519:prime256v1:secp384r1;"
    old = f"ssl_protocols TLSv1 TLSv1.1 TLSv1.2; ssl_ciphers DEFAULT:@SECLEVEL=0; {curves}"
    said = {"old-version", "no-tls-1.3", "no-forward-secrecy", "not-authenticated"}
    found = grade(serves(nginx, of_rsa, old).port, pki)
    assert (found["grade"], found["versions"]) == ("below", ["1.2", "1.1", "1.0"])
    assert ids(found) == PLAIN | {"key-of-rsa"} | said
    new = f"ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers {AEAD_RSA}; {curves}"
    found = grade(serves(nginx, of_rsa, new).port, pki)
    assert (found["policy"], ids(found)) == ("intermediate-5.7", PLAIN | {"key-of-rsa"})


# Others' servers: what they show.


@pytest.mark.parametrize(
    ("more", "said", "policy"),
    [
        ({"names": ["b.test"]}, {"not-verified"}, None),
        ({"begins": -60 * DAY, "ends": -DAY}, {"not-verified"}, None),
        ({"usages": (ExtendedKeyUsageOID.CLIENT_AUTH,)}, {"not-verified"}, None),
        ({"key": ec.generate_private_key(ec.SECP521R1())}, {"key-of-another-kind"}, None),
        ({"key": ec.generate_private_key(ec.SECP384R1())}, set(), "intermediate-5.7"),
        ({"ends": 91 * DAY}, {"lasts-long"}, "intermediate-5.7"),
        ({"ends": 365 * DAY}, {"lasts-long"}, "intermediate-5.7"),
        ({"ends": 400 * DAY}, {"lasts-long"}, None),
        ({"begins": -40 * DAY, "ends": 10 * DAY}, {"ends-soon"}, "intermediate-5.7"),
        ({"begins": -40 * DAY, "ends": 20 * DAY}, set(), "intermediate-5.7"),
        ({"more": [x509.TLSFeature([x509.TLSFeatureType.status_request])]}, {"must-staple"}, "intermediate-5.7"),
    ],
    ids=["name", "over", "use", "P-521", "P-384", "91 days", "a year", "400 days", "soon", "not soon", "staple"],
)  # fmt: skip
def test_a_certificate_is_judged_for_itself(
    serves: Starts, pki: Pki, tmp_path: Path, more: dict[str, Any], said: set[str], policy: str | None
) -> None:
    by = root(pki.public)
    leaf = saved(tmp_path, "leaf", forged("a.test", by, **{"names": ["a.test"], **more}), by)
    found = grade(serves(openssl, leaf, "-cipher", AEAD, *GROUPS).port, pki)
    assert (found["policy"], ids(found)) == (policy, PLAIN | said), found


def test_a_key_of_rsa_is_not_modern_and_a_short_one_is_below(serves: Starts, pki: Pki, tmp_path: Path) -> None:
    by = root(pki.public)
    for bits, said, policy in ((2048, {"key-of-rsa"}, "intermediate-5.7"), (1024, {"not-verified"}, None)):
        key = rsa.generate_private_key(65537, bits)
        leaf = saved(tmp_path, f"rsa-{bits}", forged("a.test", by, names=["a.test"], key=key), by)
        found = grade(
            serves(openssl, leaf, "-cipher", f"{AEAD_RSA}:@SECLEVEL=0", "-no_tls1", "-no_tls1_1", *GROUPS).port, pki
        )
        assert (found["policy"], ids(found)) == (policy, PLAIN | said)
        assert any(f"RSA {bits}" in it["what"] for it in found["findings"])


def test_a_chain_without_its_issuer_is_told_apart_from_an_unknown_authority(
    serves: Starts, pki: Pki, tmp_path: Path
) -> None:
    middle = forged("Middle CA", root(pki.public), ca=True, more=[FETCHED])
    leaf = forged("a.test", middle, names=["a.test"], more=[FETCHED])
    whole = saved(tmp_path, "whole", leaf, middle)
    short = saved(tmp_path, "short", leaf, root(pki.public))
    stranger = saved(tmp_path, "stranger", (it := alone("a.test")), it)
    found = grade(serves(openssl, short, "-cipher", AEAD, *GROUPS).port, pki)
    assert (found["grade"], ids(found)) == ("below", PLAIN | {"chain-incomplete"})
    assert any("CN=Middle CA" in it["what"] for it in found["findings"])
    found = grade(serves(openssl, stranger, "-cipher", AEAD, *GROUPS).port, pki)
    assert (found["grade"], ids(found)) == ("below", PLAIN | {"not-verified"})
    assert ids(grade(serves(openssl, whole, "-cipher", AEAD, *GROUPS).port, pki)) == PLAIN


def test_what_is_wrong_with_a_certificate_in_another_way_is_said_with_the_page_on_it(
    serves: Starts, pki: Pki, tmp_path: Path
) -> None:
    by = root(pki.public)
    leaf = saved(tmp_path, "old", of_version_1("a.test", by), by)
    found = grade(serves(openssl, leaf, "-cipher", AEAD, *GROUPS).port, pki)
    (mend,) = (it["mend"] for it in found["findings"] if it["id"] == "not-verified")
    assert mend.startswith("everyhop explain hop/"), mend
    assert everyhop(*mend.split()[1:]).returncode == 0


def test_a_second_certificate_beside_the_first_is_judged_too(
    serves: Starts, pki: Pki, ecdsa: Leaf, tmp_path: Path
) -> None:
    by = root(pki.public)
    key = rsa.generate_private_key(65537, 2048)
    over = forged("a.test", by, names=["a.test"], key=key, begins=-60 * DAY, ends=-DAY)
    short = forged("a.test", by, names=["a.test"], key=rsa.generate_private_key(65537, 1024))
    suites = ["-cipher", f"{AEAD}:{AEAD_RSA}:@SECLEVEL=0", "-no_tls1", "-no_tls1_1", *GROUPS]
    for it, bits, said in ((over, 2048, {"not-verified", "key-of-rsa"}), (short, 1024, {"not-verified"})):
        second = saved(tmp_path, f"second-{bits}", it, by)
        beside = ["-dcert", str(second.chain), "-dkey", str(second.key)]
        found = grade(serves(openssl, ecdsa, *suites, *beside).port, pki)
        assert (found["grade"], ids(found)) == ("below", PLAIN | said)
        assert {it["key"] for it in found["certificates"]} == {"ECDSA secp256r1", f"RSA {bits}"}


def test_roots_are_those_that_are_named(serves: Starts, pki: Pki, ecdsa: Leaf) -> None:
    it = serves(openssl, ecdsa, "-cipher", AEAD, *GROUPS)
    found = grade(it.port, pki, "--ca", str(pki.internal.file))
    assert (found["grade"], ids(found)) == ("below", PLAIN | {"not-verified"})


# HSTS.


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("", {"no-hsts"}),
        ('add_header Strict-Transport-Security "max-age=31536000; includeSubDomains";', {"short-hsts"}),
        ('add_header Strict-Transport-Security "includeSubDomains; max-age=63072000";', set()),
        ('add_header Strict-Transport-Security "nonsense";', {"short-hsts"}),
    ],
    ids=["none", "a year", "two years", "nonsense"],
)
def test_hsts_is_told_beside_the_grade_and_counts_for_nothing(
    serves: Starts, pki: Pki, ecdsa: Leaf, field: str, said: set[str]
) -> None:
    settings = f"ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers {AEAD}; ssl_ecdh_curve X25519:prime256v1; {field}"
    it = serves(nginx, ecdsa, settings)
    found = grade(it.port, pki)
    assert (found["policy"], ids(found)) == ("intermediate-5.7", {"tls-1.2", "no-post-quantum"} | said)
    assert ("besides, and not counted" in run(it.port, pki).stdout) == bool(said)


def test_a_server_that_is_silent_or_speaks_no_http_is_not_said_to_lack_hsts(
    serves: Starts, pki: Pki, ecdsa: Leaf, raw: Callable[..., Raw]
) -> None:
    silent = serves(openssl, ecdsa, "-cipher", AEAD, *GROUPS, web=False)
    found = grade(silent.port, pki, "--timeout", "1")
    assert ids(found) == PLAIN - {"no-hsts"} and found["hsts"]["text"].startswith("no answer of HTTP/1.1")
    other = raw(lambda sock, record: sock.sendall(b"220 mail.test ESMTP\r\n"), ecdsa)
    found = grade(other.port, pki)
    assert "no-hsts" not in ids(found) and found["hsts"]["text"] == "it does not answer in HTTP/1.1"


# Whom it is shown to, and who is not there.


def test_a_backend_that_demands_a_certificate_is_graded_with_and_without_one(
    serves: Starts, pki: Pki, ecdsa: Leaf
) -> None:
    settings = ["-cipher", AEAD, *GROUPS, "-Verify", "1", "-CAfile", str(pki.public.file), "-verify_return_error"]
    for less in ([], ["-no_tls1_3"]):
        it = serves(openssl, ecdsa, *settings, *less)
        said = {"tls-1.2", "no-post-quantum"} | ({"no-tls-1.3"} if less else set())
        unknown = grade(it.port, pki, "--timeout", "2")
        assert (ids(unknown), unknown["hsts"]["state"]) == (said, "not-asked")
        known = grade(it.port, pki, "--present", f"{pki.client.chain},{pki.client.key}")
        assert (ids(known), known["hsts"]["state"]) == (said | {"no-hsts"}, "not-said")
        assert known["suites"] == unknown["suites"] and known["versions"] == unknown["versions"]


def test_who_cannot_be_probed_has_no_grade_and_an_exit_code_of_its_own(pki: Pki, raw: Callable[..., Raw]) -> None:
    def refuse(sock: socket.socket, record: bytearray) -> None:
        sock.recv(1000)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    for port in (free_port(), raw(refuse).port):
        for wanted in ([], ["--at-least", "intermediate"]):
            done = run(port, pki, *wanted)
            assert (done.returncode, done.stdout) == (2, ""), done
            assert "could not be probed" in done.stderr
    done = run(raw(lambda sock, record: record.wait(sock)).port, pki, "--timeout", "0.3")
    assert done.returncode == 2 and "could not be probed" in done.stderr, done


def test_an_edge_that_is_asked_for_no_name_has_no_grade_and_the_mend_is_said(
    edge: Edges, pki: Pki, behind: Backend
) -> None:
    it = edge(route(behind))
    done = everyhop("probe", f"127.0.0.1:{it.port}", "--grade")
    assert done.returncode == 2 and "could not be probed" in done.stderr and "--sni NAME" in done.stderr, done
    assert "--sni NAME" not in run(free_port(), pki).stderr


def test_a_server_that_is_known_by_a_pin_is_graded_by_that(serves: Starts, ecdsa: Leaf, of_rsa: Leaf) -> None:
    it = serves(openssl, ecdsa, "-cipher", AEAD, *GROUPS)
    for leaf, said in ((ecdsa, PLAIN), (of_rsa, PLAIN | {"not-verified"})):
        der = ssl.PEM_cert_to_DER_cert(leaf.chain.read_text())
        done = everyhop("probe", f"127.0.0.1:{it.port}", "--pin", f"sha256:{sha256(der)}", "--grade", "--json")
        assert ids(json.loads(done.stdout)) == said, done


def test_a_short_group_is_found_behind_a_demand_for_a_certificate(
    serves: Starts, pki: Pki, of_rsa: Leaf, tmp_path: Path
) -> None:
    demands = ["-Verify", "1", "-CAfile", str(pki.public.file), "-cipher", f"{AEAD_RSA}:{DHE}:@SECLEVEL=0"]
    it = serves(openssl, of_rsa, *demands, "-no_tls1", "-no_tls1_1", "-dhparam", str(short_group(tmp_path)), *GROUPS)
    for present in ([], ["--present", f"{pki.client.chain},{pki.client.key}"]):
        assert {"dhe", "short-dh"} <= ids(grade(it.port, pki, *present))


@pytest.mark.parametrize(
    "wrong", [["--grade", "--at-least", "old"], ["--grade", "--at-least", "fips"], ["--at-least", "modern"]]
)
def test_a_grade_that_is_none_is_misuse(wrong: list[str]) -> None:
    done = everyhop("probe", "127.0.0.1:1", *wrong)
    assert done.returncode == 2 and "--at-least" in done.stderr


def test_a_name_is_resolved_once_and_expected_of_the_certificate(
    serves: Starts, pki: Pki, ecdsa: Leaf, tmp_path: Path
) -> None:
    by = root(pki.public)
    local = saved(tmp_path, "local", forged("localhost", by, names=["localhost"]), by)
    for leaf, said in ((local, PLAIN), (ecdsa, PLAIN | {"not-verified"})):
        it = serves(openssl, leaf, "-cipher", AEAD, *GROUPS)
        done = everyhop("probe", f"localhost:{it.port}", "--ca", str(pki.public.file), "--grade", "--json")
        found = json.loads(done.stdout)
        assert (found["at"], found["name"], ids(found)) == (f"127.0.0.1:{it.port}", "localhost", said)


def test_days_left_are_those_of_the_certificate(serves: Starts, pki: Pki, tmp_path: Path) -> None:
    by = root(pki.public)
    leaf = saved(tmp_path, "leaf", forged("a.test", by, names=["a.test"], begins=-10 * DAY, ends=50 * DAY + HOUR), by)
    it = serves(openssl, leaf, "-cipher", AEAD, *GROUPS)
    assert "50 of 60 days left" in run(it.port, pki).stdout
    ends = dt.datetime.fromisoformat(grade(it.port, pki)["certificates"][0]["not_after"])
    assert dt.timedelta(days=50) < ends - dt.datetime.now(dt.UTC) < dt.timedelta(days=51)
