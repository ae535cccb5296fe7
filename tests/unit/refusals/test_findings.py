"""A finding as people read it: its five parts, the line that it points at with its marks, and no secret in it."""

from __future__ import annotations

import itertools

import pytest

from everyhop.refusals.finding import Finding, around, excerpt, masked, merged, ordered, render, to_json
from everyhop.source.document import Place

FILE = "everyhop.toml"


def finding(severity: str = "refused", line: int = 1, **more: object) -> Finding:
    given = {"slug": "hop/twice", "place": Place(FILE, line, 1, 3), "what": "w", "why": "y", "mend": ("m",), **more}
    return Finding(severity, **given)  # type: ignore[arg-type]


def test_a_finding_is_told_in_five_parts_with_both_of_its_places_and_every_mend() -> None:
    text = 'version = 1\n[[route]]\nname = "r"\nto = ["10.0.0.1:1", "10.0.0.1:1"]\n'
    it = finding(
        place=Place(FILE, 4, 22, 12),
        also=(Place(FILE, 4, 8, 12),),
        mend=("keep one", "write another"),
        alike=2,
        kind="routes",
    )
    told = """everyhop.toml:4:22: refused [hop/twice]
  what  w (and 2 more routes)
      4 | to = ["10.0.0.1:1", "10.0.0.1:1"]
        |                      ^^^^^^^^^^^^
      4 | to = ["10.0.0.1:1", "10.0.0.1:1"]
        |        ^^^^^^^^^^^^
  why   y
  mend  keep one
        or write another
  more  everyhop explain hop/twice
"""
    assert render([it], {FILE: text}) == told
    assert "more things" not in render([finding()], {FILE: text})


@pytest.mark.parametrize(
    ("line", "column", "width", "marks"),
    [
        (1, 1, 3, "^^^"),
        (1, 3, 2, "  ^^"),
        (1, 5, 9, "    ^^"),
        (1, 6, 1, "     ^"),
        (1, 7, 4, "      ^"),
        (1, 2, 0, " ^"),
        (1, 2, 1, " ^"),
        (2, 2, 1, " ^"),
    ],
)
def test_marks_stand_below_what_they_mean_and_never_past_the_end_of_its_line(
    line: int, column: int, width: int, marks: str
) -> None:
    shown, below = excerpt(Place(FILE, line, column, width), {FILE: "abcdef\n\tx"})
    assert shown.partition(" | ")[2] == ("abcdef", " x")[line - 1]
    assert below.partition(" | ")[2] == marks and below.index("|") == shown.index("|")


@pytest.mark.parametrize("line", [0, 3])
def test_no_line_is_shown_for_a_place_that_is_not_in_the_file(line: int) -> None:
    assert excerpt(Place(FILE, line, 1), {FILE: "a\nb"}) == []
    assert excerpt(Place("other", 1, 1), {FILE: "a\nb"}) == []


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('key = "hunter2"', "key = *********"),
        ("  key: hunter2", "  key: *******"),
        ('certs = [{ chain = "x", key = "hunter2" }]', 'certs = [{ chain = "x", key = **********}]'),
        ('key = "file:/etc/x.key"', 'key = "file:/etc/x.key"'),
        ("key: env:NAME", "key: env:NAME"),
        ('key = "cred:x"', 'key = "cred:x"'),
        ("-----BEGIN PRIVATE KEY-----", "*" * 27),
        ("M" * 40, "*" * 40),
        ('monkey = "banana"', 'monkey = "banana"'),
        ('password = "hunter2"', "password = *********"),
        ("secret: hunter2", "secret: *******"),
        ('secret = "file:tsig"', 'secret = "file:tsig"'),
        ('crl = "https://me:hunter2@ca.test/x.crl"', 'crl = "https://**********@ca.test/x.crl"'),
        ('from = "https://[::1]:8443/a@b"', 'from = "https://[::1]:8443/a@b"'),
        ('to = "https://b.test@c.test/"', 'to = "https://b.test@c.test/"'),
        (
            'key = "pkcs11:token=a;object=b?module-path=/m&pin-source=/pin" # token = "x"',
            'key = "pkcs11:token=a;object=b?module-path=/m&pin-source=/pin" # token = ***',
        ),
        ('key = "pkcs11:token=a;object=b?pin-value=1234"', f"key = {'*' * 40}"),
        ('key = "pkcs11:token=a?PIN%2dvalue=1234&x"', f"key = {'*' * 35}"),
    ],
)
def test_a_secret_that_stands_in_the_file_is_shown_as_stars_and_a_reference_as_it_is(line: str, shown: str) -> None:
    assert masked(line) == shown and len(shown) == len(line)


