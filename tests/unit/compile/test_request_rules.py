"""The rules of what is done with requests at their bounds: which word is told of several, and what comes close to wrong and is not."""

from __future__ import annotations

import datetime as dt

import pytest

from everyhop.refusals import Finding
from tests.kit.findings import findings

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
HEAD = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:443"]
[[site]]
name = "s"
hosts = ["a.test", "b.test", "c.test", "*.w.test"]
certs = [{ chain = "x", key = "file:y" }]
"""
TO = 'tls = "plaintext"\nto = ["127.0.0.1:1", "127.0.0.1:2"]\n'
ISSUER = '[[issuer]]\nname = "corp"\nissuer = "https://i.test"\naudience = "api"\nkeys = { file = "k" }\nalgorithms = ["ES256"]\n'


SITE_OF_TCP = '[[site]]\nname = "tcp"\nhosts = ["t.test"]\ncerts = [{ chain = "x", key = "file:z" }]\n'


def route(more: str, host: str = "a.test", name: str = "r", to: str = TO) -> str:
    return f'[[route]]\nname = "{name}"\nhost = "{host}"\n{to}{more}\n'


def found(text: str) -> tuple[list[Finding], list[str]]:
    """What is found, and the lines of the whole."""
    whole = HEAD + text
    return findings(whole, NOW), whole.splitlines()


def slugs(text: str) -> list[str]:
    return [f.slug for f in found(text)[0]]


def told(text: str) -> tuple[str, str]:
    """The one thing that is found, and what it points at, to the end of the line."""
    ((it,), lines) = found(text)
    return it.what, lines[it.place.line - 1][it.place.column - 1 :]


def asker(more: str, name: str = "sso") -> str:
    at = '[[authorizer]]\nname = "{}"\ntls = "plaintext"\nto = ["127.0.0.1:4180"]\n{}\n'
    return route(f'ask = "{name}"\npaths = "strict"') + at.format(name, more)


@pytest.mark.parametrize("path", ["/", "/auth", "/oauth2/auth?x=1&y=/", "/a?"])
def test_an_authorizer_is_asked_by_a_path_and_perhaps_a_query(path: str) -> None:
    assert slugs(asker(f'path = "{path}"')) == []


@pytest.mark.parametrize("path", ["", "auth", "/a b", "/a?x y", "/a#b", "/a?x#y", "/a//b", "/a/../b", "/é", "/a?é"])
def test_what_no_request_line_has_as_it_is_asks_no_authorizer(path: str) -> None:
    assert slugs(asker(f'path = "{path}"')) == ["config/wrong-value"]


def test_an_authorizer_is_shown_what_a_client_says_and_says_nothing_in_its_place() -> None:
    assert slugs(asker('path = "/x"\nsends = ["cookie", "x-a"]\ntakes = ["x-b"]')) == []
    assert slugs(asker('path = "/x"\nsends = ["Cookie", "x_a", "X-A"]')) == ["authorizer/field"]
    assert slugs(asker('path = "/x"\ntakes = ["Cookie"]')) == ["authorizer/field"]


@pytest.mark.parametrize(
    ("signs", "sends", "refused"),
    [
        ('jwt = { issuer = "corp", strip = true }', "authorization", True),
        ('jwt = { issuer = "corp", strip = true }', "x-a", False),
        ('jwt = { issuer = "corp", strip = false }', "authorization", False),
        ('jwt = { issuer = "corp", strip = true, from = "header:x-token" }', "X-Token", True),
        ('jwt = { issuer = "corp", strip = true, from = "header:x-token" }', "authorization", False),
        ('jwt = { issuer = "corp", strip = true, from = "cookie:t" }', "cookie", False),
        ('basic = { file = "u", strip = true }', "Authorization", True),
        ('basic = { file = "u", strip = false }', "authorization", False),
        ('basic = { file = "u", strip = true }', "x-a", False),
    ],
)
def test_what_goes_no_further_is_not_shown_to_an_authorizer_either(signs: str, sends: str, refused: bool) -> None:
    text = route(f'ask = "sso"\npaths = "strict"\n{signs}') + (ISSUER if "jwt" in signs else "")
    text += (
        f'[[authorizer]]\nname = "sso"\ntls = "plaintext"\npath = "/x"\nto = ["127.0.0.1:4180"]\nsends = ["{sends}"]\n'
    )
    assert slugs(text) == (["authorizer/field"] if refused else [])


@pytest.mark.parametrize("realm", ["~", "!", "a b", "x"])
def test_a_realm_is_ascii_and_something(realm: str) -> None:
    assert slugs(route(f'basic = {{ file = "u", realm = "{realm}" }}')) == []


@pytest.mark.parametrize("realm", ["", " ", "é", "a\\u001f", "a\\u007f", "a\\tb", '\\"', "\\\\"])
def test_what_cannot_stand_between_quotes_is_no_realm(realm: str) -> None:
    assert slugs(route(f'basic = {{ file = "u", realm = "{realm}" }}')) == ["config/wrong-value"]


def test_a_password_is_told_at_the_first_of_the_listeners_where_it_comes_in_the_clear() -> None:
    word = 'acceptance = { owner = "o", why = "w", context = "legacy", since = 2026-11-26, until = 2027-02-01 }\n'
    clear = "".join(
        f'[[listener]]\nname = "{name}"\nbind = ["{at}"]\nspeaks = "http"\nserve = true\n{word * away}'
        for name, at, away in (
            ("here", "127.0.0.1:81", False),
            ("one", '127.0.0.1:82", "10.0.0.1:82', True),
            ("two", "10.0.0.1:83", True),
        )
    )
    asks = route('basic = { file = "u" }')
    seen, lines = found(asks + clear)
    (only,) = [f for f in seen if f.slug == "listener/serves-passwords"]
    assert "'one'" in only.what
    assert lines.index('name = "one"') < only.also[0].line - 1 < lines.index('name = "two"')
    # A site that is reached with TLS alone has no such route.
    kept = HEAD.replace('name = "s"\n', 'name = "s"\nlisteners = ["l"]\n') + asks + clear
    assert "listener/serves-passwords" not in {f.slug for f in findings(kept, NOW)}


@pytest.mark.parametrize(("path", "fine"), [("/", True), ("/v1", True), ("/v1/", True), ("/a;b", False), ("v1", False)])
def test_cookies_are_for_a_path_that_a_cookie_can_have(path: str, fine: bool) -> None:
    assert slugs(route(f'cookies = {{ path = "{path}" }}')) == ([] if fine else ["route/cookies"])


def test_who_signs_in_is_offered_where_requests_are_changed_and_nowhere_else() -> None:
    def mends(edits: str) -> str:
        ((it,), _) = found(route(edits))
        assert it.slug == "route/variable"
        return " ".join(it.mend)

    assert "basic = " in mends('request = { set = { x-a = "{user}" } }')
    assert "basic = " not in mends('response = { set = { x-a = "{user}" } }')
    assert "basic = " not in mends('request = { set = { x-a = "{nobody}" } }')
    assert "{user}" in mends('request = { set = { x-a = "{nobody}" } }\nbasic = { file = "u" }')


@pytest.mark.parametrize(("slow_ms", "limit", "warned"), [(1999, 2, 0), (2000, 2, 1), (2001, 2, 1), (2001, None, 0)])
def test_an_answer_is_slow_before_it_is_waited_for_no_longer(slow_ms: int, limit: int | None, warned: int) -> None:
    own = f"limits = {{ first_byte_s = {limit} }}\n" if limit else ""
    text = route(f"eject_on = [{{ slow_ms = {slow_ms} }}]\n{own}")
    assert slugs(text) == ["route/nothing-to-do"] * warned
    for it in found(text)[0]:
        assert len(it.also) == 1


def test_where_a_route_says_nothing_of_it_the_files_own_time_is_how_long_an_answer_is_waited_for() -> None:
    text = "[limits]\nfirst_byte_s = 2\n" + route("eject_on = [{ slow_ms = 2000 }]")
    ((it,), _) = found(text)
    assert "none longer than 2 s" in it.what and it.also == ()


def test_of_three_words_on_slow_answers_two_are_too_many_and_each_points_at_the_first() -> None:
    text = route("eject_on = [\n{ slow_ms = 1 },\n{ slow_ms = 2 },\n{ slow_ms = 3 }]")
    findings, lines = found(text)
    assert [(f.slug, lines[f.also[0].line - 1]) for f in findings] == [("config/wrong-value", "{ slow_ms = 1 },")] * 2


@pytest.mark.parametrize(
    ("more", "fine"),
    [
        ("health = { connect = true }", True),
        ('health = { path = "/h" }', False),
        ('health = { path = "/h", host = "x.w.test" }', True),
        ('health = { path = "/h" }\nhost_header = "x.w.test"', True),
        ('health = { grpc = "" }\nupstream_protocol = "h2"', False),
    ],
)
def test_a_check_asks_for_a_host_where_it_asks_for_one_at_all(more: str, fine: bool) -> None:
    assert slugs(route(more, host="*.w.test")) == ([] if fine else ["route/wrong-health"])


def limit(by: str, more: str = "") -> str:
    return f'[[limit]]\nname = "x"\nrate = "1/s"\nby = [{by}]\n' + route(f'limited_by = ["x"]\n{more}')


def test_requests_are_counted_by_any_cookie_and_by_no_field_that_is_taken_from_them() -> None:
    assert "is taken from every request" in told(limit('"client-address", "header:host"'))[0]
    for fine in ("cookie:host", "header:x-a"):
        assert "may send as it likes" in told(limit(f'"client-address", "{fine}"'))[0]
    for odd in ("header:", "cookie:a b", "claim:", "claim:a b", "x", "claimsub"):
        asks = 'jwt = { issuer = "corp" }' if odd.startswith("claim:") else ""
        assert slugs(limit(f'"{odd}"', asks) + (ISSUER if asks else "")) == ["config/wrong-value"], "once"


def test_a_claim_or_a_user_is_counted_where_a_route_asks_for_one_and_the_first_claim_is_named() -> None:
    signed = 'jwt = { issuer = "corp" }'
    assert slugs(limit('"claim:sub", "claim:org.id"', signed) + ISSUER) == []
    what, _ = told(limit('"client-address", "claim:sub", "claim:org.id"'))
    assert "counts by 'claim:sub' of one" in what
    assert slugs(limit('"user"', 'basic = { file = "u" }')) == []
    assert slugs(limit('"user"')) == ["limit/key"]


def test_a_name_that_is_proved_is_counted_where_some_site_asks_for_certificates() -> None:
    assert slugs(limit('"client-name"')) == ["limit/key"]
    asks = (
        '[[site]]\nname = "m"\nhosts = ["m.test"]\ncerts = [{ chain = "x", key = "file:z" }]\nclients = { ca = "c" }\n'
    )
    assert "limit/key" not in slugs(limit('"client-name"') + asks)


def test_one_limit_that_no_client_can_choose_is_enough() -> None:
    two = '[[limit]]\nname = "y"\nrate = "1/s"\nby = ["client-address"]\n' + limit('"cookie:a"')
    assert slugs(two.replace('["x"]', '["x", "y"]')) == []
    assert slugs(limit('"client-address", "cookie:a"')) == ["limit/key"], "each address has as many as it likes"


@pytest.mark.parametrize(
    ("more", "warned"),
    [
        ("retries = { on = [502] }\nlimits = { first_byte_s = 3 }", 0),
        ("retries = { per_try_s = 3 }", 0),
        ("retries = { per_try_s = 2 }\nlimits = { first_byte_s = 3 }", 0),
        ("retries = { per_try_s = 3 }\nlimits = { first_byte_s = 3 }", 1),
        ("retries = { per_try_s = 4 }\nlimits = { first_byte_s = 3 }", 1),
        ('retries = { on = [502] }\nmethod = ["PUT", "HEAD"]', 0),
        ('retries = { on = [502] }\nmethod = ["PUT", "POST"]', 1),
    ],
)
def test_a_request_goes_again_where_it_can(more: str, warned: int) -> None:
    assert slugs(route(more)) == ["route/no-retries"] * warned


def test_of_routes_that_stick_by_one_cookie_each_but_the_first_is_told_once() -> None:
    sticks = 'sticky = { cookie = "edge" }'
    text = "".join(route(f'{sticks}\npath = "/{name}"', name=name) for name in ("one", "two", "three"))
    assert [f.what.partition(" stick")[0] for f in found(text)[0]] == [
        "routes 'one' and 'two'",
        "routes 'one' and 'three'",
    ]
    apart = (
        route(sticks, name="one") + route(sticks, "b.test", "two") + route(f'{sticks}\npath = "/x"', "b.test", "three")
    )
    assert [f.what.partition(" stick")[0] for f in found(apart)[0]] == ["routes 'two' and 'three'"]


@pytest.mark.parametrize(("name", "fine"), [("edge", True), ("_edge", True), ("__edge", False), ("a b", False)])
def test_a_cookie_that_sticks_has_a_name_that_a_prefix_can_stand_before(name: str, fine: bool) -> None:
    assert slugs(route(f'sticky = {{ cookie = "{name}" }}')) == ([] if fine else ["config/wrong-value"])


@pytest.mark.parametrize(
    ("to", "fine"),
    [
        ('{ at = "127.0.0.1:1", weight = 1 }, { at = "127.0.0.1:2", weight = 0 }', True),
        ('{ at = "127.0.0.1:1", weight = 0 }, "127.0.0.1:2"', True),
        ('{ at = "127.0.0.1:1", weight = 0 }, { at = "127.0.0.1:2", weight = 0 }', False),
        ('{ at = "127.0.0.1:1", weight = 0 }, { at = "127.0.0.1:2", backup = true }', False),
        ('{ at = "127.0.0.1:1", backup = true }, "127.0.0.1:2"', True),
        ('{ at = "127.0.0.1:1", backup = true }, { at = "127.0.0.1:2", backup = true }', False),
    ],
)
def test_somebody_takes_what_comes_while_all_is_well(to: str, fine: bool) -> None:
    text = route("", to=f'tls = "plaintext"\nto = [{to}]\n')
    assert slugs(text) == ([] if fine else ["route/nobody-takes"])


def test_of_backends_none_of_which_takes_anything_the_first_is_pointed_at() -> None:
    to = 'tls = "plaintext"\nto = [\n{ at = "127.0.0.1:1", backup = true },\n{ at = "127.0.0.1:2", backup = true }]\n'
    assert told(route("", to=to))[1] == "true }," and told(route("", to=to))[0].endswith("has only backups")
    to = 'tls = "plaintext"\nto = [\n{ at = "127.0.0.1:1", weight = 0 },\n{ at = "127.0.0.1:2", weight = 0, zone = "z" }]\n'
    assert told(route("", to=to))[1] == "0 },"


@pytest.mark.parametrize(
    ("text", "port"),
    [
        (route("", to='tls = "plaintext"\nto = ["nowhere"]\n'), 8443),
        (limit('"client-address"') + '[[store]]\nname = "s"\ntls = "plaintext"\nto = ["nowhere"]\n', 6379),
        (
            limit('"client-address"')
            + '[[store]]\nname = "s"\nspeaks = "envoy"\ntls = "plaintext"\nto = ["nowhere"]\n',
            8081,
        ),
        (asker('path = "/x"').replace("127.0.0.1:4180", "nowhere"), 4180),
        ('[[collector]]\nname = "c"\ntls = "plaintext"\nto = ["nowhere"]\n', 4318),
    ],
)
def test_an_address_that_is_none_is_answered_with_the_port_that_is_usual_there(text: str, port: int) -> None:
    mends = [" ".join(f.mend) for f in found(text)[0] if f.slug == "hop/address"]
    assert len(mends) == 1 and f'"10.0.0.5:{port}"' in mends[0] and f'"name:{port}"' in mends[0]


WORD = 'acceptance = { owner = "o", why = "w", context = "legacy", since = 2026-11-26, until = 2027-02-01 }\n'


@pytest.mark.parametrize(
    ("more", "warned"),
    [
        ('tls = "plaintext"\nto = ["127.0.0.1:6379"]\npassword = "file:p"\n', 0),
        (f'tls = "plaintext"\nto = ["10.0.0.1:6379"]\npassword = "file:p"\n{WORD}', 1),
        (f'tls = "plaintext"\nto = ["127.0.0.1:6379"]\noff_host = true\npassword = "file:p"\n{WORD}', 1),
        (f'tls = "plaintext"\nto = ["10.0.0.1:6379"]\n{WORD}', 0),
        ('tls = "reencrypt"\nto = ["10.0.0.1:6379"]\nverify = { ca = "c", name = "n" }\npassword = "file:p"\n', 0),
    ],
)
def test_a_password_of_a_store_is_told_where_a_network_is_between(more: str, warned: int) -> None:
    text = limit('"client-address"').replace('rate = "1/s"\n', 'rate = "1/s"\nstore = "s"\n')
    assert slugs(text + f'[[store]]\nname = "s"\n{more}') == ["store/password-readable"] * warned


@pytest.mark.parametrize(("database", "odd"), [("", 0), ("database = 0\n", 0), ("database = 1\n", 1)])
def test_a_database_is_said_to_who_has_some(database: str, odd: int) -> None:
    text = limit('"client-address"').replace('rate = "1/s"\n', 'rate = "1/s"\nstore = "s"\n')
    store = (
        f'[[store]]\nname = "s"\nspeaks = "envoy"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\ndomain = "d"\n{database}'
    )
    assert slugs(text + store).count("config/wrong-value") == odd


@pytest.mark.parametrize(
    ("old", "new", "at"),
    [
        ('issuer = "https://i.test"', 'issuer = " "', '" "'),
        ('issuer = "https://i.test"', 'issuer = "x "', '"x "'),
        ('audience = "api"', 'audience = " api"', '" api"'),
        ('audience = "api"', 'audience = ["api", ""]', '""]'),
        ('audience = "api"', "audience = []", "audience"),
        ('keys = { file = "k" }', 'keys = { file = "http://k.test/k" }', '"http'),
        ('keys = { file = "k" }', 'keys = { file = "https://k.test/k" }', '"https'),
    ],
)
def test_what_no_token_says_is_no_issuer_and_no_audience(old: str, new: str, at: str) -> None:
    what, points = told(ISSUER.replace(old, new) + route('jwt = { issuer = "corp" }'))
    assert "'corp'" in what and points.startswith(at), points


@pytest.mark.parametrize(
    ("place", "slug"),
    [
        ("authorization", None),
        ("cookie:t", None),
        ("header:x-token", None),
        ("cookie:", "config/wrong-value"),
        ("cookie:a b", "config/wrong-value"),
        ("header:a b", "config/wrong-value"),
        ("query:t", "config/wrong-value"),
        ("header:cookie", "route/edge-field"),
        ("header:Authorization", "route/edge-field"),
        ("header:host", "route/edge-field"),
        ("cookie:host", None),
    ],
)
def test_a_token_is_looked_for_where_one_can_be(place: str, slug: str | None) -> None:
    assert slugs(ISSUER + route(f'jwt = {{ issuer = "corp", from = "{place}" }}')) == ([slug] if slug else [])


def test_a_claim_is_told_in_a_field_of_its_own() -> None:
    def said(jwt: str, more: str = "") -> list[str]:
        return slugs(ISSUER + route(f'jwt = {{ issuer = "corp", {jwt} }}\n{more}'))

    assert said('forward = { sub = "x-user", org = "x-org" }') == []
    assert said('forward = { sub = "x-user", org = "X_User" }') == ["route/edited-twice"]
    for edits in ('set = { x.user = "1" }', 'add = { X-User = "1" }', 'remove = ["x_user"]'):
        edits = edits.replace("x.user", '"x.user"')
        assert said('forward = { sub = "x-user" }', f"request = {{ {edits} }}") == ["route/edited-twice"], edits
    assert said('from = "header:X-User", forward = { sub = "x-user" }') == ["route/edited-twice"]
    assert said('from = "header:x-token", forward = { sub = "x-user" }') == []


@pytest.mark.parametrize(
    ("more", "slug"),
    [
        ('upgrades = ["tcp"]\nupstream_protocol = "h2"', "hop/upgrade-over-http2"),
        ('upgrades = ["WebSocket"]\nupstream_protocol = "h2"', None),
        ('upgrades = ["tcp"]\nupstream_protocol = "http/1.1"', None),
        ('upgrades = ["tcp", "TCP"]', "config/wrong-value"),
        ('upgrades = ["tcp", "tcp/2"]', None),
        ('upgrades = ["H2C"]', "route/upgrade-unjudged"),
        ('upgrades = ["x/h2c"]', None),
        ('upgrades = ["TLS/1.3"]', "route/upgrade-unjudged"),
    ],
)
def test_what_a_client_may_switch_to_is_judged_by_its_name_without_case(more: str, slug: str | None) -> None:
    assert slugs(route(more)) == ([slug] if slug else [])


@pytest.mark.parametrize(
    ("balance", "slug"),
    [
        ("least-requests", None),
        ("round-robin", None),
        ("hash:client-address", None),
        ("hash:path", None),
        ("hash:cookie:c", None),
        ("hash:cookie:host", None),
        ("hash:header:x-a", None),
        ("hash:header:host", "route/nothing-to-do"),
        ("hash:header:", "config/wrong-value"),
        ("hash:cookie:a b", "config/wrong-value"),
        ("hash:query:x", "config/wrong-value"),
        ("least-connections", "route/wrong-balance"),
    ],
)
def test_backends_share_requests_by_what_a_request_has(balance: str, slug: str | None) -> None:
    assert slugs(route(f'balance = "{balance}"')) == ([slug] if slug else [])


@pytest.mark.parametrize(
    ("balance", "read", "fine"),
    [
        ("least-connections", False, True),
        ("round-robin", False, True),
        ("hash:client-address", False, True),
        ("least-requests", False, False),
        ("hash:path", True, False),
        ("hash:header:x-a", True, False),
        ("hash:header:host", True, False),
        ("hash:cookie:c", True, False),
    ],
)
def test_backends_share_connections_by_what_a_connection_has(balance: str, read: bool, fine: bool) -> None:
    passed = route(f'balance = "{balance}"', "p.test", to='tls = "passthrough"\nto = ["127.0.0.1:1"]\n')
    carried = SITE_OF_TCP + route(f'balance = "{balance}"\nprotocol = "tcp"', "t.test")
    if read:
        assert slugs(passed) == ["route/layer-7-on-passthrough"] and slugs(carried) == ["route/http-on-tcp"]
    else:
        assert slugs(passed) == slugs(carried) == ([] if fine else ["route/wrong-balance"])


@pytest.mark.parametrize(
    ("zones", "slug"),
    [
        (("a", "b"), None),
        (("a", None), None),
        ((None, "a"), None),
        ((None, None), None),
        (("a", "a"), "route/nothing-to-do"),
        (("a", "b b"), "config/wrong-value"),
        (("", "a"), "config/wrong-value"),
    ],
)
def test_zones_tell_some_backends_from_others(zones: tuple[str | None, ...], slug: str | None) -> None:
    to = ",\n".join(
        f'{{ at = "127.0.0.1:{n}"' + (f', zone = "{zone}"' if zone is not None else "") + " }"
        for n, zone in enumerate(zones, 1)
    )
    findings, lines = found(route("", to=f'tls = "plaintext"\nto = [\n{to}]\n'))
    assert [f.slug for f in findings] == ([slug] if slug else [])
    odd = {"config/wrong-value": '"b b"' if "b b" in zones else '""', "route/nothing-to-do": "zone"}
    assert all(lines[f.place.line - 1][f.place.column - 1 :].startswith(odd[f.slug]) for f in findings)


@pytest.mark.parametrize(
    ("health", "more", "slug"),
    [
        ('path = "/h", status = "200-204,401", body = "ok", host = "h.test:8443"', "", None),
        ('path = "/h?x=1&y=%20"', "", None),
        ('path = "h"', "", "config/wrong-value"),
        ('path = "/h h"', "", "config/wrong-value"),
        ('path = "/h#x"', "", "config/wrong-value"),
        ('path = "/h", status = "199"', "", "config/wrong-value"),
        ('path = "/h", host = "h h"', "", "config/wrong-value"),
        ('grpc = ""', 'upstream_protocol = "h2"', None),
        ('grpc = "a.B", host = "h.test"', 'upstream_protocol = "h2"', None),
        ('grpc = "a B"', 'upstream_protocol = "h2"', "config/wrong-value"),
        (f'grpc = "{"x" * 200}"', 'upstream_protocol = "h2"', None),
        (f'grpc = "{"x" * 201}"', 'upstream_protocol = "h2"', "config/wrong-value"),
        ('grpc = "", status = "200"', 'upstream_protocol = "h2"', "route/wrong-health"),
        ('grpc = "", body = "x"', 'upstream_protocol = "h2"', "route/wrong-health"),
        ('grpc = ""', "", "route/wrong-health"),
        ('grpc = ""', 'upstream_protocol = "http/1.1"', "route/wrong-health"),
        ("connect = true", "", None),
        ("connect = true", 'upstream_protocol = "h2"', None),
        ('connect = true, host = "h.test"', "", "route/wrong-health"),
        ('connect = true, status = "200"', "", "route/wrong-health"),
        ('connect = true, body = "x"', "", "route/wrong-health"),
    ],
)
def test_a_check_says_what_its_kind_of_question_has(health: str, more: str, slug: str | None) -> None:
    assert slugs(route(f"health = {{ {health} }}\n{more}")) == ([slug] if slug else [])


def test_a_check_asks_within_a_session_where_there_is_one() -> None:
    for kind, more in (('path = "/h"', ""), ('grpc = ""', "")):
        passed = route(f"health = {{ {kind} }}\n{more}", "p.test", to='tls = "passthrough"\nto = ["127.0.0.1:1"]\n')
        carried = SITE_OF_TCP + route(f'health = {{ {kind} }}\nprotocol = "tcp"', "t.test")
        assert slugs(passed) == ["route/layer-7-on-passthrough"] and slugs(carried) == ["route/http-on-tcp"]


@pytest.mark.parametrize(
    ("log", "slug"),
    [
        ('{ to = "/tmp/x.log", fields = ["time", "header:x-a"] }', None),
        ('{ to = "/tmp/x.log", fields = ["time", "Time"] }', "log/fields"),
        ('{ to = "/tmp/x.log", fields = ["header:x-a", "header:X-A"] }', "log/fields"),
        ('{ to = "/tmp/x.log", fields = ["header:a b"] }', "log/fields"),
        ('{ to = "/tmp/x.log", fields = ["header:"] }', "log/fields"),
        ('{ to = "/tmp/x.log", fields = ["x-a"] }', "log/fields"),
        ('{ to = "/tmp/x.log", fields = ["header:Authorization"] }', "log/secret"),
        ('{ to = "/tmp/x.log", fields = ["header:x-token"] }', None),
        ('{ to = "/tmp/x.log", format = "combined" }', None),
        ('{ to = "/tmp/x.log", format = "combined", fields = ["time"] }', "log/fields"),
    ],
)
def test_a_line_has_each_field_once_and_no_secret(log: str, slug: str | None) -> None:
    assert slugs(route(f"log = {log}")) == ([slug] if slug else [])
    token = ISSUER + route('jwt = { issuer = "corp", from = "header:X-Token" }', "b.test", "other")
    again = slugs(route(f"log = {log}") + token)
    assert again == (["log/secret"] if "x-token" in log else [slug] if slug else [])


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        ('"/tmp/x.log"', '"/tmp/x.log"', False),
        ('{ to = "/tmp/x.log", format = "combined" }', '{ to = "/tmp/x.log", format = "combined" }', False),
        ('{ to = "/tmp/x.log", format = "combined" }', '"/tmp/x.log"', True),
        ('{ to = "/tmp/x.log", format = "combined" }', '"/tmp/y.log"', False),
        ('{ to = "stdout", format = "combined" }', '"/tmp/y.log"', True),
    ],
)
def test_one_file_has_lines_of_one_format(first: str, second: str, apart: bool) -> None:
    text = route(f"log = {first}", name="one") + route(f"log = {second}", "b.test", "two")
    assert slugs(text) == (["log/two-formats"] if apart else [])


@pytest.mark.parametrize(
    ("cors", "more", "told_of"),
    [
        ('origins = ["https://a.example"]', "", 0),
        ('origins = ["*"], methods = ["*"], headers = ["*"], expose = ["*"]', "", 0),
        ('origins = ["https://a.example"], credentials = true, methods = ["*"]', "", 1),
        ('origins = ["https://a.example"], credentials = true, headers = ["*"], expose = ["*"]', "", 2),
        ('origins = ["https://a.example"], methods = ["PUT", "TRACE", "get", "NONE"]', "", 3),
        ('origins = ["https://a.example"]', 'method = ["GET", "OPTIONS"]', 0),
        ('origins = ["https://a.example"]', 'method = "GET"', 1),
        ('origins = ["https://a.example"]', 'headers = { x-a = "1" }\ncookie = { b = "1" }', 2),
        ('origins = ["https://a.example"]', 'response = { set = { x-a = "1" } }', 0),
        ('origins = ["https://a.example"]', 'response = { remove = ["x-a", "Access-Control-Max-Age"] }', 1),
        ('origins = ["https://a.example"]', 'response = { add = { access-control-x = "1" }, set = { x-a = "1" } }', 1),
        ('origins = ["https://a.example"]', 'request = { set = { access-control-x = "1" } }', 0),
    ],
)
def test_what_pages_of_others_may_read_is_said_once_and_can_be_asked_for(cors: str, more: str, told_of: int) -> None:
    assert slugs(route(f"cors = {{ {cors} }}\n{more}")) == ["route/cors"] * told_of
