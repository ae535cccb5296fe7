"""The acts. Every line that is printed was observed: by the edge, by the relay in the backend hop, or by the client."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from everyhop.admin import Client
from everyhop.demo.client import fetch, hop, issued_to, reload, tapped, title
from everyhop.demo.migrated import fifth
from everyhop.demo.stage import DOMAIN, NAMES, Stage
from everyhop.errors import EveryhopError
from everyhop.screen import line

# By the pattern that was observed, as `check` draws it.
MAPS = {
    "passthrough": "client =TLS==(edge)==TLS= backend",
    "mutual": "client =TLS= edge =TLS= backend, both sides proven",
    "reencrypt": "client =TLS= edge =TLS= backend",
    "plaintext": "client =TLS= edge -!plaintext!- backend",
}


def play(*, once: bool, port: int) -> int:
    """Runs the acts; stays up unless `once`. Gives the exit code."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="everyhop-demo-") as folder:
        stage = Stage(Path(folder), port)
        try:
            stage.open()
            line(
                f"edge, four backends and a tap in front of each: up after {time.monotonic() - began:.1f} s, all on this machine"
            )
            first(stage)
            second(stage)
            third(stage)
            fourth(stage)
            fifth(stage)
            line()
            line("all five acts are over; nothing above was staged: it was measured")
            if not once:
                stay(stage)
        except KeyboardInterrupt:
            line()
        finally:
            stage.close()
    return 0


def first(stage: Stage) -> None:
    title("Act 1: one port, four answers to 'where does TLS end?'")
    for route, pattern in NAMES.items():
        relay = stage.relays[route]
        relay.clear()
        status, body = fetch(stage, route)
        if status != 200:
            raise EveryhopError(f"route {route!r} answered {status}: {body}")
        seen: Any = stage.observation(route)
        whose, _ = issued_to(stage, f"{route}.{DOMAIN}")
        line()
        line(f'{route}  tls = "{pattern}"  TLS ended at {"the backend" if pattern == "passthrough" else "the edge"}')
        line(f"  map          {MAPS[seen['pattern']]}")
        line(f"  client hop   {hop(seen['client_hop'])}")
        line(f"  backend hop  {behind(seen)}")
        line(f"  proven       {proven(pattern, seen, body)}")
        line(f"  client saw   {whose} certificate")
        line(f"  a tap read   {tapped(bytes(relay.sent))}")


def behind(seen: dict[str, Any]) -> str:
    it = seen["backend_hop"]
    if it["tls"] == "passthrough":
        return "the same session: the edge holds no key to it"
    if it["tls"] == "plaintext":
        return "no TLS"
    return hop(it)


def proven(pattern: str, seen: dict[str, Any], body: str) -> str:
    caller = body.partition("caller proved to be: ")[2].partition("\n")[0]
    if pattern == "passthrough":
        return f"backend to client; to the backend: {caller}"
    if pattern == "plaintext":
        return "edge to client; behind it nobody to nobody"
    names = ", ".join(seen["backend_hop"]["peer"]["names"])
    back = f"edge to backend ({caller})" if pattern == "mutual" else "the edge shows nothing"
    return f"backend to edge ({names}); {back}"


def second(stage: Stage) -> None:
    title("Act 2: someone inside calls the backends directly and forges X-Forwarded-For")
    forged = "GET /admin HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", stage.backends["wiki"].port), 10) as raw:
        raw.sendall(forged.encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b"")).decode()
    believed = answer.partition("x-forwarded-for says: ")[2].partition("\n")[0]
    line(f"plaintext  answered {answer.split()[1]} and believes that the client is {believed}")
    unverified = ssl.create_default_context(cafile=str(stage.certificates / "internal-ca.pem"))
    try:
        with (
            socket.create_connection(("127.0.0.1", stage.backends["api"].port), 10) as raw,
            unverified.wrap_socket(raw, server_hostname="api.internal") as tls,
        ):
            tls.sendall(forged.encode())
            tls.recv(1)
            raise EveryhopError("the mutual backend answered a caller that proved nothing")
    except (ssl.SSLError, ConnectionError) as e:
        reason = getattr(e, "reason", None) or type(e).__name__
        line(f"mutual     refused the caller in the handshake: {str(reason).lower().replace('_', ' ')}")


def third(stage: Stage) -> None:
    title("Act 3: the acceptance of the plaintext route ends while it runs")
    ends = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=3)).replace(microsecond=0)
    stage.write(ends)
    reload(stage)
    line(f"acceptance ends at {ends:%H:%M:%S} UTC; asking every route until then")
    deadline = time.monotonic() + 20
    while (answer := fetch(stage, "wiki"))[0] == 200:
        if time.monotonic() > deadline:
            raise EveryhopError("the acceptance ended and the route is still open")
        threading.Event().wait(0.2)
    said = next((line for line in answer[1].splitlines() if line.startswith("reason")), "").strip()
    line(f"wiki  {answer[0]}  {said}")
    for route in ("pay", "api", "shop"):
        line(f"{route.ljust(4)}  {fetch(stage, route)[0]}")
    stage.write(dt.datetime.now(dt.UTC).date() + dt.timedelta(days=90))
    reload(stage)
    line(f"someone accepts it again: wiki  {fetch(stage, 'wiki')[0]}")


def fourth(stage: Stage) -> None:
    title("Act 4: a broken file changes nothing")
    before = digest(stage)
    broken = '\n[[route]]\nname = "oops"\nhost = "wiki.demo.test"\npath = "/old"\ntls  = "plaintext"\nto   = ["10.0.4.7:8080"]\n'
    stage.write(dt.datetime.now(dt.UTC).date() + dt.timedelta(days=90), broken)
    assert stage.edge is not None
    mark = len(stage.edge.said)
    answer = Client(str(stage.config)).ask("reload")
    if answer.get("reloaded"):
        raise EveryhopError("the broken file was taken")
    stage.edge.wait_for("keeps running", after=mark)
    for said in stage.edge.said[mark:]:
        line(said.replace(str(stage.folder) + "/", ""))
    after = digest(stage)
    line(f"plan before {before[:16]}, plan after {after[:16]}: {'unchanged' if before == after else 'CHANGED'}")
    if before != after:
        raise EveryhopError("a refused reload changed the plan")
    stage.write(dt.datetime.now(dt.UTC).date() + dt.timedelta(days=90))


def digest(stage: Stage) -> str:
    engine = Client(str(stage.config)).ask("status")["engine"]
    assert isinstance(engine, dict)
    return str(engine["plan_digest"])


def stay(stage: Stage) -> None:
    title("Yours to play with; Ctrl-C ends it")
    for route in NAMES:
        name = f"{route}.{DOMAIN}"
        line(
            f"curl --cacert {stage.certificates}/public-ca.pem --resolve {name}:{stage.port}:127.0.0.1 https://{name}:{stage.port}/"
        )
    line(f"everyhop status --config {stage.config}")
    line(f"less {stage.config}", flush=True)
    assert stage.edge is not None
    stage.edge.process.wait()
