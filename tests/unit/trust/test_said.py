"""Every sentence that the map of trust says, word by word, beside the configuration of which it says it.

`said.txt` was read by a person against what the engine does; a change of it is to be read again:
`EVERYHOP_WRITE_SAID=1 pytest tests/unit/trust/test_said.py`, then `git diff`.
"""

from __future__ import annotations

import os
from pathlib import Path

from everyhop.trust import ATTACKERS, RouteTrust
from tests.unit.trust.test_trust import ACCEPTANCE, VARIANTS, VERIFY, mapped_route

FILE = Path(__file__).with_name("said.txt")
PIN = f'verify = {{ pin = "sha256:{"ab" * 32}" }}\n'
NAMED = f'verify = {{ pin = "sha256:{"ab" * 32}", name = "n" }}\n'
REVOKED = 'verify = { ca = "c.pem", name = "n", crl = "l.pem" }\n'
TO = 'to = ["10.0.0.1:1"]\n'
TCP = 'host = "a.test"\nprotocol = "tcp"\n' + TO
SENT = 'send_proxy = "v2"\n'
ASKED = 'clients = { ca = "c.pem", mode = "ask" }'
REQUIRED = 'clients = { ca = "c.pem" }'
PROXIES = 'trusted_proxies = ["10.0.0.0/8"]\naccept_proxy = ["10.1.0.0/16"]'
SHARES = """[
    { at = "127.0.0.1:1", weight = 9 }, { at = "127.0.0.1:2", weight = 0 }, { at = "127.0.0.1:3", weight = 1 },
    { at = "127.0.0.1:4", backup = true }, { at = "127.0.0.1:5", backup = true, weight = 0 },
]"""
LEAST = 'balance = "least-requests"\n'
INNER = """[[listener]]
name = "inner"
bind = ["127.0.0.1:8444"]
[[listener]]
name = "web"
bind = ["127.0.0.1:8080"]
speaks = "http"
https_port = 8443
"""

SERVES = '[[listener]]\nname = "inner"\nbind = ["127.0.0.1:8080"]\nspeaks = "http"\nserve = true'

TOLD = """[[collector]]
name = "otel"
to = ["10.0.0.9:4318"]
tls = "mutual"
verify = { ca = "c.pem", name = "otel" }
present = "i"
[traces]
collector = "otel"
"""

ASKED_OF = """[[authorizer]]
name = "sso"
to = ["10.0.0.8:4180"]
tls = "mutual"
verify = { ca = "c.pem", name = "sso" }
present = "i"
path = "/oauth2/auth"
sends = ["cookie", "authorization"]
takes = ["x-user"]
"""

UNASKED = """[[authorizer]]
name = "sso"
to = ["127.0.0.1:4180"]
tls = "plaintext"
path = "/auth"
deadline_ms = 300
when_down = "pass"
pass_acceptance = { owner = "o", why = "w", since = 2026-11-01, until = 2027-02-01 }
"""

INSPECTED_BY = """[[waf]]
name = "crs"
"""
SEEN_LESS = """[[waf]]
name = "crs"
paranoia = 3
extra = ["own.conf"]
body_bytes = 4096
over_body = "pass-inspected"
when_down = "pass"
pass_acceptance = { owner = "o", why = "w", since = 2026-11-01, until = 2027-02-01 }
exclude = [{ rule = 942100, path = "/search", argument = "q", owner = "p", why = "free text", since = 2026-11-01, until = 2027-02-01 }]
"""
FROM = 'allow = { networks = ["10.0.0.0/8", "2001:db8::/32"] }\n'

