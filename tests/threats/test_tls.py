"""TLS on one port for all patterns: what the hello says decides, however it arrives; what it does not say is not guessed."""

from __future__ import annotations

import ssl
import subprocess

import pytest

from tests.threats.ground import Ground, response, watched
from tests.threats.hello import (
    ALPN,
    CCS,
    DECODE_ERROR,
    ECH,
    PADDING,
    PROTOCOL_VERSION,
    SERVER_NAME,
    UNRECOGNIZED_NAME,
    Hello,
    answer,
    hello,
    named,
    record,
    sni,
)

ENDED, PASSED = b"a.test", b"pass.test"


@pytest.mark.parametrize("name", [ENDED, PASSED])
def test_a_hello_cut_at_every_byte_takes_the_same_route(ground: Ground, name: bytes) -> None:
    """T01. Also a byte at a time, and with a kilobyte and a half before the name, as post-quantum key shares are."""
    whole = named(name)
    for cut in range(1, len(whole)):
        assert answer(ground, whole[:cut], whole[cut:]) == ("hello", 0), cut
    assert answer(ground, *(whole[i : i + 1] for i in range(len(whole)))) == ("hello", 0)
    long = hello((PADDING, b"\0" * 1600), (SERVER_NAME, sni(name)))
    for cut in (1, 5, 9, 1400, 1460, 1640, len(long) - 1):
        assert answer(ground, long[:cut], long[cut:]) == ("hello", 0), cut


@pytest.mark.parametrize("name", [ENDED, PASSED])
def test_a_hello_over_many_records_is_read_whole_or_refused_and_never_taken_for_nameless(
    ground: Ground, name: bytes
) -> None:
    """T02."""
    message = Hello.like_openssl().message((SERVER_NAME, sni(name)))
    ones = [record(message[i : i + 1]) for i in range(len(message))]
    assert answer(ground, b"".join(ones))[0] in {"hello", "alert"}
    halves = [record(message[:100]), record(message[100:])]
    assert answer(ground, *halves) == ("hello", 0)
    for between in (record(b"\x01", CCS), record(b""), record(b"", 23), b"\x17\x03\x03\x00\x00", record(b"x" * 10, 99)):
        kind, what = answer(ground, halves[0], between, halves[1])
        assert (kind, what) != ("alert", UNRECOGNIZED_NAME), "that would be the answer to no name"
        assert kind in {"alert", "closed"}, between


def test_a_hello_that_never_ends_is_held_no_longer_than_what_came_of_it(ground: Ground) -> None:
    """T03."""
    message = Hello.like_openssl().message((SERVER_NAME, sni(ENDED)))
    huge = b"\x01\xff\xff\xff" + message[4:]
    assert answer(ground, record(huge), end=True)[0] in {"alert", "closed"}
    wide = Hello.like_openssl().message((PADDING, b"\0" * 60_000), (SERVER_NAME, sni(ENDED)))
    pieces = [record(wide[i : i + 16_000]) for i in range(0, len(wide), 16_000)]
    assert answer(ground, *pieces)[0] in {"alert", "closed"}
    for length in (0, 1, 3):
        assert answer(ground, record(b"\x01" + b"\0\0" + bytes([length]) + b"\0" * length), end=True)[0] in {
            "alert",
            "closed",
        }
    ground.clean()


NAMES: list[tuple[str, tuple[bytes, ...], str]] = [
    ("lower case", (ENDED,), "hello"),
    ("mixed case", (b"A.tEsT",), "hello"),
    ("passthrough in mixed case", (b"PaSs.TeSt",), "hello"),
    ("unknown", (b"nobody.test",), "alert"),
    ("two names", (ENDED, PASSED), "alert"),
    ("no name in the list", (), "alert"),
    ("empty name", (b"",), "alert"),
    ("IPv4", (b"127.0.0.1",), "alert"),
    ("IPv6", (b"::1",), "alert"),
    ("NUL", (b"a.test\0",), "alert"),
    ("NUL before", (b"pass.test\0.a.test",), "alert"),
    ("UTF-8", ("ä.test".encode(),), "alert"),
    ("256 bytes", (b"a" * 251 + b".test",), "alert"),
    ("port", (b"a.test:443",), "alert"),
    ("space", (b"a.test ",), "alert"),
    ("path", (b"a.test/",), "alert"),
    ("empty label", (b"a..test",), "alert"),
    ("wildcard", (b"*.w.test",), "alert"),
    ("below a host", (b"x.a.test",), "alert"),
]


@pytest.mark.parametrize(("what", "names", "outcome"), NAMES, ids=[n for n, _, _ in NAMES])
def test_one_normaliser_reads_every_server_name(
    ground: Ground, what: str, names: tuple[bytes, ...], outcome: str
) -> None:
    """T04."""
    kind, alert = answer(ground, hello((SERVER_NAME, sni(*names))))
    assert kind == outcome, (what, kind, alert)
    assert kind == "hello" or alert in {UNRECOGNIZED_NAME, DECODE_ERROR}


def test_a_hello_without_a_name_or_with_a_second_list_gets_nobodys_certificate(ground: Ground) -> None:
    """T04."""
    assert answer(ground, hello()) == ("alert", UNRECOGNIZED_NAME)
    twice = hello((SERVER_NAME, sni(ENDED)), (SERVER_NAME, sni(PASSED)))
    assert answer(ground, twice)[0] == "alert"
    for bad in (b"", b"\0", b"\0\x05", b"\0\x02\0\0\0", sni(ENDED)[:-1], sni(ENDED) + b"x"):
        assert answer(ground, hello((SERVER_NAME, bad)))[0] == "alert", bad


