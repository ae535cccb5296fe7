"""Revocation lists that are fetched: who is on a new one passes no more, on both sides; an older one, a foreign one and nonsense change
nothing; and without any list nobody passes who would be verified by it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everyhop.model import CrlSection
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.forge import HOUR, Signer, forged, root, saved
from tests.kit.list_server import ListServer
from tests.kit.raw import OK, answering
from tests.kit.settle import settle
from tests.threats.ground import response
from tests.threats.test_renewals import Known

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


@pytest.fixture
def public(pki: Pki, tmp_path: Path) -> Iterator[ListServer]:
    """Of those who certify clients."""
    it = ListServer(tmp_path, root(pki.public))
    yield it
    it.close()


@pytest.fixture
def internal(pki: Pki, tmp_path: Path) -> Iterator[ListServer]:
    """Of those who certify backends, by HTTPS."""
    by = root(pki.internal)
    shown = saved(tmp_path, "lists", forged("lists.internal", by, names=["127.0.0.1"]), by)
    it = ListServer(tmp_path, by, shown)
    yield it
    it.close()


def section(folder: Path, more: str = "") -> str:
    return f'[crl]\nrefresh_s = 1\nstate = "{folder}/state"\n{more}\n'


def kept(folder: Path, url: str | None = None) -> Path:
    """The only list that is kept, or that of the URL."""
    if url is not None:
        return folder / CrlSection(state="state").kept(url)
    (it,) = (folder / "state").glob("*.pem")
    return it


class Clients:
    """An edge that knows its clients by a list of that server, with two of them."""

    def __init__(self, edge: Edges, raw: Raws, pki: Pki, folder: Path, served: ListServer, more: str = "") -> None:
        by = root(pki.public)
        self.one, self.other = (forged(f"{n}.test", by, names=[f"{n}.test"]) for n in ("one", "other"))
        self.files = [saved(folder, n, leaf, by) for n, leaf in (("one", self.one), ("other", self.other))]
        self.backend, self.pki, self.folder = raw(answering(OK)), pki, folder
        self.route = (
            f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{self.backend.port}"]\n'
        )
        site = f'clients = {{ ca = "{{pki}}/public-ca.pem", crl = "{served.url}"{more} }}'
        self.starts = edge
        self.more = {"site": site, "more": section(folder)}
        self.it = self.edge()
        self.clients = self.known()

    def edge(self) -> EdgeKit:
        return self.starts(self.route, **self.more)

    def known(self) -> list[Known]:
        return [Known.of(self.it, self.pki, leaf, ssl.TLSVersion.TLSv1_3) for leaf in self.files]

    def statuses(self) -> list[int]:
        return [it.visit(None)[0] for it in self.clients]

    def become(self, *wanted: int) -> None:
        until(lambda: self.statuses() == [*wanted] or None, 30, lambda: f"{self.statuses()} {self.it.edge.said}")


def told(it: EdgeKit, kind: str) -> list[str]:
    found = it.admin("status")["supervisor"]["troubles"]
    return [f"{one['about']} {one['why']}" for one in found if one["kind"] == kind]


def test_a_client_that_a_new_list_names_passes_no_more_and_whoever_is_on_none_proves_itself_again(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, public: ListServer
) -> None:
    """T11."""
    it = Clients(edge, raw, pki, tmp_path, public)
    it.become(200, 200)
    assert told(it.it, "revocation-missing") == []
    path = kept(tmp_path)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    with it.clients[0].open() as goes:
        assert exchange(goes, GET).status == 200
        public.publish(it.one.cert)
        it.become(0, 200)
        before = it.backend.received
        try:
            goes.sendall(GET.encode())
            assert response(goes)[0] == 0
        except OSError:
            pass
        settle(it.it, it.backend)
        assert it.backend.received == before, "nothing of the revoked one came through"
    (said,) = it.it.admin("status")["supervisor"]["lists"]
    assert said["url"] == public.url and said["problem"] is None and said["next_update"]
    it.it.edge.wait_for("a new one of ", 10)
    assert f"revocation list {public.url}: of " in it.it.cli("status", "--config", str(it.it.config)).stdout


def test_an_older_list_changes_nothing_and_is_told(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, public: ListServer
) -> None:
    """T11. Its signature is good, and it is not over: whoever revoked a certificate counts on its being forgotten by nobody."""
    old = public.body
    it = Clients(edge, raw, pki, tmp_path, public)
    it.become(200, 200)
    public.publish(it.one.cert)
    it.become(0, 200)
    before = kept(tmp_path).read_bytes()
    public.body = old
    until(lambda: told(it.it, "revocation-not-fetched"), 20)
    (why,) = told(it.it, "revocation-not-fetched")
    assert why.startswith(public.url) and "is older than the one that is held" in why
    said = "\n".join(it.it.edge.said)
    assert f"revocation list {public.url}: not fetched: the list of 'CN=Public CA' is older" in said
    assert it.statuses() == [0, 200] and kept(tmp_path).read_bytes() == before
    public.publish()
    it.become(200, 200)
    until(lambda: not told(it.it, "revocation-not-fetched") or None, 20)


def test_a_server_that_is_gone_or_gives_nonsense_or_a_foreign_list_leaves_the_one_before(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, public: ListServer
) -> None:
    it = Clients(edge, raw, pki, tmp_path, public)
    public.publish(it.one.cert)
    it.become(0, 200)
    stranger = Signer(root(pki.public).cert, root(pki.internal).key)
    for wrong, by, why in (
        ("garbage", None, "cannot be read"),
        ("failing", None, "answers with 503"),
        ("elsewhere", None, "a redirect"),
        ("", stranger, "is not signed by that authority"),
        ("", root(pki.internal), "nobody could tell who signed it"),
    ):
        public.wrong = wrong
        public.publish(**({} if by is None else {"by": by}))
        until(lambda why=why: [it for it in told(it.it, "revocation-not-fetched") if why in it], 20)  # type: ignore[misc]
        assert it.statuses() == [0, 200], why
    public.wrong = ""
    public.publish()
    it.become(200, 200)


def test_before_a_list_was_ever_fetched_nobody_passes_and_it_is_told(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, public: ListServer
) -> None:
    """T11. Missing is not empty."""
    public.wrong = "failing"
    it = Clients(edge, raw, pki, tmp_path, public)
    until(
        lambda: [w for w in told(it.it, "revocation-missing") if "answers with 503" in w and "tried again at" in w], 20
    )
    assert it.statuses() == [0, 0]
    assert it.it.line(lambda line: line["sni"] == "a.test")["end"] == "hello/no-certificate-yet"
    assert not (tmp_path / "state").exists() and it.backend.received == b""
    assert "none yet, asked for at" in it.it.cli("status", "--config", str(it.it.config)).stdout
    # What waits for a list already is no reason to refuse anything else.
    assert it.it.reload(it.route + it.route.replace('"r"', '"more"').replace("a.test", "b.test"))["reloaded"]
    public.wrong = ""
    it.become(200, 200)


def test_a_start_without_the_server_goes_on_with_what_was_kept(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, public: ListServer
) -> None:
    it = Clients(edge, raw, pki, tmp_path, public)
    public.publish(it.one.cert)
    it.become(0, 200)
    assert it.it.edge.stop() == 0
    public.close()
    it.it = it.edge()
    it.clients = it.known()
    assert it.statuses() == [0, 200], "from the first connection on"
    until(lambda: told(it.it, "revocation-not-fetched"), 20)
    assert told(it.it, "revocation-missing") == []


def test_a_list_that_is_over_and_not_replaced_lets_nobody_pass_unless_it_may(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, public: ListServer
) -> None:
    public.publish(begins=-48 * HOUR, ends=-HOUR)
    it = Clients(edge, raw, pki, tmp_path, public)
    until(lambda: told(it.it, "revocation-stale"), 20)
    assert it.statuses() == [0, 0] and told(it.it, "revocation-missing") == []
    assert it.it.line(lambda line: line["sni"] == "a.test" and line["end"] != "hello/no-certificate-yet")
    it.it.site = (it.it.site or "").replace(" }", ', stale_crl = "allow" }')
    assert it.it.reload(it.route)["reloaded"]
    it.become(200, 200)


def test_a_reload_that_brings_in_a_url_waits_for_its_list_and_is_refused_where_none_comes(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, public: ListServer
) -> None:
    """Nobody who passes before is shut out by a slip in a URL, nor while the list is on its way."""
    it = Clients(edge, raw, pki, tmp_path, public)
    it.become(200, 200)
    second = ListServer(tmp_path, public.by)
    try:
        second.publish(it.one.cert)
        second.wrong = "failing"
        it.it.site = (it.it.site or "").replace(public.url, second.url)
        answer = it.it.reload(it.route)
        assert not answer["reloaded"] and "it answers with 503" in answer["why"] and second.url in answer["why"]
        assert it.statuses() == [200, 200] and not told(it.it, "revocation-missing")
        second.wrong = ""
        assert it.it.reload(it.route)["reloaded"]
        assert it.statuses() == [0, 200], "the list is there from the first moment on"
        # What is gone from the disk is in force all the same, and put back.
        path = kept(tmp_path, second.url)
        path.unlink()
        assert it.it.reload(it.route + it.route.replace('"r"', '"more"').replace("a.test", "b.test"))["reloaded"]
        until(lambda: path.exists() or None, 20)
        assert it.statuses() == [0, 200] and not told(it.it, "revocation-missing")
    finally:
        second.close()


def hop(served: ListServer, backend: Raw, more: str = "") -> str:
    verify = f'verify = {{ ca = "{{pki}}/internal-ca.pem", name = "backend.internal", crl = "{served.url}"{more} }}'
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "reencrypt"\nto = ["127.0.0.1:{backend.port}"]\n{verify}\n'


def status(it: EdgeKit) -> int:
    with tls(it.port, "a.test", it.pki.public.file) as sock:
        return exchange(sock, GET).status


def test_a_backend_that_a_new_list_names_gets_nothing_more(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, internal: ListServer
) -> None:
    by = root(pki.internal)
    mine = forged("backend.internal", by, names=["backend.internal"])
    served = raw(answering(OK), saved(tmp_path, "mine", mine, by))
    internal.wrong = "silent"
    more = section(tmp_path, f'ca = "{pki.folder}/internal-ca.pem"')
    it = edge(hop(internal, served), more=more)
    assert status(it) == 503
    assert it.line(lambda line: line["route"] == "r")["end"] == "hop/no-identity-yet"
    settle(it, served)
    assert served.received == b"" and told(it, "revocation-missing")
    internal.wrong = ""
    internal.over.set()
    until(lambda: status(it) == 200 or None)
    internal.publish(mine.cert)
    until(lambda: status(it) == 502 or None)
    settle(it, served)
    mark = served.mark()
    assert status(it) == 502
    settle(it, served)
    assert served.since(mark) == []
    it.line(lambda line: line["end"] == "hop/revoked")
    internal.publish()
    until(lambda: status(it) == 200 or None)


def test_a_server_of_lists_that_is_not_known_by_its_certificate_gives_none(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, internal: ListServer
) -> None:
    served = raw(answering(OK), pki.backend)
    it = edge(hop(internal, served), more=section(tmp_path, f'ca = "{pki.folder}/public-ca.pem"'))
    until(lambda: [w for w in told(it, "revocation-missing") if "certificate" in w.lower()], 20)
    assert status(it) == 503 and served.received == b""
