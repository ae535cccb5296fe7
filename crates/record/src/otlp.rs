//! The few messages of OTLP that the edge says, in protobuf (opentelemetry-proto 1.x, `trace/v1` and `collector/trace/v1`): written
//! by the numbers of their fields. Of what a collector answers one message is read. Nothing is sent here. Read next: `span.rs`, which
//! says what a span holds.

use everyhop_canon::protobuf::{self, fields};
pub(crate) use everyhop_canon::protobuf::{bytes, fixed32, fixed64, message, number, string};

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
        protobuf::Value::Bytes(inner) => field_of(inner, 1),
        _ => None,
    });
    match partial {
        Some(protobuf::Value::Number(n)) => n,
        _ => 0,
    }
}

/// The last field of that number, as protobuf has it; `None` where the message is none.
fn field_of(message: &[u8], wanted: u64) -> Option<protobuf::Value<'_>> {
    let mut found = None;
    for field in fields(message) {
        let (number, value) = field.ok()?;
        if number == wanted {
            found = Some(value);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_false_is_said() {
        let mut out = Vec::new();
        attribute(&mut out, 1, "k", Value::Bool(false));
        assert_eq!(out, [0x0a, 7, 0x0a, 1, b'k', 0x12, 2, 0x10, 0]);
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
