//! The few messages of OTLP that the edge says, in protobuf (opentelemetry-proto 1.x, `trace/v1` and `collector/trace/v1`): written
//! front to back into one buffer, by the numbers of their fields. Of what a collector answers one message is read. Nothing is
//! sent here. Read next: `span.rs`, which says what a span holds.

/// The wire types that are used (protobuf, "Encoding").
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

pub(crate) fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push((n & 0x7f) as u8);
}

fn key(out: &mut Vec<u8>, field: u32, wire: u32) {
    varint(out, u64::from(field << 3 | wire));
}

pub(crate) fn number(out: &mut Vec<u8>, field: u32, n: u64) {
    key(out, field, VARINT);
    varint(out, n);
}

pub(crate) fn fixed64(out: &mut Vec<u8>, field: u32, n: u64) {
    key(out, field, FIXED64);
    out.extend_from_slice(&n.to_le_bytes());
}

pub(crate) fn fixed32(out: &mut Vec<u8>, field: u32, n: u32) {
    key(out, field, FIXED32);
    out.extend_from_slice(&n.to_le_bytes());
}

pub(crate) fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    key(out, field, BYTES);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// What is no UTF-8 is no string of protobuf: then its signs are replaced.
pub(crate) fn string(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    bytes(out, field, String::from_utf8_lossy(value).as_bytes());
}

/// A message within another: its length goes before it once it is written.
pub(crate) fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    key(out, field, BYTES);
    let begins = out.len();
    write(out);
    let mut length = Vec::with_capacity(5);
    varint(&mut length, (out.len() - begins) as u64);
    out.splice(begins..begins, length);
}

/// The value of an attribute.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    Text(&'a [u8]),
    Number(u64),
    Bool(bool),
    Texts(&'a [String]),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Value<'a> {
        Value::Text(text.as_bytes())
    }
}

/// `KeyValue` as the field of that number.
pub(crate) fn attribute(out: &mut Vec<u8>, field: u32, name: &str, value: Value<'_>) {
    message(out, field, |out| {
        bytes(out, 1, name.as_bytes());
        message(out, 2, |out| match value {
            Value::Text(text) => string(out, 1, text),
            Value::Bool(it) => number(out, 2, u64::from(it)),
            Value::Number(n) => number(out, 3, n),
            Value::Texts(all) => message(out, 5, |out| {
                for text in all {
                    message(out, 1, |out| string(out, 1, text.as_bytes()));
                }
            }),
        });
    });
}

/// `Resource`: who says what follows.
pub fn resource(attributes: &[(String, String)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in attributes {
        attribute(&mut out, 1, name, Value::from(value.as_str()));
    }
    out
}

/// `ExportTraceServiceRequest`, of spans that were written each as a field of `ScopeSpans`.
pub fn request<'a>(resource: &[u8], version: &str, spans: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    message(&mut out, 1, |out| {
        bytes(out, 1, resource);
        message(out, 2, |out| {
            message(out, 1, |out| {
                bytes(out, 1, b"everyhop");
                bytes(out, 2, version.as_bytes());
            });
            for each in spans {
                out.extend_from_slice(each);
            }
        });
    });
    out
}

/// How many spans a collector took nothing of, by its `ExportTraceServiceResponse`; 0 where it says nothing of it, or what cannot
/// be read.
pub fn rejected(response: &[u8]) -> u64 {
    let partial = field_of(response, 1).and_then(|it| match it {
        Field::Bytes(inner) => field_of(inner, 1),
        Field::Number(_) => None,
    });
    match partial {
        Some(Field::Number(n)) => n,
        _ => 0,
    }
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The last field of that number, as protobuf has it; `None` where the message is none.
fn field_of(mut message: &[u8], wanted: u64) -> Option<Field<'_>> {
    let mut found = None;
    while !message.is_empty() {
        let (key, rest) = read_varint(message)?;
        let (field, rest) = match u32::try_from(key & 7).ok()? {
            VARINT => read_varint(rest).map(|(n, rest)| (Field::Number(n), rest))?,
            FIXED64 => (Field::Number(0), rest.get(8..)?),
            FIXED32 => (Field::Number(0), rest.get(4..)?),
            BYTES => {
                let (length, rest) = read_varint(rest)?;
                let (inner, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                (Field::Bytes(inner), rest)
            }
            _ => return None,
        };
        message = rest;
        if key >> 3 == wanted {
            found = Some(field);
        }
    }
    found
}

fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut n = 0u64;
    for (i, byte) in bytes.iter().enumerate().take(10) {
        n |= u64::from(byte & 0x7f).checked_shl(u32::try_from(i).ok()? * 7).unwrap_or(0);
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
        let mut out = Vec::new();
        attribute(&mut out, 1, "k", Value::Bool(false));
        assert_eq!(out, [0x0a, 7, 0x0a, 1, b'k', 0x12, 2, 0x10, 0], "what is false is said");
    }

    #[test]
    fn what_is_no_utf_8_becomes_a_string_all_the_same() {
        let mut out = Vec::new();
        string(&mut out, 1, b"a\xffb");
        assert_eq!(&out[2..], "a\u{fffd}b".as_bytes());
    }

    #[test]
    fn what_a_collector_rejects_is_read_and_nonsense_is_nothing() {
        let mut partial = Vec::new();
        message(&mut partial, 1, |out| {
            number(out, 1, 300);
            bytes(out, 2, b"too old");
        });
        assert_eq!(rejected(&partial), 300);
        assert_eq!(rejected(b""), 0);
        for cut in 0..partial.len() {
            assert!([0, 300].contains(&rejected(&partial[..cut])), "cut at {cut}");
        }
        for nonsense in
            [&b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"\x0a\xff\x01", b"<html>", b"\x09", b"\x0b"]
        {
            assert_eq!(rejected(nonsense), 0, "{nonsense:?}");
        }
        assert_eq!(rejected(b"\x0a\x00"), 0);
    }
}
