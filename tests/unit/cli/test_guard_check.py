"""What `everyhop guard --check` makes of what it sees: who reaches a backend past its guard, and what is no guard at all."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import ipaddress
import json
import os
import shutil
import socket
import ssl
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from everyhop.cli import guard_check, guard_looks
from everyhop.cli.guard_check import (
    STRANGER,
    Seen,
    asked_of,
    backend,
    bind_to,
    certifiable,
    closed,
    guard,
    of_unix,
    unknown,
)
from everyhop.cli.guard_looks import (
    NotAsked,
    answers,
    bound,
    hosts_of,
    lets_in_plaintext,
    reached_by_others,
    show,
    why_not_refused,
)
from everyhop.compile.names import Address
from everyhop.errors import Misuse, Surroundings
from tests.kit import Pki
from tests.kit.raw import server_context

LOOPBACK = "127.0.0.1"


@contextlib.contextmanager
def at_a_socket(path: Path, mode: int) -> Iterator[Path]:
    with socket.socket(socket.AF_UNIX) as it:
        it.bind(str(path))
        it.listen()
        path.chmod(mode)
        yield path


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that every user can walk to, as those of pytest are not."""
    it = Path(tempfile.mkdtemp(prefix="eh-"))
    it.chmod(0o755)
    yield it
    shutil.rmtree(it)


def goods(found: Iterator[Seen]) -> list[bool]:
    return [it.is_good for it in found]


def test_a_socket_is_closed_to_others_by_its_mode_or_by_a_folder_on_the_way_to_it(open_to_all: Path) -> None:
    with at_a_socket(open_to_all / "app.sock", 0o666) as it:
        for mode, is_good in ((0o666, False), (0o662, False), (0o664, True), (0o660, True), (0o600, True)):
            it.chmod(mode)
            (seen,) = of_unix(it)
            assert seen.is_good == is_good, oct(mode)
            assert is_good or (f"(mode {mode:04o})" in seen.what and str(it) in seen.mend[0])
        it.chmod(0o666)
        for mode, is_good in ((0o700, True), (0o754, True), (0o755, False), (0o711, False)):
            open_to_all.chmod(mode)
            assert goods(of_unix(it)) == [is_good], oct(mode)


def test_a_link_in_a_closed_folder_closes_no_socket_and_one_in_an_open_folder_opens_none(open_to_all: Path) -> None:
    for name, mode in (("closed", 0o700), ("open", 0o755)):
        (open_to_all / name).mkdir()
        (open_to_all / name).chmod(mode)
    (inside := open_to_all / "closed" / "link").symlink_to("../open/app.sock")
    (outside := open_to_all / "open" / "link").symlink_to("../closed/app.sock")
    with at_a_socket(open_to_all / "open" / "app.sock", 0o666) as it:
        assert goods(of_unix(it)) == [False] == goods(of_unix(inside)), "everybody has the other way"
    with at_a_socket(open_to_all / "closed" / "app.sock", 0o666) as it:
        assert goods(of_unix(it)) == [True] == goods(of_unix(outside)), "nobody else gets where it leads"


def test_where_no_socket_is_nothing_is_proved(open_to_all: Path) -> None:
    (seen,) = backend(Address(unix=str(open_to_all / "none")), Address(ip=LOOPBACK, port=1), None)
    assert not seen.is_good and "No such file" in seen.what and seen.mend == ["start the backend first"]
    (open_to_all / "file").touch()
    (seen,) = of_unix(open_to_all / "file")
    assert not seen.is_good and "is no socket" in seen.what


