"""Versions, suites and groups as sets: their order is a matter of speed."""

from __future__ import annotations

from everyhop.diff.kinds import KINDS, Change, either
from everyhop.plan import TlsPolicy

KINDS.update(
    {
        "tls-weakened": ("weaker", "an older version, another cipher or a weaker key exchange may be used"),
        "tls-strengthened": ("stronger", "an older version, a cipher or a key exchange is gone"),
    }
)

WORDS = (("versions", "TLS"), ("suites", "the suite"), ("groups", "the group"))


def cipher_changes(about: str, where: str, a: TlsPolicy, b: TlsPolicy) -> list[Change]:
    out = []
    kinds = ("tls-weakened", "tls-strengthened")
    for field, word in WORDS:
        was, now = set(getattr(a, field)), set(getattr(b, field))
        come, gone = sorted(now - was), sorted(was - now)
        if come:
            worse = not all("MLKEM" in x for x in come)
            what = f"{where}: {word} {', '.join(come)} may be used"
            so = ("the weakest that both sides take is what protects", "what is recorded today stays closed later")
            out.append(either(worse, kinds, about, what, so))
        if gone:
            worse = any("MLKEM" in x for x in gone)
            what = f"{where}: {word} {', '.join(gone)} is gone"
            so = (
                "what is recorded today may be read by a quantum computer",
                "clients that have nothing else are refused",
            )
            out.append(either(worse, kinds, about, what, so))
    return out
