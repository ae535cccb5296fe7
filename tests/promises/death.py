"""Promises about ends: of the engine, of the supervisor, of both, and of all in order (3, 4, 5, 14)."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from everyhop.demo.stage import Edge
from tests.kit import Pki
from tests.kit.clients import opened
from tests.kit.edge import until
from tests.promises.clients import Load, answer, connect, get, h2, h2_steps, passing_steps, upgraded
from tests.promises.outcome import Outcome, Scale
from tests.promises.yard import HOSTS, Yard, yard
from tests.threats.frames import ACK, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, Client, fields, frame

GREATEST = 0x7FFFFFFF


def held_back(it: Yard, pattern: str = "plaintext") -> threading.Thread:
    """A request whose answer waits behind the backend's gate; `result` tells what came."""

    class Waiting(threading.Thread):
        result: tuple[int, bytes, bytes] | Exception | None = None

        def run(self) -> None:
            try:
                with connect(it, pattern) as sock:
                    sock.sendall(f"GET /slow HTTP/1.1\r\nHost: {HOSTS[pattern]}\r\nX-Id: slow\r\n\r\n".encode())
                    self.result = answer(sock)
            except (OSError, ValueError) as e:
                self.result = e

    thread = Waiting(daemon=True)
    before = it.backends[pattern].waiting
    thread.start()
    until(lambda: it.backends[pattern].waiting > before or None, 30)
    return thread


def result(thread: threading.Thread) -> object:
    thread.join(30)
    found = getattr(thread, "result", None)
    return found[0] if isinstance(found, tuple) else found


def gate(it: Yard, *, is_open: bool) -> None:
    for backend in it.backends.values():
        backend.gate.set() if is_open else backend.gate.clear()


class Handed(Edge):
    """An edge whose socket comes from whoever starts it, as from systemd (sd_listen_fds(3)), and stays with them."""

    def __init__(self, config: Path, listening: socket.socket) -> None:
        self.config = config
        run = f'exec env LISTEN_PID=$$ LISTEN_FDS=1 "{sys.executable}" -m everyhop run --config "{config}"'

        def third() -> None:
            os.dup2(listening.fileno(), 3, inheritable=True)

        self.process = subprocess.Popen(
            ["sh", "-c", run],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[3],
            preexec_fn=third,
        )
        self.said = []
        self.heard = threading.Condition()
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()


def refused_connects(port: int, stop: threading.Event) -> Iterator[str]:
    """Connects again and again; each that is refused is told."""
    while not stop.is_set():
        with socket.socket() as sock:
            sock.settimeout(10)
            try:
                sock.connect(("127.0.0.1", port))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            except OSError as e:
                yield f"{type(e).__name__} {e}"
        stop.wait(0.005)


@contextlib.contextmanager
def knocking(port: int) -> Iterator[list[str]]:
    stop, refused = threading.Event(), list[str]()
    thread = threading.Thread(target=lambda: refused.extend(refused_connects(port, stop)), daemon=True)
    thread.start()
    try:
        yield refused
    finally:
        stop.set()
        thread.join(20)


def adopt(it: Yard, under: Sequence[str] = ()) -> None:
    """The supervisor is killed and another takes over."""
    it.edge.edge.process.kill()
    it.edge.edge.process.wait(10)
    it.edge.edge = Edge(it.edge.config, under=under)
    it.edge.edge.wait_for("adopted the engine with pid", 30)
    it.edge.edge.wait_for("ready:", 30)


def restart_hands_over(pki: Pki, scale: Scale) -> Outcome:
    """Supervisors are replaced, engines are replaced, and at last everything, with the socket kept by who started it."""
    out = Outcome(3, "a restart hands over")
    supervisors, engines, wholes = (5, 5, 3) if scale.whole else (1, 1, 1)
    with yard(pki) as it:
        gate(it, is_open=False)
        slow = held_back(it)
        with knocking(it.port) as refused, Load(it) as load:
            for _ in range(supervisors):
                adopt(it)
            gate(it, is_open=True)
            status = result(slow)
        out.must(f"requests lost over {supervisors} supervisors", load.errors[:3] or 0, "0", not load.errors)
        out.must("the request that waited through them", status, "200", status == 200)
        with knocking(it.port) as also:
            for _ in range(engines):
                pid = it.pid()
                os.kill(pid, signal.SIGKILL)
                until(lambda pid=pid: (serves(it) and it.pid() != pid) or None, 30)  # type: ignore[misc]
        out.must("connects refused meanwhile", (refused + also)[:3] or 0, "0", not refused + also)
    wholly_replaced(pki, out, wholes)
    return out


