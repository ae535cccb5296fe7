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
    Http2Settings,
    EarlyData,
    Authorization,
    Date,
    XForwardedFor,
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

    /// Must not stand in a trailer section (RFC 9110 §6.5.1), or would be believed if it did.
    pub fn is_forbidden_in_trailers(self) -> bool {
        self.is_hop_by_hop()
            || self.is_identity()
            || matches!(
                self,
                FieldId::Host
                    | FieldId::ContentLength
                    | FieldId::Expect
                    | FieldId::Authorization
                    | FieldId::EarlyData
                    | FieldId::Date
            )
    }
}

/// Recognises a field's name, in any case.
pub fn field_id(name: &[u8]) -> FieldId {
    let known: &[(&[u8], FieldId)] = match name.len() {
        2 => &[(b"te", FieldId::Te)],
        4 => &[(b"host", FieldId::Host), (b"date", FieldId::Date)],
        6 => &[(b"expect", FieldId::Expect)],
        7 => &[(b"upgrade", FieldId::Upgrade)],
        10 => &[
            (b"connection", FieldId::Connection),
            (b"keep-alive", FieldId::KeepAlive),
            (b"early-data", FieldId::EarlyData),
        ],
        13 => &[(b"authorization", FieldId::Authorization)],
        14 => &[(b"content-length", FieldId::ContentLength), (b"http2-settings", FieldId::Http2Settings)],
        15 => &[(b"x-forwarded-for", FieldId::XForwardedFor)],
        16 => &[(b"proxy-connection", FieldId::ProxyConnection)],
        17 => &[(b"transfer-encoding", FieldId::TransferEncoding)],
        18 => &[(b"proxy-authenticate", FieldId::ProxyAuthenticate)],
        19 => &[(b"proxy-authorization", FieldId::ProxyAuthorization)],
        _ => &[],
    };
    let first = name.first().map(u8::to_ascii_lowercase);
    if let Some((_, id)) = known.iter().find(|(k, _)| first == k.first().copied() && name.eq_ignore_ascii_case(k)) {
        return *id;
    }
    if is_identity(name) { FieldId::Identity } else { FieldId::Other }
}

/// Whole names, and beginnings, that some backend believes.
const IDENTITIES: [&[u8]; 11] = [
    // Their twins: to a backend that reads `_` as `-`, such as CGI's children, they would frame the request anew.
    b"transfer-encoding",
    b"content-length",
    b"forwarded",
    b"x-real-ip",
    b"x-client-ip",
    b"x-cluster-client-ip",
    b"true-client-ip",
    b"x-request-id",
    b"x-original-url",
    b"x-rewrite-url",
    b"x-remote-user",
];
const FAMILIES: [&[u8]; 7] =
    [b"x-forwarded", b"client-cert", b"x-client-cert", b"x-ssl-", b"ssl-client-", b"x-original-", b"x-tls-client"];

fn is_identity(name: &[u8]) -> bool {
    if !matches!(name.first().map(u8::to_ascii_lowercase), Some(b'x' | b'f' | b'c' | b's' | b't')) {
        return false;
    }
    IDENTITIES.iter().any(|n| n.len() == name.len() && alike(name, n)) || FAMILIES.iter().any(|f| alike(name, f))
}

/// True if `name` begins with `family` to a backend that reads `_` and `.` as `-` (X02).
fn alike(name: &[u8], family: &[u8]) -> bool {
    name.len() >= family.len()
        && name.iter().zip(family).all(|(a, b)| match a {
            b'_' | b'.' => *b == b'-',
            _ => a.to_ascii_lowercase() == *b,
        })
}
