"""Asks the DNS servers of `[dns] servers` for the addresses of names: unlike the C library they say how long these hold.

Knows no hosts file and no search list: what a name means is the servers' word alone. Read next: `resolver.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import dns.exception
import dns.nameserver
import dns.rdatatype
import dns.resolver

from everyhop.compile.names import dns_server
from everyhop.engine.resolver import Found

PATIENCE_S, EACH_S = 5.0, 2.0
"""For an answer; for that of one server before the next is asked, or the same again."""
KINDS = (dns.rdatatype.A, dns.rdatatype.AAAA)


def asking(servers: Sequence[str]) -> Callable[[str], Found]:
    """What asks those servers, one after the other until one answers."""
    it = dns.resolver.Resolver(configure=False)
    places = [place for text in servers if (place := dns_server(text)) is not None]
    it.nameservers = [dns.nameserver.Do53Nameserver(ip, port) for ip, port in places]
    it.timeout, it.lifetime = EACH_S, PATIENCE_S

    def ask(name: str) -> Found:
        """Raises `OSError` where there are no addresses, or nobody says which."""
        ips: list[str] = []
        wrong = ""
        holds_s: float | None = None
        for kind in KINDS:
            try:
                answer = it.resolve(name, kind, search=False, raise_on_no_answer=False)
            except dns.resolver.NXDOMAIN:
                raise OSError("no such name (NXDOMAIN)") from None
            except dns.resolver.LifetimeTimeout:
                wrong = f"no answer within {PATIENCE_S:.0f} s"
                continue
            except dns.resolver.NoNameservers as e:
                wrong = said(e)
                continue
            except dns.exception.DNSException as e:
                raise OSError(str(e) or type(e).__name__) from e
            if answer.rrset is None:
                continue
            ips += [record.address for record in answer]
            holds = answer.chaining_result.minimum_ttl
            holds_s = holds if holds_s is None else min(holds_s, holds)
        if not ips:
            raise OSError(wrong or "it has no address (an empty answer)")
        return Found(ips, holds_s)

    return ask


def said(e: dns.resolver.NoNameservers) -> str:
    """What the last server that was asked answered instead of an answer, such as SERVFAIL."""
    errors = e.kwargs.get("errors") or []
    return f"the server answers {errors[-1][3]}" if errors else "no server answers"
