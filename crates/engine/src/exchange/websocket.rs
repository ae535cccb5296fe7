//! What a WebSocket's handshake has in HTTP/1.1 alone: a key, and what the server makes of it (RFC 6455 §1.3). Over HTTP/2
//! there is neither (RFC 8441 §5), so the edge says them for the side that cannot. They keep no secret and prove nobody: they
//! show that the other side means a WebSocket. Read next: `asked.rs`, which keeps the key.

use crate::exchange::words::Fields;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use everyhop_http1::FieldId;
use std::cell::Cell;

/// As `:protocol` and Upgrade have it.
pub(crate) const PROTOCOL: &str = "websocket";
pub(crate) const KEY: &[u8] = b"sec-websocket-key";
pub(crate) const ACCEPT: &[u8] = b"sec-websocket-accept";
/// RFC 6455 §1.3.
const MEANT: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// 16 bytes in base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u8; 24]);

/// A SHA-1 in base64.
pub(crate) type Accept = [u8; 28];

impl Key {
    /// One of our own; `None` where the machine has no randomness.
    pub(crate) fn new() -> Option<Key> {
        let mut bytes = [0; 16];
        rand::fill(&mut bytes).ok()?;
        Key::read(STANDARD.encode(bytes).as_bytes())
    }

    /// A client's, if it is one.
    pub(crate) fn read(value: &[u8]) -> Option<Key> {
        let is_one = STANDARD.decode(value).is_ok_and(|bytes| bytes.len() == 16);
        value.try_into().ok().filter(|_| is_one).map(Key)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What a server answers it with.
    pub(crate) fn accept(&self) -> Accept {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[&self.0, MEANT].concat());
        let mut text = [0; 28];
        // 20 bytes are 28 letters.
        let _ = STANDARD.encode_slice(hash.as_ref(), &mut text);
        text
    }
}

/// The fields of an answer that opens a WebSocket, for a client of the other protocol: with `accept` where that is HTTP/1.1,
/// without one where it is HTTP/2.
pub(crate) struct Opening<'a, F> {
    pub(crate) fields: &'a F,
    pub(crate) accept: Option<Accept>,
}

impl<F: Fields> Fields for Opening<'_, F> {
    fn has_secrets(&self) -> bool {
        self.fields.has_secrets()
    }

    fn each(&self, mut f: impl FnMut(FieldId, &[u8], &[u8])) {
        self.fields.each(|id, name, value| {
            if id != FieldId::ContentLength && !name.eq_ignore_ascii_case(ACCEPT) {
                f(id, name, value);
            }
        });
        if let Some(accept) = &self.accept {
            f(FieldId::Other, ACCEPT, accept);
        }
    }
}

/// True if the fields answer that key, and no other.
pub(crate) fn accepts(fields: &impl Fields, wanted: &Accept) -> bool {
    let (fits, others) = (Cell::new(0), Cell::new(0));
    fields.each(|_, name, value| {
        if name.eq_ignore_ascii_case(ACCEPT) {
            let which = if value == wanted { &fits } else { &others };
            which.set(which.get() + 1);
        }
    });
    (fits.get(), others.get()) == (1, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_answered_as_rfc_6455_has_it() {
        let key = Key::read(b"dGhlIHNhbXBsZSBub25jZQ==").expect("a key");
        assert_eq!(&key.accept(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_of_another_length_or_alphabet_is_none() {
        for bad in
            [&b""[..], b"dGhlIHNhbXBsZSBub25jZQ", b"dGhlIHNhbXBsZSBub25jZQ= ", b"dGhlIHNhbXBsZSBub25jZSE=", b"%%%%"]
        {
            assert_eq!(Key::read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn keys_of_our_own_are_keys_and_each_is_another() {
        let (one, two) = (Key::new().expect("a key"), Key::new().expect("a key"));
        assert!(one != two && Key::read(one.bytes()) == Some(one));
    }
}