# By its name: the route, and what else stands in the file of it.
CASES: dict[str, tuple[str, dict[str, str]]] = {
    **{name: (text, {}) for name, text in VARIANTS.items()},
    "passthrough, sent a PROXY header": (VARIANTS["passthrough"] + SENT, {"listener": PROXIES}),
    "mutual, must ask, clients must prove themselves": (
        VARIANTS["mutual"] + "demand_asks = true\n",
        {"site": REQUIRED, "listener": PROXIES},
    ),
    "reencrypt by pin": (f'host = "a.test"\ntls = "reencrypt"\n{TO}{PIN}', {"site": ASKED}),
    "reencrypt by pin and name": (f'host = "a.test"\ntls = "reencrypt"\n{TO}{NAMED}', {}),
    "reencrypt with revocation lists": (f'host = "a.test"\ntls = "reencrypt"\n{TO}{REVOKED}', {}),
    "tcp, mutual": (f'{TCP}tls = "mutual"\npresent = "i"\n{VERIFY}', {"listener": PROXIES}),
    "tcp, reencrypt": (f'{TCP}tls = "reencrypt"\n{VERIFY}', {}),
    "tcp, reencrypt, sent a PROXY header": (f'{TCP}tls = "reencrypt"\n{VERIFY}{SENT}', {}),
    "tcp, plaintext": (f'{TCP}tls = "plaintext"\n{ACCEPTANCE}', {}),
    "tcp, plaintext, sent a PROXY header": (f'{TCP}tls = "plaintext"\n{SENT}{ACCEPTANCE}', {}),
    "tcp, same host": (TCP.replace("10.0.0.1", "127.0.0.1") + 'tls = "plaintext"\n', {}),
    "tcp, same host, sent a PROXY header": (TCP.replace("10.0.0.1", "127.0.0.1") + f'tls = "plaintext"\n{SENT}', {}),
    "answered by the edge": (
        'host = "a.test"\npath = "/x"\nallow = { clients = ["boss.test"] }\nanswer = { status = 404 }\n',
        {"site": ASKED, "listener": PROXIES},
    ),
    "passthrough, from networks": (VARIANTS["passthrough"] + FROM, {"listener": PROXIES}),
    "tcp, from networks": (f'{TCP}tls = "reencrypt"\n{VERIFY}{FROM}', {}),
    "mutual, from networks": (VARIANTS["mutual"] + FROM, {"site": ASKED, "listener": PROXIES}),
    "mutual, by name and from networks": (
        VARIANTS["mutual"] + 'allow = { clients = ["boss.test"], networks = ["10.0.0.0/8"] }\n',
        {"site": ASKED},
    ),
    "answered by the edge, from networks": (f'host = "a.test"\n{FROM}answer = {{ status = 404 }}\n', {}),
    "redirected by the edge": ('host = "a.test"\nredirect = { to = "https://b.test{path}" }\n', {}),
    "changed and bounded": (
        VARIANTS["same-host"]
        + "most = { requests = 7, waiting = 3, wait_s = 2 }\n"
        + 'request = { set = { x-a = "1" }, add = { x-b = "2", x-c = "3" }, remove = ["x-d"] }\n'
        + 'response = { remove = ["server"] }\n',
        {},
    ),
    "limited by key": (
        VARIANTS["same-host"] + 'limited_by = ["per-client", "tried", "all"]\n',
        {
            "listener": '[[limit]]\nname = "per-client"\nrate = "100/m"\nburst = 20\nat_once = 5\nby = ["client-address", "header:x-a"]\n'
            '[[limit]]\nname = "tried"\nrate = "5/s"\nmode = "observe"\nby = ["client-address"]\n'
            '[[limit]]\nname = "all"\nat_once = 100\nby = []'
        },
    ),
    "limited by key, all edges together": (
        VARIANTS["same-host"] + 'limited_by = ["per-client"]\n',
        {
            "listener": '[[store]]\nname = "counters"\nto = ["10.0.0.77:6379"]\ntls = "reencrypt"\nverify = { ca = "c", name = "n" }\n'
            '[[limit]]\nname = "per-client"\nrate = "100/m"\nstore = "counters"\nwhen_store_down = "refuse"'
        },
    ),
    "read by pages of other origins, as the user": (
        VARIANTS["same-host"] + 'cors = { origins = ["https://a.test", "https://*.b.test"], credentials = true }\n',
        {},
    ),
    "asked for another path and host, its cookies guarded": (
        VARIANTS["same-host"]
        + 'host_header = "api.internal"\nrewrite = "/internal{path}"\n'
        + 'cookies = { secure = true, http_only = true, same_site = "lax", path = "/x" }\n',
        {},
    ),
    "asked for what an expression makes of a path": (
        VARIANTS["same-host"] + "rewrite = { regex = '/a/(?<id>[0-9]+)', to = \"/b/{id}\" }\n",
        {},
    ),
    "sent again": (VARIANTS["same-host"] + "retries = { attempts = 3, on = [503, 502], per_try_s = 4 }\n", {}),
    "compressed": (VARIANTS["same-host"] + 'compress = ["br", "gzip"]\n', {}),
    "compressed beside secrets": (
        VARIANTS["same-host"] + 'compress = { with = ["gzip"], with_credentials = true }\n',
        {},
    ),
    "read by any page": (VARIANTS["same-host"] + 'cors = { origins = ["*"] }\n', {}),
    "shared by weight, with a backup and one that takes nothing": (
        VARIANTS["same-host"].replace('["127.0.0.1:1"]', SHARES),
        {},
    ),
    "shared by what is under way": (
        VARIANTS["same-host"].replace('["127.0.0.1:1"]', '["127.0.0.1:1", "127.0.0.1:2"]') + LEAST,
        {},
    ),
    "shared by a field": (
        VARIANTS["same-host"].replace('["127.0.0.1:1"]', '["127.0.0.1:1", "127.0.0.1:2"]')
        + 'balance = "hash:header:x-user"\n',
        {},
    ),
    "tcp, shared by what is under way": (
        TCP.replace('["10.0.0.1:1"]', '["127.0.0.1:1", "127.0.0.1:2"]')
        + 'tls = "plaintext"\nbalance = "least-connections"\n',
        {},
    ),
    "passed through, shared by weight": (
        VARIANTS["passthrough"].replace('["10.0.0.1:1"]', '[{ at = "10.0.0.1:1", weight = 3 }, "10.0.0.2:1"]'),
        {},
    ),
    "checked by a path, with a backup": (
        VARIANTS["same-host"].replace('["127.0.0.1:1"]', '["127.0.0.1:1", { at = "127.0.0.1:2", backup = true }]')
        + 'health = { path = "/h", status = "204,300-399", body = "it is \\"up\\"" }\nslow_start_s = 60\n',
        {},
    ),
    "in zones": (
        VARIANTS["same-host"].replace(
            '["127.0.0.1:1"]', '[{ at = "127.0.0.1:1", zone = "b" }, { at = "127.0.0.1:2", zone = "a" }, "127.0.0.1:3"]'
        ),
        {},
    ),
    "come back to by a cookie": (
        VARIANTS["same-host"].replace('["127.0.0.1:1"]', '["127.0.0.1:1", "127.0.0.1:2"]')
        + 'sticky = { cookie = "edge" }\n',
        {},
    ),
    "copied to a mirror in plaintext on this host": (
        VARIANTS["same-host"] + 'mirror = { to = ["127.0.0.1:2"], share = 0.125 }\n',
        {},
    ),
    "copied to mirrors, without secrets": (
        VARIANTS["mutual"]
        + 'mirror = { to = ["10.0.0.8:1", "10.0.0.9:1"], body_bytes = 9, request = { remove = ["cookie"] } }\n',
        {},
    ),
    "checked by gRPC": (VARIANTS["mutual"] + 'upstream_protocol = "h2"\nhealth = { grpc = "" }\n', {}),
    "passed through and checked": (VARIANTS["passthrough"] + "health = { connect = true }\n", {}),
    "of one listener": (VARIANTS["same-host"] + 'listeners = ["inner"]\n', {"listener": INNER}),
    "of all listeners that speak TLS, by name": (
        VARIANTS["same-host"] + 'listeners = ["inner", "l"]\n',
        {"listener": INNER},
    ),
    "connections bounded": (VARIANTS["same-host"] + "most = { connections = 9 }\n", {}),
    "reached in the clear from this host alone": (VARIANTS["same-host"], {"listener": SERVES}),
    "reached in the clear from a network, by that listener alone": (
        VARIANTS["mutual"] + 'listeners = ["inner"]\n',
        {"listener": f"{SERVES}\n{ACCEPTANCE}".replace("127.0.0.1:8080", "10.0.0.9:8080"), "site": ASKED},
    ),
    "answered by the edge, reached in the clear": (
        'host = "a.test"\nanswer = { status = 404 }\n',
        {"listener": f"{SERVES}\n{ACCEPTANCE}".replace("127.0.0.1:8080", "10.0.0.9:8080")},
    ),
    "silent about what goes as decided": (VARIANTS["same-host"] + "log = false\n", {}),
    "with a file of its own": (VARIANTS["passthrough"] + 'log = "/var/log/r.log"\n', {}),
    "with a file of picked fields": (
        VARIANTS["same-host"] + 'log = { to = "r.log", fields = ["time", "end", "header:user-agent"] }\n',
        {},
    ),
    "answered by the edge, with lines for other tools": (
        'host = "a.test"\nanswer = { status = 404 }\nlog = { to = "/var/log/r.log", format = "combined" }\n',
        {},
    ),
    "told to a collector": (VARIANTS["mutual"], {"listener": TOLD}),
    "told to a collector with queries, half of it": (
        VARIANTS["same-host"] + "traces = 0.5\n",
        {"listener": f"{TOLD}query = true\n"},
    ),
    "told to a collector where it is odd alone": (VARIANTS["same-host"] + "traces = 0.0\n", {"listener": TOLD}),
    "not told to the collector that there is": (VARIANTS["same-host"] + "traces = false\n", {"listener": TOLD}),
    "passed through beside a collector": (VARIANTS["passthrough"], {"listener": TOLD}),
    "answered by the edge beside a collector": ('host = "a.test"\nanswer = { status = 404 }\n', {"listener": TOLD}),
    "let in by a password": (VARIANTS["mutual"] + 'basic = { file = "users", strip = true }\n', {}),
    "let in by a password, which goes on": (
        VARIANTS["same-host"] + 'basic = { file = "users" }\nmirror = { to = ["127.0.0.1:2"] }\n',
        {},
    ),
    "asked about": (VARIANTS["mutual"] + 'ask = "sso"\n', {"listener": ASKED_OF}),
    "asked about, and passed unasked": (VARIANTS["same-host"] + 'ask = "sso"\n', {"listener": UNASKED}),
    "asked about as Envoy asks": (
        VARIANTS["mutual"] + 'ask = "sso"\n',
        {"listener": ASKED_OF.replace('path = "/oauth2/auth"', 'speaks = "envoy"')},
    ),
    "asked about and told": (VARIANTS["same-host"] + 'ask = "sso"\n', {"listener": ASKED_OF + TOLD}),
    "passed through beside an authorizer": (VARIANTS["passthrough"], {"listener": ASKED_OF}),
    "inspected": (VARIANTS["mutual"] + 'waf = "crs"\n', {"listener": INSPECTED_BY}),
    "inspected, and some of it not": (VARIANTS["same-host"] + 'waf = "crs"\n', {"listener": SEEN_LESS}),
    "inspected by rules that only detect": (
        VARIANTS["same-host"] + 'waf = "crs"\n',
        {"listener": INSPECTED_BY + 'mode = "detect"\n'},
    ),
    "passed through beside rules": (VARIANTS["passthrough"], {"listener": INSPECTED_BY}),
    "bounded, and nobody waits": (VARIANTS["same-host"] + "most = { requests = 7 }\n", {}),
}