@pytest.mark.parametrize("host", ["b.test", "m.test", "pass.test", "nobody.test"])
def test_a_host_that_the_session_is_not_for_is_misdirected(ground: Ground, host: str) -> None:
    """T05. A host of the same site is served, one of another policy is not, whatever the certificate would cover."""
    with watched(ground, "private") as private, watched(ground, "passthrough") as passed, ground.connect() as sock:
        sock.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert response(sock)[0] == (200 if host == "b.test" else 421)
        ground.clean(sock=sock)
    assert private == passed == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_ticket_of_one_site_opens_no_other(ground: Ground, version: ssl.TLSVersion) -> None:
    """T06. The ticket of a site that asks nobody for a certificate, shown to the one that demands one."""
    context = ssl.create_default_context(cafile=str(ground.pki.public.file))
    context.maximum_version = version
    import socket

    def connect(name: str, session: ssl.SSLSession | None) -> ssl.SSLSocket:
        return context.wrap_socket(
            socket.create_connection(("127.0.0.1", ground.edge.port), 10), server_hostname=name, session=session
        )

    with connect("a.test", None) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert response(sock)[0] == 200
        session = sock.session
    with connect("a.test", session) as sock:
        assert sock.session_reused, "at its own site it resumes"
    with watched(ground, "private") as seen:
        try:
            with connect("m.test", session) as sock:
                assert not sock.session_reused
                sock.sendall(b"GET / HTTP/1.1\r\nHost: m.test\r\n\r\n")
                assert response(sock)[0] == 0
        except OSError:
            pass
    assert not seen
    ground.clean()


def s_client(ground: Ground, *more: str, said: str = "") -> str:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{ground.edge.port}", "-servername", "a.test", *more]
    done = subprocess.run(command, input=said, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout + done.stderr


def test_nothing_is_taken_early(ground: Ground, tmp_path: object) -> None:
    """T08. 0-RTT could be replayed: no ticket offers it."""
    session, early = f"{tmp_path}/session", f"{tmp_path}/early"
    with open(early, "w") as out:
        out.write("GET /early HTTP/1.1\r\nHost: a.test\r\n\r\n")
    s_client(
        ground, "-sess_out", session, "-ign_eof", said="GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
    )
    with watched(ground, "plaintext") as seen:
        said = s_client(ground, "-sess_in", session, "-early_data", early)
    assert "Early data was accepted" not in said and (
        "Early data was not sent" in said or "Cannot" in said or "rejected" in said
    ), said
    assert b"/early" not in b"".join(seen)


def test_old_versions_weak_suites_renegotiation_and_other_protocols_are_refused(ground: Ground) -> None:
    """T09."""
    for version in (b"\x03\x00", b"\x03\x01", b"\x03\x02"):
        like = Hello.like_openssl()
        like.front = version + like.front[2:]
        like.extensions = [(k, v) for k, v in like.extensions if k != 43]
        assert answer(ground, record(like.message((SERVER_NAME, sni(ENDED))))) in {
            ("alert", PROTOCOL_VERSION),
            ("alert", 40),
        }, version
    weak = s_client(ground, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:AES128-SHA:@SECLEVEL=0")
    assert "handshake failure" in weak or "no cipher" in weak.lower() or "alert" in weak, weak
    again = s_client(ground, "-tls1_2", said="R\n")
    assert (
        "Secure Renegotiation IS supported" in again
        or "RENEGOTIATING" not in again
        or "no renegotiation" in again.lower()
    )
    assert answer(ground, b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n") == ("http", 400)
    for other in (
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
        b"\x00" * 100,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ):
        assert answer(ground, other, end=True)[0] in {"closed", "alert", "http"}, other
    ground.clean()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("protocols", ["ftp", "acme-tls/1", "smtp,h3", "spdy/3.1"])
def test_a_protocol_that_is_not_spoken_here_ends_the_handshake(ground: Ground, protocols: str, version: str) -> None:
    """T10. So that no server of another protocol can be impersonated under that name (ALPACA)."""
    said = s_client(ground, version, "-alpn", protocols, said="GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
    assert "no application protocol" in said and "HTTP/1.1" not in said, said


def test_a_list_of_protocols_that_cannot_be_read_ends_the_connection(ground: Ground) -> None:
    """T10."""
    for bad in (b"\0\0", b"\0\x02\x05h", b"\0\x01\0"):
        assert answer(ground, hello((SERVER_NAME, sni(ENDED)), (ALPN, bad)))[0] == "alert"


def test_an_encrypted_hello_is_routed_by_its_outer_name_alone(ground: Ground) -> None:
    """T15. Also GREASE, which is what most clients send."""
    ech = b"\x00\x00\x01\x00\x01\x42\x00\x20" + b"k" * 32 + b"\x00\x10" + b"p" * 16
    for name in (ENDED, PASSED):
        assert answer(ground, hello((SERVER_NAME, sni(name)), (ECH, ech), (0x0A0A, b""), (0xFAFA, b"\0"))) == (
            "hello",
            0,
        )
    assert answer(ground, hello((SERVER_NAME, sni(b"inner.test")), (ECH, ech))) == ("alert", UNRECOGNIZED_NAME)
