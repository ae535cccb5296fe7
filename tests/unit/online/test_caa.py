"""CAA by the letter of RFC 8659 and 8657: which records count, whom they let issue, and what cannot be read lets nobody."""

from __future__ import annotations

import pytest

from everyhop.online.caa import Record, Verdict, issuer, judged, standing

LE = ("letsencrypt.org",)
KINDS = ("tls-alpn-01", "http-01")
Zone = dict[str, list[Record]]


def says(
    zone: Zone, name: str = "a.b.example.com", kinds: tuple[str, ...] = KINDS, account: str | None = None
) -> Verdict:
    return judged(standing(name, lambda at: zone.get(at, [])), LE, kinds, account)


def issue(*values: str, tag: str = "issue", flags: int = 0) -> list[Record]:
    return [Record(flags, tag, value) for value in values]


def test_where_nothing_stands_anybody_may() -> None:
    asked: list[str] = []

    def ask(at: str) -> list[Record]:
        asked.append(at)
        return []

    assert judged(standing("a.b.example.com", ask), LE, KINDS) == Verdict("may")
    assert asked == ["a.b.example.com", "b.example.com", "example.com", "com"]


def test_the_nearest_records_count_and_those_above_do_not() -> None:
    zone = {"example.com": issue("other.test"), "b.example.com": issue("letsencrypt.org")}
    assert says(zone).says == "may"
    assert says(zone, "c.example.com") == Verdict("may not", "example.com", "let other.test issue (issue)")
    assert says({"com": issue(";")}) == Verdict("may not", "com", "let nobody issue (issue)")


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (["letsencrypt.org"], "may"),
        (["other.test", "letsencrypt.org"], "may"),
        (["  LetsEncrypt.ORG ;"], "may"),
        (["letsencrypt.org; accounturi=https://a.test/1", "letsencrypt.org"], "may"),
        (["letsencrypt.org; accounturi=https://a.test/1"], "perhaps"),
        (["letsencrypt.org; validationmethods=http-01"], "may"),
        (["letsencrypt.org; validationmethods=dns-01,http-01"], "may"),
        (["letsencrypt.org; validationmethods=dns-01"], "may not"),
        (["letsencrypt.org; validationmethods="], "may not"),
        (["letsencrypt.org; validationmethods=dns-01", "letsencrypt.org; validationmethods=http-01"], "may"),
        (["letsencrypt.org; nonsense"], "may not"),
        (["letsencrypt.org; accounturi=https://a.test/1; accounturi=https://a.test/1"], "may not"),
        (["letsencrypt.org; validationmethods=http-01; ValidationMethods=dns-01"], "may not"),
        (["letsencrypt.org.evil.test"], "may not"),
        ([";"], "may not"),
        ([""], "may not"),
    ],
)
def test_issue_is_read_as_the_standard_has_it(values: list[str], verdict: str) -> None:
    assert says({"example.com": issue(*values)}).says == verdict


def test_of_a_wildcard_issuewild_counts_where_it_stands_and_issue_elsewhere() -> None:
    both = issue("letsencrypt.org") + issue(";", tag="issuewild")
    assert says({"example.com": both}, "*.example.com", ("dns-01",)).says == "may not"
    assert says({"example.com": both}, "example.com").says == "may"
    assert says({"example.com": issue(";")}, "*.example.com", ("dns-01",)).says == "may not"
    only = issue(";") + issue("letsencrypt.org", tag="issuewild")
    assert says({"example.com": only}, "*.example.com", ("dns-01",)).says == "may"
    assert says({"example.com": issue(";", tag="issuewild")}, "example.com").says == "may"


def test_records_that_say_nothing_of_issuing_let_anybody_and_unknown_ones_count_where_they_are_critical() -> None:
    assert says({"example.com": issue("mailto:a@b.test", tag="iodef")}).says == "may"
    assert says({"example.com": issue("x", tag="strange")}).says == "may"
    assert says({"example.com": issue("letsencrypt.org") + issue("x", tag="strange", flags=128)}).says == "may not"
    assert says({"example.com": issue("letsencrypt.org", flags=128)}).says == "may"
    # The other bits are reserved, and say nothing (RFC 8659 §4.1).
    assert says({"example.com": issue("x", tag="strange", flags=127)}).says == "may"
    assert says({"example.com": issue("x", tag="strange", flags=255)}).says == "may not"


