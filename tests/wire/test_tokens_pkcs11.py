"""Keys that a token has (`key = "pkcs11:..."`): handshakes are signed by it and nothing else is, its module takes nobody else with it,
and no PIN is tried that was refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from everyhop.admin.keyholding import Keyholding
from everyhop.demo.certificates import Leaf
from everyhop.demo.stage import free_port
from everyhop.engine import holding as h
from everyhop.engine.control import Control, EngineRefused
from everyhop.identity.tokens import TokenKey
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.forge import forged, root, saved
from tests.kit.hsm import PIN, SOFTHSM, Token, Wrong
from tests.kit.nursery import everyhop
from tests.kit.process import ROOT, open_files, tasks
from tests.kit.raw import OK, answering

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
CLOSE = "GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n"
ROUTES = """[[route]]
name = "hsm"
host = "hsm.test"
tls = "plaintext"
to = ["127.0.0.1:{plain}"]
[[route]]
name = "file"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{plain}"]
"""
CONFIG = """version = 1
[engine]
keys = "apart"
[[listener]]
name = "public"
bind = ["127.0.0.1:8443"]
[[route]]
name = "hsm"
host = "hsm.test"
tls = "plaintext"
to = ["127.0.0.1:1"]
"""
SITE = """[[site]]
name = "hsm"
hosts = ["hsm.test"]
certs = [{{ chain = "{chain}", key = "{key}" }}]
"""
needs_root = pytest.mark.skipif(not ROOT, reason="only a module of root's is loaded, and this one is made here")
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Token:
    return Token(tmp_path / "hsm", monkeypatch)


class Ground:
    """An edge with a site whose key is in the token, and one whose key is in a file."""

    def __init__(self, edge: Edges, raw: Raws, pki: Pki, chain: Path, key: str, **more: Any) -> None:
        self.pki = pki
        self.plain = raw(answering(OK))
        routes = ROUTES.format(plain=self.plain.port)
        site = SITE.format(chain=chain, key=key)
        self.edge = edge(routes, engine='keys = "apart"', more=site, **more)

    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = self.edge.admin("status")["supervisor"]["keyholder"]
        return found

    def module(self) -> dict[str, Any]:
        (one,) = self.told()["modules"]
        return dict(one)

    def get(self, name: str = "hsm.test", highest: ssl.TLSVersion | None = None) -> int:
        with tls(self.edge.port, name, self.pki.public.file, kept=False, highest=highest) as sock:
            return exchange(sock, CLOSE.format(name)).status


@pytest.fixture
def leaf(pki: Pki) -> Leaf:
    return pki.public.leaf("hsm-ec", "hsm.test")


@pytest.mark.parametrize("version", [TLS13, TLS12])
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_token_signs_handshakes(
    edge: Edges, raw: Raws, pki: Pki, token: Token, kind: str, version: ssl.TLSVersion
) -> None:
    leaf = pki.public.leaf(f"hsm-{kind}", "hsm.test", kind=kind)
    token.takes(leaf, "shop")
    ground = Ground(edge, raw, pki, leaf.chain, token.uri("shop"))
    with tls(ground.edge.port, "hsm.test", pki.public.file, kept=False, highest=version) as sock:
        assert exchange(sock, CLOSE.format("hsm.test")).status == 200
        assert sock.version() == ("TLSv1.3" if version == TLS13 else "TLSv1.2")
    assert ground.get("a.test") == 200, "a key of a file signs beside it"
    told = ground.module()
    assert told["keys"] == ["site/hsm/0"] and told["trouble"] == ""
    shown = " ".join(ground.edge.cli("status", "--config", str(ground.edge.config)).stdout.split())
    assert f"keys in tokens: site/hsm/0 by {SOFTHSM}, pid {told['pid']}" in shown


def test_a_token_signs_towards_backends_and_on_p_384(edge: Edges, raw: Raws, pki: Pki, token: Token) -> None:
    """An identity's key signs as a client, and no site's does."""
    odd = forged("edge.internal", root(pki.internal), key=ec.generate_private_key(ec.SECP384R1()))
    saved(pki.folder, "hsm-identity", odd, odd)
    leaf = Leaf(pki.folder / "hsm-identity.pem", pki.folder / "hsm-identity.key")
    token.takes(leaf, "caller")
    mutual = raw(answering(OK), pki.backend, clients=pki.internal.file)
    routes = f"""[[route]]
