"""Who signs people in: a provider of OpenID Connect, and oauth2-proxy, which asks it and says of each request who it is."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from pathlib import Path

from everyhop.demo.certificates import Leaf
from tests.applications import peer
from tests.kit.edge import until

KIM = {"sub": "kim", "email": "kim@example.com", "email_verified": True}


def started(
    opened: contextlib.ExitStack, command: list[str], folder: Path, name: str, port: int
) -> subprocess.Popen[bytes]:
    errors = opened.enter_context((folder / f"{name}.log").open("wb"))
    clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    process = subprocess.Popen(command, stdout=errors, stderr=errors, env=clean, cwd=folder)

    def ends() -> None:
        process.kill()
        process.wait()

    opened.callback(ends)

    def there() -> bool | None:
        assert process.poll() is None, (folder / f"{name}.log").read_text()[-2000:]
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return None

    until(there, 60, lambda: (folder / f"{name}.log").read_text()[-2000:])
    return process


def provider(opened: contextlib.ExitStack, folder: Path, port: int) -> None:
    """Of whom it signs in it asks a name, and believes it."""
    command = [*peer.module("oidc_provider_mock"), "--port", str(port), "--user-claims", json.dumps(KIM)]
    started(opened, command, folder, "provider", port)


def proxy(opened: contextlib.ExitStack, folder: Path, its: Leaf, ports: tuple[int, int], site: tuple[str, int]) -> None:
    """oauth2-proxy at the first port, for the provider at the second and the host and port of a site."""
    (here, provider), (host, port) = ports, site
    flags = {
        "provider": "oidc",
        "oidc-issuer-url": f"http://127.0.0.1:{provider}",
        "client-id": "everyhop",
        "client-secret": "s",
        "cookie-secret": "0123456789abcdef0123456789abcdef",
        "email-domain": "*",
        "redirect-url": f"https://{host}:{port}/oauth2/callback",
        "whitelist-domain": f"{host}:{port}",
        "reverse-proxy": "true",
        "trusted-proxy-ip": "127.0.0.1",
        "set-xauthrequest": "true",
        "skip-provider-button": "true",
        "code-challenge-method": "S256",
        "upstream": "static://202",
        "http-address": "",
        "https-address": f"127.0.0.1:{here}",
        "tls-cert-file": str(its.chain),
        "tls-key-file": str(its.key),
    }
    started(opened, [peer.sign_in(), *(f"--{k}={v}" for k, v in flags.items())], folder, "oauth2-proxy", here)
