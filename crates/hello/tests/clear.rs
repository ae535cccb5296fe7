//! What is said in the clear before TLS, at whichever byte it is split: by clients, and by backends that are asked for it.

use everyhop_hello::clear::{Answer, Asking, Heard, Protocol, Talk, Unwilling};
use std::net::IpAddr;

fn us() -> IpAddr {
    "192.0.2.1".parse().expect("an address")
}

/// Everything that a client is told, and how it ended; its bytes come in pieces of `size`.
fn told(protocol: Protocol, says: &[u8], size: usize) -> (String, Heard) {
    let mut talk = Talk::new(protocol, us());
    let (mut waiting, mut heard) = (Vec::new(), talk.greeting());
    for piece in says.chunks(size) {
        waiting.extend_from_slice(piece);
        loop {
            match talk.hear(&waiting) {
                Heard::NeedMore => break,
                Heard::Answer { consumed, says } => {
                    waiting.drain(..consumed);
                    heard.extend_from_slice(&says);
                }
                end => return (String::from_utf8_lossy(&heard).into_owned(), end),
            }
        }
    }
    (String::from_utf8_lossy(&heard).into_owned(), Heard::NeedMore)
}

#[test]
fn a_client_of_smtp_is_offered_starttls_and_nothing_else() {
    let says = b"NOOP\r\nehlo client.test\r\nMAIL FROM:<a@b.test>\r\nSTARTTLS now\r\nstarttls\r\n";
    for size in 1..=says.len() {
        let (heard, end) = told(Protocol::Smtp, says, size);
        assert_eq!(
            heard,
            "220 [192.0.2.1] ESMTP\r\n250 2.0.0 OK\r\n250-[192.0.2.1]\r\n250 STARTTLS\r\n\
             530 5.7.0 Must issue a STARTTLS command first\r\n501 5.5.4 STARTTLS takes no parameter\r\n"
        );
        assert_eq!(end, Heard::Begins { says: b"220 2.0.0 Ready to start TLS\r\n".to_vec() });
    }
    let (heard, end) = told(Protocol::Smtp, b"STARTTLS\r\nEHLO\r\nquit\r\n", 100);
    assert_eq!(heard, "220 [192.0.2.1] ESMTP\r\n503 5.5.1 EHLO first\r\n501 5.5.4 EHLO takes a name\r\n");
    assert!(matches!(end, Heard::Leaves { .. }));
    assert_eq!(
        Protocol::Smtp.greeting("2001:db8::1".parse().expect("an address")),
        b"220 [IPv6:2001:db8::1] ESMTP\r\n"
    );
}

#[test]
fn a_client_of_imap_is_offered_starttls_and_no_login() {
    let says = b". CAPABILITY\r\nA1 noop\r\nA2 LOGIN a b\r\n. STARTTLS\r\n";
    for size in 1..=says.len() {
        let (heard, end) = told(Protocol::Imap, says, size);
        assert_eq!(
            heard,
            "* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] this port takes TLS only\r\n\
             * CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n. OK CAPABILITY completed\r\nA1 OK NOOP completed\r\n\
             A2 NO [PRIVACYREQUIRED] STARTTLS first\r\n"
        );
        assert_eq!(end, Heard::Begins { says: b". OK begin TLS\r\n".to_vec() });
    }
    for leaves in ["A3 LOGOUT\r\n", "A3 logout\r\nA4 NOOP\r\n"] {
        let bye = b"* BYE\r\nA3 OK LOGOUT completed\r\n".to_vec();
        assert_eq!(told(Protocol::Imap, leaves.as_bytes(), 1).1, Heard::Leaves { says: bye });
    }
    for bad in [
        "+ STARTTLS\r\n",
        " STARTTLS\r\n",
        "a\\ NOOP\r\n",
        "* OK\r\n",
        "a LOGIN {3}\r\n",
        "a\tNOOP\r\n",
        "a NOOP\n",
        "a\r\r\n",
    ] {
        assert!(matches!(told(Protocol::Imap, bad.as_bytes(), 100).1, Heard::Refused { .. }), "{bad:?}");
    }
    assert!(matches!(
        told(Protocol::Imap, format!("{} NOOP\r\n", "a".repeat(65)).as_bytes(), 100).1,
        Heard::Refused { .. }
    ));
}

