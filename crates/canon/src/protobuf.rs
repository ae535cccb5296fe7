//! Protobuf as far as it is spoken here: messages are written front to back into one buffer, by the numbers of their fields, and read
//! field by field, one level at a time, so that nobody's nesting is followed who was not asked for it. Read next:
//! `check_response.rs`; `otlp.rs` of the record, which only writes.

/// The wire types that are used (protobuf, "Encoding"). Groups, which nobody writes any more, are none.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// What stands before a message of gRPC: whether it is compressed, and its length.
const FRAME: usize = 5;

pub fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push((n & 0x7f) as u8);
}

fn key(out: &mut Vec<u8>, field: u32, wire: u32) {
    varint(out, u64::from(field << 3 | wire));
}

pub fn number(out: &mut Vec<u8>, field: u32, n: u64) {
    key(out, field, VARINT);
    varint(out, n);
}

pub fn fixed64(out: &mut Vec<u8>, field: u32, n: u64) {
    key(out, field, FIXED64);
    out.extend_from_slice(&n.to_le_bytes());
}

pub fn fixed32(out: &mut Vec<u8>, field: u32, n: u32) {
    key(out, field, FIXED32);
    out.extend_from_slice(&n.to_le_bytes());
}

pub fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    key(out, field, BYTES);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// What is no UTF-8 is no string of protobuf: then its signs are replaced.
pub fn string(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    bytes(out, field, String::from_utf8_lossy(value).as_bytes());
}

/// A message within another: its length goes before it once it is written.
pub fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    key(out, field, BYTES);
    let begins = out.len();
    write(out);
    let mut length = Vec::with_capacity(5);
    varint(&mut length, (out.len() - begins) as u64);
    out.splice(begins..begins, length);
}

/// A message as gRPC sends it, not compressed.
pub fn framed(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0; FRAME];
    write(&mut out);
    let length = u32::try_from(out.len() - FRAME).unwrap_or(u32::MAX).to_be_bytes();
    for (to, from) in out.iter_mut().skip(1).zip(length) {
        *to = from;
    }
    out
}

/// Why there is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoMessage {
    Compressed,
    TooLong,
    Malformed,
}

/// The first message in what came of a stream of gRPC, with how much of that it is; `None` where it is not there yet. One that will be
/// longer than `most` is not waited for.
pub fn unframed(came: &[u8], most: usize) -> Result<Option<(&[u8], usize)>, NoMessage> {
    match came.first() {
        None => return Ok(None),
        Some(0) => {}
        Some(1) => return Err(NoMessage::Compressed),
        Some(_) => return Err(NoMessage::Malformed),
    }
    let Some(length) = came.get(1..FRAME).and_then(|it| <[u8; 4]>::try_from(it).ok()) else { return Ok(None) };
    let length = u32::from_be_bytes(length) as usize;
    if length > most {
        return Err(NoMessage::TooLong);
    }
    Ok(came.get(FRAME..FRAME + length).map(|message| (message, FRAME + length)))
}

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes that nothing here is written in.
    Fixed,
}

/// What came is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The fields of a message in their order, with their numbers; the last is `Malformed` where it is none.
pub fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = field(self.rest);
        self.rest = read.map_or(&[][..], |(_, rest)| rest);
        Some(read.map(|(it, _)| it).ok_or(Malformed))
    }
}

type Read<'a, T> = Option<(T, &'a [u8])>;

fn field(message: &[u8]) -> Read<'_, (u64, Value<'_>)> {
    let (key, rest) = read_varint(message)?;
    let number = key >> 3;
    if number == 0 || key > u64::from(u32::MAX) {
        return None;
    }
    let (value, rest) = match u32::try_from(key & 7).ok()? {
        VARINT => read_varint(rest).map(|(n, rest)| (Value::Number(n), rest))?,
        FIXED64 => (Value::Fixed, rest.get(8..)?),
        FIXED32 => (Value::Fixed, rest.get(4..)?),
        BYTES => {
            let (length, rest) = read_varint(rest)?;
            let (inner, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            (Value::Bytes(inner), rest)
        }
        _ => return None,
    };
    Some(((number, value), rest))
}

fn read_varint(bytes: &[u8]) -> Read<'_, u64> {
    let mut n = 0u64;
    for (i, byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if i == 9 && *byte > 1 {
            return None;
        }
        n |= bits << (7 * i);
        if byte & 0x80 == 0 {
            return Some((n, bytes.get(i + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_messages_are_written_as_protobuf_has_them() {
        let mut out = Vec::new();
        number(&mut out, 1, 150);
        assert_eq!(out, [0x08, 0x96, 0x01]);
        let mut out = Vec::new();
        message(&mut out, 3, |out| bytes(out, 2, b"testing"));
        assert_eq!(out, b"\x1a\x09\x12\x07testing");
        let mut out = Vec::new();
        message(&mut out, 1, |out| bytes(out, 1, &[b'x'; 300]));
        assert_eq!((out.len(), &out[..6]), (3 + 3 + 300, &[0x0a, 0xaf, 0x02, 0x0a, 0xac, 0x02][..]));
    }

    #[test]
    fn what_is_no_utf_8_becomes_a_string_all_the_same() {
        let mut out = Vec::new();
        string(&mut out, 1, b"a\xffb");
        assert_eq!(&out[2..], "a\u{fffd}b".as_bytes());
    }

    #[test]
    fn what_was_written_is_read_field_by_field() {
        let mut out = Vec::new();
        number(&mut out, 1, u64::MAX);
        fixed64(&mut out, 2, 7);
        bytes(&mut out, 3000, b"abc");
        fixed32(&mut out, 4, 7);
        let all: Vec<_> = fields(&out).map(|it| it.expect("a field")).collect();
        let wanted = [(1, Value::Number(u64::MAX)), (2, Value::Fixed), (3000, Value::Bytes(b"abc")), (4, Value::Fixed)];
        assert_eq!(all, wanted);
        for wrong in [
            &b"\x00\x01"[..],
            b"\x0a\x05ab",
            b"\x0b\x0c",
            b"\x08",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            b"\x0d\x00",
        ] {
            assert_eq!(fields(wrong).last(), Some(Err(Malformed)), "{wrong:?}");
        }
    }

    #[test]
    fn a_message_of_grpc_is_there_once_all_of_it_is_and_a_long_one_is_not_waited_for() {
        let whole = framed(|out| out.extend_from_slice(b"message"));
        for cut in 0..whole.len() {
            assert_eq!(unframed(&whole[..cut], 7), Ok(None), "cut at {cut}");
        }
        assert_eq!(unframed(&whole, 7), Ok(Some((&b"message"[..], 12))));
        assert_eq!(unframed(&whole[..5], 6), Err(NoMessage::TooLong));
        assert_eq!(unframed(b"\x01", 7), Err(NoMessage::Compressed));
        assert_eq!(unframed(b"<html>", 7), Err(NoMessage::Malformed));
    }
}
