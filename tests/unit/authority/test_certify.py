"""What is issued verifies by two verifiers that are not ours, whatever the names; what lies outside never is issued, and would not be
believed if somebody with the key did. Go's verifier is asked in `tests/applications`, and pkilint in `tests/suites`."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import ClientVerifier, PolicyBuilder, Store, VerificationError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everyhop.authority import Authority, begin, certify
from everyhop.authority.acts import utc
from everyhop.authority.certify import pem
from everyhop.authority.names import Name, named
from everyhop.authority.policy import Policy, told
from everyhop.errors import Declined, EveryhopError, Misuse

DAY = dt.timedelta(days=1)
LABELS = st.from_regex(r"[a-z]([a-z0-9-]{0,12}[a-z0-9])?", fullmatch=True)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
NETWORKS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).flatmap(
    lambda ip: st.integers(1, ip.max_prefixlen).map(lambda n: str(ipaddress.ip_network(f"{ip}/{n}", strict=False)))
)
SEGMENTS = st.lists(st.from_regex(r"[A-Za-z0-9_-]{1,9}", fullmatch=True), min_size=1, max_size=3).map("/".join)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    parts: list[list[str]] = [draw(st.lists(it, max_size=2)) for it in (HOSTS, HOSTS, NETWORKS)]
    return told("Inside", *parts) if any(parts) else told("Inside", ["corp.example"], [], [])


@st.composite
def inside(draw: st.DrawFn, policy: Policy) -> list[Name]:
    """Names of the policy, one of a SPIFFE ID at most."""
    found: list[str] = []
    if policy.domains:
        below = st.sampled_from(policy.domains).flatmap(
            lambda d: st.one_of(st.just(d), LABELS.map(lambda x: f"{x}.{d}"))
        )
        found += draw(st.lists(below, max_size=3))
    if policy.networks:
        net = ipaddress.ip_network(draw(st.sampled_from(policy.networks)))
        found.append(str(net[draw(st.integers(0, net.num_addresses - 1))]))
    if policy.trust_domains and (not found or bool(draw(st.integers(0, 1)))):
        found.append(f"spiffe://{draw(st.sampled_from(policy.trust_domains))}/{draw(SEGMENTS)}")
    return [named(it) for it in found or [policy.domains[0]]]


def openssl(folder: Path, roots: bytes, chain: bytes, use: str, *more: str) -> str:
    for name, data in {"roots": roots, "chain": chain}.items():
        (folder / f"{name}.pem").write_bytes(data)
    files = ["-CAfile", str(folder / "roots.pem"), "-untrusted", str(folder / "chain.pem"), str(folder / "chain.pem")]
    command = ["openssl", "verify", "-x509_strict", "-purpose", f"ssl{use}", *more, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def verified(authority: Authority, chain: bytes, name: Name, use: str) -> str:
    """What pyca's verifier minds. It knows no URI; of a client it asks for some names that it knows."""
    leaf, issuer = x509.load_pem_x509_certificates(chain)
    builder = PolicyBuilder().store(Store([authority.generations()[0].root])).max_chain_depth(1)
    try:
        if use == "client":
            verifier: ClientVerifier = builder.build_client_verifier()
            verifier.verify(leaf, [issuer])
        else:
            general = name.general()
            assert isinstance(general, x509.DNSName | x509.IPAddress)
            builder.build_server_verifier(general).verify(leaf, [issuer])
    except VerificationError as e:
        return str(e)
    return ""


