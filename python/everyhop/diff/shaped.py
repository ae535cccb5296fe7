"""What changed in how answers are shaped for clients: which pages of other origins may read them, and whether
they are compressed."""

from __future__ import annotations

from everyhop.diff.kinds import KINDS, Change, either
from everyhop.plan import AtEdge, Compress, Cors

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
        "compression-changed": ("neutral", "answers are compressed in another way"),
    }
)


def shaped(name: str, a: AtEdge, b: AtEdge) -> list[Change]:
    return [*shared(name, a, b), *compressed(name, a.compress, b.compress)]


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
