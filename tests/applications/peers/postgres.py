"""psycopg, which is PostgreSQL's own libpq, and asyncpg as clients of PostgreSQL: what came of it is one line.

Run by `test_postgres.py`: the authority, the server's name, the port, the user, and how TLS begins: `asked` for in the protocol's
words, or `direct`, at once.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import sys
import threading
import time
from typing import Any

import asyncpg
import psycopg

ca, host, port, user, begins = sys.argv[1:]
system = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: system("127.0.0.1", *rest, **more)
WAITS_S = 60
"""Longer than anything takes on a busy machine."""
ROWS = 20_000


def connected(**more: Any) -> psycopg.Connection[Any]:
    said = {
        "host": host,
        "hostaddr": "127.0.0.1",
        "port": port,
        "user": user,
        "dbname": "postgres",
        "sslmode": "verify-full",
        "sslrootcert": ca,
        "sslnegotiation": {"asked": "postgres", "direct": "direct"}[begins],
        "connect_timeout": str(WAITS_S),
    }
    return psycopg.connect(autocommit=True, **{**said, **more})


def copied(it: psycopg.Connection[Any]) -> list[int]:
    """Many rows there by COPY, and back by COPY and by a cursor that fetches some at a time."""
    it.execute("create temporary table t (n int, said text)")
    with it.cursor() as cursor, cursor.copy("copy t from stdin") as copy:
        for number in range(ROWS):
            copy.write_row((number, "x" * 300))
    with it.cursor() as cursor, cursor.copy("copy t to stdout") as copy:
        back = sum(len(bytes(piece)) for piece in copy)
    with it.transaction(), it.cursor("some") as cursor:
        cursor.itersize = 1000
        cursor.execute("select n from t order by n")
        summed = sum(row[0] for row in cursor)
    return [back > ROWS * 300, summed]


def pipelined(it: psycopg.Connection[Any]) -> int:
    with it.pipeline():
        cursors = [it.execute("select %s::int", (number,)) for number in range(500)]
    return sum(cursor.fetchone()[0] for cursor in cursors)


def told_of(it: psycopg.Connection[Any]) -> str:
    """What another connection notifies of, while this one says nothing."""
    it.execute("listen news")
    with connected() as other:
        other.execute("notify news, 'heard'")
    return str(next(iter(it.notifies(timeout=WAITS_S, stop_after=1))).payload)


def cancelled(it: psycopg.Connection[Any]) -> str:
    """By a connection of its own, which libpq secures as the first one was."""
    with connected() as other:
        pid = it.info.backend_pid

        def cancel() -> None:
            running = "select 1 from pg_stat_activity where pid = %s and state = 'active' and query like '%%pg_sleep%%'"
            while not other.execute(running, (pid,)).fetchone():
                time.sleep(0.02)
            it.cancel_safe(timeout=WAITS_S)

        cancelling = threading.Thread(target=cancel)
        cancelling.start()
        try:
            it.execute("select pg_sleep(120)")
            return "it slept on"
        except psycopg.errors.QueryCanceled:
            return f"cancelled, {it.execute('select 1').fetchone()[0]}"
        finally:
            cancelling.join()


def failed(it: psycopg.Connection[Any]) -> str:
    """An error of the server comes as itself, and the connection goes on."""
    try:
        it.execute("select 1/0")
    except psycopg.errors.DivisionByZero as e:
        return e.diag.message_primary or ""
    return "no error"


async def asynchronously() -> list[Any]:
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["postgresql"])
    to: dict[str, Any] = {"host": host, "port": int(port), "user": user, "database": "postgres"}
    it = await asyncpg.connect(**to, ssl=context, direct_tls=begins == "direct", timeout=WAITS_S)
    rows = await it.fetch("select n, repeat('x', 1000) as said from generate_series(1, $1::int) n", ROWS)
    prepared = await it.prepare("select $1::bytea || $1::bytea")
    twice = await prepared.fetchval(bytes(range(256)) * 4096)
    await it.close()
    return [sum(row["n"] for row in rows), sum(len(row["said"]) for row in rows), len(twice)]


with connected() as first:
    told: dict[str, Any] = {
        "copied": copied(first),
        "pipelined": pipelined(first),
        "notified": told_of(first),
        "cancelled": cancelled(first),
        "failed": failed(first),
    }
told["asyncpg"] = asyncio.run(asynchronously())
print(json.dumps(told), flush=True)
