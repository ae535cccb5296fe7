"""Chromium, headless, at one page, for as long as somebody needs it. Names under `.test` are this machine to it."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from everyhop.demo.certificates import Leaf

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def needs_chromium() -> None:
    """Nobody is made to install it: it is larger than everything else together. Where it is, it is used."""
    if CHROMIUM is None:
        pytest.skip("no chromium here: Debian's chromium")


def spki(it: Leaf) -> str:
    """By which it trusts a certificate whose authority it does not know."""
    key = x509.load_pem_x509_certificate(it.chain.read_bytes()).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


@contextmanager
def browsing(url: str, profile: Path, *trusted: Leaf) -> Iterator[None]:
    """`profile` is a folder of its own; what it complains of is beside it."""
    assert CHROMIUM
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--no-proxy-server"]
    command += [f"--user-data-dir={profile}", f"--ignore-certificate-errors-spki-list={','.join(map(spki, trusted))}"]
    command += ["--host-resolver-rules=MAP *.test 127.0.0.1", "--remote-debugging-port=0", url]
    with profile.with_suffix(".err").open("wb") as errors:
        browser = subprocess.Popen(command, stdout=errors, stderr=errors)
    try:
        yield
    finally:
        browser.terminate()
        browser.wait(20)
