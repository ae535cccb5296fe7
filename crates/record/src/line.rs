//! Observations: what a connection or request really did, as one JSON line that the log, `where` and `status` share.
//!
//! What a connection or an upstream connection fixed once (peers, TLS, identities) is written once, as a fragment, where a log asks for it; a
//! request only adds its own fields. Any byte in any field gives one valid JSON line (threat G01). No query, no header,
//! no body, no key ever gets in. Read next: `json.rs`, then `lines.rs` (other forms of it), `log.rs`, `counters.rs`.

use crate::certificate::Refused;
use crate::facts::{IdentityUse, TlsFacts};
use crate::failure::{Failure, address_field, write_all};
use crate::inspected::{InspectedBy, inspected_by};
use crate::json::{address, bytes_field, field, hex16, plain_field, socket_address, stamp, text};
use crate::kept::Kept;
use crate::lines::Lines;
use everyhop_canon::trace::write_hex;
use everyhop_http1::write::number;
use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

/// What we know of a client connection, written once a log asks for it.
pub struct ConnFragment {
    text: Box<[u8]>,
    /// Where each of its fields ends, in the order of [`OfConn`].
    ends: [u32; 5],
}

/// A field of a connection's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfConn {
    Conn,
    Listener,
    Peer,
    Client,
    Sni,
    ClientHop,
}

#[derive(Clone, Copy)]
pub struct ConnFacts<'a> {
    pub id: u64,
    pub listener: &'a str,
    pub peer: SocketAddr,
    pub client: IpAddr,
    pub sni: Option<&'a str>,
    /// `ended`, `plaintext`, `passed`, `failed` or `none`.
    pub tls: &'static str,
    pub facts: &'a TlsFacts,
    /// The certificate of the client's that was not believed.
    pub refused: Option<&'a Refused>,
}

/// A client connection as a line has it.
#[derive(Clone, Copy)]
pub enum ConnLine<'a> {
    Written(&'a ConnFragment),
    /// Written for the first line of a log, or one that may be told when it is gone, and kept for those behind it: most
    /// connections without a log hold none.
    Known(ConnFacts<'a>, &'a OnceCell<Rc<ConnFragment>>),
}

impl<'a> ConnLine<'a> {
    #[inline]
    pub(crate) fn written(self) -> &'a ConnFragment {
        match self {
            ConnLine::Written(it) => it,
            ConnLine::Known(facts, kept) => facts.kept(kept),
        }
    }

    #[inline]
    fn write(self, out: &mut Vec<u8>) {
        match self {
            ConnLine::Written(it) => out.extend_from_slice(&it.text),
            ConnLine::Known(facts, kept) => match kept.get() {
                Some(it) => out.extend_from_slice(&it.text),
                None => _ = facts.write(out),
            },
        }
    }
}

impl ConnFacts<'_> {
    /// The fragment, written now where it was not before.
    pub fn kept<'k>(&self, kept: &'k OnceCell<Rc<ConnFragment>>) -> &'k Rc<ConnFragment> {
        kept.get_or_init(|| Rc::new(ConnFragment::of(self)))
    }

    /// Gives: how long it was behind each of its fields, in the order of [`OfConn`].
    fn write(&self, out: &mut Vec<u8>) -> [usize; 5] {
        let start = out.len();
        out.extend_from_slice(b"\"conn\":\"");
        hex16(out, self.id);
        out.push(b'"');
        let conn = out.len();
        field(out, "listener", Some(self.listener));
        let listener = out.len();
        out.extend_from_slice(b",\"peer\":\"");
        socket_address(out, self.peer);
        out.push(b'"');
        let peer = out.len();
        out.extend_from_slice(b",\"client\":\"");
        address(out, self.client);
        out.push(b'"');
        let client = out.len();
        field(out, "sni", self.sni);
        let sni = out.len();
        out.extend_from_slice(b",\"client_hop\":{\"tls\":");
        text(out, self.tls.as_bytes());
        field(out, "alpn", self.facts.alpn.as_deref());
        self.facts.write(out);
        out.extend_from_slice(b",\"refused\":");
        match self.refused {
            Some(refused) => refused.write(out),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
        [conn, listener, peer, client, sni].map(|end| end - start)
    }
}

