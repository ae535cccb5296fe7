"""Copies of requests: whoever begins to get them is a new reader, more of them is a weakening, and the hop to a mirror is weighed as
any other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from everyhop.diff import Change
from tests.unit.diff.test_diff import compare, golden

ROOTS = {"kind": "roots", "ca": "ca/x.pem", "crl": None, "stale_crl": "refuse"}


def hop(tls: str = "reencrypt", **verify: object) -> dict[str, Any]:
    policy = {"versions": ["1.3"], "suites": [], "groups": []}
    bare = {"tls": tls, "verify": {"by": ROOTS, "name": "m", **verify}, "policy": policy}
    return bare | ({"present": "edge", "demand_asks": False} if tls == "mutual" else {})


def mirror(*them: dict[str, Any], remove: tuple[str, ...] = (), **more: object) -> dict[str, Any]:
    at = [{"kind": "ip", "ip": f"10.7.0.{n}", "port": 1} for n in range(9)]
    given = [{"at": at[n], "hop": it} for n, it in enumerate(them or (hop(),))]
    request: dict[str, Any] = {"remove": list(remove), "set": [], "add": []}
    bare = {"share_per_million": 100_000, "upstream_protocol": "http/1.1", "request": request, "body_bytes": 100}
    return bare | {"at_once": 9, "timeout_s": 9, "backends": given, **more}


def told(was: object, now: object) -> list[Change]:
    old = golden()
    at = next(i for i, route in enumerate(old["routes"]) if route["name"] == "shop")
    old["routes"][at]["way"]["mirror"] = was
    new = json.loads(json.dumps(old))
    new["routes"][at]["way"]["mirror"] = now
    return compare(old, new)


def allowed(was: object, now: object) -> set[str]:
    """What has to be allowed by name."""
    return {change.allow for change in told(was, now) if change.direction == "weaker"}


def test_a_mirror_that_comes_is_a_new_reader_and_one_that_goes_is_one_less() -> None:
    assert allowed(None, mirror()) == {"new-reader:shop", "mirror-added:shop"}
    (reader,) = (change for change in told(None, mirror()) if change.kind == "new-reader")
    assert reader.so == "what it reads it can keep", "its answers reach nobody, so it changes nothing"
    assert {change.kind for change in told(mirror(), None)} == {"reader-gone", "mirror-removed"}
    assert allowed(mirror(), None) == set()


def test_another_mirror_is_another_reader() -> None:
    assert allowed(mirror(hop()), mirror(hop(), hop())) == {"mirror-added:shop"}


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (mirror(), mirror(share_per_million=100_001)),
        (mirror(), mirror(body_bytes=101)),
        (mirror(remove=("cookie",)), mirror()),
        (mirror(remove=("authorization",)), mirror(remove=("cookie",))),
    ],
)
def test_more_of_what_requests_hold_is_weaker(less: dict[str, Any], more: dict[str, Any]) -> None:
    assert allowed(less, more) == {"copies-widened:shop"}


def test_less_of_it_is_stronger_and_how_many_at_once_and_for_how_long_is_not_told() -> None:
    assert [c.kind for c in told(mirror(), mirror(remove=("cookie",)))] == ["copies-narrowed"]
    assert told(mirror(), mirror(at_once=1, timeout_s=1, upstream_protocol="h2")) == []


def test_the_hop_to_a_mirror_is_weighed_as_any_other() -> None:
    assert {c.kind for c in told(mirror(hop("mutual")), mirror(hop()))} >= {"hop-weakened"}
    assert "verification-changed:shop" in allowed(mirror(hop()), mirror(hop(name="other")))
    revoked = hop(by=ROOTS | {"crl": "crl/x"})
    assert "revocation-weakened:shop" in allowed(mirror(revoked), mirror(hop()))