@contextlib.contextmanager
def saying(data: bytes | None) -> Iterator[int]:
    """A server that says that once it is asked; `None`: that ends without a word. It serves one after the other."""
    with socket.create_server((LOOPBACK, 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = server.accept()
                    with sock, contextlib.suppress(OSError):
                        sock.recv(65536)
                        if data is not None:
                            sock.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("data", "came"),
    [
        (b"HTTP/1.1 200 OK\r\nX: y\r\n", "HTTP/1.1 200 OK"),
        (b"HTTP/1.1 302 Found\r\n", "HTTP/1.1 302 Found"),
        (b"HTTP/1.1 500 Oh\r\n", "HTTP/1.1 500 Oh"),
        (b"HTTP/1.1 400 Bad Request\r\n", None),
        (b"HTTP/1.0 404 Not Found\r\n", None),
        (b"220 mail.test\r\n", "220 mail.test"),
        (b"XTTP/1.1 400 no answer\r\n", "XTTP/1.1 400 no answer"),
        (b"\x15\x03\x03\x00\x02\x02\x28", None),
        (b"\x16\x03\x03", "\x16\x03\x03"),
        (b"\xff\x15", "\ufffd\x15"),
        (None, None),
    ],
)
def test_plaintext_is_answered_by_whatever_comes_back_that_says_neither_tls_nor_no(
    data: bytes | None, came: str | None
) -> None:
    with saying(data) as port:
        assert lets_in_plaintext(LOOPBACK, port, None) == came


def test_who_says_nothing_to_plaintext_in_time_answers_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_looks, "PATIENCE_S", 0.2)
    with socket.create_server((LOOPBACK, 0)) as it:
        assert lets_in_plaintext(LOOPBACK, it.getsockname()[1], None) is None


class Kept:
    """In the place of a TLS context: keeps what it is to show."""

    def load_cert_chain(self, path: str) -> None:
        self.pem = Path(path).read_bytes()


@pytest.mark.parametrize("name", ["edge.internal", "spiffe://corp.example/edge", "10.0.0.1"])
def test_what_is_shown_is_a_certificate_of_that_name_for_clients_that_is_in_force_by_any_clock_here(name: str) -> None:
    """Else it might be refused for something else than that nobody knows who signed it."""
    show(kept := Kept(), name)  # type: ignore[arg-type]
    leaf, now, half = x509.load_pem_x509_certificate(kept.pem), dt.datetime.now(dt.UTC), dt.timedelta(minutes=30)
    assert leaf.not_valid_before_utc < now - half and now + half < leaf.not_valid_after_utc
    assert load_pem_private_key(kept.pem, None).public_key() == leaf.public_key()
    assert leaf.issuer == leaf.subject
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(it.value) for it in names] == [name]
    uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [*uses] == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_guard_that_refuses_strangers_is_as_it_should_be(pki: Pki) -> None:
    with speaking_tls(pki, lambda tls: tls.recv(1), demands=True) as port:
        rows = [*guard(Address(ip=LOOPBACK, port=port), ["edge.internal"], None)]
    assert [it.is_good for it in rows] == [True] * 3, rows
    assert rows[2].what.endswith("refuses whoever shows a certificate of another authority, for edge.internal")


def test_what_answers_plaintext_is_told_and_what_is_none_of_ours_is_proved_by_nothing() -> None:
    with saying(b"HTTP/1.1 200 OK\r\n") as port:
        first, *certificates = guard(Address(ip=LOOPBACK, port=port), ["edge.internal"], None)
    assert not first.is_good and "answers plaintext: HTTP/1.1 200 OK" in first.what and "--listen" in first.mend[0]
    assert [it.is_good for it in certificates] == [False, False]
    whats = [it.what for it in certificates]
    assert "does not refuse whoever shows no certificate as it should: it does not speak TLS" in whats[0]
    assert "whoever shows a certificate of another authority, for edge.internal, as it should" in whats[1]
    assert all("mode = " in it.mend[0] for it in certificates)
    (seen,) = guard(Address(ip=LOOPBACK, port=nobody()), [], None)
    assert not seen.is_good and "there is no guard to be looked at" in seen.what
    # What is at one address says nothing of the next.
    with saying(None) as port, pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard_looks, "hosts_of", lambda _: ["127.0.0.9", LOOPBACK])
        seen, first, *_ = guard(Address(name="guard.test", port=port), [], None)
        assert "nothing answers at 127.0.0.9" in seen.what
        assert first.is_good and f"{LOOPBACK}:{port} gives no answer to plaintext" in first.what