def test_refusals_come_first_then_warnings_then_notes_each_in_the_order_of_the_file() -> None:
    given = [finding(kind, line) for line in (2, 1) for kind in ("note", "warning", "refused")]
    told = [(f.severity, f.place.line) for f in ordered(given)]
    assert told == [(kind, line) for kind in ("refused", "warning", "note") for line in (1, 2)]
    strict = [(f.severity, f.place.line) for f in ordered(given, strict=True)]
    assert strict == [("refused", line) for line in (1, 1, 2, 2)] + [("note", line) for line in (1, 2)]


def test_findings_that_say_the_same_of_several_things_are_told_once_with_their_number() -> None:
    alike = [finding(line=line, what=f"route {line}", said=("route *", "m")) for line in (1, 2, 3)]
    other = finding(line=4, what="route 4", said=("route * differs", "m"))
    warning = finding("warning", line=5, what="route 5", said=("route *", "m"))
    told = merged([*alike, other, warning])
    assert [(f.place.line, f.alike) for f in told] == [(1, 2), (4, 0), (5, 0)]
    assert [(f.place.line, f.alike) for f in merged([*alike, warning], strict=True)] == [(1, 3)]
    # Without a form of its own, what it says and its mends count.
    plain = [finding(line=1), finding(line=2), finding(line=3, what="v"), finding(line=4, mend=("n",))]
    assert [(f.place.line, f.alike) for f in merged(plain)] == [(1, 1), (3, 0), (4, 0)]


def test_a_finding_knows_the_thing_that_it_is_of() -> None:
    it = finding(identity=("hop/twice", "route", "r", "to"))
    assert it.is_of("route", "r")
    assert not it.is_of("route", "q") and not it.is_of("site", "r") and not it.is_of("hop/twice", "route")


def test_programs_get_every_part_of_a_finding_and_both_places() -> None:
    it = finding(also=(Place(FILE, 7, 2),), alike=1, identity=("hop/twice", "route", "r"))
    assert to_json([it]) == [
        {
            "severity": "refused",
            "slug": "hop/twice",
            "file": FILE,
            "line": 1,
            "column": 1,
            "also": [{"file": FILE, "line": 7, "column": 2}],
            "what": "w",
            "why": "y",
            "mend": ["m"],
            "alike": 1,
            "identity": ["hop/twice", "route", "r"],
        }
    ]


@pytest.mark.parametrize(
    ("before", "after", "room", "shown"),
    [
        ("abcdefghij", "klmnopqrst", 8, ["...", "..."]),
        ("abcdefghij", "klmnopqrst", 10, ["...", "kl..."]),
        ("abcdefghij", "klmnopqrst", 14, ["...j", "klmno..."]),
        ("abcdefghij", "klmnopqrst", 18, ["...hij", "klmnopqrst"]),
        ("abcdefghij", "klmnopqrst", 21, ["...fghij", "klmnopqrst"]),
        ("abcdefghij", "klmnopqrst", 22, ["abcdefghij", "klmnopqrst"]),
        ("abcd", "klmnopqrst", 14, ["abcd", "klmno..."]),
        ("ab", "klmnopqrst", 12, ["ab", "klmno..."]),
        ("", "klmnopqrst", 8, ["", "klm..."]),
        ("abcdefghij", "", 8, ["...", ""]),
    ],
)
def test_of_a_line_as_much_is_shown_as_there_is_room_for_on_both_sides_of_what_is_meant(
    before: str, after: str, room: int, shown: list[str]
) -> None:
    found = around(before, "XY", after, room)
    assert found == (shown[0], "XY", shown[1])
    assert sum(map(len, found)) <= max(room, 8)


