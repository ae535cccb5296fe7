//! What a client is told whom the one that was asked did not let pass: that one's word, with what leads a client further or lets it try
//! again, and nothing else of its answer. It is kept by nobody on the way. Read next: `given.rs`.

use crate::backend::heard::Heard;
use crate::client::answer::Answer;
use crate::exchange::asked::Asked;
use crate::exchange::words::{Behind, BodyLen, Meta};
use bytes::Bytes;
use std::borrow::Cow;

/// What goes on of its fields: the rest is between it and the edge.
const GOES_ON: [&str; 7] = [
    "location",
    "set-cookie",
    "www-authenticate",
    "content-type",
    "content-language",
    "content-encoding",
    "cache-control",
];
/// In the words of gRPC (RFC 9110's have others): who it is is not known, or may not.
const UNAUTHENTICATED: &str = "16";
const PERMISSION_DENIED: &str = "7";

pub(super) fn denied(asked: &Asked, heard: Heard) -> Answer {
    let mut fields: Vec<(Cow<'static, str>, Vec<u8>)> = Vec::new();
    for (name, value) in heard.fields {
        if let Some(known) = GOES_ON.iter().find(|it| it.eq_ignore_ascii_case(&name)) {
            fields.push(((*known).into(), value));
        }
    }
    if asked.grpc {
        return of_call(asked, heard.status, fields);
    }
    // A redirect to where one signs in would else be taken for the answer of the next one, too.
    if !fields.iter().any(|(name, _)| name == "cache-control") {
        fields.push(("cache-control".into(), b"no-store".to_vec()));
    }
    fields.push(("x-request-id".into(), asked.shown_id().to_string().into_bytes()));
    if let Some(limited) = &asked.limited {
        limited.each(|name, value| fields.push((name.into(), value.to_vec())));
    }
    if let Some(cors) = &asked.cors {
        cors.each(|name, value| fields.push((name.into(), value.to_vec())));
    }
    let body = Bytes::copy_from_slice(heard.body.bytes());
    let body_len = BodyLen::Known(body.len() as u64);
    let meta = Meta { status: heard.status, body: body_len, behind: Behind::Nothing };
    let mut it = Answer { meta, fields, body };
    if asked.is_head() {
        it.without_body();
    }
    it
}

/// A call is not led anywhere: where others would sign in, it is told that it has not.
fn of_call(asked: &Asked, status: u16, mut fields: Vec<(Cow<'static, str>, Vec<u8>)>) -> Answer {
    fields.retain(|(name, _)| name == "www-authenticate" || name == "set-cookie");
    let code = if status == 403 { PERMISSION_DENIED } else { UNAUTHENTICATED };
    let message = format!("whoever is asked about requests here answered {status} (ask/denied)");
    fields.extend([
        ("content-type".into(), b"application/grpc".to_vec()),
        ("grpc-status".into(), code.as_bytes().to_vec()),
        ("grpc-message".into(), message.into_bytes()),
        ("x-request-id".into(), asked.shown_id().to_string().into_bytes()),
    ]);
    Answer { meta: Meta { status: 200, body: BodyLen::None, behind: Behind::Nothing }, fields, body: Bytes::new() }
}