def nobody() -> int:
    with socket.create_server((LOOPBACK, 0)) as it:
        return int(it.getsockname()[1])


def test_a_stranger_calls_itself_by_the_first_name_that_is_admitted_and_that_a_certificate_can_have() -> None:
    for admitted, called in (
        ([], STRANGER),
        (["sha256:" + "ab" * 32], STRANGER),
        (["sha256:" + "ab" * 32, "spiffe://corp.example/edge", "b.test"], "spiffe://corp.example/edge"),
        (["*.test", "a.test"], "a.test"),
    ):
        with saying(None) as port:
            *_, last = guard(Address(ip=LOOPBACK, port=port), admitted, None)
        assert f"for {called}, as it should" in last.what
    assert [it for it in ("a.test", "*.a.test", "spiffe://a/b", "spiffe://a", "10.0.0.1") if certifiable(it)] == [
        "a.test",
        "spiffe://a/b",
        "10.0.0.1",
    ]


def test_a_port_that_answers_is_past_the_guard_and_one_that_cannot_be_asked_proves_nothing() -> None:
    with socket.create_server((LOOPBACK, 0)) as it:
        port = it.getsockname()[1]
        assert answers(LOOPBACK, port, None)
        for here, whose, mends in ((True, "an address of this host", 0), (False, "from here", 1)):
            seen = closed(LOOPBACK, port, None, here=here)
            assert (seen.is_good, len(seen.mend)) == (False, mends) and f"answers ({whose})" in seen.what
    assert not answers(LOOPBACK, port, None)
    seen = closed(LOOPBACK, port, None, here=False)
    assert seen == Seen(True, f"{LOOPBACK}:{port} does not answer")
    seen = closed("255.255.255.255", 9, None, here=True)
    assert not seen.is_good and "cannot be asked from here" in seen.what and "--from ADDRESS" in seen.mend[0]


@pytest.mark.parametrize(
    ("raised", "is_known"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "no"), True),
        (ConnectionResetError(errno.ECONNRESET, "no"), True),
        (TimeoutError("late"), True),
        (OSError(errno.EHOSTUNREACH, "a firewall's word"), True),
        (OSError(errno.ENETUNREACH, "no way"), False),
        (OSError(errno.EACCES, "not from here"), False),
        (OSError(errno.EADDRNOTAVAIL, "not ours"), False),
    ],
    ids=lambda it: it.__class__.__name__ if isinstance(it, OSError) else "",
)
def test_silence_is_known_where_the_other_side_or_a_firewall_said_so(
    raised: OSError, is_known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(socket, "create_connection", fail)
    if is_known:
        assert not answers(LOOPBACK, 1, None)
        return
    with pytest.raises(NotAsked, match=raised.strerror):
        answers(LOOPBACK, 1, None)


def test_an_address_to_look_from_goes_with_its_family_alone_and_is_ours() -> None:
    with socket.create_server((LOOPBACK, 0)) as it:
        port = it.getsockname()[1]
        for source, seen in (("127.0.0.5", "127.0.0.5"), ("::1", LOOPBACK), (None, LOOPBACK)):
            assert answers(LOOPBACK, port, source)
            sock, (host, _) = it.accept()
            sock.close()
            assert host == seen
        with pytest.raises(Surroundings, match=r"--from 203\.0\.113\.250 is no address of this host"):
            answers(LOOPBACK, port, "203.0.113.250")
    assert not answers(LOOPBACK, port, "127.0.0.5")


def test_who_is_bound_to_a_port_is_found_by_listening_and_by_nothing_else() -> None:
    with socket.create_server((LOOPBACK, 0)) as it, socket.create_connection(it.getsockname()) as client:
        port, own = it.getsockname()[1], client.getsockname()[1]
        assert bound(port) == {LOOPBACK} and bound(own) == set()
        with socket.create_server(("127.0.0.2", port)), socket.create_server(("::1", port), family=socket.AF_INET6):
            assert bound(port) == {LOOPBACK, "127.0.0.2", "::1"}


def test_an_address_is_read_from_all_of_its_digits_as_the_kernel_writes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def row(ip: str, port: int, state: str = "0A") -> str:
        data = ipaddress.ip_address(ip).packed
        words = (int.from_bytes(data[n : n + 4], sys.byteorder) for n in range(0, len(data), 4))
        return (
            f"   0: {''.join(f'{word:08X}' for word in words)}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:0"
        )

    head = "  sl  local_address rem_address   st tx_queue rx_queue tr"
    fours, sixes = ["192.168.1.254", "254.253.252.251"], ["fedc:ba98:7654:3210:fedc:ba98:7654:3210", "::1"]
    tables = {
        "tcp": [head, *(row(it, 8443) for it in fours), row("10.0.0.1", 8444), row("10.0.0.2", 8443, "01")],
        "tcp6": [head, *(row(it, 8443) for it in sixes), row("::2", 443)],
    }
    monkeypatch.setattr(Path, "read_text", lambda self: "\n".join(tables[self.name]) + "\n")
    assert bound(8443) == {*fours, *sixes} and bound(8444) == {"10.0.0.1"} and bound(443) == {"::2"}


def test_an_address_of_ours_by_which_nobody_is_reached_is_ours_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENETUNREACH, "no way")

    monkeypatch.setattr(socket, "create_connection", fail)
    monkeypatch.setattr(guard_looks, "own_addresses", lambda: ["10.0.0.5", "fe80::1%3"])
    for host, source in (
        ("10.0.0.9", "10.0.0.5"),
        ("fe80::9", "fe80::1%3"),
        ("fe80::9", "fe80::1"),
        (LOOPBACK, "127.0.0.9"),
    ):
        with pytest.raises(NotAsked, match="no way"):
            answers(host, 1, source)
    for host, source in (("10.0.0.9", "10.0.0.6"), ("fe80::9", "fe80::2%3")):
        with pytest.raises(Surroundings, match=f"--from {source} is no address of this host"):
            answers(host, 1, source)


