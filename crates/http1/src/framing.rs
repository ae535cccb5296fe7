//! Where a body ends (RFC 9112 §6), and what Connection says (RFC 9110 §7.6.1): decided while the fields are read.

use crate::line::{Field, is_token, trim};
use crate::{FieldId, Refused};

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    #[default]
    None,
    Length(u64),
    Chunked,
    /// Responses only.
    UntilClose,
}

/// What Connection says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Connection {
    pub close: bool,
    pub keep_alive: bool,
    pub upgrade: bool,
    /// It names other fields, which then must not be forwarded.
    pub nominates: bool,
}

/// What is known so far of one head.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// A length that is said twice is one, if both are the same (RFC 9112 §6.3).
    pub(crate) lenient: bool,
    pub(crate) length: Option<u64>,
    pub(crate) chunked: bool,
    pub(crate) hosts: u8,
    pub(crate) authorizations: u8,
    pub(crate) expects: bool,
    pub(crate) connection: Connection,
    /// How long Keep-Alive says that an idle connection is kept.
    pub(crate) keep_alive_s: Option<u32>,
}

impl Seen {
    /// Takes note of one field; most say nothing here.
    #[inline]
    pub(crate) fn note(&mut self, field: &Field, buf: &[u8]) -> Result<(), Refused> {
        if field.id == FieldId::Other { Ok(()) } else { self.note_known(field, buf) }
    }

    fn note_known(&mut self, field: &Field, buf: &[u8]) -> Result<(), Refused> {
        let value = field.value.of(buf);
        match field.id {
            FieldId::Host => self.hosts = self.hosts.saturating_add(1),
            FieldId::Authorization => self.authorizations = self.authorizations.saturating_add(1),
            FieldId::ContentLength => {
                if self.length.is_some() && !self.lenient {
                    return Err(Refused::TwoContentLengths);
                }
                let said = length(value).or_else(|| repeated(value).filter(|_| self.lenient));
                if self.length.is_some_and(|before| said != Some(before)) {
                    return Err(Refused::TwoContentLengths);
                }
                self.length = Some(said.ok_or(Refused::ContentLength)?);
            }
            FieldId::TransferEncoding => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refused::TransferEncoding);
                }
                self.chunked = true;
            }
            FieldId::Connection => self.connection(value)?,
            FieldId::KeepAlive => self.keep_alive_s = timeout(value),
            FieldId::Expect => {
                if self.expects || !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Refused::Expectation);
                }
                self.expects = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) -> Result<(), Refused> {
        for token in value.split(|b| *b == b',').map(trim) {
            match token.len() {
                // RFC 9110 §5.6.1: empty elements are to be ignored.
                0 => {}
                5 if token.eq_ignore_ascii_case(b"close") => self.connection.close = true,
                7 if token.eq_ignore_ascii_case(b"upgrade") => self.connection.upgrade = true,
                10 if token.eq_ignore_ascii_case(b"keep-alive") => self.connection.keep_alive = true,
                _ if is_token(token) => self.connection.nominates = true,
                _ => return Err(Refused::ConnectionField),
            }
        }
        Ok(())
    }

    /// The framing that the fields declare, before method and status have their say.
    pub(crate) fn declared(&self, version_10: bool) -> Result<Framing, Refused> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Refused::ConflictingFraming),
            (true, None) if version_10 => Err(Refused::TransferEncodingIn10),
            (true, None) => Ok(Framing::Chunked),
            (false, Some(n)) => Ok(Framing::Length(n)),
            (false, None) => Ok(Framing::None),
        }
    }
}

/// `timeout=5` of Keep-Alive (RFC 2068 §19.7.1.1): an offer, so that what is not one says nothing.
#[cold]
fn timeout(value: &[u8]) -> Option<u32> {
    let mut each = value.split(|b| *b == b',').map(trim);
    let seconds = each.find_map(|one| one.strip_prefix(b"timeout="))?;
    length(seconds).and_then(|n| u32::try_from(n).ok())
}

/// Digits only, below 2^63.
fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 {
        return None;
    }
    value.iter().try_fold(0u64, |n, b| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0')))
}

/// `5, 5`: the same length several times in one field.
#[cold]
fn repeated(value: &[u8]) -> Option<u64> {
    let mut each = value.split(|b| *b == b',').map(|one| length(trim(one)));
    let first = each.next().flatten()?;
    each.all(|one| one == Some(first)).then_some(first)
}

/// True if a Connection field of `fields` names `name`.
pub(crate) fn is_nominated(fields: &[Field], buf: &[u8], name: &[u8]) -> bool {
    fields
        .iter()
        .filter(|f| f.id == FieldId::Connection)
        .any(|f| f.value.of(buf).split(|b| *b == b',').any(|token| trim(token).eq_ignore_ascii_case(name)))
}
