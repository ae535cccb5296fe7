//! Trailers of either protocol: what may stand in them and how the other protocol says it.
//! They frame nothing, whoever sent them, and a request's carry no identity.

use everyhop_http1::{self as http1, FieldId, write};
use everyhop_plan::{Edits, Limits};
use everyhop_transport::h2_marks;
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

/// Trailers of HTTP/2 that are longer, or more, than they may be, or of which the `h2` crate left something out for that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TooLong;

/// Trailers of HTTP/2 as they came, without the marks around them; none where nothing else was there.
pub(crate) fn of_h2(map: &HeaderMap, secret: &[u8], limits: &Limits) -> Result<Option<HeaderMap>, TooLong> {
    let whole = map.get_all(h2_marks::NAME).iter().any(|value| value.as_bytes() == secret);
    let map = only(map, |name| name.as_str() != h2_marks::NAME);
    let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    // As HTTP/1 writes them.
    let bytes: usize = map.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if !whole || bytes > size(limits.head_bytes) || map.len() > size(limits.h2_header_fields) {
        return Err(TooLong);
    }
    Ok((!map.is_empty()).then_some(map))
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
