"""Certificates that are wrong in exactly one way, on both sides: clients' to us and backends' to us."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from everyhop.demo.certificates import Authority, Leaf
from tests.kit import EdgeKit, Pki, Raw
from tests.kit.edge import until
from tests.kit.forge import HOUR, Signer, crl, forged, root, saved
from tests.kit.raw import OK, answering
from tests.kit.settle import settle
from tests.threats.ground import Ground, response, watched

Edges = Callable[..., EdgeKit]
Made = tuple[Signer, Signer]
"""A leaf and what signed it."""

SERVER, CLIENT = (ExtendedKeyUsageOID.SERVER_AUTH,), (ExtendedKeyUsageOID.CLIENT_AUTH,)
DAY = 24 * HOUR


def chain(by: Signer, length: int) -> Signer:
    for i in range(length):
        by = forged(f"CA {i}", by, ca=True)
    return by


def constrained(by: Signer, *permitted: x509.GeneralName) -> Signer:
    return forged("Narrow CA", by, ca=True, constraints=x509.NameConstraints(list(permitted), None))


def cases(
    name: str, other: Authority, right: tuple[object, ...], wrong: tuple[object, ...]
) -> dict[str, Callable[[Signer], Made]]:
    """What must be refused on either side. `name` is the one that is expected; `wrong` is the other side's usage."""

    def plain(by: Signer, **more: object) -> Made:
        return forged("leaf", by, names=[name], **more), by  # type: ignore[arg-type]

    return {
        "expired": lambda r: plain(r, begins=-2 * DAY, ends=-HOUR),
        "not yet valid": lambda r: plain(r, begins=HOUR, ends=DAY),
        "for the other side's use": lambda r: plain(r, usages=wrong),
        "for signing code": lambda r: plain(r, usages=[ExtendedKeyUsageOID.CODE_SIGNING]),
        "of another authority": lambda r: plain(root(other)),
        "of an authority of that name": lambda r: (forged("leaf", impostor(r), names=[name]), impostor(r)),
        "signed by itself": lambda r: itself(root(other), name),
        "signed by a leaf": lambda r: by_leaf(r, name),
        "a CA as leaf": lambda r: (forged("leaf", r, names=[name], ca=True), r),
        "below an expired authority": lambda r: plain(forged("Old CA", r, ca=True, begins=-2 * DAY, ends=-HOUR)),
        "below an authority that may sign none": lambda r: plain(
            forged("Sub", forged("Zero", r, ca=True, length=0), ca=True)
        ),
        "below one for other names": lambda r: plain(constrained(r, x509.DNSName("elsewhere.test"))),
        "chain of twelve": lambda r: plain(chain(r, 12)),
        "no chain": lambda r: (plain(chain(r, 1))[0], r),
    }


def impostor(by: Signer) -> Signer:
    """The authority's name and another key."""
    key = forged("x", by).key
    return Signer(by.cert, key)


def itself(stranger: Signer, name: str) -> Made:
    """Subject and issuer are the same, and so is the key."""
    first = forged("leaf", stranger)
    own = Signer(first.cert, first.key)
    return forged("leaf", own, names=[name], key=first.key), own


def by_leaf(by: Signer, name: str) -> Made:
    leaf = forged("signing leaf", by, names=["x.test"])
    leaf.chain = [leaf.cert]
    return forged("leaf", leaf, names=[name]), leaf


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"), "Nobody's CA")


NAMES = list(cases("x", None, (), ()))  # type: ignore[arg-type]


def knock(ground: Ground, leaf: Leaf | None) -> int:
    """The status of a request to the site that demands a certificate; 0 where the handshake ended."""
    try:
        with ground.connect("m.test", leaf=leaf) as sock:
            sock.sendall(b"GET /private HTTP/1.1\r\nHost: m.test\r\n\r\n")
            return response(sock)[0]
    except OSError:
        return 0


@pytest.mark.parametrize("case", NAMES)
def test_a_client_certificate_that_is_wrong_in_one_way_ends_the_handshake(
    ground: Ground, other: Authority, case: str, tmp_path: Path
) -> None:
    """T11."""
    by = root(ground.pki.public)
    leaf, signer = cases("client.test", other, CLIENT, SERVER)[case](by)
    with watched(ground, "private") as seen:
        assert knock(ground, saved(tmp_path, "bad", leaf, signer)) == 0, case
    assert seen == []
    good = saved(tmp_path, "good", forged("leaf", by, names=["client.test"], usages=CLIENT), by)
    assert knock(ground, good) == 200, "one that is right in all ways passes"


