//! SPIFFE IDs by the rules of their standard (SPIFFE-ID §2, X509-SVID §2), and not by prefix: what is no ID is no member of any trust
//! domain, however it begins, and a certificate with two URIs is nobody's.

const SCHEME: &str = "spiffe://";
/// Bytes of an ID (SPIFFE-ID §2.3), and of its trust domain.
const LONGEST: usize = 2048;
const LONGEST_DOMAIN: usize = 255;

/// The trust domain of a workload's ID; `None` for what is none. Neither port, query nor fragment, no percent-encoding, no dot
/// segment and no empty one is in an ID.
pub fn trust_domain(id: &str) -> Option<&str> {
    let (domain, path) = id.strip_prefix(SCHEME)?.split_once('/')?;
    let segment = |s: &str| !s.is_empty() && s != "." && s != ".." && s.bytes().all(is_of_path);
    (id.len() <= LONGEST && is_trust_domain(domain) && path.split('/').all(segment)).then_some(domain)
}

fn is_trust_domain(text: &str) -> bool {
    (1..=LONGEST_DOMAIN).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_'))
}

fn is_of_path(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')
}

/// The trust domain all of whose workloads `spiffe://TD/*` stands for.
pub fn whole_domain(pattern: &str) -> Option<&str> {
    pattern.strip_prefix(SCHEME)?.strip_suffix("/*").filter(|domain| is_trust_domain(domain))
}

/// What an entry of an allow-list that begins so must be. Refuses: what no workload is called, with the reason.
pub fn entry(text: &str) -> Option<Result<(), &'static str>> {
    text.starts_with(SCHEME).then(|| match trust_domain(text).or(whole_domain(text)) {
        Some(_) => Ok(()),
        None => Err("a SPIFFE ID is spiffe://, a trust domain in lower case and a path of letters, digits and . - _ between slashes; \
             spiffe://td/* stands for all of a trust domain"),
    })
}

/// Of the names of a certificate that one by which a workload is known: its only URI, if that is an ID.
pub fn id_of(names: &[String]) -> Option<&str> {
    // Of all kinds of names these alone hold a colon: see `client.rs`.
    let mut uris = names.iter().filter(|n| n.contains(':') && !n.starts_with("sha256:"));
    let (only, None) = (uris.next()?, uris.next()) else { return None };
    trust_domain(only).map(|_| only.as_str())
}

/// Whether a certificate of these names is one that an allow-list speaks of.
pub fn is_allowed(allow: &[String], names: &[String]) -> bool {
    if names.iter().any(|name| !name.starts_with(SCHEME) && allow.contains(name)) {
        return true;
    }
    let Some(id) = id_of(names) else { return false };
    let domain = trust_domain(id);
    allow.iter().any(|it| it == id || (domain.is_some() && whole_domain(it) == domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn what_the_standard_calls_an_id_is_one_and_nothing_else_is() {
        for id in ["spiffe://td/a", "spiffe://td.example/a/b-c_d.e", "spiffe://1/...", "spiffe://td/A"] {
            assert!(trust_domain(id).is_some(), "{id}");
        }
        for other in [
            "spiffe://td",
            "spiffe://td/",
            "spiffe://TD/a",
            "spiffe://td:1/a",
            "spiffe://td/a?b",
            "spiffe://td/a#b",
            "spiffe://td/%61",
            "spiffe://td/./a",
            "spiffe://td/../a",
            "spiffe://td//a",
            "spiffe://td/a/",
            "spiffe:///a",
            "SPIFFE://td/a",
            "spiffe://u@td/a",
            "spiffe://td/*",
            "spiffe://t*/a",
            "https://td/a",
            "",
        ] {
            assert_eq!(trust_domain(other), None, "{other}");
        }
        assert_eq!(trust_domain(&format!("spiffe://td/{}", "a".repeat(2048))), None);
        assert_eq!(trust_domain(&format!("spiffe://{}/a", "a".repeat(256))), None);
    }

    #[test]
    fn a_whole_trust_domain_is_its_valid_ids_and_no_prefix() {
        let allow = of(&["spiffe://td/*"]);
        assert!(is_allowed(&allow, &of(&["sha256:00", "a.test", "spiffe://td/x/y"])));
        for other in
            ["spiffe://td", "spiffe://td/", "spiffe://td2/x", "spiffe://td/../x", "spiffe://td/%2e", "spiffe://td/*"]
        {
            assert!(!is_allowed(&allow, &of(&[other])), "{other}");
        }
    }

    #[test]
    fn a_certificate_with_two_uris_is_nobodys() {
        for allow in [&["spiffe://td/*"][..], &["spiffe://td/x"]] {
            assert!(!is_allowed(&of(allow), &of(&["spiffe://td/x", "spiffe://td/y"])));
            assert!(!is_allowed(&of(allow), &of(&["spiffe://td/x", "urn:x"])));
        }
        assert!(is_allowed(&of(&["urn:x"]), &of(&["spiffe://td/x", "urn:x"])), "what is no ID is a name as any other");
    }
}
