//! Names that an edge must know, told apart without lower-casing copies.

/// Which field a name is, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldId {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    KeepAlive,
    ProxyConnection,
    ProxyAuthenticate,
    ProxyAuthorization,
    Te,
    Upgrade,
    Expect,
    /// What a CGI program would take for `HTTP_PROXY`, its own way out (CVE-2016-5385).
    Proxy,
    Http2Settings,
    EarlyData,
    Authorization,
    WwwAuthenticate,
    Date,
    XForwardedFor,
    /// W3C Trace Context: they go on as they came, unless the edge has a span of its own between.
    Traceparent,
    Tracestate,
    /// Another field that says who the client is or where the request came from, or its twin with `_` or `.`: only the
    /// edge may say that.
    Identity,
    Other,
}

impl FieldId {
    /// Concerns this connection alone (RFC 9110 §7.6.1).
    pub fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            FieldId::Connection
                | FieldId::KeepAlive
                | FieldId::ProxyConnection
                | FieldId::ProxyAuthenticate
                | FieldId::ProxyAuthorization
                | FieldId::Te
                | FieldId::TransferEncoding
                | FieldId::Upgrade
                | FieldId::Http2Settings
        )
    }

    pub fn is_identity(self) -> bool {
        matches!(self, FieldId::XForwardedFor | FieldId::Identity)
    }

    /// Says which trace a request is part of.
    pub fn is_of_trace(self) -> bool {
        matches!(self, FieldId::Traceparent | FieldId::Tracestate)
    }

    /// A route may change it, in an answer or in a request: not what frames a message or concerns a connection, and in a
    /// request not what says who the client is.
    pub fn is_editable(self, in_answer: bool) -> bool {
        let edges_own = self.is_identity() || matches!(self, FieldId::Host | FieldId::Expect | FieldId::EarlyData);
        !self.is_hop_by_hop() && self != FieldId::ContentLength && (in_answer || !edges_own)
    }

    /// Frames a message, says where it goes, or concerns this connection alone: in no trailer section (RFC 9110 §6.5.1).
    pub fn is_framing(self) -> bool {
        self.is_hop_by_hop() || matches!(self, FieldId::Host | FieldId::ContentLength)
    }

    /// Must not stand in a request's trailers, or would be believed if it did.
    pub fn is_forbidden_in_trailers(self) -> bool {
        self.is_framing()
            || self.is_identity()
            || matches!(
                self,
                FieldId::Expect | FieldId::Authorization | FieldId::EarlyData | FieldId::Date | FieldId::Proxy
            )
    }
}

/// Recognises a field's name, in any case.
///
/// Takes a token (RFC 9110 §5.6.2): of tokens alone is it true that setting a bit makes them lower case.
#[inline]
pub fn field_id(name: &[u8]) -> FieldId {
    let (&first, rest) = name.split_first().unwrap_or((&0, b""));
    // By length and first letter, which nearly always leave one name to compare or none.
    let (known, id): (&[u8], FieldId) = match (rest.len() + 1, first | 0x20) {
        (2, b't') => (b"te", FieldId::Te),
        (4, b'h') => (b"host", FieldId::Host),
        (5, b'p') => (b"proxy", FieldId::Proxy),
        (4, b'd') => (b"date", FieldId::Date),
        (6, b'e') => (b"expect", FieldId::Expect),
        (7, b'u') => (b"upgrade", FieldId::Upgrade),
        // What an edge in front says on each request: found at once, before the families are looked through.
        (9, b'f') => (b"forwarded", FieldId::Identity),
        (9, b'x') => (b"x-real-ip", FieldId::Identity),
        (12, b'x') => (b"x-request-id", FieldId::Identity),
        (16, b'x') => (b"x-forwarded-host", FieldId::Identity),
        (17, b'x') => (b"x-forwarded-proto", FieldId::Identity),
        (10, b'c') => (b"connection", FieldId::Connection),
        (10, b'k') => (b"keep-alive", FieldId::KeepAlive),
        (10, b'e') => (b"early-data", FieldId::EarlyData),
        (10, b't') => (b"tracestate", FieldId::Tracestate),
        (11, b't') => (b"traceparent", FieldId::Traceparent),
        (13, b'a') => (b"authorization", FieldId::Authorization),
        (14, b'c') => (b"content-length", FieldId::ContentLength),
        (14, b'h') => (b"http2-settings", FieldId::Http2Settings),
        (15, b'x') => (b"x-forwarded-for", FieldId::XForwardedFor),
        (16, b'p') => (b"proxy-connection", FieldId::ProxyConnection),
        (16, b'w') => (b"www-authenticate", FieldId::WwwAuthenticate),
        (17, b't') => (b"transfer-encoding", FieldId::TransferEncoding),
        (18, b'p') => (b"proxy-authenticate", FieldId::ProxyAuthenticate),
        (19, b'p') => (b"proxy-authorization", FieldId::ProxyAuthorization),
        (_, b'x' | b'f' | b'c' | b't' | b's') => (b"", FieldId::Other),
        _ => return FieldId::Other,
    };
    if same(name, known) {
        id
    } else if is_identity(name) {
        FieldId::Identity
    } else {
        FieldId::Other
    }
}

/// True if a token is `lower`, in any case; eight bytes at a time, the last eight together with what is before them.
fn same(name: &[u8], lower: &[u8]) -> bool {
    const LOWER: u64 = u64::from_ne_bytes([0x20; 8]);
    if name.len() != lower.len() {
        return false;
    }
    let alike = |a: &[u8; 8], b: &[u8; 8]| u64::from_ne_bytes(*a) | LOWER == u64::from_ne_bytes(*b);
    match (name.last_chunk::<8>(), lower.last_chunk::<8>()) {
        (Some(a), Some(b)) => {
            alike(a, b) && name.as_chunks().0.iter().zip(lower.as_chunks().0).all(|(a, b)| alike(a, b))
        }
        _ => name.iter().zip(lower).all(|(a, b)| a | 0x20 == *b),
    }
}