impl ConnFragment {
    pub fn of(it: &ConnFacts<'_>) -> ConnFragment {
        let mut out = Vec::with_capacity(512);
        // Names and addresses are bounded; what would not fit tells of no more than the last.
        let ends = it.write(&mut out).map(|end| u32::try_from(end).unwrap_or(u32::MAX));
        // Copied: what is shrunk in place keeps its room.
        ConnFragment { text: out.as_slice().into(), ends }
    }

    /// The value of one of its fields, as it is in JSON.
    pub(crate) fn value(&self, of: OfConn) -> &[u8] {
        let at = of as usize;
        let end_of = |i: usize| self.ends.get(i).and_then(|it| usize::try_from(*it).ok());
        let start = at.checked_sub(1).and_then(end_of).unwrap_or(0);
        let end = end_of(at).unwrap_or(self.text.len());
        let field = self.text.get(start..end).unwrap_or_default();
        // No name of a field has a colon in it.
        field.iter().position(|b| *b == b':').and_then(|colon| field.get(colon + 1..)).unwrap_or_default()
    }
}

/// What we know of a backend connection, written once it is open. Without its closing brace: what may still change follows.
#[derive(Clone)]
pub struct HopFragment {
    text: Vec<u8>,
    /// Where in the text the backend's own place stands.
    at: (usize, usize),
    address: Option<SocketAddr>,
    tls: &'static str,
    facts: TlsFacts,
    identity: Cell<IdentityUse>,
}

impl HopFragment {
    /// `address`: `None` for a Unix socket.
    pub fn of(
        at: &str,
        address: Option<SocketAddr>,
        tls: &'static str,
        facts: TlsFacts,
        identity: IdentityUse,
    ) -> HopFragment {
        let text = HopFragment::passed(at, address, tls, &facts, identity);
        HopFragment { facts, ..text }
    }

    /// As [`HopFragment::of`], of a session that is not ours: its facts stand in a line and nowhere else.
    pub fn passed(
        at: &str,
        address: Option<SocketAddr>,
        tls: &'static str,
        facts: &TlsFacts,
        identity: IdentityUse,
    ) -> HopFragment {
        let mut out = Vec::with_capacity(320);
        out.extend_from_slice(b"{\"at\":");
        let begins = out.len() + 1;
        text(&mut out, at.as_bytes());
        let at = (begins, out.len() - 1);
        address_field(&mut out, address);
        field(&mut out, "tls", Some(tls));
        field(&mut out, "alpn", facts.alpn.as_deref());
        facts.write(&mut out);
        HopFragment { text: out, at, address, tls, facts: TlsFacts::default(), identity: Cell::new(identity) }
    }

    /// The backend's place as the plan has it.
    pub(crate) fn at(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.text.get(self.at.0..self.at.1).unwrap_or_default())
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    pub(crate) fn tls(&self) -> &'static str {
        self.tls
    }

    pub(crate) fn facts(&self) -> &TlsFacts {
        &self.facts
    }

    pub(crate) fn identity(&self) -> IdentityUse {
        self.identity.get()
    }

    /// The backend showed what it makes of our identity.
    pub fn know(&self, identity: IdentityUse) {
        self.identity.set(identity);
    }

    /// By itself, as JSON.
    #[cold]
    pub fn told(&self) -> String {
        let mut out = Vec::new();
        self.write(&mut out, false);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>, reused: bool) {
        out.extend_from_slice(&self.text);
        plain_field(out, b",\"identity\":", Some(self.identity.get().name()));
        out.extend_from_slice(if reused { b",\"reused\":true}" } else { b",\"reused\":false}" });
    }

    pub(crate) fn alarm(&self) -> Option<&'static str> {
        (self.identity.get() == IdentityUse::NotDemanded).then_some("identity_not_demanded")
    }
}

/// As W3C Trace Context writes it.
#[cold]
pub(crate) fn trace_id(out: &mut Vec<u8>, trace: Option<[u8; 16]>) {
    match trace {
        None => out.extend_from_slice(b"null"),
        Some(id) => {
            out.push(b'"');
            write_hex(out, &id);
            out.push(b'"');
        }
    }
}

