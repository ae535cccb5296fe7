//! A question to whoever is asked about a request: what is asked for, as it was judged here, who asks for it, and of
//! the request's fields those that are named, and no other. Read next: `identity.rs`, `envoy.rs`.

use crate::exchange::asked::Asked;
use crate::exchange::words::{Fields, Question};
use crate::head::envoy::{self, From};
use crate::head::identity::{Said, identity};
use everyhop_http1::{FieldId, binds_the_connection, write as put};
use everyhop_plan::{Authorizer, AuthorizerSpeaks};

/// Who asks, and as what.
pub(crate) struct Asks<'a> {
    pub(crate) by: &'a Authorizer,
    /// By what it is called who is asked.
    pub(crate) host: &'a str,
    /// As which it is told of the request's trace.
    pub(crate) span: Option<[u8; 8]>,
    pub(crate) from: From<'a>,
    /// How long an answer is waited for.
    pub(crate) within_ms: u64,
}

/// `None`: what cannot be said, which the file's judge refuses before.
pub(crate) fn write(said: &Said, asked: &Asked, fields: &impl Fields, it: &Asks<'_>) -> Option<Question> {
    match &it.by.speaks {
        AuthorizerSpeaks::Http { target } => Some(get(said, asked, fields, (it, target))),
        AuthorizerSpeaks::Envoy {} => envoy::call(asked, fields, it),
    }
}

fn get(said: &Said, asked: &Asked, fields: &impl Fields, (it, target): (&Asks<'_>, &str)) -> Question {
    let (mut head, mut binds) = (Vec::with_capacity(1024), false);
    for part in ["GET ", target, " HTTP/1.1\r\nhost: ", it.host, "\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    put::field(&mut head, b"x-forwarded-method", asked.method.as_bytes());
    let uri = [asked.path().as_bytes(), asked.query().as_bytes()].concat();
    put::field(&mut head, b"x-forwarded-uri", &uri);
    identity(said, asked, |name, value| put::field(&mut head, name.as_bytes(), value));
    named(it.by, fields, |id, name, value| {
        binds |= id == FieldId::Authorization && binds_the_connection(value);
        put::field(&mut head, name, value);
    });
    if let (Some(trace), Some(span)) = (&asked.trace, it.span) {
        trace.tell_as(span, |name, value| put::field(&mut head, name.as_bytes(), value));
    }
    head.extend_from_slice(b"\r\n");
    Question::Get { head, binds }
}

/// The fields that it is shown. Several Cookie fields of HTTP/2 become one (RFC 9113 §8.2.3).
pub(super) fn named(by: &Authorizer, fields: &impl Fields, mut put: impl FnMut(FieldId, &[u8], &[u8])) {
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
        put(id, name, value);
    });
    if !cookies.is_empty() {
        put(FieldId::Other, b"cookie", &cookies);
    }
}
