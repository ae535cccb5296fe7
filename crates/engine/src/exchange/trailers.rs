//! Trailers of either protocol: what may stand in them and how the other protocol says it.
//! They carry no identity and no framing, whoever sent them.

use everyhop_http1::{self as http1, FieldId, write};
use http::HeaderMap;

/// The end of a chunked body.
pub(crate) fn last_chunk(out: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        let name = name.as_str().as_bytes();
        if http1::is_token(name) && !http1::field_id(name).is_forbidden_in_trailers() {
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
        if let (Ok(name), Ok(value)) = (http::HeaderName::from_bytes(name), http::HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    Some(map)
}

/// A request's trailers without what must not stand in them: they vouch for nothing.
pub(crate) fn of_request(map: HeaderMap) -> HeaderMap {
    without(map, FieldId::is_forbidden_in_trailers)
}

/// An answer's trailers without what frames a message or is of one connection. Nobody believes more of a backend for saying
/// it late: the rest is the application's, as gRPC has it.
pub(crate) fn of_answer(map: HeaderMap) -> HeaderMap {
    without(map, |id| id.is_hop_by_hop() || matches!(id, FieldId::Host | FieldId::ContentLength))
}

fn without(mut map: HeaderMap, is_bad: impl Fn(FieldId) -> bool) -> HeaderMap {
    let id = |name: &http::HeaderName| http1::field_id(name.as_str().as_bytes());
    let bad: Vec<http::HeaderName> = map.keys().filter(|name| is_bad(id(name))).cloned().collect();
    for name in bad {
        map.remove(name);
    }
    map
}
