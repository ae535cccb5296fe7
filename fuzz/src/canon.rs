//! Canonical forms: one each, and nothing comes out that a second reader would take otherwise.

use crate::{cuts, shown};
use everyhop_canon::cidr::{Cidr, unmapped};
use everyhop_canon::networks::Networks;
use everyhop_canon::path::{NotStrict, form_into, has_prefix, path_into, target};
use everyhop_canon::proxy::{ProxyRead, read, write_v2};
use everyhop_canon::resp::{self, Reply};
use everyhop_canon::{forwarded as said, host as named, told as says, trace as of_trace};
use std::net::{IpAddr, SocketAddr};

/// The longest header that is waited for: a v2 head with 4 KiB of addresses and TLVs.
const PROXY_BYTES: usize = 16 + 4096;

pub fn proxy(data: &[u8]) {
    let whole = read(data);
    for cut in cuts(data.len()) {
        let so_far = read(&data[..cut]);
        assert!(so_far == ProxyRead::NeedMore || so_far == whole, "cut at {cut}: {so_far:?}, but whole: {whole:?}");
    }
    match &whole {
        ProxyRead::NeedMore => assert!(data.len() < PROXY_BYTES, "{} bytes and more are wanted", data.len()),
        ProxyRead::Malformed(_) => assert!(!data.is_empty()),
        ProxyRead::Header(it) => {
            assert!(it.consumed <= data.len() && it.consumed <= PROXY_BYTES);
            assert!(data.starts_with(b"\r\n") || (data[it.consumed - 1] == b'\n' && it.consumed <= 107));
            assert_eq!(read(&data[..it.consumed]), whole, "what follows is not of the header");
            // What we would tell a backend of that client reads back as that client.
            if let Some(source) = it.source() {
                let mut out = Vec::new();
                write_v2(&mut out, source, source, &[(1, b"h2")]);
                let ProxyRead::Header(again) = read(&out) else { panic!("{source} cannot be written") };
                let of = |it: SocketAddr| (it.ip(), it.port());
                assert_eq!((again.source().map(of), again.consumed), (Some(of(source)), out.len()));
            }
        }
    }
}

/// What a store answers: what was read does not depend on where it was cut, nothing behind it is of it, and no list is deeper or
/// longer than anybody asked for.
pub fn reply(data: &[u8]) {
    let whole = resp::read(data);
    for cut in cuts(data.len()) {
        match (resp::read(&data[..cut]), &whole) {
            (Ok(None), _) => {}
            (so_far, whole) => assert_eq!(&so_far, whole, "cut at {cut}"),
        }
    }
    let Ok(Some((reply, len))) = whole else { return };
    assert!(len <= data.len() && data[..len].ends_with(b"\r\n"));
    assert_eq!(resp::read(&data[..len]), Ok(Some((reply.clone(), len))), "what follows is not of it");
    // A list of texts is how a command is written.
    if let Reply::List(Some(parts)) = &reply {
        assert!(parts.len() <= 64);
        let words: Option<Vec<&[u8]>> =
            parts.iter().map(|it| if let Reply::Text(Some(text)) = it { Some(&**text) } else { None }).collect();
        if let Some(words) = words {
            let mut out = Vec::new();
            resp::write(&mut out, &words);
            assert_eq!(resp::read(&out), Ok(Some((reply.clone(), out.len()))));
        }
    }
}

/// The networks of the first line are trusted; the second is one X-Forwarded-For.
pub fn forwarded(data: &[u8]) {
    let (networks, value) = match data.iter().position(|b| *b == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (&[][..], data),
    };
    let text = String::from_utf8_lossy(networks);
    let trusted: Vec<Cidr> = text.split(' ').filter_map(|t| t.parse().ok()).collect();
    for (net, written) in text.split(' ').filter_map(|t| Some((t.parse::<Cidr>().ok()?, t))) {
        let own: IpAddr = written.split('/').next().unwrap_or_default().parse().expect("an address");
        assert!(net.contains(own) && net.contains(unmapped(own)), "{written} does not contain its own address");
    }
    told(value, &trusted);
    let mut chain = vec![IpAddr::from([192, 0, 2, 1])];
    let whole = said::addresses(value, &mut chain);
    assert_eq!(chain.remove(0), IpAddr::from([192, 0, 2, 1]), "it only appends");
    assert!(!whole || chain.len() == value.split(|b| *b == b',').count(), "each entry is an address");
    assert!(chain.iter().all(|ip| *ip == unmapped(*ip)));
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(*ip));
    let set: Networks = trusted.iter().copied().collect();
    let own = text.split(' ').filter_map(|t| t.split('/').next()?.parse().ok());
    for ip in own.chain(chain.iter().copied()) {
        assert_eq!(set.contain(ip), is_trusted(&ip), "{ip} in {text}");
    }
    match said::client_in(&chain, &trusted) {
        None => assert!(chain.is_empty()),
        Some(at) => {
            assert!(chain[at + 1..].iter().all(is_trusted), "a hop that nobody vouches for was passed over");
            assert!(!is_trusted(&chain[at]) || at == 0);
        }
    }
    for ip in chain {
        let mut node = Vec::new();
        said::write_node(&mut node, ip);
        let plain = String::from_utf8_lossy(&node).trim_matches('"').to_owned();
        let mut again = Vec::new();
        assert!(said::addresses(plain.as_bytes(), &mut again) && again == [ip], "{plain}");
        assert!(ip.is_ipv4() || node.starts_with(b"\"["), "RFC 7239 §6: IPv6 in brackets and quotes");
    }
}