def test_a_client_without_a_certificate_does_not_pass(ground: Ground) -> None:
    """T11."""
    with watched(ground, "private") as seen:
        assert knock(ground, None) == 0
    assert seen == []


ODD_URIS = [
    ["spiffe://good.test/a", "spiffe://evil.test/b"],
    ["spiffe://good.test.evil.test/a"],
    ["spiffe://user@good.test/a"],
    ["spiffe://good.test:8443/a"],
    ["spiffe://good.test/../a"],
    ["https://good.test/a"],
    ["spiffe://GOOD.test/a"],
    ["spiffe://good.test/a\x00b"],
    ["spiffe://good.test/a?x"],
]


def allowing(port: int, more: str = "") -> str:
    return (
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n'
        f'[route.allow]\nclients = ["spiffe://good.test/a", "client.test"]\n{more}'
    )


def asked(it: EdgeKit, pki: Pki, leaf: Leaf | None) -> int:
    context = ssl.create_default_context(cafile=str(pki.public.file))
    if leaf:
        context.load_cert_chain(leaf.chain, leaf.key)
    try:
        with context.wrap_socket(
            socket.create_connection(("127.0.0.1", it.port), 10), server_hostname="a.test"
        ) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            return response(sock)[0]
    except OSError:
        return 0


def test_who_may_pass_is_decided_by_exact_names_of_the_verified_certificate(
    edge: Edges, raw: Callable[..., Raw], pki: Pki, tmp_path: Path
) -> None:
    """T11. No common name, no part of a name, no normalising of a URI."""
    backend = raw(answering(OK))
    it = edge(allowing(backend.port), site='clients = { ca = "{pki}/public-ca.pem" }')
    by = root(pki.public)
    for i, names in enumerate([["spiffe://good.test/a"], ["client.test"], ["x.test", "client.test"]]):
        assert asked(it, pki, saved(tmp_path, f"good{i}", forged("x", by, names=names), by)) == 200, names
    before = backend.received
    wrong: list[list[str]] = [
        *ODD_URIS[1:],
        [],
        ["*.test"],
        ["xclient.test"],
        ["client.test.evil.test"],
        ["spiffe://good.test/a/b"],
    ]
    for i, names in enumerate(wrong):
        try:
            leaf = saved(tmp_path, f"bad{i}", forged("client.test", by, names=names), by)
        except ValueError:
            continue  # pyca itself does not write it
        assert asked(it, pki, leaf) in {0, 403}, names
    settle(it, backend)
    assert backend.received == before


def test_a_revoked_client_does_not_pass_nor_does_anybody_by_a_list_that_is_overdue_or_missing(
    edge: Edges, raw: Callable[..., Raw], pki: Pki, tmp_path: Path
) -> None:
    """T11. The list is watched: a client revoked while it is known here is refused at its next handshake."""
    backend = raw(answering(OK))
    by = root(pki.public)
    one, two = (forged(f"{n}.test", by, names=[f"{n}.test"]) for n in ("one", "two"))
    leaves = [saved(tmp_path, n, it, by) for n, it in (("one", one), ("two", two))]
    path = crl(tmp_path / "list.pem", by)
    demand = f'clients = {{ ca = "{{pki}}/public-ca.pem", crl = "{path}"%s }}'
    route = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n'
    it = edge(route, site=demand % "")
    assert [asked(it, pki, leaf) for leaf in leaves] == [200, 200]
    crl(path, by, one.cert)
    until(lambda: asked(it, pki, leaves[0]) == 0)
    # The first may have been let go between handshake and request, as the list came; from now on it is the handshake.
    assert [asked(it, pki, leaf) for leaf in leaves] == [0, 200]
    line = it.line(lambda x: x["end"] == "handshake/client-certificate-revoked")
    assert line["sni"] == "a.test"
    before = len(backend.received)
    crl(path, by, one.cert, begins=-2 * DAY, ends=-HOUR)
    until(lambda: asked(it, pki, leaves[1]) == 0)
    settle(it, backend)
    assert len(backend.received) == before or backend.received.endswith(b"\r\n\r\n")
    # Configured so, an overdue list still holds: the revoked stay out, the others come in.
    it.site = demand % ', stale_crl = "allow"'
    assert it.reload(route)["reloaded"]
    assert [asked(it, pki, leaf) for leaf in leaves] == [0, 200]
    # A list that cannot be read refuses the reload; what ran goes on.
    path.write_text("nothing")
    assert not it.admin("reload")["reloaded"]
    assert [asked(it, pki, leaf) for leaf in leaves] == [0, 200]


