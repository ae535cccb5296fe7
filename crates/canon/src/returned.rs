//! What a backend says of itself, turned into what its clients know: a path that it was asked for under another prefix, a
//! URL that names it by an address or a host of its own. What names somebody else, and what is no URL in one reading, stays.
//! Read next: `onward.rs`, which is the way there.

use crate::host::host_into;

/// A path of the backend's as clients ask for it, where `strip` was taken from what they asked for and the rest put behind
/// `under`; both canonical. `None` where it is the same, or none of theirs leads there.
pub fn path(said: &str, strip: &str, under: &str) -> Option<String> {
    let rest = if under.is_empty() {
        // One that knows its prefix says it itself.
        let knows = said.strip_prefix(strip).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if knows { None } else { Some(said) }
    } else {
        said.strip_prefix(under).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }?;
    // What leads out of its directory would lead out of another one here.
    let leads_up = rest.split('/').any(|it| matches!(it, "." | "..") || it.to_ascii_lowercase().contains("%2e"));
    if leads_up || rest.contains('\\') || (strip.is_empty() && rest.starts_with("//")) {
        return None;
    }
    let whole = format!("{strip}{rest}");
    let whole = if whole.is_empty() { "/".to_owned() } else { whole };
    (whole != said).then_some(whole)
}

/// As whom a backend was asked, and how its client knows it.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Of what the client asked for: `https`, or `http` where a trusted proxy told so.
    pub scheme: &'a str,
    /// The same, canonical, with a port or without.
    pub authority: &'a str,
    /// The host that the backend was asked for, with a port or without.
    pub host: &'a str,
    pub strip: &'a str,
    pub under: &'a str,
}

/// A host with its port, if one is written.
type At = (String, Option<u16>);

/// The value of Location or Content-Location as the client has to read it; `None` where it is that already. `is_backend`: at
/// that host and port is one of the route's backends; without a host, one with that port.
pub fn location(value: &[u8], it: Known<'_>, is_backend: impl Fn(Option<&str>, u16) -> bool) -> Option<String> {
    let said = std::str::from_utf8(value).ok()?;
    // Browsers take a backslash for a slash and leave control characters out (WHATWG URL §4.4).
    if said.bytes().any(|b| b == b'\\' || b.is_ascii_control()) {
        return None;
    }
    let (scheme, rest) = match said.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some("http"), rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some("https"), rest),
        _ if said.starts_with("//") => (None, said.get(2..)?),
        _ if said.starts_with('/') => {
            let (plain, tail) = divided(said);
            return path(plain, it.strip, it.under).map(|path| format!("{path}{tail}"));
        }
        // Of its own directory, or of another scheme.
        _ => return None,
    };
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let of = |text: &str| -> Option<At> {
        let mut host = String::new();
        let port = host_into(text.as_bytes(), &mut host).ok()?;
        Some((host, port))
    };
    let (named, client, asked) = (of(authority)?, of(it.authority)?, of(it.host)?);
    let usual = |port: Option<u16>| match scheme.unwrap_or(it.scheme) {
        "http" => matches!(port, None | Some(80)),
        _ => matches!(port, None | Some(443)),
    };
    let usual_of_host = |port: Option<u16>| matches!(port, None | Some(80 | 443));
    let is = |other: &At| named.0 == other.0 && (named.1 == other.1 || (usual(named.1) && usual_of_host(other.1)));
    let of_its_port = || {
        let host_is_its = named.0 == client.0 || named.0 == asked.0;
        host_is_its && named.1.is_some_and(|port| is_backend(None, port))
    };
    let port = named.1.unwrap_or(if scheme.unwrap_or(it.scheme) == "http" { 80 } else { 443 });
    let is_clients = is(&client);
    if !(is_clients || is(&asked) || of_its_port() || is_backend(Some(&named.0), port)) {
        return None;
    }
    // Whoever leads from http to https is not led back.
    let to = if is_clients && scheme == Some("https") { "https" } else { it.scheme };
    let (plain, tail) = divided(rest);
    let plain = if plain.is_empty() { "/" } else { plain };
    let moved = path(plain, it.strip, it.under);
    if is_clients && scheme.is_none_or(|said| said == to) && moved.is_none() {
        return None;
    }
    let path = moved.as_deref().unwrap_or(plain);
    let whole = format!("{to}://{}{path}{tail}", it.authority);
    (whole != said).then_some(whole)
}

/// The path, and what stands behind it.
fn divided(text: &str) -> (&str, &str) {
    text.split_at(text.find(['?', '#']).unwrap_or(text.len()))
}

/// What a route adds to cookies where it is missing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Guards<'a> {
    pub secure: bool,
    pub http_only: bool,
    pub same_site: Option<&'a str>,
    /// The path that each cookie is for, in the place of its own.
    pub path: Option<&'a str>,
}

/// The value of Set-Cookie as the client has to read it; `None` where it is that already, or is none (RFC 6265 §5.2). `back`: what
/// a path of the backend's is to clients. `is_its_name`: clients know that host by another.
pub fn cookie(
    value: &[u8],
    guards: Guards<'_>,
    back: impl Fn(&str) -> Option<String>,
    is_its_name: impl Fn(&str) -> bool,
) -> Option<Vec<u8>> {
    if value.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
        return None;
    }
    let mut parts = value.split(|b| *b == b';');
    let pair = parts.next()?;
    let name = pair.get(..pair.iter().position(|b| *b == b'=')?)?.trim_ascii();
    if name.is_empty() {
        return None;
    }
    // Browsers take such a cookie for the whole host or not at all.
    let for_host = name.get(..7).is_some_and(|it| it.eq_ignore_ascii_case(b"__Host-"));
    let mut out = pair.to_vec();
    let (mut secure, mut http_only, mut same_site) = (false, false, false);
    for part in parts {
        let mut words = part.splitn(2, |b| *b == b'=');
        let key = words.next().unwrap_or_default().trim_ascii();
        let said = words.next().map(<[u8]>::trim_ascii);
        let is = |word: &str| key.eq_ignore_ascii_case(word.as_bytes());
        secure |= is("secure");
        http_only |= is("httponly");
        same_site |= is("samesite");
        if is("path") && !for_host {
            if guards.path.is_some() {
                continue;
            }
            let moved = said.and_then(|it| std::str::from_utf8(it).ok()).filter(|it| it.len() > 1).and_then(&back);
            // A path that it cannot hold would be another attribute.
            let moved = moved.filter(|path| !path.contains(';'));
            if let Some(path) = moved {
                out.extend_from_slice(b"; Path=");
                out.extend_from_slice(path.as_bytes());
                continue;
            }
        }
        let domain = said.and_then(|it| std::str::from_utf8(it.strip_prefix(b".").unwrap_or(it)).ok());
        if is("domain") && domain.is_some_and(&is_its_name) {
            continue;
        }
        out.push(b';');
        out.extend_from_slice(part);
    }
    if let Some(path) = guards.path.filter(|_| !for_host) {
        out.extend_from_slice(b"; Path=");
        out.extend_from_slice(path.as_bytes());
    }
    if guards.secure && !secure {
        out.extend_from_slice(b"; Secure");
    }
    if guards.http_only && !http_only {
        out.extend_from_slice(b"; HttpOnly");
    }
    if let Some(word) = guards.same_site.filter(|_| !same_site) {
        out.extend_from_slice(b"; SameSite=");
        out.extend_from_slice(word.as_bytes());
    }
    (out != value).then_some(out)
}
