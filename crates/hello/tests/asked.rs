//! What a backend answers that is asked for TLS in the clear: each answer has its sentence, and the longest is read as the
//! shortest is.

use everyhop_hello::clear::{Answer, Asking, Protocol, Unwilling};

fn no(why: &'static str) -> Answer {
    Answer::No(Unwilling::NoTls(why))
}

fn not_now(why: &'static str) -> Answer {
    Answer::No(Unwilling::NotReady(why))
}

/// What comes of the last of these answers, where each before it was a yes.
fn after(protocol: Protocol, answers: &[&[u8]]) -> Answer {
    let mut asking = Asking::for_tls(protocol, [192, 0, 2, 1].into());
    let (last, before) = answers.split_last().expect("an answer");
    for answer in before {
        assert!(matches!(asking.hear(answer), Answer::Say(_)), "{}", answer.escape_ascii());
    }
    asking.hear(last)
}

const GREETS: &[u8] = b"220 a\r\n";
const OFFERS: &[u8] = b"250-a\r\n250 STARTTLS\r\n";

#[test]
fn a_server_of_smtp_that_does_not_begin_tls_is_told_by_what_it_said_and_when() {
    for (answers, told) in [
        (&[&b"421 a\r\n"[..]][..], not_now("it takes no session now (421)")),
        (&[GREETS, b"421 a\r\n"], not_now("it takes no session now (421)")),
        (&[GREETS, OFFERS, b"421\r\n"], not_now("it takes no session now (421)")),
        (&[b"400 a\r\n"], not_now("it greeted with a refusal")),
        (&[b"554-a\r\n554 b\r\n"], not_now("it greeted with a refusal")),
        (&[b"399 a\r\n"], no("it did not greet as SMTP does")),
        (&[b"250 STARTTLS\r\n"], no("it did not greet as SMTP does")),
        (&[b"220 a\r\n2"], no("it said more than it was asked")),
        (&[GREETS, b"250 STARTTLS\r\n"], no("it does not offer STARTTLS")),
        (&[GREETS, b"250-STARTTLS\r\n250 SIZE\r\n"], no("it does not offer STARTTLS")),
        (&[GREETS, b"250-a\r\n250 STARTTLSX\r\n"], no("it does not offer STARTTLS")),
        (&[GREETS, b"220-a\r\n220 STARTTLS\r\n"], no("it answered EHLO with no")),
        (&[GREETS, b"502 a\r\n"], no("it answered EHLO with no")),
        (&[GREETS, OFFERS, b"454 a\r\n"], no("it answered STARTTLS with not now (454)")),
        (&[GREETS, OFFERS, b"501 a\r\n"], no("it answered STARTTLS with no")),
        (&[GREETS, OFFERS, b"250 a\r\n"], no("it answered STARTTLS with no")),
        (&[GREETS, OFFERS, b"220 a\r\n\x16"], no("it said more than it was asked")),
    ] {
        assert_eq!(after(Protocol::Smtp, answers), told, "{answers:?}");
    }
}

#[test]
fn white_space_behind_what_smtp_offers_and_people_s_own_letters_in_a_greeting_change_nothing() {
    let greets = "220 \u{e9}\tready\r\n".as_bytes();
    assert_eq!(after(Protocol::Smtp, &[greets, b"250-a\r\n250-starttls \r\n250 SIZE\r\n", GREETS]), Answer::Begins);
    for odd in [&b"220 a\x7f\r\n"[..], b"220 a\x1f\r\n", b"620 a\r\n", b"2x0 a\r\n", b"22x a\r\n"] {
        assert_eq!(after(Protocol::Smtp, &[odd]), no("what it said is no reply of SMTP"), "{odd:?}");
    }
}

/// 8192 bytes: an EHLO's answer has a dozen lines.
#[test]
fn an_answer_of_many_lines_is_read_up_to_the_most_that_it_may_have_and_no_further() {
    let line = |len: usize, begins: &str| format!("{begins}{}\r\n", "x".repeat(len - begins.len() - 2));
    let smtp = |last: usize| (line(4096, "220-") + &line(last, "220 ")).into_bytes();
    assert!(matches!(after(Protocol::Smtp, &[&smtp(4096)]), Answer::Say(_)));
    assert_eq!(after(Protocol::Smtp, &[&smtp(4097)]), no("what it said is no reply of SMTP"));
    assert_eq!(after(Protocol::Smtp, &[&smtp(4096)[..8190]]), Answer::NeedMore);
    let imap = |last: usize| (line(4096, "* ") + &line(last, "a1 OK ")).into_bytes();
    assert_eq!(after(Protocol::Imap, &[b"* OK a\r\n", &imap(4096)]), Answer::Begins);
    assert_eq!(after(Protocol::Imap, &[b"* OK a\r\n", &imap(4097)]), no("what it said is no answer of IMAP"));
    assert_eq!(after(Protocol::Imap, &[b"* OK a\r\n", &imap(4096)[..8190]]), Answer::NeedMore);
}

