"""The grade of what a server offers, and each reason with its mend. Pure. Read next: `everyhop/compile/policies.py`.

A policy is satisfied where the server takes nothing that the policy has not, TLS 1.3, and, since 5.8, the post-quantum group; where its
certificates are believed, of a kind and a lifetime that the policy has. What the policies do not speak of is told beside, and counts
for nothing: groups that are no weaker than theirs, HSTS, and when a certificate ends.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from everyhop.compile.policies import DATED, GROUPS, POST_QUANTUM, policy
from everyhop.grade.offered import Offered, Shown
from everyhop.screen import ahead, few

ALL = tuple(DATED)
MODERN = tuple(name for name in ALL if DATED[name][0] == "modern")
NO_POST_QUANTUM = tuple(name for name in ALL if POST_QUANTUM[0] in policy(name).groups)
DHE = {"DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-CHACHA20-POLY1305"}
"""Mozilla's `intermediate` had them until 5.7; our engine never did."""
NO_DHE = tuple(name for name in ALL if DATED[name][1].version != "5.7")
AUTHENTICATED = ("GCM", "CCM", "POLY1305")
WEAK_GROUPS = ("secp224r1", "secp192r1")
CURVES = ("secp256r1", "secp384r1")
RSA_BITS = 2048
LONGEST = {"modern": 90, "intermediate": 366}
"""Days for which Mozilla's guidelines let a certificate be valid."""
HSTS_S = 63_072_000
"""What they ask for at least: two years."""
MONTH = dt.timedelta(days=30)


@dataclass(frozen=True)
class Finding:
    """One sentence on the server, and how to mend it. `fails` are the policies that it keeps the server from; none: it does not count."""

    id: str
    what: str
    mend: str
    fails: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grade:
    """`word`: `modern`, `intermediate` or `below`; `policy`: the newest that is satisfied, with its version."""

    word: str
    policy: str | None
    satisfies: tuple[str, ...]
    findings: tuple[Finding, ...]

    def is_at_least(self, wanted: str) -> bool:
        """A word takes any version of it; modern is an intermediate too."""
        return any(wanted in {it, it.partition("-")[0]} for it in self.satisfies)


def judged(it: Offered, now: dt.datetime) -> Grade:
    findings = [*of_versions(it), *of_suites(it), *of_groups(it)]
    for shown in it.shown:
        findings += of_certificate(shown, it.name, now)
    if not it.shown:
        what = "no certificate of it could be read"
        findings.append(Finding("certificate-unread", what, "have it show a certificate in X.509 version 3", ALL))
    findings += of_hsts(it)
    failed = {name for finding in findings for name in finding.fails}
    satisfies = tuple(name for name in ALL if name not in failed)
    for word in ("modern", "intermediate"):
        if of_word := [name for name in satisfies if DATED[name][0] == word]:
            return Grade(word, of_word[-1], satisfies, tuple(findings))
    return Grade("below", None, satisfies, tuple(findings))


def of_versions(it: Offered) -> Iterator[Finding]:
    if old := [v for v in reversed(it.versions) if v in {"1.0", "1.1"}]:
        mend = "turn off everything below TLS 1.2; in nginx: ssl_protocols TLSv1.2 TLSv1.3;"
        yield Finding("old-version", f"it takes TLS {' and '.join(old)}, given up by RFC 8996", mend, ALL)
    if "1.3" not in it.versions:
        yield Finding("no-tls-1.3", "it does not take TLS 1.3", "turn TLS 1.3 on, or renew what speaks TLS there", ALL)
    if "1.2" in it.versions:
        mend = 'leave TLS 1.3 alone where all clients have it; in Everyhop: policy = "modern"'
        yield Finding("tls-1.2", "it takes TLS 1.2, which modern does not have", mend, MODERN)


KINDS = {
    "no-encryption": ("suites that encrypt nothing", "remove them: whoever is on the way reads along"),
    "anonymous": ("suites without a certificate", "remove them: whoever is on the way can be the server"),
    "no-forward-secrecy": (
        "suites without forward secrecy",
        "keep to suites of ECDHE: who gets the key one day reads all that was recorded before",
    ),
    "not-authenticated": (
        "suites whose encryption is not authenticated as one (CBC and older)",
        "keep to suites of AES-GCM and ChaCha20-Poly1305: the others have been attacked again and again",
    ),
    "dhe": ("suites of DHE, which the guidelines gave up with 5.8", "keep to suites of ECDHE"),
    "other-suite": ("suites that no policy has", "keep to ECDHE with AES-GCM or ChaCha20-Poly1305"),
}


def kind_of(suite: str) -> str | None:
    """What is to be said of a suite of TLS 1.2; nothing of those that policies have."""
    if suite.startswith("TLS_"):
        return None
    if "NULL" in suite:
        return "no-encryption"
    if suite.startswith(("ADH-", "AECDH-")):
        return "anonymous"
    if not suite.startswith(("ECDHE-", "DHE-")):
        return "no-forward-secrecy"
    if not any(part in suite for part in AUTHENTICATED):
        return "not-authenticated"
    return "dhe" if suite in DHE else "other-suite"