/// As libldap writes it, and as Microsoft's client does.
const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
const LONG: &[u8] = b"\x30\x84\0\0\0\x25\x02\x01\x01\x77\x84\0\0\0\x1c\x80\x84\0\0\0\x161.3.6.1.4.1.1466.20037";
const YES: &[u8] = b"\x30\x24\x02\x01\x01\x78\x1f\x0a\x01\0\x04\0\x04\0\x8a\x161.3.6.1.4.1.1466.20037";

#[test]
fn a_client_of_ldap_is_denied_all_but_starttls() {
    assert_eq!(LONG.len(), 6 + 0x25);
    for request in [START_TLS, LONG] {
        let bind = b"\x30\x0c\x02\x01\x02\x60\x07\x02\x01\x03\x04\0\x80\0";
        let all = [&bind[..], request].concat();
        for size in 1..=all.len() {
            let (heard, end) = told(Protocol::Ldap, &all, size);
            assert!(
                heard.starts_with(
                    "\x30\x2e\x02\x01\x02\x61\x29\x0a\x01\x0d\x04\0\x04\x22this port takes TLS only: StartTLS"
                ),
                "{heard:?}"
            );
            assert_eq!(end, Heard::Begins { says: YES.to_vec() });
        }
    }
    assert!(matches!(told(Protocol::Ldap, b"\x30\x05\x02\x01\x03\x42\0", 1).1, Heard::Leaves { .. }));
    assert_eq!(told(Protocol::Ldap, b"\x16\x03", 1).1, Heard::AtOnce);
    // Abandon has no answer.
    assert_eq!(told(Protocol::Ldap, b"\x30\x06\x02\x01\x03\x50\x01\x02", 1), (String::new(), Heard::NeedMore));
    let with_value = b"\x30\x20\x02\x01\x01\x77\x1b\x80\x161.3.6.1.4.1.1466.20037\x81\x01x";
    assert!(told(Protocol::Ldap, with_value, 1).0.contains("StartTLS has no value"));
}

#[test]
fn ber_that_two_could_read_in_two_ways_is_read_in_none() {
    let bad: &[&[u8]] = &[
        b"\x30\x80\x02\x01\x01\x77\0\0\0",         // an indefinite length
        b"\x30\x85\0\0\0\0\x05\x02\x01\x03\x42\0", // a length of five octets
        b"\x30\x84\xff\xff\xff\xff",               // one of four GiB
        b"\x30\x82\x10\x01",                       // one above the bound
        b"\x30\x03\x02\x01\x01",                   // no request
        b"\x30\x05\x02\x01\0\x42\0",               // the server's own number
        b"\x30\x06\x02\x02\0\x01\x42\0",           // a number in a longer form
        b"\x30\x05\x02\x01\x80\x42\0",             // a negative one
        b"\x30\x09\x02\x05\x01\0\0\0\0\x42\0",     // one of five octets
        b"\x30\x04\x02\0\x42\0",                   // none
        b"\x30\x05\x02\x01\x01\x5f\0",             // a tag of more octets
        b"\x30\x05\x02\x01\x01\x61\0",             // an answer
        b"\x30\x07\x02\x01\x01\x42\0\x42\0",       // two requests in one message
        b"\x30\x06\x02\x01\x01\x42\x02\0",         // one that is longer than its message
        b"\x31\x05\x02\x01\x01\x42\0",             // no message
        b"\x15\x03\x01",                           // no hello either
    ];
    for bytes in bad {
        assert!(matches!(told(Protocol::Ldap, bytes, 1).1, Heard::Refused { .. }), "{}", bytes.escape_ascii());
    }
}

#[test]
fn what_comes_behind_a_request_for_tls_is_early_wherever_it_is_cut() {
    let asks: [(Protocol, &[u8], &[u8]); 4] = [
        (Protocol::Smtp, b"EHLO a\r\n", b"STARTTLS\r\n"),
        (Protocol::Imap, b"", b"a STARTTLS\r\n"),
        (Protocol::Ldap, b"", START_TLS),
        (Protocol::Postgres, b"", &[0, 0, 0, 8, 4, 210, 22, 47]),
    ];
    for (protocol, before, ask) in asks {
        let all = [before, ask].concat();
        assert!(matches!(told(protocol, &all, all.len()).1, Heard::Begins { .. }), "{protocol:?}");
        for more in [&b"\x16"[..], b"QUIT\r\n", b"\0"] {
            let all = [before, ask, more].concat();
            assert_eq!(told(protocol, &all, all.len()).1, Heard::Early, "{protocol:?}");
        }
        let talks_on = [before, ask].concat();
        for cut in 0..talks_on.len() {
            assert_eq!(told(protocol, &talks_on[..cut], cut.max(1)).1, Heard::NeedMore, "{protocol:?} at {cut}");
        }
    }
}

