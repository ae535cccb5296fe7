"""Chromium, headless, at one page, for as long as somebody needs it, or told what to do there (its DevTools protocol, by pipes).
Names under `.test` are this machine to it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    with profile.with_suffix(".err").open("wb") as errors:
        browser = subprocess.Popen(
            [*started(profile, trusted), "--remote-debugging-port=0", url], stdout=errors, stderr=errors
        )
    try:
        yield
    finally:
        browser.terminate()
        browser.wait(20)


def started(profile: Path, trusted: tuple[Leaf, ...]) -> list[str]:
    assert CHROMIUM
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--no-proxy-server"]
    command += [f"--user-data-dir={profile}", f"--ignore-certificate-errors-spki-list={','.join(map(spki, trusted))}"]
    return [*command, "--host-resolver-rules=MAP *.test 127.0.0.1"]


class Tab:
    """What somebody sees and types who sits before it."""

    def __init__(self, into: int, out: int) -> None:
        self.into, self.out, self.rest, self.asked = into, out, b"", 0
        self.session = ""
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def tell(self, method: str, **params: Any) -> Any:
        self.asked += 1
        session = {"sessionId": self.session} if self.session else {}
        os.write(
            self.into, json.dumps({"id": self.asked, "method": method, "params": params, **session}).encode() + b"\0"
        )
        while True:
            while b"\0" not in self.rest:
                ready, _, _ = select.select([self.out], [], [], 60)
                more = os.read(self.out, 1 << 16) if ready else b""
                assert more, f"the browser says nothing to {method}"
                self.rest += more
            text, _, self.rest = self.rest.partition(b"\0")
            said = json.loads(text)
            if said.get("id") == self.asked:
                assert "error" not in said, said
                return said["result"]

    def opens(self, url: str) -> None:
        self.tell("Page.navigate", url=url)

    def value(self, expression: str) -> Any:
        """Of a line of the page's own language; `None` while it goes from one page to another."""
        return self.tell("Runtime.evaluate", expression=expression)["result"].get("value")


@contextmanager
def tab(profile: Path, *trusted: Leaf) -> Iterator[Tab]:
    """Its pipes are descriptors 3 and 4 of it."""
    (its_in, into), (out, its_out) = os.pipe(), os.pipe()
    pipes = f'exec "$@" 3<&{its_in} 4>&{its_out}'
    with profile.with_suffix(".err").open("wb") as errors:
        browser = subprocess.Popen(
            ["bash", "-c", pipes, "bash", *started(profile, trusted), "--remote-debugging-pipe"],
            stdout=errors,
            stderr=errors,
            pass_fds=(its_in, its_out),
        )
    os.close(its_in)
    os.close(its_out)
    try:
        yield Tab(into, out)
    finally:
        browser.terminate()
        browser.wait(20)
        os.close(into)
        os.close(out)
