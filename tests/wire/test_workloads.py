"""Backends that are known by a SPIFFE ID: who proves to be that workload is sent requests, and nobody else is, however near its
certificate comes. It is judged at the backend: what was refused has received nothing."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.forge import HOUR, crl, forged, root, saved
from tests.kit.raw import OK, answering
from tests.kit.settle import settle

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

CLOSES = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
ID = "spiffe://td/backend"
SIGNS = x509.KeyUsage(True, False, False, False, False, True, False, False, False)


def uri(text: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(text)


def route(port: int, expected: str = ID, more: str = "", ca: str = "{pki}/internal-ca.pem") -> str:
    verify = f'verify = {{ ca = "{ca}", spiffe = "{expected}"{more} }}'
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "reencrypt"\nto = ["127.0.0.1:{port}"]\n{verify}\n'


def status(it: EdgeKit) -> int:
    with tls(it.port, "a.test", it.pki.public.file) as sock:
        return exchange(sock, GET).status


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("expected", [ID, "spiffe://td/*"])
@pytest.mark.parametrize("names", [[ID], [ID, "backend.internal"]], ids=["alone", "beside-a-host-name"])
def test_the_workload_that_is_expected_is_sent_requests(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, most: ssl.TLSVersion, expected: str, names: list[str]
) -> None:
    by = root(pki.internal)
    mine = forged("x", by, names=[uri(n) if ":" in n else n for n in names])
    served = raw(answering(OK), saved(tmp_path, "mine", mine, by))
    assert served.context is not None
    served.context.maximum_version = most
    it = edge(route(served.port, expected))
    assert status(it) == 200
    line = it.line(lambda x: x["end"] == "done")
    assert ID in str(line["backend_hop"]), "who it proved to be is in the log"


OTHERS: dict[str, tuple[list[str], str, str]] = {
    "another-path": (["spiffe://td/other"], ID, "hop/name-mismatch"),
    "below-it": (["spiffe://td/backend/x"], ID, "hop/name-mismatch"),
    "another-trust-domain": (["spiffe://td2/backend"], "spiffe://td/*", "hop/name-mismatch"),
    "two-ids": ([ID, "spiffe://td/other"], ID, "hop/name-mismatch"),
    "two-ids-of-the-domain": ([ID, "spiffe://td/other"], "spiffe://td/*", "hop/name-mismatch"),
    "an-id-and-another-uri": ([ID, "https://td/backend"], ID, "hop/name-mismatch"),
    "the-domain-alone": (["spiffe://td"], "spiffe://td/*", "hop/name-mismatch"),
    "a-dot-segment": (["spiffe://td/../backend"], "spiffe://td/*", "hop/name-mismatch"),
    "a-star-itself": (["spiffe://td/*"], "spiffe://td/*", "hop/name-mismatch"),
    "host-name-alone": (["backend.internal"], ID, "hop/name-mismatch"),
    "common-name-alone": ([], ID, "hop/name-mismatch"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_who_is_another_workload_or_none_is_sent_nothing(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, case: str
) -> None:
    names, expected, slug = OTHERS[case]
    by = root(pki.internal)
    common = ID if case == "common-name-alone" else "x"
    mine = forged(common, by, names=[uri(n) if ":" in n else n for n in names])
    served = raw(answering(OK), saved(tmp_path, "mine", mine, by))
    it = edge(route(served.port, expected))
    refused(it, served, slug)


def test_a_right_id_is_not_enough(edge: Edges, raw: Raws, pki: Pki, tmp_path: Path) -> None:
    """By another authority, over, not begun, for clients alone, of a key that signs certificates."""
    ours, theirs = root(pki.internal), root(pki.public)
    wrong = {
        "stranger": (forged("x", theirs, names=[uri(ID)]), theirs, "hop/untrusted"),
        "over": (forged("x", ours, names=[uri(ID)], begins=-2 * HOUR, ends=-HOUR), ours, "hop/certificate-expired"),
        "signs": (forged("x", ours, names=[uri(ID)], more=[SIGNS]), ours, "hop/certificate-wrong-use"),
        "name-too": (forged("x", ours, names=[uri(ID), "other.internal"]), ours, "hop/name-mismatch"),
    }
    for what, (cert, by, slug) in wrong.items():
        served = raw(answering(OK), saved(tmp_path, what, cert, by))
        more = ', name = "backend.internal"' if what == "name-too" else ""
        refused(edge(route(served.port, more=more)), served, slug)


def test_a_workload_that_was_revoked_is_sent_nothing(edge: Edges, raw: Raws, pki: Pki, tmp_path: Path) -> None:
    by = root(pki.internal)
    mine = forged("x", by, names=[uri(ID)])
    served = raw(answering(CLOSES), saved(tmp_path, "mine", mine, by))
    lists = crl(tmp_path / "list.pem", by)
    it = edge(route(served.port, more=f', crl = "{lists}"'))
    assert status(it) == 200
    crl(lists, by, mine.cert)
    until(lambda: status(it) == 502)
    crl(lists, by, begins=-2 * HOUR, ends=-dt.timedelta(seconds=1))
    settle(it, served)
    assert status(it) == 502, "a list that is overdue lets nobody through"


@pytest.mark.parametrize("answer", [OK, CLOSES], ids=["pooled", "resumed"])
def test_another_id_is_asked_of_connections_and_sessions_that_are_there(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, answer: bytes
) -> None:
    by = root(pki.internal)
    served = raw(answering(answer), saved(tmp_path, "mine", forged("x", by, names=[uri(ID)]), by))
    it = edge(route(served.port, "spiffe://td/*"))
    assert [status(it), status(it)] == [200, 200]
    settle(it, served)
    it.reload(route(served.port, "spiffe://td/other"))
    mark = served.mark()
    assert status(it) == 502
    settle(it, served)
    assert served.since(mark) == []


def refused(it: EdgeKit, served: Raw, slug: str) -> None:
    mark = served.mark()
    assert status(it) == 502
    assert it.line(lambda x: x["status"] == 502)["end"] == slug
    assert served.since(mark) == []