#[test]
fn whoever_talks_on_is_left_after_sixteen_answers() {
    for (protocol, one, last) in [
        (Protocol::Smtp, &b"NOOP\r\n"[..], &b"421"[..]),
        (Protocol::Imap, b"a NOOP\r\n", b"* BYE"),
        (Protocol::Ldap, b"\x30\x06\x02\x01\x03\x50\x01\x02", b"\x30"),
    ] {
        assert_eq!(told(protocol, &one.repeat(16), 1).1, Heard::NeedMore);
        let Heard::Refused { says } = told(protocol, &one.repeat(17), 1).1 else { panic!("{protocol:?} goes on") };
        assert!(says.starts_with(last));
    }
    let (at_most, over) = (512, 2048);
    assert!(matches!(told(Protocol::Smtp, &vec![b'x'; at_most], 1).1, Heard::Refused { .. }));
    assert!(matches!(told(Protocol::Smtp, &vec![b'x'; at_most - 1], 1).1, Heard::NeedMore));
    assert!(matches!(told(Protocol::Imap, &vec![b'x'; over], 1).1, Heard::Refused { .. }));
}

/// What a backend is told, and how it ends; its bytes come one after the other, an answer at a time.
fn asked(protocol: Protocol, answers: &[&[u8]]) -> (String, Answer) {
    let mut asking = Asking::for_tls(protocol, us());
    let mut said = asking.first();
    let mut last = Answer::NeedMore;
    for answer in answers {
        for end in 0..answer.len() {
            last = asking.hear(&answer[..end]);
            if last != Answer::NeedMore {
                return (String::from_utf8_lossy(&said).into_owned(), last);
            }
        }
        last = asking.hear(answer);
        match &last {
            Answer::Say(more) => said.extend_from_slice(more),
            _ => break,
        }
    }
    (String::from_utf8_lossy(&said).into_owned(), last)
}

#[test]
fn a_backend_is_asked_a_word_at_a_time_and_begins_after_its_whole_yes() {
    let smtp: [&[u8]; 3] = [b"220-a\r\n220\r\n", b"250-a\r\n250-SIZE 1\r\n250 StartTLS\r\n", b"220 go\r\n"];
    assert_eq!(asked(Protocol::Smtp, &smtp), ("EHLO [192.0.2.1]\r\nSTARTTLS\r\n".into(), Answer::Begins));
    let imap: [&[u8]; 2] = [b"* OK hi\r\n", b"* OK still here\r\na1 OK go\r\n"];
    assert_eq!(asked(Protocol::Imap, &imap), ("a1 STARTTLS\r\n".into(), Answer::Begins));
    assert_eq!(Asking::for_tls(Protocol::Ldap, us()).first(), START_TLS);
    assert_eq!(asked(Protocol::Ldap, &[YES]).1, Answer::Begins);
    assert_eq!(asked(Protocol::Postgres, &[b"S"]).1, Answer::Begins);
    for (protocol, greeting) in [(Protocol::Smtp, &b"220 a\r\n"[..]), (Protocol::Imap, b"* OK a\r\n")] {
        assert_eq!(Asking::for_greeting(protocol).hear(greeting), Answer::Begins);
    }
}

