"""What `everyhop fmt` writes says the same, keeps every comment, and is left alone when it is asked again."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from everyhop.source.toml_form import formed

ROOT = Path(__file__).parents[3]
FILES = sorted([*ROOT.glob("examples/*/everyhop.toml"), *ROOT.glob("schema/golden/*.toml"), ROOT / "fuzz/plan.toml"])
IN_DOCS = re.compile(r"^```toml\n(.*?)^```", re.M | re.S)

UNTIDY = """\
version=1


# who listens
[[ listener ]]
name="l" # at the door
bind=["[::]:443",# all
  # and this
"127.0.0.1:8443"
]
  [[route]]
# its name
name  =   "x"
to=[{at="10.0.0.1:1",tls="mutual",verify={ca="c"}},"10.0.0.2:1"]
text=\"\"\"a
 b\"\"\" # two lines
limits . connect_s=3
headers={}
[route.acceptance] # signed
owner="o"
# the end
"""
TIDY = """\
version = 1

# who listens
[[listener]]
name = "l"  # at the door
bind = [
    "[::]:443",  # all
    # and this
    "127.0.0.1:8443",
]

[[route]]
# its name
name             = "x"
to               = [{ at = "10.0.0.1:1", tls = "mutual", verify = { ca = "c" } }, "10.0.0.2:1"]
text             = \"\"\"a
 b\"\"\"  # two lines
limits.connect_s = 3
headers          = {}
[route.acceptance] # signed
owner = "o"
# the end
"""


def holds(text: str) -> str:
    """That `text` in its form says the same and stays; that form."""
    found = formed(text)
    assert tomllib.loads(found) == tomllib.loads(text)
    assert formed(found) == found
    return found


def test_the_form_is_one_key_a_line_under_each_other_and_tables_apart() -> None:
    assert holds(UNTIDY) == TIDY.replace("] # signed", "]  # signed")
    assert formed("") == "\n"


def test_comments_of_neighbours_stand_where_the_furthest_of_them_stood() -> None:
    text = "a = 1          # one\nlonger = 2 # two\nc = 3\n\nd = 4  # apart\n"
    assert holds(text) == "a      = 1     # one\nlonger = 2     # two\nc      = 3\n\nd = 4  # apart\n"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_of_ours_says_the_same_in_its_form(path: Path) -> None:
    text = path.read_text()
    assert sorted(re.findall(r"#.*", holds(text))) == sorted(re.findall(r"#.*", text))


def is_toml(text: str) -> bool:
    try:
        return bool(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        return False  # Some pages leave out what is not their matter, by three dots.


def test_every_configuration_in_the_documentation_has_a_form() -> None:
    found = [t for page in ROOT.glob("docs/**/*.md") for t in IN_DOCS.findall(page.read_text()) if is_toml(t)]
    assert len(found) > 20
    for text in found:
        holds(text)


BARE = st.text("abcxyz0189-_", min_size=1, max_size=6)
QUOTED = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=6).map(
    lambda s: (
        '"'
        + "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in s if ord(c) < 0x10000)
        + '"'
    )
)
LITERAL = st.text('ab#=[]{}," ', max_size=6).map(lambda s: f"'{s}'")
LONG = st.text('ab#=[]{}," \n', max_size=8).map(lambda s: f"'''\n{s}'''")
SCALARS = st.one_of(
    QUOTED, LITERAL, st.integers(-99, 99).map(str), st.booleans().map(lambda b: str(b).lower()),
    st.sampled_from(["2026-11-26", "2026-11-26 10:00:00Z", "1e3", "0x1F", "+inf"]),
)  # fmt: skip
GAPS = st.sampled_from(["", " ", "  ", "\t"])
WIDE = st.sampled_from(["", " ", "\n", " # why\n", "\n\n  # alone\n"])


@st.composite
def values(draw: st.DrawFn, depth: int = 2, *, one_line: bool = False) -> str:
    kind = draw(st.integers(0, 3 if depth else 0))
    if kind == 1:
        gap = GAPS if one_line else WIDE
        parts = [
            draw(gap) + draw(values(depth=depth - 1, one_line=one_line)) + draw(gap)
            for _ in range(draw(st.integers(0, 3)))
        ]
        end = draw(st.sampled_from([",", ""])) + draw(gap) if parts else draw(gap)
        return "[" + ",".join(parts) + end + "]"
    if kind == 2:
        keys = draw(st.lists(BARE, unique=True, max_size=3))
        pairs = [
            f"{draw(GAPS)}{k}{draw(GAPS)}={draw(GAPS)}{draw(values(depth=depth - 1, one_line=True))}" for k in keys
        ]
        return "{" + ",".join(pairs) + draw(GAPS) + "}"
    return draw(SCALARS if one_line else st.one_of(SCALARS, LONG))


@st.composite
def texts(draw: st.DrawFn) -> str:
    out = []
    for name in draw(st.lists(BARE, unique=True, min_size=1, max_size=3)):
        out.append(draw(st.sampled_from([f"[{name}]", f"[[{name}]]", f"[ {name} ] # of it"])))
        for key in draw(st.lists(st.one_of(BARE, QUOTED), unique_by=lambda k: k.strip('"'), max_size=4)):
            remark = draw(st.sampled_from(["", "# beside", "   # further"]))
            out.append(f"{draw(GAPS)}{key}{draw(GAPS)}={draw(GAPS)}{draw(values())}{draw(GAPS)}{remark}")
            out += draw(st.sampled_from([[], [], [""], ["", "", "# alone", ""], ["\t"]]))
    return "\n".join(out) + draw(st.sampled_from(["", "\n"]))


@given(texts())
def test_whatever_stands_in_a_text_is_kept_with_its_comments(text: str) -> None:
    assume(is_toml(text))  # Not two keys that are the same once their escapes are read.
    found = holds(text)
    for remark in ("# beside", "# further", "# alone", "# why", "# of it"):
        assert found.count(remark) == text.count(remark)
    assert not re.search(r"[ \t]+$", re.sub(r"'''.*?'''", "S", found, flags=re.S), re.M), (
        "no space at the end of a line"
    )
