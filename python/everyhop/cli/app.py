"""`everyhop`: puts the commands together and turns every error into text and an exit code, never a traceback.

0 good · 1 refused or found · 2 misuse · 3 our fault · 4 the surroundings
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import signal
import sys
from typing import Annotated, NoReturn

import typer

from everyhop import __version__
from everyhop.errors import EveryhopError, Refused, Surroundings
from everyhop.garbage import stays, uncollected
from everyhop.screen import Unwritten, flushed, line, ready

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="An edge proxy that makes explicit where TLS ends. Start with: everyhop demo",
)

COMMANDS = (
    "new",
    "advise",
    "check",
    "explain",
    "diff",
    "plan",
    "schema",
    "where",
    "run",
    "guard",
    "status",
    "reload",
    "maintenance",
    "drain",
    "upgrade",
    "accept",
    "migrate",
    "password",
    "fmt",
    "demo",
    "probe",
    "waf",
    "acme",
    "ca",
)
"""In the order of the help, each a module beside this one."""


def commands(arguments: list[str]) -> None:
    """Imports the command that is asked for, or all of them where they are listed: most of a command's time is what it imports."""
    asked = arguments[0] if arguments else ""
    for name in COMMANDS:
        if asked == name or asked not in (*COMMANDS, "--version"):
            importlib.import_module(f"everyhop.cli.{name}").register(app)


def show_version(wanted: bool) -> None:
    if wanted:
        line(f"everyhop {__version__}")
        raise typer.Exit


@app.callback()
def everyhop(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """An edge proxy that makes explicit where TLS ends."""


def main() -> None:
    """The entry point."""
    ready()
    hears_of_ends()
    try:
        with uncollected():
            commands(sys.argv[1:])
        stays()
        code = app(sys.argv[1:] or ["--help"], prog_name="everyhop", standalone_mode=False)
        flushed()
    except Refused as e:
        from everyhop.cli.console import report

        report(e.findings)
        code = e.code
    except EveryhopError as e:
        told(f"everyhop: {e}", *e.more)
        code = e.code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # The reader of our output left, as `head` does. What is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as e:
        code = misuse(e)
    end(code or 0)


def hears_of_ends() -> None:
    """Whoever started us may hear of no end of a child, which is inherited: then the kernel forgets what became of ours."""
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def end(code: int) -> NoReturn:
    """Ends, without the interpreter's own tidying of all that was imported: a fifth of a short command's time."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def waiting(error: Exception) -> Unwritten | None:
    """That standard output cannot be written, where this is such an error: the help is printed past `screen.py`, and what could not be
    written of it still waits to be."""
    if isinstance(error, OSError):
        try:
            flushed()
        except Unwritten as e:
            return e
    return None


def told(*said: str) -> None:
    for text in said:
        line(text, to=sys.stderr)


def misuse(error: Exception) -> int:
    """A wrong command line is the user's, and a full disk its own; anything else is ours, and says so without a traceback."""
    shown = getattr(error, "format_message", None)
    if shown is not None:
        told(f"everyhop: {shown()}")
        return 2
    if (unwritten := error if isinstance(error, Unwritten) else waiting(error)) is not None:
        told(f"everyhop: {unwritten}")
        return Surroundings.code
    if os.environ.get("EVERYHOP_TRACEBACK"):
        raise error
    told(
        f"everyhop: our fault: {type(error).__name__}: {error}",
        "please report it; EVERYHOP_TRACEBACK=1 shows where it happened",
    )
    return 3
