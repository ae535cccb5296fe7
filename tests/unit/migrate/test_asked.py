"""How an entry of `to` stands once it is moved, by what was asked for and what the file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from everyhop.errors import Misuse
from everyhop.migrate.asked import Asked, elsewhere, entries, is_mutual, label, moved

IDENTITIES = {"edge": "ca"}
ROOTS = {"ca": "ca.pem", "name": "box.internal"}


def of(asked: Asked, entry: dict[str, Any] | None = None, **route: Any) -> dict[str, Any]:
    return moved(entry or {"at": "10.0.0.1:80"}, {"tls": "plaintext", **route}, IDENTITIES, asked, Path("/nowhere"))


def test_what_is_asked_for_goes_before_what_the_file_says_and_that_is_not_said_again() -> None:
    whole = {"at": "10.0.0.1:8443", "tls": "mutual", "verify": ROOTS, "present": "edge"}
    assert of(Asked(ca="ca.pem", name="box.internal", to_port=8443)) == whole
    assert of(Asked(), verify=ROOTS, present="edge") == {"at": "10.0.0.1:80", "tls": "mutual"}
    assert of(Asked(name="other"), verify=ROOTS)["verify"] == {"ca": "ca.pem", "name": "other"}
    assert of(Asked(ca="system"), verify=ROOTS)["verify"] == {"ca": "system", "name": "box.internal"}
    heavy = of(Asked(present="two"), {"at": "a.test:1", "weight": 2, "verify": {"pin": "sha256:00"}})
    assert heavy == {"at": "a.test:1", "weight": 2, "tls": "mutual", "verify": {"pin": "sha256:00"}, "present": "two"}


def test_roots_that_came_with_an_identity_come_with_its_lists() -> None:
    """By SPIFFE there are none."""
    assert of(Asked(ca="identity:edge"))["verify"] == {"ca": "identity:edge", "crl": "identity:edge"}
    by_spiffe = moved(
        {"at": "a.test:80"}, {"tls": "plaintext"}, {"mesh": "spiffe"}, Asked(ca="identity:mesh"), Path("/nowhere")
    )
    assert by_spiffe["verify"] == {"ca": "identity:mesh"}


MESH = {"mesh": "spiffe", "edge": "ca"}
ID = "spiffe://corp.example/box"


def by_id(asked: Asked, at: str = "10.0.0.1:80", **route: Any) -> dict[str, Any]:
    whole = {"tls": "plaintext", "present": "mesh", **route}
    verify: dict[str, Any] = moved({"at": at}, whole, MESH, asked, Path("/nowhere")).get("verify") or route["verify"]
    return verify


def test_an_id_stands_in_place_of_the_name_and_of_what_is_pinned() -> None:
    wanted = {"ca": "identity:mesh", "spiffe": ID}
    assert by_id(Asked(ca="identity:mesh", spiffe=ID)) == wanted
    assert by_id(Asked(spiffe=ID), verify={"ca": "identity:mesh", "name": "box.internal"}) == wanted
    assert by_id(Asked(ca="identity:mesh", spiffe=ID), verify={"pin": "sha256:00"}) == wanted
    assert by_id(Asked(ca="identity:mesh", spiffe=ID, name="box")) == {**wanted, "name": "box"}, (
        "both, where both are said"
    )
    with pytest.raises(Misuse, match="roots are never implied") as refused:
        by_id(Asked(spiffe=ID), verify={"pin": "sha256:00"})
    assert "--ca identity:mesh" in str(refused.value.more) and "identity:edge" not in str(refused.value.more)


def test_an_id_that_the_file_expects_is_expected_by_other_roots_too() -> None:
    written = {"ca": "ca.pem", "spiffe": ID}
    assert by_id(Asked(ca="identity:mesh"), verify=written) == {"ca": "identity:mesh", "spiffe": ID}
    assert by_id(Asked(name="box"), verify=written) == {**written, "name": "box"}


def test_the_roots_of_a_trust_domain_alone_say_nothing_of_who_is_at_an_address() -> None:
    for roots in ("identity:mesh", "identity:mesh/partner.example"):
        with pytest.raises(Misuse, match=r"nothing says who is expected at 10\.0\.0\.1:8443") as refused:
            by_id(Asked(ca=roots, to_port=8443))
        assert "--spiffe" in str(refused.value.more)
    assert by_id(Asked(ca="identity:mesh"), "box.internal:80") == {"ca": "identity:mesh"}, "a name says who"
    assert by_id(Asked(ca="identity:mesh", name="box")) == {"ca": "identity:mesh", "name": "box"}


def test_what_nobody_said_is_never_implied() -> None:
    with pytest.raises(Misuse, match="roots are never implied"):
        of(Asked(name="box.internal"))
    for identities, said, mend in (
        ({}, r"no \[\[identity\]\]", "everyhop ca issue makes both"),
        ({"a": "files", "b": "ca"}, "several identities to show: a, b", "--present NAME"),
    ):
        with pytest.raises(Misuse, match=said) as refused:
            moved({"at": "a.test:1"}, {"verify": ROOTS}, identities, Asked(), Path())
        assert mend in str(refused.value.more)


@pytest.mark.parametrize(
    ("at", "after"), [("10.0.0.1:80", "10.0.0.1:8443"), ("[::1]:80", "[::1]:8443"), ("a.test:80", "a.test:8443")]
)
def test_another_port_is_of_the_same_host(at: str, after: str) -> None:
    assert (elsewhere(at, 8443), elsewhere(at, None)) == (after, at)


@pytest.mark.parametrize("at", ["unix:/run/box.sock", "srv:_https._tcp.box.internal", "nonsense"])
def test_what_no_handshake_can_be_tried_with_is_left_to_be_written_by_hand(at: str) -> None:
    with pytest.raises(Misuse, match="no HOST:PORT"):
        elsewhere(at, None)


def test_a_path_of_ours_is_made_whole_and_one_of_the_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "etc"
    base.mkdir()
    (base / "theirs.pem").touch()
    for name in ("ours.pem", "both.pem", "system"):
        (tmp_path / name).touch()
    (base / "both.pem").touch()
    monkeypatch.chdir(tmp_path)
    assert label("theirs.pem", base) == "theirs.pem"
    assert label("ours.pem", base) == str(tmp_path / "ours.pem")
    assert [label(it, base) for it in ("system", "nowhere.pem")] == ["system", "nowhere.pem"]
    assert label("both.pem", base) == "both.pem", "what the file says itself is meant first"


def test_what_is_asked_now_goes_before_what_was_asked_then() -> None:
    then = Asked(present="edge", ca="ca.pem", name="a", to_port=1)
    assert Asked().over(then) == then and Asked(name="b").over(then) == Asked("edge", "ca.pem", "b", 1)
    assert Asked(spiffe=ID).over(then) == Asked("edge", "ca.pem", None, 1, ID), "who is expected is said as one"
    assert Asked(name="b").over(Asked(spiffe=ID)) == Asked(name="b") and Asked().over(Asked(spiffe=ID)).spiffe == ID


def test_an_entry_is_mutual_by_itself_or_by_its_route() -> None:
    route = {"tls": "plaintext", "to": ["a:1", {"at": "b:1", "tls": "mutual"}]}
    assert [is_mutual(it, route) for it in entries(route)] == [False, True]
    assert is_mutual({"at": "a:1"}, {"tls": "mutual"})
