//! Trailers of either protocol: what may stand in them and how the other protocol says it.
//! They frame nothing, whoever sent them, and a request's carry no identity.

use everyhop_http1::{self as http1, FieldId, write};
use everyhop_http2::Fields;
use everyhop_plan::{Edits, Limits};
use everyhop_transport::h2::Trailers;
use http::{HeaderMap, HeaderName};

/// The end of a chunked body.
pub(crate) fn last_chunk(out: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        let name = name.as_str().as_bytes();
        if http1::is_token(name) && !http1::field_id(name).is_framing() {
            write::field(out, name, value.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Trailers as both protocols carry them. What HTTP/2 cannot carry is left out.
pub(crate) fn trailer_map(trailers: &[(Vec<u8>, Vec<u8>)]) -> Option<HeaderMap> {
    if trailers.is_empty() {
        return None;
    }
    let mut map = HeaderMap::with_capacity(trailers.len());
    for (name, value) in trailers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), http::HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    Some(map)
}

/// Trailers of HTTP/2 that are longer, or more, than they may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TooLong;

/// Trailers of HTTP/2 as they came; none where nothing was in them.
pub(crate) fn of_h2(trailers: Trailers, limits: &Limits) -> Result<Option<HeaderMap>, TooLong> {
    let Trailers::Are(head) = trailers else { return Err(TooLong) };
    let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    // As HTTP/1 writes them.
    let bytes: usize = head.fields().map(|it| it.name.len() + it.value.len() + 4).sum();
    if bytes > size(limits.head_bytes) || head.fields().len() > size(limits.h2_header_fields) {
        return Err(TooLong);
    }
    let mut map = HeaderMap::with_capacity(head.fields().len());
    for it in head.fields() {
        // The codec has judged both.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(it.name), http::HeaderValue::from_bytes(it.value)) {
            map.append(name, value);
        }
    }
    Ok((!map.is_empty()).then_some(map))
}

/// Writes them into a stream's end.
pub(crate) fn into_h2(map: &HeaderMap, fields: &mut Fields<'_>) {
    for (name, value) in map {
        fields.put(name.as_str().as_bytes(), value.as_bytes());
    }
}

/// A request's trailers without what must not stand in them: they vouch for nothing.
pub(crate) fn of_request(map: HeaderMap) -> HeaderMap {
    without(map, FieldId::is_forbidden_in_trailers)
}

/// Without what the route says itself in the head, by whatever a backend may read alike: a backend that puts trailers to the
/// fields before them would believe the client.
pub(crate) fn unsaid(map: HeaderMap, edits: Option<&Edits>) -> HeaderMap {
    let Some(edits) = edits else { return map };
    let named = || edits.set.iter().map(|it| &it.name).chain(&edits.remove);
    let is_said = |name: &HeaderName| named().any(|it| http1::is_twin(name.as_str().as_bytes(), it.as_bytes()));
    if map.keys().any(is_said) { only(&map, |name| !is_said(name)) } else { map }
}

/// An answer's trailers without what frames a message or is of one connection. Nobody believes more of a backend for saying
/// it late: the rest is the application's, as gRPC has it.
pub(crate) fn of_answer(map: HeaderMap) -> HeaderMap {
    without(map, FieldId::is_framing)
}

fn without(map: HeaderMap, is_bad: impl Fn(FieldId) -> bool) -> HeaderMap {
    let is_bad = |name: &HeaderName| is_bad(http1::field_id(name.as_str().as_bytes()));
    if map.keys().any(is_bad) { only(&map, |name| !is_bad(name)) } else { map }
}

/// In their order, which taking fields out of a map would change.
fn only(map: &HeaderMap, goes: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut it = HeaderMap::with_capacity(map.len());
    for (name, value) in map.iter().filter(|(name, _)| goes(name)) {
        it.append(name.clone(), value.clone());
    }
    it
}