/// The end of what went as decided.
pub const DONE: &str = "done";

/// The end of what is told beside a request's own line: rules that only detect would have denied it.
pub const WOULD_DENY: &str = "waf/would-deny";

/// What one line says beside its fragments.
pub struct Line<'a> {
    pub conn: ConnLine<'a>,
    pub id: Option<u64>,
    /// Those of its route, or of what reached no route.
    pub lines: &'a Lines,
    pub hop: Option<(&'a HopFragment, bool)>,
    /// Tries at hops that failed, the last one of `hop` included where it did.
    pub failed: &'a [Failure],
    pub protocol: Option<&'static str>,
    pub method: Option<&'a [u8]>,
    pub host: Option<&'a [u8]>,
    /// Without query.
    pub path: Option<&'a [u8]>,
    pub status: u16,
    /// How a call of gRPC ended.
    pub grpc: Option<u8>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub duration_us: u64,
    /// `done` or a slug.
    pub end: &'static str,
    /// What a slug alone does not tell.
    pub detail: Option<&'a str>,
    /// The id that a trusted proxy told of the request.
    pub told_id: Option<&'a str>,
    /// Fields of the request that its lines name; `None` where it has none, or is no request.
    pub kept: Option<&'a Kept>,
    /// The trace that it is part of, where its route is traced.
    pub trace: Option<[u8; 16]>,
    /// The issuer of its token and whom that is about, where its route asked for one and it passed.
    pub token: Option<(&'a str, Option<&'a str>)>,
    /// The name by which it was let in with a password, where its route asked for one.
    pub user: Option<&'a str>,
    /// What others said of it, where its route has it asked of anybody.
    pub beside: Option<&'a Beside<'a>>,
}

/// What others than the edge said of a request.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    /// Who was asked about it, where its route asks.
    pub ask: Option<AskedBy<'a>>,
    /// What it was inspected by, where its route has rules for that.
    pub waf: Option<InspectedBy<'a>>,
}

/// Who was asked about a request, and what came of that.
#[derive(Debug, Clone, Copy)]
pub struct AskedBy<'a> {
    pub by: &'a str,
    pub verdict: &'static str,
    /// 0 where nothing was answered.
    pub status: u16,
    pub duration_us: u64,
    /// Nobody decided, and it passed.
    pub is_unasked: bool,
}

#[cold]
pub(crate) fn asked_by(out: &mut Vec<u8>, it: Option<&AskedBy<'_>>) {
    let Some(it) = it else {
        out.extend_from_slice(b"null");
        return;
    };
    out.extend_from_slice(b"{\"by\":");
    text(out, it.by.as_bytes());
    plain_field(out, b",\"verdict\":", Some(it.verdict));
    out.extend_from_slice(b",\"status\":");
    match it.status {
        0 => out.extend_from_slice(b"null"),
        status => number(out, u64::from(status)),
    }
    out.extend_from_slice(b",\"duration_us\":");
    number(out, it.duration_us);
    out.push(b'}');
}

/// Who a token says that somebody is; of the token itself nothing is written. Long names are cut.
pub(crate) fn token(out: &mut Vec<u8>, it: Option<(&str, Option<&str>)>) {
    const SUBJECT_BYTES: usize = 256;
    let Some((issuer, subject)) = it else {
        out.extend_from_slice(b"null");
        return;
    };
    out.extend_from_slice(b"{\"issuer\":");
    text(out, issuer.as_bytes());
    let cut =
        |it: &str| it.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= SUBJECT_BYTES).last();
    field(out, "subject", subject.map(|it| it.get(..cut(it).unwrap_or(0)).unwrap_or_default()));
    out.push(b'}');
}

impl Beside<'_> {
    fn alarms(&self) -> impl Iterator<Item = &'static str> {
        let unasked = self.ask.is_some_and(|it| it.is_unasked).then_some("passed_unasked");
        let uninspected = self.waf.is_some_and(|it| it.is_uninspected).then_some("passed_uninspected");
        unasked.into_iter().chain(uninspected)
    }
}

