//! What a request shows in Authorization by the Basic scheme (RFC 7617): a name, and a password behind the first colon.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Longer credentials are none, in base64.
pub const LONGEST: usize = 8 * 1024;

/// What somebody says to be, and by what. `Debug` is not derived; it is wiped when it is dropped.
pub struct Shown {
    /// `name:password`.
    text: Zeroizing<Vec<u8>>,
    colon: usize,
}

/// Why a value shows no name and password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotShown {
    /// It is of another scheme, or empty.
    Otherwise,
    /// No base64 in its one form around a name, a colon and a password, in UTF-8 without control characters; or too long.
    Malformed,
}

impl Shown {
    pub fn name(&self) -> &str {
        // It was looked at when it was read.
        self.text.get(..self.colon).and_then(|it| std::str::from_utf8(it).ok()).unwrap_or_default()
    }

    pub fn password(&self) -> &[u8] {
        self.text.get(self.colon + 1..).unwrap_or_default()
    }
}

/// Reads a value of Authorization. The scheme's case does not matter (RFC 9110 §11.1).
pub fn shown(value: &[u8]) -> Result<Shown, NotShown> {
    let (scheme, rest) = value.split_at_checked(5).ok_or(NotShown::Otherwise)?;
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Err(NotShown::Otherwise);
    }
    let shown = match rest.split_first() {
        None => b"",
        Some((b' ', rest)) => rest.trim_ascii(),
        Some(_) => return Err(NotShown::Otherwise),
    };
    if shown.is_empty() {
        return Err(NotShown::Otherwise);
    }
    if shown.len() > LONGEST {
        return Err(NotShown::Malformed);
    }
    // The decoder asks for room in whole groups.
    let mut text = Zeroizing::new(vec![0; shown.len() / 4 * 3 + 3]);
    let len = STANDARD.decode_slice(shown, &mut text).map_err(|_| NotShown::Malformed)?;
    text.truncate(len);
    let is_text = std::str::from_utf8(&text).is_ok_and(|it| !it.chars().any(char::is_control));
    match text.iter().position(|b| *b == b':') {
        Some(colon) if is_text => Ok(Shown { text, colon }),
        _ => Err(NotShown::Malformed),
    }
}
