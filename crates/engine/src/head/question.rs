//! A question to whoever is asked about a request: what is asked for, as it was judged here, who asks for it, and of
//! the request's fields those that are named, and no other. Read next: `identity.rs`, `envoy.rs`.

use crate::exchange::asked::Asked;
use crate::exchange::words::{Fields, Question};
use crate::head::envoy;
use crate::head::identity::{Said, identity};
use crate::head::shown::{Asks, named};
use everyhop_http1::{FieldId, binds_the_connection, write as put};
use everyhop_plan::AuthorizerSpeaks;

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
