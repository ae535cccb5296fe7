"""The processes, closed: judged from outside by what the kernel shows of them, and by what it refuses them at work."""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from everyhop.demo.stage import Edge
from everyhop.errors import Surroundings
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.process import ROOT, as_user, children, is_readable, limit, open_files, tasks
from tests.kit.raw import OK, Script, answering, head

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

GET = "GET / HTTP/1.1\r\nHost: {}\r\n\r\n"
UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "everyhop.service"
NOBODY = pwd.getpwnam("nobody")
UID, GID = (NOBODY.pw_uid, NOBODY.pw_gid) if ROOT else (os.geteuid(), os.getegid())
NO_CAPABILITY = "0" * 16
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapAmb")

# linux/capability.h: DAC_OVERRIDE, DAC_READ_SEARCH, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE.
OF_SUPERVISOR = sum(1 << n for n in (1, 2, 5, 6, 7, 8, 10))

ROUTES = """
[[route]]
name = "plaintext"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{plaintext}"]
[[route]]
name = "mutual"
host = "b.test"
tls = "mutual"
to = ["localhost:{mutual}"]
verify = {{ ca = "{{pki}}/internal-ca.pem", name = "backend.internal" }}
present = "edge"
[[route]]
name = "passthrough"
host = "pass.test"
tls = "passthrough"
to = ["127.0.0.1:{passthrough}"]
"""
BIG = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000


def big_or_socket(sock: object, record: bytearray) -> None:
    """A WebSocket where one is asked for, else much at once."""
    assert hasattr(sock, "sendall")
    while (request := head(sock, record)) is not None:  # type: ignore[arg-type]
        if b"\r\nupgrade: websocket\r\n" in request.lower():
            key = re.findall(rb"(?i)\r\nsec-websocket-key: (\S+)\r\n", request)[0]
            sock.sendall(switching(key) + b"hi")
        else:
            sock.sendall(BIG)


def switching(key: bytes) -> bytes:
    import base64
    import hashlib

    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept
        + b"\r\n\r\n"
    )


@pytest.fixture
def routes(raw: Raws, pki: Pki) -> Iterator[str]:
    script: Script = big_or_socket
    yield ROUTES.format(
        plaintext=raw(script).port,
        mutual=raw(answering(OK), pki.backend, clients=pki.internal.file).port,
        passthrough=raw(script, pki.pass_leaf).port,
    )


