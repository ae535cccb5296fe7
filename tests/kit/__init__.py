"""Real peers for wire tests. Certificates, backends and the relay are the demo's own; what only tests need is here."""

from tests.kit.clients import Answer, exchange, hello_bytes, read_answer, tls
from tests.kit.edge import EdgeKit, Pki
from tests.kit.raw import Raw

__all__ = ["Answer", "EdgeKit", "Pki", "Raw", "exchange", "hello_bytes", "read_answer", "tls"]
