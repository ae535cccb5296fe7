"""A store of blobs that judges each Shared Key signature by the request line and fields that arrived, as `serve`, or Azure's
own client of it, as `ask`.

Run with the applications' own Python by `test_azure.py`; its file is not called as what it imports. The server says its ports in one line, and ends with its standard input.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

ACCOUNT, SECRET = "mine", base64.b64encode(b"a secret of the test").decode()
NAMED = "content-encoding content-language content-length content-md5 content-type date if-modified-since if-match if-none-match if-unmodified-since range"
NAMES = ["plain", "a//b", "a%2Fb", "ü/größe", "with a space", "a+b", "~tilde;semi=1", "%25", "q?x=1&y", "trailing/"]


def signature(environ: dict[str, Any]) -> str:
    """Of the request as it arrived: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key."""
    fields = {k[5:].replace("_", "-").lower(): v for k, v in environ.items() if k.startswith("HTTP_")}
    fields |= {name: environ.get(name.replace("-", "_").upper(), "") for name in ("content-length", "content-type")}
    if fields["content-length"] == "0":
        fields["content-length"] = ""
    path, _, query = environ["RAW_URI"].partition("?")
    said = [environ["REQUEST_METHOD"], *(fields.get(name, "") for name in NAMED.split())]
    said += [f"{name}:{fields[name]}" for name in sorted(fields) if name.startswith("x-ms-")]
    said.append(f"/{ACCOUNT}{path}")
    said += sorted(f"{k.lower()}:{v}" for k, v in parse_qsl(query, keep_blank_values=True))
    digest = hmac.digest(base64.b64decode(SECRET), "\n".join(said).encode("latin-1"), hashlib.sha256)
    return f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"


class Store:
    """As much of one as its client needs."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.blocks: dict[str, bytes] = {}

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        sent = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, content, fields = self.answer(environ, sent)
        same = [("x-ms-request-id", "1"), ("x-ms-version", "2021-12-02"), ("ETag", '"0x1"')]
        same += [("Last-Modified", "Wed, 01 Jan 2025 00:00:00 GMT"), ("Content-Length", str(len(content)))]
        start(status, [*same, *fields])
        return [content]

    def answer(self, environ: dict[str, Any], sent: bytes) -> tuple[str, bytes, list[tuple[str, str]]]:
        method, (path, _, query) = environ["REQUEST_METHOD"], environ["RAW_URI"].partition("?")
        asked = dict(parse_qsl(query, keep_blank_values=True))
        if environ.get("HTTP_AUTHORIZATION") != signature(environ):
            return "403 Forbidden", b"", [("x-ms-error-code", "AuthenticationFailed")]
        if method == "PUT" and asked.get("comp") == "block":
            self.blocks[path + asked["blockid"]] = sent
        elif method == "PUT" and asked.get("comp") == "blocklist":
            ids = [part.split("</Latest>")[0] for part in sent.decode().split("<Latest>")[1:]]
            self.blobs[path] = b"".join(self.blocks[path + one] for one in ids)
        elif method == "PUT":
            self.blobs[path] = sent
        elif method == "GET":
            return self.some(self.blobs[path], environ["HTTP_X_MS_RANGE"])
        return "201 Created", b"", [("x-ms-request-server-encrypted", "true")]

    def some(self, whole: bytes, wanted: str) -> tuple[str, bytes, list[tuple[str, str]]]:
        first, last = (int(it) for it in wanted.removeprefix("bytes=").split("-"))
        part = whole[first : last + 1]
        told = [
            ("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(whole)}"),
            ("x-ms-blob-type", "BlockBlob"),
        ]
        return "206 Partial Content", part, [*told, ("Content-Type", "application/octet-stream")]


def serve(chain: str, key: str, clients: str) -> None:
    from werkzeug.serving import WSGIRequestHandler, make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    ports = {}
    for way in ("plain", "tls", "mutual"):
        tls = None
        if way != "plain":
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
            tls.load_cert_chain(chain, key)
            tls.verify_mode = ssl.CERT_REQUIRED if way == "mutual" else ssl.CERT_NONE
        server = make_server("127.0.0.1", 0, Store(), threaded=True, ssl_context=tls)
        ports[way] = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"ports": ports}), flush=True)
    sys.stdin.read()
    os._exit(0)


def ask(ca: str, endpoint: str) -> None:
    from azure.core.exceptions import AzureError
    from azure.storage.blob import BlobServiceClient

    system = socket.getaddrinfo
    socket.getaddrinfo = lambda host, *rest, **more: system("127.0.0.1", *rest, **more)

    def container(secret: str) -> Any:
        # In parts from 64 KiB on.
        sizes = {"max_single_put_size": 1 << 16, "max_block_size": 1 << 16}
        to = {"account_name": ACCOUNT, "account_key": secret}
        it = BlobServiceClient(endpoint, credential=to, connection_verify=ca, retry_total=0, **sizes)
        return it.get_container_client("of")

    it = container(SECRET)
    told: dict[str, Any] = {}
    for name in NAMES:
        content = f"of {name}".encode()
        try:
            blob = it.get_blob_client(name)
            blob.upload_blob(content, overwrite=True, metadata={"mine": "yes"})
            told[name] = blob.download_blob().readall() == content
        except AzureError as e:
            told[name] = f"{type(e).__name__}: {e}"[:300]
    large = bytes(range(256)) * 1024
    blob = it.get_blob_client("large/of %2F parts")
    blob.upload_blob(large, overwrite=True)
    told["in parts"] = blob.download_blob().readall() == large
    try:
        container(base64.b64encode(b"another").decode()).get_blob_client("plain").download_blob()
        told["forged"] = "taken"
    except AzureError as e:
        told["forged"] = e.error_code
    print(json.dumps(told), flush=True)


if sys.argv[1] == "serve":
    serve(*sys.argv[2:])
else:
    ask(*sys.argv[2:])
