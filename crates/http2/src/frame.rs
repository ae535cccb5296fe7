//! Frames as they stand on the wire (RFC 9113 §4.1, §6).

/// A frame's header.
pub(crate) const HEADER: usize = 9;
/// The longest payload that everybody takes, and that we take (RFC 9113 §4.2).
pub(crate) const FRAME: usize = 16 * 1024;
/// The largest window there is (RFC 9113 §6.9.1).
pub(crate) const MOST_WINDOW: i64 = (1 << 31) - 1;
/// Every window's size before anybody said another (RFC 9113 §6.9.2).
pub(crate) const FIRST_WINDOW: u32 = 65_535;
/// The highest number of a stream (RFC 9113 §5.1.1).
pub(crate) const MOST_STREAM: u32 = (1 << 31) - 1;

/// What a client says before its first frame (RFC 9113 §3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 0x20;

/// A frame's header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) len: usize,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl Frame {
    #[inline]
    pub(crate) fn of([a, b, c, kind, flags, i, j, k, l]: [u8; HEADER]) -> Frame {
        let len = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        // The highest bit means nothing (RFC 9113 §4.1).
        Frame { len, kind, flags, stream: u32::from_be_bytes([i & 0x7f, j, k, l]) }
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

#[inline]
pub(crate) fn put(out: &mut Vec<u8>, len: usize, kind: u8, flags: u8, stream: u32) {
    let [.., a, b, c] = len.to_be_bytes();
    let [i, j, k, l] = stream.to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags, i, j, k, l]);
}

/// A frame of one number.
pub(crate) fn put_number(out: &mut Vec<u8>, kind: u8, stream: u32, number: u32) {
    put(out, 4, kind, 0, stream);
    out.extend_from_slice(&number.to_be_bytes());
}

/// The number that `bytes` begin with.
#[inline]
pub(crate) fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|it| u32::from_be_bytes(*it))
}

/// As [`number`], without its highest bit.
pub(crate) fn number31(bytes: &[u8]) -> Option<u32> {
    number(bytes).map(|n| n & MOST_STREAM)
}
