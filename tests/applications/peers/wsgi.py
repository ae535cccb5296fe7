"""moto's S3 on Werkzeug's server and WsgiDAV on cheroot, each in the clear, over TLS and with clients' certificates.

Run with the applications' own Python by `test_s3.py` and `test_webdav.py`: `s3` or `webdav`, a folder, certificate, key and
the clients' authority. Says its ports in one line, and ends with its standard input.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import ssl
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl, quote

which, folder, chain, key, clients = sys.argv[1:]
WAYS = ("plain", "tls", "mutual")
SECRET = "a secret of the test"


def context(way: str) -> ssl.SSLContext | None:
    if way == "plain":
        return None
    it = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
    it.load_cert_chain(chain, key)
    it.verify_mode = ssl.CERT_REQUIRED if way == "mutual" else ssl.CERT_NONE
    return it


def signature(environ: dict[str, Any]) -> tuple[str, str]:
    """What the client signed with and what it must have been, by Signature Version 4 over the request as it arrived."""
    path, _, query = environ["REQUEST_URI"].partition("?")
    # Not `+` as a space: the client's own encoding of it is %20.
    pairs = [(k, v) for k, v in parse_qsl(query.replace("+", "%2B"), keep_blank_values=True)]
    given = dict(pairs)
    if "X-Amz-Signature" in given:
        said, scope, signed = given["X-Amz-Signature"], given["X-Amz-Credential"], given["X-Amz-SignedHeaders"]
        date, digest = given["X-Amz-Date"], "UNSIGNED-PAYLOAD"
        pairs = [pair for pair in pairs if pair[0] != "X-Amz-Signature"]
    else:
        parts = dict(part.strip().split("=", 1) for part in environ["HTTP_AUTHORIZATION"].split(" ", 1)[1].split(","))
        said, scope, signed = parts["Signature"], parts["Credential"], parts["SignedHeaders"]
        date, digest = environ["HTTP_X_AMZ_DATE"], environ["HTTP_X_AMZ_CONTENT_SHA256"]
    where = scope.split("/", 1)[1]
    encoded = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in pairs)

    def field(name: str) -> str:
        bare = name.upper().replace("-", "_")
        value = environ.get(f"HTTP_{bare}", environ.get(bare, ""))
        return f"{name}:{' '.join(value.split())}\n"

    canonical = "\n".join(
        [
            environ["REQUEST_METHOD"],
            path,
            "&".join(f"{k}={v}" for k, v in encoded),
            "".join(map(field, signed.split(";"))),
            signed,
            digest,
        ]
    )
    text = "\n".join(["AWS4-HMAC-SHA256", date, where, hashlib.sha256(canonical.encode()).hexdigest()])
    secret = b"AWS4" + SECRET.encode()
    for part in where.split("/"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    return said, hmac.new(secret, text.encode(), "sha256").hexdigest()


class Signed:
    """Asks for the signature that moto itself does not look at."""

    def __init__(self, within: Callable[..., Iterable[bytes]]) -> None:
        self.within = within

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        try:
            said, wanted = signature(environ)
        except KeyError as e:
            said, wanted = f"without {e}", ""
        if said != wanted:
            start("403 Forbidden", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SignatureDoesNotMatch</Code></Error>"]
        return self.within(environ, start)


def s3() -> dict[str, int]:
    os.environ["S3_IGNORE_SUBDOMAIN_BUCKETNAME"] = "1"
    from moto.server import create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = Signed(create_backend_app("s3"))
    ports = {}
    for way in WAYS:
        server = make_server("127.0.0.1", 0, application, threaded=True, ssl_context=context(way))
        WSGIRequestHandler.protocol_version = "HTTP/1.1"
        ports[way] = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
    return ports


def webdav() -> dict[str, int]:
    from cheroot import wsgi
    from cheroot.ssl.builtin import BuiltinSSLAdapter
    from wsgidav.wsgidav_app import WsgiDAVApp

    ports = {}
    for way in WAYS:
        os.mkdir(f"{folder}/{way}")
        application = WsgiDAVApp(
            {
                "provider_mapping": {"/": f"{folder}/{way}"},
                "simple_dc": {"user_mapping": {"*": True}},
                "property_manager": True,
                "lock_storage": True,
                "logging": {"enable": False},
                "verbose": 0,
            }
        )
        server = wsgi.Server(("127.0.0.1", 0), application, numthreads=8)
        if tls := context(way):
            server.ssl_adapter = BuiltinSSLAdapter(chain, key)
            server.ssl_adapter.context = tls
        server.prepare()
        ports[way] = server.socket.getsockname()[1]
        threading.Thread(target=server.serve, daemon=True).start()
    return ports


print(json.dumps({"ports": {"s3": s3, "webdav": webdav}[which]()}), flush=True)
sys.stdin.read()
os._exit(0)