/// True if an Authorization or WWW-Authenticate speaks of a scheme that proves who the *connection* is, not the request
/// (RFC 4559 §5, NTLM): whoever sends on that connection afterwards would be taken for the one who proved it.
pub fn binds_the_connection(value: &[u8]) -> bool {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).any(|challenge| {
        let scheme = challenge.split(|b| matches!(b, b' ' | b'\t')).next().unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
    })
}

/// Whole names, and beginnings, that some backend believes; by their first letter, since most names share none.
type Believed = (&'static [&'static [u8]], &'static [&'static [u8]]);

fn believed(first: u8) -> Believed {
    match first.to_ascii_lowercase() {
        b'x' => (
            &[
                b"x-real-ip",
                b"x-client-ip",
                b"x-cluster-client-ip",
                b"x-request-id",
                b"x-original-url",
                b"x-rewrite-url",
                b"x-remote-user",
            ],
            &[b"x-forwarded", b"x-client-cert", b"x-ssl-", b"x-original-", b"x-tls-client"],
        ),
        b'f' => (&[b"forwarded"], &[]),
        // With `transfer-encoding` the twins of framing: to a backend that reads `_` as `-`, such as CGI's children, they
        // would frame the request anew.
        b'c' => (&[b"content-length"], &[b"client-cert"]),
        b't' => (&[b"transfer-encoding", b"true-client-ip"], &[]),
        b's' => (&[], &[b"ssl-client-"]),
        _ => (&[], &[]),
    }
}

fn is_identity(name: &[u8]) -> bool {
    let (whole, families) = believed(name.first().copied().unwrap_or(0));
    whole.iter().any(|n| n.len() == name.len() && alike(name, n)) || families.iter().any(|f| alike(name, f))
}

/// True if a backend that reads `_` and `.` as `-`, as CGI's children do, may take `name` for `other`, in any case (X02).
pub fn is_twin(name: &[u8], other: &[u8]) -> bool {
    let read = |b: &u8| if matches!(b, b'_' | b'.') { b'-' } else { b.to_ascii_lowercase() };
    name.len() == other.len() && name.iter().zip(other).all(|(a, b)| read(a) == read(b))
}

/// True if `name` begins with `family` to a backend that reads `_` and `.` as `-` (X02).
fn alike(name: &[u8], family: &[u8]) -> bool {
    name.len() >= family.len()
        && name.iter().zip(family).all(|(a, b)| match a {
            b'_' | b'.' => *b == b'-',
            _ => a.to_ascii_lowercase() == *b,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [(&str, FieldId); 20] = [
        ("proxy", FieldId::Proxy),
        ("te", FieldId::Te),
        ("host", FieldId::Host),
        ("date", FieldId::Date),
        ("expect", FieldId::Expect),
        ("upgrade", FieldId::Upgrade),
        ("connection", FieldId::Connection),
        ("keep-alive", FieldId::KeepAlive),
        ("early-data", FieldId::EarlyData),
        ("tracestate", FieldId::Tracestate),
        ("traceparent", FieldId::Traceparent),
        ("authorization", FieldId::Authorization),
        ("content-length", FieldId::ContentLength),
        ("http2-settings", FieldId::Http2Settings),
        ("x-forwarded-for", FieldId::XForwardedFor),
        ("proxy-connection", FieldId::ProxyConnection),
        ("www-authenticate", FieldId::WwwAuthenticate),
        ("transfer-encoding", FieldId::TransferEncoding),
        ("proxy-authenticate", FieldId::ProxyAuthenticate),
        ("proxy-authorization", FieldId::ProxyAuthorization),
    ];

    #[test]
    fn a_name_is_known_in_any_case_and_no_other_token_of_its_length_is_taken_for_it() {
        for (name, id) in KNOWN {
            for shown in [name.to_owned(), name.to_uppercase()] {
                assert_eq!(field_id(shown.as_bytes()), id, "{shown}");
            }
            for at in 0..name.len() {
                for b in (0..=255u8).filter(|b| crate::is_token(&[*b])) {
                    let mut other = name.as_bytes().to_vec();
                    other[at] = b;
                    let same = b.to_ascii_lowercase() == name.as_bytes()[at];
                    assert_eq!(field_id(&other) == id, same, "{b:#x} at {at} of {name}");
                }
            }
        }
    }

    #[test]
    fn what_is_found_at_once_of_an_edge_in_front_is_what_the_families_say() {
        for name in
            ["forwarded", "x-real-ip", "x-request-id", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-for"]
        {
            for at in 0..name.len() {
                for other in *b"-_.aAzZ09" {
                    let mut near = name.as_bytes().to_vec();
                    near[at] = other;
                    assert_eq!(field_id(&near).is_identity(), is_identity(&near), "{}", String::from_utf8_lossy(&near));
                }
            }
            assert!(is_identity(name.as_bytes()) && field_id(name.to_uppercase().as_bytes()).is_identity(), "{name}");
        }
    }

    #[test]
    fn what_is_no_known_name_and_none_of_the_edges_own_is_another() {
        for name in ["", "a", "x", "accept", "server", "content-type", "cookie", "user-agent", "x-frame-options", "t"] {
            assert_eq!(field_id(name.as_bytes()), FieldId::Other, "{name}");
        }
    }
}