@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_issued_verifies_for_each_of_its_names_and_uses(data: st.DataObject) -> None:
    policy = data.draw(policies())
    names = data.draw(inside(policy))
    use = data.draw(st.sampled_from(["server", "client", "both"]))
    with tempfile.TemporaryDirectory() as folder:
        it = begin(Path(folder) / "ca", policy, b"correct horse battery")
        issued = it.issue(names, use, DAY)
        roots = (it.at / "roots.pem").read_bytes()
        leaf, _ = x509.load_pem_x509_certificates(issued.chain_pem)
        assert list(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value) == [
            n.general() for n in dict.fromkeys(names)
        ]
        called = [str(a.value) for a in leaf.subject]
        assert all(text in {n.text for n in names if n.kind == "dns"} for text in called)
        for one in ["server", "client"] if use == "both" else [use]:
            assert openssl(Path(folder), roots, issued.chain_pem, one) == ""
            for name in [n for n in names if n.kind != "uri"]:
                flag = ("-verify_hostname", name.text) if name.kind == "dns" else ("-verify_ip", name.text)
                assert openssl(Path(folder), roots, issued.chain_pem, one, *flag) == ""
                assert verified(it, issued.chain_pem, name, one) == ""
        other = {"server": "client", "client": "server"}.get(use)
        if other:
            assert "unsuitable certificate purpose" in openssl(Path(folder), roots, issued.chain_pem, other)


@given(policy=policies(), host=HOSTS, ip=st.ip_addresses(), path=SEGMENTS)
@settings(max_examples=60, deadline=None)
def test_what_lies_outside_is_declined_whatever_it_is_like(policy: Policy, host: str, ip: object, path: str) -> None:
    """By a second opinion: what a name ends with, as strings of labels."""
    for text in [host, f"x{policy.domains[0]}" if policy.domains else host, str(ip), f"spiffe://{host}/{path}"]:
        try:
            name = named(text)
        except Misuse:
            continue
        if name.kind == "dns":
            mine = any(name.text.split(".")[-len(d.split(".")) :] == d.split(".") for d in policy.domains)
        elif name.kind == "uri":
            mine = name.text.split("/")[2] in policy.trust_domains
        else:
            mine = any(ipaddress.ip_address(name.text) in ipaddress.ip_network(n) for n in policy.networks)
        if mine:
            policy.admit(name)
        else:
            with pytest.raises(Declined, match="is outside of what 'Inside' certifies"):
                policy.admit(name)


@pytest.mark.parametrize(
    ("told_of", "names"),
    [
        ({"domains": ("corp.example",)}, ["evil.example", "10.0.0.1", "fd00::1", "spiffe://corp.example/a"]),
        ({"networks": ("10.0.0.0/8",)}, ["corp.example", "11.0.0.1", "fd00::1", "spiffe://corp.example/a"]),
        ({"trusts": ("corp.example",)}, ["corp.example", "10.0.0.1", "fd00::1"]),
    ],
)
def test_who_steals_the_issuing_key_gets_no_further_than_its_names(
    own: Callable[..., Authority], tmp_path: Path, told_of: dict[str, tuple[str, ...]], names: list[str]
) -> None:
    it = own(**{"domains": (), "trusts": (), "networks": (), **told_of})
    by = it.generations()[0].signer()
    roots = (it.at / "roots.pem").read_bytes()
    for text in names:
        key = certify.new_key()
        stolen = certify.leaf([named(text)], key.public_key(), "both", by, utc(), utc() + DAY)
        why = openssl(tmp_path, roots, pem(stolen, by.cert), "server")
        assert "permitted subtree violation" in why or "excluded subtree violation" in why, (text, why)
        if named(text).kind != "uri":
            assert "constraint" in verified(it, pem(stolen, by.cert), named(text), "server")


def test_an_authority_below_the_issuing_one_is_believed_by_nobody(
    own: Callable[..., Authority], tmp_path: Path
) -> None:
    it = own()
    by = it.generations()[0].signer()
    below = certify.issuing(it.policy, 9, by, utc())
    leaf = certify.leaf([named("a.corp.example")], certify.new_key().public_key(), "both", below, utc(), utc() + DAY)
    why = openssl(tmp_path, (it.at / "roots.pem").read_bytes(), pem(leaf, below.cert, by.cert), "server")
    assert "path length constraint exceeded" in why


