//! The server name of a hello, judged once (RFC 6066 §3): absent, a host name in its one canonical form, an IP literal
//! (which the RFC forbids and which names nothing here), or invalid.

use crate::bytes::Bytes;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sni {
    Absent,
    /// Lower case, one trailing dot stripped.
    Name(String),
    IpLiteral(String),
    Invalid(Invalid),
}

/// Why a server name is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// The list is empty, has two names, or is not well formed.
    List,
    /// Not letters, digits, hyphens and underscores in labels of 1 to 63, 253 in all.
    Name,
}

pub(crate) fn server_name(extension: &[u8]) -> Sni {
    one_name(extension).map_or(Sni::Invalid(Invalid::List), judge)
}

fn one_name(extension: &[u8]) -> Option<&[u8]> {
    let mut all = Bytes(extension);
    let mut list = all.vector(2)?;
    let kind = list.number(1)?;
    let name = list.vector(2)?;
    (all.is_empty() && list.is_empty() && kind == 0 && !name.is_empty()).then_some(name.0)
}

fn judge(name: &[u8]) -> Sni {
    let Ok(text) = std::str::from_utf8(name) else { return Sni::Invalid(Invalid::Name) };
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Sni::IpLiteral(text.to_owned());
    }
    host_name(name).map_or(Sni::Invalid(Invalid::Name), Sni::Name)
}

/// A host name in its canonical form; the same rule that a request's host is judged by.
///
/// `None` for anything else. A last label of digits alone would be an address to some readers (WHATWG URL §3.5): refused.
pub fn host_name(name: &[u8]) -> Option<String> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    if name.is_empty() || name.len() > 253 {
        return None;
    }
    let mut last_is_number = false;
    for label in name.split(|b| *b == b'.') {
        let fits = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let edge = |b: Option<&u8>| b == Some(&b'-');
        if label.is_empty() || label.len() > 63 || !label.iter().all(fits) || edge(label.first()) || edge(label.last())
        {
            return None;
        }
        last_is_number = label.iter().all(u8::is_ascii_digit);
    }
    if last_is_number {
        return None;
    }
    // Checked to be ASCII above.
    Some(name.iter().map(|b| char::from(b.to_ascii_lowercase())).collect())
}
