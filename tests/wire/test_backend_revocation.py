"""Revocation lists of backends: who is on one is sent nothing, by whatever session or open connection; nor is anybody by a
list that is overdue, or by none that speaks of the chain. The list is watched as that of clients is."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.forge import HOUR, Signer, crl, forged, root, saved
from tests.kit.raw import OK, answering
from tests.kit.settle import settle
from tests.kit.soon import in_time

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

CLOSES = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
VERSIONS = pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
ANSWERS = pytest.mark.parametrize("answer", [OK, CLOSES], ids=["pooled", "resumed"])


def route(it: Raw, lists: Path, more: str = "") -> str:
    verify = f'verify = {{ ca = "{{pki}}/internal-ca.pem", name = "backend.internal", crl = "{lists}"{more} }}'
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "reencrypt"\nto = ["127.0.0.1:{it.port}"]\n{verify}\n'


def status(it: EdgeKit) -> int:
    with tls(it.port, "a.test", it.pki.public.file) as sock:
        return exchange(sock, GET).status


def backend(it: EdgeKit) -> dict[str, Any]:
    found: dict[str, Any] = it.status()["routes"][0]["backends"][0]
    return found


def leaf(pki: Pki, by: Signer | None = None) -> Signer:
    return forged("backend.internal", by or root(pki.internal), names=["backend.internal"])


@VERSIONS
@ANSWERS
def test_a_backend_that_was_revoked_gets_nothing_more_by_a_session_or_connection_that_it_has(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, most: ssl.TLSVersion, answer: bytes
) -> None:
    by = root(pki.internal)
    mine = leaf(pki)
    served = raw(answering(answer), saved(tmp_path, "mine", mine, by))
    assert served.context is not None
    served.context.maximum_version = most
    lists = crl(tmp_path / "list.pem", by)
    it = edge(route(served, lists))
    assert [status(it), status(it)] == [200, 200]
    hop = it.line(lambda _: len(it.lines()) >= 2) and it.lines()[1]["backend_hop"]
    assert hop["reused" if answer == OK else "resumed"], "it had what must not last"
    crl(lists, by, mine.cert)
    until(lambda: status(it) == 502)
    settle(it, served)
    mark = served.mark()
    assert [status(it), status(it)] == [502, 502]
    settle(it, served)
    assert served.since(mark) == []
    line = it.line(lambda x: x["end"] == "hop/revoked")
    shown = line["failed_hops"][0]["certificate"]
    assert (shown["subject"], shown["issuer"]) == ("CN=backend.internal", "CN=Internal CA")
    told = backend(it)
    assert told["impostor"] and told["last_failure"]["end"] == "hop/revoked"
    crl(lists, by)
    until(lambda: status(it) == 200)


def test_a_list_says_nothing_against_others(edge: Edges, raw: Raws, pki: Pki, tmp_path: Path) -> None:
    by = root(pki.internal)
    served = raw(answering(OK), saved(tmp_path, "mine", leaf(pki), by))
    it = edge(route(served, crl(tmp_path / "list.pem", by, leaf(pki).cert)))
    assert status(it) == 200


def test_by_an_overdue_list_nobody_is_believed_unless_it_may_be(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path
) -> None:
    by = root(pki.internal)
    served = raw(answering(OK), saved(tmp_path, "mine", leaf(pki), by))
    lists = crl(tmp_path / "list.pem", by, begins=-48 * HOUR, ends=-HOUR)
    it = edge(route(served, lists))
    assert status(it) == 502
    settle(it, served)
    assert served.received == b""
    it.line(lambda x: x["end"] == "hop/revocation-list-overdue")
    said = it.cli("status", "--config", str(it.config)).stdout
    assert "hop/revocation-list-overdue" in said, said
    warned = "\n".join(it.edge.said)
    assert "warning [crl/stale]" in warned and "no backend passes" in warned, warned
    assert it.reload(route(served, lists, ', stale_crl = "allow"'))["reloaded"]
    assert status(it) == 200


def test_a_chain_of_which_no_list_speaks_is_not_believed(edge: Edges, raw: Raws, pki: Pki, tmp_path: Path) -> None:
    """The list of the root alone: it does not say whom the authority below it revoked."""
    by = root(pki.internal)
    below = forged("Below CA", by, ca=True)
    served = raw(answering(OK), saved(tmp_path, "mine", leaf(pki, below), below))
    lists = crl(tmp_path / "list.pem", by)
    it = edge(route(served, lists))
    assert status(it) == 502
    it.line(lambda x: x["end"] == "hop/revocation-unknown")
    both = lists.read_text() + crl(tmp_path / "below.pem", below).read_text()
    lists.write_text(both)
    until(lambda: status(it) == 200)


def test_an_open_connection_ends_with_the_list_that_it_was_verified_by(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path
) -> None:
    """No file changes: the list that was good is overdue by itself."""
    by = root(pki.internal)
    served = raw(answering(OK), saved(tmp_path, "mine", leaf(pki), by))

    def verified(ends: dt.datetime) -> EdgeKit:
        it = edge(route(served, crl(tmp_path / "list.pem", by, ends=ends - dt.datetime.now(dt.UTC))))
        assert status(it) == 200
        return it

    it = in_time(verified, 6)
    until(lambda: status(it) == 502, 120)
    settle(it, served)
    mark = served.mark()
    assert status(it) == 502
    settle(it, served)
    assert served.since(mark) == []
    ends = [x["end"] for x in it.lines()]
    assert ends == sorted(ends, key=lambda e: e != "done"), "once it is over it is over"
