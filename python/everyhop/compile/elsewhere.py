"""Compiles in another process, which ends: what reads, judges and builds is half of what a supervisor would hold, and is wanted for
moments. What comes back, and what is raised, is as if it had been done here.

It is done here where another process would cost more than it spares: for a large configuration, in which the compiler's own share is
small and much would have to be brought over; and beside threads that fetch or renew something, which hold the library of cryptography
anyway, and may be importing what the other process would wait for in vain. And where the other one came to nothing, whatever that was:
nobody is refused a plan for that.

What comes from there is believed: it is this program, and has read the same files. It stays this program though another version is
installed meanwhile: `../remembered.py`. Read next: `compiler.py`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib
import io
import os
import pickle
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Collection
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from everyhop.compile.compiled import Compiled, Sealed
from everyhop.errors import EveryhopError
from everyhop.garbage import uncollected
from everyhop.remembered import Module, Remembered, imported
from everyhop.source import Texts

if TYPE_CHECKING:
    from cryptography import x509

LARGE_BYTES = 64 * 1024
"""Of text, which is some 300 routes: to bring over what comes of them takes a tenth of what compiling them does."""
PATIENCE_S = 15.0
"""For an answer: what is not large is compiled in a tenth of a second, and imported in a quarter of one."""
IMPORT_NOTHING = ("resolver-", "watchdog")
"""Beginnings of the names of threads beside which another process may begin."""


class Nothing(Exception):
    """The other process came to nothing."""


def compile_elsewhere(
    path: Path,
    *,
    past_dates: Literal["refuse", "close"],
    text: str | None = None,
    included: Texts | None = None,
    before: Compiled | None = None,
) -> Compiled:
    """As `compile_file`, which knows what was read for `before`."""

    def work() -> Compiled:
        from everyhop.compile.compiler import compile_file

        known = None if before is None else before.readings
        return compile_file(path, past_dates=past_dates, text=text, included=included, known=known)

    return work() if is_large(path, before) else worked(work, None)


def renew_elsewhere(before: Compiled, now: dt.datetime | None = None) -> Compiled:
    """As `renewed`: what is as it was is the very same."""

    def work() -> Compiled:
        from everyhop.compile.compiler import renewed

        return renewed(before, now)

    return work() if is_large(before.path, before) else worked(work, before)


def is_large(path: Path, before: Compiled | None) -> bool:
    known = 0 if before is None else len(before.text) + sum(map(len, before.document.included.values()))
    try:
        return max(known, path.stat().st_size) > LARGE_BYTES
    except OSError:
        return False  # whoever reads it says why that cannot be


def worked(work: Callable[[], Compiled], before: Compiled | None) -> Compiled:
    if not is_alone():
        return work()
    known = None if remembered() is not None else {*sys.modules}
    try:
        with uncollected():
            given, modules = in_another(lambda: (apart_from(work(), before), imports(known)))
    except Nothing:
        return work()
    if known is not None:
        sys.meta_path.insert(0, Remembered(modules))
    return Compiled(**given) if before is None else replace(before, **given)


def is_alone() -> bool:
    """Whether no other thread may be importing what another process would wait for."""
    others = [it for it in threading.enumerate() if it is not threading.main_thread()]
    return all(it.name.startswith(IMPORT_NOTHING) for it in others)


def apart_from(it: Compiled, before: Compiled | None) -> dict[str, object]:
    """What is another thing than it was."""
    each = {one.name: getattr(it, one.name) for one in fields(it)}
    changed = {name: value for name, value in each.items() if before is None or value is not getattr(before, name)}
    return {**changed, "held": Sealed(packed(it.readings))}


# What it imports.


def remembered() -> Remembered | None:
    return next((it for it in sys.meta_path if isinstance(it, Remembered)), None)


def imports(known: Collection[str] | None) -> list[Module]:
    """What compiling imported beside what is known, and what judges lists that are fetched; nothing where that is remembered."""
    if known is None:
        return []
    importlib.import_module("everyhop.identity.published")
    return imported(known)


# The other process.


def in_another(work: Callable[[], object]) -> Any:
    """What `work` gives there; an error for people that it raises there is raised here.

    Raises `Nothing` where it came to neither. The process is gone then, and in any case.
    """
    with contextlib.ExitStack() as ends:
        try:
            reads, writes = os.pipe()
            ends.callback(os.close, reads)
            with os.fdopen(writes, "wb", buffering=0) as tells:
                if (pid := forked()) == 0:
                    be(work, tells)
        except OSError as e:
            raise Nothing(str(e)) from e
        ends.callback(os.waitpid, pid, 0)
        ends.callback(os.kill, pid, signal.SIGKILL)
        error, given = heard(reads)
    if error is not None:
        raise error
    return given


def forked() -> int:
    with warnings.catch_warnings():
        # Later versions of Python warn of what other threads may hold: see `is_alone`.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def heard(reads: int) -> tuple[EveryhopError | None, object]:
    until_s, pieces = time.monotonic() + PATIENCE_S, list[bytes]()
    while True:
        if not select.select([reads], [], [], max(until_s - time.monotonic(), 0.0))[0]:
            raise Nothing("it did not answer")
        if not (piece := os.read(reads, 1 << 20)):
            break
        pieces.append(piece)
    try:
        error, given = pickle.loads(b"".join(pieces))
    except Exception as e:
        raise Nothing(f"it ended before its answer did, or that is none: {e}") from e
    return error, given


def be(work: Callable[[], object], tells: io.FileIO) -> NoReturn:
    """What is an error of ours is not told: who hears nothing does it again, and meets it there."""
    try:
        # Ctrl-C reaches all of a terminal, and whoever waits for us decides what becomes of it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        close_all_but({0, 1, 2, tells.fileno(), *(remembered() or Remembered([])).files.values()})
        answer: tuple[EveryhopError | None, object]
        try:
            answer = (None, work())
        except EveryhopError as e:
            answer = (e, None)
        left = memoryview(packed(answer))
        while left:
            left = left[tells.write(left) or 0 :]
    finally:
        os._exit(0)


def close_all_but(kept: set[int]) -> None:
    """A socket that its owner closes is not held open by us."""
    for fd in {int(it.name) for it in Path("/proc/self/fd").iterdir()} - kept:
        with contextlib.suppress(OSError):
            os.close(fd)


def packed(it: object) -> bytes:
    """As `pickle.dumps`, of what holds certificates and their lists too."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    class Packer(pickle.Pickler):
        def reducer_override(self, obj: object) -> Any:
            if isinstance(obj, x509.Certificate):
                return certificate, (obj.public_bytes(Encoding.DER),)
            if isinstance(obj, x509.CertificateRevocationList):
                return revocation_list, (obj.public_bytes(Encoding.DER),)
            return NotImplemented

    Packer(out := io.BytesIO(), pickle.HIGHEST_PROTOCOL).dump(it)
    return out.getvalue()


def certificate(der: bytes) -> x509.Certificate:
    from cryptography import x509

    return x509.load_der_x509_certificate(der)


def revocation_list(der: bytes) -> x509.CertificateRevocationList:
    from cryptography import x509

    return x509.load_der_x509_crl(der)
