"""A client that opens tunnels over HTTP/2 by an extended CONNECT (RFC 8441), several on one connection; by the `h2` library.
Read next: `h2_backend.py`, the same of a backend."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.settings

from tests.kit.clients import tls

ENABLE = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL
Pair = tuple[bytes, bytes]
ASKED: list[Pair] = [(b"sec-websocket-version", b"13"), (b"sec-websocket-protocol", b"chat")]


@dataclass
class Stream:
    """What came of one stream. `ended` is `end`, or the code of a reset."""

    number: int
    fields: dict[bytes, bytes] = field(default_factory=dict)
    data: bytes = b""
    trailers: dict[bytes, bytes] = field(default_factory=dict)
    ended: str | int | None = None

    @property
    def status(self) -> int:
        return int(self.fields[b":status"])


class Client:
    def __init__(self, port: int, ca: Path, name: str = "a.test") -> None:
        self.name = name
        self.sock: ssl.SSLSocket = tls(port, name, ca, alpn=["h2"])
        self.sock.settimeout(20)
        # What is malformed is sent on purpose.
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
            )
        )
        self.h2.initiate_connection()
        self.flush()
        self.streams: dict[int, Stream] = {}
        self.offers: bool | None = None
        self.gone = False
        self.settled()

    def settled(self) -> None:
        """Until the server's settings are known."""
        while self.offers is None:
            self.take()

    def flush(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    def take(self) -> None:
        """Reads once; raises where the connection ended."""
        some = self.sock.recv(65_536)
        if not some:
            raise ConnectionError("ended")
        for event in self.h2.receive_data(some):
            self.note(event)
        self.flush()

    def note(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RemoteSettingsChanged):
            changed = event.changed_settings.get(ENABLE)
            self.offers = bool(self.offers) if changed is None else changed.new_value == 1
        elif isinstance(event, h2.events.ResponseReceived):
            self.streams[event.stream_id].fields = dict(event.headers)
        elif isinstance(event, h2.events.TrailersReceived):
            self.streams[event.stream_id].trailers = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.streams[event.stream_id].data += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.streams[event.stream_id].ended = "end"
        elif isinstance(event, h2.events.StreamReset):
            it = self.streams[event.stream_id]
            # Behind its end a server may say that it needs no more (RFC 9113 §8.1).
            it.ended = int(event.error_code) if it.ended is None else it.ended
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.gone = True

    def ask(self, fields: list[Pair], *, last: bool = False) -> Stream:
        number = self.h2.get_next_available_stream_id()
        self.streams[number] = it = Stream(number)
        self.h2.send_headers(number, fields, end_stream=last)
        self.flush()
        return it

    def get(self, path: bytes = b"/") -> Stream:
        named = self.name.encode()
        it = self.ask(
            [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", named), (b":path", path)], last=True
        )
        return self.until(it, lambda: it.ended is not None)

    def connect(
        self, path: bytes = b"/ws", *more: Pair, protocol: bytes = b"websocket", without: bytes = b""
    ) -> Stream:
        """Until it is answered, or reset. `without`: this field is left out."""
        pseudo = [
            (b":method", b"CONNECT"),
            (b":protocol", protocol),
            (b":scheme", b"https"),
            (b":path", path),
            (b":authority", self.name.encode()),
        ]
        it = self.ask([*(pair for pair in pseudo if pair[0] != without), *ASKED, *more])
        return self.until(it, lambda: bool(it.fields) or it.ended is not None)

    def until(self, it: Stream, done: object) -> Stream:
        assert callable(done)
        while not done():
            self.take()
        return it

    def send(self, it: Stream, data: bytes) -> None:
        """As the windows take it."""
        while data:
            room = min(self.h2.local_flow_control_window(it.number), self.h2.max_outbound_frame_size, len(data))
            if room == 0:
                self.take()
                continue
            self.h2.send_data(it.number, data[:room])
            data = data[room:]
            self.flush()

    def receive(self, it: Stream, count: int) -> bytes:
        """Exactly so many bytes, and no end before them."""
        while len(it.data) < count:
            assert it.ended is None, it
            self.take()
        some, it.data = it.data[:count], it.data[count:]
        return some

    def end(self, it: Stream) -> None:
        self.h2.end_stream(it.number)
        self.flush()

    def reset(self, it: Stream) -> None:
        self.h2.reset_stream(it.number, 8)
        self.flush()

    def ended(self, it: Stream) -> str | int | None:
        return self.until(it, lambda: it.ended is not None).ended