def said(it: RouteTrust) -> list[str]:
    way = f"{it.way}{', a stream' if it.stream else ''}{', on this host' if it.same_host else ''}"
    out = [f"{way}; clients {it.clients}; of {it.allowed}; matches {it.matches!r}"]
    out += [f"keys: {', '.join(it.key_holders)}; readers: {', '.join(it.readers)}"]
    out += [] if it.listeners is None else [f"listeners: {', '.join(it.listeners)}"]
    for opened in it.open_at:
        out.append(
            f"in the clear by {opened.listener} at {opened.bind[0]}: {opened.reader}, signed by {opened.signed and opened.signed.owner}"
        )
    for hop in it.hops:
        closed = f"encrypted, {hop.oldest} or newer" if hop.encrypted else "in the clear"
        out += [f"hop {' to '.join(hop.between)}: {closed}", *(f"    {proof}" for proof in hop.proofs)]
    out += [f"believes {b.who}: {b.what}; {b.why}" for b in it.believed]
    for name in ATTACKERS:
        if (gets := it.attackers.get(name)) is None:
            continue
        letters = "".join(
            c if yes else "-" for c, yes in zip("rcp", (gets.reads, gets.changes, gets.pretends), strict=True)
        )
        out.append(f"{name} {letters} {gets.why}")
    return [*out, *it.done, *(to.sentence for to in (it.asks, it.inspected, it.collector) if to)]


def test_what_is_said_of_each_kind_of_route_is_what_was_read_and_found_true(tmp_path: Path) -> None:
    blocks = []
    for name, (route, more) in CASES.items():
        blocks.append("\n".join([f"# {name}", *said(mapped_route(tmp_path, route, **more))]))
    text = "\n\n".join(blocks) + "\n"
    if os.environ.get("EVERYHOP_WRITE_SAID"):
        FILE.write_text(text)
    assert text == FILE.read_text()
