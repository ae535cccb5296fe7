"""The inspector's process: found, started with policies, asked, and ended.

It closes itself before it answers the first request: no file, no connection, no program. The deadline is kept here, since a rule
that never ends cannot be stopped from within: the process is ended, and who asked starts another.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from everyhop.errors import EveryhopError, Surroundings
from everyhop.waf import frames
from everyhop.waf.frames import Policy, Request, Verdict

NAME = "everyhop-waf"
LOADED_S = 60.0
"""Loading takes a quarter of a second; a machine may be busy."""


class RulesRefused(EveryhopError):
    """Rules or exclusions that are wrong; each further line names the file and line of one."""

    code = 1

    def __init__(self, wrong: tuple[frames.Wrong, ...]) -> None:
        super().__init__("the rules cannot be used", *map(told, wrong))
        self.wrong = wrong


class NoVerdict(EveryhopError):
    """The inspector said why it has no verdict on one request; it goes on."""


class Ended(EveryhopError):
    """The inspector is gone: it died, or was ended since its answer was late."""


def found() -> Path:
    """The program: what EVERYHOP_WAF names, beside this command, on the PATH, or built in the checkout."""
    if named := os.environ.get("EVERYHOP_WAF"):
        if not os.access(named, os.X_OK):
            raise Surroundings(
                f"EVERYHOP_WAF names {named}, which is no program", "name the one that make waf builds, or leave it out"
            )
        return Path(named)
    checkout = Path(__file__).resolve().parents[3]
    places = [Path(sys.prefix) / "bin" / NAME]
    if (checkout / "waf" / "go.mod").exists():
        places.insert(0, checkout / "target" / "waf" / NAME)
    if (on_path := shutil.which(NAME)) is not None:
        places.append(Path(on_path))
    for place in places:
        if os.access(place, os.X_OK):
            return place
    raise Surroundings(
        "the inspector is not built: everyhop-waf is a program of its own, in Go",
        "in a checkout: make waf",
        "built elsewhere: put it on the PATH, or name it in EVERYHOP_WAF",
    )


class Inspector:
    """A running inspector, with its policies loaded. Leaving the `with` ends it.

    Refuses rules that are wrong with `RulesRefused`; `Surroundings` where there is no program or it cannot close itself.
    """

    def __init__(
        self,
        policies: list[Policy],
        *,
        cores: int = 1,
        memory_mb: int = 512,
        program: Path | None = None,
        user: tuple[int, int] | None = None,
        nice: int = 0,
        loaded_s: float = LOADED_S,
    ) -> None:
        """`user`: the numbers of the user and group that it becomes; `nice`: by how much others go before it; `loaded_s`: how long
        its rules may take to load."""
        ours, its = socket.socketpair()
        self.socket = ours
        with its:
            self.process = subprocess.Popen(
                [
                    str(program or found()),
                    f"-fd={its.fileno()}",
                    f"-cores={cores}",
                    f"-memory-mb={memory_mb}",
                    f"-nice={nice}",
                    *([f"-uid={user[0]}", f"-gid={user[1]}"] if user else []),
                ],
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={},
                start_new_session=True,
            )
        self.asked = 0
        try:
            self.ready = self._load(policies, time.monotonic() + loaded_s)
        except BaseException:
            self.close()
            raise

    def _load(self, policies: list[Policy], until: float) -> frames.Ready:
        self._send(frames.policies_frame(policies))
        kind, payload = self._read(until)
        if kind == frames.REFUSED:
            wrong = frames.read_refused(payload)
            raise RulesRefused(tuple(wrong))
        if kind != frames.READY:
            raise frames.Broken(f"the inspector answers policies with kind {kind}")
        return frames.read_ready(payload)

    def ask(self, request: Request, *, policy: int = 0, deadline_s: float = 10.0) -> Verdict:
        """What becomes of one request. Raises `NoVerdict` where there is none, and `Ended` where it is late or died."""
        self.asked += 1
        until = time.monotonic() + deadline_s
        self._send(frames.request_frame(self.asked, policy, request))
        kind, payload = self._read(until)
        if kind == frames.FAILED:
            number, why = frames.read_failed(payload)
            self._must_be_asked(number)
            raise NoVerdict(f"no verdict: {why}")
        if kind != frames.VERDICT:
            raise frames.Broken(f"the inspector answers a request with kind {kind}")
        number, verdict = frames.read_verdict(payload)
        self._must_be_asked(number)
        return verdict

    def _must_be_asked(self, number: int) -> None:
        if number != self.asked:
            raise frames.Broken(f"the inspector answers request {number} instead of {self.asked}")

    def _send(self, made: bytes) -> None:
        try:
            self.socket.settimeout(LOADED_S)
            self.socket.sendall(made)
        except OSError as e:
            raise self._ended(f"takes no request ({e.strerror or e})") from e

    def _read(self, until: float) -> tuple[int, bytes]:
        length, kind = frames.HEAD.unpack(self._exactly(frames.HEAD.size, until))
        if not 1 <= length <= frames.MOST_ANSWER + 1:
            raise frames.Broken(f"the inspector announces {length} bytes")
        return kind, self._exactly(length - 1, until)

    def _exactly(self, size: int, until: float) -> bytes:
        got = bytearray()
        while len(got) < size:
            left = until - time.monotonic()
            if left <= 0:
                raise self._ended("did not answer in time, and was ended")
            self.socket.settimeout(left)
            try:
                piece = self.socket.recv(size - len(got))
            except TimeoutError:
                continue
            except OSError as e:
                raise self._ended(f"broke off ({e.strerror or e})") from e
            if not piece:
                raise self._ended("ended")
            got += piece
        return bytes(got)

    def _ended(self, how: str) -> Ended:
        said = self.close()
        return Ended(f"the inspector {how}", *said.strip().splitlines()[:3])

    def close(self) -> str:
        """Ends it, and gives what it had to say."""
        self.socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.communicate(timeout=0.5)[1].decode(errors="replace")
        self.process.kill()
        return self.process.communicate()[1].decode(errors="replace")

    def __enter__(self) -> Inspector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def told(wrong: frames.Wrong) -> str:
    where = f"{wrong.file}:{wrong.line}" if wrong.file else f"policy {wrong.policy}"
    return f"{where}: {wrong.what}"
