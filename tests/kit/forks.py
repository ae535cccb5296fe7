"""What runs in the nursery: imports what `everyhop run` does, and forks an edge for each question. Read first: `nursery.py`."""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import socket
import sys

MOST_BYTES = 1 << 18
"""Of one question, which carries the environment."""


def tell(status: int, number: int) -> None:
    os.write(status, b"%11d" % number)


def mind(status: int, says: int) -> None:
    """Returns in the edge; the minder ends here."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if (pid := os.fork()) == 0:
        return
    # Whoever reads what the edge says must see its end.
    os.close(says)
    tell(status, pid)
    # What is meant for all of a terminal is not meant for who waits for the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, how = os.waitpid(pid, 0)
    tell(status, os.waitstatus_to_exitcode(how))
    os._exit(0)


def serve(door: socket.socket) -> None:
    """Returns in each edge that is born, and there alone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        asked, fds, _, _ = socket.recv_fds(door, MOST_BYTES, 2)
        if not asked:
            os._exit(0)
        status, says = fds
        if os.fork() == 0:
            door.close()
            mind(status, says)
            os.close(status)
            return be(json.loads(asked), says)
        os.close(status)
        os.close(says)


def be(asked: dict[str, object], says: int) -> None:
    """Becomes the process that was asked for: nothing of the nursery's own is left but what it imported."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.dup2(says, 2)
    for fd in (nothing, says):
        os.close(fd)
    # Another kind of file than the nursery's: what the streams know of it would be wrong.
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    os.chdir(str(asked["folder"]))
    os.environ.clear()
    os.environ.update(asked["environment"])  # type: ignore[call-overload]
    random.seed()
    sys.argv = ["everyhop", *asked["words"]]  # type: ignore[misc]


if __name__ == "__main__":
    import everyhop.admin.supervisor
    import everyhop.cli.run  # noqa: F401
    from everyhop.cli.app import main

    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
    main()
