//! Fields as they are written, one after the other, into a block that goes out as it is.

use crate::hpack::Encoder;
use crate::hpack::statics::at;
use crate::rules;

/// Takes the fields of one head or trailer section.
pub struct Fields<'c> {
    encoder: &'c mut Encoder,
    out: &'c mut Vec<u8>,
    lower: &'c mut Vec<u8>,
    length: Option<u64>,
    is_trailers: bool,
}

impl<'c> Fields<'c> {
    pub(crate) fn new(
        (encoder, out, lower): (&'c mut Encoder, &'c mut Vec<u8>, &'c mut Vec<u8>),
        is_trailers: bool,
    ) -> Fields<'c> {
        Fields { encoder, out, lower, length: None, is_trailers }
    }

    /// Writes a field, its name in lower case.
    ///
    /// Gives: whether it is one that HTTP/2 carries. What is no token, a value with a control character or white space around
    /// it, a pseudo-field, and what is of HTTP/1.1's connections (RFC 9113 §8.2) is left out, and so is a second, other
    /// Content-Length.
    #[inline]
    pub fn put(&mut self, name: &[u8], value: &[u8]) -> bool {
        self.put_as(name, value, false)
    }

    /// As [`Fields::put`], of what nobody is to keep on any hop (RFC 7541 §7.1.3).
    pub fn put_secret(&mut self, name: &[u8], value: &[u8]) -> bool {
        self.put_as(name, value, true)
    }

    fn put_as(&mut self, name: &[u8], value: &[u8], is_secret: bool) -> bool {
        if name.first() == Some(&b':') {
            return false;
        }
        let name = if name.iter().any(u8::is_ascii_uppercase) {
            self.lower.clear();
            self.lower.extend(name.iter().map(u8::to_ascii_lowercase));
            &self.lower[..]
        } else {
            name
        };
        // Looked at before it is written: it decides how long the body is.
        if name.len() == 14 && name == b"content-length" && !self.is_trailers {
            let length = rules::length(value);
            if length.is_none() || self.length.is_some_and(|it| Some(it) != length) {
                return false;
            }
            self.length = length;
        }
        self.encoder.put_field(name, value, is_secret, self.out).is_some()
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    #[inline]
    pub(crate) fn status(&mut self, status: u16) {
        let digit = |n: u16| b'0' + u8::try_from(n % 10).unwrap_or(0);
        let text = [digit(status / 100), digit(status / 10), digit(status)];
        self.encoder.pseudo(at::STATUS, &text, self.out);
    }

    pub(crate) fn pseudo(&mut self, place: u8, value: &[u8]) {
        self.encoder.pseudo(place, value, self.out);
    }
}