name = "mutual"
host = "a.test"
tls = "mutual"
to = ["127.0.0.1:{mutual.port}"]
verify = {{ ca = "{{pki}}/internal-ca.pem", name = "backend.internal" }}
present = "hsm"
"""
    more = f'[[identity]]\nname = "hsm"\nchain = "{leaf.chain}"\nkey = "{token.uri("caller")}"\n'
    it = edge(routes, engine='keys = "apart"', more=more)
    for version in (TLS13, TLS12):
        assert mutual.context is not None
        mutual.context.maximum_version = version
        with tls(it.port, "a.test", pki.public.file, kept=False) as sock:
            assert exchange(sock, CLOSE.format("a.test")).status == 200
    (one,) = it.admin("status")["supervisor"]["keyholder"]["modules"]
    assert one["keys"] == ["identity/hsm"]


def test_a_reload_goes_to_another_key_of_the_token_and_to_a_file_and_back(
    edge: Edges, raw: Raws, pki: Pki, token: Token, leaf: Leaf
) -> None:
    token.takes(leaf, "shop")
    other = pki.public.leaf("hsm-other", "hsm.test")
    token.takes(other, "next")
    ground = Ground(edge, raw, pki, leaf.chain, token.uri("shop"))
    text = ground.edge.config.read_text()
    before = ground.module()["pid"]

    def reloads(chain: Path, key: str) -> bytes:
        ground.edge.config.write_text(text.replace(str(leaf.chain), str(chain)).replace(token.uri("shop"), key))
        assert ground.edge.admin("reload")["reloaded"]
        with tls(ground.edge.port, "hsm.test", pki.public.file, kept=False) as sock:
            assert exchange(sock, CLOSE.format("hsm.test")).status == 200
            return sock.getpeercert(binary_form=True) or b""

    ending, served = threading.Event(), list[int]()

    def come() -> None:
        while not ending.is_set():
            served.append(ground.get())

    with ThreadPoolExecutor(1) as threads:
        client = threads.submit(come)
        try:
            shown = [reloads(other.chain, token.uri("next"))]
            assert ground.module()["pid"] == before, "the module goes on"
            shown += [reloads(other.chain, f"file:{other.key}")]
            until(lambda: ground.told()["modules"] == [])
            shown += [reloads(leaf.chain, token.uri("shop"))]
            until(lambda: len(served) > 5 or client.done())
        finally:
            ending.set()
        client.result()
    assert shown[0] == shown[1] != shown[2] and {*served} == {200}


def refused(ground: Ground, was: str, now: str) -> list[dict[str, Any]]:
    """What a reload says against it, which leaves what runs."""
    text = ground.edge.config.read_text()
    ground.edge.config.write_text(text.replace(was, now))
    told = ground.edge.admin("reload")
    ground.edge.config.write_text(text)
    assert not told["reloaded"]
    assert ground.get() == 200 == ground.get("a.test")
    return list(told["findings"])


def test_a_reload_to_what_the_token_does_not_sign_by_is_refused_at_its_line_and_what_runs_goes_on(
    edge: Edges, raw: Raws, pki: Pki, token: Token, leaf: Leaf
) -> None:
    token.takes(leaf, "shop")
    token.takes(pki.public.leaf("hsm-other", "hsm.test"), "next")
    ground = Ground(edge, raw, pki, leaf.chain, token.uri("shop"))
    for label, slug, says in (
        ("none", "key/token", "no such private key"),
        ("next", "certificate/key-mismatch", "not the certificate's"),
    ):
        (one,) = refused(ground, token.uri("shop"), token.uri(label))
        assert one["slug"] == slug and says in one["what"] and "site 'hsm'" in one["what"], one
        assert one["line"] > 0
    (one,) = refused(ground, token.uri("shop"), token.uri("shop", token="nowhere"))
    assert one["slug"] == "key/token" and 'it has "edge"' in one["what"]


# A module that goes wrong.


@pytest.fixture
def wrong(token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wrong:
    return Wrong(tmp_path / "wrong", monkeypatch)


@needs_root
def test_a_module_that_crashes_is_back_at_once_and_no_handshake_is_lost(
    edge: Edges, raw: Raws, pki: Pki, token: Token, wrong: Wrong, leaf: Leaf
) -> None:
    token.takes(leaf, "shop")
    ground = Ground(edge, raw, pki, leaf.chain, token.uri("shop", module=wrong.path), threads=2)
    for n in range(6):
        wrong.does("abort-once")
        assert ground.get() == 200
        assert ground.module()["restarts"] == n + 1
        assert ground.get("a.test") == 200
    assert "ended by SIGABRT" in ground.edge.edge.wait_for("is gone (")
    assert ground.told()["restarts"] == 0, "the keyholder has nothing to do with it"


@needs_root
def test_a_module_that_does_not_come_back_is_told_and_others_sign_meanwhile(
    edge: Edges, raw: Raws, pki: Pki, token: Token, wrong: Wrong, leaf: Leaf
) -> None:
    token.takes(leaf, "shop")
    ground = Ground(edge, raw, pki, leaf.chain, token.uri("shop", module=wrong.path), threads=2)
    wrong.does("abort")
    wrong.does("abort-at-start")
    with pytest.raises(OSError):
        ground.get()
    ground.edge.line(lambda it: it["end"] == "handshake/unsigned")
    told = until(lambda: ground.module()["trouble"])
    assert "ended by SIGABRT" in told and "all others go on" in told and str(wrong.path) in told
    shown = " ".join(ground.edge.cli("status", "--config", str(ground.edge.config)).stdout.split())
    assert "keys in tokens: ! module" in shown and "handshake/unsigned" in shown
    assert ground.get("a.test") == 200
    began = time.monotonic()
    with pytest.raises(OSError):
        ground.get()
    assert time.monotonic() - began < 2.5, "nobody stands still for it again for three seconds"
    wrong.no_more("abort")
    wrong.no_more("abort-at-start")
    until(lambda: ground.module()["trouble"] == "")
    assert ground.get() == 200


@needs_root
def test_a_module_that_hangs_is_ended_and_others_sign_meanwhile(
    edge: Edges, raw: Raws, pki: Pki, token: Token, wrong: Wrong, leaf: Leaf
) -> None:
    token.takes(leaf, "shop")
    ground = Ground(edge, raw, pki, leaf.chain, token.uri("shop", module=wrong.path), threads=2)
    before = ground.module()["pid"]
    wrong.does("hang")
    with pytest.raises(OSError):
        ground.get()
    assert ground.get("a.test") == 200
    wrong.no_more("hang") if until(lambda: ground.module()["pid"] != before) else None
    until(lambda: ground.module()["trouble"] == "")
    assert ground.get() == 200


@needs_root
def test_a_token_that_is_pulled_out_while_it_signs_is_asked_anew(
    edge: Edges, raw: Raws, pki: Pki, token: Token, wrong: Wrong, leaf: Leaf
) -> None:
    token.takes(leaf, "shop")
    ground = Ground(edge, raw, pki, leaf.chain, token.uri("shop", module=wrong.path), threads=2)
    assert ground.get() == 200
    wrong.does("removed")
    with pytest.raises(OSError):
        ground.get()
    until(lambda: "C_Sign answers CKR_DEVICE_REMOVED" in ground.module()["trouble"])
    assert ground.get("a.test") == 200
    wrong.no_more("removed")
    until(lambda: ground.module()["trouble"] == "")
    assert ground.get() == 200


@needs_root
def test_a_module_that_cannot_lock_is_called_by_one_thread_at_a_time(
    edge: Edges, raw: Raws, pki: Pki, token: Token, wrong: Wrong, leaf: Leaf
) -> None:
    token.takes(leaf, "shop")
    wrong.does("alone")
    ground = Ground(edge, raw, pki, leaf.chain, token.uri("shop", module=wrong.path), threads=2)
    with ThreadPoolExecutor(4) as threads:
        assert {*threads.map(lambda _: ground.get(), range(12))} == {200}
    assert ground.module()["restarts"] == 0


def test_a_token_that_is_pulled_out_is_told_and_signs_again_once_it_is_back(
    edge: Edges, raw: Raws, pki: Pki, token: Token, leaf: Leaf
) -> None:
    token.takes(leaf, "shop")
    ground = Ground(edge, raw, pki, leaf.chain, token.uri("shop"), threads=2)
    assert ground.get() == 200
    token.gone()
    os.kill(ground.module()["pid"], signal.SIGKILL)
    assert "site/hsm/0" in until(lambda: ground.module()["lacking"])
    with pytest.raises(OSError):
        ground.get()
    assert ground.get("a.test") == 200
    assert "no key for site/hsm/0" in ground.module()["trouble"]
    # Nor is anything else held up by it: another engine, and a reload.
    assert ground.edge.admin("upgrade")["upgraded"] and ground.edge.admin("reload")["reloaded"]
    assert ground.get("a.test") == 200
    token.back()
    until(lambda: ground.module()["trouble"] == "")
    assert ground.get() == 200


def test_a_keyholder_that_dies_is_followed_by_one_that_asks_the_same_module(
    edge: Edges, raw: Raws, pki: Pki, token: Token, leaf: Leaf
) -> None:
    token.takes(leaf, "shop")
    ground = Ground(edge, raw, pki, leaf.chain, token.uri("shop"), threads=2)
    module = ground.module()["pid"]
    os.kill(ground.told()["pid"], signal.SIGKILL)
    until(lambda: ground.told()["restarts"] == 1)
    assert ground.get() == 200
    assert ground.module()["pid"] == module


def test_a_supervisor_that_is_gone_takes_no_token_away_and_the_next_one_has_its_own(
    edge: Edges, raw: Raws, pki: Pki, token: Token, leaf: Leaf
) -> None:
    token.takes(leaf, "shop")
    ground = Ground(edge, raw, pki, leaf.chain, token.uri("shop"))
    before = ground.module()["pid"]
    ground.edge.edge.process.kill()
    ground.edge.edge.process.wait(10)
    assert ground.get() == 200
    ground.edge.edge = type(ground.edge.edge)(ground.edge.config)
    ground.edge.edge.wait_for("ready:", 60)
    assert ground.get() == 200 and ground.module()["pid"] != before
    until(lambda: not Path(f"/proc/{before}").exists() or "zombie" in Path(f"/proc/{before}/status").read_text())


# A PIN that is wrong.


@needs_root
def test_a_wrong_pin_is_shown_to_the_token_once_by_a_running_edge_and_never_again(
    edge: Edges, raw: Raws, pki: Pki, token: Token, wrong: Wrong, leaf: Leaf, tmp_path: Path
) -> None:
    token.takes(leaf, "shop")
    ground = Ground(edge, raw, pki, leaf.chain, token.uri("shop", module=wrong.path))
    assert wrong.logins() == 1
    other = tmp_path / "other-pin"
    other.touch(0o600)
    other.write_text("1234\n")
    text = ground.edge.config.read_text()
    # In another module's process the token is logged in to already: this one begins anew.
    twin = wrong.path.with_name("twin.so")
    shutil.copyfile(wrong.path, twin)
    for _ in range(3):
        (one,) = refused(ground, token.uri("shop", module=wrong.path), token.uri("shop", module=twin, pin=other))
        assert one["slug"] == "key/pin", one
        assert "1234" not in json.dumps(one) and PIN not in json.dumps(one)
    assert wrong.logins() == 2
    assert "none that is right since" in one["what"]
    shown = ground.edge.cli("check", str(ground.edge.config))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert wrong.logins() == 3, "check tries it, and it is right: the token forgets"
    ground.edge.config.write_text(text)
    assert PIN not in json.dumps(ground.edge.admin("status")) + "".join(ground.edge.edge.said)
    assert PIN not in ground.edge.cli("plan", str(ground.edge.config), "--json").stdout


def test_a_pin_that_is_another_is_tried_beside_and_what_runs_goes_on_if_it_is_wrong(
    edge: Edges, raw: Raws, pki: Pki, token: Token, leaf: Leaf
) -> None:
    token.takes(leaf, "shop")
    ground = Ground(edge, raw, pki, leaf.chain, token.uri("shop"))
    before = ground.module()["pid"]
    token.pin.write_text("1234\n")
    until(lambda: "C_Login answers CKR_PIN_INCORRECT" in "\n".join(ground.edge.edge.said))
    assert ground.get() == 200 and ground.module()["pid"] == before
    assert ground.module()["trouble"] == ""
    token.pin.write_text(f"{PIN}\n\n")
    assert everyhop("check", str(ground.edge.config)).returncode == 0
    assert ground.edge.admin("reload")["reloaded"]
    assert ground.get() == 200
    assert "1234" not in "\n".join(ground.edge.edge.said)


@needs_root
def test_check_says_what_a_token_has_against_a_key_and_with_no_files_asks_nobody(
    pki: Pki, token: Token, wrong: Wrong, leaf: Leaf, tmp_path: Path
) -> None:
    token.takes(leaf, "shop")
    config = tmp_path / "everyhop.toml"
    config.write_text(CONFIG + SITE.format(chain=leaf.chain, key=token.uri("shop", module=wrong.path)))
    ok = everyhop("check", str(config))
    assert ok.returncode == 0, ok.stdout + ok.stderr
    for what, slug, says in (
        ("asks-each-time", "key/token", "asks for the PIN at each signature"),
        ("abort", "key/module", "ended by SIGABRT"),
        ("abort-at-start", "key/module", "ended by SIGABRT"),
    ):
        wrong.does(what)
        told = everyhop("check", str(config), "--json")
        wrong.no_more(what)
        (one,) = json.loads(told.stdout)["findings"]
        assert told.returncode == 1 and one["slug"] == slug and says in one["what"], one
    wrong.does("abort-at-start")
    before = wrong.logins()
    assert everyhop("check", str(config), "--no-files").returncode == 0
    assert wrong.logins() == before
    (tmp_path / "none.so").write_text("no library")
    (tmp_path / "none.so").chmod(0o644)
    config.write_text(CONFIG + SITE.format(chain=leaf.chain, key=token.uri("shop", module=tmp_path / "none.so")))
    (one,) = json.loads(everyhop("check", str(config), "--json").stdout)["findings"]
    assert one["slug"] == "key/module" and "cannot be loaded" in one["what"]


def test_an_edge_does_not_start_without_a_key_that_its_token_has_not_and_says_where(
    pki: Pki, token: Token, leaf: Leaf, tmp_path: Path
) -> None:
    config = tmp_path / "everyhop.toml"
    text = CONFIG.replace("8443", str(free_port())) + SITE.format(chain=leaf.chain, key=token.uri("none"))
    config.write_text(text.replace("version = 1", f'version = 1\n[admin]\nsocket = "{tmp_path}/admin"'))
    told = everyhop("run", "--config", str(config))
    assert told.returncode == 1, told.stderr
    assert f"{config}:" in told.stderr and "[key/token]" in told.stderr and PIN not in told.stderr


# A taken engine, and what it gets.


def test_a_taken_engine_gets_a_handshake_of_its_site_signed_by_the_token_and_nothing_else(
    pki: Pki, token: Token, leaf: Leaf
) -> None:
    """K03: by the keyholder's line, and by the module's own, as if the keyholder were taken as well."""
    token.takes(leaf, "shop")
    certificate = x509.load_pem_x509_certificate(leaf.chain.read_bytes())
    key = TokenKey(token.uri("shop"), SOFTHSM, PIN.encode(), certificate.public_bytes(Encoding.DER))
    it = Keyholding("enforce" if ROOT else "best-effort")
    it.lines = 1
    assert it.modules.hold({}, {("site", "server"): key}) == []
    it.coming_in_tokens = {("site", "server"): key}
    it.hold()
    it.connect_modules()
    try:
        assert it.running is not None
        asked = it.modules.all[SOFTHSM].asked
        assert asked is not None
        for control in (it.running.control, asked.control):
            with closing(Line(control)) as line:
                takes_nothing_else(line, certificate)
        counts = asked.control.must(h.Counted(), h.Counts)
        assert sum(one.signed for one in counts.signed) == 2
        with pytest.raises(EngineRefused):
            asked.control.must(h.Hold(), h.Held)
    finally:
        it.end()


class Line:
    """One as an engine has it."""

    def __init__(self, control: Control) -> None:
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(10)
        with theirs:
            control.must(h.Lines(), h.Held, [theirs.fileno()])

    def asks(self, spki: bytes, scheme: int, kind: int, parts: bytes) -> bytes | int:
        head = (7).to_bytes(8, "big") + hashlib.sha256(spki).digest() + scheme.to_bytes(2, "big")
        self.sock.send(head + bytes([kind]) + parts)
        answer = self.sock.recv(4096)
        return answer[9:] if answer[8] == 0 else answer[8]

    def close(self) -> None:
        self.sock.close()


P256 = 0x0403
NO_HANDSHAKE, NO_KEY, NO_SCHEME = 2, 3, 4


def takes_nothing_else(line: Line, certificate: x509.Certificate) -> None:
    public = certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    spki, digest = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), bytes(range(32))
    signature = line.asks(spki, P256, 1, digest)
    assert isinstance(signature, bytes)
    words = b" " * 64 + b"TLS 1.3, server CertificateVerify\0" + digest
    public.verify(signature, words, ec.ECDSA(hashes.SHA256()))
    for anything in (b"eyJhbGciOiJFUzI1NiJ9.e30", b"", b"x" * 33, words, b"SSH-2.0-x", bytes(range(64)) * 2):
        for kind in range(256):
            assert line.asks(spki, P256, kind, anything) == NO_HANDSHAKE, (kind, anything)
    assert line.asks(spki, P256, 2, digest) == NO_KEY, "a site's is shown to clients, and to no backend"
    assert line.asks(b"another", P256, 1, digest) == NO_KEY
    for scheme in (0x0804, 0x0401, 0x0503, 0, 0xFFFF):
        assert line.asks(spki, scheme, 1, digest) == NO_SCHEME


def test_the_process_of_a_module_starts_nothing_and_has_no_privilege_and_the_keyholder_has_no_file(
    edge: Edges, raw: Raws, pki: Pki, token: Token, leaf: Leaf
) -> None:
    """K03."""
    token.takes(leaf, "shop")
    ground = Ground(edge, raw, pki, leaf.chain, token.uri("shop"))
    assert ground.get() == 200
    for pid in (ground.module()["pid"], ground.told()["pid"]):
        for task in tasks(pid):
            assert task["NoNewPrivs"] == "1" and task["Seccomp"] == "2" and task["CapEff"] == "0" * 16
    loaded = [pid for pid in (ground.module()["pid"], ground.told()["pid"], ground.edge.edge.process.pid) if has(pid)]
    assert loaded == [ground.module()["pid"]], "the module is in its own process and in no other"
    assert all(it.startswith("socket:") or it == "/dev/null" for it in open_files(ground.told()["pid"])[3:])


def has(pid: int) -> bool:
    return "libsofthsm2" in Path(f"/proc/{pid}/maps").read_text()
