"""Asks the DNS as the configuration says: the servers of `[dns]`, or else the resolver of this machine. Read next: `caa.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import dns.exception
import dns.rdatatype
import dns.resolver

from everyhop.engine import resolver
from everyhop.engine.dns import EACH_S, PATIENCE_S, asking, of_servers, said
from everyhop.online.caa import Record


def addresses(servers: Sequence[str]) -> Callable[[str], object]:
    """What looks for the addresses of a name; it raises `OSError` where there are none, and says why."""
    ask = asking(servers) if servers else resolver.ask

    def look(name: str) -> object:
        try:
            return ask(name)
        except (ValueError, dns.exception.DNSException) as e:
            raise OSError(f"it cannot be asked for: {e}") from e

    return look


def records(servers: Sequence[str]) -> Callable[[str], list[Record]]:
    """What asks for the records of type CAA at a name; it raises `OSError` where nobody tells."""
    if servers:
        it = of_servers(servers)
    else:
        try:
            it = dns.resolver.Resolver()
        except dns.exception.DNSException as e:
            raise OSError(f"this machine has no resolver: {e}") from e
        it.timeout, it.lifetime = EACH_S, PATIENCE_S

    def ask(name: str) -> list[Record]:
        try:
            answer = it.resolve(name, dns.rdatatype.CAA, search=False, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return []
        except dns.resolver.LifetimeTimeout:
            raise OSError(f"no answer within {PATIENCE_S:.0f} s") from None
        except dns.resolver.NoNameservers as e:
            raise OSError(said(e)) from e
        except dns.exception.DNSException as e:
            raise OSError(str(e) or type(e).__name__) from e
        return [
            Record(one.flags, one.tag.decode("ascii", "replace"), one.value.decode("ascii", "replace"))
            for one in answer.rrset or ()
        ]

    return ask