def every_kind_of_traffic(it: EdgeKit, pki: Pki) -> None:
    """Each pattern, both protocols, bulk both spliced and copied, a tunnel, a hello that is refused, TLS of both versions."""
    for host, length in (("a.test", len(BIG) - BIG.index(b"x")), ("b.test", 2), ("pass.test", 3_000_000)):
        with tls(it.port, host, pki.public.file) as sock:
            assert len(exchange(sock, GET.format(host)).body) == length
    command = ["curl", "-sS", "--http2", "--cacert", str(pki.public.file), "--max-time", "60", "-o", "/dev/null"]
    command += ["-w", "%{http_version} %{http_code}"]
    for host in ("a.test", "b.test"):
        here = ["--resolve", f"{host}:{it.port}:127.0.0.1", f"https://{host}:{it.port}/"]
        done = subprocess.run([*command, *here], capture_output=True, text=True, timeout=90, check=False)
        assert done.stdout == "2 200", done
    with tls(it.port, "a.test", pki.public.file) as sock:
        ask = GET.format("a.test").removesuffix("\r\n").encode() + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        sock.sendall(ask + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        got = b""
        while not got.endswith(b"\r\n\r\nhi"):
            got += (more := sock.recv(4096))
            assert more, got
    with pytest.raises(OSError):
        tls(it.port, "nowhere.test", pki.public.file)


def engine_of(it: EdgeKit) -> int:
    """The engine's process: the supervisor's child, named for ps and top."""
    (pid,) = children(it.edge.process.pid)
    assert Path(f"/proc/{pid}/comm").read_text() == "everyhop-engine\n"
    return pid


def judge_engine(pid: int) -> None:
    threads = tasks(pid)
    assert len(threads) >= 3
    for one in threads:
        assert set(one["Uid"].split()) == {str(UID)} and set(one["Gid"].split()) == {str(GID)}, one
        assert one["Groups"] == "" or not ROOT, one
        assert (one["NoNewPrivs"], one["Seccomp"]) == ("1", "2"), one
        assert {one[name] for name in CAPABILITIES} == {NO_CAPABILITY}, one
        assert one["CapBnd"] == NO_CAPABILITY or not ROOT, one
    assert limit(pid, "Max core file size") == ("0", "0")


def test_every_thread_of_the_engine_has_given_up_what_it_never_needs(edge: Edges, routes: str, pki: Pki) -> None:
    it = edge(routes, threads=2)
    own_filters = int(tasks(os.getpid())[0]["Seccomp_filters"])
    pid = engine_of(it)
    judge_engine(pid)
    assert {int(one["Seccomp_filters"]) for one in tasks(pid)} == {own_filters + 2}
    every_kind_of_traffic(it, pki)
    judge_engine(pid)
    told = it.status()["sandbox"]
    assert told == {"uid": UID, "no_new_privs": True, "seccomp": True, "landlock": told["landlock"]}


def test_an_engine_that_came_back_is_as_closed_as_the_first(edge: Edges, routes: str, pki: Pki) -> None:
    it = edge(routes)
    first = engine_of(it)
    os.kill(first, signal.SIGKILL)
    it.edge.wait_for("the engine is back", 30)
    assert engine_of(it) != first
    judge_engine(engine_of(it))
    every_kind_of_traffic(it, pki)


def test_without_the_sandbox_the_same_looks_show_an_open_process(edge: Edges, routes: str) -> None:
    """The baseline of the tests above: what they see is the sandbox's doing."""
    it = edge(routes, engine='sandbox = "off"')
    own_filters = tasks(os.getpid())[0]["Seccomp_filters"]
    assert {one["Seccomp_filters"] for one in tasks(engine_of(it))} == {own_filters}
    assert it.status()["sandbox"] is None


def test_no_other_process_of_their_user_reads_the_memory_of_either(edge: Edges, routes: str) -> None:
    """K03 for what has the keys now: the supervisor, which reads them, and the engine, which uses them."""
    it = edge(routes)
    for pid, uid in ((it.edge.process.pid, os.geteuid()), (engine_of(it), UID)):
        with subprocess.Popen([*as_user(uid), "sleep", "60"]) as plain:
            until(lambda plain=plain: Path(f"/proc/{plain.pid}/comm").read_text() == "sleep\n")  # type: ignore[misc]
            assert is_readable(plain.pid, uid), "the baseline: another process of this user is"
            plain.kill()
        assert not is_readable(pid, uid)


@pytest.mark.skipif(not ROOT, reason="descriptors of a process that is closed are for root's eyes")
def test_the_engine_has_no_file_open_but_its_log(edge: Edges, routes: str, pki: Pki) -> None:
    it = edge(routes, threads=2)
    pid = engine_of(it)
    expected = re.compile(
        r"/dev/null|(socket|pipe):\[\d+\]|anon_inode:\[(eventpoll|eventfd|timerfd)\]|"
        + re.escape(str(it.folder / "access.log"))
    )
    for _ in range(2):
        strange = [target for target in open_files(pid) if not expected.fullmatch(target)]
        assert strange == []
        every_kind_of_traffic(it, pki)
        assert it.reload(routes)["reloaded"]
    assert open_files(pid).count(str(it.folder / "access.log")) == 1


def test_every_thread_of_the_supervisor_has_given_up_what_it_does_not_need_again(edge: Edges, routes: str) -> None:
    """A backend's name is looked up on a thread of its own, which must not have begun before."""
    it = edge(routes)
    pid = it.edge.process.pid
    mine = tasks(os.getpid())[0]
    threads = tasks(pid)
    assert len(threads) == 2
    for one in threads:
        assert one["NoNewPrivs"] == "1", one
        assert int(one["CapInh"], 16) == int(one["CapAmb"], 16) == 0, one
        for name in ("CapBnd", "CapPrm", "CapEff"):
            kept = int(mine[name], 16) & OF_SUPERVISOR if ROOT or name != "CapBnd" else int(mine[name], 16)
            assert int(one[name], 16) == kept, (name, one)
    assert limit(pid, "Max core file size") == ("0", "0")


@dataclass(frozen=True)
class Trace:
    """What both processes asked of the kernel, from the first call to the last, line by line."""

    supervisor: int
    engine: int
    text: str


@pytest.fixture(scope="module")
def trace(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trace]:
    """Every kind of traffic, a reload, a log that is opened anew and a drain, under strace."""
    into = tmp_path_factory.mktemp("strace") / "trace"
    peers = [
        Raw(big_or_socket),
        Raw(answering(OK), pki.backend, clients=pki.internal.file),
        Raw(big_or_socket, pki.pass_leaf),
    ]
    routes = ROUTES.format(plaintext=peers[0].port, mutual=peers[1].port, passthrough=peers[2].port)
    it = EdgeKit(pki, routes, threads=2)
    assert it.edge.stop() == 0
    it.edge = Edge(it.config, under=["strace", "-D", "-f", "-q", "-s", "0", "-o", str(into)])
    it.edge.wait_for("ready:", 60)
    supervisor, engine = it.edge.process.pid, engine_of(it)
    every_kind_of_traffic(it, pki)
    assert it.reload(routes + "# another\n")["reloaded"]
    it.edge.process.send_signal(signal.SIGUSR1)
    it.edge.wait_for("access log reopened", 30)
    every_kind_of_traffic(it, pki)
    it.close()
    for peer in peers:
        peer.close()
    until(lambda: re.search(rf"^{supervisor} +\+\+\+ exited with 0", into.read_text(), re.M), 60)
    yield Trace(supervisor, engine, into.read_text())


IN_VAIN = re.compile(r'"/sys/devices/system/node/node\d+", R_OK\) += -1 EPERM')
"""The allocator counts the nodes of memory once; refused, it takes one, as where there is one."""

CALL = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(?:\(| resumed>)(.*)$", re.M)


def test_nothing_that_the_engine_needs_is_refused_to_it(trace: Trace) -> None:
    """No system call ends in EPERM or EACCES, once the engine is closed."""
    entered = re.search(rf"^{trace.engine} +seccomp\(", trace.text, re.M)
    assert entered is not None, "the trace shows the engine's start"
    calls = CALL.findall(trace.text[entered.start() :])
    assert {name for _, name, _ in calls} >= {"accept4", "recvfrom", "sendto", "splice", "connect", "epoll_wait"}
    refused = [one for one in calls if re.search(r"= -1 (EPERM|EACCES)\b", one[2]) and not IN_VAIN.match(one[2])]
    assert refused == []


def allowed_by_unit() -> set[str]:
    """The system calls that the systemd unit's lines leave, in their order."""

    def expanded(name: str) -> set[str]:
        if not name.startswith("@"):
            return {name}
        told = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
        names = [line.strip() for line in told.stdout.splitlines()[1:]]
        return set().union(*(expanded(one) for one in names if one and not one.startswith("#")))

    # What systemd allows whatever is listed (systemd.exec(5)).
    found = expanded("@default")
    for line in re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(encoding="utf-8"), re.M):
        named = set().union(*(expanded(one) for one in line.removeprefix("~").split()))
        found = found - named if line.startswith("~") else found | named
    return found


# As root alone, which the unit's user is not.
OF_ROOT = {"setresuid", "setresgid", "setgroups"}


def test_the_systemd_unit_admits_every_call_that_either_process_makes(trace: Trace) -> None:
    used = {name for _, name, _ in CALL.findall(trace.text)}
    assert used >= {"capset", "seccomp", "landlock_create_ruleset", "landlock_restrict_self", "memfd_create"}
    allowed = allowed_by_unit()
    assert len(allowed) > 100 and "reboot" not in allowed and "bpf" not in allowed
    assert used - allowed - OF_ROOT == set()


# A filter of five instructions: landlock_create_ruleset(2), number 444 on every architecture, answers ENOSYS.
WITHOUT_LANDLOCK = """
import ctypes, os, struct, sys
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x50000 | 38), (0x06, 0, 0, 0x7fff0000)]
raw = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in code))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(len(code), ctypes.addressof(raw)))) == 0, ctypes.get_errno()
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_enforce_starts_where_the_kernel_grants_all_and_refuses_where_it_lacks_landlock(
    edge: Edges, routes: str, pki: Pki
) -> None:
    it = edge(routes, engine='sandbox = "enforce"')
    assert it.status()["sandbox"]["landlock"] in {"full", "partial"}
    every_kind_of_traffic(it, pki)
    assert it.edge.stop() == 0
    lacking = [sys.executable, "-c", WITHOUT_LANDLOCK]
    it.edge = Edge(it.config, under=lacking)
    with pytest.raises(Surroundings) as told:
        it.edge.wait_for("ready:", 60)
    assert "the sandbox is not whole" in str(told.value) and 'landlock: "none"' in str(told.value)
    assert it.edge.process.wait(30) == 4
    it.parts["engine"] = 'sandbox = "best-effort"'
    it.write(routes)
    it.edge = Edge(it.config, under=lacking)
    it.edge.wait_for("ready:", 60)
    assert it.status()["sandbox"]["landlock"] == "none" and it.status()["sandbox"]["seccomp"]
    every_kind_of_traffic(it, pki)
