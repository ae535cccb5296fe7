"""Promise 19: a day on which one thing after another breaks, under traffic of every kind. Clients lose nothing, but what
the engine that is killed had in its hands; `status` names each cause as it comes, and no longer once it is mended."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from everyhop.demo.certificates import Authority, Leaf, put
from tests.kit import Pki
from tests.kit.edge import until
from tests.kit.raw import server_context
from tests.promises.backend import Counting
from tests.promises.clients import MIX, Kind, Load, Step, connect, get
from tests.promises.death import adopt
from tests.promises.outcome import Outcome, Scale
from tests.promises.yard import HOSTS, Yard, yard

NAME = "day.test"
EXTRA = """
[[route]]
name = "pair"
host = "a.test"
path = "/pair"
tls = "reencrypt"
to = ["127.0.0.1:{one}", "127.0.0.1:{two}"]
verify = {{ ca = "{{pki}}/internal-ca.pem", name = "backend.internal" }}
[[route]]
name = "named"
host = "b.test"
path = "/named"
tls = "reencrypt"
to = ["{name}:{one}"]
verify = {{ ca = "{{pki}}/internal-ca.pem", name = "backend.internal" }}
"""
LIMITS = "[limits]\neject_s = 1\nupstream_idle_s = 1\n"
TOLD_S = 1.0
"""From the breaking to the word of it."""
MOST_S = 20.0


def at(path: str, pattern: str) -> Callable[[Yard, str], Step]:
    """A connection a request, to that path."""

    def steps(it: Yard, _: str) -> Step:
        def step() -> None:
            with connect(it, pattern) as sock:
                status, body = get(sock, HOSTS[pattern], path=path, close=True)
                if status != 200 or not body.startswith(b"ok"):
                    raise ValueError(f"{path}: {status} {body[:120]!r}")

        return step

    return steps


PAIR: Kind = ("pair", at("/pair", "plaintext"), "plaintext")
NAMED: Kind = ("named", at("/named", "reencrypt"), "reencrypt")


def names_of_our_own(folder: Path) -> list[str]:
    """What to run the edge under, so that its names are those of a file of ours; nothing where that is not allowed."""
    own = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    if subprocess.run([*own, "true"], check=False, capture_output=True).returncode != 0:
        return []
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n127.0.0.1 {NAME}\n")
    return [*own, "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "x"]


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A file system of some pages, where we may have one. Mounted before the edge has its own view of what is mounted."""
    full = folder / "full"
    full.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=777", "day", str(full)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        yield None
        return
    try:
        yield full
    finally:
        subprocess.run(["umount", "-l", str(full)], check=True)


def a_broken_day(pki: Pki, scale: Scale) -> Outcome:
    """`pki` belongs to other tests as well; what is broken here is our own."""
    out = Outcome(19, "a broken day")
    folder = Path(tempfile.mkdtemp(prefix="eh-day-"))
    folder.chmod(0o755)
    mine = Pki(folder)
    one, two = Counting(mine.backend, name="-one"), Counting(mine.backend, name="-two")
    under = names_of_our_own(folder)
    extra = EXTRA.format(one=one.port, two=two.port, name=NAME if under else "localhost")
    try:
        with small_disk(folder) as full, yard(mine, extra=extra, more=LIMITS, under=under) as it:
            Day(it, out, scale, folder, under).whole(two, mine, full)
    finally:
        one.close()
        two.close()
        shutil.rmtree(folder, ignore_errors=True)
    return out


def stranger(pki: Pki) -> Leaf:
    """The right name, by an authority that nobody here believes."""
    return Authority(pki.folder, "Nobody CA").leaf("stranger", "backend.internal")


