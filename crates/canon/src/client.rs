//! A name in a client's certificate, in the form that allow-lists are compared in.

/// DNS names are compared without case (RFC 5280 §7.2), URIs as they stand: a path may differ in nothing else. A DNS name
/// has no colon and a URI always has one.
pub fn client(name: &str) -> String {
    if name.contains(':') { name.to_owned() } else { name.to_ascii_lowercase() }
}
