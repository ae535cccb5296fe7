"""`everyhop guard --check`: who answers past a guard is found by asking, whom the guard refuses too, and what cannot be known is said."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everyhop.cli.guard_looks import bound, own_addresses
from everyhop.demo.stage import free_port
from tests.kit import Pki, Raw
from tests.kit.guards import Guard, of_files
from tests.kit.nursery import everyhop
from tests.kit.raw import OK, answering
from tests.threats.ground import serving

Raws = Callable[..., Raw]
OTHERS = [it for it in own_addresses() if "%" not in it]
"""This host's addresses by which others could come; a machine that is alone has none."""
UNREASONED = b"\x15\x03\x03\x00\x02\x02\x50"
"""An alert: internal_error (RFC 8446 §6)."""


@pytest.fixture
def guard(raw: Raws, pki: Pki) -> Iterator[Callable[[int], Guard]]:
    begun: list[Guard] = []

    def start(to: int) -> Guard:
        begun.append(Guard(to, *of_files(pki)))
        return begun[-1]

    yield start
    for it in begun:
        it.close()


@contextlib.contextmanager
def listening(host: str, port: int = 0) -> Iterator[int]:
    """A backend as far as a look goes: the kernel answers for it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, dualstack_ipv6=host == "::") as sock:
        yield int(sock.getsockname()[1])


def checked(to: str, listen: str, *more: str) -> tuple[int, list[str]]:
    done = everyhop("guard", "--check", "--to", to, "--listen", listen, "--admit", "edge.internal", *more)
    assert done.stderr == "" or done.returncode not in (0, 1), done.stderr
    return done.returncode, (done.stdout + done.stderr).splitlines()


def wrong(rows: list[str]) -> list[str]:
    return [row for row in rows if row.startswith("wrong")]


def test_a_backend_of_loopback_alone_behind_a_guard_is_as_it_should_be_and_hears_nothing_of_the_look(
    raw: Raws, guard: Callable[[int], Guard]
) -> None:
    backend = raw(serving)
    it = guard(backend.port)
    code, rows = checked(f"127.0.0.1:{backend.port}", f"127.0.0.1:{it.port}")
    assert code == 0 and wrong(rows) == [], rows
    assert f"good   port {backend.port} is bound to 127.0.0.1" in rows
    for host in OTHERS:
        shown = f"[{host}]" if ":" in host else host
        assert f"good   {shown}:{backend.port} does not answer" in rows
    at = f"good   127.0.0.1:{it.port}"
    assert f"{at} gives no answer to plaintext" in rows and f"{at} refuses whoever shows no certificate" in rows
    assert f"{at} refuses whoever shows a certificate of another authority, for edge.internal" in rows
    unknown = [row for row in rows if row.startswith("unknown")]
    assert len(unknown) == 3 and f"--check --to ADDRESS:{backend.port} --listen ADDRESS:{it.port}" in unknown[0]
    done = everyhop(
        "guard", "--check", "--to", f"127.0.0.1:{backend.port}", "--listen", f"127.0.0.1:{it.port}", "--json"
    )
    said = json.loads(done.stdout)
    assert done.returncode == 0 and said["good"] is True and len(said["unknown"]) == 3
    assert said["seen"][0]["what"] == f"port {backend.port} is bound to 127.0.0.1"
    assert not any(bytes(record) for record in backend.records)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_backend_that_listens_at_all_addresses_is_told_with_the_mend(
    host: str, raw: Raws, guard: Callable[[int], Guard]
) -> None:
    """And one of loopback alone, at the same guard, is not."""
    with listening(host) as port, listening("127.0.0.1") as inside:
        it = guard(port)
        assert bound(port) == {host} and bound(inside) == {"127.0.0.1"}
        code, rows = checked(f"127.0.0.1:{port}", f"127.0.0.1:{it.port}")
        assert code == 1
        assert f"wrong  port {port} of this host is bound to all addresses, not to 127.0.0.1 alone" in rows
        assert any(row.startswith("  mend   bind the backend to 127.0.0.1") for row in rows)
        for other in OTHERS:
            if host == "::" or ":" not in other:
                shown = f"[{other}]" if ":" in other else other
                told = (
                    f"wrong  {shown}:{port} answers (an address of this host): whoever reaches it gets past the guard"
                )
                assert told in rows, rows
        assert not any(str(it.port) in row for row in wrong(rows)), rows
        assert checked(f"127.0.0.1:{inside}", f"127.0.0.1:{it.port}")[0] == 0
        done = everyhop("guard", "--check", "--to", f"127.0.0.1:{port}", "--listen", f"127.0.0.1:{it.port}", "--json")
        said = json.loads(done.stdout)
        assert done.returncode == 1 and said["good"] is False
        (first, *_) = [row for row in said["seen"] if not row["good"]]
        assert "is bound to all addresses" in first["what"] and first["mend"][0].startswith("bind the backend to")


@pytest.mark.skipif(not OTHERS, reason="this machine has no address but loopback")
def test_from_elsewhere_a_port_that_answers_is_wrong_and_one_that_is_closed_is_good(
    raw: Raws, guard: Callable[[int], Guard]
) -> None:
    """By an address that is not loopback: as from another host."""
    it, host = guard(raw(serving).port), OTHERS[0]
    with listening("0.0.0.0" if ":" not in host else "::") as open_, listening("127.0.0.1") as closed:
        code, rows = checked(f"{host}:{open_}", f"127.0.0.1:{it.port}")
        assert code == 1 and f"{host}:{open_} answers (from here)" in wrong(rows)[0], rows
        code, rows = checked(f"{host}:{closed}", f"127.0.0.1:{it.port}")
        assert code == 0 and f"good   {host}:{closed} does not answer" in rows, rows
        assert "unknown what is reached from other places than this one" in rows


@pytest.mark.skipif(not OTHERS, reason="this machine has no address but loopback")
def test_another_address_at_the_backends_own_port_may_be_the_guards() -> None:
    """Then what is there is looked at as the guard, and found to be none here."""
    host = OTHERS[0]
    with listening("127.0.0.1") as port, listening(host, port):
        _, rows = checked(f"127.0.0.1:{port}", f"{host}:{port}")
        assert not any("gets past the guard" in row for row in wrong(rows)), rows
        assert "does not refuse whoever shows no certificate" in "".join(wrong(rows))
        _, rows = checked(f"127.0.0.1:{port}", f"{host}:{free_port()}")
        assert f"is bound to {host}, not to 127.0.0.1 alone" in "".join(wrong(rows)), rows


def test_where_nobody_is_nothing_is_proved(raw: Raws, guard: Callable[[int], Guard]) -> None:
    backend = raw(serving)
    it = guard(backend.port)
    code, rows = checked(f"127.0.0.1:{free_port()}", f"127.0.0.1:{it.port}")
    assert code == 1 and "there is no backend to be looked at" in wrong(rows)[0]
    code, rows = checked(f"127.0.0.1:{backend.port}", f"127.0.0.1:{free_port()}")
    assert code == 1 and "there is no guard to be looked at" in wrong(rows)[0]


def silent(sock: socket.socket, record: bytearray) -> None:
    with contextlib.suppress(OSError):
        record += sock.recv(65536)


def unreasoned(sock: socket.socket, record: bytearray) -> None:
    with contextlib.suppress(OSError):
        record += sock.recv(65536)
        sock.sendall(UNREASONED)


def greeting(sock: socket.socket, record: bytearray) -> None:
    with contextlib.suppress(OSError):
        sock.sendall(b"220 mail.test\r\n")
        record += sock.recv(65536)


PRETENDERS = {
    "asks nobody": (answering(OK), True, ["no certificate", "another authority"], "it was let in"),
    "plaintext": (answering(OK), False, ["answers plaintext: HTTP/1.1 200 OK", "no certificate"], "timed out"),
    "speaks first": (greeting, False, ["answers plaintext: 220 mail.test", "no certificate"], "does not speak TLS"),
    "ends without a word": (silent, False, ["no certificate", "another authority"], ""),
    "fails for a reason of its own": (unreasoned, False, ["no certificate", "another authority"], "INTERNAL_ERROR"),
}


@pytest.mark.parametrize("who", PRETENDERS)
def test_what_is_no_guard_is_not_taken_for_one(who: str, raw: Raws, pki: Pki) -> None:
    """A handshake that fails for whatever reason is no proof that a stranger is refused."""
    serve, is_tls, told, why = PRETENDERS[who]
    pretends = raw(serve, pki.backend) if is_tls else raw(serve)
    with listening("127.0.0.1") as port:
        code, rows = checked(f"127.0.0.1:{port}", f"127.0.0.1:{pretends.port}")
    found = wrong(rows)
    assert code == 1 and all(any(one in row for row in found) for one in told), rows
    assert why in "".join(found), rows


def test_one_that_asks_and_lets_in_who_shows_none_is_found_by_that_alone(raw: Raws, pki: Pki) -> None:
    """`mode = "ask"`, as it were: who shows a certificate of another authority is refused there."""
    pretends = raw(answering(OK), pki.backend, clients=pki.internal.file)
    assert pretends.context is not None
    with listening("127.0.0.1") as port:
        at = (f"127.0.0.1:{port}", f"127.0.0.1:{pretends.port}")
        assert checked(*at)[0] == 0, "the baseline: one that demands it"
        pretends.context.verify_mode = ssl.CERT_OPTIONAL
        code, rows = checked(*at)
    (one,) = wrong(rows)
    assert code == 1 and "does not refuse whoever shows no certificate" in one and "it was let in" in one


def test_it_looks_from_the_address_that_it_is_told(raw: Raws) -> None:
    seen: list[str] = []

    def noting(sock: socket.socket, record: bytearray) -> None:
        with contextlib.suppress(OSError):
            seen.append(sock.getpeername()[0])

    backend, there = raw(noting), raw(noting)
    checked(f"127.0.0.1:{backend.port}", f"127.0.0.1:{there.port}", "--from", "127.0.0.3")
    assert set(seen) == {"127.0.0.3"}
    code, rows = checked(f"127.0.0.1:{backend.port}", f"127.0.0.1:{there.port}", "--from", "203.0.113.250")
    assert code == 4 and "--from 203.0.113.250 is no address of this host" in rows[-1]


def test_an_address_that_cannot_be_asked_proves_nothing(raw: Raws, guard: Callable[[int], Guard]) -> None:
    """As one that nobody leads to: the kernel says so of 255.255.255.255 to whoever would connect there."""
    code, rows = checked("255.255.255.255:9", f"127.0.0.1:{guard(raw(serving).port).port}")
    assert code == 1 and "255.255.255.255:9 cannot be asked from here" in wrong(rows)[0], rows


@pytest.mark.parametrize(("mode", "is_open"), [(0o666, True), (0o660, False)])
def test_a_socket_that_every_user_can_write_to_is_told(
    mode: int, is_open: bool, raw: Raws, guard: Callable[[int], Guard], tmp_path: Path
) -> None:
    it = guard(raw(serving).port)
    at = it.folder / "app.sock"
    it.folder.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(at))
        sock.listen()
        at.chmod(mode)
        code, rows = checked(f"unix:{at}", f"127.0.0.1:{it.port}")
        assert (code, len(wrong(rows))) == ((1, 1) if is_open else (0, 0)), rows
        it.folder.chmod(0o700)
        assert checked(f"unix:{at}", f"127.0.0.1:{it.port}")[0] == 0, "nobody else gets into its folder"
    code, rows = checked(f"unix:{tmp_path}/none", f"127.0.0.1:{it.port}")
    assert code == 1 and "there is no backend to be looked at" in wrong(rows)[0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--to", "nowhere", "--listen", ":1"], "is no address"),
        (["--to", "127.0.0.1:1", "--listen", "unix:/run/a"], "is no address"),
        (["--to", "127.0.0.1:1", "--listen", ":1", "--admit", "CN=edge"], "a subject such as"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(arguments: list[str], told: str) -> None:
    done = everyhop("guard", "--check", *arguments)
    assert done.returncode == 2 and told in done.stderr, done.stderr


def test_an_address_to_look_from_goes_with_a_look_alone() -> None:
    done = everyhop("guard", "--to", "127.0.0.1:1", "--listen", ":1", "--admit", "a.test", "--from", "127.0.0.1")
    assert done.returncode == 2 and "--from and --json go with --check" in done.stderr
    done = everyhop("guard", "--to", "127.0.0.1:1", "--listen", ":1")
    assert done.returncode == 2 and "say who may come: --admit" in done.stderr
