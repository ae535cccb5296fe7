"""The last act: the backend that knows no TLS is guarded, and its route becomes mutual while it serves. Read next: `acts.py`."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from everyhop.demo.client import fetch, hop, tapped, title
from everyhop.demo.relay import Relay
from everyhop.demo.stage import Edge, Stage, free_port
from everyhop.errors import EveryhopError
from everyhop.migrate import Asked, Migration
from everyhop.screen import line

WATCH_S = 1.0
FILES = {"cert": "guard.pem", "key": "guard.key", "ca": "internal-ca.pem"}
"""Of the guard's, in the folder of certificates."""


def fifth(stage: Stage) -> None:
    title("Act 5: the legacy box becomes mutual in one command")
    wiki = stage.backends["wiki"]
    port = stage.others.enter_context(guard(stage, wiki.port))
    tap = stage.others.enter_context(contextlib.closing(Relay(("127.0.0.1", port))))
    line("that is a guard beside the plaintext backend: the same program, which lets in the edge and nobody else")
    line(f"everyhop migrate wiki --ca certificates/internal-ca.pem --name wiki.internal --to-port {tap.port} --apply")
    with traffic(stage) as answers:
        asked = Asked(ca="certificates/internal-ca.pem", name="wiki.internal", to_port=tap.port)
        done = Migration(stage.config, "wiki", asked, lambda text: line(f"  {text.replace(f'{stage.folder}/', '')}"))
        if not done.go_on(WATCH_S)["done"]:
            raise EveryhopError("the route did not become mutual")
    lost = [it for it in answers if it != 200]
    line(f"traffic went on: {len(answers)} request(s) meanwhile, {len(lost)} lost")
    if lost:
        raise EveryhopError(f"requests were lost on the way: {lost}")
    tap.clear()
    status, body = fetch(stage, "wiki")
    seen: Any = stage.observation("wiki")
    if status != 200 or seen["backend_hop"]["tls"] != "mutual" or "acceptance" in stage.config.read_text():
        raise EveryhopError(f"the hop is not what the file says: {status}, {seen['backend_hop']}")
    names = ", ".join(seen["backend_hop"]["peer"]["names"])
    line(f"  backend hop  {hop(seen['backend_hop'])}; backend to edge ({names}), and it {knows(seen)}")
    line(f"  a tap read   {tapped(bytes(tap.sent))}")
    line(f"  the backend  is as it was and knows of none of this; it answered: {body.splitlines()[0]}")


def knows(seen: dict[str, Any]) -> str:
    return "asked who we are" if seen["backend_hop"]["identity"] == "demanded" else "asked nobody"


class Guard(Edge):
    """`everyhop guard`, beside the backend: it lets in the edge and nobody else."""

    def begun(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "everyhop", "guard", *arguments]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@contextlib.contextmanager
def guard(stage: Stage, backend: int) -> Iterator[int]:
    """Runs until the stage closes; gives its port."""
    port, state = free_port(), stage.folder / "guard"
    given = ("--listen", f"127.0.0.1:{port}", "--to", f"127.0.0.1:{backend}", "--admit", "spiffe://demo.test/edge")
    files = [(f"--{name}", f"certificates/{file}") for name, file in FILES.items()]
    line(f"everyhop guard {' '.join((*given, *(text for it in files for text in it)))}")
    paths = [text for name, file in files for text in (name, str(stage.folder / file))]
    it = Guard(state / "guard.toml", arguments=(*given, *paths, "--state", str(state)))
    try:
        it.wait_for("ready:")
        yield port
    finally:
        it.stop()


@contextlib.contextmanager
def traffic(stage: Stage) -> Iterator[list[int]]:
    """Requests for the route one after the other; gives what they are answered, or 0."""
    answers: list[int] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                answers.append(fetch(stage, "wiki")[0])
            except (EveryhopError, OSError):
                answers.append(0)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join(30)