def wholly_replaced(pki: Pki, out: Outcome, wholes: int) -> None:
    with yard(pki) as it:
        # The yard's own edge makes room for one whose socket is ours.
        it.edge.edge.stop()
        listening = socket.create_server(("127.0.0.1", it.port), backlog=1024)
        edge = it.edge.edge = Handed(it.edge.config, listening)
        edge.wait_for("ready:", 30)
        statuses, served, codes = [], 0, []
        with knocking(it.port) as refused:
            for _ in range(wholes):
                gate(it, is_open=False)
                slow = held_back(it)
                edge.process.terminate()
                edge.wait_for("draining", 30)
                # These come as the one stops accepting: what it does not take waits for the next.
                early = [knock(it.port) for _ in range(20)]
                gate(it, is_open=True)
                statuses.append(result(slow))
                codes.append(edge.process.wait(30))
                edge = it.edge.edge = Handed(it.edge.config, listening)
                edge.wait_for("ready:", 30)
                for sock in early:
                    served += b"400 Bad Request" in all_of(sock)
        listening.close()
        out.must(f"requests in flight over {wholes} whole restarts", statuses, "200", statuses == [200] * wholes)
        out.must("connects refused meanwhile", refused[:3] or 0, "0", not refused)
        out.must("who came in between was served", served, str(20 * wholes), served == 20 * wholes)
        out.must("exit codes", codes, "0", codes == [0] * wholes)


def knock(port: int) -> socket.socket:
    """Plain HTTP on the TLS port: its answer needs no handshake and no thread of ours."""
    sock = opened(socket.create_connection(("127.0.0.1", port), 30))
    sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
    return sock


def all_of(sock: socket.socket) -> bytes:
    with sock:
        got = b""
        with contextlib.suppress(OSError):
            while data := sock.recv(4096):
                got += data
        return got


def serves(it: Yard) -> bool:
    """Whether a new connection gets its answer. It waits in the queue of a dead engine as long as it must."""
    try:
        with connect(it) as sock:
            return get(sock, HOSTS["plaintext"])[0] == 200
    except OSError:
        return False


def kill_the_engine(pki: Pki, scale: Scale) -> Outcome:
    out = Outcome(4, "kill -9 of the engine")
    deaths = 50 if scale.whole else 4
    took: list[float] = []
    lost: list[str] = []
    tries = 0
    with yard(pki) as it:
        assert serves(it), "the baseline"
        digest = it.edge.status()["plan_digest"]
        for _ in range(deaths):
            pid = it.pid()
            os.kill(pid, signal.SIGKILL)
            began = time.monotonic()
            # From the kill on: what is new is served, though it may have to wait.
            while True:
                tries += 1
                if serves(it):
                    break
                # A handshake that the dying one had taken: its own in-flight loss, once at most.
                lost.append(f"after {time.monotonic() - began:.2f} s")
                if time.monotonic() - began > 60:
                    break
            took.append(time.monotonic() - began)
            until(lambda pid=pid: it.pid() != pid or None, 30)  # type: ignore[misc]
        same = it.edge.status()["plan_digest"] == digest
        restarts = int(it.edge.admin("status")["supervisor"]["engine_restarts"])
    worst = max(took)
    out.must(f"engines started after {deaths} deaths", restarts, str(deaths), restarts == deaths)
    out.must("new connections lost", len(lost), "0", not lost)
    out.must("the plan afterwards", "the same" if same else "another", "the same", same)
    out.timed(scale, "served again after, worst", f"{worst:.2f} s", "1 s", worst <= 1)
    out.notes.append(f"median {sorted(took)[len(took) // 2]:.2f} s, {tries} connections")
    return out


def nobody_supervises(pki: Pki, scale: Scale) -> Outcome:
    out = Outcome(5, "the supervisor is dead")
    rounds = 5 if scale.whole else 1
    with yard(pki) as it:
        pid = it.pid()
        digest = it.edge.status()["plan_digest"]
        with Load(it) as load:
            for _ in range(rounds):
                it.edge.edge.process.kill()
                it.edge.edge.process.wait(10)
                alone = [serves(it) for _ in range(20)]
                out.must("served without it", sum(alone), "20", all(alone))
                # Broken while nobody looked: the next one takes over what runs all the same.
                text = it.edge.config.read_text()
                it.edge.config.write_text(text + "\n[[route\n")
                it.edge.edge = Edge(it.edge.config)
                it.edge.edge.wait_for("adopted the engine with pid", 30)
                it.edge.edge.wait_for("ready:", 30)
                it.edge.config.write_text(text)
        out.must("requests lost", load.errors[:3] or 0, "0", not load.errors)
        out.must("the engine", "the same" if it.pid() == pid else "another", "the same", it.pid() == pid)
        for broken in (False, True):
            text = it.edge.config.read_text()
            it.edge.edge.process.kill()
            it.edge.edge.process.wait(10)
            os.kill(pid, signal.SIGKILL)
            it.edge.config.write_text(text + ("nonsense = [" if broken else ""))
            it.edge.edge = Edge(it.edge.config)
            it.edge.edge.wait_for("ready:", 30)
            it.edge.config.write_text(text)
            pid = it.pid()
            back = it.edge.status()["plan_digest"] == digest and serves(it)
            what = "both dead, the file broken" if broken else "both dead"
            out.must(f"{what}: the last good plan", "came back" if back else "did not", "came back", back)
        # In order, nothing is kept: whoever starts it by hand is told of their file.
        it.edge.edge.stop()
        it.edge.config.write_text(it.edge.config.read_text() + "nonsense = [")
        refused = it.edge.cli("run", "--config", str(it.edge.config))
        it.edge.config.write_text(text)
        out.must("a broken file after an orderly end", refused.returncode, "1, refused", refused.returncode == 1)
    return out