/// The same value as Forwarded (RFC 7239), and as each of the fields that have one value.
fn told(value: &[u8], trusted: &[Cidr]) {
    let mut hops = Vec::new();
    if says::hops(value, &mut hops) {
        let at = says::of_client(&hops, trusted).expect("a list has elements");
        let is_trusted = |hop: &says::Hop| hop.from.is_some_and(|ip| trusted.iter().any(|net| net.contains(ip)));
        assert!(hops[at + 1..].iter().all(is_trusted), "a hop that nobody vouches for was passed over");
        // Another element behind it changes nothing of what was said, and takes no older one for the client's.
        let (mut twice, mut text) = (Vec::new(), value.to_vec());
        text.extend_from_slice(b", for=192.0.2.1");
        assert!(says::hops(&text, &mut twice) && twice.len() == hops.len() + 1, "{}", shown(value));
        assert!(twice.starts_with(&hops), "{}", shown(value));
        assert!(says::of_client(&twice, trusted).is_some_and(|it| it >= at));
        for it in hops.into_iter().filter_map(|hop| hop.host.this()) {
            assert_eq!(named::host(it.host.as_bytes()).as_ref(), Ok(&it.host), "a host in its own form");
        }
    }
    if let Some(id) = says::request_id(value) {
        assert!(id.as_bytes() == value && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic()));
    }
    let _ = (says::list(value, says::scheme), says::list(value, says::named), says::list(value, says::port));
}

pub fn host(data: &[u8]) {
    let mut out = String::from("what was there before");
    let port = named::host_into(data, &mut out);
    let of_hello = everyhop_hello::host_name(data);
    let Ok(port) = port else {
        return assert_eq!(of_hello, None, "a server name, but no host: {}", shown(data));
    };
    let ip = out.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    assert_eq!(named::host(out.as_bytes()).as_ref(), Ok(&out), "canonical of canonical is itself");
    assert!(!out.is_empty() && out.len() <= 253 && !out.ends_with('.') && !out.contains(".."), "{out}");
    assert!(out.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'[' | b']' | b':')));
    match (port, ip) {
        (Some(port), _) => {
            assert_eq!(named::host_into(format!("{out}:{port}").as_bytes(), &mut String::new()), Ok(Some(port)));
        }
        // T04: one rule for the names of hellos and of requests.
        (None, None) if data.ends_with(b":") => {}
        (None, None) => assert_eq!(of_hello.as_ref(), Some(&out), "{}", shown(data)),
        (None, Some(_)) => assert_eq!(of_hello, None, "an address is no server name: {}", shown(data)),
    }
}

/// Percent-decoding as a backend does it that decodes whatever it can.
pub(crate) fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let [b, tail @ ..] = rest {
        let pair = tail.get(..2).and_then(|p| std::str::from_utf8(p).ok()).filter(|p| p.is_ascii());
        let value =
            pair.filter(|p| p.bytes().all(|b| b.is_ascii_hexdigit())).and_then(|p| u8::from_str_radix(p, 16).ok());
        match (b, value) {
            (b'%', Some(value)) => {
                out.push(value);
                rest = &tail[2..];
            }
            _ => {
                out.push(*b);
                rest = tail;
            }
        }
    }
    out
}

fn depth(path: &[u8]) -> usize {
    path.iter().filter(|b| matches!(b, b'/' | b'\\')).count()
}

