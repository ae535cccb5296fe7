//! The head of a question to whoever is asked about a request: what is asked for, as it was judged here, who asks for it, and of
//! the request's fields those that are named, and no other. Read next: `identity.rs`.

use crate::exchange::asked::Asked;
use crate::exchange::words::{Fields, Question};
use crate::head::identity::{Said, identity};
use everyhop_http1::{FieldId, binds_the_connection, write as put};
use everyhop_plan::Authorizer;

/// `host`: by what it is called who is asked; `span`: as which it is told of the request's trace.
pub(crate) fn write(
    said: &Said,
    asked: &Asked,
    fields: &impl Fields,
    (by, host, span): (&Authorizer, &str, Option<[u8; 8]>),
) -> Question {
    let (mut head, mut binds) = (Vec::with_capacity(1024), false);
    for part in ["GET ", &by.target, " HTTP/1.1\r\nhost: ", host, "\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    put::field(&mut head, b"x-forwarded-method", asked.method.as_bytes());
    let uri = [asked.path().as_bytes(), asked.query().as_bytes()].concat();
    put::field(&mut head, b"x-forwarded-uri", &uri);
    identity(said, asked, |name, value| put::field(&mut head, name.as_bytes(), value));
    // Several Cookie fields of HTTP/2 become one (RFC 9113 §8.2.3).
    let mut cookies: Vec<u8> = Vec::new();
    fields.each(|id, name, value| {
        let is_named = by.sends.iter().any(|it| it.as_bytes().eq_ignore_ascii_case(name));
        if !is_named || !id.is_editable(false) {
            return;
        }
        if name.eq_ignore_ascii_case(b"cookie") {
            if !cookies.is_empty() {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(value);
            return;
        }
        binds |= id == FieldId::Authorization && binds_the_connection(value);
        put::field(&mut head, name, value);
    });
    if !cookies.is_empty() {
        put::field(&mut head, b"cookie", &cookies);
    }
    if let (Some(trace), Some(span)) = (&asked.trace, span) {
        trace.tell_as(span, |name, value| put::field(&mut head, name.as_bytes(), value));
    }
    head.extend_from_slice(b"\r\n");
    Question { head, binds }
}
