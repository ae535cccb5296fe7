"""What changed in how answers are shaped for clients: which pages of other origins may read them, and whether
they are compressed, and what their cookies are given."""

from __future__ import annotations

from everyhop.diff.kinds import KINDS, Change, either
from everyhop.plan import AtEdge, Compress, Cookies, Cors

KINDS.update(
    {
        "cors-widened": ("weaker", "pages of more origins may read answers, or may do more"),
        "cors-narrowed": ("stronger", "pages of fewer origins may read answers, or may do less"),
        "cors-left": ("weaker", "the edge says no more which pages may read answers: what the backend says goes on"),
        "secrets-compressed": (
            "weaker",
            "answers to those who are known are compressed, and their length tells of them",
        ),
        "secrets-not-compressed": ("stronger", "answers to those who are known are not compressed"),
        "cookies-loosened": ("weaker", "cookies are given less of what guards them"),
        "cookies-tightened": ("stronger", "cookies are given more of what guards them"),
        "cookies-changed": ("neutral", "cookies are for other paths"),
        "locations-changed": ("neutral", "what a backend says of itself goes on in another way"),
        "compression-changed": ("neutral", "answers are compressed in another way"),
    }
)


def shaped(name: str, a: AtEdge, b: AtEdge) -> list[Change]:
    return [
        *shared(name, a, b),
        *compressed(name, a.compress, b.compress),
        *guarded(name, a.cookies, b.cookies),
        *named(name, a, b),
    ]


def shared(name: str, a: AtEdge, b: AtEdge) -> list[Change]:
    was, now = a.cors, b.cors
    if was == now or rights(was) == rights(now):
        return []
    if now is None:
        what = f"the edge let {who(was)} read answers, and leaves it to the backend"
        return [Change("cors-left", name, what, "whatever origin a backend names may read them")]
    more = was is None or bool(rights(now) - rights(was))
    what = f"{who(was)} might read answers, now {who(now)}"
    so = (
        "a page that somebody visits can read more, in the name of who visits it",
        "a page that did this before is refused by browsers",
    )
    return [either(more, ("cors-widened", "cors-narrowed"), name, what, so)]


def compressed(name: str, was: Compress | None, now: Compress | None) -> list[Change]:
    """Beside secrets it moves no trust."""
    if was == now:
        return []
    secrets = [it is not None and it.with_credentials for it in (was, now)]
    what = f"answers were compressed with {codings(was)}, now with {codings(now)}"
    if secrets[0] != secrets[1]:
        so = (
            "who can have somebody ask, and see lengths, can guess what is in them (BREACH)",
            "their length tells nothing",
        )
        return [either(secrets[1], ("secrets-compressed", "secrets-not-compressed"), name, what, so)]
    return [Change("compression-changed", name, what, "clients that take a coding get it")]


KEEPS = ("none", None, "lax", "strict")
"""From the loosest on; a browser that is told nothing takes it for nearly `lax`."""


def guarded(name: str, was: Cookies | None, now: Cookies | None) -> list[Change]:
    if was == now:
        return []
    old, new = guards(was), guards(now)
    out = []
    less = any(after < before for before, after in zip(old, new, strict=True))
    if old != new:
        what = f"cookies of backends were given {given(was)}, now {given(now)}"
        so = ("a cookie that its backend does not guard goes further", "browsers send and show them less")
        out.append(either(less, ("cookies-loosened", "cookies-tightened"), name, what, so))
    paths = [it.path if it else None for it in (was, now)]
    if paths[0] != paths[1]:
        what = (
            f"cookies were for {paths[0] or 'the paths that they say'}, now for {paths[1] or 'the paths that they say'}"
        )
        out.append(Change("cookies-changed", name, what, "browsers send them with other requests"))
    return out


def guards(it: Cookies | None) -> tuple[int, int, int]:
    return (it.secure, it.http_only, KEEPS.index(it.same_site)) if it else (0, 0, KEEPS.index(None))


def given(it: Cookies | None) -> str:
    words = [] if it is None else [*["Secure"] * it.secure, *["HttpOnly"] * it.http_only]
    words += [f"SameSite={it.same_site.capitalize()}"] if it and it.same_site else []
    return ", ".join(words) or "nothing"


def named(name: str, a: AtEdge, b: AtEdge) -> list[Change]:
    if a.locations == b.locations:
        return []
    so = {"rewrite": "clients are led to what they asked for", "keep": "clients are led to where the backend says"}
    what = f"locations was {a.locations}, now {b.locations}"
    return [Change("locations-changed", name, what, so[b.locations])]


def codings(it: Compress | None) -> str:
    if it is None:
        return "nothing"
    return f"{', '.join(it.codings)}{', also for those who are known' if it.with_credentials else ''}"


def rights(cors: Cors | None) -> frozenset[str]:
    """Everything that it lets a page do, one by one."""
    if cors is None:
        return frozenset()
    words = (("origin", cors.origins), ("method", cors.methods), ("sends", cors.headers), ("reads", cors.expose))
    each = {f"{word} {it}" for word, them in words for it in them}
    return frozenset(each | ({"credentials"} if cors.credentials else set()))


def who(cors: Cors | None) -> str:
    if cors is None:
        return "whom the backend named"
    parts = [("by", cors.methods), ("sending", cors.headers), ("reading", cors.expose)]
    more = "".join(f" {word} {', '.join(them)}" for word, them in parts if them)
    return f"{', '.join(cors.origins)}{more}{' with credentials' if cors.credentials else ''}"