/// Nothing in it that moves between segments, to a backend that reads it so.
fn stays_within(path: &[u8], whose: &str) {
    assert!(!path.iter().any(|b| b.is_ascii_control() || *b == b'\\'), "{whose}: {}", shown(path));
    for segment in path.split(|b| *b == b'/') {
        let plain = segment.split(|b| b";?#".contains(b)).next();
        assert!(!matches!(plain, Some(b"." | b"..")), "{whose}: a dot segment in {}", shown(path));
    }
    assert!(!path.windows(2).any(|w| w == b"//"), "{whose}: an empty segment in {}", shown(path));
}

pub fn path(data: &[u8]) {
    let Ok(parts) = target(data) else { return };
    if parts.path.is_empty() {
        return assert_eq!((data, parts.query), (&b"*"[..], None));
    }
    if let Some(query) = parts.query {
        assert!(query.bytes().all(|b| (b.is_ascii_graphic() || !b.is_ascii()) && b != b'#'));
    }
    let mut out = String::from("/before");
    let strict = path_into(parts.path.as_bytes(), &mut out);
    let mut form = String::new();
    let formed = form_into(parts.path, &mut form);
    match (strict, formed) {
        (Err(NotStrict::Odd(a)), Ok(Some(b))) => {
            assert_eq!(a, b);
            // It has one form all the same, which is read as it is.
            let mut again = String::new();
            assert!(form_into(&form, &mut again).is_ok() && again == form, "{form} becomes {again}");
            return;
        }
        (Err(NotStrict::Bad(a)), Err(b)) => return assert_eq!(a, b),
        (Ok(()), Ok(None)) => {}
        (a, b) => panic!("{a:?}, but {b:?}: {}", shown(data)),
    }
    let canonical = out.strip_prefix("/before").expect("it only appends").to_owned();
    let mut again = String::new();
    assert_eq!(path_into(canonical.as_bytes(), &mut again), Ok(()), "canonical, and refused: {canonical}");
    assert_eq!(again, canonical, "canonical of canonical is itself");
    assert!(
        canonical.starts_with('/') && canonical.bytes().all(|b| b.is_ascii_graphic() && !b"\\#?\"<>`".contains(&b))
    );

    // R01: to a backend that decodes once, and to one that decodes again, it is a path of as many segments and no dots.
    let once = decoded(canonical.as_bytes());
    let twice = decoded(&once);
    for (whose, path) in [("as it is", canonical.as_bytes()), ("decoded", &once), ("decoded twice", &twice)] {
        stays_within(path, whose);
        assert_eq!(depth(path), depth(canonical.as_bytes()), "{whose}: {}", shown(path));
    }
    // It is still the path that was sent.
    assert_eq!(shown(&once), shown(&decoded(parts.path.as_bytes())));
    assert_eq!(form, canonical);
    // R02.
    assert!(has_prefix(&canonical, &canonical) && has_prefix(&canonical, "/"));
    for (at, _) in canonical.match_indices('/').skip(1) {
        assert!(has_prefix(&canonical, &canonical[..at]), "{canonical} is under {}", &canonical[..at]);
        assert!(at < 2 || !has_prefix(&canonical, &canonical[..at - 1]) || canonical[..at - 1].ends_with('/'));
    }
}

/// The first line is one traceparent; each of the others a tracestate.
pub fn trace(data: &[u8]) {
    let mut lines = data.split(|b| *b == b'\n');
    let value = lines.next().unwrap_or_default();
    let read = of_trace::traceparent(value);
    for cut in cuts(value.len()) {
        // A later version may end where ours does, whatever would have followed; nothing shorter is one.
        let part = of_trace::traceparent(&value[..cut]);
        let same = read.is_none() || part == read;
        assert!(part.is_none() || (cut >= of_trace::TRACEPARENT_BYTES && same), "cut at {cut}");
    }
    if let Some(parent) = read {
        let mut out = Vec::new();
        of_trace::write_traceparent(&mut out, &parent);
        assert_eq!((of_trace::traceparent(&out), out.len()), (Some(parent), of_trace::TRACEPARENT_BYTES));
        assert_eq!(out[2..52], value[2..52], "the trace and the span are as they came");
    }
    let states: Vec<&[u8]> = lines.collect();
    let (mut list, mut again) = (String::new(), String::new());
    if of_trace::tracestate(states.iter().copied(), &mut list) {
        assert!(list.len() <= of_trace::TRACESTATE_BYTES && list.split(',').count() <= 32, "{list}");
        // However many fields it stood in, and once more.
        let joined = states.join(&b","[..]);
        for whole in [joined.as_slice(), list.as_bytes()] {
            assert!(of_trace::tracestate([whole], &mut again) && again == list, "{list:?} {again:?}");
        }
    } else {
        assert!(list.is_empty(), "no part of what is none goes on: {}", shown(data));
    }
}