#[test]
fn a_reply_whose_lines_contradict_each_other_is_none() {
    for reply in [
        &b"220-a\r\n250 b\r\n"[..],
        b"220\xffa\r\n",
        b"120 a\r\n",
        b"22 a\r\n",
        b"220a\r\n",
        b"220 a\n",
        b"220 a\r\r\n",
        b"\0",
    ] {
        let answer = Asking::for_tls(Protocol::Smtp, us()).hear(reply);
        assert_eq!(
            answer,
            Answer::No(Unwilling::NoTls("what it said is no reply of SMTP")),
            "{}",
            reply.escape_ascii()
        );
    }
    for reply in [
        &b"\x30\x0c\x02\x01\x02\x78\x07\x0a\x01\0\x04\0\x04\0"[..],
        b"\x30\x80",
        b"220 hi\r\n",
        b"\x30\x05\x02\x01\x01\x42\0",
    ] {
        let answer = Asking::for_tls(Protocol::Ldap, us()).hear(reply);
        assert_eq!(
            answer,
            Answer::No(Unwilling::NoTls("what it said is no answer of LDAP")),
            "{}",
            reply.escape_ascii()
        );
    }
    let unavailable = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\0\x04\0";
    let gone = b"\x30\x0c\x02\x01\0\x78\x07\x0a\x01\x34\x04\0\x04\0";
    let hear = |bytes: &[u8]| Asking::for_tls(Protocol::Ldap, us()).hear(bytes);
    assert_eq!(hear(unavailable), Answer::No(Unwilling::NoTls("it answered StartTLS with no")));
    assert!(matches!(hear(gone), Answer::No(Unwilling::NotReady(_))));
    assert_eq!(hear(&[YES, b"x"].concat()), Answer::No(Unwilling::NoTls("it said more than it was asked")));
}

const SSL: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];
const GSS: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 48];

#[test]
fn a_client_of_postgresql_is_had_by_tls_alone_asked_for_or_at_once() {
    let nothing = || (String::new(), Heard::Refused { says: Vec::new() });
    let begins = Heard::Begins { says: b"S".to_vec() };
    for size in [1, 8, 100] {
        assert_eq!(told(Protocol::Postgres, SSL, size), (String::new(), begins.clone()));
        assert_eq!(told(Protocol::Postgres, b"\x16\x03\x01", size).1, Heard::AtOnce);
        // A request to cancel, and what is none at all.
        assert_eq!(told(Protocol::Postgres, &[0, 0, 0, 16, 4, 210, 22, 46], size), nothing());
        assert_eq!(told(Protocol::Postgres, &[0, 0, 0, 8, 0, 2, 0, 0], size), nothing());
        let (_, end) = told(Protocol::Postgres, &[0, 0, 0, 9, 0, 3, 0, 0, 0], size);
        let Heard::Refused { says } = end else { panic!("it goes on: {end:?}") };
        let told = String::from_utf8_lossy(&says).into_owned();
        assert!(told.starts_with('E') && told.contains("this port takes TLS only: sslmode=verify-full"), "{told}");
    }
    // Encryption by GSSAPI is not had: it asks for TLS next, and for nothing twice.
    let mut talk = Talk::new(Protocol::Postgres, us());
    assert_eq!(talk.hear(GSS), Heard::Answer { consumed: 8, says: b"N".to_vec() });
    assert_eq!(talk.hear(SSL), begins);
    assert_eq!(told(Protocol::Postgres, &[GSS, GSS].concat(), 8), ("N".into(), nothing().1));
    assert_eq!(told(Protocol::Postgres, &[GSS, SSL].concat(), 100).1, Heard::Early);
}

#[test]
fn it_is_known_who_asked_for_what_is_not_had_without_tls() {
    for (protocol, harmless, denied) in [
        (Protocol::Smtp, &b"EHLO a\r\nNOOP\r\n"[..], &b"MAIL FROM:<a@b.test>\r\n"[..]),
        (Protocol::Imap, b"a CAPABILITY\r\na NOOP\r\n", b"a LOGIN b c\r\n"),
        (Protocol::Ldap, b"\x30\x06\x02\x01\x03\x50\x01\x02", b"\x30\x0c\x02\x01\x02\x60\x07\x02\x01\x03\x04\0\x80\0"),
    ] {
        let mut talk = Talk::new(protocol, us());
        let mut waits = harmless;
        while let Heard::Answer { consumed, .. } = talk.hear(waits) {
            waits = &waits[consumed..];
        }
        assert!(waits.is_empty() && !talk.was_denied(), "{protocol:?}");
        assert!(matches!(talk.hear(denied), Heard::Answer { .. }) && talk.was_denied(), "{protocol:?}");
    }
}

