"""A thousand open tunnels, two hundred reloads of what is not theirs: none is cut (F06).

    python -m bench.many_tunnels [TUNNELS] [RELOADS]

A third are passthrough, a third WebSockets, a third streams of gRPC; each echoes after every twentieth reload and at the end, and
where reloads take long, in between: the peers give up a connection on which nothing comes for so long.
"""

from __future__ import annotations

import queue
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from tests.kit import EdgeKit, Pki, Raw, tls
from tests.kit.grpc_peer import SERVICE, Echo
from tests.threats.test_configuration import Connected, echoing, upgrading

STREAMS = 50
"""Of one connection."""
QUIET_S = 5.0
"""The peers of the tests give up after four times as long."""
ROUTES = """\
[[route]]
name = "ws"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{ws}"]
websocket = true
[[route]]
name = "grpc"
host = "b.test"
tls = "reencrypt"
upstream_protocol = "h2"
to = ["127.0.0.1:{grpc}"]
verify = {{ ca = "{{pki}}/internal-ca.pem", name = "backend.internal" }}
[[route]]
name = "pass"
host = "pass.test"
tls = "passthrough"
to = ["127.0.0.1:{passed}"]
"""
LIMITS = "[limits]\nh2_streams = 256\nbody_progress_s = 600\nanswer_silence_s = 600\nfirst_byte_s = 600\n"


class Stream:
    """A call that stays open: what is put in comes back."""

    def __init__(self, over: Any) -> None:
        self.asks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.call = over.stream_stream(f"/{SERVICE}/Talk")(iter(self.asks.get, b""), wait_for_ready=True)

    def end(self) -> None:
        self.asks.put(b"")
        self.call.cancel()

    def lives(self) -> bool:
        self.asks.put(b"ping")
        try:
            return bool(next(self.call) == b"ping")
        except grpc.RpcError:
            return False


def main(tunnels: int, reloads: int) -> int:
    with tempfile.TemporaryDirectory(prefix="eh-tunnels-") as name:
        pki = Pki(Path(name))
        ws, passed = Raw(upgrading), Raw(echoing, pki.pass_leaf)
        server = grpc.server(ThreadPoolExecutor(tunnels), handlers=(Echo(),))
        leaf = pki.backend
        port = server.add_secure_port(
            "127.0.0.1:0", grpc.ssl_server_credentials([(leaf.key.read_bytes(), leaf.chain.read_bytes())])
        )
        server.start()
        routes = ROUTES.format(ws=ws.port, grpc=port, passed=passed.port)
        it = EdgeKit(pki, routes, threads=2, more=LIMITS, drain_s=1)
        each = tunnels // 3
        sockets = [Connected.upgraded(it, pki, f"/{i}") for i in range(each)]
        sockets += [tls(it.port, "pass.test", pki.public.file) for _ in range(each)]
        channels = [alone(it.port, "b.test", pki.public.file) for _ in range(0, tunnels - 2 * each, STREAMS)]
        streams = [Stream(channels[i // STREAMS]) for i in range(tunnels - 2 * each)]
        cut = silent(sockets, streams)
        print(f"{len(sockets) + len(streams)} open, {cut} of them cut", flush=True)
        began = heard = time.monotonic()
        for n in range(reloads):
            more = f'[[route]]\nname = "other{n}"\nhost = "c.test"\ntls = "plaintext"\nto = ["127.0.0.1:{1024 + n}"]\n'
            assert it.reload(routes + more)["reloaded"]
            if n % 20 == 19 or time.monotonic() - heard > QUIET_S:
                cut = silent(sockets, streams)
                print(f"after {n + 1} reloads, {time.monotonic() - began:.0f} s: {cut} cut", flush=True)
                heard = time.monotonic()
        gone = [line for line in it.lines() if line["end"].startswith("tunnel/")]
        print(
            f"ends by a reload in the log: {len(gone)}; engine restarts: {it.admin('status')['supervisor']['engine_restarts']}"
        )
        for stream in streams:
            stream.end()
        for over in channels:
            over.close()
        for sock in sockets:
            sock.close()
        server.stop(None).wait(10)
        it.close()
        for backend in (ws, passed):
            backend.close()
        return cut + len(gone)


def alone(port: int, name: str, ca: Path) -> Any:
    """A connection of its own: channels that are alike share one."""
    options = (
        ("grpc.ssl_target_name_override", name),
        ("grpc.default_authority", name),
        ("grpc.use_local_subchannel_pool", 1),
    )
    return grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(ca.read_bytes()), options)


def silent(sockets: list[Any], streams: list[Stream]) -> int:
    return sum(not Connected.lives(sock) for sock in sockets) + sum(not stream.lives() for stream in streams)


if __name__ == "__main__":
    numbers = [int(a) for a in sys.argv[1:]]
    sys.exit(1 if main(*(numbers + [1000, 200][len(numbers) :])) else 0)
