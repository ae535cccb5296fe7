"""The catalogue of what Everyhop must withstand: a row an id. A test names the rows that it covers in its docstring.

`docs/reference/threats.md` is made of this and of the tests (`tools/threats.py`). A row without a test fails the build;
a row of a feature that is not there says which, and may have none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`sent` by an attacker, a broken client or backend or a bad day; the only right `outcome`; where it comes from."""

    sent: str
    outcome: str
    source: str
    waits_for: str = ""
    """The feature that is not built yet."""


API = "an admin interface over the network"
LEDGER = "the ledger of evidence"

CATALOGUE: dict[str, dict[str, Row]] = {
    "What must pass": {
        "F01": Row(
            "encoded slashes, empty segments, parameters, Latin-1 and UTF-8 in paths of package registries, forges, queues and object stores, on hosts whose routes they cannot confuse",
            "200, and the target byte for byte at the backend, by HTTP/1 and HTTP/2",
            "RFC 3986 3.3; traefik#12395",
        ),
        "F02": Row(
            "empty bodies in every form: length 0, chunked with only the last chunk, a head and then an empty piece, DELETE, a client stream without a message; to HTTP/1 and HTTP/2 backends",
            "the end of the request arrives at once",
            "RFC 9113 8.1; h2o#3035",
        ),
        "F03": Row(
            "stalled readers on one HTTP/2 backend connection; a backend connection that answers nothing more; graceful GOAWAY and REFUSED_STREAM under POSTs",
            "others are unaffected; it is given up and replaced; what was not looked at goes again, body and all",
            "RFC 9113 5.2, 6.8, 8.7; nghttp2#713; grpc-go#2767",
        ),
        "F04": Row(
            "a final answer before the request's end, of the backend or of the edge itself, to uploads of 30 MB by clients that read meanwhile and by those that do not; a request and close_notify or FIN in one flight, or while its answer is waited for",
            "the client reads the answer; what it still sends is read and thrown away within `linger_s` and `linger_bytes`",
            "RFC 9112 9.6; RFC 9113 8.1; RFC 8446 6.1",
        ),
        "F05": Row(
            "answers that are silent for minutes: event streams, long polls, streams of HTTP/2; uploads that are slow and move on",
            "they pass within the limits of their route; what is cut is cut alone, and looks complete to nobody",
            "RFC 9112 8; RFC 9113 8.1; traefik, ingress-nginx threads",
        ),
        "F06": Row(
            "a reload of anything unrelated under tunnels: another backend, another host, a site's new name, another route's rule",
            "nothing is cut",
            "traefik#6235; openshift/router#429",
        ),
        "F07": Row(
            "RSA, P-256 to P-521 and Ed25519, on both hops; chains with a certificate twice, the root, a stranger, two roots' "
            "certificates of one issuer, or in another order; several addresses of a name with some dead, of both families",
            "work; what clients will not take of it `check` says beforehand",
            "RFC 8446 4.4.2; RFC 6724; RFC 8305",
        ),
        "F08": Row(
            "reason phrases, 1xx, two Set-Cookie, the methods of WebDAV and QUERY, bodies of GET and DELETE; trailers of 16 KiB and more, such as gRPC's details of a status, between any two protocols",
            "pass unchanged, trailers up to limits.head_bytes; longer ones fail their own request and name the limit",
            "RFC 9110; RFC 4918",
        ),
        "F09": Row(
            "HTTP/1.0 without Host at a site of one name, `Host: name:`, `OPTIONS *`",
            "the answer of the site's backend",
            "RFC 9112 3.2; RFC 3986 3.2.3",
        ),
        "F10": Row(
            "uploads and downloads by HTTP/2 over a way of 10 to 100 ms",
            "windows grow with the way, up to the connection's own, and nowhere else; a body from afar is lent what it declares, from a bounded share",
            "RFC 9113 5.2; nextcloud#25297; tusd#1106",
        ),
    },
    "TLS, all four patterns on one port": {
        "T01": Row(
            "a ClientHello cut at every byte, a byte a segment, or with its name behind a post-quantum key share",
            "the same route as uncut, in every pattern; one deadline for the whole hello",
            "RFC 8446 5.1; traefik#12871",
        ),
        "T02": Row(
            "a ClientHello over many records, of one byte, of none, with others between",
            "its name is found, or alert and close; never taken for nameless; no panic",
            "RFC 5246 6.2.1; CVE-2026-32305; RUSTSEC-2024-0399",
        ),
        "T03": Row(
            "a declared length of 16 MiB, 64 KiB of extensions, hellos that never end",
            "a cap; memory grows with what came, not with what was declared; closed at the deadline",
            "tlsfuzzer test-large-hello, test-client-hello-max-size",
        ),
        "T04": Row(
            "a server name that is absent, empty, doubled, an address, with NUL, UTF-8, too long, in mixed case, with a dot "
            "at its end, with a port; likewise Host",
            "one normaliser for certificate, client policy and route; what is absent or unknown gets the configured answer",
            "RFC 6066 3; CVE-2022-23632; CVE-2026-27588",
        ),
        "T05": Row(
            "a session for one host that asks for another: of the same site, of one that demands a certificate, of passthrough",
            "200, 404 or 421 by the table; 421 reaches no backend",
            "RFC 9110 15.5.20; RFC 9113 9.1.1; CVE-2026-48491",
        ),
        "T06": Row(
            "a ticket of one site at another, or of before a reload that asks more of clients",
            "a full handshake that asks for the certificate; no identity is carried over",
            "CVE-2025-23419; rustls#2284",
        ),
        "T07": Row(
            "two routes to one address that differ in name, roots, identity or verification; authentication that belongs to "
            "a connection",
            "no session and no pooled connection is shared",
            "haproxy#3195; rustls#2361",
        ),
        "T08": Row("early data, also replayed", "it is off: nothing early reaches a backend", "RFC 8446 8; RFC 8470"),
        "T09": Row(
            "old versions, weak suites, renegotiation, compression, floods of key updates, HTTP or SSH on the port",
            "refused with the right alert; plain HTTP is told so; nothing hangs",
            "RFC 9325; RUSTSEC-2024-0336",
        ),
        "T10": Row(
            "ALPN with nothing in common, or of another protocol",
            "no_application_protocol; `acme-tls/1` is served by nobody",
            "RFC 7301; RFC 8737; ALPACA",
        ),
        "T11": Row(
            "client certificates that are expired, of the future, for another use, an authority's, named by common name alone, "
            "with odd names, revoked; revocation lists that are stale or missing",
            "the handshake fails; unknown or stale revocation refuses",
            "RFC 5280; RUSTSEC-2026-0049; CVE-2026-28755",
        ),
        "T12": Row(
            "a file of client authorities that is missing, empty, unreadable or no certificate",
            'the configuration is refused; never the system\'s roots, never "ask nobody"',
            "CVE-2026-27586; CVE-2022-46153",
        ),
        "T13": Row(
            "a backend that is self-signed, expired, of another name or authority, of an old TLS, or speaks plaintext first",
            "502 with a reason; no byte of the request is sent; no plaintext instead",
            "RFC 9525; CVE-2026-1642",
        ),
        "T14": Row(
            "a leaf that ends while connections are open, that is swapped under load, with another's key, in wrong order",
            "new handshakes get the new leaf; a mismatch is refused; an alarm before it ends",
            "RFC 9773; nginx-tests ssl_certificate_cache.t",
        ),
        "T15": Row(
            "passthrough: an encrypted hello, GREASE, each side ending alone, bulk, resets",
            "routed by the outer name alone; bytes as they were; no alert of ours",
            "RFC 9849; RFC 8701; nginx-tests stream_proxy_half_close.t",
        ),
        "T16": Row(
            "requests for TLS in the clear with more behind them, by clients and by backends; clients that begin without; backends "
            "that say no, or something else",
            "refused; nothing that was said in the clear is in a session, and nothing goes on without TLS",
            "CVE-2011-0411; CVE-2021-23214; CVE-2021-23222",
        ),
        "T17": Row(
            "names of one kind in a client's certificate that are written like another kind's: a URI like a fingerprint or a DNS "
            "name, an e-mail address like a URI",
            "it is known by none of them, and no allow-list takes it",
            "RFC 5280 7.2 to 7.5",
        ),
    },
    "HTTP/1": {
        "H01": Row(
            "Content-Length and Transfer-Encoding together, in every order, doubled, in trailers",
            "400 and close; nothing reaches the backend",
            "RFC 9112 6.1, 6.3; hyper#4123",
        ),
        "H02": Row(
            "Transfer-Encoding in some hundred spellings; with HTTP/1.0",
            "only exactly `chunked` frames a body; else 400 or 501 and close",
            "RUSTSEC-2021-0020; sozu#726",
        ),
        "H03": Row(
            "Content-Length with sign, base, space, list, overflow; two that differ",
            "400 and close",
            "RFC 9112 6.3; RUSTSEC-2021-0078",
        ),
        "H04": Row(
            "chunks with bare line ends, odd sizes, long extensions, nothing after the data; trailers that would be believed",
            "400 and close; extensions and forbidden trailers are dropped, chunks written anew",
            "RFC 9112 7.1; CVE-2025-55315; CVE-2023-39326",
        ),
        "H05": Row(
            "bare LF or CR, folding, a space before the colon, no name, no colon, control bytes",
            "400 and close",
            "RFC 9112 2.2, 5.1, 5.2",
        ),
        "H06": Row(
            "request lines that are not exact; a target against its Host; Host missing, doubled or no name",
            "400; an absolute target wins and Host is rewritten",
            "RFC 9112 3.2; CVE-2021-32779",
        ),
        "H07": Row(
            "bodies where none is expected, bodies that were not read when we answered",
            "what is left is read within a cap, or the connection closes; an unfinished one is never used again",
            "CVE-2025-4366; RUSTSEC-2020-0093",
        ),
        "H08": Row(
            "Expect in all forms; endless 1xx; answers with a body where there is none; bytes behind an answer",
            "417 or passed on; the next request is read right; surplus discards the backend's connection",
            "RFC 9110 10.1.1, 15.2",
        ),
        "H09": Row(
            "Upgrade to what is not allowed, with bytes behind; h2c; CONNECT",
            "a tunnel only after a 101 that names what was asked for: a WebSocket, or what the route lists; CONNECT is 405",
            "CVE-2026-2833; CVE-2024-23326",
        ),
        "H10": Row(
            "Connection that names the fields which say who the client is",
            "hop-by-hop fields go first, then ours are set",
            "RFC 9110 7.6.1; CVE-2022-31813; CVE-2025-48865",
        ),
        "H11": Row(
            "slow heads, slow bodies, slow readers; too many or too long fields; a thousand pipelined requests",
            "408, 413, 414 or 431 and close by the deadline; memory bounded; others are served",
            "RFC 6585; slowhttptest",
        ),
    },
    "HTTP/2 and gRPC": {
        "P01": Row(
            "streams opened and reset without end, also by errors that make us reset",
            "GOAWAY; the work for them ends",
            "CVE-2023-44487; CVE-2025-8671",
        ),
        "P02": Row(
            "endless CONTINUATION, empty frames, SETTINGS, PING, PRIORITY",
            "the connection is closed within a CPU second; memory stays flat",
            "RUSTSEC-2024-0332; CVE-2019-9516",
        ),
        "P03": Row(
            "header bombs by HPACK references, cookie crumbs, windows that never open",
            "caps by count and decoded size; a stalled reader is let go; at most 64 MiB",
            "CVE-2026-49975; CVE-2026-47774",
        ),
        "P04": Row(
            "control bytes, spaces, colons in names, values and pseudo-fields; fields of HTTP/1 framing; DATA against its length",
            "a stream error or 400; nothing reaches the backend",
            "RFC 9113 8.2.1, 8.2.2, 8.3.1; CVE-2026-33555",
        ),
        "P05": Row(
            "gRPC: trailers without end, forbidden, large; a backend's reset; extended CONNECT",
            "status kept or mapped; no crash; an extended CONNECT opens a WebSocket that the backend took, and nothing else",
            "CVE-2026-73513; nginx-tests grpc_trailers.t",
        ),
        "P07": Row(
            "what HTTP/2 calls malformed: pseudo-fields in trailers, unknown, twice or late; two hosts; schemes that are none; paths that name a host",
            "a stream error or 400, never a request without what was wrong with it",
            "RFC 9113 8.1.1, 8.3",
        ),
        "P06": Row("the cases of h2spec", "all pass, or a written exception", "h2spec"),
    },
    "Routing": {
        "R01": Row(
            "paths with dot segments, encoded or doubly encoded separators, parameters, overlong UTF-8, case",
            "every reading that a lenient backend could take leads to one route: it passes as it came; they differ: 400, and the log names both; what leaves the root, NUL and controls: 400 always",
            "CVE-2019-9901; CVE-2021-29492; CVE-2025-66490",
        ),
        "R02": Row(
            "prefixes that are no segments; rules that overlap",
            "segment-bounded; one precedence, whatever the order in the file",
            "Gateway API HTTPRoute",
        ),
        "R03": Row(
            "a field twice with different values; lists; two Authorization fields",
            "every value is judged; two Authorization are 400",
            "CVE-2026-26308; envoy#44058",
        ),
        "R04": Row(
            "no route, a closed route, a route to dead backends",
            "404, 502 or 503; never the next best",
            "-",
        ),
    },
    "Header trust": {
        "X01": Row(
            "forged fields that say who the client is, from strangers and from trusted proxies",
            "a stranger's are replaced; of a trusted proxy the rightmost stranger is the client; certificates are ours alone",
            "RFC 7239; RFC 9440",
        ),
        "X02": Row("their twins with underscores and dots", "dropped or 400", "CVE-2025-64484"),
        "X03": Row(
            "PROXY headers where none may be, none where one must be, lying lengths, cut anywhere, inside TLS",
            "close; nothing is guessed, no stray byte is forwarded",
            "proxy-protocol.txt; CVE-2024-23327",
        ),
    },
    "JWT": {
        "J01": Row(
            "tokens signed by no algorithm, by a secret or by another key's, with signatures of zeros, with unknown `crit` or `b64`, encrypted, nested, padded",
            "401; a key verifies by its own kind alone",
            "RFC 8725; CVE-2015-9235; CVE-2026-22817",
        ),
        "J02": Row(
            "names of keys that are paths, SQL or 64 KB; `jku`, `jwk`, `x5u`, `x5c` in a header; sets with secrets, private halves, weak or doubled keys; rotation",
            "what a header says of keys is not looked at; weak sets are refused, the last good one is kept; nobody is refused while keys rotate",
            "RFC 7517",
        ),
        "J03": Row(
            "times at the edge of the leeway, as texts, fractions and huge; audiences and issuers that are nearly ours; claims and fields that stand twice",
            "refused unless exact; 400 for two tokens",
            "RFC 7519 4; RFC 8725 3.8-3.11",
        ),
        "J04": Row(
            "tokens of 64 KB, of 10,000 levels, in a query or an unasked cookie; fields and trailers in the name of a claim, with `_` and `.`",
            "401, and no token in any log; what the client says in a claim's place goes no further",
            "RFC 6750",
        ),
    },
    "Passwords": {
        "S01": Row(
            "passwords that are wrong, nearly right, of others, of nobody, empty, of 4 KB; names in another case; times compared",
            "401, the same whatever it was; whoever is not there is verified like who is; what was wrong is never remembered",
            "RFC 7617; CVE-2016-6210",
        ),
        "S02": Row(
            "Authorization that stands twice, is no base64 or has bits that mean nothing, control characters, bytes that are no UTF-8; in a field that concerns the connection",
            "400 or 401, and nothing is verified",
            "RFC 7617 2; RFC 4648 3.5",
        ),
        "S03": Row(
            "passwords by the dozen at once, of one address and of several; each costs the edge a second",
            "503 for what has no turn, and nobody passes by that; others are served; addresses take turns",
            "CVE-2013-1443",
        ),
        "S04": Row(
            "files with hashes by MD5, SHA-1, crypt, with the password itself, with costs without bound, with a name twice; a file that changes under way",
            "refused with the line, of which nothing is shown; who is taken out is out, and so are the tunnels that they opened",
            "OWASP Password Storage Cheat Sheet",
        ),
    },
    "Rate limits and resources": {
        "L01": Row(
            "many addresses of one network, an address that is mapped, X-Forwarded-For of a stranger; many connections, both protocols, aliases of a path; several edges",
            "one count a key",
            "RFC 6177",
        ),
        "L02": Row(
            "a million keys; threads whose clocks differ; a reload",
            "a table of fixed size that forgets first who has used least; what was used stays used; 429 with Retry-After",
            "RFC 6585; draft-ietf-httpapi-ratelimit-headers",
        ),
        "D01": Row(
            "more connections than descriptors; handshakes that never end",
            "accepting does not spin; shed before the expensive step; the admin socket answers; it recovers",
            "Envoy edge best practices",
        ),
        "D02": Row(
            "compression and multipart bombs at the WAF",
            "403 by their rule, or 413 where it is longer than is inspected; nobody unpacks them",
            "CVE-2026-48044",
        ),
    },
    "Backend faults": {
        "U01": Row(
            "a reset before the head or in the body, a short body, TLS without its goodbye",
            "502 before a head; afterwards cut off: a short body never becomes a complete one",
            "RFC 9112 8; haproxy truncated.vtc",
        ),
        "U02": Row(
            "answers with conflicting or unreadable framing, odd status, another protocol",
            "502; the connection is discarded",
            "RFC 9112 6.3",
        ),
        "U03": Row(
            "no accept, stalls in each phase, a kept connection that closes, an answer that ends with its connection",
            "a deadline a phase; sent again only where nothing can have happened",
            "RFC 9110 9.2.2",
        ),
        "U04": Row(
            "a backend that flaps, an address that changes, all down",
            "idempotent requests succeed elsewhere; 502 or 503 at once; no stampede",
            "-",
        ),
    },
    "Configuration, admin, logs": {
        "C01": Row(
            "broken configurations at a reload",
            "refused whole, with the place; plan, generation and connections stay",
            "CVE-2022-46153",
        ),
        "C02": Row(
            "a process killed while it applies; a full disk; two admins at once",
            "one whole plan afterwards: the last good one",
            "-",
        ),
        "C03": Row(
            "a reload that demands more, with clients connected",
            "the next request obeys it; tunnels of a route that is gone are cut",
            "-",
        ),
        "A01": Row("tokens of another role; aliases of a resource", "401 or 403", "CVE-2026-45692", API),
        "A02": Row("cross-origin requests, DNS rebinding", "403", "CVE-2026-27589", API),
        "A03": Row("script in names that a page shows", "inert text", "CVE-2026-73546", API),
        "G01": Row(
            "line ends, escapes, quotes, bad UTF-8, 64 KiB in whatever is logged",
            "one valid JSON line each, reversible, capped",
            "CVE-2026-26309",
        ),
        "G02": Row(
            "canaries in Authorization, Cookie, query, keys, tokens; a crash",
            "in no log, metric, error, status or core file",
            "-",
        ),
        "G03": Row("a ledger that is edited, cut, rotated", "the first bad record is named", "-", LEDGER),
        "K01": Row(
            "an enrolment token used again, by fifty at once, late, guessed, for another name; a certificate that was taken back, to renew by",
            "exactly one success; all others alike",
            "SPIRE",
        ),
        "K02": Row(
            "signing requests that ask for too much: to be an authority, other names and uses, weak keys, keys of others",
            "refused with what it is; nothing of others is taken",
            "RFC 5280",
        ),
        "K03": Row(
            "reading an identity's key, its token or an authority's key as the engine's user, or from the engine's open files",
            "nothing can be opened; no key is put where others can look",
            "relayd ca.c",
        ),
        "K04": Row(
            "an authority that is away, a clock that is moved, a rotation of roots under traffic",
            "renewed at half of its life; what is there stays; no request is lost",
            "RFC 8555",
        ),
    },
}