def test_of_what_is_meant_itself_the_beginning_is_shown_where_it_does_not_fit() -> None:
    assert around("abcdefghij", "XY", "klmnopqrst", 7) == ("...", "...", "..."), "no room for anything"
    assert around("", "XYZ" * 6, "klm", 20) == ("", "XYZXYZXYZXY...", "klm")
    assert around("abcdefghij", "X" * 16, "klm", 20) == ("...", "X" * 11 + "...", "klm")
    assert around("abcdefghij", "XYZ" * 6, "klm", 20) == ("...", "XYZXYZXYZXY...", "klm")


def test_on_a_narrow_screen_words_stay_whole_and_a_command_can_still_be_pasted() -> None:
    it = finding(
        place=Place(FILE, 4, 22, 12),
        what="route 'shop' sends decrypted traffic to 10.0.0.1:1 and names no acceptance",
        mend=(
            'encrypt the hop: tls = "reencrypt"',
            "own the risk: everyhop accept shop --owner NAME --until DATE --why TEXT",
        ),
    )
    text = 'version = 1\n[[route]]\nname = "r"\nto = ["10.0.0.1:1", "10.0.0.1:1"] # a remark that is long\n'
    assert (
        render([it], {FILE: text}, 40)
        == """everyhop.toml:4:22: refused [hop/twice]
  what  route 'shop' sends decrypted
        traffic to 10.0.0.1:1 and names
        no acceptance
      4 | ...", "10.0.0.1:1"] # a rem...
        |        ^^^^^^^^^^^^
  why   y
  mend  encrypt the hop: tls =
        "reencrypt"
        or own the risk:
           everyhop accept shop \\
           --owner NAME --until DATE \\
           --why TEXT
  more  everyhop explain hop/twice
"""
    )
    whole = render([it], {FILE: text})
    wide = max(map(len, whole.splitlines()))
    assert render([it], {FILE: text}, wide) == whole != render([it], {FILE: text}, wide - 1)


def test_a_command_that_fits_stays_in_its_line_and_one_that_does_not_fills_lines_of_its_own() -> None:
    it = finding(mend=("m", "own the risk: everyhop accept shop --owner NAME --until DATE --why TEXT"))
    (whole,) = (row for row in render([it], {}).splitlines() if "everyhop accept" in row)
    assert whole in render([it], {}, len(whole)).splitlines()
    for most in range(32, len(whole)):
        rows = render([it], {}, most).splitlines()
        at = rows.index("        or own the risk:") + 1
        lines = rows[at : rows.index("  more  everyhop explain hop/twice")]
        assert " ".join(row.removesuffix(" \\").strip() for row in lines) == whole.partition(": ")[2]
        assert all(row.endswith(" \\") and len(row) <= most for row in lines[:-1]) and not lines[-1].endswith("\\")
        for row, following in itertools.pairwise(lines):
            assert len(row) + len(following.split()[0]) + 1 > most, "a word more would have fitted"


def test_a_head_that_does_not_fit_goes_on_below_itself_indented() -> None:
    rows = render([finding(place=Place("a-long-name/everyhop.toml", 4, 22, 12))], {}, 32).splitlines()
    assert rows[:3] == ["a-long-name/everyhop.toml:4:22:", "    refused [hop/twice]", "  what  w"]


def test_what_is_the_same_in_one_thing_is_counted_as_places_and_in_several_as_what_they_are() -> None:
    def of(kind: str, name: str, *key: str, line: int) -> Finding:
        return finding(line=line, kind=f"{kind}s", identity=("hop/twice", kind, name, *key, "v"))

    first = of("route", "r", "to", "0", line=1)
    for other, kind in (
        (of("route", "r", "to", "1", line=2), "places"),
        (of("route", "r", "from", line=2), "places"),
        (of("route", "q", "to", "0", line=2), "routes"),
        (of("site", "r", "to", "0", line=2), "sites"),
    ):
        (told,) = merged([first, other])
        assert (told.alike, told.kind) == (1, kind)
