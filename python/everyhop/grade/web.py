"""Whether a server that speaks HTTP tells browsers to come by TLS alone (HSTS, RFC 6797): one `GET /`, of whose answer the head is read."""

from __future__ import annotations

import re
import ssl
from http.client import HTTPException, HTTPResponse

from everyhop.grade.offered import Hsts
from everyhop.grade.openssl import Peer, connected, context

MAX_AGE = re.compile(r'(?:^|;)\s*max-age\s*=\s*"?(\d{1,15})"?\s*(?:;|$)', re.I)


def asked(peer: Peer) -> Hsts:
    try:
        by = context(peer, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.MAXIMUM_SUPPORTED)
        by.set_alpn_protocols(["http/1.1"])
        with connected(peer) as raw, by.wrap_socket(raw, server_hostname=peer.sni) as sock:
            host = f"[{peer.name}]" if ":" in peer.name else peer.name
            where = host if peer.port == 443 else f"{host}:{peer.port}"
            sock.sendall(
                f"GET / HTTP/1.1\r\nHost: {where}\r\nUser-Agent: everyhop-probe\r\nConnection: close\r\n\r\n".encode()
            )
            answer = HTTPResponse(sock, method="GET")
            try:
                answer.begin()
            finally:
                answer.close()
    except (HTTPException, ValueError):
        return Hsts("not-asked", "it does not answer in HTTP/1.1")
    except TimeoutError:
        return Hsts("not-asked", f"no answer of HTTP/1.1 within {peer.timeout_s:g} s")
    except OSError as e:
        return Hsts("not-asked", f"no session to ask in: {e.strerror or e}")
    # The first counts where it is said twice (RFC 6797 §8.1).
    said = answer.headers.get_all("strict-transport-security") or []
    if not said:
        return Hsts("not-said", "")
    found = MAX_AGE.search(said[0])
    return Hsts("said", said[0], int(found[1]) if found else 0)
