"""What rules of the OWASP Core Rule Set look for, by the first digits of their numbers (https://coreruleset.org/docs/)."""

from __future__ import annotations

FAMILIES = {
    911: "a method that is not allowed",
    913: "a scanner",
    920: "what no ordinary client sends: the form of requests",
    921: "requests within requests, and fields within fields",
    922: "multipart bodies that can be read in two ways",
    930: "files of the server's, by their paths",
    931: "files from elsewhere",
    932: "commands of a shell",
    933: "code of PHP",
    934: "code of other languages, and what makes a server ask others",
    941: "scripts for browsers",
    942: "injections into SQL",
    943: "sessions that somebody else chose",
    944: "attacks on Java",
    949: "the sum of all: the request is refused by it",
    980: "the sum of all, told",
}
BASE = {
    200002: "a body that cannot be read",
    200003: "a multipart body of an odd form",
    200005: "more arguments than are read",
}
SUMS = (901, 949, 980)
OURS = 99_000_000


def looks_for(rule: int) -> str:
    """In a few words; of rules that the set has not, that they are one's own."""
    if rule in BASE:
        return BASE[rule]
    if rule // 1000 in FAMILIES:
        return FAMILIES[rule // 1000]
    if 200_000 <= rule < 201_000:
        return "a body that is not as it says"
    if rule >= OURS:
        return "more parts than are inspected"
    return "a rule of one's own"


def is_sum(rule: int) -> bool:
    """It adds up what others found, or bounds what a request costs: taken back, it takes back all of them."""
    return rule // 1000 in SUMS or rule >= OURS
