//! What a message must have, and have not (RFC 9113 §8.3, §8.5, RFC 8441 §4), of heads whose fields are right by themselves.

use crate::fault::Fault;
use crate::head::{HAS_AUTHORITY, HAS_METHOD, HAS_PATH, HAS_PROTOCOL, HAS_SCHEME, HAS_STATUS, Head};
use crate::streams::{ANY, CONNECT, TO_HEAD};

const TARGET: u8 = HAS_METHOD | HAS_SCHEME | HAS_PATH;

/// What a request means for its stream: flags, and how long its body is.
pub(crate) fn request(head: &Head, last: bool, connects: bool) -> Result<(u16, u64), Fault> {
    let seen = head.seen();
    if seen & HAS_STATUS != 0 {
        return Err(Fault::PseudoField);
    }
    let mut flags = 0;
    if head.method() == b"CONNECT" {
        flags = CONNECT;
        if seen & HAS_PROTOCOL != 0 && !connects {
            return Err(Fault::PseudoField);
        }
        let needs = if seen & HAS_PROTOCOL != 0 { TARGET | HAS_AUTHORITY } else { HAS_METHOD | HAS_AUTHORITY };
        if seen & needs != needs {
            return Err(Fault::Missing);
        }
        if seen & !needs & !HAS_PROTOCOL != 0 {
            return Err(Fault::PseudoField);
        }
    } else if seen & HAS_PROTOCOL != 0 {
        return Err(Fault::PseudoField);
    } else if seen & TARGET != TARGET {
        return Err(Fault::Missing);
    } else if head.method() == b"HEAD" {
        flags = TO_HEAD;
    }
    match head.content_length() {
        Some(1..) if last => Err(Fault::BodyLength),
        length => Ok((flags, length.unwrap_or(ANY))),
    }
}

/// What an answer is.
pub(crate) enum Answer {
    Interim,
    /// How long its body is.
    Final(u64),
}

/// `flags`: of the request's stream.
pub(crate) fn answer(head: &Head, last: bool, flags: u16) -> Result<Answer, Fault> {
    let seen = head.seen();
    if seen & HAS_STATUS == 0 {
        return Err(Fault::Missing);
    }
    if seen != HAS_STATUS {
        return Err(Fault::PseudoField);
    }
    match head.status() {
        101 => Err(Fault::Status),
        100..200 if last => Err(Fault::HeadAgain),
        100..200 => Ok(Answer::Interim),
        // A tunnel has no length, whatever is declared (RFC 9110 §9.3.6).
        200..300 if flags & CONNECT != 0 => Ok(Answer::Final(ANY)),
        status => match body(status, flags, head.content_length()) {
            Some(1..) if last => Err(Fault::BodyLength),
            length => Ok(Answer::Final(length.unwrap_or(ANY))),
        },
    }
}

/// How long the body of an answer is, where that is known: some have none, whatever length they declare (RFC 9110 §6.4.1).
pub(crate) fn body(status: u16, flags: u16, declared: Option<u64>) -> Option<u64> {
    if flags & TO_HEAD != 0 || matches!(status, 204 | 304) { Some(0) } else { declared }
}

pub(crate) fn trailers(head: &Head, last: bool, left: u64) -> Result<(), Fault> {
    match left {
        _ if !last => Err(Fault::HeadAgain),
        _ if head.seen() != 0 => Err(Fault::PseudoField),
        0 | ANY => Ok(()),
        _ => Err(Fault::BodyLength),
    }
}
