"""npm publishes to verdaccio and installs from it: a scoped package, whose name is one encoded segment of the path."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.applications import curl, peer
from tests.applications.catalogue import PATTERNS
from tests.applications.lab import SITE, application_leaf, routes
from tests.applications.peer import Peer
from tests.kit import EdgeKit, Pki


@pytest.fixture(scope="module")
def front(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeKit]:
    peer.needs_node()
    folder, leaf = tmp_path_factory.mktemp("verdaccio"), application_leaf(pki)
    registry = Peer(peer.node("verdaccio.mjs", folder, leaf.chain, leaf.key, pki.internal.file), folder)
    try:
        ports = registry.read()["ports"]
        it = EdgeKit(pki, SITE + routes("npm", ports, patterns=PATTERNS), threads=2)
        yield it
        it.close()
    finally:
        registry.close()


class Npm:
    """With a user of its own and nobody's settings."""

    def __init__(self, front: EdgeKit, folder: Path, pattern: str) -> None:
        self.front, self.folder, self.ca = front, folder, front.pki.public.file
        self.registry = f"https://npm.{pattern}.test:{front.port}/"
        user = {"name": pattern, "password": "a password of twenty"}
        (folder / "user.json").write_text(json.dumps(user))
        line = [
            *curl.command("curl-h2", self.ca, self.registry),
            "-f",
            "-X",
            "PUT",
            "-H",
            "Content-Type: application/json",
        ]
        line += ["--data-binary", f"@{folder}/user.json", f"{self.registry}-/user/org.couchdb.user:{pattern}"]
        token = json.loads(subprocess.run(line, check=True, capture_output=True, timeout=60).stdout)["token"]
        rc = f"registry={self.registry}\n{self.registry.removeprefix('https:')}:_authToken={token}\n"
        (folder / "npmrc").write_text(rc + "audit=false\nfund=false\nupdate-notifier=false\nfetch-retries=0\n")

    def __call__(self, *arguments: str, at: Path) -> str:
        npm = shutil.which("npm")
        assert npm, "npm is missing though node is here: Debian's npm, or Node's own"
        clean = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        clean |= {"HOME": str(self.folder), "NODE_EXTRA_CA_CERTS": str(self.ca)}
        clean |= {
            "NODE_OPTIONS": f"--require {peer.PEERS}/resolve.cjs",
            "npm_config_userconfig": f"{self.folder}/npmrc",
        }
        clean |= {"npm_config_globalconfig": f"{self.folder}/none", "npm_config_cache": f"{self.folder}/cache"}
        done = subprocess.run(
            [npm, *arguments], cwd=at, env=clean, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_scoped_package_is_published_and_installed(front: EdgeKit, tmp_path: Path, pattern: str) -> None:
    """F01."""
    name = f"@{pattern}/size"
    npm = Npm(front, tmp_path, pattern)
    package, user = tmp_path / "package", tmp_path / "user"
    package.mkdir()
    user.mkdir()
    (package / "package.json").write_text(json.dumps({"name": name, "version": "1.2.3", "main": "it.js"}))
    content = os.urandom(300_000)
    (package / "it.bin").write_bytes(content)
    npm("publish", "--access", "public", at=package)
    assert json.loads(npm("view", name, "--json", at=user))["version"] == "1.2.3"
    (user / "package.json").write_text("{}")
    npm("install", name, at=user)
    assert (user / "node_modules" / name / "it.bin").read_bytes() == content
    if pattern != "passthrough":
        front.line(lambda line: line["route"] == f"npm-{pattern}" and line["path"] == f"/@{pattern}%2fsize")
