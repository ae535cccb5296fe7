"""A DNS server on a port of its own, which answers as a test tells it to, also wrongly or not at all. It counts what it was asked."""

from __future__ import annotations

import contextlib
import socket
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

WRONG = {"nxdomain": dns.rcode.NXDOMAIN, "servfail": dns.rcode.SERVFAIL, "refused": dns.rcode.REFUSED}


class Dns:
    """`says` has for a name its addresses, for a service `PRIORITY WEIGHT PORT TARGET` of each, or `nxdomain`, `servfail`, `refused`, `empty`, `garbage` or `silent`."""

    def __init__(self, says: dict[str, list[str] | str], ttl: int = 300) -> None:
        self.says, self.ttl = says, ttl
        self.asked: list[str] = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port: int = self.sock.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    @property
    def at(self) -> str:
        return f"127.0.0.1:{self.port}"

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, peer = self.sock.recvfrom(4096)
                if not data:
                    return
                answer = self.answer(dns.message.from_wire(data))
                if answer is not None:
                    self.sock.sendto(answer, peer)

    def answer(self, question: dns.message.Message) -> bytes | None:
        (asked,) = question.question
        name = asked.name.to_text(omit_final_dot=True).lower()
        self.asked.append(name)
        says = self.says.get(name, "nxdomain")
        if says == "silent":
            return None
        if says == "garbage":
            return b"\x00" * 7
        told = dns.message.make_response(question)
        told.flags |= dns.flags.RA
        if isinstance(says, str):
            told.set_rcode(WRONG.get(says, dns.rcode.NOERROR))
        else:
            kind = dns.rdatatype.to_text(asked.rdtype)
            if kind == "SRV":
                told.answer.append(dns.rrset.from_text(asked.name, self.ttl, "IN", kind, *(f"{it}." for it in says)))
            ips = [ip for ip in says if (":" in ip) == (kind == "AAAA")]
            if ips and kind in {"A", "AAAA"}:
                told.answer.append(dns.rrset.from_text(asked.name, self.ttl, "IN", kind, *ips))
        return told.to_wire()

    def close(self) -> None:
        # Closing alone would leave the thread in its call.
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bye:
            bye.sendto(b"", ("127.0.0.1", self.port))
        self.thread.join(10)
        self.sock.close()
