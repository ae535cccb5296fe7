"""Each metric says what happened, and the opposite when the opposite happened."""

from __future__ import annotations

import datetime as dt
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from everyhop.demo.certificates import Leaf
from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.edge import until
from tests.kit.raw import server_context
from tests.promises.backend import Counting

Edges = Callable[..., EdgeKit]
Figures = dict[str, float]


class Told:
    """An edge whose metrics can be read."""

    def __init__(self, edge: Edges, routes: str, limits: str = "", **more: object) -> None:
        self.port = free_port()
        status = f'[status]\nbind = "127.0.0.1:{self.port}"\n'
        self.it = edge(routes, more=status + limits, **more)

    def figures(self) -> Figures:
        """By name with labels, as it is written."""
        return {name: float(value) for name, value in re.findall(r"^(everyhop_\S+) (\S+)$", self.text(), re.M)}

    def text(self) -> str:
        with socket.create_connection(("127.0.0.1", self.port), 10) as sock:
            sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            return b"".join(iter(lambda: sock.recv(65536), b"")).partition(b"\r\n\r\n")[2].decode()

    def comes(self, **wanted: float) -> Figures:
        """The figures, once each that is wanted is as it is wanted; names without `everyhop_` and labels."""
        found: Figures = {}

        def fits() -> bool:
            found.clear()
            found.update(self.figures())
            return all(self.one(found, name) == value for name, value in wanted.items())

        until(fits, 20, lambda: str({k: v for k, v in found.items() if any(w in k for w in wanted)}))
        return found

    @staticmethod
    def one(figures: Figures, name: str) -> float:
        """The sum over the labels."""
        return sum(v for k, v in figures.items() if k.partition("{")[0] == f"everyhop_{name}")

    def ask(self, pki: Pki, path: str = "/", body: str = "", host: str = "a.test") -> int:
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        with tls(self.it.port, host, pki.public.file) as sock:
            return exchange(sock, head + body).status


def route(port: int, more: str = "", tls_: str = "plaintext") -> str:
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "{tls_}"\nto = ["127.0.0.1:{port}"]\n{more}\n'


VERIFY = 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\n'


@pytest.fixture
def backend() -> Iterator[Counting]:
    it = Counting()
    yield it
    it.close()


def test_requests_bytes_connections_and_times_are_counted_as_they_happen(
    edge: Edges, pki: Pki, backend: Counting
) -> None:
    it = Told(edge, route(backend.port))
    nothing = it.figures()
    counted = ["requests_total", "received_bytes_total", "sent_bytes_total", "route_connections_total"]
    assert [it.one(nothing, name) for name in [*counted, "connections", "handshakes_total"]] == [0] * 6
    assert it.one(nothing, "request_duration_seconds_count") == it.one(nothing, "responses_total") == 0
    with tls(it.it.port, "a.test", pki.public.file):
        it.comes(connections=1, handshakes_total=1)
    it.comes(connections=0)
    assert it.ask(pki, body="x" * 1000) == 200
    found = it.comes(requests_total=1, connections=0, handshakes_total=2)
    assert 1000 <= it.one(found, "received_bytes_total") < 2000
    assert 2 <= it.one(found, "sent_bytes_total") < 1000
    assert found['everyhop_responses_total{route="r",class="2xx"}'] == 1
    assert found['everyhop_request_duration_seconds_bucket{route="r",le="+Inf"}'] == 1
    assert 0 < it.one(found, "request_duration_seconds_sum") < 20
    backend.gate.clear()
    with tls(it.it.port, "a.test", pki.public.file) as sock:
        sock.sendall(b"GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n")
        until(lambda: backend.waiting)
        assert it.one(it.figures(), "request_duration_seconds_count") == 1, "one that is under way has no time yet"
        began = dt.datetime.now(dt.UTC)
        until(lambda: (dt.datetime.now(dt.UTC) - began).total_seconds() > 0.6)
        backend.gate.set()
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")
    found = it.comes(request_duration_seconds_count=2)
    assert found['everyhop_request_duration_seconds_bucket{route="r",le="0.500000"}'] == 1
    assert it.one(found, "request_duration_seconds_sum") >= 0.6


