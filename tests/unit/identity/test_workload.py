"""What is taken of an agent: from a socket that nobody else could put there, and of what it gives the one identity that was asked for."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from spiffe import SpiffeId, TrustDomain, X509Bundle, X509BundleSet, X509Svid
from spiffe.workloadapi.x509_context import X509Context

from everyhop.demo.certificates import Authority
from everyhop.errors import Surroundings
from everyhop.identity.workload import LONGEST, chosen, unfit_agent
from tests.kit.forge import Signer, forged, root
from tests.kit.workload_api import svid

NAME = "spiffe://corp.example/edge"
ROOT = os.geteuid() == 0


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """The socket of an agent, in a folder of its own."""
    (folder := tmp_path / "agent").mkdir(0o755)
    with socket.socket(socket.AF_UNIX) as it:
        it.bind(str(folder / "api.sock"))
        it.listen()
        yield folder / "api.sock"


def why(path: Path) -> str:
    found = unfit_agent(f"unix:{path}")
    return "" if found is None else "; ".join(found)


def test_a_socket_of_ours_in_a_folder_of_ours_is_asked_and_one_that_is_yet_to_come_is_waited_for(agent: Path) -> None:
    assert why(agent) == "" == why(agent.parent / "to come") == why(agent.parent / "none" / "to come")
    assert unfit_agent("unix:relative/api.sock") is None, "that is refused elsewhere"
    assert unfit_agent("unix:/a\0b") is None


def test_what_is_no_socket_is_told(agent: Path) -> None:
    (file := agent.parent / "file").write_text("")
    assert f"{file} is no socket" in why(file) and "is no socket" in why(agent.parent)


def test_a_folder_in_which_others_put_sockets_says_nothing_of_who_this_edge_is(agent: Path) -> None:
    folder = agent.parent
    for mode, others in ((0o700, False), (0o755, False), (0o775, True), (0o757, True), (0o777, True), (0o1777, False)):
        folder.chmod(mode)
        assert (f"chmod go-w {folder}" in why(agent)) == others, oct(mode)
        assert (f"mode {mode:04o}" in why(agent)) == others


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
def test_an_agent_of_root_s_or_of_our_own_is_believed_and_none_of_another_user_s(
    agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for us in (0, 65534):
        monkeypatch.setattr(os, "geteuid", lambda us=us: us)
        for socket_s, folder_s in ((0, 0), (us, us), (us, 0), (0, us)):
            os.chown(agent, socket_s, 0)
            os.chown(agent.parent, folder_s, 0)
            assert why(agent) == ""
        for other in (1, 1234):
            os.chown(agent, other, 0)
            assert f"belongs to another user (uid {other})" in why(agent)
            os.chown(agent, us, 0)
            os.chown(agent.parent, other, 0)
            assert f"(uid {other}, mode 0755)" in why(agent)


class Ground:
    def __init__(self, folder: Path) -> None:
        self.roots = root(Authority(folder, "A"))
        self.edge = svid(self.roots, NAME)

    def gives(self, *them: tuple[str, Signer, Signer], bundles: dict[str, Sequence[Signer]]) -> X509Context:
        """Each by its name, with the certificate of the one and the key of the other."""
        sets = [X509Bundle(TrustDomain(name), {it.cert for it in roots}) for name, roots in bundles.items()]
        svids = [X509Svid(SpiffeId(name), [it.cert, *it.chain], key.key) for name, it, key in them]
        return X509Context(svids, X509BundleSet.of(sets))


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def refused(given: X509Context, wanted: str = NAME) -> str:
    with pytest.raises(Surroundings) as told:
        chosen(given, wanted)
    return str(told.value)


def certs(pem: bytes) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem)


def test_of_several_identities_the_one_that_was_asked_for_is_taken_whole(ground: Ground) -> None:
    below = forged("Below CA", ground.roots, ca=True)
    mine, other = svid(below, NAME), svid(ground.roots, "spiffe://corp.example/other")
    mine.chain[:] = [below.cert]
    given = ground.gives(
        ("spiffe://corp.example/other", other, other), (NAME, mine, mine), bundles={"corp.example": [ground.roots]}
    )
    it = chosen(given, NAME)
    assert certs(it.pair) == [mine.cert, below.cert] and certs(it.roots) == [ground.roots.cert]
    key = load_pem_private_key(it.pair, None)
    assert key.public_key() == mine.cert.public_key() and it.ends == mine.cert.not_valid_after_utc
    assert it.bundles == {} and "PRIVATE" not in repr(it)


def test_of_two_of_one_name_the_first_is_taken(ground: Ground) -> None:
    """SPIFFE Workload API §5.3: the first is the one that is meant."""
    again = svid(ground.roots, NAME)
    given = ground.gives(
        (NAME, ground.edge, ground.edge), (NAME, again, again), bundles={"corp.example": [ground.roots]}
    )
    assert certs(chosen(given, NAME).pair) == [ground.edge.cert]


def test_an_identity_that_was_not_asked_for_is_not_taken_in_its_place(ground: Ground) -> None:
    given = ground.gives((NAME, ground.edge, ground.edge), bundles={"corp.example": [ground.roots]})
    told = refused(given, "spiffe://corp.example/edge2")
    assert f"the agent gives {NAME} and not spiffe://corp.example/edge2" in told


def test_a_key_that_is_another_s_is_not_taken(ground: Ground) -> None:
    given = ground.gives((NAME, ground.edge, svid(ground.roots, NAME)), bundles={"corp.example": [ground.roots]})
    assert refused(given) == f"the agent gives {NAME} with a key that is not its own"


def test_an_identity_without_the_roots_of_its_own_domain_is_not_taken(ground: Ground) -> None:
    without: list[dict[str, Sequence[Signer]]] = [{}, {"other.example": [ground.roots]}, {"corp.example": []}]
    for bundles in without:
        given = ground.gives((NAME, ground.edge, ground.edge), bundles=bundles)
        assert refused(given) == f"the agent gives {NAME} and no roots of its trust domain"


def test_roots_of_other_domains_are_kept_under_their_names_where_a_file_can_have_them(ground: Ground) -> None:
    other = Signer(ground.edge.cert, ground.edge.key)
    longest, longer = "l" * LONGEST, "l" * (LONGEST + 1)
    bundles: dict[str, Sequence[Signer]] = {"corp.example": [ground.roots, other]}
    bundles |= {"b.example": [other], longest: [other], longer: [other], "empty.example": []}
    it = chosen(ground.gives((NAME, ground.edge, ground.edge), bundles=bundles), NAME)
    assert {name: certs(pem) for name, pem in it.bundles.items()} == {"b.example": [other.cert], longest: [other.cert]}
    pems = sorted(one.cert.public_bytes(Encoding.PEM) for one in (ground.roots, other))
    assert it.roots == b"".join(pems), "in one order, so that the same roots are the same file"
    assert LONGEST == 200 and len(f"{longest}.pem.new") < 255, "what a name of a file may be"