class Day:
    """One edge from the first break to the last mend."""

    def __init__(self, it: Yard, out: Outcome, scale: Scale, folder: Path, under: Sequence[str]) -> None:
        self.it, self.out, self.scale, self.folder, self.under = it, out, scale, folder, under
        self.logs = folder / "log"
        self.logs.mkdir()
        self.logs.chmod(0o777)
        self.text = it.edge.config.read_text().replace(str(it.edge.log), str(self.logs / "access.log"))
        self.late: dict[str, float] = {}
        self.killed: list[tuple[float, float]] = []

    def whole(self, two: Counting, pki: Pki, full: Path | None) -> None:
        it, out = self.it, self.out
        it.edge.log = self.logs / "access.log"
        self.reload(self.text)
        with Load(it, again=True, mix=[*MIX, PAIR, NAMED]) as load:
            until(lambda: len(load.done) == len({(k, p) for k, _, p in load.mix}) or None, 60)
            out.must("wrong at the beginning", self.troubles() or "nothing", "nothing", not self.troubles())
            self.the_log_folder_is_gone()
            self.the_disk_is_full(full)
            if self.under:
                self.a_name_is_gone()
            self.a_renewal_fails(pki)
            self.a_reload_is_refused()
            self.an_impostor_in_the_pool(two, pki.backend, pki.other)
            self.an_impostor_in_the_pool(two, pki.backend, stranger(pki))
            self.the_admin_socket_is_gone()
            self.the_supervisor_is_killed()
            self.signals_that_nobody_meant()
            self.the_engine_is_killed()
            done = load.done.total()
            until(lambda: load.done.total() > done + 50 or None, 60)
            rest = [t for t in self.troubles() if t["kind"] != "engine-restarted"]
            out.must("wrong at the end, but that an engine died", rest or "nothing", "nothing", not rest)
        self.judge(load)

    def judge(self, load: Load) -> None:
        lost = [e for at, e in zip(load.failed_at, load.errors, strict=True) if not self.was_killed(at)]
        in_hand = [e for at, e in zip(load.failed_at, load.errors, strict=True) if self.was_killed(at)]
        out = self.out
        out.must(f"lost of {load.done.total()} steps of {len(load.mix)} clients", lost[:4] or 0, "0", not lost)
        most = len(load.mix) * len(self.killed)
        figure = f"{len(in_hand)} {in_hand[:3] if len(in_hand) > most else ''}"
        out.must("lost with the engine that was killed", figure, f"{most}: one a client", len(in_hand) <= most)
        worst = max(self.late, key=lambda k: self.late[k])
        figure = f"{self.late[worst]:.2f} s ({worst})"
        out.timed(self.scale, "named after, worst", figure, f"{TOLD_S} s", self.late[worst] <= TOLD_S)

    # What is said.

    def troubles(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.it.edge.admin("status")["supervisor"]["troubles"]
        return found

    @contextlib.contextmanager
    def named(self, kind: str, about: str = "") -> Iterator[None]:
        """What is broken when this begins is named soon, and no longer soon after what is in it has mended it."""
        began = time.monotonic()
        told = until(lambda: self.told(kind, about), MOST_S, lambda: f"{kind} {about} in {self.troubles()}")
        self.late[kind] = time.monotonic() - began
        self.out.must(f"{kind}: named", f"{told['about']} {told['why']}".strip()[:90] or "yes", "yes", True)
        yield
        began = time.monotonic()
        until(lambda: self.told(kind, about) is None or None, MOST_S, lambda: f"{kind} still in {self.troubles()}")
        self.late[f"{kind} mended"] = time.monotonic() - began
        self.out.must(f"{kind}: mended", "named no longer", "named no longer", True)

    def told(self, kind: str, about: str) -> dict[str, Any] | None:
        return next((t for t in self.troubles() if t["kind"] == kind and about in f"{t['about']} {t['why']}"), None)

    def reload(self, text: str, *, taken: bool = True) -> None:
        self.it.edge.config.write_text(text)
        assert self.it.edge.admin("reload")["reloaded"] == taken

    def signal(self, number: signal.Signals, word: str) -> None:
        edge = self.it.edge.edge
        mark = len(edge.said)
        edge.process.send_signal(number)
        edge.wait_for(word, 30, after=mark)

    # What breaks.

    def the_log_folder_is_gone(self) -> None:
        away = self.logs.with_name("log.away")
        self.logs.rename(away)
        self.signal(signal.SIGUSR1, "cannot write the access log")
        with self.named("log-not-opened", str(self.logs)):
            shown = self.it.edge.cli("status", "--config", str(self.it.edge.config), "--json")
            said = json.loads(shown.stdout)["supervisor"]["troubles"]
            self.out.must(
                "status --json", [t["kind"] for t in said], "names it", self.told("log-not-opened", "") in said
            )
            away.rename(self.logs)
            self.signal(signal.SIGUSR1, "access log reopened")

    def the_disk_is_full(self, small: Path | None) -> None:
        """A small disk fills up and gets room again; a device that is always full stands for it where there is none."""
        log = small / "access.log" if small else Path("/dev/full")
        self.reload(self.text.replace(str(self.logs / "access.log"), str(log)))
        with self.named("log-broken"):
            if small:
                # Room that lasts for longer than it takes to look: this load writes 64 KiB in a moment.
                subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
            else:
                self.reload(self.text)
        self.reload(self.text)

    def a_name_is_gone(self) -> None:
        """Names are asked for now and then, and at once where a reload brings another."""
        hosts = self.folder / "hosts"
        text = hosts.read_text()
        other = '\n[[route]]\nname = "other"\nhost = "a.test"\npath = "/{n}"\ntls = "reencrypt"\nto = ["localhost:1"]\n'
        verify = f'verify = {{ ca = "{self.folder}/internal-ca.pem", name = "backend.internal" }}\n'
        hosts.write_text("127.0.0.1 localhost\n")
        self.reload(self.text + other.format(n="one") + verify)
        with self.named("name-unresolved", NAME):
            hosts.write_text(text)
            self.reload(self.text)

    def a_renewal_fails(self, pki: Pki) -> None:
        chain = pki.folder / "edge.pem"
        good = chain.read_bytes()
        put(chain, pki.client.chain.read_bytes(), 0o644)
        with self.named("renewal-refused", "edge.pem"):
            put(chain, good, 0o644)

    def a_reload_is_refused(self) -> None:
        self.it.edge.config.write_text(self.text + "nonsense = [")
        self.signal(signal.SIGHUP, "reload refused")
        with self.named("reload-refused", "everyhop.toml"):
            self.it.edge.config.write_text(self.text)
            self.signal(signal.SIGHUP, "reloaded")

    def an_impostor_in_the_pool(self, two: Counting, right: Leaf, wrong: Leaf) -> None:
        """Its place was taken by another server: no request reaches it, the other one of the pool serves all."""
        two.fall()
        two.context = server_context(wrong)
        reached = two.total
        two.rise()
        with self.named("impostor", f"127.0.0.1:{two.port}"):
            self.out.must("requests that reached it", two.total - reached, "0", two.total == reached)
            two.fall()
            two.context = server_context(right)
            two.rise()
        until(lambda: two.total > reached or None, 60)

    def the_admin_socket_is_gone(self) -> None:
        edge = self.it.edge
        mark = len(edge.edge.said)
        (edge.folder / "admin.sock").unlink()
        edge.edge.wait_for("was gone and is back", 30, after=mark)
        self.out.must("an admin socket that was taken away", "is back", "is back", not self.troubles())

    def the_supervisor_is_killed(self) -> None:
        pid = self.it.pid()
        adopt(self.it, self.under)
        same = self.it.pid() == pid
        self.out.must("the engine after its supervisor was killed", "the same" if same else "another", "the same", same)

    def signals_that_nobody_meant(self) -> None:
        pid = self.it.pid()
        os.kill(pid, signal.SIGUSR2)
        for number, word in ((signal.SIGHUP, "reloaded"), (signal.SIGUSR1, "log reopened")):
            os.kill(pid, number)
            self.signal(number, word)
        same = self.it.pid() == pid
        self.out.must("the engine after signals to both", "the same" if same else "another", "the same", same)

    def the_engine_is_killed(self) -> None:
        for _ in range(5 if self.scale.whole else 1):
            pid, began = self.it.pid(), time.monotonic()
            os.kill(pid, signal.SIGKILL)
            until(lambda: self.told("engine-restarted", ""), MOST_S)
            self.late["engine-restarted"] = time.monotonic() - began
            until(lambda pid=pid: self.it.pid() != pid or None, MOST_S)  # type: ignore[misc]
            done = connect(self.it)
            served = get(done, "a.test")[0]
            done.close()
            self.killed.append((began, time.monotonic()))
            self.out.must("served again", served, "200", served == 200)

    def was_killed(self, at: float) -> bool:
        """A client may notice a moment after the next one serves."""
        return any(begin <= at <= end + 1.0 for begin, end in self.killed)