impl Line<'_> {
    /// It went as decided: whoever looks for the last one misses nothing if this is not kept.
    pub fn is_ordinary(&self) -> bool {
        self.end == DONE
            && self.detail.is_none()
            && self.grpc.is_none_or(|code| code == 0)
            && self.failed.is_empty()
            && self.waf().is_none_or(|it| it.rules.is_empty())
            && self.alarms().next().is_none()
    }

    pub(crate) fn write_alarms(&self, out: &mut Vec<u8>) {
        for (i, alarm) in self.alarms().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            text(out, alarm.as_bytes());
        }
    }

    /// What went otherwise than whoever wrote the plan would have it, and not so that anything failed.
    pub(crate) fn alarms(&self) -> impl Iterator<Item = &'static str> + '_ {
        let beside = self.beside.into_iter().flat_map(|it| it.alarms());
        self.hop.and_then(|(hop, _)| hop.alarm()).into_iter().chain(beside)
    }

    pub(crate) fn ask(&self) -> Option<&AskedBy<'_>> {
        self.beside?.ask.as_ref()
    }

    pub(crate) fn waf(&self) -> Option<&InspectedBy<'_>> {
        self.beside?.waf.as_ref()
    }

    /// `micros`: now, since 1970.
    pub fn write(&self, out: &mut Vec<u8>, micros: u64) {
        out.extend_from_slice(b"{\"time\":\"");
        stamp(out, micros);
        out.extend_from_slice(b"\",");
        self.conn.write(out);
        match self.id {
            Some(id) => {
                out.extend_from_slice(b",\"id\":\"");
                hex16(out, id);
                out.push(b'"');
            }
            None => out.extend_from_slice(b",\"id\":null"),
        }
        out.extend_from_slice(&self.lines.labels);
        out.extend_from_slice(b",\"backend_hop\":");
        match self.hop {
            None => out.extend_from_slice(b"null"),
            Some((hop, reused)) => hop.write(out, reused),
        }
        plain_field(out, b",\"protocol\":", self.protocol);
        bytes_field(out, "method", self.method);
        bytes_field(out, "host", self.host);
        bytes_field(out, "path", self.path);
        out.extend_from_slice(b",\"status\":");
        if self.status == 0 {
            out.extend_from_slice(b"null");
        } else {
            number(out, u64::from(self.status));
        }
        let bytes_in = match self.grpc {
            // Almost every line: in one piece.
            None => &b",\"grpc_status\":null,\"bytes_in\":"[..],
            Some(code) => {
                out.extend_from_slice(b",\"grpc_status\":");
                number(out, u64::from(code));
                b",\"bytes_in\":"
            }
        };
        for (name, value) in [
            (bytes_in, self.bytes_in),
            (&b",\"bytes_out\":"[..], self.bytes_out),
            (&b",\"duration_us\":"[..], self.duration_us),
        ] {
            out.extend_from_slice(name);
            number(out, value);
        }
        plain_field(out, b",\"end\":", Some(self.end));
        let is_plain = (self.detail, self.told_id, self.trace, self.token) == (None, None, None, None);
        if is_plain && self.user.is_none() && self.beside.is_none() {
            // Almost every line: in one piece.
            out.extend_from_slice(
                b",\"detail\":null,\"told_id\":null,\"trace_id\":null,\"token\":null,\"user\":null,\"ask\":null,\"waf\":null,\"failed_hops\":[",
            );
        } else {
            field(out, "detail", self.detail);
            field(out, "told_id", self.told_id);
            out.extend_from_slice(b",\"trace_id\":");
            trace_id(out, self.trace);
            out.extend_from_slice(b",\"token\":");
            token(out, self.token);
            field(out, "user", self.user);
            out.extend_from_slice(b",\"ask\":");
            asked_by(out, self.ask());
            out.extend_from_slice(b",\"waf\":");
            inspected_by(out, self.waf());
            out.extend_from_slice(b",\"failed_hops\":[");
        }
        write_all(out, self.failed);
        out.extend_from_slice(b"],\"alarms\":[");
        self.write_alarms(out);
        out.extend_from_slice(b"]}");
    }
}
