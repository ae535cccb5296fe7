"""An agent of the SPIFFE Workload API, by the service of the Python package: what it gives is set by the test, and the rest is real."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from spiffe._proto import workload_pb2, workload_pb2_grpc

from tests.kit.forge import HOUR, Signer, forged

SIGNS = x509.KeyUsage(True, False, False, False, False, False, False, False, False)


def svid(by: Signer, id_: str, *names: str, **more: Any) -> Signer:
    """As SPIRE issues them: one URI, and DNS names where they were asked for."""
    uri = x509.UniformResourceIdentifier(id_)
    return forged("svid", by, names=[uri, *names], more=[SIGNS], **{"ends": HOUR, **more})


def der(*certs: x509.Certificate) -> bytes:
    return b"".join(cert.public_bytes(Encoding.DER) for cert in certs)


def entry(id_: str, it: Signer, roots: Sequence[Signer], key: Signer | None = None) -> Any:
    secret = (key or it).key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return workload_pb2.X509SVID(
        spiffe_id=id_,
        x509_svid=der(it.cert, *it.chain),
        x509_svid_key=secret,
        bundle=der(*(root.cert for root in roots)),
    )


class WorkloadApi(workload_pb2_grpc.SpiffeWorkloadAPIServicer):
    """At `socket`, from `start` to `stop`. Each stream is sent what is given, and each next one."""

    def __init__(self, socket: Path) -> None:
        self.socket, self.changed = socket, threading.Condition()
        self.given: Any = None
        self.refusal: tuple[grpc.StatusCode, str] | None = None
        self.version = self.asked = self.streams = 0
        self.silent = False
        self.server: Any = None

    @property
    def at(self) -> str:
        return f"unix:{self.socket}"

    def give(self, *entries: Any, federated: Mapping[str, Sequence[Signer]] | None = None) -> None:
        with self.changed:
            bundles = {name: der(*(root.cert for root in roots)) for name, roots in (federated or {}).items()}
            self.given = workload_pb2.X509SVIDResponse(svids=entries, federated_bundles=bundles)
            self.refusal = None
            self.version += 1
            self.changed.notify_all()

    def refuse(self, code: grpc.StatusCode, why: str) -> None:
        with self.changed:
            self.refusal = code, why
            self.version += 1
            self.changed.notify_all()

    def FetchX509SVID(self, request: object, context: Any) -> Iterator[Any]:
        assert ("workload.spiffe.io", "true") in [tuple(it) for it in context.invocation_metadata()]
        with self.changed:
            self.asked += 1
            self.streams += 1
        context.add_callback(self.ended)
        seen = -1
        while context.is_active():
            with self.changed:
                if self.version == seen:
                    self.changed.wait(1)
                if self.version == seen:
                    continue
                seen, given, refusal = self.version, self.given, self.refusal
            if refusal is not None:
                context.abort(*refusal)
            if not self.silent:
                yield given

    def ended(self) -> None:
        with self.changed:
            self.streams -= 1
            self.changed.notify_all()

    def start(self) -> None:
        self.server = grpc.server(ThreadPoolExecutor(8))
        add: Any = workload_pb2_grpc.add_SpiffeWorkloadAPIServicer_to_server
        add(self, self.server)
        assert self.server.add_insecure_port(self.at)
        self.server.start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop(None).wait(30)
            self.server = None
            self.socket.unlink(missing_ok=True)