def test_a_plan_is_known_by_its_digest_and_its_material_by_another(
    edge: Edges, pki: Pki, backend: Counting, tmp_path: Path
) -> None:
    own = Pki(tmp_path)
    it = Told(edge, route(backend.port))
    it.it.config.write_text(it.it.config.read_text().replace(str(pki.folder), str(tmp_path)))
    assert it.it.admin("reload")["reloaded"]

    def info(found: Figures) -> tuple[str, str]:
        (name,) = [k for k in found if k.startswith("everyhop_plan_info")]
        plan, material = re.findall(r'"(\w+)"', name)
        return plan, material

    first = it.comes(plan_generation=2)
    status = it.it.status()
    assert info(first) == (status["plan_digest"], status["material_digest"]) and it.one(first, "plan_info") == 1
    assert it.it.admin("reload")["reloaded"]
    again = it.comes(plan_generation=3)
    assert info(again) == info(first), "the same plan, taken once more"
    ends = 'everyhop_expires_timestamp_seconds{kind="certificate",name="site/edge/0"}'
    assert again[ends] == end_of(tmp_path / "edge.pem")
    own.public.leaf("fresh", "a.test", "b.test", "c.test", "*.w.test", days=40)
    for half in ("key", "pem"):
        (tmp_path / f"fresh.{half}").replace(tmp_path / f"edge.{half}")
    renewed = it.comes(plan_generation=4)
    assert info(renewed)[0] == info(first)[0] and info(renewed)[1] != info(first)[1]
    assert renewed[ends] == end_of(tmp_path / "edge.pem") != again[ends]


def end_of(chain: Path) -> int:
    return int(x509.load_pem_x509_certificate(chain.read_bytes()).not_valid_after_utc.timestamp())


def test_an_acceptance_is_told_with_its_end_while_there_is_one(edge: Edges, pki: Pki, backend: Counting) -> None:
    today = dt.datetime.now(dt.UTC).date()
    until_ = today + dt.timedelta(days=60)
    accepted = (
        'off_host = true\n[route.acceptance]\nowner = "me@a.test"\nwhy = "a test"\ncontext = "legacy"\n'
        f"since = {today}\nuntil = {until_}\n"
    )
    it = Told(edge, route(backend.port, accepted))
    name = 'everyhop_expires_timestamp_seconds{kind="acceptance",name="r"}'
    end = dt.datetime.combine(until_ + dt.timedelta(days=1), dt.time(), dt.UTC)
    assert it.figures()[name] == int(end.timestamp())
    assert it.it.reload(route(backend.port))["reloaded"]
    assert name not in it.figures()


def test_what_was_refused_is_counted_by_route_and_slug_and_what_asked_nothing_as_a_probe(
    edge: Edges, pki: Pki, backend: Counting
) -> None:
    it = Told(
        edge,
        route(backend.port, 'path = "/r"\nallow = { clients = ["x.test"] }'),
        site='clients = { ca = "{pki}/public-ca.pem", mode = "ask" }',
    )
    assert it.one(it.figures(), "refused_total") == it.one(it.figures(), "probes_total") == 0
    assert it.ask(pki, "/r") == 403 and it.ask(pki, "/nowhere") == 404
    with socket.create_connection(("127.0.0.1", it.it.port), 10):
        pass
    found = it.comes(refused_total=2, probes_total=1)
    assert found['everyhop_refused_total{route="r",slug="request/client-not-allowed"}'] == 1
    assert found['everyhop_refused_total{route="",slug="request/not-found"}'] == 1