def test_a_kernel_without_ipv6_lists_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_text

    def without(self: Path) -> str:
        if self.name == "tcp6":
            raise FileNotFoundError(self)
        return read(self)

    monkeypatch.setattr(Path, "read_text", without)
    with socket.create_server((LOOPBACK, 0)) as it:
        assert bound(it.getsockname()[1]) == {LOOPBACK}


def test_loopback_is_reached_by_nobody_else_however_it_is_written() -> None:
    ours = ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1")
    others = ("0.0.0.0", "::", "10.0.0.1", "fe80::1", "::ffff:10.0.0.1", "2001:db8::1")
    assert [reached_by_others(it) for it in ours + others] == [False] * 4 + [True] * 6


def test_a_backend_is_looked_at_by_what_it_is_bound_to_and_by_every_address_of_its_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listen = Address(ip="10.0.0.5", port=8443)
    asked: list[tuple[str, int]] = []

    def seen(port: int, at: set[str], own: list[str], *, open_: tuple[str, ...] = (LOOPBACK,)) -> list[Seen]:
        asked.clear()

        def answering(host: str, port: int, _: str | None) -> bool:
            asked.append((host, port))
            return host in open_

        monkeypatch.setattr(guard_looks, "bound", lambda _: at)
        monkeypatch.setattr(guard_looks, "own_addresses", lambda: own)
        monkeypatch.setattr(guard_looks, "answers", answering)
        return [*backend(Address(ip=LOOPBACK, port=port), listen, None)]

    assert [it.is_good for it in seen(80, {LOOPBACK}, ["10.0.0.5", "10.0.0.6"])] == [True] * 3
    assert asked == [(LOOPBACK, 80), ("10.0.0.5", 80), ("10.0.0.6", 80)]
    (alone, none) = seen(80, {LOOPBACK}, [])
    assert alone.is_good and none.is_good and "no address but loopback" in none.what
    for at, what in (({"0.0.0.0"}, "all addresses"), ({"::", LOOPBACK}, "all addresses"), ({"10.0.0.6"}, "10.0.0.6")):
        first, *_ = seen(80, at, [])
        assert not first.is_good and f"is bound to {what}, not to {LOOPBACK} alone" in first.what
        assert [*first.mend] == [*bind_to(Address(ip=LOOPBACK, port=80))] and "bind the backend to" in first.mend[0]
    _, past = seen(80, {LOOPBACK}, ["10.0.0.6"], open_=(LOOPBACK, "10.0.0.6"))
    assert not past.is_good and "10.0.0.6:80 answers (an address of this host)" in past.what
    # At the backend's own port that address may be the guard's.
    (row,) = seen(8443, {LOOPBACK, "10.0.0.5"}, ["10.0.0.5"], open_=(LOOPBACK, "10.0.0.5"))[:1]
    assert row.is_good and asked == [(LOOPBACK, 8443)]
    first, *_ = seen(8444, {LOOPBACK, "10.0.0.5"}, ["10.0.0.5"])
    assert not first.is_good and ("10.0.0.5", 8444) in asked
    (none,) = seen(80, {LOOPBACK}, ["10.0.0.6"], open_=())
    assert not none.is_good and "there is no backend to be looked at" in none.what
    first, *_ = seen(80, set(), [])
    assert first.is_good and "addresses that the kernel does not list here" in first.what


