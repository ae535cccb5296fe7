"""The supervisor's loop: who waits to be heard, signals, what has to be looked after, and systemd's watchdog.

It is the one place where an error of ours becomes a line and everything goes on: what goes wrong in one turn costs that
one step. It never decides what to do; `supervisor.py` tells it.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from everyhop.admin.telling import say
from everyhop.admin.watchdog import Watchdog
from everyhop.engine.frames import Lost
from everyhop.errors import EveryhopError

TICK_S = 0.25
AGAIN_S = 60.0
"""The same trouble is told again after this."""
REQUESTS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""By default each of these would end the process; whoever sends one means something else."""
ENDS = (signal.SIGTERM, signal.SIGINT)


class Loop:
    """One thread's turns, until `stopping`."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.wanted: set[signal.Signals] = set()
        self.stopping = False
        self.told: dict[str, tuple[str, float]] = {}
        self.watchdog = Watchdog()
        self.lasting: set[str] = set()
        """What is looked after again and again: trouble with it lasts until it goes well."""

    def note_requests(self) -> None:
        """What is asked for while a start is under way is done after it."""
        self.catch(REQUESTS)

    def catch(self, numbers: Iterable[signal.Signals]) -> None:
        for number in numbers:
            signal.signal(number, lambda n, _: self.wanted.add(signal.Signals(n)))

    def catch_signals(self) -> None:
        reading, self.wakeup = socket.socketpair()
        self.wakeup.setblocking(False)
        reading.setblocking(False)
        self.selector.register(reading, selectors.EVENT_READ, lambda: reading.recv(64))
        signal.set_wakeup_fd(self.wakeup.fileno(), warn_on_full_buffer=False)
        self.catch((*REQUESTS, *ENDS))
        # It does nothing but write to `wakeup`: an engine that ended is looked after at once.
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def wake(self) -> None:
        """From another thread: there is something to look at."""
        with contextlib.suppress(OSError):
            self.wakeup.send(b"\0")

    def run(
        self,
        obey: Callable[[signal.Signals], object],
        looks: Mapping[str, Callable[[], object]],
        patience: Callable[[], float],
    ) -> None:
        """`looks` are what a quarter of a second may have brought, each by the name of its trouble."""
        self.watchdog.starts()
        while not self.stopping:
            self.turn(obey, looks, patience())

    def turn(
        self, obey: Callable[[signal.Signals], object], looks: Mapping[str, Callable[[], object]], patience_s: float
    ) -> None:
        fine = self.hear(patience_s)
        while self.wanted:
            number = self.wanted.pop()
            self.told.pop(number.name, None)  # who sends it again is told again
            fine &= self.tried(number.name, partial(obey, number))
        self.lasting.update(looks)
        for name, look in looks.items():
            if not self.stopping:
                fine &= self.tried(name, look)
        self.watchdog.turn()
        if not fine:
            # What fails at once may fail for ever: it must not take the whole machine.
            time.sleep(TICK_S / 5)

    def hear(self, patience_s: float) -> bool:
        """Those who wait to be heard, and nothing else; true if all went well."""
        heard = [self.tried("somebody who asks", key.data) for key, _ in self.selector.select(patience_s)]
        return all(heard)

    def tried(self, name: str, step: Callable[[], object]) -> bool:
        """Does it; true if it went well."""
        try:
            step()
        except Lost as e:
            # It went between two questions; the next look sees to that.
            self.tell(name, f"the engine does not answer: {e}")
        except EveryhopError as e:
            self.tell(name, f"{name}: {e}; everything else goes on")
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as e:
            # Not `Exception`: a panic of a library's Rust is none, and ends no more than any other error of ours.
            self.tell(name, f"{name}: our fault: {type(e).__name__}: {e}; everything else goes on")
        else:
            self.told.pop(name, None)
            return True
        return False

    def failing(self) -> dict[str, str]:
        """What is looked after and does not go well, and why."""
        return {name: text for name, (text, _) in self.told.items() if name in self.lasting}

    def tell(self, name: str, text: str) -> None:
        now = time.monotonic()
        before, at = self.told.get(name, ("", now))
        if before != text or now - at >= AGAIN_S:
            self.told[name] = (text, now)
            say(text)
