"""What is said of the hop to a backend is what was seen there: in the line, in `status`, in the metrics, and no word of it
at the client. Each promise is tried with a backend of which it holds, and with one of which the opposite does."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.clients import Answer
from tests.kit.raw import OK, Record, answering, head, server_context

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

VERIFY = 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\n'
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
POST = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi"


def route(tls_: str, *to: str, more: str = "") -> str:
    present = 'present = "edge"\n' if tls_ == "mutual" else ""
    verify = "" if tls_ == "plaintext" else VERIFY
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "{tls_}"\nto = {json.dumps(to)}\n{verify}{present}{more}\n'


def at(it: Raw) -> str:
    return f"127.0.0.1:{it.port}"


def ask(it: EdgeKit, request: str = GET) -> Answer:
    with tls(it.port, "a.test", it.pki.public.file) as sock:
        return exchange(sock, request)


def last(it: EdgeKit, count: int) -> dict[str, Any]:
    """The line of the request `count`, the first being 1."""
    it.line(lambda _: len(it.lines()) >= count)
    return it.lines()[count - 1]


def backend(it: EdgeKit, index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = it.status()["routes"][0]["backends"][index]
    return found


def metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return str(answer.read().decode())


def says_nothing(answer: Answer, *secrets: str) -> None:
    """The client learns neither who is behind nor what was wrong there."""
    told = answer.body.decode() + str(answer.headers)
    for secret in ("backend.internal", "127.0.0.1", *secrets):
        assert secret not in told, told


def version(it: Raw, most: ssl.TLSVersion) -> Raw:
    assert it.context is not None
    it.context.maximum_version = most
    return it


VERSIONS = pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@VERSIONS
def test_a_backend_that_refuses_our_certificate_never_knows_us(
    edge: Edges, raw: Raws, pki: Pki, most: ssl.TLSVersion
) -> None:
    refuses = version(raw(answering(OK), pki.backend, clients=pki.public.file), most)
    port = free_port()
    it = edge(route("mutual", at(refuses)), more=f'[status]\nbind = "127.0.0.1:{port}"\n')
    answer = ask(it)
    assert answer.status == 502
    says_nothing(answer, "unknown_ca")
    line = last(it, 1)
    assert line["end"] == "hop/identity-refused"
    assert line["backend_hop"]["identity"] == "refused"
    assert line["failed_hops"][0]["alert"] == "unknown_ca"
    assert line["failed_hops"][0]["at"] == line["failed_hops"][0]["address"] == at(refuses)
    told = backend(it)
    assert (told["identity"], told["failures"]) == ("refused", 1)
    assert told["last_failure"]["alert"] == "unknown_ca"
    screen = it.cli("status", "--config", str(it.config)).stdout
    assert "REFUSED US" in screen and "refuses our certificate" in screen and "knows us" not in screen, screen
    assert f'everyhop_hop_failures_total{{route="r",backend="{at(refuses)}",slug="hop/identity-refused"}} 1' in metrics(
        port
    )


@VERSIONS
def test_a_backend_that_takes_our_certificate_knows_us(edge: Edges, raw: Raws, pki: Pki, most: ssl.TLSVersion) -> None:
    takes = version(raw(answering(OK), pki.backend, clients=pki.internal.file), most)
    it = edge(route("mutual", at(takes)))
    assert ask(it).status == 200
    line = last(it, 1)
    assert (line["backend_hop"]["identity"], line["failed_hops"], line["alarms"]) == ("demanded", [], [])
    assert (backend(it)["identity"], backend(it)["failures"], backend(it)["last_failure"]) == ("demanded", 0, None)
    assert "knows us" in it.cli("status", "--config", str(it.config)).stdout


@VERSIONS
def test_a_backend_that_asked_and_never_answered_is_not_said_to_know_us(
    edge: Edges, raw: Raws, pki: Pki, most: ssl.TLSVersion
) -> None:
    def silent(sock: socket.socket, record: Record) -> None:
        head(sock, record)

    it = edge(route("mutual", at(version(raw(silent, pki.backend, clients=pki.internal.file), most))))
    assert ask(it).status == 502
    line = last(it, 1)
    assert (line["end"], line["backend_hop"]["identity"]) == ("hop/closed", "unknown")
    assert backend(it)["identity"] == "unknown"


def test_a_resumed_session_says_what_the_last_full_handshake_showed(edge: Edges, raw: Raws, pki: Pki) -> None:
    closes = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    for clients, word in ((pki.internal.file, "demanded"), (None, "not_demanded")):
        it = edge(route("mutual", at(raw(answering(closes), pki.backend, clients=clients))))
        for _ in range(3):
            assert ask(it).status == 200
        hops = [last(it, n)["backend_hop"] for n in (1, 3)]
        assert [h["resumed"] for h in hops] == [False, True]
        assert {h["identity"] for h in hops} == {word}


def test_a_backend_that_refuses_us_after_the_handshake_is_ejected(edge: Edges, raw: Raws, pki: Pki) -> None:
    refuses = raw(answering(OK), pki.backend, clients=pki.public.file)
    takes = raw(answering(OK), pki.backend, clients=pki.internal.file)
    it = edge(route("mutual", at(refuses), at(takes)))
    statuses = [ask(it, POST).status for _ in range(12)]
    assert statuses.count(502) == 3, statuses
    assert statuses[-4:] == [200] * 4
    assert [backend(it, i)["state"] for i in (0, 1)] == ["ejected", "up"]


def test_a_refusal_after_the_handshake_is_told_over_http2_too(edge: Edges, raw: Raws, pki: Pki) -> None:
    refuses = raw(answering(OK), pki.backend, clients=pki.public.file, alpn=["h2"])
    it = edge(route("mutual", at(refuses), more='upstream_protocol = "h2"\n'))
    assert ask(it).status == 502
    line = last(it, 1)
    assert (line["end"], line["failed_hops"][0]["alert"]) == ("hop/identity-refused", "unknown_ca")
    assert (backend(it)["failures"], backend(it)["identity"]) == (1, "refused")


def test_a_new_connection_that_dies_unanswered_counts_and_a_kept_one_does_not(edge: Edges, raw: Raws, pki: Pki) -> None:
    def dies(sock: socket.socket, record: Record) -> None:
        head(sock, record)

    def answers_once(sock: socket.socket, record: Record) -> None:
        head(sock, record)
        sock.sendall(OK)
        head(sock, record)

    it = edge(route("reencrypt", at(raw(dies, pki.backend))))
    assert ask(it, POST).status == 502
    assert backend(it)["failures"] == 1
    other = edge(route("reencrypt", at(raw(answers_once, pki.backend))))
    assert [ask(other, POST).status for _ in range(2)] == [200, 502]
    assert last(other, 2)["backend_hop"]["reused"]
    assert last(other, 2)["failed_hops"][0]["end"] == "hop/closed"
    assert backend(other)["failures"] == 0


def test_only_an_answer_heals(edge: Edges, raw: Raws, pki: Pki) -> None:
    well = [False]

    def perhaps(sock: socket.socket, record: Record) -> None:
        if head(sock, record) and well[0]:
            sock.sendall(OK)

    it = edge(route("reencrypt", at(raw(perhaps, pki.backend))))
    for n in (1, 2):
        assert ask(it, POST).status == 502
        assert backend(it)["failures"] == n
    well[0] = True
    assert ask(it, POST).status == 200
    assert backend(it)["failures"] == 0
    assert backend(it)["last_failure"]["end"] == "hop/closed"


# A name with two addresses, of which one serves. The edge sees names as a file of the test's has them.


def named(folder: Path, *addresses: str) -> list[str]:
    """What to run the edge under, so that `two.test` has these addresses."""
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{ip} two.test\n" for ip in addresses))
    own = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    return [*own, "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "x"]


def at_two(it: Raw) -> str:
    return f"two.test:{it.port}"


can_name = pytest.mark.skipif(
    subprocess.run(["unshare", *([] if os.geteuid() == 0 else ["-r"]), "-m", "true"], check=False).returncode != 0,
    reason="no mount namespace of one's own here",
)


@can_name
@pytest.mark.parametrize("alive", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("tls_", ["reencrypt", "passthrough"])
def test_a_name_with_one_dead_family_serves_every_request(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, alive: str, tls_: str
) -> None:
    """F07."""
    serves = raw(answering(OK), pki.backend if tls_ == "reencrypt" else pki.pass_leaf, host=alive)
    routes, host = route(tls_, at_two(serves)), "a.test"
    if tls_ == "passthrough":
        routes, host = routes.replace("a.test", "pass.test").replace(VERIFY, ""), "pass.test"
    it = edge(routes, under=named(tmp_path, "::1", "127.0.0.1"))
    for _ in range(6):
        with tls(it.port, host, pki.public.file) as sock:
            assert exchange(sock, GET).status == 200
    four, six = f"127.0.0.1:{serves.port}", f"[::1]:{serves.port}"
    good, dead = (four, six) if alive == "127.0.0.1" else (six, four)
    line = last(it, 1)
    assert line["backend_hop"]["address"] == good
    told = {a["at"]: a for a in backend(it)["addresses"]}
    assert set(told) == {four, six}
    assert backend(it)["state"] == "up"
    assert (told[good]["state"], told[good]["failures"], told[good]["last_failure"]) == ("up", 0, None)
    # RFC 6724 puts ::1 first: dead, it was tried, and is told of though the request was served; alive, it is all.
    assert [(f["address"], f["end"]) for f in line["failed_hops"]] == (
        [(dead, "hop/connect-failed")] if alive == "127.0.0.1" else []
    )


@can_name
def test_the_addresses_of_a_name_take_new_connections_in_turn(edge: Edges, raw: Raws, pki: Pki, tmp_path: Path) -> None:
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    serves = raw(answering(closing), pki.backend, host="0.0.0.0")
    it = edge(route("reencrypt", at_two(serves)), under=named(tmp_path, "127.0.0.1", "127.0.0.2"))
    for _ in range(4):
        assert ask(it).status == 200
    seen = sorted(last(it, n)["backend_hop"]["address"] for n in range(1, 5))
    assert seen == [f"127.0.0.{host}:{serves.port}" for host in (1, 1, 2, 2)]


@can_name
def test_no_address_alive_is_told_for_each(edge: Edges, pki: Pki, tmp_path: Path) -> None:
    port = free_port()
    it = edge(route("reencrypt", f"two.test:{port}"), under=named(tmp_path, "127.0.0.1", "127.0.0.2"))
    assert ask(it).status == 502
    assert {f["address"] for f in last(it, 1)["failed_hops"]} == {f"127.0.0.1:{port}", f"127.0.0.2:{port}"}
    assert backend(it)["failures"] == 2


@can_name
def beside(serves: Callable[[], Raw]) -> tuple[Raw, socket.socket]:
    """One that serves, and a socket at another address with the same port, which nobody has there."""
    for _ in range(20):
        it = serves()
        with contextlib.suppress(OSError):
            return it, socket.create_server(("127.0.0.1", it.port), backlog=0)
    raise AssertionError("no port is free at both addresses")


def test_an_address_that_swallows_costs_its_share_and_is_ejected_by_itself(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path
) -> None:
    closes = answering(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    serves, swallows = beside(lambda: raw(closes, pki.backend, host="127.0.0.2"))
    with swallows as full, contextlib.ExitStack() as held:
        for _ in range(4):
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        limits = "[limits]\nconnect_s = 2\neject_after = 1\n"
        under = named(tmp_path, "127.0.0.1", "127.0.0.2")
        it = edge(route("reencrypt", at_two(serves)), more=limits, under=under)
        assert ask(it).status == 200
        (failed,) = last(it, 1)["failed_hops"]
        assert (failed["address"], failed["end"]) == (f"127.0.0.1:{serves.port}", "hop/connect-timeout")
        assert 900_000 <= failed["duration_us"] < 1_900_000
        states = {a["at"]: a["state"] for a in backend(it)["addresses"]}
        assert states == {f"127.0.0.1:{serves.port}": "ejected", f"127.0.0.2:{serves.port}": "up"}
        assert backend(it)["state"] == "up"
        assert ask(it).status == 200
        assert last(it, 2)["failed_hops"] == []


# What a failed hop leaves behind.


def test_a_wrong_certificate_is_named_at_a_glance_and_a_right_one_takes_it_back(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    wrong, right = raw(answering(OK), pki.other), raw(answering(OK), pki.backend)
    port = free_port()
    it = edge(route("reencrypt", at(wrong), at(right)), more=f'[status]\nbind = "127.0.0.1:{port}"\n')
    for _ in range(2):
        assert ask(it).status == 200
    lines = [last(it, n) for n in (1, 2)]
    (failed,) = next(line["failed_hops"] for line in lines if line["failed_hops"])
    cert = x509.load_pem_x509_certificate(Path(pki.other.chain).read_bytes())
    assert (failed["at"], failed["address"], failed["end"]) == (at(wrong), at(wrong), "hop/name-mismatch")
    assert failed["expected"] == "backend.internal"
    assert failed["certificate"] == {
        "names": ["other.internal"],
        "subject": "CN=other.internal",
        "issuer": "CN=Internal CA",
        "not_after": cert.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "sha256": cert.fingerprint(hashes.SHA256()).hex(),
    }
    assert [backend(it, i)["impostor"] for i in (0, 1)] == [True, False]
    told = backend(it)["last_failure"]
    assert told["certificate"] == failed["certificate"] and told["time"]
    screen = it.cli("status", "--config", str(it.config)).stdout
    assert f"wrong certificate: {at(wrong)} hop/name-mismatch" in screen and "other.internal" in screen, screen
    text = metrics(port)
    assert f'everyhop_backend_impostor{{route="r",backend="{at(wrong)}"}} 1' in text
    assert f'everyhop_backend_impostor{{route="r",backend="{at(right)}"}} 0' in text
    assert f'everyhop_hop_failures_total{{route="r",backend="{at(wrong)}",slug="hop/name-mismatch"}}' in text
    assert f'everyhop_hop_failures_total{{route="r",backend="{at(right)}"' not in text
    wrong.context = server_context(pki.backend)
    for _ in range(4):
        assert ask(it).status == 200
    assert not backend(it)["impostor"]
    assert "wrong certificate" not in it.cli("status", "--config", str(it.config)).stdout


def test_a_lone_backend_with_a_wrong_certificate_leaves_its_hop_in_the_line(edge: Edges, raw: Raws, pki: Pki) -> None:
    wrong = raw(answering(OK), pki.other)
    it = edge(route("reencrypt", at(wrong)))
    answer = ask(it)
    assert answer.status == 502
    says_nothing(answer, "other.internal")
    line = last(it, 1)
    assert (line["backend_hop"]["at"], line["backend_hop"]["address"]) == (at(wrong), at(wrong))
    assert line["failed_hops"][0]["certificate"]["names"] == ["other.internal"]


def test_a_refused_connect_says_which_backend_and_what_the_system_said(edge: Edges) -> None:
    port = free_port()
    it = edge(route("plaintext", f"127.0.0.1:{port}"))
    assert ask(it).status == 502
    line = last(it, 1)
    assert line["backend_hop"]["at"] == f"127.0.0.1:{port}"
    assert (line["failed_hops"][0]["end"], line["failed_hops"][0]["detail"]) == (
        "hop/connect-failed",
        "connection refused",
    )


RULES = {
    "long head": (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", "limits.head_bytes"),
    "many fields": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n", "limits.head_fields"),
    "two codings": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "single chunked"),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "Content-Length occurs twice",
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_an_answer_that_is_refused_says_which_rule_it_broke_to_us_alone(edge: Edges, raw: Raws, rule: str) -> None:
    data, words = RULES[rule]
    it = edge(route("plaintext", at(raw(answering(data)))))
    answer = ask(it)
    assert answer.status == 502
    says_nothing(answer, words)
    line = last(it, 1)
    assert line["end"] == "hop/bad-response"
    assert words in line["failed_hops"][0]["detail"]


def test_an_answer_by_the_rules_says_nothing_of_a_rule(edge: Edges, raw: Raws) -> None:
    it = edge(route("plaintext", at(raw(answering(OK)))))
    assert ask(it).status == 200
    assert last(it, 1)["failed_hops"] == []
