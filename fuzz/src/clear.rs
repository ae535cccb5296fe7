//! What is said in the clear before TLS. The first byte chooses the protocol, and of a backend which word it answers.

use crate::{cuts, shown};
use everyhop_hello::clear::{Answer, Asking, Heard, Protocol, Talk};
use std::net::Ipv4Addr;

const PROTOCOLS: [Protocol; 4] = [Protocol::Postgres, Protocol::Smtp, Protocol::Imap, Protocol::Ldap];
/// More than any word has that an edge or a client may say before TLS.
const MOST: usize = 8192;

/// What a client was told, how it ended, and how many of its bytes had been looked at by then.
fn told(protocol: Protocol, pieces: [&[u8]; 2]) -> (Vec<u8>, Heard, usize) {
    let mut talk = Talk::new(protocol, Ipv4Addr::LOCALHOST.into());
    let (mut waiting, mut heard, mut seen) = (Vec::new(), talk.greeting(), 0);
    for piece in pieces {
        waiting.extend_from_slice(piece);
        seen += piece.len();
        loop {
            match talk.hear(&waiting) {
                Heard::NeedMore => break,
                Heard::Answer { consumed, says } => {
                    assert!(consumed > 0 && consumed <= waiting.len(), "an answer is to something");
                    waiting.drain(..consumed);
                    heard.extend_from_slice(&says);
                }
                end => return (heard, end, seen),
            }
        }
        assert!(waiting.len() < MOST, "{} bytes and more are wanted", waiting.len());
    }
    (heard, Heard::NeedMore, seen)
}

pub fn clear_talk(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    let protocol = PROTOCOLS[usize::from(*which) % PROTOCOLS.len()];
    let (heard, end, _) = told(protocol, [data, b""]);
    assert!(heard.len() < MOST, "as many answers as nobody needs");
    if matches!(end, Heard::Begins { .. }) {
        let line = data.split(|b| *b == b'\n').rev().nth(1).unwrap_or_default().trim_ascii_end().to_ascii_uppercase();
        let asks = match protocol {
            Protocol::Postgres => data.ends_with(&[4, 210, 22, 47]),
            Protocol::Smtp => line == b"STARTTLS",
            Protocol::Imap => line.ends_with(b" STARTTLS"),
            Protocol::Ldap => data.windows(22).any(|w| w == b"1.3.6.1.4.1.1466.20037"),
        };
        assert!(asks, "it begins behind a request for TLS, and nothing follows: {}", shown(data));
    }
    for cut in cuts(data.len()) {
        let (there, rest) = data.split_at(cut);
        let (so_far, ended, seen) = told(protocol, [there, rest]);
        // Cut anywhere it is the same conversation; what was early may come behind the answer, and is no TLS then (T16), or
        // PostgreSQL's next request.
        let began = seen == cut && matches!(ended, Heard::Begins { .. }) || protocol == Protocol::Postgres;
        let began = began && end == Heard::Early && so_far.starts_with(&heard);
        assert!((&so_far, &ended) == (&heard, &end) || began, "cut at {cut}: {ended:?}, but whole: {end:?}");
    }
}

/// The conversations with a backend, each with what it has answered before.
const ASKED: [(Protocol, &[&[u8]]); 7] = [
    (Protocol::Postgres, &[]),
    (Protocol::Ldap, &[]),
    (Protocol::Smtp, &[]),
    (Protocol::Smtp, &[b"220 a\r\n"]),
    (Protocol::Smtp, &[b"220 a\r\n", b"250-a\r\n250 STARTTLS\r\n"]),
    (Protocol::Imap, &[]),
    (Protocol::Imap, &[b"* OK a\r\n"]),
];

pub fn clear_asking(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    let (protocol, before) = ASKED[usize::from(*which) % ASKED.len()];
    let hear = |bytes: &[u8]| {
        let mut asking = Asking::for_tls(protocol, Ipv4Addr::LOCALHOST.into());
        for said in before {
            assert!(matches!(asking.hear(said), Answer::Say(_)));
        }
        asking.hear(bytes)
    };
    let whole = hear(data);
    assert!(whole != Answer::NeedMore || data.len() < MOST, "{} bytes and more are wanted", data.len());
    for cut in cuts(data.len()) {
        let so_far = hear(&data[..cut]);
        // A yes with something behind it is none (T16).
        let more = matches!(so_far, Answer::Say(_) | Answer::Begins) && matches!(whole, Answer::No(_));
        assert!(
            so_far == Answer::NeedMore || so_far == whole || more,
            "cut at {cut}: {so_far:?}, but whole: {whole:?}: {}",
            shown(data)
        );
    }
}
