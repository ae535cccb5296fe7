//! By what a client is known that proved a certificate, in the forms that allow-lists are compared in: its names of three
//! kinds, and the SHA-256 of the certificate itself. Each kind has a form that no other has, so that a name of one kind
//! never passes for one of another: a fingerprint begins with `sha256:`, a URI has a scheme and a colon, an e-mail
//! address an `@`, and a DNS name none of these.

use crate::{host, spiffe};

/// Before the digits of a fingerprint.
const FINGERPRINT: &str = "sha256:";

/// What stands in an allow-list, in the form that is compared.
///
/// Refuses: what no client can prove, with the reason.
pub fn client(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("names in certificates are of visible ASCII characters; others are written as DNS has them (xn--)");
    }
    if has_prefix(text, FINGERPRINT) {
        let digits: String = text.chars().skip(FINGERPRINT.len()).filter(|c| *c != ':').collect();
        return match digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            true => Ok(certificate(&digits)),
            false => Err("sha256: is followed by the 64 hexadecimal digits of the certificate's SHA-256"),
        };
    }
    if text.contains('*') && !text.contains(':') {
        return Err("a star stands for nothing here: each client is named whole");
    }
    if let Some(judged) = spiffe::entry(text) {
        return judged.map(|()| text.to_owned());
    }
    if text.contains(':') {
        return uri(text).ok_or("a URI begins with its scheme, as in spiffe://td/name");
    }
    if text.contains('@') {
        return email(text).ok_or(
            "an e-mail address is a local part of letters, digits and the likes of . - _ +, an @ and a host name",
        );
    }
    if text.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err("a client proves no address: name what stands in its certificate");
    }
    if text.contains('=') {
        return Err(
            "a subject such as CN=name is no name (RFC 9525 6.3): DNS, URI and e-mail names of subjectAltName are",
        );
    }
    match text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        true => Ok(dns(text)),
        false => Err("it is neither a DNS name, nor a URI, nor an e-mail address, nor a fingerprint"),
    }
}

/// What a client is asked about as having proved, in the same form: of a certificate also what no allow-list can name counts, since
/// a second URI makes nobody of a SPIFFE ID.
pub fn proved(text: &str) -> Option<String> {
    client(text).ok().or_else(|| uri(text))
}

fn has_prefix(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// By the SHA-256 of its certificate, in hexadecimal digits.
pub fn certificate(sha256: &str) -> String {
    format!("{FINGERPRINT}{}", sha256.to_ascii_lowercase())
}

/// DNS names are compared without case (RFC 5280 §7.2).
pub fn dns(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// URIs are compared as they stand: a path may differ in nothing else. `None` for what has no scheme, or pretends to be a
/// fingerprint: an authority that writes such a URI does not make its owner somebody else.
pub fn uri(name: &str) -> Option<String> {
    let (scheme, rest) = name.split_once(':')?;
    let is_scheme = scheme.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    (is_scheme && !rest.is_empty() && !has_prefix(name, FINGERPRINT)).then(|| name.to_owned())
}

/// The host of an e-mail address is compared without case, what stands before the `@` as it is (RFC 5280 §7.5). `None` for
/// what is no plain address (RFC 5321 `Dot-string`): quoted ones may hold anything, also an `@` or a colon.
pub fn email(name: &str) -> Option<String> {
    let (local, domain) = name.split_once('@')?;
    let atom = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    };
    let named = host::host(domain.as_bytes()).is_ok()
        && !domain.contains(['[', ':'])
        && !domain.ends_with('.')
        && domain.parse::<std::net::Ipv4Addr>().is_err();
    (named && local.split('.').all(atom)).then(|| format!("{local}@{}", domain.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_name_has_its_own_rule_of_case() {
        let print = "AB".repeat(32);
        for (written, form) in [
            ("Alice.Corp", "alice.corp".to_owned()),
            ("spiffe://td/Alice", "spiffe://td/Alice".to_owned()),
            ("Alice.B+x@Corp.Example", "Alice.B+x@corp.example".to_owned()),
            (format!("SHA256:{print}").as_str(), format!("sha256:{}", "ab".repeat(32))),
            (format!("sha256:{}", ["AB"; 32].join(":")).as_str(), format!("sha256:{}", "ab".repeat(32))),
        ] {
            assert_eq!(client(written), Ok(form), "{written}");
        }
    }

    #[test]
    fn what_no_client_can_prove_is_refused_with_the_reason() {
        for (written, says) in [
            ("", "empty"),
            ("bücher.test", "xn--"),
            ("two words", "visible"),
            ("sha256:abc", "64"),
            ("sha256:zz", "64"),
            ("*.corp", "star"),
            ("CN=alice", "subject"),
            ("10.0.0.1", "address"),
            ("//td/alice:x", "scheme"),
            ("spiffe://TD/alice", "trust domain"),
            ("spiffe://td/a/*", "trust domain"),
            ("alice@", "e-mail"),
            ("alice@corp@x", "e-mail"),
            ("\"a\"@corp", "e-mail"),
            ("a..b@corp", "e-mail"),
            ("alice@10.0.0.1", "e-mail"),
            ("a/b", "neither"),
        ] {
            let why = client(written).expect_err(written);
            assert!(why.contains(says), "{written}: {why}");
        }
    }

    #[test]
    fn a_uri_that_no_list_can_name_is_proved_all_the_same() {
        assert!(client("spiffe://td").is_err() && proved("spiffe://td").as_deref() == Some("spiffe://td"));
        assert_eq!((proved("A.test").as_deref(), proved("*.test"), proved("SHA256:x")), (Some("a.test"), None, None));
    }

    #[test]
    fn no_name_of_one_kind_passes_for_one_of_another() {
        let print = format!("sha256:{}", "ab".repeat(32));
        assert_eq!(
            (uri(&print), uri("SHA256:x"), uri("alice"), uri("alice@corp"), uri(":x")),
            (None, None, None, None, None)
        );
        assert_eq!((email("alice"), email("spiffe://td/a@corp"), email(&print)), (None, None, None));
        assert!(!dns("a.test").contains([':', '@']));
    }
}