def test_why_it_may_not_names_what_stands_in_the_way() -> None:
    strange = issue("x", tag="first", flags=128) + issue("x", tag="second", flags=128)
    assert says({"example.com": strange}).why == "say 'first', which no authority knows and all must obey"
    ways = issue(*(f"letsencrypt.org; validationmethods={it}" for it in ("dns-01,http-01", "ca-9")))
    wanted = "let it issue for what is proved by ca-9, dns-01, http-01, and here that is tls-alpn-01"
    assert says({"example.com": ways}, kinds=("tls-alpn-01",)).why == wanted
    # A list of none.
    none = says({"example.com": issue("letsencrypt.org; validationmethods=")})
    assert none.why == "let it issue for what is proved by nothing, and here that is tls-alpn-01, http-01"


def test_each_account_that_it_may_issue_to_is_named_once() -> None:
    one, other = (f"letsencrypt.org; accounturi=https://a.test/{n}" for n in (1, 2))
    assert says({"example.com": issue(one, one)}).why == "let it issue to the account https://a.test/1 alone"
    both = says({"example.com": issue(one, other)})
    assert both.why == "let it issue to the accounts https://a.test/1, https://a.test/2 alone"


def test_what_the_dns_does_not_tell_is_no_verdict() -> None:
    def ask(at: str) -> list[Record]:
        raise OSError("the server answers SERVFAIL")

    with pytest.raises(OSError, match="SERVFAIL"):
        standing("a.test", ask)


def test_conditions_are_read_by_their_names() -> None:
    it = issuer("letsencrypt.org; accounturi=https://a.test/acct/1?x=2 ;; ValidationMethods=dns-01")
    assert it.name == "letsencrypt.org"
    assert it.conditions == {"accounturi": "https://a.test/acct/1?x=2", "validationmethods": "dns-01"}


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (["letsencrypt.org; accounturi=https://a.test/1"], "may"),
        (["letsencrypt.org; accounturi=https://a.test/2", "letsencrypt.org; accounturi=https://a.test/1"], "may"),
        (["letsencrypt.org; accounturi=https://a.test/2", "letsencrypt.org"], "may"),
        (["letsencrypt.org; accounturi=https://a.test/2"], "may not"),
        (["letsencrypt.org; accounturi=https://A.test/1"], "may not"),
        (["letsencrypt.org; accounturi="], "may not"),
        # What is for the account is proved otherwise, and what is proved so is for another one.
        (["letsencrypt.org; accounturi=https://a.test/1; validationmethods=dns-01"], "may not"),
        (
            [
                "letsencrypt.org; accounturi=https://a.test/1; validationmethods=dns-01",
                "letsencrypt.org; accounturi=https://a.test/2; validationmethods=http-01",
            ],
            "may not",
        ),
    ],
)
def test_an_account_that_is_known_is_the_one_that_counts(values: list[str], verdict: str) -> None:
    assert says({"example.com": issue(*values)}, account="https://a.test/1").says == verdict


def test_of_an_account_that_is_not_the_one_both_are_told() -> None:
    it = says({"com": issue("letsencrypt.org; accounturi=https://a.test/2")}, account="https://a.test/1")
    assert it.why == "let it issue to the account https://a.test/2 alone, and the one here is https://a.test/1"
    assert it.is_of_account
    for value in ("other.example", ";", "letsencrypt.org; validationmethods=dns-00"):
        other = says({"com": issue(value)}, account="https://a.test/1")
        assert (other.says, other.is_of_account) == ("may not", False), f"no account would mend {value}"


def test_tags_that_an_authority_must_know_may_be_critical_and_others_may_be_strange() -> None:
    for tag in ("issue", "IssueWild", "issuemail", "issuevmc", "iodef", "contactemail"):
        more = issue("letsencrypt.org" if tag != "iodef" else "mailto:a@a.test", tag=tag, flags=128)
        assert says({"com": issue("letsencrypt.org") + more}).says == "may"
    assert says({"com": issue("letsencrypt.org") + issue("x", tag="strange", flags=1)}).says == "may"
    assert says({"com": issue("letsencrypt.org") + issue("x", tag="strange", flags=129)}).says == "may not"
