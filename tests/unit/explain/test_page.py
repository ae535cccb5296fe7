"""The page that an auditor reads a year later: who made it, where and when, what was decided and what was observed."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from everyhop.compile import Compiled, compile_file
from everyhop.explain import Running, Sheet, inventory, page
from everyhop.explain.svg import drawing
from everyhop.identity.described import described
from everyhop.trust import trust_map
from tests.kit import Pki

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
LONG = ".".join(["a-backend-with-a-name-that-goes-on-and-on-and-on-and-on"] * 4)
TEXT = f"""\
version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "edge"
hosts = ["a.test", "b.test"]
certs = [{{ chain = "edge.pem", key = "file:edge.key" }}]
clients = {{ ca = "public-ca.pem", mode = "ask" }}
[[identity]]
name = "edge"
chain = "identity.pem"
key = "file:identity.key"
[[route]]
name = "api"
host = "a.test"
tls = "mutual"
to = ["10.0.1.7:8443", "10.0.1.8:8443", "{LONG}.test:8443"]
verify = {{ ca = "internal-ca.pem", name = "api.internal" }}
present = "edge"
[[route]]
name = "wiki"
host = "b.test"
tls = "plaintext"
to = ["10.0.3.9:3000", "10.0.3.10:3000", "10.0.3.11:3000"]
[route.acceptance]
owner = "owner@example.com"
why = "an appliance <without> TLS"
context = "vendor-appliance"
since = {NOW.date()}
until = {NOW.date() + dt.timedelta(days=60)}
"""


@pytest.fixture
def compiled(tmp_path: Path, pki: Pki) -> Compiled:
    for path in pki.folder.iterdir():
        shutil.copy2(path, tmp_path / path.name)
    (tmp_path / "everyhop.toml").write_text(TEXT)
    return compile_file(tmp_path / "everyhop.toml", files="if-there")


def sheet(it: Compiled, running: Running | None = None) -> Sheet:
    items = inventory(it.config, it.path.parent)
    return Sheet(str(it.path), it.plan_digest, "", NOW, "edge-7.example", "9.9.9", items, running, "nobody answers")


def made(it: Compiled, running: Running | None = None) -> str:
    return page(trust_map(it.plan), sheet(it, running))


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.S)).split())


def status(it: Compiled, digest: str | None = None) -> Running:
    """What an edge would say of it, with one failure and one refusal."""
    failed: dict[str, Any] = {
        "at": "10.0.1.8:8443",
        "address": "10.0.1.8:8443",
        "end": "hop/identity-refused",
        "time": "2026-11-26T03:00:00.000000Z",
        "expected": None,
        "certificate": None,
        "alert": "unknown_ca",
        "grpc_status": None,
        "detail": None,
    }
    hop = {"tls": "mutual", "version": "1.3", "group": "X25519", "identity": "demanded"}
    last = {"time": "2026-11-26T03:01:00.000000Z", "client_hop": hop | {"tls": "ended"}, "backend_hop": hop}

    def backend(at: str, identity: str, failure: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "at": at,
            "state": "up",
            "identity": identity,
            "requests": 7,
            "failed": {"hop/identity-refused": 3} if failure else {},
            "last_failure": failure,
        }

    route = {
        "name": "api",
        "requests": 14,
        "connections": 0,
        "refused": {"hop/identity-refused": 3},
        "last": last,
        "backends": [backend("10.0.1.7:8443", "demanded", None), backend("10.0.1.8:8443", "refused", failed)],
    }
    engine = {
        "plan_digest": digest or it.plan_digest,
        "material_digest": "f" * 64,
        "handshakes": {"ok": 3},
        "routes": [route],
    }
    served = compile_file(it.path).material.entries
    supervisor = {"version": "9.9.8", "pid": 4711, "started": "2026-11-20T10:00:00+00:00", "material": served}
    return Running(NOW, supervisor, engine, ["backend x: it broke"])


def test_the_page_says_what_it_is_of_and_who_made_it_where_and_when(compiled: Compiled) -> None:
    told = words(made(compiled))
    assert f"plan {compiled.plan_digest}" in told
    assert f"made {NOW:%Y-%m-%d %H:%M:%S} UTC on host edge-7.example by Everyhop 9.9.9" in told


def test_every_backend_is_in_the_page_and_in_the_drawing(compiled: Compiled) -> None:
    html = made(compiled)
    for it in trust_map(compiled.plan):
        drawn = re.sub(r"<[^>]+>", "", drawing(it))
        for at, _ in it.backends:
            assert html.count(at) >= 2 and at in drawn, at
        assert not re.search(r"\+\d", words(drawing(it)))


def test_an_acceptance_is_there_as_it_was_written(compiled: Compiled) -> None:
    told = words(made(compiled))
    for word in ("owner@example.com", "an appliance <without> TLS", "vendor-appliance", str(NOW.date())):
        assert word in told
    assert str(NOW.date() + dt.timedelta(days=60)) in told and "60 days left" in told
    assert "10.0.3.9:3000, 10.0.3.10:3000, 10.0.3.11:3000" in told


def test_certificates_are_told_as_they_are(compiled: Compiled, pki: Pki) -> None:
    told = words(made(compiled))
    for leaf in (pki.site, pki.identity):
        cert = x509.load_pem_x509_certificate(leaf.chain.read_bytes())
        for word in (cert.subject.rfc4514_string(), cert.issuer.rfc4514_string(), f"{cert.serial_number:x}"):
            assert word in told
        assert cert.fingerprint(hashes.SHA256()).hex() in told
        assert f"{cert.not_valid_after_utc:%Y-%m-%d %H:%M} UTC" in told
        assert described(cert).key in told and re.search(r"EC \w+ \(\d+ bit\)|RSA \d+ bit", described(cert).key)
    assert "authority 'internal-ca.pem', for backends of route 'api'" in told
    assert "authority 'public-ca.pem', for clients of site 'edge'" in told


def test_a_file_that_cannot_be_read_is_told_and_not_left_out(compiled: Compiled) -> None:
    (compiled.path.parent / "internal-ca.pem").unlink()
    (compiled.path.parent / "edge.pem").write_text("no certificate")
    told = words(made(compiled))
    assert told.count("It cannot be shown:") == 2


def test_silence_is_not_taken_for_evidence(compiled: Compiled) -> None:
    told = words(made(compiled))
    assert "Nothing here was observed: nobody answers" in told
    assert told.count("Not observed.") == len(compiled.plan.routes)
    assert "Nothing is wrong" not in told


def test_what_was_observed_is_told_with_its_edge_and_its_moment(compiled: Compiled) -> None:
    told = words(made(compiled, status(compiled)))
    assert "Everyhop 9.9.8, supervisor 4711" in told and "this very plan" in told
    assert "Last, at 2026-11-26T03:01:00.000000Z: ended TLS 1.3 X25519 | mutual TLS 1.3 X25519 knows us" in told
    assert "REFUSED US" in told and "hop/identity-refused x3" in told
    assert "10.0.1.8:8443 hop/identity-refused at 2026-11-26T03:00:00.000000Z; alert unknown_ca" in told
    assert "backend x: it broke" in told
    assert "the edge that runs has no such route" in told, "of wiki it says nothing"
    assert "the edge serves this" in told and "serves another" not in told
    other = words(made(compiled, status(compiled, "e" * 64)))
    assert "another plan" in other and "e" * 64 in other


def test_a_plaintext_hop_has_a_mark_and_a_word_wherever_it_is_shown(compiled: Compiled) -> None:
    html = made(compiled)
    without_colour = re.sub(r"<style>.*?</style>", "", html, flags=re.S)
    assert without_colour.count('<span class="open">! plaintext</span>') == 5, "index, title, and each backend"
    (mutual, wiki) = trust_map(compiled.plan)
    assert "! plaintext" in drawing(wiki) and "stroke-dasharray" in drawing(wiki)
    assert "! plaintext" not in drawing(mutual) and "stroke-dasharray" not in drawing(mutual)
    assert re.search(r'class="shut">= ', made(compiled))


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; tools/machine check installs it")
@pytest.mark.parametrize("width", [375, 1280])
def test_no_screen_needs_to_be_scrolled_sideways(compiled: Compiled, tmp_path: Path, width: int) -> None:
    assert CHROMIUM is not None
    html = made(compiled, status(compiled)).replace("&", "&amp;").replace('"', "&quot;")
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<!doctype html><iframe id="f" style="border:0;width:{width}px;height:800px" srcdoc="{html}"></iframe><p id="p"></p>'
        "<script>onload=()=>{const d=document.getElementById('f').contentDocument.documentElement;"
        "document.getElementById('p').textContent='wide '+d.scrollWidth}</script>"
    )
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    command += ["--window-size=1400,900", "--virtual-time-budget=5000", "--dump-dom", f"file://{frame}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r'id="p">wide (\d+)', done.stdout)
    assert found is not None, done.stderr
    assert int(found[1]) <= width
