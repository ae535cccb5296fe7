"""What runs in a nursery: imports what `everyhop run` does, or what all commands do, builds what models judge by, and forks a process for each
question. Read first: `nursery.py`."""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import random
import signal
import socket
import sys

from pydantic import BaseModel

MOST_BYTES = 1 << 18
"""Of one question, which carries the environment."""


def tell(status: int, number: int) -> None:
    os.write(status, b"%11d" % number)


def mind(status: int, streams: list[int]) -> None:
    """Returns in the process that was asked for; the minder ends here."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if (pid := os.fork()) == 0:
        return
    # Whoever reads what it says must see its end.
    for fd in streams:
        os.close(fd)
    tell(status, pid)
    # What is meant for all of a terminal is not meant for who waits for the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, how = os.waitpid(pid, 0)
    tell(status, os.waitstatus_to_exitcode(how))
    os._exit(0)


def serve(door: socket.socket) -> None:
    """Returns in each process that is born, and there alone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        asked, fds, _, _ = socket.recv_fds(door, MOST_BYTES, 4)
        if not asked:
            os._exit(0)
        status, *streams = fds
        if os.fork() == 0:
            door.close()
            mind(status, streams)
            os.close(status)
            return be(json.loads(asked), streams)
        for fd in fds:
            os.close(fd)


def be(asked: dict[str, object], streams: list[int]) -> None:
    """Becomes the process that was asked for: nothing of the nursery's own is left but what it imported."""
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
        os.close(fd)
    # Other kinds of files than the nursery's: what the streams know of them would be wrong.
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    os.chdir(str(asked["folder"]))
    os.environ.clear()
    os.environ.update(asked["environment"])  # type: ignore[call-overload]
    random.seed()
    sys.argv = ["everyhop", *asked["words"]]  # type: ignore[misc]


def imported(what: str) -> None:
    """`run`: what an edge has, and what it compiles by in another process. `all`: what any command has."""
    import everyhop.admin.supervisor
    import everyhop.cli.run
    import everyhop.compile.compiler
    import everyhop.identity.published

    if what == "all":
        for it in pkgutil.walk_packages(everyhop.__path__, "everyhop."):
            if not it.name.endswith(".__main__"):
                importlib.import_module(it.name)


def built(of: type[BaseModel] = BaseModel) -> None:
    """Models build what they judge by when they are first asked to, which takes ten times as long as judging."""
    for it in of.__subclasses__():
        it.model_rebuild(raise_errors=False)
        built(it)


if __name__ == "__main__":
    imported(sys.argv[2])
    built()
    from everyhop.cli.app import main

    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
    main()
