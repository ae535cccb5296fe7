"""Logs: whatever a peer sends, a line is one JSON object that says it in printable characters; and no secret is in it, nor
in anything else that we say."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import re
import secrets
import signal
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from everyhop.demo.certificates import named
from everyhop.demo.stage import free_port
from everyhop.evidence import read_observation
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.clients import opened
from tests.kit.edge import until
from tests.kit.forge import forged, root, saved
from tests.kit.raw import head, rest
from tests.threats.frames import Client, fields
from tests.threats.ground import Ground, response
from tests.threats.hello import SERVER_NAME, Hello, answer, record, sni
from tests.threats.measure import engine_pid

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

PLACES: dict[str, bytes] = {
    "method": b"G\x00T /log HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "path": b"GET /log\x00/x HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "query": b"GET /log?q=\x00 HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "host": b"GET /log HTTP/1.1\r\nHost: a\x00.test\r\n\r\n",
    "authority": b"GET https://a\x00.test/log HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "user agent": b"GET /log HTTP/1.1\r\nHost: a.test\r\nUser-Agent: a\x00b\r\n\r\n",
    "forwarded": b"GET /log HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 192.0.2.\x00, 192.0.2.1\r\n\r\n",
}


Lines = list[dict[str, Any]]


def lines_of(log: Path, after: int = 0) -> Lines:
    """Every line from `after` on: printable ASCII, one JSON object in its exact form, not longer than a line may be."""
    found = []
    for line in log.read_bytes()[after:].split(b"\n")[:-1]:
        assert not (control := [b for b in line if not 0x20 <= b <= 0x7E]), (control, line)
        assert len(line) <= 16 * 1024, "a line is capped"
        read_observation(line.decode())
        found.append(json.loads(line))
    return found


def settled(log: Path, after: int, done: Callable[[Lines], bool]) -> Lines:
    """The lines from `after` on, once `done` with them; others may share the log."""

    def look() -> Lines | None:
        lines = lines_of(log, after)
        return lines if done(lines) else None

    return until(look, 20, lambda: str(lines_of(log, after)[-20:]))


def size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


@pytest.mark.parametrize("place", PLACES)
def test_every_byte_in_every_place_of_a_request_gives_lines_that_are_whole(ground: Ground, place: str) -> None:
    """G01. Refused or served; from a trusted proxy, whose X-Forwarded-For is read."""
    after = size(ground.edge.log)
    for byte in range(256):
        with socket.create_connection(("127.0.0.1", ground.edge.port), 20, ("127.0.0.9", 0)) as sock:
            context = ssl.create_default_context(cafile=str(ground.pki.public.file))
            with context.wrap_socket(sock, server_hostname="a.test") as spoken:
                spoken.sendall(PLACES[place].replace(b"\x00", bytes([byte])))
                response(spoken)
    ground.clean()
    back = {"G'T", "G`T", "G|T"} if place == "method" else set()
    # None is missing, and what was let through can be read back.
    settled(ground.edge.log, after, lambda found: len(found) >= 257 and back <= {x["method"] for x in found})


def test_every_byte_in_a_server_name_gives_lines_that_are_whole(ground: Ground) -> None:
    """G01."""
    after = size(ground.edge.log)
    it = Hello.like_openssl()
    for byte in range(256):
        answer(ground, record(it.message((SERVER_NAME, sni(b"a" + bytes([byte]) + b".test")))))
        if byte % 16 == 10:
            answer(ground, record(it.message((SERVER_NAME, sni(bytes([byte]) * 253)))))
    back = {"a0.test", "az.test"}
    settled(ground.edge.log, after, lambda found: len(found) >= 272 and back <= {x["sni"] for x in found})


def test_every_byte_in_a_field_list_gives_lines_that_are_whole(ground: Ground) -> None:
    """G01. HTTP/2 has no lines that a byte could end."""
    after = size(ground.edge.log)
    it, stream = None, 1
    for byte, place in itertools.product(range(256), ("path", "method", "value")):
        if it is None or it.closed or it.goaway is not None:
            it, stream = Client(ground.connect(alpn=["h2"])), 1
        b = bytes([byte])
        block = {
            "path": fields("a.test", path=b"/log" + b),
            "method": fields("a.test", method=b"G" + b),
            "value": fields("a.test", (b"user-agent", b"a" + b)),
        }[place]
        it.ask(stream, block)
        stream += 2
    ground.clean()
    back = {"/log'", "/log~"}
    settled(ground.edge.log, after, lambda found: len(found) >= 300 and back <= {x["path"] for x in found})


def test_texts_without_end_are_cut_and_marked(ground: Ground) -> None:
    """G01. A path of 8,000 bytes, a field of 30,000, one of 64 KiB that is refused."""
    after = size(ground.edge.log)
    long = b"GET /" + b"p" * 8000 + b" HTTP/1.1\r\nHost: a.test\r\n\r\n"
    agent = b"GET /agent HTTP/1.1\r\nHost: a.test\r\nUser-Agent: " + b"u" * 30_000 + b"\r\n\r\n"
    refused = b"GET /r HTTP/1.1\r\nHost: a.test\r\nUser-Agent: " + b"u" * 65_536 + b"\r\n\r\n"
    for sent, status in ((long, 200), (agent, 200), (refused, 431)):
        with ground.connect() as sock:
            sock.sendall(sent)
            assert response(sock)[0] == status
    expected = {"/" + "p" * 1023 + "...", "/agent"}
    settled(ground.edge.log, after, lambda found: expected <= {x["path"] for x in found})


HOSTILE = [
    'evil.test\n{"route":"forged"}',
    "a\r\nb.test",
    "\x1b[31mred.test",
    '"quoted".test',
    "back\\slash.test",
    "nul\x00.test",
    "line\u2028sep.test",
    "ünïcode.test",
    "tab\t.test",
    "\x7f.test",
    "%0a.test",
]


def test_a_client_certificate_with_hostile_names_forges_no_line_and_moves_no_terminal(
    ground: Ground, tmp_path: Path
) -> None:
    """G01. Newlines, escapes, quotes, NUL and U+2028 in subject and names, and two thousand names."""
    after = size(ground.edge.log)
    by = root(ground.pki.public)
    raw_names: list[x509.GeneralName] = []
    for text in HOSTILE:
        for kind in (x509.DNSName, x509.UniformResourceIdentifier):
            with contextlib.suppress(ValueError):  # what the library will not write stands in the subject alone
                raw_names.append(kind(text if kind is x509.DNSName else "spiffe://x/" + text))
    passed = 0
    for number, text in enumerate([*HOSTILE, "many"]):
        names: list[str | x509.GeneralName] = ["client.test", *raw_names]
        if text == "many":
            names = ["client.test", *(f"n{i}.client.test" for i in range(2000))]
        leaf = saved(tmp_path, f"hostile{number}", forged(text.replace("\x00", "0"), by, names=names), by)
        with contextlib.suppress(OSError), ground.connect("m.test", leaf=leaf) as sock:
            sock.sendall(b"GET /hostile HTTP/1.1\r\nHost: m.test\r\n\r\n")
            passed += response(sock)[0] == 200
    assert passed, "at least those that the verifier takes"
    lines = settled(ground.edge.log, after, lambda them: sum(x["path"] == "/hostile" for x in them) == passed)
    found = [x for x in lines if x["path"] == "/hostile"]
    assert {x["route"] for x in found} == {"private"}
    assert all(1 <= len(x["client_hop"]["peer"]["names"]) <= 17 for x in found)
    assert any(x["client_hop"]["peer"]["names"][-1] == "..." for x in found), "what was left out is told"
    for command in (
        ("status",),
        ("where", "m.test/hostile"),
        ("status", "--json"),
        ("where", "--json", "m.test/hostile"),
    ):
        said = ground.edge.cli(*command, "--config", str(ground.edge.config))
        assert said.stdout, said.stderr
        control = [c for c in said.stdout + said.stderr if not c.isprintable() and c != "\n"]
        assert not control, control


def test_named_is_what_the_subject_would_be() -> None:
    """The kit writes a hostile subject as it is: the test above is no test of nothing."""
    assert named(HOSTILE[0]).rfc4514_string().count("\n") == 1


# G02.

UPSTREAMS = """
[[route]]
name = "plain"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{plain}"]
[[route]]
name = "mutual"
host = "c.test"
tls = "mutual"
to = ["127.0.0.1:{mutual}"]
verify = {{ ca = "{{pki}}/internal-ca.pem", name = "backend.internal" }}
present = "edge"
[[route]]
name = "wrong"
host = "b.test"
tls = "reencrypt"
to = ["127.0.0.1:{mutual}"]
verify = {{ ca = "{{pki}}/public-ca.pem", name = "other.internal" }}
[[route]]
name = "dead"
host = "a.test"
path = "/dead"
tls = "plaintext"
to = ["127.0.0.1:{dead}"]
[[route]]
name = "garbage"
host = "a.test"
path = "/garbage"
tls = "plaintext"
to = ["127.0.0.1:{garbage}"]
"""


class Canaries:
    """Secrets that occur nowhere else, and the look-out for each in any of its forms."""

    def __init__(self) -> None:
        self.by_name: dict[str, list[bytes]] = {}

    def new(self, name: str) -> str:
        secret = secrets.token_hex(16)
        self.by_name[name] = forms(secret.encode())
        return secret

    def key(self, name: str, path: Path) -> None:
        """A private key: each line of its PEM, and its number."""
        pem = path.read_bytes()
        lines = [line for line in pem.splitlines() if not line.startswith(b"-----")]
        private = load_pem_private_key(pem, None)
        number: int = private.private_numbers().private_value  # type: ignore[union-attr]
        scalar = number.to_bytes(32, "big")
        self.by_name[name] = [*(line for line in lines if len(line) >= 24), *forms(scalar)]

    def in_(self, said: bytes) -> list[str]:
        return [name for name, all_ in self.by_name.items() if any(it in said for it in all_)]


def forms(secret: bytes) -> list[bytes]:
    """As it is, and how it would be printed."""
    return [secret, secret.hex().encode(), base64.b64encode(secret).rstrip(b"=")]


def telling(secret: str) -> Callable[[socket.socket, bytearray], None]:
    """Answers with a secret in the body and in a field."""

    def script(sock: socket.socket, record: bytearray) -> None:
        while (request := head(sock, record)) is not None:
            if length := re.search(rb"\r\ncontent-length: (\d+)\r\n", request, re.I):
                rest(sock, record, int(length[1]))
            body = secret.encode()
            sock.sendall(
                b"HTTP/1.1 200 OK\r\nSet-Cookie: s=%s\r\nContent-Length: %d\r\n\r\n" % (body, len(body)) + body
            )

    return script


def garbage(secret: str) -> Callable[[socket.socket, bytearray], None]:
    def script(sock: socket.socket, record: bytearray) -> None:
        head(sock, record)
        sock.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {secret}\r\nSet-Cookie: {secret}\r\n\r\n{secret}".encode())

    return script


def test_no_secret_is_in_anything_that_we_say(edge: Edges, raw: Raws, pki: Pki) -> None:
    """G02. Success, refusals, broken backends, broken TLS, refused reloads; then every output there is."""
    canaries = Canaries()
    answer_secret = canaries.new("response body")
    bad_answer = canaries.new("broken response")
    plain, mutual = raw(telling(answer_secret)), raw(telling(answer_secret), pki.backend, clients=pki.internal.file)
    status = free_port()
    ports = {"plain": plain.port, "mutual": mutual.port, "dead": free_port(), "garbage": raw(garbage(bad_answer)).port}
    routes = UPSTREAMS.format(**ports)
    it = edge(
        routes,
        site='clients = { ca = "{pki}/public-ca.pem", mode = "ask" }',
        listener='accept_proxy = ["127.0.0.1/32"]',
        more=f'[status]\nbind = "127.0.0.1:{status}"\n',
    )
    for name in ("edge", "identity", "client"):
        canaries.key(f"key of {name}", pki.folder / f"{name}.key")
    sent = {
        name: canaries.new(name)
        for name in (
            "authorization",
            "cookie",
            "proxy-authorization",
            "query",
            "body",
            "api key",
            "tlv",
            "query of a refusal",
        )
    }
    tlv = bytes([0xE0]) + struct.pack(">H", len(sent["tlv"])) + sent["tlv"].encode()
    v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", 12 + len(tlv)) + socket.inet_aton("192.0.2.1") * 2
    v2 += struct.pack(">HH", 40000, 443) + tlv
    said_to_clients = b""

    def ask(host: str, path: str, more: str = "", body: str = "", method: str = "POST", proxy: bytes = v2) -> int:
        nonlocal said_to_clients
        sock = opened(socket.create_connection(("127.0.0.1", it.port), 20))
        sock.sendall(proxy)
        context = ssl.create_default_context(cafile=str(pki.public.file))
        context.load_cert_chain(pki.client.chain, pki.client.key)
        with context.wrap_socket(sock, server_hostname=host) as spoken:
            target = f"{path}?token={sent['query']}"
            lines = [
                f"{method} {target} HTTP/1.1",
                f"Host: {host}",
                f"Authorization: Bearer {sent['authorization']}",
                f"Cookie: session={sent['cookie']}",
                f"Proxy-Authorization: Basic {sent['proxy-authorization']}",
                f"X-Api-Key: {sent['api key']}",
            ]
            text = "\r\n".join(lines) + f"\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}"
            spoken.sendall(text.encode())
            code, got, answered = response(spoken)
            if code != 200:
                said_to_clients += got + json.dumps(answered).encode()
            return code

    # All of it really travels: it arrives where it should.
    assert ask("a.test", "/", body=sent["body"]) == 200
    assert ask("c.test", "/", body=sent["body"]) == 200
    for upstream in (plain, mutual):
        reached = canaries.in_(upstream.received)
        assert {"authorization", "cookie", "query", "body", "api key"} <= set(reached)
        assert not {"proxy-authorization", "tlv"} & set(reached), "what concerns this hop alone goes no further"
    # Refused and broken in each way.
    expected = {
        ("b.test", "/"): 502,
        ("a.test", "/dead"): 502,
        ("a.test", "/garbage"): 502,
    }
    for (host, path), code in expected.items():
        assert ask(host, path, body=sent["body"]) == code, (host, path)
    assert ask("a.test", "/", more="Host: other.test\r\n") == 400
    assert ask("a.test", "/", more="Transfer-Encoding: chunked\r\n", body=sent["body"]) == 400
    assert ask("a.test", "/", more=f"X{sent['cookie']} : x\r\n") == 400
    assert ask("a.test", f"/%0?{sent['query of a refusal']}") == 400
    assert ask("a.test", "/", more=f"Authorization: {sent['authorization']}\r\n") == 400
    assert ask("a.test", "/", method="CONNECT") == 405
    with contextlib.suppress(OSError):
        ask("nobody.test", "/")
    with contextlib.suppress(OSError):
        ask("a.test", "/", proxy=v2[:-4])
    # Reloads that fail at a secret: in the file, in the place of a key, in a key's file.
    inline, in_file, in_error = canaries.new("inline key"), canaries.new("key file"), canaries.new("line with an error")
    good = it.config.read_text()
    broken_key = it.folder / "broken.key"
    broken_key.write_text(f"-----BEGIN PRIVATE KEY-----\n{in_file}\n-----END PRIVATE KEY-----\n")
    broken_key.chmod(0o600)
    key = f'key = "file:{pki.folder}/edge.key"'
    assert key in good
    broken = [
        good.replace(key, f'key = "{inline}"'),
        good.replace(key, f"key = '{inline}'"),
        good.replace(key, f'key = "file:{broken_key}"'),
        good.replace(key, f'key = "{in_error}'),
        good.replace(key, f'key = "{in_error}", key = "x"'),
        good.replace(key, f'key = """\n-----BEGIN PRIVATE KEY-----\n{in_error}\n-----END PRIVATE KEY-----\n"""'),
        good.replace(key, f'unknown = 1, key = "{in_error}"'),
    ]
    said = b""
    for text in broken:
        it.config.write_text(text)
        if "admin.sock" in text:
            with contextlib.suppress(Exception):
                answered = it.admin("reload")
                assert not answered["reloaded"], text
                said += json.dumps(answered).encode()
        it.edge.process.send_signal(signal.SIGHUP)
        told = it.cli("check", "--json", str(it.config))
        assert told.returncode == 1, told.stderr
        said += (told.stdout + told.stderr).encode()
    it.config.write_text(good)
    assert it.admin("reload")["reloaded"]
    # Everything that we say.
    for command in (f"check {it.config}", f"plan {it.config}", "explain secret/inline"):
        done = it.cli(*command.split())
        assert done.stdout or done.stderr
        said += (done.stdout + done.stderr).encode()
    for command in ("status", "status --json", "where a.test/", "where --json c.test/"):
        done = it.cli(*command.split(), "--config", str(it.config))
        assert done.stdout, done.stderr
        said += (done.stdout + done.stderr).encode()
    with urlopen(f"http://127.0.0.1:{status}/metrics", timeout=20) as scraped:
        said += scraped.read()
    assert it.line(lambda x: x["path"] == "/garbage", 20)["end"] == "hop/bad-response"
    outputs = {
        "answers to clients": said_to_clients,
        "commands, metrics, admin": said + json.dumps(it.admin("status")).encode(),
        "access log": it.log.read_bytes(),
        "what both processes said": "\n".join(it.edge.said).encode(),
    }
    for where, text in outputs.items():
        assert len(text) > 100, where
        assert canaries.in_(text) == [], where


PAGE = os.sysconf("SC_PAGE_SIZE")


def memory_of(pid: int) -> bytes:
    """All that a process has written to, page by page; skips the test where nobody may look."""
    found = bytearray()
    try:
        with (
            open(f"/proc/{pid}/mem", "rb", buffering=0) as memory,
            open(f"/proc/{pid}/pagemap", "rb", buffering=0) as map_of,
        ):
            for row in Path(f"/proc/{pid}/maps").read_text().splitlines():
                span, rights = row.split()[:2]
                if "w" not in rights:
                    continue
                first, last = (int(x, 16) // PAGE for x in span.split("-"))
                map_of.seek(first * 8)
                entries = map_of.read((last - first) * 8)
                for index, (entry,) in enumerate(struct.iter_unpack("<Q", entries)):
                    # Present or swapped out: the rest of what is reserved was never touched.
                    if entry >> 62:
                        memory.seek((first + index) * PAGE)
                        found += memory.read(PAGE)
    except PermissionError:
        pytest.skip("only root may look into the memory of an engine that is not dumpable")
    return bytes(found)


def test_a_key_is_nowhere_in_the_engines_memory_but_where_tls_holds_it(edge: Edges, raw: Raws, pki: Pki) -> None:
    """G02, K03. Not as PEM, nor as the JSON that brought it, after the start, a reload and a renewal."""
    it = edge(UPSTREAMS.format(plain=raw(telling("x")).port, mutual=1, dead=1, garbage=1))
    canaries = Canaries()
    for name in ("edge", "identity"):
        canaries.key(f"key of {name}", pki.folder / f"{name}.key")
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 200
    for _ in range(3):
        assert it.admin("reload")["reloaded"]
    memory = memory_of(engine_pid(it))
    assert b"backend.internal" in memory and b"a.test" in memory, "what is there is found"
    assert canaries.in_(memory) == []


def test_an_engine_that_aborts_leaves_no_core_and_shows_its_memory_to_nobody(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path
) -> None:
    """G02, K03. By its limits, by who owns its files in /proc, and by what a real abort leaves behind."""
    it = edge(UPSTREAMS.format(plain=raw(telling("x")).port, mutual=1, dead=1, garbage=1))
    pid = engine_pid(it)
    for process in (pid, it.edge.process.pid):
        limits = Path(f"/proc/{process}/limits").read_text()
        assert re.search(r"Max core file size\s+0\s", limits), limits
    running_as = int(re.search(r"Uid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])  # type: ignore[index]
    if running_as == 0:
        pytest.skip("of root's processes /proc tells not whether they are dumpable")
    assert Path(f"/proc/{pid}/environ").stat().st_uid == 0, "a dumpable process would be its own user's"
    where = {Path(os.readlink(f"/proc/{pid}/cwd")), Path(os.readlink(f"/proc/{it.edge.process.pid}/cwd")), it.folder}
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern.startswith("/"):
        where.add(Path(pattern).parent)

    def cores() -> set[Path]:
        return {path for folder in where for path in folder.glob("*core*") if path.is_file()}

    before = cores()
    os.kill(pid, signal.SIGABRT)
    it.edge.wait_for("the engine is back", 30)
    assert cores() == before
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 200


def test_a_supervisor_is_dumped_by_nobody_either() -> None:
    """G02. It holds the keys that it gives to the engine; a limit of zero does not stop handlers that are piped to."""
    code = (
        "import ctypes, resource\n"
        "from everyhop.admin.supervisor import give_up_what_is_not_needed\n"
        "prctl = ctypes.CDLL(None).prctl\n"
        "before = prctl(3, 0, 0, 0, 0)\n"
        "give_up_what_is_not_needed()\n"
        "print(before, prctl(3, 0, 0, 0, 0), prctl(39, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    # PR_GET_DUMPABLE before and after, PR_GET_NO_NEW_PRIVS.
    assert done.stdout.split() == ["1", "0", "1", "(0,", "0)"]
