"""The files that `advise` and `new` write, whole, and what is advised where bytes are carried unread.

`written.txt` was read by a person; a change of it is to be read again: `EVERYHOP_WRITE_SAID=1 pytest tests/unit/advise`, then
`git diff`.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

from everyhop.advise import Requirements, Service, advise, configuration
from everyhop.advise.spoken import PROTOCOLS
from everyhop.advise.starting import starting
from everyhop.model.words import Pattern

FILE = Path(__file__).with_name("written.txt")
ASKS = {"backend_tls": "yes", "backend_asks": "yes"}
SHOWS = {"backend_tls": "yes", "backend_asks": "no"}
HERE = {"backend_tls": "no", "backend_asks": "no", "same_host": "yes"}
BLIND: dict[str, Any] = {"needs": frozenset({"blind-proxy"})}
PATTERNS: tuple[Pattern, ...] = ("mutual", "reencrypt", "plaintext", "passthrough")


def service(name: str, protocol: str, to: str = "10.0.0.1:1", **answers: Any) -> Service:
    requirements = Requirements(**{"protocol": protocol, **answers})
    return Service(name=name, host=f"{name}.test", to=(to,), requirements=requirements)


def configured(*services: Service) -> str:
    return configuration([(it, advise(it.requirements)) for it in services])


def files() -> dict[str, str]:
    out = {}
    for it in PROTOCOLS:
        out[it] = configured(service("x", it, **ASKS))
        if it in {"tcp", "postgres"}:
            out[f"{it}, beside http"] = configured(service("w", "http", **ASKS), service("x", it, **SHOWS))
    out["postgres, on this host"] = configured(service("x", "postgres", "127.0.0.1:5432", **HERE))
    out["postgres, passed through"] = configured(service("x", "postgres", **BLIND))
    out["smtp and imap"] = configured(service("x", "smtp", **ASKS), service("y", "imap", **ASKS))
    out["two of smtp"] = configured(service("x", "smtp", **ASKS), service("y", "smtp", **SHOWS))
    for tls, host, to in itertools.product(
        PATTERNS, ("shop.example.com", "*.example.com"), (("10.0.0.5:1",), ("b.internal:1", "c.internal:2"))
    ):
        out[f"to start from: {tls}, {host}, {', '.join(to)}"] = starting(host, to, tls)
    out["to start from: mutual, a name and an address"] = starting("a.test", ("b.internal:1", "10.0.0.5:1"), "mutual")
    out["to start from: mutual, a text that is no address"] = starting("a.test", ("b",), "mutual")
    return out


def advised() -> str:
    """What an unread protocol can be given, by which pattern, or why not."""
    rows = []
    needs = ("request-log", "tcp-metrics", "proxy-protocol", "blind-proxy", "client-certificate-at-edge")
    for need in (*needs, "encrypted-to-backend"):
        for answers in (ASKS, SHOWS, HERE):
            it = advise(Requirements(**{"protocol": "postgres", "needs": frozenset({need}), **answers}))  # type: ignore[arg-type]
            said = f"{it.pattern}; {'; '.join((*it.forced_by, *it.duties))}"
            if it.pattern is None:
                said = "; ".join(
                    f"{' and '.join(c.between)}: {c.because}; {', or '.join(c.ways_out)}" for c in it.conflicts
                )
            rows.append(f"{need}, {', '.join(f'{k} {v}' for k, v in answers.items())}: {said}")
    return "\n".join(rows) + "\n"


def test_what_is_written_and_advised_is_what_was_read() -> None:
    text = "".join(f"### {name}\n{found}\n" for name, found in {**files(), "advised of postgres": advised()}.items())
    if os.environ.get("EVERYHOP_WRITE_SAID"):
        FILE.write_text(text)
    assert text == FILE.read_text()
