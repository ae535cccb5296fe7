"""Keys of tokens as files tell of them: the module is root's alone, the PIN is one line that nobody else reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from everyhop.demo.certificates import new_key
from everyhop.identity import Readings, Unusable
from everyhop.identity.tokens import EXAMPLE, judge_module, pin_reference, read_pin, read_token_key, read_uri
from tests.kit import Pki
from tests.kit.forge import alone, forged, of_version_1, public, root

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="a file of root's is made")


def why(module: Path) -> str:
    with pytest.raises(Unusable) as told:
        judge_module(module)
    assert told.value.slug == "key/module" and told.value.of == "key"
    return f"{told.value.what}; {told.value.mend}"


@needs_root
def test_a_module_that_others_could_change_is_not_loaded(tmp_path: Path) -> None:
    it = tmp_path / "inner" / "module.so"
    it.parent.mkdir()
    it.write_bytes(b"")
    it.chmod(0o644)
    judge_module(it)
    for mode in (0o664, 0o646, 0o1664, 0o1646):
        it.chmod(mode)
        assert f"{it} can be written by others (mode {mode:04o}); chmod go-w {it}" in why(it)
    it.chmod(0o644)
    it.parent.chmod(0o777)
    assert f"{it.parent} can be written by others" in why(it)
    it.parent.chmod(0o1777)
    judge_module(it)
    os.chown(it, 65534, 65534)
    assert f"{it} belongs to user 65534" in why(it) and f"chown root {it}" in why(it)
    os.chown(it, 0, 0)
    link = tmp_path / "link.so"
    link.symlink_to(it)
    judge_module(link)
    os.chown(it.parent, 65534, 65534)
    assert f"{it.parent} belongs to user 65534" in why(link)


def test_a_module_that_is_none_is_told(tmp_path: Path) -> None:
    assert "No such file" in why(tmp_path / "none.so")
    assert "is no file" in why(Path("/usr"))
    (tmp_path / "loop").symlink_to("loop")
    assert str(tmp_path / "loop") in why(tmp_path / "loop")


@needs_root
def test_a_key_of_rsa_and_on_either_curve_of_tokens_is_asked_for_and_its_module_must_be_there(tmp_path: Path) -> None:
    (module := tmp_path / "m.so").write_bytes(b"")
    for n, key in enumerate((new_key("rsa"), *(ec.generate_private_key(it()) for it in (ec.SECP256R1, ec.SECP384R1)))):
        leaf = alone("a.test", key=key).cert
        uri = f"pkcs11:token=a;object=b?module-path={module}"
        it, files = read_token_key(uri, leaf, tmp_path, {})
        assert (it.uri, it.module, it.pin, files) == (uri, str(module), None, {}), n
    with pytest.raises(Unusable, match="No such file"):
        read_token_key(uri.replace("m.so", "gone.so"), leaf, tmp_path, {})


def test_a_pin_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "pin"
    file.touch(0o600)
    for text, read in ((b"1234\n", b"1234"), (b"12 34\r\n", b"12 34"), (b"1234", b"1234")):
        file.write_bytes(text)
        assert read_pin("file:pin", tmp_path, {})[0] == read
    file.write_bytes(b"x" * 255)
    assert read_pin("file:pin", tmp_path, {})[0] == b"x" * 255
    for text in (b"", b"\n", b"12\n34\n", b"x" * 256):
        file.write_bytes(text)
        with pytest.raises(Unusable, match="holds no PIN") as told:
            read_pin("file:pin", tmp_path, {})
        assert told.value.slug == "key/pin"
    assert read_pin("env:PIN", tmp_path, {"PIN": "1234"}) == (b"1234", {})
    with pytest.raises(Unusable, match="has no NONE"):
        read_pin("env:NONE", tmp_path, {})


def test_a_uri_says_its_module_and_where_its_pin_is() -> None:
    assert read_uri(EXAMPLE) == ("/usr/lib/softhsm/libsofthsm2.so", "file:/etc/everyhop/pin")
    assert pin_reference(EXAMPLE) == "file:/etc/everyhop/pin" and pin_reference("pkcs11:") == ""
    with pytest.raises(Unusable) as told:
        read_uri(EXAMPLE.replace("pin-source", "pin-value"))
    assert told.value.slug == "key/pin-inline" and "/etc/everyhop/pin" not in told.value.what


@needs_root
def test_a_pair_in_a_token_is_read_anew_once_its_pin_is_another(tmp_path: Path, pki: Pki) -> None:
    module, pin = tmp_path / "m.so", tmp_path / "pin"
    module.write_bytes(b"")
    pin.touch(0o600)
    pin.write_text("1234\n")
    uri = f"pkcs11:token=a;object=b?module-path={module}&pin-source={pin}"
    first = Readings()
    pair = first.pair(str(pki.site.chain), uri, tmp_path, {})
    assert pair.token is not None and pair.token.pin == b"1234" and pair.key_pem == b""
    leaf = x509.load_pem_x509_certificate(pki.site.chain.read_bytes())
    assert x509.load_der_x509_certificate(pair.token.certificate) == leaf
    assert "1234" not in repr(pair) and "certificate" not in repr(pair.token)
    first.settle()
    assert Readings(first).pair(str(pki.site.chain), uri, tmp_path, {}) is pair
    pin.write_text("12345\n")
    again = Readings(first).pair(str(pki.site.chain), uri, tmp_path, {})
    assert again.token is not None and again.token.pin == b"12345"


def test_a_pair_in_the_environment_is_read_anew_once_its_key_is_another(tmp_path: Path, pki: Pki) -> None:
    key = pki.site.key.read_text()
    first = Readings()
    pair = first.pair(str(pki.site.chain), "env:EDGE_KEY", tmp_path, {"EDGE_KEY": key})
    first.settle()
    assert Readings(first).pair(str(pki.site.chain), "env:EDGE_KEY", tmp_path, {"EDGE_KEY": key}) is pair
    with pytest.raises(Unusable):
        Readings(first).pair(str(pki.site.chain), "env:EDGE_KEY", tmp_path, {"EDGE_KEY": "another"})


def test_a_certificate_of_a_kind_that_no_token_is_asked_for_is_told(tmp_path: Path) -> None:
    public(tmp_path, "odd", alone("a.test", key=ec.generate_private_key(ec.SECP521R1())))
    with pytest.raises(Unusable) as told:
        Readings().pair("odd.pem", "pkcs11:token=a;object=b?module-path=/m", tmp_path, {})
    assert told.value.slug == "certificate/unusable" and "P-256" in told.value.what


@needs_root
def test_of_a_chain_the_first_certificate_is_the_key_s_and_is_one_that_engines_take(pki: Pki, tmp_path: Path) -> None:
    (tmp_path / "m.so").write_bytes(b"")
    uri = f"pkcs11:token=a;object=b?module-path={tmp_path}/m.so"
    above = forged("Above CA", root(pki.public), ca=True)
    leaf = forged("a.test", above, names=["a.test"])
    pem = b"".join(it.cert.public_bytes(Encoding.PEM) for it in (leaf, above))
    (tmp_path / "chain.pem").write_bytes(pem)
    pair = Readings().pair("chain.pem", uri, tmp_path, {})
    assert pair.token is not None and pair.token.certificate == leaf.cert.public_bytes(Encoding.DER)
    public(tmp_path, "old", of_version_1("a.test", root(pki.public)))
    with pytest.raises(Unusable, match=r"old\.pem: the first certificate .*version 1") as told:
        Readings().pair("old.pem", uri, tmp_path, {})
    assert told.value.slug == "certificate/unusable" and "version 3" in told.value.mend


def test_a_certificate_that_demands_a_stapled_answer_is_refused_by_a_token_s_key_as_well(
    pki: Pki, tmp_path: Path
) -> None:
    stapled = x509.TLSFeature([x509.TLSFeatureType.status_request])
    public(tmp_path, "stapled", forged("a.test", root(pki.public), names=["a.test"], more=[stapled]))
    with pytest.raises(Unusable, match="must-staple"):
        Readings().pair("stapled.pem", "pkcs11:token=a;object=b?module-path=/m", tmp_path, {})