def shutdown(pki: Pki, scale: Scale) -> Outcome:
    out = Outcome(14, "shutdown")
    for _ in range(3 if scale.whole else 1):
        in_order(pki, out)
        at_the_deadline(pki, out)
    return out


def goaways(client: Client) -> list[int]:
    """The last-stream-ids of its GOAWAYs until the connection ends. A PING between them asks whether the first has come."""
    found = []
    for kind, flags, _, body in client.read():
        if kind == GOAWAY:
            found.append(int.from_bytes(body[:4], "big") & GREATEST)
        elif kind == PING and not flags & ACK:
            client.send(frame(PING, body, flags=ACK))
    return found


def in_order(pki: Pki, out: Outcome) -> None:
    with yard(pki, drain_s=30) as it:
        gate(it, is_open=False)
        waiting = [held_back(it, p) for p in ("plaintext", "mutual", "passthrough")]
        asked, idle = h2(it), h2(it)
        h2_ask(asked, 1, "/slow")
        until(lambda: it.backends["plaintext"].waiting >= 2 or None, 30)
        assert idle.ask(1, fields("a.test", path=b"/")) == "200"
        still = connect(it)
        assert get(still, "a.test")[0] == 200
        it.edge.edge.process.terminate()
        it.edge.edge.wait_for("draining", 30)
        still_end = still.recv(1)
        last = goaways(idle)
        out.must("GOAWAY of an idle connection", last, f"[{GREATEST}, 1]", last == [GREATEST, 1])
        first = until(lambda: next((b for k, _, _, b in asked.read() if k == GOAWAY), None), 20)
        # Sent before the client can have seen the GOAWAY: the first step promised to take it.
        h2_ask(asked, 3, "/slow")
        refused = until(lambda: refuses(it.port) or None, 20)
        gate(it, is_open=True)
        rest = goaways(asked)
        found = [int.from_bytes(first[:4], "big") & GREATEST, *rest]
        answers = {s: asked.statuses.get(s) for s in (1, 3)}
        whole = found[0] == GREATEST and found[-1] in {1, 3}
        out.must("GOAWAY of one with requests under way", found, f"{GREATEST}, then what was taken", whole)
        out.must("its request in flight", answers[1], "200", answers[1] == "200")
        taken = (answers[3] == "200") == (found[-1] >= 3)
        out.must("one behind the first GOAWAY", f"{answers[3]}, last {found[-1]}", "answered or not taken", taken)
        results = [result(w) for w in waiting]
        out.must("HTTP/1.1 and passthrough in flight", results, "200 each", results == [200] * 3)
        closing = [b"\r\nconnection: close" in w.result[2].lower() for w in waiting[:2]]  # type: ignore[attr-defined]
        out.must("Connection: close on the last answer", closing, "True each", all(closing))
        out.must("an idle HTTP/1.1 connection", "ended" if still_end == b"" else "goes on", "ended", still_end == b"")
        out.must("a new connection", "refused" if refused else "taken", "refused", bool(refused))
        code = it.edge.edge.process.wait(40)
        out.must("exit code", code, "0", code == 0)
        still.close()


def h2_ask(client: Client, stream: int, path: str) -> None:
    block = fields("a.test", (b"x-id", b"h2"), path=path.encode())
    client.send(frame(HEADERS, block, flags=END_HEADERS | END_STREAM, stream=stream))


def refuses(port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(10)
        return sock.connect_ex(("127.0.0.1", port)) != 0


def at_the_deadline(pki: Pki, out: Outcome) -> None:
    """What does not end in time is cut, and the log says so."""
    with yard(pki, drain_s=2) as it:
        gate(it, is_open=False)
        slow, tunnel, passed = held_back(it), upgraded(it), connect(it, "passthrough")
        assert get(passed, "pass.test")[0] == 200
        began = time.monotonic()
        it.edge.edge.process.terminate()
        code = it.edge.edge.process.wait(40)
        took = time.monotonic() - began
        out.must("exit code at the deadline", code, "0", code == 0)
        out.must("not before the deadline, which is 2 s", f"{took:.1f} s", "at least 1.9 s", took >= 1.9)
        out.must("drained by the deadline", f"{took:.1f} s", "well below 30 s", took < 20)
        lost = result(slow)
        out.must("the request that took longer", lost, "503", lost == 503)
        ends = sorted(str(line["end"]) for line in it.edge.lines() if line["end"] != "done")
        out.must("the log's ends at the deadline", ends, "three drained", ends == ["connection/draining"] * 3)
        gate(it, is_open=True)
        tunnel.close()
        passed.close()


__all__ = ["h2_steps", "kill_the_engine", "nobody_supervises", "passing_steps", "restart_hands_over", "shutdown"]
