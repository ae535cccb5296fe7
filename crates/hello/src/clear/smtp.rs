//! SMTP (RFC 5321) as far as STARTTLS (RFC 3207): an edge that knows EHLO, NOOP, QUIT and STARTTLS, and a client that asks
//! for it.

use crate::clear::asking::{Answer, REPLY_BYTES, Unwilling, yes};
use crate::clear::lines::{Letters, Line, is, line, word};
use crate::clear::talk::{Heard, Talk};
use std::net::IpAddr;

/// RFC 5321 §4.5.3.1.4.
const COMMAND_BYTES: usize = 512;
/// Told whoever asks for anything else (RFC 3207 §4).
const DENIED: &[u8] = b"530 5.7.0 Must issue a STARTTLS command first\r\n";
pub(super) const ENOUGH: &[u8] = b"421 4.7.0 This port takes TLS only, and STARTTLS was not asked for\r\n";
const UNREADABLE: &[u8] = b"500 5.5.2 This is no line of SMTP\r\n";
pub(super) const STARTTLS: &[u8] = b"STARTTLS\r\n";

pub(super) fn greeting(us: IpAddr) -> Vec<u8> {
    format!("220 {} ESMTP\r\n", literal(us)).into_bytes()
}

pub(super) fn ehlo(us: IpAddr) -> Vec<u8> {
    format!("EHLO {}\r\n", literal(us)).into_bytes()
}

/// A name for who has none (RFC 5321 §4.1.3).
fn literal(us: IpAddr) -> String {
    match us {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

pub(super) fn hear(talk: &mut Talk, bytes: &[u8]) -> Heard {
    let (text, more) = match line(bytes, COMMAND_BYTES, Letters::Ascii) {
        Line::NeedMore => return Heard::NeedMore,
        Line::Bad => return Heard::Refused { says: UNREADABLE.to_vec() },
        Line::Is(text, more) => (text, more),
    };
    let (verb, rest) = word(text.trim_ascii_end());
    let says: &[u8] = match () {
        () if is(verb, "EHLO") && !rest.is_empty() => {
            talk.begun = true;
            let says = format!("250-{}\r\n250 STARTTLS\r\n", literal(talk.us)).into_bytes();
            return Heard::Answer { consumed: bytes.len() - more.len(), says };
        }
        () if is(verb, "EHLO") => b"501 5.5.4 EHLO takes a name\r\n",
        () if is(verb, "NOOP") => b"250 2.0.0 OK\r\n",
        () if is(verb, "QUIT") => return Heard::Leaves { says: b"221 2.0.0 Bye\r\n".to_vec() },
        () if is(verb, "STARTTLS") && !rest.is_empty() => b"501 5.5.4 STARTTLS takes no parameter\r\n",
        () if is(verb, "STARTTLS") && !talk.begun => b"503 5.5.1 EHLO first\r\n",
        () if is(verb, "STARTTLS") && !more.is_empty() => return Heard::Early,
        () if is(verb, "STARTTLS") => return Heard::Begins { says: b"220 2.0.0 Ready to start TLS\r\n".to_vec() },
        () => {
            talk.denied = true;
            DENIED
        }
    };
    Heard::Answer { consumed: bytes.len() - more.len(), says: says.to_vec() }
}

/// What a server says at last to one command.
enum Reply<'a> {
    NeedMore,
    Bad,
    /// Its number, its text a line, and what came behind it.
    Is(u16, Vec<&'a [u8]>, &'a [u8]),
}

/// A reply of one or more lines (RFC 5321 §4.2).
fn reply(bytes: &[u8]) -> Reply<'_> {
    let (mut rest, mut texts, mut number) = (bytes, Vec::new(), None);
    loop {
        let read = bytes.len() - rest.len();
        let (text, more) = match line(rest, REPLY_BYTES - read.min(REPLY_BYTES), Letters::Any) {
            Line::NeedMore => return Reply::NeedMore,
            Line::Bad => return Reply::Bad,
            Line::Is(text, more) => (text, more),
        };
        let [a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', said @ ..] = text else { return Reply::Bad };
        let this = [a, b, c].iter().fold(0, |all, digit| all * 10 + u16::from(**digit - b'0'));
        if *number.get_or_insert(this) != this {
            return Reply::Bad;
        }
        rest = more;
        match said {
            [b'-', said @ ..] => texts.push(said),
            [b' ', said @ ..] => {
                texts.push(said);
                return Reply::Is(this, texts, rest);
            }
            [] => return Reply::Is(this, texts, rest),
            _ => return Reply::Bad,
        }
    }
}

/// What a backend was told last.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Greeting,
    Ehlo,
    StartTls,
}

/// What a backend's bytes are at this step: `Begins` where it says yes to it.
pub(super) fn answered(step: Step, bytes: &[u8]) -> Answer {
    let (number, texts, more) = match reply(bytes) {
        Reply::NeedMore => return Answer::NeedMore,
        Reply::Bad => return Answer::No(Unwilling::NoTls("what it said is no reply of SMTP")),
        Reply::Is(number, texts, more) => (number, texts, more),
    };
    Answer::No(match (step, number) {
        (_, 421) => Unwilling::NotReady("it takes no session now (421)"),
        (Step::Greeting, 400..) => Unwilling::NotReady("it greeted with a refusal"),
        (Step::Greeting, 220) | (Step::StartTls, 220) => return yes(more),
        (Step::Ehlo, 250) if texts.iter().skip(1).any(|t| is(t.trim_ascii_end(), "STARTTLS")) => return yes(more),
        (Step::Ehlo, 250) => Unwilling::NoTls("it does not offer STARTTLS"),
        (Step::Ehlo, _) => Unwilling::NoTls("it answered EHLO with no"),
        (Step::Greeting, _) => Unwilling::NoTls("it did not greet as SMTP does"),
        (Step::StartTls, 454) => Unwilling::NoTls("it answered STARTTLS with not now (454)"),
        (Step::StartTls, _) => Unwilling::NoTls("it answered STARTTLS with no"),
    })
}