def of_suites(it: Offered) -> Iterator[Finding]:
    for kind, (what, mend) in KINDS.items():
        if mine := [suite for suite in it.suites if kind_of(suite) == kind]:
            yield Finding(kind, f"it takes {what}: {few(mine, 4)}", mend, NO_DHE if kind == "dhe" else ALL)
    if it.short_dh:
        what = "its group of finite-field Diffie-Hellman has fewer than 2048 bits"
        yield Finding("short-dh", what, "remove suites of DHE, or give it ffdhe2048 of RFC 7919", ALL)


def of_groups(it: Offered) -> Iterator[Finding]:
    if weak := [group for group in it.groups if group in WEAK_GROUPS]:
        what = f"it takes key exchange over {', '.join(weak)}, below 128 bits of security"
        yield Finding("weak-group", what, f"keep to {', '.join(GROUPS)}", ALL)
    if POST_QUANTUM[0] not in it.groups:
        mend = f"offer {POST_QUANTUM[0]}, which Everyhop and OpenSSL 3.5 do by themselves"
        what = "it has no post-quantum key exchange: what is recorded today may be read one day"
        yield Finding("no-post-quantum", what, mend, NO_POST_QUANTUM)


UNBELIEVED = {
    "hop/untrusted": (
        "{whose} does not chain to the roots that it is judged by",
        "have one issued by an authority that clients know, or name its own by --ca",
    ),
    "hop/name-mismatch": (
        "{whose} does not carry the name {name}",
        "have one issued for that name, or ask for a name that it carries: --sni",
    ),
    "hop/certificate-expired": ("{whose} is not valid now", "renew it, or set the clock of this machine"),
    "hop/certificate-wrong-use": ("{whose} is not for servers", "have one issued with extendedKeyUsage=serverAuth"),
    "hop/weak-key": ("{whose} is not believed: {verified}", "have one issued for ECDSA P-256, or RSA of 2048 bits"),
    "hop/pin-mismatch": ("{whose} is not one that is pinned", "pin it only after you compared it at the server itself"),
}


def of_certificate(it: Shown, name: str, now: dt.datetime) -> Iterator[Finding]:
    whose = f"its certificate ({it.key})"
    if it.lacks is not None:
        what = f"{whose} came without the one of its issuer, {it.lacks}"
        mend = "send the full chain, leaf first: cat leaf.pem issuer.pem > fullchain.pem"
        yield Finding("chain-incomplete", what, mend, ALL)
    elif it.verified != "ok":
        mend = f"everyhop explain {it.why}" if it.why else "turn on TLS 1.2 or newer, with suites of ECDHE"
        otherwise = "{whose} is not believed: {verified}" if it.why else "{whose} could not be judged: {verified}"
        what, mend = UNBELIEVED.get(it.why or "", (otherwise, mend))
        what = what.format(whose=whose, name=name, verified=it.verified)
        yield Finding("not-verified", what, mend, ALL)
    yield from of_key(it, whose)
    lasts = it.lasts.days
    for word, fails in (("intermediate", ALL), ("modern", MODERN)):
        if lasts > LONGEST[word]:
            what = f"{whose} is valid for {lasts} days, and {word} has {LONGEST[word]} at most"
            yield Finding(
                "lasts-long", what, "have one issued for 90 days or less, and renewed by itself (ACME)", fails
            )
            break
    left = it.ends - now
    # With a third of its life left it is renewed where that is done by itself: a while after that, nobody did.
    if dt.timedelta() < left <= min(MONTH, it.lasts / 4):
        yield Finding("ends-soon", f"{whose} ends on {it.ends:%Y-%m-%d}, {ahead(left)}", "renew it")
    if it.must_staple:
        what = f"{whose} says must-staple: since authorities have ended OCSP, clients that obey it refuse the server"
        yield Finding("must-staple", what, "have one issued without it; short lifetimes have taken its place")


def of_key(it: Shown, whose: str) -> Iterator[Finding]:
    mend = "have one issued for ECDSA P-256"
    if it.kind == "RSA" and int(it.size) >= RSA_BITS:
        yield Finding("key-of-rsa", f"{whose} is of RSA, and modern has ECDSA alone", mend, MODERN)
    elif it.kind != "RSA" and not (it.kind == "ECDSA" and it.size in CURVES):
        what = f"{whose} has a key of a kind that no policy has: they have ECDSA P-256 and P-384, and RSA"
        yield Finding("key-of-another-kind", what, mend, ALL)
    elif it.kind == "RSA" and it.why != "hop/weak-key":
        what = f"{whose} has a key of fewer than {RSA_BITS} bits"
        yield Finding("short-key", what, mend, ALL)


def of_hsts(it: Offered) -> Iterator[Finding]:
    mend = f"have browsers come by TLS alone; in Everyhop, of the site: hsts = {{ max_age_s = {HSTS_S} }}"
    if it.hsts.state == "not-said":
        yield Finding("no-hsts", "it speaks HTTP and says no Strict-Transport-Security", mend)
    elif it.hsts.state == "said" and it.hsts.max_age_s < HSTS_S:
        what = (
            f"Strict-Transport-Security holds for {it.hsts.max_age_s} s, and the guidelines ask for {HSTS_S} at least"
        )
        yield Finding("short-hsts", what, mend)