def test_a_client_below_an_authority_that_no_list_speaks_of_is_refused(
    edge: Edges, raw: Callable[..., Raw], pki: Pki, tmp_path: Path
) -> None:
    """T11. Missing revocation is no revocation only where nobody asked for it."""
    by = root(pki.public)
    middle = forged("Middle CA", by, ca=True)
    leaf = saved(tmp_path, "deep", forged("deep.test", middle, names=["deep.test"]), middle)
    path = crl(tmp_path / "list.pem", by)
    route = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{raw(answering(OK)).port}"]\n'
    it = edge(route, site=f'clients = {{ ca = "{{pki}}/public-ca.pem", crl = "{path}" }}')
    assert asked(it, pki, leaf) == 0
    both = path.read_text() + crl(tmp_path / "middle.pem", middle).read_text()
    path.write_text(both)
    until(lambda: asked(it, pki, leaf) == 200)


def upstream_cases(pki: Pki, other: Authority) -> dict[str, Callable[[Signer], Made]]:
    name = "backend.internal"

    def named(*names: str | x509.GeneralName) -> Callable[[Signer], Made]:
        return lambda r: (forged(name, r, names=names), r)

    return {
        **cases(name, other, SERVER, CLIENT),
        "name only in the subject": named(),
        "another name": named("other.internal"),
        "name as a suffix": named("xbackend.internal"),
        "name as a prefix": named("backend.internal.evil.test"),
        "wildcard over two labels": named("*.internal.test", "*.*.internal"),
        "partial wildcard": named("back*.internal"),
        "wildcard of everything": named("*"),
        "name with NUL": named(x509.DNSName("backend.internal\x00.evil.test")),
        "name as a URI": named("https://backend.internal/"),
        "name as an address": named("127.0.0.1"),
        "public authority": lambda r: (forged("leaf", root(pki.public), names=[name]), root(pki.public)),
    }


def hop(name: str, pattern: str, port: int) -> str:
    return (
        f'[[route]]\nname = "{name}"\nhost = "a.test"\npath = "/{name}"\ntls = "{pattern}"\nto = ["127.0.0.1:{port}"]\n'
        'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\n'
        + ('present = "edge"\n' if pattern == "mutual" else "")
    )


@pytest.mark.parametrize("pattern", ["reencrypt", "mutual"])
def test_a_backend_whose_certificate_is_wrong_in_one_way_gets_no_byte_of_a_request(
    edge: Edges, raw: Callable[..., Raw], pki: Pki, other: Authority, pattern: str, tmp_path: Path
) -> None:
    """T13."""
    by = root(pki.internal)
    backends: dict[str, Raw] = {}
    for i, (case, make) in enumerate(upstream_cases(pki, other).items()):
        try:
            backends[case] = raw(answering(OK), saved(tmp_path, f"bad{i}", *make(by)))
        except ValueError:
            continue  # pyca does not write such a certificate
    assert len(backends) > 20
    good = raw(answering(OK), pki.backend)
    routes = {case: f"bad{i}" for i, case in enumerate(backends)}
    it = edge("".join(hop(routes[c], pattern, b.port) for c, b in backends.items()) + hop("good", pattern, good.port))
    context = ssl.create_default_context(cafile=str(pki.public.file))
    with context.wrap_socket(socket.create_connection(("127.0.0.1", it.port), 10), server_hostname="a.test") as sock:
        for case, bad in backends.items():
            path = routes[case].encode()
            sock.sendall(b"POST /%s HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n\r\nsecret" % path)
            status, body, _ = response(sock)
            assert status == 502 and b"reason: hop/" in body, (case, status, body)
            settle(it, bad)
            assert bad.received == b"", case
            sock.sendall(b"GET /good HTTP/1.1\r\nHost: a.test\r\n\r\n")
            assert response(sock)[0] == 200, "the connection and the other route go on"


def speaking(what: bytes) -> Callable[[socket.socket, bytearray], None]:
    def script(sock: socket.socket, record: bytearray) -> None:
        sock.sendall(what)
        while data := sock.recv(4096):
            record += data

    return script


