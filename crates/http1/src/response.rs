//! A response's head (RFC 9112 §4, §6.3). As strict as for requests: a backend that frames badly is not believed. What can
//! be read in one way all the same is taken where that was asked for (`lenient`), and then written afresh.

use crate::framing::{Connection, Framing, Seen, is_nominated};
use crate::line::{Field, Limits, Line, Lines, Parsed, Span, field, is_value, trim};
use crate::{FieldId, Refused};

/// Bytes of a reason that are passed on.
const REASON_BYTES: usize = 256;

#[derive(Debug, Default)]
pub struct ResponseHead {
    lines: Lines,
    began: bool,
    lenient: bool,
    pub status: u16,
    /// What stands behind the status (RFC 9112 §4), for people; empty if nothing does or too much.
    pub reason: Span,
    pub version_10: bool,
    pub fields: Vec<Field>,
    /// How its body ends; `None` also where status or method allow no body.
    pub framing: Framing,
    /// What Content-Length said, even where there is no body.
    pub length: Option<u64>,
    pub connection: Connection,
    /// How long the backend keeps the connection when it is idle, where it says so.
    pub keep_alive_s: Option<u32>,
}

impl ResponseHead {
    /// Takes lines that LF alone ends, and a Content-Length that is said again.
    pub fn lenient(lenient: bool) -> ResponseHead {
        ResponseHead { lenient, ..ResponseHead::default() }
    }

    pub fn reset(&mut self) {
        self.lines.reset();
        self.fields.clear();
        self.began = false;
    }

    /// Reads on; `to_head` says that the request's method was HEAD.
    pub fn parse(&mut self, buf: &[u8], limits: &Limits, to_head: bool) -> Parsed {
        self.read(buf, limits, to_head).unwrap_or_else(Parsed::Refused)
    }

    fn read(&mut self, buf: &[u8], limits: &Limits, to_head: bool) -> Result<Parsed, Refused> {
        loop {
            let Line::One(start, end) = self.lines.next(buf, limits.head_bytes, self.lenient)? else {
                return Ok(Parsed::NeedMore);
            };
            if !self.began {
                self.began = true;
                self.first_line(buf.get(start..end).unwrap_or_default(), start)?;
            } else if start == end {
                self.judge(buf, to_head)?;
                return Ok(Parsed::Head { len: self.lines.at() });
            } else {
                if self.fields.len() >= limits.fields {
                    return Err(Refused::TooManyFields);
                }
                self.fields.push(field(buf, start, end)?);
            }
        }
    }

    fn first_line(&mut self, line: &[u8], at: usize) -> Result<(), Refused> {
        let (version, rest) = line.split_at_checked(9).ok_or(Refused::StatusLine)?;
        self.version_10 = match version {
            b"HTTP/1.1 " => false,
            b"HTTP/1.0 " => true,
            _ => return Err(Refused::StatusLine),
        };
        let (code, reason) = rest.split_at_checked(3).ok_or(Refused::StatusLine)?;
        let separated = reason.is_empty() || reason.first() == Some(&b' ');
        if !separated || !is_value(reason) || !code.iter().all(u8::is_ascii_digit) {
            return Err(Refused::StatusLine);
        }
        let long = reason.len() > REASON_BYTES;
        self.reason = if reason.len() < 2 || long { Span::default() } else { Span::new(at + 13, at + line.len()) };
        self.status = code.iter().fold(0, |n, b| n * 10 + u16::from(b - b'0'));
        if (100..=599).contains(&self.status) { Ok(()) } else { Err(Refused::StatusLine) }
    }

    fn judge(&mut self, buf: &[u8], to_head: bool) -> Result<(), Refused> {
        let mut seen = Seen { lenient: self.lenient, ..Seen::default() };
        for field in self.fields.iter().filter(|f| f.id != FieldId::Expect) {
            seen.note(field, buf)?;
        }
        self.connection = seen.connection;
        self.keep_alive_s = seen.keep_alive_s;
        self.length = seen.length;
        if self.lenient && seen.length.is_some() {
            self.say_length_once(buf);
        }
        let declared = seen.declared(self.version_10)?;
        self.framing = match self.status {
            100..=199 | 204 | 304 => Framing::None,
            _ if to_head => Framing::None,
            _ if declared == Framing::None => Framing::UntilClose,
            _ => declared,
        };
        Ok(())
    }

    /// Whoever reads it next finds one length, as one number.
    #[cold]
    fn say_length_once(&mut self, buf: &[u8]) {
        let mut first = true;
        self.fields.retain(|f| f.id != FieldId::ContentLength || std::mem::take(&mut first));
        for f in self.fields.iter_mut().filter(|f| f.id == FieldId::ContentLength) {
            let once = f.value.of(buf).split(|b| *b == b',').next().map(trim).unwrap_or_default();
            f.value = f.value.first(once.len());
        }
    }

    /// True if another request may follow on this connection.
    pub fn keeps_alive(&self) -> bool {
        self.framing != Framing::UntilClose
            && !self.connection.close
            && (!self.version_10 || self.connection.keep_alive)
    }

    pub fn is_hop_by_hop(&self, field: &Field, buf: &[u8]) -> bool {
        field.id.is_hop_by_hop() || (self.connection.nominates && is_nominated(&self.fields, buf, field.name.of(buf)))
    }
}
