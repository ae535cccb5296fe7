//! A request's head (RFC 9112 §3, §5). Kept per connection and read again for each message, so that nothing is allocated.

use crate::framing::{Connection, Framing, Seen, is_nominated};
use crate::line::{Field, Limits, Line, Lines, Parsed, Span, field, is_token};
use crate::{FieldId, Refused};

#[derive(Debug, Default)]
pub struct RequestHead {
    lines: Lines,
    began: bool,
    blank: bool,
    pub method: Span,
    pub target: Span,
    /// HTTP/1.0, which has no chunks, no 1xx and no persistence by default.
    pub version_10: bool,
    pub fields: Vec<Field>,
    pub framing: Framing,
    pub connection: Connection,
    pub expects_continue: bool,
}

impl RequestHead {
    /// Forgets the last message; keeps the memory.
    pub fn reset(&mut self) {
        self.lines.reset();
        self.fields.clear();
        (self.began, self.blank) = (false, false);
    }

    /// Reads on. `buf` starts at the message's first byte and only ever grows until this is not `NeedMore`.
    pub fn parse(&mut self, buf: &[u8], limits: &Limits) -> Parsed {
        self.read(buf, limits).unwrap_or_else(Parsed::Refused)
    }

    fn read(&mut self, buf: &[u8], limits: &Limits) -> Result<Parsed, Refused> {
        loop {
            let line = self
                .lines
                .next(buf, limits.head_bytes, false)
                .map_err(|why| self.which_is_too_long(why, buf, limits))?;
            let Line::One(start, end) = line else { return Ok(Parsed::NeedMore) };
            if !self.began {
                if start == end && !self.blank {
                    // RFC 9112 §2.2: one empty line before the request line is forgiven.
                    self.blank = true;
                    continue;
                }
                self.began = true;
                self.first_line(buf, start, end, limits)?;
            } else if start == end {
                self.judge(buf)?;
                return Ok(Parsed::Head { len: self.lines.at() });
            } else {
                if self.fields.len() >= limits.fields {
                    return Err(Refused::TooManyFields);
                }
                self.fields.push(field(buf, start, end)?);
            }
        }
    }

    /// Where the limit is reached within the target, it is the target that is too long (RFC 9110 §15.5.15).
    fn which_is_too_long(&self, why: Refused, buf: &[u8], limits: &Limits) -> Refused {
        if self.began || why != Refused::HeadTooLong {
            return why;
        }
        let mut parts = buf.get(self.lines.at()..).unwrap_or_default().split(|b| matches!(b, b' ' | b'\r' | b'\n'));
        let (method, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if is_token(method) && target.len() > limits.target_bytes { Refused::TargetTooLong } else { why }
    }

    fn first_line(&mut self, buf: &[u8], start: usize, end: usize, limits: &Limits) -> Result<(), Refused> {
        let line = buf.get(start..end).unwrap_or_default();
        let mut spaces = memchr::memchr_iter(b' ', line);
        let (Some(first), Some(second), None) = (spaces.next(), spaces.next(), spaces.next()) else {
            return Err(Refused::RequestLine);
        };
        self.method = Span::new(start, start + first);
        self.target = Span::new(start + first + 1, start + second);
        if !is_token(self.method.of(buf)) {
            return Err(Refused::Method);
        }
        let target = self.target.of(buf);
        if target.is_empty() {
            return Err(Refused::RequestLine);
        }
        if target.len() > limits.target_bytes {
            return Err(Refused::TargetTooLong);
        }
        // Characters beyond ASCII stand as they are where a client does not encode them; bytes that are none do not.
        let (visible, all) =
            target.iter().fold((true, 0), |(fine, all), b| (fine & matches!(b, 0x21..=0x7e | 0x80..), all | b));
        if !visible || (all >= 0x80 && std::str::from_utf8(target).is_err()) {
            return Err(Refused::Target);
        }
        self.version_10 = match line.get(second + 1..).unwrap_or_default() {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            [b'H', b'T', b'T', b'P', b'/', a, b'.', b] if a.is_ascii_digit() && b.is_ascii_digit() => {
                return Err(Refused::Version);
            }
            _ => return Err(Refused::RequestLine),
        };
        Ok(())
    }

    fn judge(&mut self, buf: &[u8]) -> Result<(), Refused> {
        let mut seen = Seen::default();
        for field in &self.fields {
            seen.note(field, buf)?;
        }
        match seen.hosts {
            0 if !self.version_10 => return Err(Refused::NoHost),
            0 | 1 => {}
            _ => return Err(Refused::TwoHosts),
        }
        if seen.authorizations > 1 {
            return Err(Refused::TwoAuthorizations);
        }
        self.framing = seen.declared(self.version_10)?;
        self.connection = seen.connection;
        // RFC 9110 §10.1.1: from an HTTP/1.0 client it is ignored.
        self.expects_continue = seen.expects && !self.version_10;
        Ok(())
    }

    /// True if the client keeps the connection open after this request.
    pub fn keeps_alive(&self) -> bool {
        !self.connection.close && (!self.version_10 || self.connection.keep_alive)
    }

    /// True if `field` concerns this connection alone.
    pub fn is_hop_by_hop(&self, field: &Field, buf: &[u8]) -> bool {
        field.id.is_hop_by_hop() || (self.connection.nominates && is_nominated(&self.fields, buf, field.name.of(buf)))
    }

    /// The one value of a field that occurs at most once.
    pub fn value<'b>(&self, id: FieldId, buf: &'b [u8]) -> Option<&'b [u8]> {
        self.fields.iter().find(|f| f.id == id).map(|f| f.value.of(buf))
    }
}
