//! What becomes of the head of a backend's answer on its way to the client: first what the backend says of itself is turned
//! into what the client knows, then come the route's edits, then what the edge says itself: who may read it, and in which
//! coding it comes. Which answers are compressed is judged here, by their heads; never one that is coded, partial, vouched for
//! byte for byte, or said not to be changed. Read next: `returned.rs`, `edits.rs`, `cors.rs`, `coding.rs`.

use crate::exchange::coding::Codes;
use crate::exchange::compress::is_pressed;
use crate::exchange::cors::is_of_cors;
use crate::exchange::edits::{Edited, Editing, Shaping};
use crate::exchange::returned::Returned;
use crate::exchange::sides::Client;
use crate::exchange::words::{Behind, BodyLen, Fields, Meta};
use everyhop_http1::FieldId;
use everyhop_plan::Coding;
use everyhop_running::running::Sticks;

/// What is shorter gains nothing: an answer's head and a packet are about as long.
const LEAST_BYTES: u64 = 1024;

/// Hands a head on, as its route shapes it. Gives the coding in which its body has to follow, if that is another.
#[inline]
pub(crate) fn give(
    client: &mut impl Client,
    meta: &Meta,
    fields: &impl Fields,
    by: Option<Shaping<'_>>,
) -> Option<Coding> {
    let Some(by) = by else {
        client.head(meta, fields);
        return None;
    };
    let shaped = Shaped::of(fields, meta, by, client.frames());
    client.head(&shaped.meta(meta), &shaped);
    shaped.coding(meta)
}

/// What a head says that decides whether its body is compressed.
#[derive(Default)]
struct Told {
    gains: bool,
    /// Coded, partial, vouched for, or not to be changed.
    stays: bool,
    length: Option<u64>,
    sets_cookie: bool,
    varies: bool,
}

/// What becomes of one answer's coding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Coded {
    pub(crate) with: Option<Coding>,
    /// A validator of it is one of another representation's as well (RFC 9110 §8.8.1).
    weakens: bool,
    /// It would be another answer for another Accept-Encoding.
    varies: bool,
}

/// An answer's fields as they are when they were edited, and the edge has said its own.
pub(crate) struct Shaped<'a, F> {
    fields: Edited<'a, Returned<'a, F>>,
    coded: Coded,
    sticks: Option<Sticks<'a>>,
}

impl<'a, F: Fields> Shaped<'a, F> {
    /// `frames`: the client can be told where a body of unknown length ends.
    pub(crate) fn of(fields: &'a F, meta: &Meta, by: Shaping<'a>, frames: bool) -> Shaped<'a, F> {
        let Shaping { shape, asked, knows, sticks } = by;
        let fields = Returned { fields, asked, by: shape.returned.as_deref() };
        let by = Editing { edits: &shape.edits, asked, knows };
        let mut it = Shaped { fields: Edited { fields, by }, coded: Coded::default(), sticks };
        if let Some(codes) = asked.codes.filter(|_| frames) {
            it.coded = coded(&it.fields, meta, codes, asked.is_head());
        }
        it
    }

    /// In which coding its body is to be written.
    pub(crate) fn coding(&self, meta: &Meta) -> Option<Coding> {
        self.coded.with.filter(|_| meta.body != BodyLen::None)
    }

    /// As its client is told of it.
    pub(crate) fn meta(&self, meta: &Meta) -> Meta {
        match self.coding(meta) {
            None => *meta,
            Some(_) => Meta { body: BodyLen::Unknown, behind: Behind::PerhapsTrailers, ..*meta },
        }
    }
}

fn coded(fields: &impl Fields, meta: &Meta, codes: Codes, to_head: bool) -> Coded {
    // A part is one of the representation that was asked for, and its sums are of that.
    if matches!(meta.status, 101 | 204 | 205 | 206 | 416) {
        return Coded::default();
    }
    let it = told(fields);
    if meta.status == 304 {
        // What it validates was sent with a weak validator (RFC 9111 §4.3.4).
        return Coded { with: None, weakens: codes.with.is_some(), varies: !it.varies };
    }
    let length = match meta.body {
        BodyLen::Known(n) => Some(n),
        BodyLen::Unknown => None,
        // Of HEAD: what GET would get.
        BodyLen::None if to_head => it.length,
        BodyLen::None => Some(0),
    };
    let secret = it.sets_cookie && !codes.with_credentials;
    if !it.gains || it.stays || secret || length == Some(0) {
        return Coded::default();
    }
    let short = length.is_some_and(|n| n < LEAST_BYTES) && codes.takes_plain;
    let with = codes.with.filter(|_| !short && (to_head || !is_pressed()));
    Coded { with, weakens: with.is_some(), varies: !it.varies }
}