def test_every_address_that_a_name_leads_to_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(None, None, None, "", (ip, 80)) for ip in ("10.0.0.2", "10.0.0.1", "10.0.0.2")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert hosts_of(Address(name="b.test", port=80)) == ["10.0.0.1", "10.0.0.2"]
    assert hosts_of(Address(ip="10.0.0.3", port=80)) == ["10.0.0.3"]
    assert hosts_of(Address(ip="::", port=80)) == [LOOPBACK] == hosts_of(Address(ip="0.0.0.0", port=80))
    monkeypatch.setattr(guard_looks, "answers", lambda host, *_: host == "10.0.0.2")
    rows = [*backend(Address(name="b.test", port=80), Address(ip=LOOPBACK, port=1), None)]
    assert [(it.is_good, it.what.split(":")[0]) for it in rows] == [(True, "10.0.0.1"), (False, "10.0.0.2")]
    assert "answers (from here)" in rows[1].what and "of its host" in rows[1].mend[0]
    with pytest.raises(Misuse):
        hosts_of(Address(unix="/run/app.sock"))

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(Surroundings, match=r"b\.test leads nowhere: Name or service not known"):
        hosts_of(Address(name="b.test", port=80))


def test_what_cannot_be_known_is_said() -> None:
    listen = Address(ip=LOOPBACK, port=8443)
    here, there, file = (Address(ip=LOOPBACK, port=80), Address(ip="10.0.0.9", port=80), Address(unix="/run/a"))
    assert ["firewalls decide" in "".join(unknown(it, listen)) for it in (here, there, file)] == [True, False, False]
    assert ["its programs get past the guard" in "".join(unknown(it, listen)) for it in (here, there, file)] == [
        True,
        False,
        True,
    ]
    assert ["from other places" in "".join(unknown(it, listen)) for it in (here, there, file)] == [False, True, False]
    assert all([*unknown(it, listen)][-1].startswith("whom the guard admits") for it in (here, there, file))


def test_what_is_looked_at_is_an_address_with_a_port() -> None:
    assert asked_of("127.0.0.1:80", ":8443") == (Address(ip=LOOPBACK, port=80), Address(ip="::", port=8443))
    assert asked_of("unix:/run/a", "guard.test:8443")[1] == Address(name="guard.test", port=8443)
    for to, listen, what in (
        ("nowhere", ":1", "--to"),
        ("srv:_a._tcp.b.test", ":1", "--to"),
        ("127.0.0.1:1", "8443", "--listen"),
        ("127.0.0.1:1", "unix:/run/a", "--listen"),
        ("127.0.0.1:1", "srv:_a._tcp.b.test", "--listen"),
    ):
        with pytest.raises(Misuse, match=what):
            asked_of(to, listen)


