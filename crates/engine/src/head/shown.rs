//! What whoever is asked about a request is shown, in whichever words: who asks, and of the request's fields those that are named. Read
//! next: `question.rs`.

use crate::exchange::words::Fields;
use everyhop_http1::FieldId;
use everyhop_plan::Authorizer;
use everyhop_record::facts::Peer;
use std::net::SocketAddr;

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

/// Who asks.
pub(crate) struct From<'a> {
    pub(crate) peer: SocketAddr,
    pub(crate) proved: Option<&'a Peer>,
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