#[test]
fn a_server_of_imap_that_does_not_begin_tls_is_told_by_what_it_said_and_when() {
    let greets = &b"* OK a\r\n"[..];
    for (answers, told) in [
        (&[&b"* BYE a\r\n"[..]][..], not_now("it takes no session now (BYE)")),
        (&[greets, b"* bye\r\n"], not_now("it takes no session now (BYE)")),
        (&[greets, b"* OK a\r\n* BYE\r\n"], not_now("it takes no session now (BYE)")),
        (&[b"* PREAUTH a\r\n"], no("it takes whoever comes for somebody it knows (PREAUTH)")),
        (&[b"* NO a\r\n"], no("it did not greet as IMAP does")),
        (&[b"a1 OK a\r\n"], no("it did not greet as IMAP does")),
        (&[b"220 a\r\n"], no("it did not greet as IMAP does")),
        (&[b"* OK\n"], no("what it said is no answer of IMAP")),
        (&[b"* OK a\r\n* OK b\r\n"], no("it said more than it was asked")),
        (&[greets, b"a1 NO a\r\n"], no("it answered STARTTLS with no")),
        (&[greets, b"a1 BAD a\r\n"], no("it answered STARTTLS with no")),
        (&[greets, b"a2 OK a\r\n"], no("what it said is no answer of IMAP")),
        (&[greets, b"* PREAUTH a\r\na1 NO\r\n"], no("it answered STARTTLS with no")),
        (&[greets, b"a1 OK a\r\n\x16"], no("it said more than it was asked")),
    ] {
        assert_eq!(after(Protocol::Imap, answers), told, "{answers:?}");
    }
}

#[test]
fn a_server_of_postgresql_says_one_letter_and_nothing_behind_it() {
    for (answer, told) in [
        (&b""[..], Answer::NeedMore),
        (b"S", Answer::Begins),
        (b"N", no("it answered the request for TLS with no")),
        (b"Nx", no("it answered the request for TLS with no")),
        (b"Sx", no("it said more than yes to the request for TLS")),
        (b"E", no("it answered the request for TLS with neither yes nor no")),
        (b"G", no("it answered the request for TLS with neither yes nor no")),
    ] {
        assert_eq!(after(Protocol::Postgres, &[answer]), told, "{answer:?}");
    }
    let asking = Asking::for_tls(Protocol::Postgres, [192, 0, 2, 1].into());
    assert_eq!(asking.first(), [0, 0, 0, 8, 4, 210, 22, 47]);
}

#[test]
fn a_server_of_ldap_that_does_not_begin_tls_is_told_by_the_code_of_its_answer() {
    let answer =
        |id: u8, code: u8| [&b"\x30\x0c\x02\x01"[..], &[id], b"\x78\x07\x0a\x01", &[code], b"\x04\0\x04\0"].concat();
    let garbage = no("what it said is no answer of LDAP");
    for (answer, told) in [
        (answer(1, 0), Answer::Begins),
        (answer(1, 2), no("it does not know StartTLS (protocolError)")),
        (answer(1, 1), no("it answered StartTLS with no")),
        (answer(1, 52), no("it answered StartTLS with no")),
        (answer(0, 52), not_now("it takes no session now (a notice of disconnection)")),
        (answer(0, 0), not_now("it takes no session now (a notice of disconnection)")),
        (answer(2, 0), garbage.clone()),
        // Of another request; and a code in two octets.
        (b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\0\x04\0\x04\0".to_vec(), garbage.clone()),
        (b"\x30\x0d\x02\x01\x01\x78\x08\x0a\x02\0\0\x04\0\x04\0".to_vec(), garbage.clone()),
        (b"\x30\x0c\x02\x01\x01\x78\x07\x02\x01\0\x04\0\x04\0".to_vec(), garbage),
        (Vec::new(), Answer::NeedMore),
    ] {
        assert_eq!(after(Protocol::Ldap, &[&answer]), told, "{}", answer.escape_ascii());
    }
}

#[test]
fn who_is_only_to_greet_is_asked_for_nothing() {
    for (protocol, greeting, other) in
        [(Protocol::Smtp, &b"220 a\r\n"[..], &b"250 a\r\n"[..]), (Protocol::Imap, b"* OK a\r\n", b"* NO a\r\n")]
    {
        let mut asking = Asking::for_greeting(protocol);
        assert!(asking.first().is_empty());
        for end in 0..greeting.len() {
            assert_eq!(asking.hear(&greeting[..end]), Answer::NeedMore);
        }
        assert_eq!(asking.hear(greeting), Answer::Begins);
        assert!(matches!(Asking::for_greeting(protocol).hear(other), Answer::No(Unwilling::NoTls(_))));
    }
}
