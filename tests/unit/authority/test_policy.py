"""What an authority says that it certifies is what it certifies, and it says that its certificate says so only where it does."""

from __future__ import annotations

import pytest

from everyhop.authority.names import named
from everyhop.authority.policy import Policy, told
from everyhop.errors import Declined, Misuse

ALL = told("Inside", ["corp.example", "other.example"], ["corp.example"], ["10.0.0.0/8"])
HOSTS = told("Inside", ["corp.example"], [], [])
WORKLOADS = told("Inside", [], ["corp.example"], [])
TOLD = "so it was told when it was made"
SAYS = f"{TOLD}, and its certificate says so to whoever verifies"


@pytest.mark.parametrize(
    ("policy", "name", "said", "option"),
    [
        (ALL, "evil.example", f"  of host names it certifies those of corp.example, other.example: {SAYS}", "--domain"),
        (ALL, "11.0.0.1", f"  of addresses it certifies those of 10.0.0.0/8: {SAYS}", "--network"),
        (ALL, "spiffe://evil/a", f"  of SPIFFE IDs it certifies those of spiffe://corp.example: {TOLD}", "--trust-domain"),
        (HOSTS, "spiffe://corp.example/a", f"  of SPIFFE IDs it certifies none: {SAYS}", "--trust-domain"),
        (HOSTS, "10.0.0.1", f"  of addresses it certifies none: {SAYS}", "--network"),
        (WORKLOADS, "corp.example", f"  of host names it certifies none: {SAYS}", "--domain"),
    ],
)  # fmt: skip
def test_a_name_outside_is_declined_with_what_lies_inside_and_who_says_so(
    policy: Policy, name: str, said: str, option: str
) -> None:
    with pytest.raises(Declined) as e:
        policy.admit(named(name))
    assert f"'{name}' is outside of what 'Inside' certifies; nothing was issued" in str(e.value)
    assert e.value.more[0] == said and f"everyhop ca init DIR {option} ..." in e.value.more[1]


def test_of_trust_domains_alone_nothing_stands_in_the_certificate() -> None:
    """webpki refuses every URI below such a constraint: where the sentence above says nothing of it, there is none."""
    for policy, constrained in ((ALL, False), (WORKLOADS, False), (HOSTS, True)):
        kinds = {type(it).__name__ for it in policy.constraints().permitted_subtrees or []}
        assert ("UniformResourceIdentifier" in kinds) == constrained


@pytest.mark.parametrize(("name", "fine"), [("a", True), ("x" * 40, True), ("x" * 41, False), ("", False), (" a", False), ("a ", False), ("a\n", False), ("a\tb", False)])  # fmt: skip
def test_an_authority_has_a_name_that_fits_into_a_line(name: str, fine: bool) -> None:
    if fine:
        assert told(name, ["corp.example"], [], []).name == name
        return
    with pytest.raises(Misuse, match="is no name for an authority"):
        told(name, ["corp.example"], [], [])


def test_one_that_would_certify_anything_is_not_made_and_one_that_certifies_anything_of_one_kind_is() -> None:
    with pytest.raises(Misuse, match="one that certifies any name is worth stealing"):
        told("Inside", [], [], [])
    kinds: list[tuple[list[str], list[str], list[str]]] = [
        (["corp.example"], [], []),
        ([], ["corp.example"], []),
        ([], [], ["10.0.0.0/8"]),
    ]
    for said in kinds:
        it = told("Inside", *said)
        assert [list(it.domains), list(it.trust_domains), list(it.networks)] == list(said)
        assert Policy.from_json(it.to_json()) == it


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        (0, "*.corp.example", "is a wildcard"),
        (1, "Corp.example", "is no trust domain"),
        (2, "10.0.0.1/8", "is no network such as 10.0.0.0/8"),
        (2, "corp.example", "is no network such as 10.0.0.0/8"),
    ],
)
def test_what_is_no_domain_or_network_makes_no_authority(kind: int, text: str, why: str) -> None:
    said: list[list[str]] = [[], [], []]
    said[kind] = [text]
    with pytest.raises(Misuse, match=why):
        told("Inside", *said)
