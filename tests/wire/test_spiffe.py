"""`[[identity]] from = "spiffe"`: what an agent gives is shown to backends and clients, its roots are those of their trust domain alone, and
what it does not give takes nothing away. The agent is the Python package's service; the rest is as it runs."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.forge import HOUR, Signer, root, saved
from tests.kit.nursery import everyhop
from tests.kit.raw import OK, answering, server_context
from tests.kit.workload_api import WorkloadApi, entry, svid

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
DOMAIN, PARTNER = "corp.example", "partner.example"
NAME, BACKEND = f"spiffe://{DOMAIN}/edge", f"spiffe://{DOMAIN}/backend"
GET = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
CLOSES = answering(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))


class Ground:
    """An agent, and a backend of the trust domain that asks for a certificate of it."""

    def __init__(self, edge: Edges, raw: Raws, pki: Pki, folder: Path) -> None:
        self.edge, self.folder = edge, folder
        self.roots = root(pki.internal)
        self.at = folder / "agent"
        self.at.mkdir(mode=0o755)
        self.agent = WorkloadApi(self.at / "agent.sock")
        self.state = folder / "state"
        self.shown: list[int] = []

        def serve(sock: socket.socket, record: object) -> None:
            assert isinstance(sock, ssl.SSLSocket)
            shown = sock.getpeercert() or {}
            assert ("URI", NAME) in shown["subjectAltName"]
            self.shown.append(int(str(shown["serialNumber"]), 16))
            CLOSES(sock, record)  # type: ignore[arg-type]

        (folder / "roots.pem").write_bytes(pki.internal.file.read_bytes())
        leaf = saved(folder, "backend", svid(self.roots, BACKEND), self.roots)
        self.backend = raw(serve, leaf, clients=folder / "roots.pem")

    def gives(self, **more: Any) -> Signer:
        it = svid(self.roots, NAME, "edge.corp.example")
        self.agent.give(entry(NAME, it, [self.roots]), **more)
        return it

    def identity(self) -> str:
        return f'[[identity]]\nname = "own"\nfrom = "spiffe"\nagent = "{self.agent.at}"\nid = "{NAME}"\nstate = "{self.state}"\n'

    def route(self, more: str = "", ca: str = "identity:own", port: int | None = None, id_: str = BACKEND) -> str:
        return (
            f'{self.identity()}[[route]]\nname = "r"\nhost = "a.test"\ntls = "mutual"\npresent = "own"\n'
            f'to = ["127.0.0.1:{port or self.backend.port}"]\nverify = {{ ca = "{ca}", spiffe = "{id_}" }}\n'
            f'[[route]]\nname = "other"\nhost = "b.test"\nanswer = {{ status = 200 }}\n{more}'
        )


@pytest.fixture
def ground(edge: Edges, raw: Raws, pki: Pki, tmp_path: Path) -> Iterator[Ground]:
    it = Ground(edge, raw, pki, tmp_path)
    yield it
    it.agent.stop()


def status(it: EdgeKit, host: str = "a.test") -> int:
    with tls(it.port, host, it.pki.public.file, kept=False) as sock:
        return exchange(sock, GET.replace("a.test", host)).status


def told(it: EdgeKit, kind: str) -> list[str]:
    troubles: list[dict[str, Any]] = it.admin("status")["supervisor"]["troubles"]
    return [str(one["why"]) for one in troubles if one["kind"] == kind and one["about"] == "identity own"]


@pytest.mark.parametrize("keys", ["engine", "apart"])
def test_what_the_agent_gives_is_shown_to_backends_and_its_roots_are_believed(keys: str, ground: Ground) -> None:
    given = ground.gives()
    ground.agent.start()
    it = ground.edge(ground.route(), engine=f'keys = "{keys}"')
    until(lambda: status(it) == 200)
    assert ground.shown[-1] == given.cert.serial_number
    assert BACKEND in str(it.line(lambda line: line["end"] == "done" and line["route"] == "r")["backend_hop"])
    assert (ground.state / "current" / "pair.pem").stat().st_mode & 0o777 == 0o600
    assert ground.state.stat().st_mode & 0o777 == 0o700
    (said,) = it.admin("status")["supervisor"]["identities"]
    assert said["identity"] == "own" and said["from"] == f"spiffe {ground.agent.at}" and said["problem"] is None
    assert said["until"] == given.cert.not_valid_after_utc.isoformat()
    (key,) = (key for route in it.explained() for key in route["keys"] if key["whose"] == "identity 'own'")
    assert (key["at"], key["comes"]) == ("engine" if keys == "engine" else "keyholder", "spiffe")
    assert f"The agent at {ground.agent.at} makes it, and so has it too" in key["sentence"]
    kept = load_pem_private_key((ground.state / "current" / "pair.pem").read_bytes(), None)
    assert kept.public_key() == given.key.public_key(), "the very key that the agent has"
    assert told(it, "identity-missing") == told(it, "identity-not-renewed") == []


def test_each_next_certificate_is_shown_and_a_rotation_of_roots_is_followed_without_a_lost_request(
    ground: Ground, pki: Pki, tmp_path: Path
) -> None:
    """The stream brings them; nothing is asked again."""
    ground.gives()
    ground.agent.start()
    it = ground.edge(ground.route())
    until(lambda: status(it) == 200)
    asked = ground.agent.asked
    answers: list[int] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            answers.append(status(it))

    asking = threading.Thread(target=ask)
    asking.start()
    new, both = root(pki.public), tmp_path / "both.pem"
    both.write_bytes(pki.internal.file.read_bytes() + pki.public.file.read_bytes())
    try:
        second = ground.gives()
        until(lambda: ground.shown[-1] == second.cert.serial_number)
        ground.agent.give(entry(NAME, second, [ground.roots, new]))
        until(lambda: (ground.state / "current" / "roots.pem").read_bytes().count(b"BEGIN") == 2)
        # What is on the disk is in force once a reload has answered, and not before.
        it.admin("reload")
        # The backend's certificate is of the new root from here on, which the edge has believed for some requests.
        passed = len(answers)
        until(lambda: len(answers) > passed + 5)
        leaf = saved(tmp_path, "anew", svid(new, BACKEND), new)
        # In one step: a context of which the certificate is another's already, and the key is not, fails whoever comes meanwhile.
        ground.backend.context = server_context(leaf, clients=both)
        third = svid(new, NAME, "edge.corp.example")
        ground.agent.give(entry(NAME, third, [ground.roots, new]))
        until(lambda: ground.shown[-1] == third.cert.serial_number)
        ground.agent.give(entry(NAME, third, [new]))
        until(lambda: (ground.state / "current" / "roots.pem").read_bytes().count(b"BEGIN") == 1)
        passed = len(answers)
        until(lambda: len(answers) > passed + 5)
    finally:
        over.set()
        asking.join()
    assert set(answers) == {200}, answers
    assert ground.agent.asked == asked


def test_until_the_agent_is_there_the_hop_is_refused_by_its_own_word_and_everything_else_is_served(
    ground: Ground,
) -> None:
    it = ground.edge(ground.route())
    with tls(it.port, "a.test", it.pki.public.file) as sock:
        answer = exchange(sock, GET)
    assert (answer.status, "hop/no-identity-yet" in answer.text) == (503, True), answer
    assert status(it, "b.test") == 200
    assert ground.shown == [] and ground.backend.records == []
    until(lambda: any("nobody listens at" in why and "tried again at" in why for why in told(it, "identity-missing")))
    ground.gives()
    ground.agent.start()
    until(lambda: status(it) == 200)
    until(lambda: told(it, "identity-missing") == [])


REFUSALS: dict[str, tuple[Callable[[Ground], None], str]] = {
    "nothing-registered": (
        lambda it: it.agent.refuse(grpc.StatusCode.PERMISSION_DENIED, "no identity issued"),
        "no identity issued",
    ),
    "another-id": (
        lambda it: it.agent.give(entry(f"{NAME}2", svid(it.roots, f"{NAME}2"), [it.roots])),
        f"the agent gives {NAME}2 and not {NAME}",
    ),
    "no-roots": (lambda it: it.agent.give(entry(NAME, svid(it.roots, NAME), [])), "gave nothing: "),
    "anothers-key": (
        lambda it: it.agent.give(entry(NAME, svid(it.roots, NAME), [it.roots], key=svid(it.roots, NAME))),
        "with a key that is not its own",
    ),
    "one-that-is-over": (
        lambda it: it.agent.give(entry(NAME, svid(it.roots, NAME, begins=-HOUR, ends=-HOUR / 2), [it.roots])),
        "gives a certificate that ended at",
    ),
    "two-ids-in-one": (
        lambda it: it.agent.give(entry(NAME, svid(it.roots, NAME, BACKEND), [it.roots])),
        "multiple URI SAN",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_not_this_edge_is_not_taken_and_is_told_in_the_agents_words(case: str, ground: Ground) -> None:
    gives, words = REFUSALS[case]
    gives(ground)
    ground.agent.start()
    it = ground.edge(ground.route())
    until(lambda: any(words in why for why in told(it, "identity-missing")))
    assert status(it) == 503 and ground.shown == []
    first = ground.gives()
    it.admin("reload")
    until(lambda: status(it) == 200)
    gives(ground)
    until(lambda: any(words in why for why in told(it, "identity-not-renewed")))
    assert status(it) == 200 and ground.shown[-1] == first.cert.serial_number, "what was there stays"


def test_an_agent_that_goes_takes_nothing_away_also_from_an_edge_that_is_started_anew(
    ground: Ground, edge: Edges
) -> None:
    first = ground.gives()
    ground.agent.start()
    it = ground.edge(ground.route())
    until(lambda: status(it) == 200)
    ground.agent.stop()
    until(lambda: told(it, "identity-not-renewed") != [])
    assert status(it) == 200 and ground.shown[-1] == first.cert.serial_number
    it.edge.stop()
    again = edge(ground.route())
    assert status(again) == 200 and ground.shown[-1] == first.cert.serial_number
    second = ground.gives()
    ground.agent.start()
    again.admin("reload")
    until(lambda: status(again) == 200 and ground.shown[-1] == second.cert.serial_number)
    until(lambda: told(again, "identity-not-renewed") == [])


def test_an_identity_that_is_taken_out_is_not_followed_any_more(ground: Ground) -> None:
    ground.gives()
    ground.agent.start()
    it = ground.edge(ground.route())
    until(lambda: status(it) == 200)
    until(lambda: ground.agent.streams == 1)
    it.reload('[[route]]\nname = "other"\nhost = "b.test"\nanswer = { status = 200 }\n')
    until(lambda: ground.agent.streams == 0)


def test_roots_of_a_federated_trust_domain_vouch_for_its_workloads_alone_and_for_as_long_as_it_is_federated(
    ground: Ground, raw: Raws, pki: Pki, tmp_path: Path
) -> None:
    theirs, id_ = root(pki.public), f"spiffe://{PARTNER}/pay"
    good = raw(CLOSES, saved(tmp_path, "pay", svid(theirs, id_), theirs))
    posing = raw(CLOSES, saved(tmp_path, "posing", svid(ground.roots, id_), ground.roots))
    ground.gives(federated={PARTNER: [theirs]})
    ground.agent.start()
    label = f"identity:own/{PARTNER}"
    posed = (
        f'[[route]]\nname = "posed"\nhost = "c.test"\ntls = "reencrypt"\nto = ["127.0.0.1:{posing.port}"]\n'
        f'verify = {{ ca = "{label}", spiffe = "{id_}" }}\n'
    )
    it = ground.edge(ground.route(posed, label, good.port, id_))
    until(lambda: status(it) == 200)
    assert status(it, "c.test") == 502 and posing.received == b"", "their own authority does not vouch for others"
    assert it.line(lambda line: line["route"] == "posed")["end"] == "hop/untrusted"
    ground.gives()
    until(lambda: status(it) != 200)
    assert status(it) == 503 and it.status()["routes"][0]["closed"] == "hop/no-identity-yet"
    ground.gives(federated={PARTNER: [theirs]})
    until(lambda: status(it) == 200)


def test_a_site_shows_it_and_knows_its_clients_by_its_roots(ground: Ground, raw: Raws, tmp_path: Path) -> None:
    ground.gives()
    ground.agent.start()
    site = (
        '[[site]]\nname = "inside"\nhosts = ["edge.corp.example"]\ncerts = [{ identity = "own" }]\nclients = { ca = "identity:own" }\n'
        '[[route]]\nname = "inside"\nhost = "edge.corp.example"\nanswer = { status = 200 }\n'
        f'allow = {{ clients = ["spiffe://{DOMAIN}/caller"] }}\n'
    )
    it = ground.edge(ground.route(site))
    until(lambda: status(it) == 200)

    def asked(id_: str) -> int:
        leaf = saved(tmp_path, "client", svid(ground.roots, id_), ground.roots)
        context = ssl.create_default_context(cafile=str(tmp_path / "roots.pem"))
        context.load_cert_chain(leaf.chain, leaf.key)
        with socket.create_connection(("127.0.0.1", it.port), timeout=10) as sock:
            with context.wrap_socket(sock, server_hostname="edge.corp.example") as spoken:
                return exchange(spoken, GET.replace("a.test", "edge.corp.example")).status

    assert asked(f"spiffe://{DOMAIN}/caller") == 200
    assert asked(f"spiffe://{DOMAIN}/other") == 403
    assert asked(f"spiffe://{PARTNER}/caller") == 403


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a socket to somebody else")
@pytest.mark.parametrize("whose", ["socket", "folder", "open-folder"])
def test_an_agent_that_somebody_else_could_be_is_refused_and_not_asked(whose: str, ground: Ground, pki: Pki) -> None:
    ground.gives()
    ground.agent.start()
    if whose == "open-folder":
        ground.at.chmod(0o777)
    else:
        os.chown(ground.agent.socket if whose == "socket" else ground.at, 12_345, -1)
    path = ground.folder / "everyhop.toml"
    path.write_text(
        'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:1"]\n'
        f'[[site]]\nname = "s"\nhosts = ["a.test", "b.test"]\ncerts = [{{ chain = "{pki.site.chain}", key = "file:{pki.site.key}" }}]\n'
        + ground.route()
    )
    done = everyhop("check", str(path))
    assert done.returncode == 1 and "refused [identity/agent]" in done.stderr + done.stdout
    assert ground.agent.asked == 0
    ground.at.chmod(0o755)
    for it in (ground.agent.socket, ground.at):
        os.chown(it, 0, -1)
    assert "identity/agent" not in everyhop("check", str(path)).stderr