@pytest.mark.parametrize("pattern", ["reencrypt", "mutual"])
@pytest.mark.parametrize(
    "what",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"SSH-2.0-x\r\n",
        b"\x16\x03\x03\xff\xff" + b"x" * 100,
    ],
    ids=["plaintext answer", "alert", "ssh", "nonsense"],
)
def test_a_backend_that_speaks_no_tls_is_never_spoken_to_in_plaintext(
    edge: Edges, raw: Callable[..., Raw], pki: Pki, pattern: str, what: bytes
) -> None:
    """T13. Also CVE-2026-1642: an answer before the handshake is no answer."""
    backend = raw(speaking(what))
    it = edge(
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "{pattern}"\nto = ["127.0.0.1:{backend.port}"]\n'
        'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\n'
        + ('present = "edge"\n' if pattern == "mutual" else "")
    )
    context = ssl.create_default_context(cafile=str(pki.public.file))
    with context.wrap_socket(socket.create_connection(("127.0.0.1", it.port), 10), server_hostname="a.test") as sock:
        sock.sendall(
            b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\nAuthorization: Bearer secret\r\n\r\nsecret"
        )
        assert response(sock)[0] == 502
    settle(it, backend)
    assert b"secret" not in backend.received and b"POST" not in backend.received
    assert backend.received[:1] in {b"", b"\x16"}, "all that came is a ClientHello"


@pytest.mark.parametrize("how", ["missing", "empty", "garbage", "a directory", "a leaf"])
def test_a_client_authority_that_cannot_be_read_is_no_reason_to_ask_nobody(
    edge: Edges, raw: Callable[..., Raw], pki: Pki, how: str, tmp_path: Path
) -> None:
    """T12. At a reload; the same at the start is refused by `check`. The running demand stays."""
    backend = raw(answering(OK))
    path = tmp_path / "ca.pem"
    path.write_bytes(pki.public.file.read_bytes())
    route = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n'
    it = edge(route, site=f'clients = {{ ca = "{path}" }}')
    digest = it.status()["plan_digest"]
    path.unlink()
    if how == "a directory":
        path.mkdir()
    elif how != "missing":
        path.write_bytes(
            {
                "empty": b"",
                "garbage": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "a leaf": pki.client.chain.read_bytes(),
            }[how]
        )
    outcome = it.admin("reload")
    assert not outcome["reloaded"] and outcome["findings"][0]["slug"] == "ca/unusable", outcome
    assert it.status()["plan_digest"] == digest
    assert asked(it, pki, None) == 0
    settle(it, backend)
    assert backend.received == b""
    assert asked(it, pki, pki.client) == 200
    checked = it.cli("check", str(it.config))
    assert checked.returncode != 0 and "ca/unusable" in checked.stdout + checked.stderr


def test_a_site_whose_certificate_is_over_says_so_and_serves_nobody(
    edge: Edges, raw: Callable[..., Raw], pki: Pki, tmp_path: Path
) -> None:
    """T14. New files are taken up without a restart; a key of another certificate is not."""
    backend = raw(answering(OK))
    by = root(pki.public)
    names = ["a.test", "b.test", "c.test", "*.w.test"]
    leaf = saved(tmp_path, "site", forged("first", by, names=names), by)
    it = edge(
        f'[[site]]\nname = "edge"\nhosts = ["a.test"]\ncerts = [{{ chain = "{leaf.chain}", key = "file:{leaf.key}" }}]\n'
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n',
        site=None,
    )

    def served() -> str:
        context = ssl.create_default_context(cafile=str(pki.public.file))
        with context.wrap_socket(
            socket.create_connection(("127.0.0.1", it.port), 10), server_hostname="a.test"
        ) as sock:
            der = sock.getpeercert(binary_form=True)
            assert der
            return x509.load_der_x509_certificate(der).subject.rfc4514_string()

    assert served() == "CN=first"
    # The key of another certificate: refused, the last good pair stays.
    wrong = forged("wrong", by, names=names)
    mixed = saved(tmp_path, "mixed", wrong, by)
    leaf.key.write_bytes(mixed.key.read_bytes())
    until(lambda: any("last good ones stay" in said for said in it.edge.said))
    assert served() == "CN=first"
    saved(tmp_path, "site", forged("second", by, names=names), by)
    until(lambda: served() == "CN=second")
