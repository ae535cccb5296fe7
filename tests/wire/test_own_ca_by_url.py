"""An edge that trusts the root of `everyhop ca` alone, as `roots.pem` has it, and fetches the lists that it publishes: who is taken back
passes no more, on either side; nor does anybody below an issuing authority that was retired."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from everyhop.authority.certify import pem
from everyhop.demo.certificates import Leaf
from tests.kit import EdgeKit, Pki, Raw
from tests.kit.edge import until
from tests.kit.forge import Signer, root
from tests.kit.list_server import ListServer
from tests.kit.own_ca import OwnCa
from tests.kit.raw import OK, answering, server_context
from tests.kit.settle import settle
from tests.threats.test_renewals import Known
from tests.wire.test_lists_by_url import section, status, told

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
BACKEND = "backend.internal"


@pytest.fixture
def own(tmp_path: Path) -> OwnCa:
    return OwnCa(tmp_path, "--domain", "internal")


class Published(ListServer):
    """What the authority published last."""

    def __init__(self, own: OwnCa, by: Signer) -> None:
        self.own = own
        super().__init__(own.at.parent, by)

    def publish(self, *_: object, **__: object) -> bytes:
        self.body = self.own.lists.read_bytes()
        return self.body


@pytest.fixture
def served(own: OwnCa, pki: Pki) -> Iterator[Published]:
    it = Published(own, root(pki.public))
    yield it
    it.close()


class Clients:
    """An edge that knows them by what the authority published; the names of what it issued to them are theirs."""

    def __init__(self, edge: Edges, raw: Raws, pki: Pki, own: OwnCa, url: str) -> None:
        self.own, self.pki, folder = own, pki, own.at.parent
        self.leaves = {n: own.leaf(folder / n, f"{n}.internal", use="client") for n in ("alice", "bob")}
        self.backend = raw(answering(OK))
        route = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{self.backend.port}"]\n'
        site = f'clients = {{ ca = "{own.roots}", crl = "{url}" }}'
        self.it = edge(route, site=site, more=section(folder))

    def become(self, **wanted: int) -> None:
        found: dict[str, int] = {}

        def so() -> bool | None:
            found.update({n: self.status(self.leaves[n]) for n in wanted})
            return found == wanted or None

        until(so, 30, lambda: f"{found} {self.it.edge.said}")

    def status(self, leaf: Leaf) -> int:
        return Known.of(self.it, self.pki, leaf, ssl.TLSVersion.TLSv1_3).visit(None)[0]


def test_a_client_that_is_taken_back_passes_no_more_where_the_edge_knows_the_root_alone(
    edge: Edges, raw: Raws, pki: Pki, own: OwnCa, served: Published
) -> None:
    """T11."""
    it = Clients(edge, raw, pki, own, served.url)
    it.become(alice=200, bob=200)
    own.does("revoke", "alice.internal", "--reason", "key-compromise")
    served.publish()
    it.become(alice=0, bob=200)
    settle(it.it, it.backend)
    before = it.backend.received
    assert it.status(it.leaves["alice"]) == 0
    settle(it.it, it.backend)
    assert it.backend.received == before, "nothing of the revoked one came through"
    assert told(it.it, "revocation-not-fetched") == []


def test_the_issuing_authority_is_no_root_by_having_come_along(
    edge: Edges, raw: Raws, pki: Pki, own: OwnCa, served: Published
) -> None:
    """What came with the lists says who signs lists. Whoever is verified shows a chain, and its links are asked for."""
    it = Clients(edge, raw, pki, own, served.url)
    it.become(alice=200)
    chain = it.leaves["alice"].chain
    chain.write_text(chain.read_text().partition("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n")
    assert it.status(it.leaves["alice"]) == 0


def test_clients_of_an_issuing_authority_that_was_retired_pass_no_more(
    edge: Edges, raw: Raws, pki: Pki, own: OwnCa, served: Published
) -> None:
    """T11, K04. The root stays, and with it `ca`; the edge hears of it from the root's list."""
    it = Clients(edge, raw, pki, own, served.url)
    it.become(alice=200, bob=200)
    before = own.lists.read_bytes()
    own.does("rotate", "--keep-root", "--passphrase-file", str(own.passphrase))
    own.does("rotate", "--activate")
    served.publish()
    it.leaves["carol"] = own.leaf(own.at.parent / "carol", "carol.internal", use="client")
    it.become(alice=200, bob=200, carol=200)
    own.does("rotate", "--retire", "--force")
    served.publish()
    it.become(alice=0, bob=0, carol=200)
    # Whoever answers at that URL brings neither it nor its clients back.
    served.body = before
    until(lambda: [w for w in told(it.it, "revocation-not-fetched") if "is older than the one that is held" in w])
    it.become(alice=0, bob=0, carol=200)


def test_a_backend_that_is_taken_back_and_one_of_a_retired_authority_get_nothing_more(
    edge: Edges, raw: Raws, own: OwnCa, served: Published
) -> None:
    folder = own.at.parent
    backend = raw(answering(OK), own.leaf(folder / "backend", BACKEND, use="server"))
    verify = f'verify = {{ ca = "{own.roots}", name = "{BACKEND}", crl = "{served.url}" }}'
    route = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "reencrypt"\nto = ["127.0.0.1:{backend.port}"]\n{verify}\n'
    it = edge(route, more=section(folder))

    def refused() -> None:
        until(lambda: status(it) == 502 or None, 30)
        settle(it, backend)
        mark = backend.mark()
        assert status(it) == 502
        settle(it, backend)
        assert backend.since(mark) == []

    until(lambda: status(it) == 200 or None, 30)
    own.does("revoke", BACKEND, "--reason", "key-compromise")
    served.publish()
    refused()
    it.line(lambda line: line["end"] == "hop/revoked")
    backend.context = server_context(own.leaf(folder / "again", BACKEND, use="server"))
    until(lambda: status(it) == 200 or None, 30)
    own.does("rotate", "--keep-root", "--passphrase-file", str(own.passphrase))
    own.does("rotate", "--activate")
    own.does("rotate", "--retire", "--force")
    served.publish()
    refused()
    backend.context = server_context(own.leaf(folder / "new", BACKEND, use="server"))
    until(lambda: status(it) == 200 or None, 30)


def test_a_list_under_the_issuing_authoritys_name_by_another_key_brings_nobody_back(
    edge: Edges, raw: Raws, pki: Pki, own: OwnCa, served: Published
) -> None:
    """T11. Its certificate came along, and so its signature can be judged before anybody is."""
    it = Clients(edge, raw, pki, own, served.url)
    own.does("revoke", "alice.internal", "--reason", "key-compromise")
    good = served.publish()
    it.become(alice=0, bob=200)
    (issuing,) = x509.load_pem_x509_certificates(good)
    of_root = good.partition(b"-----END X509 CRL-----\n")[0] + b"-----END X509 CRL-----\n"
    served.body = of_root + served.list(by=Signer(issuing, root(pki.public).key)) + pem(issuing)
    until(lambda: [w for w in told(it.it, "revocation-not-fetched") if "is not signed by that authority" in w], 20)
    it.become(alice=0, bob=200)