def test_a_backend_is_up_until_it_rests_and_again_once_it_serves(edge: Edges, pki: Pki) -> None:
    one, two = Counting(), Counting()
    to = f'to = ["127.0.0.1:{one.port}", "127.0.0.1:{two.port}"]'
    it = Told(
        edge,
        route(1).replace('to = ["127.0.0.1:1"]', to),
        "[limits]\neject_after = 1\neject_s = 1\nupstream_idle_s = 1\n",
    )
    up = f'everyhop_backend_up{{route="r",backend="127.0.0.1:{one.port}",tls="plaintext"}}'
    assert it.figures()[up] == 1 and it.one(it.figures(), "hop_failures_total") == 0
    one.fall()

    def ask_until(value: int) -> Figures:
        until(lambda: it.ask(pki) == 200 and it.figures()[up] == value, 30)
        return it.figures()

    found = ask_until(0)
    failures = f'everyhop_hop_failures_total{{route="r",backend="127.0.0.1:{one.port}",slug="hop/connect-failed"}}'
    assert found[failures] >= 1 and it.one(found, "backend_up") == 1
    one.rise()
    healed = ask_until(1)
    before = healed[failures]
    for _ in range(4):
        assert it.ask(pki) == 200
    assert it.figures()[failures] == before, "it counts what failed and nothing else"
    one.close()
    two.close()


def shown(pki: Pki, it: Counting, leaf: Leaf, clients: bool = True) -> None:
    """From now on it shows that, on new connections alone."""
    it.fall()
    it.context = server_context(leaf, clients=pki.internal.file if clients else None)
    it.rise()


def test_an_impostor_and_one_that_asks_nobody_are_told_while_they_are_there(edge: Edges, pki: Pki) -> None:
    backend = Counting(pki.backend, clients=pki.internal.file)
    it = Told(edge, route(backend.port, VERIFY + 'present = "edge"\n', "mutual"), "[limits]\nupstream_idle_s = 1\n")
    it.comes(backend_impostor=0, identity_not_demanded=0)
    assert it.ask(pki) == 200
    it.comes(backend_impostor=0, identity_not_demanded=0)
    shown(pki, backend, pki.other)
    until(lambda: it.ask(pki) == 502)
    found = it.comes(backend_impostor=1)
    assert (
        found[f'everyhop_hop_failures_total{{route="r",backend="127.0.0.1:{backend.port}",slug="hop/name-mismatch"}}']
        >= 1
    )
    shown(pki, backend, pki.backend, clients=False)
    until(lambda: it.ask(pki) == 200)
    it.comes(backend_impostor=0, identity_not_demanded=1)
    shown(pki, backend, pki.backend)
    until(lambda: it.ask(pki) == 200)
    it.comes(backend_impostor=0, identity_not_demanded=0)
    backend.close()


def test_lines_that_are_lost_are_counted_and_those_that_are_written_are_not(
    edge: Edges, pki: Pki, backend: Counting
) -> None:
    it = Told(edge, route(backend.port))
    assert it.ask(pki) == 200
    it.it.line(lambda x: x["end"] == "done")
    it.comes(log_dropped_lines_total=0, panics_total=0)
    text = it.it.config.read_text()
    it.it.config.write_text(text.replace(f'access = "{it.it.log}"', 'access = "/dev/full"'))
    assert it.it.admin("reload")["reloaded"]

    def lost() -> float:
        assert it.ask(pki) == 200
        return it.one(it.figures(), "log_dropped_lines_total")

    until(lost, 30)
    it.it.config.write_text(text)
    assert it.it.admin("reload")["reloaded"]

    def written() -> bool:
        assert it.ask(pki, "/again") == 200
        return any(x["path"] == "/again" for x in it.it.lines())

    until(written, 30)
    before = it.one(it.figures(), "log_dropped_lines_total")
    known = len(it.it.lines())
    assert it.ask(pki) == 200
    until(lambda: len(it.it.lines()) > known)
    assert it.one(it.figures(), "log_dropped_lines_total") == before
