//! The head of a request, ready to be sent once or again: texts one behind the other in memory that the next one takes.
//! It judges nothing; what HTTP/2 cannot carry the codec leaves out. Read next: `talk.rs`, which sends it.

use everyhop_http2::{Fields, Request};

/// One piece of memory, since it is handed around with a request that waits.
#[derive(Debug, Clone)]
pub struct Asking {
    /// Where method, authority and target end, and how it is asked; these; then of each field its lengths, its name and its value.
    bytes: Vec<u8>,
}

/// Three places, and how it is asked.
const FRONT: usize = 3 * 4 + 1;
const HOW: usize = 3 * 4;
/// An extended CONNECT opens a WebSocket (RFC 8441 §4).
const OPENS: u8 = 1;
/// Its fields are to be kept by nobody, on no hop (RFC 7541 §7.1.3).
const SECRET: u8 = 2;
const WEBSOCKET: &str = "websocket";
/// A name's length in two bytes, a value's in four.
const LENGTHS: usize = 6;

impl Asking {
    /// `bytes`: memory to use again. `authority`: whom it is for; `target`: path and query.
    pub fn new(mut bytes: Vec<u8>, method: &str, authority: &str, target: &str) -> Asking {
        bytes.clear();
        bytes.extend_from_slice(&[0; FRONT]);
        for (i, text) in [method, authority, target].into_iter().enumerate() {
            bytes.extend_from_slice(text.as_bytes());
            // Heads are bounded far below.
            let end = u32::try_from(bytes.len()).unwrap_or(0);
            bytes[i * 4..][..4].copy_from_slice(&end.to_be_bytes());
        }
        Asking { bytes }
    }

    /// It opens a WebSocket, by CONNECT.
    pub fn opens_websocket(mut self) -> Asking {
        self.bytes[HOW] |= OPENS;
        self
    }

    /// Nobody is to keep its fields.
    pub fn secret(mut self) -> Asking {
        self.bytes[HOW] |= SECRET;
        self
    }

    fn is(&self, how: u8) -> bool {
        self.bytes.get(HOW).is_some_and(|it| it & how != 0)
    }

    pub(super) fn write(&self, fields: &mut Fields<'_>) {
        let is_secret = self.is(SECRET);
        self.each(|name, value| {
            if is_secret {
                fields.put_secret(name, value);
            } else {
                fields.put(name, value);
            }
        });
    }

    fn ends(&self) -> [usize; 3] {
        let end = |i: usize| self.bytes.get(i * 4..).and_then(|it| it.first_chunk::<4>());
        [0, 1, 2].map(|i| end(i).map_or(0, |it| usize::try_from(u32::from_be_bytes(*it)).unwrap_or(usize::MAX)))
    }

    #[inline]
    pub fn put(&mut self, name: &[u8], value: &[u8]) {
        // Heads are bounded far below either.
        let (Ok(n), Ok(v)) = (u16::try_from(name.len()), u32::try_from(value.len())) else { return };
        self.bytes.extend_from_slice(&n.to_be_bytes());
        self.bytes.extend_from_slice(&v.to_be_bytes());
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
    }

    pub fn with(mut self, name: &str, value: &str) -> Asking {
        self.put(name.as_bytes(), value.as_bytes());
        self
    }

    /// Its fields, in their order.
    #[inline]
    pub fn each(&self, mut f: impl FnMut(&[u8], &[u8])) {
        let mut rest = self.bytes.get(self.ends()[2]..).unwrap_or_default();
        while let Some(([a, b, c, d, e, g], more)) = rest.split_first_chunk::<LENGTHS>() {
            let name = usize::from(u16::from_be_bytes([*a, *b]));
            let value = usize::try_from(u32::from_be_bytes([*c, *d, *e, *g])).unwrap_or(usize::MAX);
            let (Some((name, more)), value) = (more.split_at_checked(name), value) else { return };
            let Some((value, more)) = more.split_at_checked(value) else { return };
            f(name, value);
            rest = more;
        }
    }

    /// A field of that name, in lower case, is there.
    pub fn has(&self, name: &[u8]) -> bool {
        let mut has = false;
        self.each(|it, _| has |= it.eq_ignore_ascii_case(name));
        has
    }

    /// Its memory, to use again.
    pub fn into_memory(self) -> Vec<u8> {
        self.bytes
    }

    /// HTTP/2 can say it.
    pub fn is_sayable(&self) -> bool {
        self.request().is_whole()
    }

    /// Puts another value of the same length in the place of the field's.
    pub fn replace(&mut self, name: &[u8], value: &[u8]) {
        let base = self.bytes.as_ptr().addr();
        let mut at = None;
        self.each(|known, before| {
            if known == name && before.len() == value.len() {
                at = Some(before.as_ptr().addr() - base);
            }
        });
        if let Some(place) = at.and_then(|at| self.bytes.get_mut(at..at + value.len())) {
            place.copy_from_slice(value);
        }
    }

    pub(super) fn request(&self) -> Request<'_> {
        let part = |from: usize, to: usize| self.bytes.get(from..to).unwrap_or_default();
        let [method, authority, path] = self.ends();
        let opens = self.is(OPENS);
        Request {
            method: if opens { b"CONNECT" } else { part(FRONT, method) },
            scheme: b"https",
            authority: part(method, authority),
            path: part(authority, path),
            protocol: if opens { WEBSOCKET.as_bytes() } else { b"" },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_comes_out_and_memory_is_used_again() {
        let mut it = Asking::new(b"something of before".to_vec(), "GET", "a.test", "/x?y").with("te", "trailers");
        it.put(b"", b"");
        it.put(b"x-a", &[b'v'; 70_000]);
        let mut seen = Vec::new();
        it.each(|name, value| seen.push((name.to_vec(), value.len())));
        assert_eq!(seen, [(b"te".to_vec(), 8), (Vec::new(), 0), (b"x-a".to_vec(), 70_000)]);
        assert!(it.has(b"TE") && !it.has(b"x"));
        let request = it.request();
        assert_eq!((request.method, request.authority, request.path), (&b"GET"[..], &b"a.test"[..], &b"/x?y"[..]));
        let it = Asking::new(it.into_memory(), "GET", "b", "/").opens_websocket();
        assert_eq!((it.request().method, it.request().protocol), (&b"CONNECT"[..], &b"websocket"[..]));
        it.each(|_, _| panic!("nothing of before"));
    }
}