def test_one_thing_that_is_wrong_makes_the_whole_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    to, listen = Address(unix="/run/a"), Address(ip=LOOPBACK, port=1)
    for rows, code in (([True, True], 0), ([True, False], 1), ([False, True], 1), ([False, False], 1)):
        for at in (0, 1):
            seen = [[Seen(it, f"row {n}", ["mended so"] if not it else ())] for n, it in enumerate(rows)]
            monkeypatch.setattr(guard_check, "backend", lambda *_, seen=seen: seen[0])
            monkeypatch.setattr(guard_check, "guard", lambda *_, seen=seen: seen[1])
            assert guard_check.looked(to, listen, [], None, as_json=bool(at)) == code
            told = capsys.readouterr().out
            assert told.count("mended so") == rows.count(False)
            assert "whom the guard admits" in told
            if at:
                said = json.loads(told)
                assert (said["good"], [it["good"] for it in said["seen"]]) == (code == 0, rows)
            else:
                assert (told.count("good   row"), told.count("wrong  row")) == (rows.count(True), rows.count(False))


def test_who_is_not_heard_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bool:
        raise NotAsked("no way")

    monkeypatch.setattr(guard_looks, "answers", fail)
    assert not guard_check.is_there(LOOPBACK, 1, None)
    assert os.path.exists("/proc/net/tcp"), "without it nothing is known of who is bound"


def test_this_hosts_addresses_are_all_but_loopback_and_those_of_one_link_have_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [("127.0.0.1",), ("10.0.0.6", "10.0.0.5"), (("fe80::1", 5, 3), ("2001:db8::1", 5, 0), ("::1", 0, 0))]
    adapters = [SimpleNamespace(ips=[SimpleNamespace(ip=ip) for ip in ips]) for ips in found]
    monkeypatch.setattr("ifaddr.get_adapters", lambda: adapters)
    assert guard_looks.own_addresses() == ["10.0.0.5", "10.0.0.6", "2001:db8::1", "fe80::1%3"]


Act = Callable[[ssl.SSLSocket], object]


@contextlib.contextmanager
def speaking_tls(pki: Pki, act: Act, *, demands: bool = False) -> Iterator[int]:
    """A server that does so to each that comes through its handshake."""
    context = server_context(pki.backend)
    if demands:
        context.load_verify_locations(pki.internal.file)
        context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server((LOOPBACK, 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = server.accept()
                    with sock, contextlib.suppress(OSError), context.wrap_socket(sock, server_side=True) as tls:
                        act(tls)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(30)


@pytest.mark.parametrize("name", [None, "edge.internal", "spiffe://corp.example/edge"])
def test_a_refusal_is_one_of_who_came_and_for_that(name: str | None, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(act: Act, *, demands: bool = False) -> str | None:
        with speaking_tls(pki, act, demands=demands) as port:
            return why_not_refused(LOOPBACK, port, None, name)

    assert told(lambda tls: tls.recv(1), demands=True) is None, "the baseline: one that demands it"
    assert told(lambda tls: tls.sendall(b"x")) == "it was answered"
    assert told(lambda tls: tls.unwrap()) == "the connection was ended without a reason"
    monkeypatch.setattr(guard_looks, "PATIENCE_S", 0.2)
    assert told(lambda tls: tls.recv(1)) == "it was let in, and a request is waited for"
    # An alert of another meaning, and what is no TLS.
    for data, why in ((b"\x15\x03\x03\x00\x02\x02\x50", "INTERNAL_ERROR"), (b"HTTP/1.1 400 No\r\n", "WRONG_VERSION")):
        with saying(data) as port:
            assert f"it does not speak TLS with us: {why}" in (
                why_not_refused(LOOPBACK, port, None, name) or ""
            ).replace("TLSV1_ALERT_", "").replace("_NUMBER", "")
    assert "no handshake came about: Connection refused" in (why_not_refused(LOOPBACK, nobody(), None, name) or "")


def test_why_nobody_could_be_asked_is_said_where_the_system_has_no_word_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("an odd thing")

    monkeypatch.setattr(socket, "create_connection", fail)
    with pytest.raises(NotAsked, match="an odd thing"):
        answers(LOOPBACK, 1, None)
    assert "an odd thing" in (why_not_refused(LOOPBACK, 1, None, None) or "")
