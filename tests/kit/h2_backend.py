"""A recording backend that speaks HTTP/2 frame by frame, so that a test says when each stream is answered, refused or left
alone; by the `h2` library. Read next: `raw.py`, which accepts its connections.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from h2.settings import SettingCodes, Settings

from tests.kit.raw import Record


@dataclass
class Asked:
    """One request, as far as it came."""

    connection: int
    stream: int
    fields: dict[bytes, bytes]
    body: bytes = b""
    ended: bool = False


@dataclass
class Spoken:
    """One connection: what a test's `on` answers by."""

    number: int
    sock: socket.socket
    h2: h2.connection.H2Connection
    # What of an answer still waits for the peer's window.
    owed: dict[int, bytes] = field(default_factory=dict)
    tunnels: set[int] = field(default_factory=set)
    """Streams that what is owed does not end."""

    def answer(self, stream: int, body: bytes = b"ok", status: bytes = b"200") -> None:
        self.h2.send_headers(stream, [(b":status", status), (b"content-length", b"%d" % len(body))])
        self.owed[stream] = body
        self.pour()

    def pour(self) -> None:
        """Sends what the windows take."""
        for stream, body in list(self.owed.items()):
            room = min(self.h2.local_flow_control_window(stream), len(body))
            while room:
                piece = body[: min(room, 16_384)]
                body = body[len(piece) :]
                room -= len(piece)
                self.h2.send_data(stream, piece)
            self.owed[stream] = body
            if not body:
                del self.owed[stream]
                if stream not in self.tunnels:
                    self.h2.end_stream(stream)


class H2Backend:
    """A script for `Raw`. `on(spoken, asked, event)` is called with each event of a request. `tunnels`: it says that it takes
    an extended CONNECT (RFC 8441). `streams`: as many as it takes at once on one connection."""

    def __init__(
        self, on: Callable[[Spoken, Asked, h2.events.Event], None], *, tunnels: bool = False, streams: int | None = None
    ) -> None:
        self.on, self.tunnels, self.streams = on, tunnels, streams
        self.asked: list[Asked] = []
        self.connections = 0
        self.lock = threading.Lock()

    def __call__(self, sock: socket.socket, record: Record) -> None:
        with self.lock:
            self.connections += 1
            number = self.connections
        it = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        spoken = Spoken(number, sock, it)
        if self.tunnels:
            it.local_settings = Settings(client=False, initial_values={SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
        if self.streams is not None:
            it.local_settings = Settings(
                client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: self.streams}
            )
        it.initiate_connection()
        sock.sendall(it.data_to_send())
        here: dict[int, Asked] = {}
        # After a GOAWAY of its own the library takes nothing more, and the connection ends.
        with contextlib.suppress(h2.exceptions.ProtocolError):
            while data := record.take(sock, 65_536):
                for event in it.receive_data(data):
                    self.note(spoken, here, event)
                sock.sendall(it.data_to_send())

    def note(self, spoken: Spoken, here: dict[int, Asked], event: h2.events.Event) -> None:
        stream = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.RequestReceived):
            here[event.stream_id] = asked = Asked(spoken.number, event.stream_id, dict(event.headers))
            self.asked.append(asked)
        elif isinstance(event, h2.events.DataReceived):
            here[event.stream_id].body += event.data
            spoken.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.WindowUpdated):
            spoken.pour()
        elif isinstance(event, h2.events.StreamReset):
            spoken.owed.pop(event.stream_id, None)
        elif isinstance(event, h2.events.StreamEnded):
            here[event.stream_id].ended = True
        if stream in here:
            self.on(spoken, here[stream], event)
