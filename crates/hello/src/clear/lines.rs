//! Lines of protocols in text, as strict as they are written: ended by CRLF and nothing else, printable, bounded. Where
//! two readers could see two lines, nobody is to see one.

/// The beginning of what a peer sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    NeedMore,
    Bad,
    /// The line without its end, and what comes behind it.
    Is(&'a [u8], &'a [u8]),
}

/// Which bytes a line may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Letters {
    /// A command: what can be printed of ASCII.
    Ascii,
    /// A reply: also what is none, and tabs, since people write greetings.
    Any,
}

/// Reads a line of at most `most` bytes, its end included.
pub(super) fn line(bytes: &[u8], most: usize, letters: Letters) -> Line<'_> {
    let fits = |b: u8| match letters {
        Letters::Ascii => (0x20..0x7f).contains(&b),
        Letters::Any => b >= 0x20 && b != 0x7f || b == b'\t',
    };
    let seen = bytes.get(..bytes.len().min(most)).unwrap_or_default();
    let Some(at) = seen.iter().position(|b| !fits(*b)) else {
        return if bytes.len() < most { Line::NeedMore } else { Line::Bad };
    };
    let (text, end) = seen.split_at_checked(at).unwrap_or_default();
    match end {
        [b'\r', b'\n', ..] => Line::Is(text, bytes.get(at + 2..).unwrap_or_default()),
        [b'\r'] if bytes.len() < most => Line::NeedMore,
        _ => Line::Bad,
    }
}

/// A line's first word, and the rest of it.
pub(super) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|b| *b == b' ') {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        None => (text, b""),
    }
}

/// Whether a word is this one, however it is written.
pub(super) fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}
