"""What it costs a request to be let in, beside who else asks the same of it: CPU time, in rounds that take turns.

    python -m bench.passing [--rounds N] [--scale 0.1] [--only CHECK] [--peers everyhop,nginx] [--write]

A limit by the client's address that nobody exceeds, a token (ES256) that was seen before, one that was not, and another service that is
asked about each request. Each subject is asked first whether it refuses: the fourth request of a limit of three, a token of a stranger,
for somebody else, from somebody else and of yesterday, and whom the other service denies. Everyhop takes part twice, with the check and
without. `--write` puts the figures into
`bench/results.json` and renders the page.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.cells import run
from bench.features import ask, beside_itself, masked, noisy
from bench.passing_subjects import MAKERS, origin
from bench.stage import absent, called, stop
from bench.subjects import Subject, begun_with, wait_port, which
from everyhop.demo.certificates import Authority
from tests.kit.tokens import ISSUER, Issuer

WHAT = {
    "plain": "nothing: TLS, a route, keep-alive",
    "limit": "limit by the client's address",
    "jwt": "token, ES256, seen before",
    "jwt-new": "token, ES256, never seen before",
    "ask": "another service is asked",
}
PORTS = {"jwt-new": "jwt"}
CONNECTIONS = 4
"""Of the load of tokens that are all different: it is in Python, and only the subject is measured."""


@dataclass(frozen=True)
class Ground:
    folder: Path
    issuer: Issuer

    def status(self, subject: Subject, check: str, **fields: str) -> int:
        headers = {k.replace("_", "-"): v for k, v in fields.items()}
        return ask(self.folder, subject, check, "/", headers).status

    def prove(self, subject: Subject) -> None:
        """Ends the run where it does not do what is measured."""

        def must(held: bool, what: str, seen: object) -> None:
            if not held:
                raise SystemExit(f"{subject.name} does not do it: {what}: {seen}")

        must(self.status(subject, "plain") == 200, "plain", "")
        many = [self.status(subject, "limit") for _ in range(10)]
        must(many == [200] * 10, "a limit that nobody exceeds", many)
        few = [self.status(subject, "few") for _ in range(5)]
        must(few == [200] * 3 + [429] * 2, "a limit of three", few)
        if "jwt" in subject.ports:
            day, stranger = time.time() - 86_400, Issuer()
            for token, status in (
                (self.issuer.token(), 200),
                (stranger.token(), 401),
                (self.issuer.token(iss="https://else.test"), 401),
                (self.issuer.token(exp=int(day)), 401),
            ):
                seen = self.status(subject, "jwt", authorization=f"Bearer {token}")
                must(seen == status, "tokens", (seen, status, token))
            seen = self.status(subject, "jwt", authorization=f"Bearer {self.issuer.token(aud='else')}")
            must(seen in (401, 403), "a token for somebody else", seen)
            must(self.status(subject, "jwt") == 401, "no token", "")
        if "ask" in subject.ports:
            both = self.status(subject, "ask"), self.status(subject, "ask", x_fails="1")
            must(both == (200, 403), "another service's word", both)

    def drive(self, subject: Subject, check: str, scale: float) -> int:
        """Asks; gives how often."""
        if check == "jwt-new":
            return self.each_new(subject.ports["jwt"], max(64, int(2_000 * scale)))
        count, port = max(64, int(10_000 * scale)), subject.ports[check]
        shows = ["-H", f"authorization: Bearer {self.issuer.token()}"] if check == "jwt" else []
        command = [which("h2load") or "h2load", "-n", str(count), "-t", "1", "--h1", "-c", "32", *shows]
        out = run(*command, "--connect-to", f"127.0.0.1:{port}", f"https://a.test:{port}/")
        found = re.search(r"(\d+) succeeded, (\d+) failed", out)
        if not found or int(found[1]) != count:
            raise SystemExit(f"{subject.name} failed requests of {check}:\n{out}")
        return count

    def each_new(self, port: int, count: int) -> int:
        """Each request shows a token of its own, signed for it; those of all connections are under way at once."""
        context = ssl.create_default_context(cafile=str(self.folder / "bench-ca.pem"))
        tokens = [self.issuer.token(jti=f"{time.monotonic_ns()}-{n}") for n in range(count)]
        with contextlib.ExitStack() as opened:
            socks = [
                opened.enter_context(
                    context.wrap_socket(socket.create_connection(("127.0.0.1", port), 20), server_hostname="a.test")
                )
                for _ in range(CONNECTIONS)
            ]
            for at in range(0, count, CONNECTIONS):
                now = list(zip(socks, tokens[at : at + CONNECTIONS], strict=False))
                for sock, token in now:
                    sock.sendall(f"GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
                for sock, _ in now:
                    got = b""
                    while len(got.partition(b"\r\n\r\n")[2]) < 256:
                        got += (more := sock.recv(65536))
                        if not more or not got.startswith(b"HTTP/1.1 200 "[: len(got)]):
                            raise SystemExit(f"a new token does not pass: {got[:200]!r}")
        return count

    def measure(self, subjects: list[Subject], check: str, rounds: int, scale: float) -> dict[str, list[float]]:
        """Interleaved rounds; the first warms up, and as many again follow where they differ by much."""
        costs: dict[str, list[float]] = {}
        done = 0
        able = [it for it in beside_itself(subjects) if PORTS.get(check, check) in it.ports]
        while able and (done <= rounds or (noisy(costs) and done <= 2 * rounds)):
            for subject in begun_with(able, done):
                before = subject.cpu_s()
                count = self.drive(subject, check, scale)
                if done:
                    costs.setdefault(subject.name, []).append(round((subject.cpu_s() - before) * 1e6 / count, 4))
            done += 1
        return costs


@contextlib.contextmanager
def ground(folder: Path, peers: list[str]) -> Iterator[tuple[Ground, list[Subject]]]:
    Authority(folder, "Bench CA").leaf("edge", "a.test")
    it = Ground(folder, Issuer("ES256", name=ISSUER))
    back, behind = origin(folder)
    subjects: list[Subject] = []
    try:
        for port in (back.one, back.asked):
            wait_port(port)
        for peer in peers:
            if (made := MAKERS[peer](folder, back, it.issuer)) is not None:
                subjects.append(made)
        for subject in subjects:
            for port in subject.ports.values():
                wait_port(port)
        yield it, subjects
    finally:
        for subject in subjects:
            stop(subject)
        behind.terminate()
        behind.wait(10)


def figures(rounds: int, scale: float, peers: list[str], only: str = "") -> dict[str, object]:
    """All of it, as the page takes it."""
    with tempfile.TemporaryDirectory(prefix="eh-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx reads as nobody
        with ground(folder, peers) as (it, subjects):
            for subject in subjects:
                it.prove(subject)
            rows: list[dict[str, object]] = []
            for check, title in WHAT.items():
                if only not in ("", check):
                    continue
                costs = it.measure(subjects, check, rounds, scale)
                if not costs:
                    continue
                rows.append({"key": check, "title": title, "costs": costs, "noisy": noisy(costs)})
                told = "  ".join(f"{k} {statistics.median(v):.2f}" for k, v in costs.items())
                print(f"{check:<10} us/request  {told}{'  (noisy)' * noisy(costs)}", flush=True)
            of = {s.name: {"version": s.version, "config": masked(s.config, folder)} for s in subjects}
    return {"rows": rows, "subjects": of, "absent": absent(peers, of)}


if __name__ == "__main__":
    sys.exit(called(__doc__, "passing", figures, WHAT, MAKERS))
