"""`everyhop migrate --spiffe`: backends whose guards show identities of a trust domain are moved by their SPIFFE IDs. The guard is real, and
the edge's own identity is by the Workload API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everyhop.demo.backends import Backend
from everyhop.demo.certificates import Authority
from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.edge import until
from tests.kit.forge import root, saved
from tests.kit.guards import Guard
from tests.kit.workload_api import WorkloadApi, entry, svid
from tests.wire.test_migrate import GET, in_file, load, route

Edges = Callable[..., EdgeKit]
Raised = Callable[..., Guard]
DOMAIN = "corp.example"
EDGE, PAY = f"spiffe://{DOMAIN}/edge", f"spiffe://{DOMAIN}/pay"


@pytest.fixture
def plain() -> Iterator[Backend]:
    it = Backend("plain", None)
    yield it
    it.close()


@pytest.fixture
def guard(plain: Backend, pki: Pki, tmp_path: Path) -> Iterator[Raised]:
    """Beside the backend, with a certificate of this ID by that authority; it admits the edge alone."""
    raised: list[Guard] = []

    def start(id_: str = PAY, *names: str, by: Authority = pki.internal) -> Guard:
        leaf = saved(tmp_path, f"guard-{len(raised)}", svid(root(by), id_, *names), root(by))
        files = ["--cert", str(leaf.chain), "--key", str(leaf.key), "--ca", str(pki.internal.file), "--admit", EDGE]
        raised.append(Guard(plain.port, *files))
        return raised[-1]

    yield start
    for it in raised:
        it.close()


@pytest.fixture
def it(edge: Edges, plain: Backend, pki: Pki, tmp_path: Path) -> Iterator[EdgeKit]:
    """An edge of the trust domain, whose route is in plaintext yet."""
    agent = WorkloadApi(tmp_path / "agent.sock")
    agent.give(entry(EDGE, svid(root(pki.internal), EDGE), [root(pki.internal)]))
    agent.start()
    mesh = f'[[identity]]\nname = "mesh"\nfrom = "spiffe"\nagent = "{agent.at}"\nid = "{EDGE}"\nstate = "{tmp_path}/state"\n'
    made = edge(route(plain.port) + mesh)
    until(lambda: [one["until"] for one in made.admin("status")["supervisor"]["identities"] if one["until"]])
    yield made
    agent.stop()


def told(it: EdgeKit, to: Guard, *more: str) -> list[str]:
    words = ["--config", str(it.config), "--present", "mesh", "--ca", "identity:mesh", "--to-port", str(to.port)]
    return ["migrate", "r", *words, *more]


def test_a_backend_is_moved_to_the_id_of_its_guard_under_load(it: EdgeKit, guard: Raised, pki: Pki) -> None:
    to = guard()
    before = it.config.read_text()
    with load(it, pki) as made:
        done = it.cli(*told(it, to, "--spiffe", PAY, "--watch", "1", "--apply"))
        assert done.returncode == 0, done.stdout + done.stderr
        answers = made.end()
    assert set(answers) == {200}
    assert f"proves to be {PAY} by TLS 1.3, and takes what 'mesh' shows" in done.stdout
    found = in_file(it)
    assert (found["tls"], found["present"], found["to"]) == ("mutual", "mesh", [f"127.0.0.1:{to.port}"])
    assert found["verify"] == {"ca": "identity:mesh", "spiffe": PAY} and "acceptance" not in found
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).status == 200
    hop = it.status()["routes"][0]["last"]["backend_hop"]
    assert (hop["tls"], hop["identity"]) == ("mutual", "demanded") and PAY in str(hop)
    back = it.cli("migrate", "r", "--config", str(it.config), "--back")
    assert back.returncode == 0 and it.config.read_text() == before, back.stderr


def test_another_workload_is_not_moved_and_is_told_by_its_id(it: EdgeKit, guard: Raised, pki: Pki) -> None:
    before = it.config.read_text()
    mine, other = guard(), guard(f"spiffe://{DOMAIN}/other")
    done = it.cli(*told(it, other, "--spiffe", PAY, "--apply"))
    assert done.returncode == 1 and "[hop/name-mismatch]" in done.stdout, done.stdout + done.stderr
    assert f"it is spiffe://{DOMAIN}/other: if that is who belongs there, say --spiffe spiffe://{DOMAIN}/other" in (
        " ".join(done.stdout.split())
    )
    # By a name that it has not, it is told which workload it is; nothing is implied.
    named = it.cli(*told(it, mine, "--name", "pay.corp.example", "--apply"))
    assert named.returncode == 1 and f"say --spiffe {PAY}" in " ".join(named.stdout.split()), named.stdout
    # Any of the trust domain: who it is stands in the answer.
    any_ = it.cli(*told(it, mine, "--spiffe", f"spiffe://{DOMAIN}/*"))
    assert f"proves to be {PAY}, which is of spiffe://{DOMAIN}/*, by TLS 1.3" in " ".join(any_.stdout.split())
    assert it.config.read_text() == before


def test_what_another_authority_vouches_for_is_believed_nothing(it: EdgeKit, guard: Raised, pki: Pki) -> None:
    """Nor is the ID told that it claims."""
    before = it.config.read_text()
    forged = guard(f"spiffe://{DOMAIN}/other", by=pki.public)
    done = it.cli(*told(it, forged, "--spiffe", PAY, "--apply"))
    assert done.returncode == 1 and "[hop/" in done.stdout, done.stdout + done.stderr
    assert "hop/name-mismatch" not in done.stdout and "--spiffe" not in done.stdout
    same = it.cli(*told(it, guard(PAY, by=pki.public), "--spiffe", PAY, "--apply"))
    assert same.returncode == 1 and "stays plaintext" in same.stdout, same.stdout
    assert it.config.read_text() == before


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ([], 2, "nothing says who is expected at 127.0.0.1:"),
        (["--spiffe", "pay.corp.example"], 1, "hop/spiffe-id"),
        (["--spiffe", "spiffe://partner.example/pay"], 1, "identity/other-domain"),
    ],
)
def test_an_id_that_cannot_be_proved_is_refused_with_its_mend(
    it: EdgeKit, guard: Raised, more: list[str], code: int, said: str
) -> None:
    to = guard()
    before = it.config.read_text()
    done = it.cli(*told(it, to, *more, "--apply"))
    assert done.returncode == code and said in done.stderr, done.stdout + done.stderr
    assert "spiffe://" in done.stderr and it.config.read_text() == before
    good = it.cli(*told(it, to, "--spiffe", PAY))
    assert good.returncode == 0 and "next: the same with --apply" in good.stdout, "the baseline"