def test_a_certificate_ends_with_its_issuer_and_begins_a_little_ago(own: Callable[..., Authority]) -> None:
    it = own()
    (first,) = it.generations()
    ends = first.issuing.not_valid_after_utc
    late = Authority(it.at, it.policy, it.active, it.trusted, it.publish, lambda: ends - DAY)
    issued = late.issue([named("a.corp.example")], "both", 90 * DAY)
    assert issued.is_cut and issued.entry.ends == ends and issued.entry.begins == ends - DAY - certify.BACKDATED
    over = Authority(it.at, it.policy, it.active, it.trusted, it.publish, lambda: ends)
    with pytest.raises(Declined, match="the issuing authority ended on"):
        over.issue([named("a.corp.example")], "both", DAY)
    assert len(it.index().entries) == 1


def signs(it: x509.Certificate) -> tuple[bool, int | None, tuple[bool, ...]]:
    """Whether it is an authority's, with how many below it, and whether its key signs TLS, certificates and lists."""
    basic = it.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = it.extensions.get_extension_for_class(x509.KeyUsage)
    assert basic.critical and usage.critical
    one = usage.value
    others = (one.content_commitment, one.key_encipherment, one.data_encipherment, one.key_agreement)
    assert not any(others)
    return basic.value.ca, basic.value.path_length, (one.digital_signature, one.key_cert_sign, one.crl_sign)


def test_what_a_certificate_may_sign_and_how_long_it_lasts_is_what_is_said_of_it(own: Callable[..., Authority]) -> None:
    it = own()
    (first,) = it.generations()
    assert "key" not in repr(first.signer())
    issued = it.issue([named("a.corp.example")], "client", DAY)
    leaf, issuer = x509.load_pem_x509_certificates(issued.chain_pem)
    assert issuer == first.issuing
    assert signs(first.root) == (True, 1, (False, True, True))
    assert signs(issuer) == (True, 0, (False, True, True))
    assert signs(leaf) == (False, None, (True, False, False))
    a_little = dt.timedelta(minutes=10)
    for cert, days in ((first.root, 3650), (issuer, 1825), (leaf, 1)):
        assert cert.not_valid_after_utc - cert.not_valid_before_utc == days * DAY + a_little


def test_nothing_is_critical_but_what_whoever_does_not_know_it_must_stop_at(own: Callable[..., Authority]) -> None:
    """RFC 5280 §4.2.1: old programs know no use of keys for TLS, and are to read the rest."""
    it = own()
    (first,) = it.generations()
    leaf, _ = x509.load_pem_x509_certificates(it.issue([named("a.corp.example")], "both", DAY).chain_pem)
    always = {"basicConstraints", "keyUsage"}
    for cert, more in ((first.root, set()), (first.issuing, {"nameConstraints"}), (leaf, set())):
        assert {one.oid._name for one in cert.extensions if one.critical} == always | more
    for cert in (first.issuing, leaf):
        uses = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert [*uses] == [*certify.USES["both"]]


def test_names_lie_inside_of_what_the_certificate_says_for_everybody_who_verifies(
    own: Callable[..., Authority],
) -> None:
    """Who does not know such constraints is to refuse what has them (RFC 5280 §4.2.1.10)."""
    (first,) = own().generations()
    constraints = first.issuing.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical and list(constraints.value.permitted_subtrees or [])


def test_a_host_that_fits_is_the_subject_too_and_else_its_name_is_critical(own: Callable[..., Authority]) -> None:
    """RFC 5280 §4.2.1.6, and ub-common-name."""
    it = own()
    for length, fits in ((64, True), (65, False)):
        left = length - len(".corp.example")
        host = f"{'a' * (left - 2)}.b.corp.example"
        assert len(host) == length
        cert, _ = x509.load_pem_x509_certificates(it.issue([named(host)], "both", DAY).chain_pem)
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        assert [a.value for a in cert.subject] == [host] * fits
        assert names.critical != fits and list(names.value) == [x509.DNSName(host)]
    # Of several the first.
    several = [named(f"{it}.corp.example") for it in ("b", "a", "c")]
    cert, _ = x509.load_pem_x509_certificates(it.issue(several, "both", DAY).chain_pem)
    assert [a.value for a in cert.subject] == ["b.corp.example"]


