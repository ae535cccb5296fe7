"""`everyhop migrate`: a route's backends become mutual one by one while it serves; what does worse goes back by itself, and whoever is
killed in between leaves a file that is taken up, or taken back."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from everyhop.admin import Client
from everyhop.compile import compile_file
from everyhop.demo.backends import Backend
from everyhop.migrate import Asked, Migration
from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.edge import until

Edges = Callable[..., EdgeKit]
Backends = Callable[..., Backend]
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
ACCEPTED = """\
[route.acceptance]
owner = "platform@example.com"
why = "it knew no TLS"
context = "legacy"
since = {since}
until = {until}
"""


@pytest.fixture
def backend(pki: Pki) -> Iterator[Backends]:
    """In plaintext, or mutual with one port for it."""
    opened: list[Backend] = []

    def start(name: str = "b", *, mutual: bool = False, **more: Any) -> Backend:
        leaf = pki.backend if mutual else None
        it = Backend(name, leaf, clients=pki.internal.file if mutual else None, demands=mutual, **more)
        opened.append(it)
        return it

    yield start
    for it in opened:
        it.close()


def route(*ports: int, more: str = "") -> str:
    import datetime as dt

    today = dt.datetime.now(dt.UTC).date()
    to = "".join(f'  "127.0.0.1:{port}", # at {port}\n' for port in ports)
    signed = ACCEPTED.format(since=today, until=today + dt.timedelta(days=60))
    head = f'# the wiki\n[[route]]\nname = "r" # ours\nhost = "a.test"\ntls = "plaintext"\nto = [\n{to}]\noff_host = true\n'
    return f"{head}{more}{signed}# behind it\n"


def told(it: EdgeKit, pki: Pki) -> list[str]:
    return ["migrate", "r", "--config", str(it.config), "--ca", str(pki.internal.file), "--name", "backend.internal"]


def in_file(it: EdgeKit) -> dict[str, Any]:
    import tomllib

    found: dict[str, Any] = tomllib.loads(it.config.read_text())["route"][0]
    return found


class Load:
    """Requests without an end, on connections that stay and on new ones."""

    def __init__(self, it: EdgeKit, pki: Pki) -> None:
        self.it, self.pki, self.over = it, pki, threading.Event()
        self.answers: list[int] = []
        self.failures: list[str] = []
        self.threads = [threading.Thread(target=self.asks, args=(n,), daemon=True) for n in (1, 20)]
        for thread in self.threads:
            thread.start()

    def asks(self, each: int) -> None:
        while not self.over.is_set():
            try:
                with tls(self.it.port, "a.test", self.pki.public.file, kept=False) as sock:
                    for _ in range(each):
                        self.answers.append(exchange(sock, GET).status)
            except Exception as e:
                self.failures.append(repr(e))

    def end(self) -> list[int]:
        self.over.set()
        for thread in self.threads:
            thread.join(30)
        assert not self.failures, self.failures[:3]
        return self.answers


@contextlib.contextmanager
def load(it: EdgeKit, pki: Pki) -> Iterator[Load]:
    made = Load(it, pki)
    try:
        until(lambda: made.answers)
        yield made
    finally:
        made.over.set()


def guarded(it: Backend, start: Backends) -> Backend:
    """Mutual TLS beside it, as a guard is: the answers are as of the same server."""
    return start(it.name, mutual=True)


def test_a_route_becomes_mutual_under_load_and_loses_no_request(edge: Edges, backend: Backends, pki: Pki) -> None:
    plain = backend("one")
    guard = guarded(plain, backend)
    it = edge(route(plain.port))
    before = it.config.read_text()
    with load(it, pki) as made:
        done = it.cli(*told(it, pki), "--to-port", str(guard.port), "--watch", "1", "--apply")
        assert done.returncode == 0, done.stdout + done.stderr
        sent = len(guard.seen)
        until(lambda: len(guard.seen) > sent)
        answers = made.end()
    assert set(answers) == {200} and plain.seen and guard.seen
    assert "moved; watching for 1 s" in done.stdout and "0 failed, knows us" in done.stdout
    assert "the acceptance by platform@example.com is gone" in done.stdout
    found = in_file(it)
    assert (found["tls"], found["present"], found["to"]) == ("mutual", "edge", [f"127.0.0.1:{guard.port}"])
    assert "acceptance" not in found and found["verify"]["name"] == "backend.internal"
    assert "# the wiki" in it.config.read_text() and "# behind it" in it.config.read_text()
    last = it.status()["routes"][0]
    assert (last["pattern"], last["last"]["backend_hop"]["tls"]) == ("mutual", "mutual")
    assert last["last"]["backend_hop"]["identity"] == "demanded"
    # And back, as it was to the byte.
    back = it.cli("migrate", "r", "--config", str(it.config), "--back")
    assert back.returncode == 0, back.stderr
    assert it.config.read_text() == before and it.status()["routes"][0]["pattern"] == "plaintext"
    assert it.cli("migrate", "r", "--config", str(it.config), "--back").returncode == 2, "there is nothing to take back"


def test_without_apply_it_shows_who_answers_and_changes_nothing(edge: Edges, backend: Backends, pki: Pki) -> None:
    plain, guard = backend("one"), backend("two", mutual=True)
    it = edge(route(plain.port, guard.port))
    before = it.config.read_text()
    done = it.cli(*told(it, pki))
    assert done.returncode == 0, done.stderr
    assert 'r  tls = "plaintext", 0 of 2 backend(s) mutual' in done.stdout
    assert f"!!  127.0.0.1:{plain.port}  plaintext; no TLS that holds" in done.stdout
    assert f"ok  127.0.0.1:{guard.port}  plaintext; proves to be backend.internal by TLS 1.3" in done.stdout
    assert "next: the same with --apply; 1 would stay as they are" in done.stdout
    data = json.loads(it.cli(*told(it, pki), "--json").stdout)
    assert [b["answer"]["ready"] for b in data["backends"]] == [False, True] and data["begun"] is False
    assert it.config.read_text() == before and not list(it.folder.glob(".*"))


def test_of_two_backends_of_which_one_knows_no_tls_one_is_moved_and_the_acceptance_stays(
    edge: Edges, backend: Backends, pki: Pki
) -> None:
    one, old, guard = backend("one"), backend("old"), backend("one", mutual=True)
    it = edge(route(one.port, old.port))
    # The second has no TLS at the port of the first's guard either: each is asked where it would be.
    it.write(route(guard.port, old.port))
    text = it.config.read_text()
    refused = it.cli(*told(it, pki), "--apply")
    assert refused.returncode == 4 and "runs something else than" in refused.stderr
    assert it.config.read_text() == text
    assert it.admin("reload")["reloaded"]
    with tls(it.port, "a.test", pki.public.file) as sock:
        exchange(sock, GET)
    done = it.cli(*told(it, pki), "--watch", "0", "--apply")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"127.0.0.1:{old.port}  stays plaintext" in done.stdout
    found = in_file(it)
    assert found["tls"] == "plaintext" and found["acceptance"] and found["to"][1] == f"127.0.0.1:{old.port}"
    assert found["to"][0]["tls"] == "mutual"
    compile_file(it.config)
    for _ in range(4):
        with tls(it.port, "a.test", pki.public.file) as sock:
            assert exchange(sock, GET).status in {200, 502}
    assert guard.seen and old.seen, "both serve, each by its own hop"


class Turncoat(Backend):
    """Lets us in as long as it is only asked whether it would; then it demands somebody else's certificate."""

    def __init__(self, pki: Pki, lets_in: int) -> None:
        self.left = lets_in
        super().__init__("turncoat", pki.backend, clients=pki.internal.file, demands=True)
        self.others = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.others.load_cert_chain(pki.backend.chain, pki.backend.key)
        self.others.load_verify_locations(pki.public.file)
        self.others.verify_mode = ssl.CERT_REQUIRED

    def serve(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        if self.left <= 0:
            self.context = self.others
        self.left -= 1
        super().serve(sock, peer)


def test_a_backend_that_refuses_us_once_it_is_moved_is_put_back_by_itself(
    edge: Edges, backend: Backends, pki: Pki
) -> None:
    plain, turned = backend("plain"), Turncoat(pki, 1)
    it = edge(route(plain.port))
    before = it.config.read_text()
    with load(it, pki) as made:
        done = it.cli(*told(it, pki), "--to-port", str(turned.port), "--watch", "20", "--apply")
        until(lambda: made.answers[-1] == 200)
    turned.close()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "it refuses our certificate" in done.stdout and "put back" in done.stdout
    assert it.config.read_text() == before
    assert it.status()["routes"][0]["pattern"] == "plaintext"


def test_a_backend_that_answers_errors_once_it_is_moved_is_put_back_by_itself(
    edge: Edges, backend: Backends, pki: Pki
) -> None:
    def broken(request: Any, caller: str) -> None:
        request.send_response(500)
        request.send_header("content-length", "0")
        request.end_headers()

    plain, guard = backend("plain"), backend("broken", mutual=True, answer=broken)
    it = edge(route(plain.port))
    before = it.config.read_text()
    with load(it, pki):
        done = it.cli(*told(it, pki), "--to-port", str(guard.port), "--watch", "20", "--apply", "--json")
    said = json.loads(done.stdout)
    assert done.returncode == 1 and said["gone_back"] == f"127.0.0.1:{plain.port}"
    assert "answers were 500 or more" in said["left"][said["gone_back"]]
    assert it.config.read_text() == before and it.status()["routes"][0]["pattern"] == "plaintext"


@pytest.mark.parametrize(
    ("clients", "leaf", "said"),
    [(False, "backend", "does not ask who we are"), (True, "other", "[hop/name-mismatch]")],
)
def test_a_backend_that_asks_nobody_or_is_somebody_else_is_not_moved(
    edge: Edges, pki: Pki, clients: bool, leaf: str, said: str
) -> None:
    other = Backend("o", getattr(pki, leaf), clients=pki.internal.file if clients else None, demands=clients)
    it = edge(route(other.port))
    before = it.config.read_text()
    done = it.cli(*told(it, pki), "--apply")
    other.close()
    assert done.returncode == 1 and said in done.stdout, done.stdout + done.stderr
    assert it.config.read_text() == before


def test_where_no_edge_runs_nothing_is_moved_and_what_was_begun_can_be_put_back(
    edge: Edges, backend: Backends, pki: Pki
) -> None:
    plain, guard = backend("plain"), backend("guard", mutual=True)
    it = edge(route(plain.port, guard.port))
    before = it.config.read_text()
    assert it.cli(*told(it, pki), "--watch", "0", "--apply").returncode == 1
    assert it.config.read_text() != before
    it.edge.stop()
    begun = it.config.read_text()
    done = it.cli(*told(it, pki), "--apply")
    assert done.returncode == 4 and "no supervisor answers" in done.stderr
    assert it.config.read_text() == begun
    shown = it.cli(*told(it, pki))
    assert "next: start the edge" in shown.stdout and "it was begun" in shown.stdout
    back = it.cli("migrate", "r", "--config", str(it.config), "--back")
    assert back.returncode == 0 and "no edge runs that file" in back.stdout
    assert it.config.read_text() == before


def test_a_route_in_an_included_file_is_moved_there(edge: Edges, backend: Backends, pki: Pki) -> None:
    plain, guard = backend("plain"), backend("guard", mutual=True)
    it = edge('[[route]]\nname = "x"\nhost = "b.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n')
    (it.folder / "routes").mkdir()
    mine, other = it.folder / "routes" / "mine.toml", it.folder / "routes" / "other.toml"
    mine.write_text(route(plain.port))
    other.write_text(
        '# nobody touches this\n[[route]]\nname = "y"\nhost = "c.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'
    )
    main = it.config.read_text().replace("version = 1\n", 'version = 1\ninclude = ["routes/*.toml"]\n')
    it.config.write_text(main)
    kept = other.read_text()
    assert it.admin("reload")["reloaded"]
    done = it.cli(*told(it, pki), "--to-port", str(guard.port), "--watch", "0", "--apply")
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'tls = "mutual"' in mine.read_text() and "# the wiki" in mine.read_text()
    assert (it.config.read_text(), other.read_text()) == (main, kept)
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).status == 200
    assert guard.seen


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--name", "x"], 2, "roots are never implied"),
        (["--ca", "nowhere.pem", "--name", "x"], 1, "ca/"),
        (["--ca", "{ca}"], 1, "hop/"),
        (["--ca", "{ca}", "--name", "x", "--present", "nobody"], 1, "nobody"),
        (["--apply", "--back"], 2, "say one of them"),
        (["--back"], 2, "nothing is noted of a migration"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(
    edge: Edges, backend: Backends, pki: Pki, more: list[str], code: int, said: str
) -> None:
    it = edge(route(backend().port))
    before = it.config.read_text()
    words = [word.replace("{ca}", str(pki.internal.file)) for word in more]
    done = it.cli("migrate", "r", "--config", str(it.config), *words)
    assert done.returncode == code and said in done.stderr, done.stdout + done.stderr
    assert it.config.read_text() == before
    unknown = it.cli("migrate", "q", "--config", str(it.config))
    assert unknown.returncode == 2 and "has no route 'q'; its routes: r" in unknown.stderr


class Died(BaseException):
    """Nothing catches it, as nothing catches a SIGKILL."""


MOMENTS = ("replace",)


def test_whoever_is_killed_at_any_step_leaves_a_file_that_is_taken_up_or_taken_back(
    edge: Edges, backend: Backends, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each write of the file and of what is noted, and before each word to the edge."""
    one, two = backend("one"), backend("two")
    guard = backend("guard", mutual=True)
    it = edge(route(one.port, two.port).replace(f"127.0.0.1:{two.port}", f"localhost:{two.port}"))
    before, left = it.config.read_text(), [-1]
    asked = Asked(ca=str(pki.internal.file), name="backend.internal", to_port=guard.port)

    def before_each(act: Callable[..., Any]) -> Callable[..., Any]:
        def acts(*args: Any, **kwargs: Any) -> Any:
            if left[0] == 0:
                raise Died
            left[0] -= 1
            return act(*args, **kwargs)

        return acts

    for name in MOMENTS:
        monkeypatch.setattr(os, name, before_each(getattr(os, name)))
    monkeypatch.setattr("everyhop.migrate.running.Client", before_each(Client))
    for steps in range(200):
        died = False
        for how in ("up", "back"):
            left[0] = steps
            try:
                Migration(it.config, "r", asked).go_on(0)
            except Died:
                died = True
            left[0] = -1
            compile_file(it.config)
            with tls(it.port, "a.test", pki.public.file, kept=False) as sock:
                assert exchange(sock, GET).status == 200
            if how == "up":
                again = Migration(it.config, "r", asked)
                if again.is_under_way():
                    again = Migration(it.config, "r", Asked())  # What was asked for is remembered.
                assert again.go_on(0)["done"]
                assert in_file(it)["tls"] == "mutual" and "acceptance" not in in_file(it)
                assert it.status()["routes"][0]["pattern"] == "mutual"
            if how == "up" or Migration(it.config, "r", asked).journal is not None:
                assert Migration(it.config, "r", Asked()).back()
            assert it.config.read_text() == before
            assert it.status()["routes"][0]["pattern"] == "plaintext"
        if not died:
            break
    assert 10 < steps < 199, steps


def test_a_process_that_is_killed_while_it_watches_is_gone_on_from(edge: Edges, backend: Backends, pki: Pki) -> None:
    """A real SIGKILL; another at the same time is kept out."""
    plain, guard = backend("plain"), backend("guard", mutual=True)
    it = edge(route(plain.port))
    words = [*told(it, pki), "--to-port", str(guard.port), "--apply"]
    process = subprocess.Popen(
        [sys.executable, "-m", "everyhop", *words, "--watch", "600"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    until(lambda: "watching" in process.stdout.readline())  # type: ignore[union-attr]
    kept_out = it.cli(*words)
    assert kept_out.returncode == 4 and "another everyhop migrate is at work" in kept_out.stderr
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stdout.close()
    compile_file(it.config)
    assert in_file(it)["tls"] == "plaintext" and in_file(it)["to"][0]["tls"] == "mutual"
    done = it.cli("migrate", "r", "--config", str(it.config), "--watch", "0", "--apply")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "was moved before" in done.stdout and in_file(it)["tls"] == "mutual"


def test_a_route_in_yaml_is_not_edited(tmp_path: Path, edge: Edges, backend: Backends) -> None:
    it = edge(route(backend().port))
    (it.folder / "more.yaml").write_text(
        'route:\n  - name: yam\n    host: b.test\n    tls: plaintext\n    to: ["127.0.0.1:1"]\n'
    )
    it.config.write_text(it.config.read_text().replace("version = 1\n", 'version = 1\ninclude = ["more.yaml"]\n'))
    done = it.cli("migrate", "yam", "--config", str(it.config), "--ca", "system")
    assert done.returncode == 2 and "is YAML" in done.stderr and "tls: mutual" in done.stderr
