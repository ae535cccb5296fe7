//! HTTP/1 on either side: what a client sends becomes at most the requests that a second reader finds in it, and what a
//! backend sends becomes a complete answer only where it was one.

use super::backend::{Behaviour, Request};
use super::frames;
use super::http2::in_order;
use super::{Client, PEER, PROXY, Ran, pieces, run};
use crate::oracle::{self, Ends};
use crate::shown;
use everyhop_canon::{forwarded, path};
use everyhop_engine::fuzzing::Speaks;
use std::net::IpAddr;

/// The requests in `sent`, up to the first that is incomplete or wrong; and of each head, the last one's too, whether its
/// answer has no body.
fn requests(sent: &[u8]) -> (Vec<Request>, Vec<bool>) {
    let (mut found, mut to_head, mut rest) = (Vec::new(), Vec::new(), sent);
    while let Ok(head) = oracle::request(rest) {
        to_head.push(head.first[0] == b"HEAD");
        let after = &rest[head.len..];
        let (body, len) = match head.ends {
            Ends::After(n) => match usize::try_from(n).ok().and_then(|n| after.get(..n)) {
                Some(body) => (body.to_vec(), body.len()),
                None => break,
            },
            Ends::WithLastChunk => match oracle::dechunk(after) {
                Some((body, _, len)) => (body, len),
                None => break,
            },
            Ends::Nowhere | Ends::WithTheConnection => (Vec::new(), 0),
        };
        rest = &after[len..];
        let [method, target, _] = head.first;
        found.push(Request { method, target, fields: head.fields, body });
    }
    (found, to_head)
}

/// Whether `forwarded` is `sent`, byte for byte from its path on.
fn is(forwarded: &Request, sent: &Request) -> bool {
    let Ok(parts) = path::target(&sent.target) else { return false };
    let mut target = if parts.path.is_empty() { b"*".to_vec() } else { parts.path.as_bytes().to_vec() };
    if let Some(query) = parts.query {
        target.push(b'?');
        target.extend_from_slice(query.as_bytes());
    }
    forwarded.method == sent.method && forwarded.target == target && forwarded.body == sent.body
}

/// What only the edge may say, exactly once each.
pub(super) fn vouched(request: &Request, peer: IpAddr) {
    for name in ["host", "x-forwarded-for", "x-forwarded-proto", "x-real-ip", "forwarded", "x-request-id"] {
        let count = request.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).count();
        assert_eq!(count, 1, "{name} in {request:?}");
    }
    let said =
        |name: &str| request.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| &v[..]);
    let mut chain = Vec::new();
    assert!(forwarded::addresses(said("x-forwarded-for").unwrap_or_default(), &mut chain), "{request:?}");
    assert_eq!(chain.last(), Some(&peer), "the peer is the last");
    if peer == PEER {
        assert_eq!(chain.len(), 1, "nobody else's word is taken");
    } else {
        let trusted = |ip: &IpAddr| matches!(ip, IpAddr::V4(v4) if v4.octets()[0] == 10);
        assert!(chain.iter().skip(1).all(trusted), "a hop that nobody vouches for is not the first: {chain:?}");
    }
    assert_eq!(said("x-real-ip"), Some(chain[0].to_string().as_bytes()), "one client in every field");
    assert!(said("client-cert").is_none() && said("upgrade").is_none(), "{request:?}");
}

/// A simple request that nothing can be said against.
fn is_plain(it: &Request) -> bool {
    let hosts: Vec<_> = it.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(b"host")).collect();
    let known = it
        .fields
        .iter()
        .all(|(n, _)| [&b"host"[..], b"content-length", b"accept"].contains(&&n.to_ascii_lowercase()[..]));
    matches!(it.method.as_slice(), b"GET" | b"POST" | b"DELETE")
        && hosts.len() == 1
        && hosts[0].1 == b"a.test"
        && known
        && it.target.len() < 1000
        && it.target.first() == Some(&b'/')
        && it.target[1..].iter().all(u8::is_ascii_lowercase)
}

pub fn client_h1(data: &[u8]) {
    let Some((&how, sent)) = data.split_first() else { return };
    let (closes, trusted) = (how & 4 == 4, how & 8 == 8);
    let client = Client { speaks: Speaks::Http1, pieces: pieces(sent, how), closes, trusted };
    let Ran { answered, received, .. } = run(client, Behaviour::Serves);

    let (fine, to_head) = requests(sent);
    let mut left = fine.iter();
    let forwarded: Vec<&Request> = received.iter().flat_map(|r| &r.requests).collect();
    for it in &forwarded {
        // Each is one of those that were sent, in their order: nothing more, and nothing twice.
        assert!(left.any(|sent| is(it, sent)), "nobody sent {it:?}: {}", shown(sent));
        vouched(it, if trusted { PROXY } else { PEER });
    }
    if let Some(first) = fine.first().filter(|it| is_plain(it) && !closes && sent.len() < 4096) {
        assert!(forwarded.first().is_some_and(|it| is(it, first)), "{first:?} was not forwarded: {}", shown(&answered));
    }
    let mut to_head = to_head.into_iter();
    let (mut rest, mut served) = (&answered[..], 0);
    while !rest.is_empty() {
        match answer(rest, to_head.next().unwrap_or(false), true) {
            Answer::Whole { status, len, .. } => {
                served += usize::from(status == 200);
                rest = &rest[len..];
            }
            Answer::Cut if closes => break,
            Answer::Cut => panic!("the client was answered {}", shown(&answered)),
        }
    }
    // Whatever it asks for, it is led to one server.
    const FIELD: &[u8] = b"\r\nlocation: ";
    for (at, _) in answered.windows(FIELD.len()).enumerate().filter(|(_, w)| *w == FIELD) {
        let to = &answered[at + FIELD.len()..];
        assert!(to.starts_with(b"https://d.example/"), "{}", shown(to));
    }
    assert!(served <= forwarded.len(), "{served} answers for {} requests", forwarded.len());
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Whole { status: u16, body: Vec<u8>, len: usize },
    Cut,
}

