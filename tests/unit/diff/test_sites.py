"""What is said of sites and of hellos that name nobody: whom it concerns, and which of several sites or routes."""

from __future__ import annotations

import pytest

from everyhop.compile import compile_file
from everyhop.diff import compare
from everyhop.plan import Plan
from tests.unit.diff.test_gate import HEAD, NOW, SITE_OF_P, plan, refused, route, told


def asking(more: str) -> Plan:
    return plan(route("r"), site=f'clients = {{ ca = "d"{more} }}\n')


LISTED = ', crl = "e"'


def test_a_list_of_revoked_clients_that_comes_or_goes_is_told_with_what_was_in_its_place() -> None:
    none, listed, other = asking(""), asking(LISTED), asking(', crl = "f"')
    (gone,) = told(listed, none, "revocation-weakened")
    assert gone.what == "revoked clients were known by crl/e, now by no list"
    (come,) = told(none, listed, "revocation-strengthened")
    assert come.what == "revoked clients were known by no list, now by crl/e"
    (changed,) = told(listed, other, "revocation-weakened")
    assert changed.what == "revoked clients were known by crl/e, now by crl/f"


def test_lists_of_clients_that_are_fetched_now_have_moved_and_what_an_overdue_one_means_is_told_beside_it() -> None:
    url = ', crl = "https://lists.test/e.crl"'
    listed, fetched = asking(LISTED), asking(url)
    (moved,) = told(listed, fetched, "revocation-moved")
    assert moved.what == "revoked clients were known by crl/e, now by crl/https://lists.test/e.crl"
    assert refused(listed, fetched) == set()
    assert compare(fetched, fetched) == []
    assert refused(fetched, listed) == refused(fetched, asking("")) == {"revocation-weakened:s"}
    lax = asking(url + ', stale_crl = "allow"')
    assert refused(listed, lax) == {"revocation-weakened:s"}
    assert "revocation-moved" in {c.kind for c in compare(listed, lax)}


def test_what_an_overdue_list_means_is_told_as_it_is_now() -> None:
    strict, lax = asking(LISTED), asking(LISTED + ', stale_crl = "allow"')
    (weaker,) = told(strict, lax, "revocation-weakened")
    assert weaker.what == "an overdue revocation list still holds"
    (stronger,) = told(lax, strict, "revocation-strengthened")
    assert stronger.what == "an overdue revocation list lets no client certificate pass"
    assert refused(lax, strict) == set()


def test_a_change_of_a_site_says_which_requests_came_to_another_site_and_only_where_they_did() -> None:
    text = HEAD.format(listener="", site='clients = { ca = "d" }\n', more="") + route("r")

    def site(name: str, **change: str) -> Plan:
        new = text.replace('name = "s"', f'name = "{name}"')
        for a, b in change.items():
            new = new.replace(f'{a} = "d"', b)
        return compile_file("gate.toml", now=NOW, files="skip", text=new).plan

    def modern(name: str) -> Plan:
        return site(name, ca='ca = "d" }\npolicy = "modern"\n#')

    old = site("s")
    for new, kind, plain in (
        (lambda name: site(name, ca='mode = "ask", ca = "d"'), "client-demand-weakened", "of clients require was"),
        (modern, "tls-strengthened", "towards clients: "),
    ):
        stayed = told(old, new("s"), kind)
        assert stayed and all(c.about == "s" and c.what.startswith(plain) for c in stayed)
        moved = told(old, new("t"), kind)
        assert moved and {c.about for c in moved} == {"t"}
        assert all(f" came inside 's' and comes inside 't': {plain}" in c.what for c in moved)


TWO = route("r"), route("q", host="p.test", to='"10.0.0.2:1"')


THIRD = SITE_OF_P.replace('"p', '"z')


def answering(field: str, name: str) -> Plan:
    return plan(*TWO, listener=f'{field} = "{name}"', more=SITE_OF_P + THIRD)


@pytest.mark.parametrize("field", ["no_sni", "unknown_sni"])
def test_hellos_that_name_nobody_and_get_another_site_or_route_are_told_with_both(field: str) -> None:
    (change,) = compare(answering(field, "s"), answering(field, "p"))
    assert (change.kind, change.what) == ("unnamed-moved", f"{field} was site 's', now site 'p'")
    blind = [route(n, "passthrough", host=f"{n}.test") for n in ("p", "q", "z")]
    (change,) = compare(*(plan(route("r"), *blind, listener=f'{field} = "{n}"') for n in ("p", "q")))
    assert (change.kind, change.what) == (
        "unnamed-moved",
        f"{field} was passthrough route 'p', now passthrough route 'q'",
    )


@pytest.mark.parametrize("field", ["no_sni", "unknown_sni"])
def test_sites_and_routes_that_change_names_with_each_other_are_silence_where_hellos_get_the_same(field: str) -> None:
    text = HEAD.format(listener=f'{field} = "s"', site="", more=SITE_OF_P) + "".join(TWO)
    swapped = text.replace('name = "p"', 'name = "x"').replace('= "s"', '= "p"').replace('name = "x"', 'name = "s"')
    plans = [compile_file("gate.toml", now=NOW, files="skip", text=t).plan for t in (text, swapped)]
    assert compare(*plans) == []
    blind = [route(n, "passthrough", host=f"{h}.test") for n, h in (("p", "p"), ("q", "q"), ("q", "p"), ("p", "q"))]
    named = [plan(route("r"), *two, listener=f'{field} = "{n}"') for two, n in ((blind[:2], "p"), (blind[2:], "q"))]
    assert [c for c in compare(*named) if c.kind.startswith("unnamed")] == []
