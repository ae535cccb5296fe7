//! LDAP (RFC 4511) as far as StartTLS (§4.14): an edge that answers every other request with confidentialityRequired, and a
//! client that asks for it.

use crate::bytes::Bytes;
use crate::clear::asking::{Answer, REPLY_BYTES, Unwilling, yes};
use crate::clear::ber::{Whole, next, value, whole};
use crate::clear::talk::{Heard, Talk};

/// More than any request takes that is of use before TLS.
const REQUEST_BYTES: usize = 4096;
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
/// §4.4.1: a Notice of Disconnection.
const DISCONNECTION: &[u8] = b"1.3.6.1.4.1.1466.20036";

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const ENUMERATED: u8 = 0x0a;
const OCTETS: u8 = 0x04;
const CONTROLS: u8 = 0xa0;
const UNBIND: u8 = 0x42;
const ABANDON: u8 = 0x50;
const EXTENDED: u8 = 0x77;
const EXTENDED_RESPONSE: u8 = 0x78;
const REQUEST_NAME: u8 = 0x80;
const RESPONSE_NAME: u8 = 0x8a;

const SUCCESS: u8 = 0;
const PROTOCOL_ERROR: u8 = 2;
const CONFIDENTIALITY_REQUIRED: u8 = 13;

/// Requests by their tags, and what answers them: bind, search, modify, add, delete, rename, compare, extended.
const ANSWERED: [(u8, u8); 8] = [
    (0x60, 0x61),
    (0x63, 0x65),
    (0x66, 0x67),
    (0x68, 0x69),
    (0x4a, 0x6b),
    (0x6c, 0x6d),
    (0x6e, 0x6f),
    (EXTENDED, EXTENDED_RESPONSE),
];

/// TLS at once is welcome too: a record of it never begins like a message.
pub(super) fn hear(talk: &mut Talk, bytes: &[u8]) -> Heard {
    let unreadable = || Heard::Refused { says: disconnection() };
    match bytes.first() {
        None => return Heard::NeedMore,
        Some(&SEQUENCE) => {}
        Some(0x16) => return Heard::AtOnce,
        Some(_) => return unreadable(),
    }
    let (message, more) = match whole(bytes, REQUEST_BYTES) {
        Whole::NeedMore => return Heard::NeedMore,
        Whole::Bad => return unreadable(),
        Whole::Is(_, message, more) => (message, more),
    };
    let Some((id, tag, content)) = read(message).filter(|(id, ..)| is_number(id)) else { return unreadable() };
    let answer = |says| Heard::Answer { consumed: bytes.len() - more.len(), says };
    match tag {
        UNBIND => Heard::Leaves { says: Vec::new() },
        EXTENDED if is_start_tls(content) == Some(true) => match more.is_empty() {
            true => Heard::Begins { says: answered_with(id, EXTENDED_RESPONSE, SUCCESS, "", Some(START_TLS)) },
            false => Heard::Early,
        },
        EXTENDED if is_start_tls(content) == Some(false) => {
            answer(answered_with(id, EXTENDED_RESPONSE, PROTOCOL_ERROR, "StartTLS has no value", Some(START_TLS)))
        }
        // It has no answer.
        ABANDON => answer(Vec::new()),
        _ => match ANSWERED.iter().find(|(request, _)| *request == tag) {
            Some((_, with)) => {
                talk.denied = true;
                answer(answered_with(id, *with, CONFIDENTIALITY_REQUIRED, "this port takes TLS only: StartTLS", None))
            }
            None => unreadable(),
        },
    }
}

/// The number, the tag and the content of a message that is whole; its controls are those of a request that is not done.
fn read(message: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let mut parts = Bytes(message);
    let (INTEGER, id) = next(&mut parts)? else { return None };
    let (tag, content) = next(&mut parts)?;
    if !parts.is_empty() {
        let (CONTROLS, _) = next(&mut parts)? else { return None };
    }
    parts.is_empty().then_some((id, tag, content))
}

/// 1 to 2^31 - 1 in its shortest form: 0 is the server's own.
fn is_number(id: &[u8]) -> bool {
    match id {
        [0, b, ..] => *b >= 0x80 && id.len() <= 4,
        [a, ..] => *a < 0x80 && *a != 0 && id.len() <= 4,
        [] => false,
    }
}

/// `Some(false)` where it is, and has the value that it must not have.
fn is_start_tls(content: &[u8]) -> Option<bool> {
    let mut parts = Bytes(content);
    match next(&mut parts) {
        Some((REQUEST_NAME, START_TLS)) => Some(parts.is_empty()),
        _ => None,
    }
}

fn answered_with(id: &[u8], tag: u8, code: u8, why: &str, name: Option<&[u8]>) -> Vec<u8> {
    let name = name.map(|n| value(RESPONSE_NAME, n)).unwrap_or_default();
    let result = [value(ENUMERATED, &[code]), value(OCTETS, b""), value(OCTETS, why.as_bytes()), name].concat();
    value(SEQUENCE, &[value(INTEGER, id), value(tag, &result)].concat())
}

/// The last word to a client that is not served.
pub(super) fn disconnection() -> Vec<u8> {
    answered_with(&[0], EXTENDED_RESPONSE, PROTOCOL_ERROR, "this port takes TLS only: StartTLS", Some(DISCONNECTION))
}

/// What a backend is asked by.
pub(super) fn request() -> Vec<u8> {
    value(SEQUENCE, &[value(INTEGER, &[1]), value(EXTENDED, &value(REQUEST_NAME, START_TLS))].concat())
}

/// A backend's answer to [`request`].
pub(super) fn answered(bytes: &[u8]) -> Answer {
    let garbage = Answer::No(Unwilling::NoTls("what it said is no answer of LDAP"));
    let (message, more) = match whole(bytes, REPLY_BYTES) {
        _ if bytes.first().is_some_and(|b| *b != SEQUENCE) => return garbage,
        Whole::NeedMore => return Answer::NeedMore,
        Whole::Bad => return garbage,
        Whole::Is(_, message, more) => (message, more),
    };
    let code = match read(message) {
        Some((id, EXTENDED_RESPONSE, content)) => match next(&mut Bytes(content)) {
            Some((ENUMERATED, [code])) => Some((id, *code)),
            _ => None,
        },
        _ => None,
    };
    Answer::No(match code {
        Some(([0], _)) => Unwilling::NotReady("it takes no session now (a notice of disconnection)"),
        Some(([1], SUCCESS)) => return yes(more),
        Some(([1], PROTOCOL_ERROR)) => Unwilling::NoTls("it does not know StartTLS (protocolError)"),
        Some(([1], _)) => Unwilling::NoTls("it answered StartTLS with no"),
        _ => return garbage,
    })
}