/// The next final answer in `bytes`, as a client reads it; `closed`: nothing more comes, and the end was in order.
pub(super) fn answer(bytes: &[u8], to_head: bool, closed: bool) -> Answer {
    let mut at = 0;
    let head = loop {
        let Ok(head) = oracle::response(&bytes[at..], to_head) else { return Answer::Cut };
        at += head.len;
        if head.first[1].first() != Some(&b'1') {
            break head;
        }
    };
    let rest = &bytes[at..];
    let whole = match head.ends {
        Ends::Nowhere => Some((Vec::new(), 0)),
        Ends::After(n) => usize::try_from(n).ok().and_then(|n| Some((rest.get(..n)?.to_vec(), n))),
        Ends::WithLastChunk => oracle::dechunk(rest).map(|(body, _, len)| (body, len)),
        Ends::WithTheConnection => closed.then(|| (rest.to_vec(), rest.len())),
    };
    let status = String::from_utf8_lossy(&head.first[1]).parse().unwrap_or(0);
    whole.map_or(Answer::Cut, |(body, len)| Answer::Whole { status, body, len: at + len })
}

pub fn backend_h1(data: &[u8]) {
    let Some((&how, said)) = data.split_first() else { return };
    let (closes, to_head) = (how & 4 == 4, how & 8 == 8);
    if how & 32 == 32 {
        return to_http2(said, closes, to_head, how);
    }
    let request: &[u8] = match how >> 3 & 3 {
        0 => b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n",
        2 => b"POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
        _ => b"HEAD /x HTTP/1.1\r\nHost: a.test\r\n\r\n",
    };
    let client = Client { speaks: Speaks::Http1, pieces: vec![request.to_vec()], closes: false, trusted: false };
    let Ran { answered, .. } = run(client, Behaviour::Says { pieces: pieces(said, how), closes });
    let theirs = answer(said, to_head, closes);
    let ours = answer(&answered, to_head, true);
    let informational = said.windows(9).filter(|w| *w == b"HTTP/1.1 " || *w == b"HTTP/1.0 ").count() > 10;
    let of_limits = informational || said.len() > 4096 || said.iter().filter(|b| **b == b'\n').count() > 60;
    match (&theirs, &ours) {
        (Answer::Whole { status, body, .. }, Answer::Whole { status: s, body: b, .. }) if status == s => {
            assert_eq!(shown(body), shown(b), "the body is another: {}", shown(said));
        }
        // What is beyond our limits, or a switch that nobody asked for, is refused although it is whole.
        (Answer::Whole { .. }, Answer::Whole { status: 502, .. }) => {
            let switch = said.windows(12).any(|w| w == b"HTTP/1.1 101" || w == b"HTTP/1.0 101");
            assert!(switch || of_limits, "whole, and refused: {}", shown(said));
        }
        (Answer::Whole { .. }, other) => assert!(of_limits, "whole, and became {other:?}: {}", shown(said)),
        // Never a complete answer from a broken one: either an error of ours, or a cut.
        (Answer::Cut, Answer::Whole { status, body, .. }) => {
            let own = answered.windows(22).any(|w| w == b"proxy-status: everyhop");
            assert!(own && matches!(status, 502 | 504), "became {status} {}: {}", shown(body), shown(said));
        }
        (Answer::Cut, Answer::Cut) => {}
    }
}

/// The same for a client of HTTP/2: a stream that ends carries all of a whole answer, or an error of ours.
fn to_http2(said: &[u8], closes: bool, to_head: bool, how: u8) {
    let asking = frames::asking(if to_head { b"HEAD" } else { b"GET" }, b"a.test");
    let client = Client { speaks: Speaks::Http2, pieces: vec![asking.clone()], closes: false, trusted: false };
    let Ran { answered, .. } = run(client, Behaviour::Says { pieces: pieces(said, how), closes });
    let (asked, _) = frames::frames(asking.strip_prefix(frames::PREFACE).unwrap_or_default());
    let (heard, cut) = frames::frames(&answered);
    assert!(cut.is_empty(), "a frame is cut: {}", shown(cut));
    in_order(&asked, &heard);
    let carries = |f: &&frames::Frame<'_>| f.stream == 1 && matches!(f.kind, frames::HEADERS | frames::DATA);
    let ended = heard.iter().filter(carries).any(|f| f.flags & frames::END_STREAM != 0);
    let reset = heard.iter().any(|f| f.kind == frames::RST_STREAM && f.stream == 1);
    let body: Vec<u8> = heard.iter().filter(|f| f.kind == frames::DATA).flat_map(|f| f.body.to_vec()).collect();
    if ended && !reset {
        let own = to_head || body.starts_with(b"502 ") || body.starts_with(b"504 ");
        match answer(said, to_head, closes) {
            Answer::Whole { body: theirs, .. } => assert!(own || body == theirs, "another body: {}", shown(&body)),
            Answer::Cut => assert!(own, "a broken answer became a complete one: {}", shown(said)),
        }
    }
}