fn told(fields: &impl Fields) -> Told {
    let mut it = Told::default();
    fields.each(|id, name, value| {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match id {
            FieldId::ContentLength => it.length = std::str::from_utf8(value).ok().and_then(|v| v.trim().parse().ok()),
            _ if is("content-type") => it.gains = gains(value),
            _ if is("vary") => it.varies |= lists(value, "accept-encoding") || lists(value, "*"),
            _ if is("set-cookie") => it.sets_cookie = true,
            _ if is("cache-control") => it.stays |= lists(value, "no-transform"),
            // RFC 9530: sums of what is sent, and of the representation with its coding.
            _ if is("content-encoding") || is("content-range") || is("content-md5") || is("digest") => it.stays = true,
            _ if is("content-digest") || is("repr-digest") || is("signature") => it.stays = true,
            _ => {}
        }
    });
    it
}

/// A list of words, without case and what follows a word.
pub(crate) fn lists(value: &[u8], word: &str) -> bool {
    value.split(|b| *b == b',').any(|it| it.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

/// Types of which others than the application's have measured that they gain: text in whatever form, and a few that are
/// written without compression of their own.
fn gains(kind: &[u8]) -> bool {
    const NAMED: &[&str] = &[
        "application/javascript",
        "application/json",
        "application/jsonl",
        "application/ld+json",
        "application/ndjson",
        "application/toml",
        "application/vnd.ms-fontobject",
        "application/wasm",
        "application/x-javascript",
        "application/x-ndjson",
        "application/x-yaml",
        "application/xml",
        "application/yaml",
        "font/collection",
        "font/otf",
        "font/ttf",
        "image/bmp",
        "image/vnd.microsoft.icon",
        "image/x-icon",
    ];
    let kind = kind.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let is = |known: &str| kind.eq_ignore_ascii_case(known.as_bytes());
    let begins = kind.get(..5).is_some_and(|it| it.eq_ignore_ascii_case(b"text/"));
    let ends = |end: &str| {
        let at = kind.len().checked_sub(end.len()).and_then(|from| kind.get(from..));
        at.is_some_and(|it| it.eq_ignore_ascii_case(end.as_bytes()))
    };
    // A call of gRPC-Web may name JSON too, and frames its messages.
    let call = kind.get(..16).is_some_and(|it| it.eq_ignore_ascii_case(b"application/grpc"));
    !call && (begins || ends("+json") || ends("+xml") || NAMED.iter().any(|known| is(known)))
}

impl<F: Fields> Fields for Shaped<'_, F> {
    fn has_secrets(&self) -> bool {
        self.fields.has_secrets()
    }

    fn reason(&self) -> &[u8] {
        self.fields.reason()
    }

    fn each(&self, mut f: impl FnMut(FieldId, &[u8], &[u8])) {
        let cors = self.fields.by.asked.cors.as_deref();
        let limited = self.fields.by.asked.limited.as_deref();
        let Coded { with, weakens, varies } = self.coded;
        self.fields.each(|id, name, value| {
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            if limited.is_some_and(|it| it.replaces(name)) {
                return;
            }
            if cors.is_some() && is_of_cors(id, name) {
                return;
            }
            // That cookie is the edge's: a backend that set it would send its clients anywhere.
            if self.sticks.is_some_and(|it| is("set-cookie") && it.by.is_ours(value)) {
                return;
            }
            // Of the body as it was, which ranges are of, too.
            if with.is_some() && (id == FieldId::ContentLength || is("accept-ranges")) {
                return;
            }
            if weakens && is("etag") && !value.starts_with(b"W/") {
                f(id, name, &[b"W/", value].concat());
                return;
            }
            f(id, name, value);
        });
        if let Some(coding) = with {
            f(FieldId::Other, b"content-encoding", coding.name().as_bytes());
        }
        if varies {
            f(FieldId::Other, b"vary", b"Accept-Encoding");
        }
        if let Some(verdict) = self.fields.by.asked.verdict() {
            verdict.cookies.iter().for_each(|it| f(FieldId::Other, b"set-cookie", it));
        }
        if let Some(sets) = self.sticks.and_then(|it| it.sets) {
            f(FieldId::Other, b"set-cookie", sets.as_bytes());
        }
        if let Some(cors) = cors {
            cors.each(|name, value| f(FieldId::Other, name.as_bytes(), value));
        }
        if let Some(limited) = limited {
            limited.each(|name, value| f(FieldId::Other, name.as_bytes(), value));
        }
    }
}
