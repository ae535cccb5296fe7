//! IMAP (RFC 9051, RFC 3501) as far as STARTTLS: an edge that knows CAPABILITY, NOOP, LOGOUT and STARTTLS, and a client that
//! asks for it. Nobody logs in without.

use crate::clear::asking::{Answer, REPLY_BYTES, Unwilling, yes};
use crate::clear::lines::{Letters, Line, is, line, word};
use crate::clear::talk::{Heard, Talk};

/// More than any command has that is of use before TLS.
const COMMAND_BYTES: usize = 2048;
const TAG_BYTES: usize = 64;

/// Within TLS: a client asks for the backend's capabilities itself (RFC 9051 §6.2.1).
pub(super) const GREETING: &[u8] = b"* OK ready\r\n";
pub(super) const CLEAR_GREETING: &[u8] =
    b"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] this port takes TLS only\r\n";
pub(super) const ENOUGH: &[u8] = b"* BYE this port takes TLS only, and STARTTLS was not asked for\r\n";
const UNREADABLE: &[u8] = b"* BYE this is no command that is had without TLS\r\n";
pub(super) const STARTTLS: &[u8] = b"a1 STARTTLS\r\n";

pub(super) fn hear(talk: &mut Talk, bytes: &[u8]) -> Heard {
    let unreadable = || Heard::Refused { says: UNREADABLE.to_vec() };
    let (text, more) = match line(bytes, COMMAND_BYTES, Letters::Ascii) {
        Line::NeedMore => return Heard::NeedMore,
        Line::Bad => return unreadable(),
        Line::Is(text, more) => (text, more),
    };
    let (tag, command) = word(text);
    // What a literal says is no command, and where it ends another begins: none is read.
    if !is_tag(tag) || text.ends_with(b"}") {
        return unreadable();
    }
    let answer = |before: &str, words: &str| {
        let says = [before.as_bytes(), tag, b" ", words.as_bytes(), b"\r\n"].concat();
        Heard::Answer { consumed: bytes.len() - more.len(), says }
    };
    match () {
        () if is(command, "CAPABILITY") => {
            answer("* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n", "OK CAPABILITY completed")
        }
        () if is(command, "NOOP") => answer("", "OK NOOP completed"),
        () if is(command, "LOGOUT") => {
            Heard::Leaves { says: [b"* BYE\r\n", tag, b" OK LOGOUT completed\r\n"].concat() }
        }
        () if is(command, "STARTTLS") && !more.is_empty() => Heard::Early,
        () if is(command, "STARTTLS") => Heard::Begins { says: [tag, b" OK begin TLS\r\n"].concat() },
        () => {
            talk.denied = true;
            answer("", "NO [PRIVACYREQUIRED] STARTTLS first")
        }
    }
}

/// `1*<any ASTRING-CHAR except "+">`, and short.
fn is_tag(tag: &[u8]) -> bool {
    (1..=TAG_BYTES).contains(&tag.len()) && !tag.iter().any(|b| b"(){%*\"\\+ ".contains(b))
}

/// What a backend was told last.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Greeting,
    StartTls,
}

/// What a backend's bytes are at this step: `Begins` where it says yes to it.
pub(super) fn answered(step: Step, bytes: &[u8]) -> Answer {
    let mut rest = bytes;
    loop {
        let read = bytes.len() - rest.len();
        let (text, more) = match line(rest, REPLY_BYTES - read.min(REPLY_BYTES), Letters::Any) {
            Line::NeedMore => return Answer::NeedMore,
            Line::Bad => return Answer::No(Unwilling::NoTls("what it said is no answer of IMAP")),
            Line::Is(text, more) => (text, more),
        };
        rest = more;
        let (tag, said) = word(text);
        let (state, _) = word(said);
        return Answer::No(match (step, tag) {
            (_, b"*") if is(state, "BYE") => Unwilling::NotReady("it takes no session now (BYE)"),
            // RFC 9051 §7.1.4: it would be somebody already, and STARTTLS is for who is not.
            (Step::Greeting, b"*") if is(state, "PREAUTH") => {
                Unwilling::NoTls("it takes whoever comes for somebody it knows (PREAUTH)")
            }
            (Step::StartTls, b"*") => continue,
            (Step::Greeting, b"*") if is(state, "OK") => return yes(more),
            (Step::Greeting, _) => Unwilling::NoTls("it did not greet as IMAP does"),
            (Step::StartTls, b"a1") if is(state, "OK") => return yes(more),
            (Step::StartTls, b"a1") => Unwilling::NoTls("it answered STARTTLS with no"),
            (Step::StartTls, _) => Unwilling::NoTls("what it said is no answer of IMAP"),
        });
    }
}
