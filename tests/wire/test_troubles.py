"""What is wrong now is told the same by `status`, its JSON, `/metrics`, `/readyz` and the supervisor's lines: when it breaks,
why, since when, and that it is well again."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from everyhop.admin import engine_socket
from everyhop.admin.inspection import Inspection
from everyhop.admin.keyholding import Keyholding
from everyhop.admin.orders import give_plan
from everyhop.compile import compile_file
from everyhop.demo.backends import Backend
from everyhop.demo.certificates import put
from everyhop.demo.stage import Edge, free_port
from everyhop.engine.control import Control
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.forge import crl, root
from tests.kit.halt import halt
from tests.kit.list_server import ListServer
from tests.kit.process import children
from tests.kit.raw import OK, answering
from tests.promises.backend import Counting
from tests.promises.clock import Wall, can_run

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def route(*at: str, tls_: str = "plaintext", more: str = "") -> str:
    verify = "" if tls_ == "plaintext" else 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\n'
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "{tls_}"\nto = {json.dumps(at)}\n{verify}{more}\n'


@pytest.fixture
def backend() -> Iterator[Backend]:
    it = Backend("b")
    yield it
    it.close()


class Ground:
    """An edge with its status address."""

    def __init__(self, edge: Edges, routes: str, more: str = "", **kit: Any) -> None:
        self.port = free_port()
        self.it = edge(routes, more=f'[status]\nbind = "127.0.0.1:{self.port}"\n{more}', **kit)

    def troubles(self) -> dict[str, dict[str, Any]]:
        """By kind, from `status --json`'s own answer."""
        found = self.it.admin("status")["supervisor"]["troubles"]
        return {it["kind"]: it for it in found}

    def wait(self, kind: str, there: bool = True) -> dict[str, Any]:
        """Until it is told of, or no more; gives what is told."""
        until(lambda: (kind in self.troubles()) is there or None, 20, lambda: str(self.troubles()))
        return self.troubles().get(kind, {})

    def get(self, path: str) -> tuple[int, str]:
        with socket.create_connection(("127.0.0.1", self.port), 10) as sock:
            sock.sendall(f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head, _, body = b"".join(iter(lambda: sock.recv(65536), b"")).partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    def counted(self, kind: str) -> int:
        found = re.search(rf'^everyhop_troubles{{kind="{kind}"}} (\d+)$', self.get("metrics")[1], re.M)
        assert found is not None
        return int(found[1])

    def screen(self, *more: str) -> str:
        return self.it.cli("status", "--config", str(self.it.config), *more).stdout

    def ask(self) -> int:
        with tls(self.it.port, "a.test", self.it.pki.public.file) as sock:
            return exchange(sock, GET).status


def test_nothing_wrong_is_said_in_one_line_and_is_ready(edge: Edges, backend: Backend) -> None:
    it = Ground(edge, route(f"127.0.0.1:{backend.port}"))
    assert it.ask() == 200 and it.troubles() == {}
    first, second, *_ = it.screen().splitlines()
    assert re.fullmatch(rf"nothing is wrong, as far as the edge knows at {TIME}", first)
    assert second.startswith(str(it.it.config))
    assert it.get("readyz") == (200, "ok\n")
    body = it.get("metrics")[1]
    assert "\neveryhop_ready 1\n" in body and "everyhop_trouble_info{" not in body
    assert set(re.findall(r"^everyhop_troubles{.*} (\d+)$", body, re.M)) == {"0"}


def test_a_refused_reload_is_the_first_thing_that_is_said_until_one_is_taken(edge: Edges, backend: Backend) -> None:
    routes = route(f"127.0.0.1:{backend.port}")
    it = Ground(edge, routes)
    assert not it.it.reload(routes + route("10.0.0.1:1").replace('"r"', '"open"').replace("a.test", "b.test"))[
        "reloaded"
    ]
    told = it.wait("reload-refused")
    assert told["about"] == str(it.it.config) and "[hop/plaintext-without-acceptance]" in told["why"]
    assert re.search(r"everyhop\.toml:\d+:\d+: ", told["why"]) and re.fullmatch(TIME, told["since"])
    since = told["since"]
    assert not it.it.reload(routes + "foo = 1\n")["reloaded"]
    assert it.troubles()["reload-refused"]["since"] == since, "it is refused since the first time"
    head, *rest = it.screen().splitlines()
    assert (
        head == "wrong now (1), the worst first:"
        and rest[0].startswith("  !! ")
        and "[reload-refused]" in "".join(rest)
    )
    until(lambda: it.counted("reload-refused") == 1 or None)
    status, body = it.get("readyz")
    assert (status, body.splitlines()) == (200, ["ok", f"reload-refused {it.it.config}"]), "what runs, runs"
    mark = len(it.it.edge.said)
    assert it.it.reload(routes)["reloaded"]
    it.it.edge.wait_for("what was refused before is mended", 10, after=mark)
    it.wait("reload-refused", there=False)
    until(lambda: it.counted("reload-refused") == 0 or None)


def test_a_failed_renewal_names_its_file_and_is_well_again(
    edge: Edges, backend: Backend, pki: Pki, tmp_path: Path
) -> None:
    own = shutil.copytree(pki.folder, tmp_path / "own")
    it = Ground(edge, route(f"127.0.0.1:{backend.port}"))
    text = it.it.config.read_text()
    it.it.config.write_text(text.replace(f"{pki.folder}/edge", f"{own}/edge"))
    assert it.it.admin("reload")["reloaded"]
    good = (own / "edge.pem").read_bytes()
    put(own / "edge.pem", b"no certificate\n", 0o600)
    told = it.wait("renewal-refused")
    assert told["about"] == f"{own}/edge.pem" and "certificate/unreadable" in told["why"]
    assert it.ask() == 200, "the last good one is served"
    put(own / "edge.pem", good, 0o600)
    it.it.edge.wait_for(f"well again: {own}/edge.pem", 20)
    assert it.troubles() == {}


def test_a_log_that_refuses_makes_the_edge_unready_and_is_told_both_ways(edge: Edges, backend: Backend) -> None:
    it = Ground(edge, route(f"127.0.0.1:{backend.port}"))
    text = it.it.config.read_text()
    it.it.config.write_text(text.replace(f'access = "{it.it.log}"', 'access = "/dev/full"\non_full = "refuse"'))
    assert it.it.admin("reload")["reloaded"]
    until(lambda: it.ask() == 503 or None)
    it.wait("log-refuses")
    it.it.edge.wait_for("wrong: the edge: the access log cannot be written", 10)
    status, body = it.get("readyz")
    assert (status, body.splitlines()) == (503, ["not ready", "log-refuses"])
    assert "\neveryhop_ready 0\n" in it.get("metrics")[1]
    it.it.config.write_text(text)
    assert it.it.admin("reload")["reloaded"]
    it.it.edge.wait_for("[log-refuses]", 10)
    it.it.edge.wait_for("well again: the edge", 10)
    assert it.ask() == 200 and it.get("readyz") == (200, "ok\n")


def test_a_log_that_cannot_be_opened_anew_is_told_until_it_can(edge: Edges, backend: Backend) -> None:
    it = Ground(edge, route(f"127.0.0.1:{backend.port}"))
    aside = it.it.folder / "aside.log"
    it.it.log.rename(aside)
    it.it.log.mkdir()
    it.it.edge.process.send_signal(signal.SIGUSR1)
    told = it.wait("log-not-opened")
    assert str(it.it.log) in told["why"] and it.ask() == 200
    it.it.log.rmdir()
    it.it.edge.process.send_signal(signal.SIGUSR1)
    it.it.edge.wait_for("[log-not-opened]", 20)
    assert it.troubles() == {}


def test_a_backend_that_rests_and_one_that_came_back_are_told(edge: Edges, raw: Raws, pki: Pki) -> None:
    """It comes back once it takes a connection of the edge's own; that nobody asked for it meanwhile is no matter."""
    dead, alive = Counting(), raw(answering(OK))
    dead.fall()
    limits = "[limits]\neject_after = 1\neject_s = 1\n"
    it = Ground(edge, route(f"127.0.0.1:{dead.port}", f"127.0.0.1:{alive.port}"), limits)
    while "backend-ejected" not in it.troubles():
        assert it.ask() == 200
    about = f"backend 127.0.0.1:{dead.port} of route r"
    it.it.edge.wait_for(f"wrong: {about}: a backend failed too often and rests (hop/connect-failed)", 10)
    dead.rise()
    line = it.it.edge.wait_for(f"well again: {about}, after", 20)
    assert re.match(rf"{TIME} everyhop: well again: ", line) and it.troubles() == {}
    assert dead.total == 0, "no request found it out"
    dead.close()


def test_a_wrong_certificate_of_a_backend_is_among_the_worst(edge: Edges, raw: Raws, pki: Pki) -> None:
    wrong = raw(answering(OK), pki.other)
    it = Ground(edge, route(f"127.0.0.1:{wrong.port}", tls_="reencrypt"))
    assert it.ask() == 502
    told = it.wait("impostor")
    assert (told["why"], told["unready"]) == ("hop/name-mismatch", False)
    assert "[impostor]" in it.screen().split("\n\n")[0]
    assert (
        f'everyhop_trouble_info{{kind="impostor",about="backend 127.0.0.1:{wrong.port} of route r"}} 1'
        in it.get("metrics")[1]
    )
    assert it.get("readyz")[0] == 200


@pytest.mark.parametrize("more", ["", "demand_asks = true\n"])
def test_a_backend_that_does_not_ask_who_we_are_is_told_whether_or_not_it_is_sent_anything(
    edge: Edges, raw: Raws, pki: Pki, more: str
) -> None:
    silent = raw(answering(OK), pki.backend)
    it = Ground(edge, route(f"127.0.0.1:{silent.port}", tls_="mutual", more='present = "edge"\n' + more))
    assert it.ask() == (502 if more else 200)
    assert f"127.0.0.1:{silent.port} of route r" in it.wait("identity-not-demanded")["about"]
    assert it.counted("identity-not-demanded") == 1
    assert "it would take anybody for us" in " ".join(it.screen().split())


def test_a_backend_that_refuses_who_we_are_is_told(edge: Edges, raw: Raws, pki: Pki) -> None:
    strict = raw(answering(OK), pki.backend, clients=pki.public.file)
    it = Ground(edge, route(f"127.0.0.1:{strict.port}", tls_="mutual", more='present = "edge"\n'))
    assert it.ask() == 502
    assert f"127.0.0.1:{strict.port} of route r" in it.wait("identity-refused")["about"]
    assert "identity-not-demanded" not in it.troubles()


def test_an_engine_that_died_is_told_with_how_it_ended(edge: Edges, backend: Backend) -> None:
    it = Ground(edge, route(f"127.0.0.1:{backend.port}"))
    (engine,) = children(it.it.edge.process.pid)
    os.kill(engine, signal.SIGKILL)
    it.it.edge.wait_for("the engine is gone (ended by SIGKILL)", 20)
    it.it.edge.wait_for("the engine is back", 20)
    told = it.wait("engine-restarted")
    assert told["why"].startswith("1 time(s) so far, last at ") and told["why"].endswith("ended by SIGKILL")
    assert "engine restarts: 1" in it.screen()
    assert it.ask() == 200 and it.get("readyz")[0] == 200


def test_an_engine_that_does_not_answer_is_told_and_is_not_taken_for_a_dead_one(edge: Edges, backend: Backend) -> None:
    it = Ground(edge, route(f"127.0.0.1:{backend.port}"))
    (engine,) = children(it.it.edge.process.pid)
    halt(engine)
    try:
        it.it.edge.wait_for("wrong: the edge: the engine does not answer its supervisor", 20)
        done = it.it.cli("status", "--config", str(it.it.config))
        assert done.returncode == 4 and "[engine-silent]" in done.stdout
        assert "decided   client =TLS= edge" in done.stdout and "unknown: the engine does not say" in done.stdout
    finally:
        os.kill(engine, signal.SIGCONT)
    it.it.edge.wait_for("[engine-silent]", 20)
    it.it.edge.wait_for("well again: the edge", 30)
    assert children(it.it.edge.process.pid) == [engine] and it.ask() == 200


def test_a_certificate_that_ends_is_told_with_the_routes_that_it_closed(
    edge: Edges, backend: Backend, pki: Pki, tmp_path: Path
) -> None:
    own = shutil.copytree(pki.folder, tmp_path / "own")
    it = Ground(edge, route(f"127.0.0.1:{backend.port}"))
    short = pki.public.leaf("short", "a.test", "b.test", "c.test", "*.w.test", days=6 / 86400)
    shutil.copy2(short.chain, own / "edge.pem")
    shutil.copy2(short.key, own / "edge.key")
    it.it.config.write_text(it.it.config.read_text().replace(f"{pki.folder}/edge", f"{own}/edge"))
    assert it.it.admin("reload")["reloaded"]
    told = it.wait("certificate-over")
    assert told["about"] == "site edge" and told["why"].endswith("it closes route r")
    it.it.edge.wait_for("wrong: site edge: a certificate is over", 10)
    good = pki.public.leaf("good", "a.test", "b.test", "c.test", "*.w.test")
    put(own / "edge.key", good.key.read_bytes(), 0o600)
    put(own / "edge.pem", good.chain.read_bytes(), 0o600)
    it.it.edge.wait_for("well again: site edge", 20)


def test_a_certificate_that_ends_soon_is_told_before_it_closes_anything_and_no_more_once_it_is_renewed(
    edge: Edges, backend: Backend, pki: Pki, tmp_path: Path
) -> None:
    own = shutil.copytree(pki.folder, tmp_path / "own")
    it = Ground(edge, route(f"127.0.0.1:{backend.port}"))
    late = pki.public.leaf("late", "a.test", "b.test", "c.test", "*.w.test", days=0.5, begun_days=3)
    shutil.copy2(late.chain, own / "edge.pem")
    shutil.copy2(late.key, own / "edge.key")
    it.it.config.write_text(it.it.config.read_text().replace(f"{pki.folder}/edge", f"{own}/edge"))
    assert it.it.admin("reload")["reloaded"]
    told = it.wait("certificate-ends-soon")
    assert told["about"] == "site edge" and told["why"].endswith("in less than 2 days") and not told["unready"]
    it.it.edge.wait_for("wrong: site edge: a certificate, or an issuer in its chain, ends soon", 10)
    assert it.ask() == 200
    good = pki.public.leaf("good", "a.test", "b.test", "c.test", "*.w.test")
    put(own / "edge.key", good.key.read_bytes(), 0o600)
    put(own / "edge.pem", good.chain.read_bytes(), 0o600)
    it.it.edge.wait_for("well again: site edge", 20)


def test_refusals_are_told_by_their_last_time_and_all_of_them_when_asked(edge: Edges, backend: Backend) -> None:
    it = Ground(edge, route(f"127.0.0.1:{backend.port}", more='path = "/r"'))
    frequent = b"GET / HTTP/1.1\r\n\r\n"

    def plain(data: bytes) -> None:
        with socket.create_connection(("127.0.0.1", it.it.port), 10) as sock:
            sock.sendall(data)
            while sock.recv(4096):
                pass

    for _ in range(5):
        plain(frequent)
    with tls(it.it.port, "a.test", it.it.pki.public.file) as sock:
        assert exchange(sock, GET).status == 404
        assert exchange(sock, "GET / HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n").status == 421
        assert exchange(sock, "GET /x/../../r HTTP/1.1\r\nHost: a.test\r\n\r\n").status in (400, 404)
    engine = it.it.status()
    last = engine["refused_last"]
    assert set(last) == set(engine["refused"]) and all(dt.datetime.fromisoformat(t) for t in last.values())
    told = [row for row in it.screen().splitlines() if row.startswith("refused before any route: ")]
    slugs = sorted(last, key=lambda slug: last[slug], reverse=True)
    assert [row.split()[4] for row in told[:3]] == slugs[:3] and "hello/not-tls" not in "".join(told[:3])
    assert told[3].endswith("everyhop status -v")
    everything = [
        row.split()[4] for row in it.screen("-v").splitlines() if row.startswith("refused before any route: ")
    ]
    assert everything == slugs


@pytest.mark.parametrize("arguments", [(), ("--no-times",)])
def test_lines_carry_the_time_unless_that_is_not_wanted(
    edge: Edges, backend: Backend, arguments: tuple[str, ...]
) -> None:
    it = edge(route(f"127.0.0.1:{backend.port}"))
    assert it.edge.stop() == 0
    it.edge = Edge(it.config, arguments=arguments)
    it.edge.wait_for("ready:", 30)
    it.config.write_text("foo = 1\n")
    it.edge.process.send_signal(signal.SIGHUP)
    it.edge.wait_for("reload refused", 20)
    spoken = [row for row in it.edge.said if row]
    assert spoken and all(bool(re.match(rf"{TIME} ", row)) is (not arguments) for row in spoken), spoken


def test_nothing_is_said_to_be_well_again_because_nobody_says_anything(edge: Edges, raw: Raws, pki: Pki) -> None:
    """While an engine is silent, and when another takes its place, which does not know what the one before saw."""
    wrong = raw(answering(OK), pki.other)
    it = Ground(edge, route(f"127.0.0.1:{wrong.port}", tls_="reencrypt"))
    assert it.ask() == 502
    it.wait("impostor")
    (engine,) = children(it.it.edge.process.pid)
    halt(engine)
    try:
        it.it.edge.wait_for("[engine-silent]", 20)
        assert set(it.troubles()) == {"engine-silent", "impostor"}
    finally:
        os.kill(engine, signal.SIGCONT)
    it.it.edge.wait_for("well again: the edge", 30)
    os.kill(engine, signal.SIGKILL)
    it.it.edge.wait_for("the engine is back", 20)
    it.wait("impostor", there=False)
    assert not any("[impostor]" in row for row in it.it.edge.said if "well again" in row)
    assert it.ask() == 502
    it.wait("impostor")


NOWHERE = '[[route]]\nname = "lost"\nhost = "lost.test"\ntls = "passthrough"\nto = ["nowhere.invalid:443"]\n'


def test_a_route_that_takes_nothing_is_told_and_makes_the_edge_unready_where_it_is_the_only_one(
    edge: Edges, backend: Backend
) -> None:
    good = route(f"127.0.0.1:{backend.port}")
    it = Ground(edge, good + NOWHERE)
    told = it.wait("route-closed")
    assert (told["about"], told["why"], told["unready"]) == ("route lost", "hop/unresolved", False)
    assert it.get("readyz")[0] == 200 and "nothing-served" not in it.troubles()
    assert it.it.reload(NOWHERE)["reloaded"]
    assert it.wait("nothing-served")["unready"]
    until(lambda: it.get("readyz")[0] == 503 or None)
    status, body = it.get("readyz")
    assert (status, body.splitlines()[:2]) == (503, ["not ready", "nothing-served"])
    assert it.it.reload(good)["reloaded"]
    it.it.edge.wait_for("[nothing-served]", 20)
    until(lambda: not it.troubles() or None, 20, lambda: str(it.troubles()))
    assert it.get("readyz")[0] == 200 and it.ask() == 200


def test_a_revocation_list_that_is_overdue_is_told_until_the_next_one_is_there(
    edge: Edges, backend: Backend, pki: Pki, tmp_path: Path
) -> None:
    by, path = root(pki.public), tmp_path / "list.pem"
    crl(path, by, ends=dt.timedelta(seconds=6))
    it = Ground(
        edge,
        route(f"127.0.0.1:{backend.port}"),
        site=f'clients = {{ ca = "{{pki}}/public-ca.pem", crl = "{path}" }}',
    )
    told = it.wait("revocation-stale")
    assert told["about"] == str(path) and re.fullmatch(rf"it was due at {TIME}", told["why"])
    until(lambda: it.counted("revocation-stale") == 1 or None)
    crl(path, by)
    it.wait("revocation-stale", there=False)
    it.it.edge.wait_for(f"well again: {path}", 20)


def test_an_engine_that_runs_another_plan_is_told_until_it_is_given_the_right_one(
    edge: Edges, backend: Backend
) -> None:
    it = Ground(edge, route(f"127.0.0.1:{backend.port}"))
    text = it.it.config.read_text()
    beside = it.it.folder / "beside.toml"
    beside.write_text(text.replace('host = "a.test"', 'host = "b.test"'))
    other = compile_file(beside)
    control = Control.connect(engine_socket(it.it.folder / "admin.sock"))
    give_plan(control, other, {}, {}, Inspection(), Keyholding("off"))
    control.close()
    told = it.wait("other-plan")
    assert told["why"] == f"it runs plan {other.plan_digest[:16]}" and not told["unready"]
    assert it.it.admin("reload")["reloaded"]
    it.wait("other-plan", there=False)
    assert it.ask() == 200


@pytest.mark.skipif(not can_run(), reason="there is no C compiler to build the clock with")
def test_an_engine_that_nobody_looks_after_tells_so_itself(edge: Edges, backend: Backend, tmp_path: Path) -> None:
    folder = tmp_path / "clock"
    folder.mkdir()
    tmp_path.chmod(0o755)
    wall = Wall(folder)
    with wall.over():
        it = Ground(edge, route(f"127.0.0.1:{backend.port}"))
        it.it.edge.process.kill()
        it.it.edge.process.wait(10)
        assert it.get("readyz") == (200, "ok\n"), "it is not gone for long"
        wall.passes(61)
        until(lambda: it.get("readyz")[1] != "ok\n" or None)
        assert it.get("readyz") == (200, "ok\nsupervisor-gone\n") and it.counted("supervisor-gone") == 1
        it.it.edge = Edge(it.it.config)
        it.it.edge.wait_for("ready:", 30)
        until(lambda: it.get("readyz") == (200, "ok\n") or None, 20)
        assert it.counted("supervisor-gone") == 0 and it.ask() == 200


def test_a_list_that_is_not_fetched_is_told_everywhere_and_makes_nothing_unready(
    edge: Edges, backend: Backend, pki: Pki, tmp_path: Path
) -> None:
    lists = ListServer(tmp_path, root(pki.internal))
    try:
        routes = route(f"127.0.0.1:{backend.port}") + '[[route]]\nname = "tls"\nhost = "b.test"\ntls = "reencrypt"\n'
        verify = f'ca = "{{pki}}/internal-ca.pem", name = "backend.internal", crl = "{lists.url}"'
        routes += f'to = ["127.0.0.1:{backend.port}"]\nverify = {{ {verify} }}\n'
        lists.wrong = "failing"
        it = Ground(edge, routes, more=f'[crl]\nrefresh_s = 1\nstate = "{tmp_path}/state"\n')
        told = it.wait("revocation-missing")
        assert told["about"] == lists.url and not told["unready"]
        it.it.edge.wait_for(f"wrong: {lists.url}: a revocation list was never fetched", 10)
        until(lambda: it.counted("revocation-missing") == 1 or None)
        assert it.get("readyz")[0] == 200 and f"revocation-missing {lists.url}" in it.get("readyz")[1]
        assert it.ask() == 200, "everything else is served"
        lists.wrong = ""
        it.it.edge.wait_for(f"well again: {lists.url}", 20)
        lists.wrong = "failing"
        it.wait("revocation-not-fetched")
        until(lambda: it.counted("revocation-not-fetched") == 1 or None)
        assert f"revocation-not-fetched {lists.url}" in it.get("readyz")[1]
        assert "[revocation-not-fetched]" in it.screen()
    finally:
        lists.close()