#[test]
fn a_command_and_a_tag_are_as_long_as_they_may_be_and_no_longer() {
    for (protocol, begins, most) in [(Protocol::Smtp, "NOOP ", 512), (Protocol::Imap, "a NOOP ", 2048)] {
        let whole = |len: usize| format!("{begins}{}\r\n", "x".repeat(len - begins.len() - 2)).into_bytes();
        assert_eq!(told(protocol, &whole(most), most).1, Heard::NeedMore, "{protocol:?}");
        for bytes in [whole(most + 1), whole(most + 1)[..most].to_vec()] {
            assert!(matches!(told(protocol, &bytes, most + 1).1, Heard::Refused { .. }), "{protocol:?}");
        }
        assert_eq!(told(protocol, &whole(most)[..most - 1], most).1, Heard::NeedMore, "{protocol:?}");
    }
    let (heard, end) = told(Protocol::Imap, format!("{} NOOP\r\n", "a".repeat(64)).as_bytes(), 100);
    assert!(heard.ends_with("a OK NOOP completed\r\n") && end == Heard::NeedMore);
    assert!(matches!(told(Protocol::Imap, b"a NOOP\x7f\r\n", 100).1, Heard::Refused { .. }));
    assert_eq!(
        told(Protocol::Imap, b"a NOOP~\r\n", 100).1,
        Heard::NeedMore,
        "no such command, and the tag has its answer"
    );
}

/// An LDAP request that is abandoned, `len` bytes long.
fn abandon(len: usize) -> Vec<u8> {
    let inner = u16::try_from(len - 4).expect("a length").to_be_bytes();
    let value = u16::try_from(len - 4 - 3 - 4).expect("a length").to_be_bytes();
    let mut out = [&[0x30, 0x82][..], &inner, b"\x02\x01\x03\x50\x82", &value].concat();
    out.resize(len, 1);
    out
}

#[test]
fn a_request_of_ldap_is_as_long_as_it_may_be_and_its_number_has_one_form() {
    assert_eq!(told(Protocol::Ldap, &abandon(4096), 4096), (String::new(), Heard::NeedMore));
    assert!(matches!(told(Protocol::Ldap, &abandon(4097)[..20], 4097).1, Heard::Refused { .. }));
    let unbind = |id: &[u8]| {
        let len = u8::try_from(id.len()).expect("a length");
        told(Protocol::Ldap, &[&[0x30, 4 + len, 2, len][..], id, &[0x42, 0]].concat(), 100).1
    };
    for id in [&[1][..], &[0x7f], &[0, 0x80], &[0, 0xff], &[1, 0], &[0x7f, 0xff, 0xff, 0xff], &[0, 0xff, 0xff, 0xff]] {
        assert_eq!(unbind(id), Heard::Leaves { says: Vec::new() }, "{id:?}");
    }
    for id in [&[0, 0x7f][..], &[0x80], &[0xff, 1], &[0, 0x80, 0, 0, 0], &[1, 0, 0, 0, 0], &[0, 0]] {
        assert!(matches!(unbind(id), Heard::Refused { .. }), "{id:?}");
    }
    // Controls may stand behind a request, and nothing else.
    let with = |more: &[u8]| told(Protocol::Ldap, &[&[0x30, 7, 2, 1, 1, 0x42, 0][..], more].concat(), 100).1;
    assert_eq!(with(b"\xa0\0"), Heard::Leaves { says: Vec::new() });
    assert!(matches!(with(b"\xa1\0"), Heard::Refused { .. }));
    // An extended request for something else, and each request that has an answer, gets the one of its kind.
    for (request, answers) in
        [(0x60, 0x61), (0x63, 0x65), (0x66, 0x67), (0x68, 0x69), (0x4a, 0x6b), (0x6c, 0x6d), (0x6e, 0x6f), (0x77, 0x78)]
    {
        let mut talk = Talk::new(Protocol::Ldap, us());
        let Heard::Answer { consumed, says } = talk.hear(&[0x30, 5, 2, 1, 9, request, 0]) else {
            panic!("{request:#x}")
        };
        assert_eq!((consumed, &says[2..6]), (7, &[2, 1, 9, answers][..]), "{request:#x}");
        // RFC 4511 §4.1.9: confidentialityRequired.
        assert_eq!(&says[7..10], &[0x0a, 1, 13], "{request:#x}");
    }
}
