//! HTTP/2 on either side: whatever frames come, what we send is in order, no more is forwarded than was asked for, floods
//! end, and no broken answer becomes a complete one.

use super::backend::Behaviour;
use super::frames::{
    ACK, CONTINUATION, DATA, END_STREAM, Frame, GOAWAY, HEADERS, PREFACE, PUSH_PROMISE, RST_STREAM, SETTINGS, Script,
    Side, WINDOW_UPDATE, frames, script,
};
use super::http1::{Answer, answer, vouched};
use super::{Client, PEER, Ran, run};
use crate::shown;
use everyhop_canon::path;
use everyhop_engine::fuzzing::Speaks;
use std::collections::{HashMap, HashSet};

/// `client/budget.rs` of the engine lets a burst of so many pass that ask for work and carry nothing.
const BURST: usize = 2000;
/// RFC 9113 §6.9.2.
const WINDOW: u64 = 65_535;

/// By the same rule as the engine's, counted a second time.
fn is_idle(it: &Frame<'_>) -> bool {
    match it.kind {
        DATA => it.body.is_empty() && it.flags & END_STREAM == 0,
        HEADERS | RST_STREAM | WINDOW_UPDATE => false,
        _ => true,
    }
}

pub fn client_h2(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else { return };
    let closes = how & 1 == 1;
    let Script { pieces } = script(rest, Side::Client);
    let sent = pieces.concat();
    let client = Client { speaks: Speaks::Http2, pieces, closes, trusted: false };
    let Ran { answered, received, at_once } = run(client, Behaviour::Serves);

    let (said, _) = frames(sent.strip_prefix(PREFACE).unwrap_or_default());
    let (heard, cut) = frames(&answered);
    assert!(closes || cut.is_empty(), "a frame is cut: {}", shown(cut));
    in_order(&said, &heard);
    let idle = said.iter().filter(|f| is_idle(f)).count();
    let gone = heard.iter().any(|f| f.kind == GOAWAY && f.body.get(4..8).is_some_and(|code| code != [0; 4]));
    assert!(idle <= BURST || gone || at_once, "{idle} frames that carry nothing, and nobody minds");

    let forwarded: Vec<_> = received.iter().flat_map(|r| &r.requests).collect();
    let asked = said.iter().filter(|f| f.kind == HEADERS).count();
    assert!(forwarded.len() <= asked, "{} requests of {asked}", forwarded.len());
    for it in forwarded {
        vouched(it, PEER);
        let target = it.target.split(|b| *b == b'?').next().unwrap_or_default();
        let is_path = std::str::from_utf8(target).is_ok_and(|t| path::form_into(t, &mut String::new()).is_ok());
        assert!(is_path || target == b"*", "{} is no path", shown(target));
        assert_ne!(it.method, b"CONNECT");
    }
    let answers = heard.iter().filter(|f| f.kind == HEADERS && f.stream % 2 == 1).count();
    assert!(answers <= asked * 2, "{answers} answers to {asked}");
}

/// What we send is what RFC 9113 allows a server to send to this client.
pub(super) fn in_order(said: &[Frame<'_>], heard: &[Frame<'_>]) {
    let Some(first) = heard.first() else { return };
    assert!(first.kind == SETTINGS && first.flags & ACK == 0, "it does not begin with SETTINGS");
    let highest = said.iter().filter(|f| f.kind == HEADERS).map(|f| f.stream).max().unwrap_or(0);
    let (mut begun, mut over) = (HashSet::new(), HashSet::new());
    let mut data = 0;
    for it in heard {
        assert!(it.kind <= CONTINUATION && it.kind != PUSH_PROMISE, "a frame of type {}", it.kind);
        if matches!(it.kind, HEADERS | DATA) {
            assert!(it.stream % 2 == 1 && it.stream <= highest, "an answer on stream {}", it.stream);
            assert!(!over.contains(&it.stream), "stream {} goes on after its end", it.stream);
        }
        match it.kind {
            HEADERS => drop(begun.insert(it.stream)),
            DATA => {
                assert!(begun.contains(&it.stream), "a body before its head on stream {}", it.stream);
                data += it.body.len() as u64;
            }
            _ => {}
        }
        if it.kind == RST_STREAM || (matches!(it.kind, HEADERS | DATA) && it.flags & END_STREAM != 0) {
            over.insert(it.stream);
        }
    }
    let given = |f: &&Frame<'_>| f.kind == WINDOW_UPDATE && f.stream == 0 && f.body.len() == 4;
    let more: u64 =
        said.iter().filter(given).map(|f| f.body.iter().fold(0, |n, b| n << 8 | u64::from(*b)) & 0x7fff_ffff).sum();
    assert!(data <= WINDOW + more, "{data} bytes in a window of {}", WINDOW + more);
}

pub fn backend_h2(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else { return };
    let to_head = how & 8 == 8;
    let request: &[u8] = match how >> 3 & 3 {
        0 => b"GET /x HTTP/1.1\r\nHost: b.test\r\n\r\n",
        2 => b"POST /x HTTP/1.1\r\nHost: b.test\r\nContent-Length: 5\r\n\r\nhello",
        _ => b"HEAD /x HTTP/1.1\r\nHost: b.test\r\n\r\n",
    };
    let Script { pieces } = script(rest, Side::Server);
    let said = pieces.concat();
    let client = Client { speaks: Speaks::Http1, pieces: vec![request.to_vec()], closes: false, trusted: false };
    let Ran { answered, received, .. } = run(client, Behaviour::Says { pieces, closes: how & 4 == 4 });

    for it in &received {
        let Some(spoken) = it.bytes.strip_prefix(PREFACE) else {
            assert!(PREFACE.starts_with(&it.bytes), "{}", shown(&it.bytes));
            continue;
        };
        let mut opened: HashMap<u32, usize> = HashMap::new();
        for frame in frames(spoken).0.iter().filter(|f| f.kind == HEADERS) {
            *opened.entry(frame.stream).or_default() += 1;
        }
        // One request, once more at most where the backend says that it did not look at it.
        assert!(opened.len() <= 2 && opened.values().all(|n| *n == 1), "{opened:?}");
    }
    let (theirs, _) = frames(&said);
    let ended = theirs.iter().any(|f| matches!(f.kind, DATA | HEADERS) && f.flags & END_STREAM != 0);
    let framed = said.windows(14).any(|w| w == b"content-length");
    let own = answered.windows(22).any(|w| w == b"proxy-status: everyhop");
    match answer(&answered, to_head, true) {
        Answer::Whole { status, .. } if own => assert!(matches!(status, 502 | 504), "{status}"),
        Answer::Whole { status, .. } => {
            let bodiless = to_head || matches!(status, 204 | 304);
            assert!(ended || framed || bodiless, "a cut answer became a complete one: {}", shown(&answered));
        }
        Answer::Cut => {}
    }
}
