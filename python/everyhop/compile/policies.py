"""What TLS is spoken, by the name of a policy: Mozilla's guidelines for servers, version by version, as far as this engine goes.

A word without a version means the newest that this release knows. The plan has it spelt out, so that a policy that ages changes the
digest and is told by `diff`. Nothing is judged here. Read next: `rules_policies.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from everyhop import plan

TLS13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
TLS12 = [
    f"TLS_ECDHE_{key}_WITH_{cipher}"
    for cipher in ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256")
    for key in ("ECDSA", "RSA")
]
CURVES = ["X25519", "secp256r1", "secp384r1"]
POST_QUANTUM = ["X25519MLKEM768"]
GROUPS = POST_QUANTUM + CURVES


@dataclass(frozen=True)
class Guideline:
    """A version of Mozilla's guidelines."""

    version: str
    year: int
    groups: tuple[str, ...]
    changed: str
    """What it changed of what is spoken here."""


GUIDELINES = (
    Guideline("5.7", 2023, tuple(CURVES), "suites of DHE, which this engine does not have"),
    Guideline("5.8", 2026, tuple(GROUPS), "the post-quantum group comes first, and suites of DHE are gone"),
    Guideline("6.0", 2026, tuple(GROUPS), "the configuration for old clients is gone, which was never one here"),
)
"""The newest comes last."""
COMPARED = "2026-11-28"
SOURCES = (
    "6.0 with `6.0.json`; 5.8 with what OpenShift's API took from `5.8.json`, of which an earlier draft alone is at hand, 5.7 under another number: without the "
    "post-quantum group, with suites of DHE; 5.7 (2023-05-15) with the whole of `5.7.json`, in the copy of a fork that has another address in it"
)
"""Of what each version was compared with."""

WORDS = ("intermediate", "modern")
NEWEST = GUIDELINES[-1]
DATED = {f"{word}-{it.version}": (word, it) for it in GUIDELINES for word in WORDS}


def newest(name: str) -> str:
    """The dated name of the newest policy of the same word."""
    return f"{name.partition('-')[0]}-{NEWEST.version}"


@cache
def policy(name: str, *, post_quantum: bool = False) -> plan.TlsPolicy:
    """A policy spelt out. `post_quantum`: with that key exchange alone, which there is in TLS 1.3 alone."""
    if post_quantum:
        return plan.TlsPolicy(versions=["1.3"], suites=TLS13, groups=POST_QUANTUM)
    word, guideline = DATED[name if name in DATED else newest(name)]
    modern = word == "modern"
    return plan.TlsPolicy(
        versions=["1.3"] if modern else ["1.2", "1.3"],
        suites=TLS13 if modern else TLS13 + TLS12,
        groups=list(guideline.groups),
    )


def gained(name: str) -> list[str]:
    """What the newest of the same word speaks and this one does not, or the other way round."""
    was, now = policy(name), policy(newest(name))
    pairs = [(getattr(was, field), getattr(now, field)) for field in ("versions", "suites", "groups")]
    come = [f"{it} comes" for a, b in pairs for it in b if it not in a]
    return come + [f"{it} goes" for a, b in pairs for it in a if it not in b]