def test_serials_are_random_and_of_twenty_bytes_at_most(own: Callable[..., Authority]) -> None:
    it = own()
    serials = [it.issue([named("a.corp.example")], "both", DAY).entry.serial for _ in range(20)]
    assert len(set(serials)) == 20
    assert all(re.fullmatch(r"[0-9A-F]{2,40}", s) and int(s, 16) < 1 << 159 for s in serials)
    assert sum(len(s) == 40 for s in serials) > 15


@pytest.mark.parametrize(
    "text",
    [
        "*.corp.example",
        "a..corp.example",
        "-a.corp.example",
        "a_b.corp.example",
        "a.corp.example.",
        "bücher.corp.example",
        "1.2.3",
        "10.0.0.1/8",
        f"{'a' * 64}.corp.example",
        "a.corp.example:443",
        "a\n.corp.example",
        "a.corp.example\n",
        "",
        "https://corp.example/a",
        "spiffe://corp.example",
        "spiffe://corp.example/",
        "spiffe://corp.example/a/",
        "spiffe://corp.example//a",
        "spiffe://corp.example/../b",
        "spiffe://corp.example/a%20b",
        "spiffe://corp.example/a?b",
        "spiffe://Corp.example/a",
        "spiffe://corp.example:80/a",
        "spiffe://u@corp.example/a",
        "SPIFFE://corp.example/a",
        "spiffe://corp.example/a\n",
        f"spiffe://corp.example/{'a' * 2048}",
    ],
)
def test_what_is_no_name_is_told_as_such(text: str) -> None:
    with pytest.raises(Misuse):
        named(text)


@given(st.text(max_size=60))
def test_no_text_does_anything_but_be_a_name_or_none(text: str) -> None:
    try:
        it = named(text)
    except EveryhopError as e:
        assert "\n" not in repr(text) and str(e)
    else:
        assert named(str(it)) == it
        it.general()


def test_a_list_tells_what_was_taken_back_with_its_number_and_end(
    own: Callable[..., Authority], tmp_path: Path
) -> None:
    it = own()
    kept, gone = (it.issue([named(n)], "both", DAY) for n in ("a.corp.example", "b.corp.example"))
    it.revoke(gone.entry.serial.lower(), "key-compromise")
    roots, lists = (it.at / "roots.pem").read_bytes(), str(it.at / "crl.pem")
    by_lists = ("-crl_check_all", "-CRLfile", lists)
    assert openssl(tmp_path, roots, kept.chain_pem, "server", *by_lists) == ""
    assert "certificate revoked" in openssl(tmp_path, roots, gone.chain_pem, "server", *by_lists)
    of_root, of_issuing = it.published()
    (told_of,) = of_issuing
    assert f"{told_of.serial_number:X}" == gone.entry.serial.lstrip("0")
    assert told_of.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    number = of_issuing.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    it.publish_all()
    assert it.published()[1].extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == number + 1
    assert of_root.next_update_utc == it.generations()[0].issuing.not_valid_after_utc
    assert list(of_root) == [] and isinstance(of_issuing.signature_hash_algorithm, hashes.SHA256)
    assert of_issuing.public_bytes(Encoding.DER)


def test_a_list_says_whose_it_is_and_which_one_so_that_whoever_knows_neither_reads_it_all_the_same(
    own: Callable[..., Authority],
) -> None:
    """RFC 5280 §5.2.1, §5.2.3: neither is critical."""
    lists = own().published()
    assert len(lists) == 2, "the root's and the issuing authority's"
    for one in lists:
        whose = one.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
        which = one.extensions.get_extension_for_class(x509.CRLNumber)
        assert not whose.critical and not which.critical and len(one.extensions) == 2
