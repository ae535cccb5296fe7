"""Asks the DNS servers of `[dns] servers` for the addresses of names, and for the targets of services (SRV, RFC 2782): unlike
the C library they say how long these hold.

Knows no hosts file and no search list: what a name means is the servers' word alone. Read next: `resolver.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from everyhop.compile.names import SERVICE, dns_server
from everyhop.engine.resolver import Found, Target

PATIENCE_S, EACH_S = 5.0, 2.0
"""For an answer; for that of one server before the next is asked, or the same again."""
MOST_TARGETS = 64
"""Of a service, the first by priority: an answer has room for thousands, each with a name to be asked for."""
KINDS = (dns.rdatatype.A, dns.rdatatype.AAAA)


def of_servers(servers: Sequence[str]) -> dns.resolver.Resolver:
    """Asks those servers, one after the other until one answers."""
    it = dns.resolver.Resolver(configure=False)
    places = [place for text in servers if (place := dns_server(text)) is not None]
    it.nameservers = [dns.nameserver.Do53Nameserver(ip, port) for ip, port in places]
    it.timeout, it.lifetime = EACH_S, PATIENCE_S
    return it


def asking(servers: Sequence[str]) -> Callable[[str], Found]:
    """What asks those servers for addresses and targets."""
    it = of_servers(servers)

    def addresses(name: str) -> tuple[list[str], float | None]:
        """Raises `OSError` where there are none, or nobody says which."""
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
        return ips, holds_s

    def targets(service: str) -> Found:
        """Those that have addresses, each of which is one."""
        try:
            answer = it.resolve(service, dns.rdatatype.SRV, search=False)
        except dns.resolver.NXDOMAIN:
            raise OSError("no such service (NXDOMAIN)") from None
        except dns.resolver.NoAnswer:
            raise OSError("no such service (an empty answer)") from None
        except dns.resolver.LifetimeTimeout:
            raise OSError(f"no answer within {PATIENCE_S:.0f} s") from None
        except dns.resolver.NoNameservers as e:
            raise OSError(said(e)) from e
        except dns.exception.DNSException as e:
            raise OSError(str(e) or type(e).__name__) from e
        records = sorted(answer, key=lambda it: (it.priority, -it.weight, it.port, it.target))
        found: dict[str, Target] = {}
        wrong, holds_s = "its target is ., which says that it is not offered", float(answer.chaining_result.minimum_ttl)
        for record in records[:MOST_TARGETS]:
            # RFC 2782; and no port 0 can be connected to.
            if record.target == dns.name.root or record.port == 0:
                continue
            name = record.target.to_text(omit_final_dot=True)
            try:
                ips, holds = addresses(name)
            except OSError as e:
                wrong = f"its target {name}: {e}"
                continue
            holds_s = holds_s if holds is None else min(holds_s, holds)
            for ip in ips:
                at = f"[{ip}]:{record.port}" if ":" in ip else f"{ip}:{record.port}"
                found.setdefault(at, Target(at, record.priority, record.weight))
        if not found:
            raise OSError(wrong)
        return Found([*found.values()], holds_s)

    def ask(name: str) -> Found:
        """Raises `OSError` where there is nowhere to go, or nobody says where."""
        if name.startswith(SERVICE):
            return targets(name.removeprefix(SERVICE))
        ips, holds_s = addresses(name)
        return Found([*ips], holds_s)

    return ask


def said(e: dns.resolver.NoNameservers) -> str:
    """What the last server that was asked answered instead of an answer, such as SERVFAIL."""
    errors = e.kwargs.get("errors") or []
    return f"the server answers {errors[-1][3]}" if errors else "no server answers"
