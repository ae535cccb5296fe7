//! One canonical request, whichever protocol it came by. Routing, authorising, logging and forwarding read this and
//! nothing else, so that no two of them see a different request. Read next: `../admit/mod.rs`, `../head/request.rs`.

use crate::exchange::coding::Codes;
use crate::exchange::cors::Granted;
use crate::exchange::inspection::Inspection;
use crate::exchange::limited::Limited;
use crate::exchange::told::{Id, Told};
use crate::exchange::trace::Trace;
use crate::exchange::verdict::{Others, Verdict};
use crate::exchange::websocket::{KEY, Key, PROTOCOL};
use crate::exchange::words::{BodyLen, Fields, Needs};
use everyhop_canon::host;
use everyhop_decide::Ask;
use everyhop_http1::{FieldId, Framing, RequestHead};
use everyhop_http2::Head;
use everyhop_password::User;
use everyhop_record::kept::Kept;
use everyhop_record::refusal::Refusal;
use everyhop_running::passwords::{Mark, Verdict as Proven};
use everyhop_running::token::{IssuerRun, Verified};
use std::cell::Cell;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::Arc;

mod named;
use named::set;

/// Kept per HTTP/1 connection and filled again for each request, so that nothing is allocated.
#[derive(Debug)]
pub struct Asked {
    pub(crate) id: u64,
    pub(crate) method: String,
    /// Canonical, without port.
    pub(crate) host: String,
    /// Canonical, with the port if one was named.
    pub(crate) authority: String,
    /// Path and query as the client is answered for them, and as they go to the backend unless it is told otherwise: byte for byte as they came, unless its route is strict about paths.
    pub(crate) target: String,
    path_len: usize,
    /// What goes to the backend instead, where its route moves paths; else empty.
    pub(crate) onward: String,
    /// What its route takes from the path's beginning, of which the backend is told; else empty.
    pub(crate) prefix: String,
    /// The canonical path, by which it is judged.
    path: String,
    pub(crate) body: BodyLen,
    /// It says of itself, or a trusted proxy does, that it is one by https; of TLS itself this says nothing.
    pub(crate) secure: bool,
    /// It asks to switch to another protocol, whichever; see `upgrade`.
    pub(crate) opens: bool,
    /// A WebSocket handshake.
    pub(crate) websocket: bool,
    /// The other protocol that it asks to switch to, as the client names it.
    pub(crate) switches: Option<Box<str>>,
    /// The key of the handshake in HTTP/1.1: the client's, if it is one; ours, where the client speaks HTTP/2 and has none.
    pub(crate) key: Option<Key>,
    /// It announces trailers behind a body of a declared length, which HTTP/2 has and HTTP/1.1 has not (RFC 9112 §7.1.2).
    pub(crate) announces: bool,
    /// The client takes trailers (`TE: trailers`), which gRPC insists on.
    pub(crate) te_trailers: bool,
    pub(crate) protocol: &'static str,
    /// It is a call of gRPC, whose clients read a status in fields of their own.
    pub(crate) grpc: bool,
    /// From the client to the peer, as trusted proxies vouch for it; the peer is not in it.
    pub(crate) chain: Vec<IpAddr>,
    /// What one of them told of the request; nothing where none is believed in more than addresses.
    pub(crate) told: Option<Box<Told>>,
    /// The trace that it is part of; nothing where its route is not traced.
    pub(crate) trace: Option<Box<Trace>>,
    /// What it comes to by the route's CORS; nothing where the route says none.
    pub(crate) cors: Option<Box<Granted>>,
    /// By what its route finds the same backend for it again.
    pub(crate) returns_by: Option<NonZeroU64>,
    /// What it comes to by the route's limits; nothing where they have nothing to tell.
    pub(crate) limited: Option<Box<Limited>>,
    /// In which coding it would have its answer; nothing where the route compresses none.
    pub(crate) codes: Option<Codes>,
    /// Fields that its line names; nothing where it names none.
    pub(crate) kept: Option<Box<Kept>>,
    /// The token that its route asked for; nothing where it asks for none.
    pub(crate) token: Option<Arc<Verified>>,
    /// Who signed in by a password, where its route asked for that.
    pub(crate) user: Option<Arc<User>>,
    /// What came of verifying the password that it shows, where that was not known.
    pub(crate) tried: Option<Box<(Mark, Proven)>>,
    /// What its client is told that a password is for, where the route has a word for it.
    pub(crate) realm: Option<Arc<str>>,
    /// Whose key is not there by which its token says to be signed; taken by whoever asks for it.
    pub(crate) lacks: Option<Arc<IssuerRun>>,
    /// It was judged before: what is counted of it was counted then.
    pub(crate) again: bool,
    /// What others said of it; nothing where its route asks nobody, or before that.
    pub(crate) others: Option<Box<Others>>,
    /// Its Authorization proves who the connection to the backend is, not the request.
    pub(crate) binds: Cell<bool>,
}

impl Default for Asked {
    fn default() -> Self {
        Asked {
            id: 0,
            method: String::new(),
            host: String::new(),
            authority: String::new(),
            target: String::new(),
            path_len: 0,
            onward: String::new(),
            prefix: String::new(),
            path: String::new(),
            body: BodyLen::None,
            secure: false,
            opens: false,
            websocket: false,
            switches: None,
            key: None,
            announces: false,
            te_trailers: false,
            protocol: "http/1.1",
            grpc: false,
            chain: Vec::new(),
            told: None,
            trace: None,
            cors: None,
            returns_by: None,
            limited: None,
            codes: None,
            kept: None,
            token: None,
            user: None,
            tried: None,
            realm: None,
            lacks: None,
            again: false,
            others: None,
            binds: Cell::new(false),
        }
    }
}

impl Asked {
    /// A request of which no more is known than what a route is found by.
    pub fn of(ask: &Ask<'_>) -> Asked {
        let mut it = Asked { method: ask.method.to_owned(), host: ask.host.to_owned(), ..Asked::default() };
        it.authority.push_str(ask.host);
        it.target.push_str(ask.sent);
        it.path_len = ask.sent.len();
        it.path.push_str(ask.path);
        it
    }

    /// What came of asking somebody else about it.
    pub(crate) fn verdict(&self) -> Option<&Verdict> {
        self.others.as_ref()?.verdict.as_ref()
    }

    /// What came of inspecting it.
    pub(crate) fn inspected(&self) -> Option<&Inspection> {
        self.others.as_ref()?.inspected.as_ref()
    }

    /// What is told of a copy of it to whoever sends that on: it opens nothing, and nobody waits for it.
    #[cold]
    pub(crate) fn to_copy(&self) -> Asked {
        let (method, host) = (self.method.clone(), self.host.clone());
        // As of a client of HTTP/2: nothing is read ahead for it.
        Asked {
            id: self.id,
            method,
            host,
            body: self.body,
            announces: self.announces,
            protocol: "h2",
            ..Asked::default()
        }
    }

    /// Forgets the request before, so that nothing of it can be told of the next; keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.forget_kept();
        // Each by its name: whoever adds one is asked here what becomes of it.
        let Asked {
            id,
            method,
            host,
            authority,
            target,
            path_len,
            onward,
            prefix,
            path,
            body,
            secure,
            opens,
            websocket,
            switches,
            key,
            announces,
            te_trailers,
            protocol,
            grpc,
            chain,
            told,
            trace,
            cors,
            returns_by,
            limited,
            codes,
            kept: _,
            token,
            user,
            tried,
            realm,
            lacks,
            again,
            others,
            binds,
        } = self;
        for text in [method, host, authority, target, onward, prefix, path] {
            text.clear();
        }
        chain.clear();
        (*id, *path_len, *body, *protocol) = (0, 0, BodyLen::None, "http/1.1");
        (*secure, *opens, *websocket, *announces) = (false, false, false, false);
        (*te_trailers, *grpc, *again) = (false, false, false);
        (*told, *trace, *switches, *key) = (None, None, None, None);
        (*cors, *returns_by, *limited, *codes) = (None, None, None, None);
        (*token, *lacks, *others) = (None, None, None);
        (*user, *tried, *realm) = (None, None, None);
        binds.set(false);
    }

    /// What was kept of the request before; its memory stays.
    #[inline]
    pub(crate) fn forget_kept(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.clear();
        }
    }

    /// Keeps the fields that its line names. Of a Referer it is what stands before the query: no query gets into a line.
    #[cold]
    pub(crate) fn keep(&mut self, headers: &[Box<str>], view: &impl Fields) {
        let kept = self.kept.get_or_insert_default();
        kept.clear();
        for wanted in headers {
            kept.next();
            let is_referer = &**wanted == "referer";
            view.each(|_, name, value| {
                if name.eq_ignore_ascii_case(wanted.as_bytes()) {
                    let until = value.iter().position(|b| is_referer && matches!(b, b'?' | b'#'));
                    kept.add(until.and_then(|at| value.get(..at)).unwrap_or(value));
                }
            });
        }
    }

    /// Canonical; `/` for the asterisk of OPTIONS.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The path as it came.
    pub(crate) fn sent(&self) -> &str {
        self.target.get(..self.path_len).unwrap_or_default()
    }

    /// With its question mark, as it came; empty where there is none.
    pub(crate) fn query(&self) -> &str {
        self.target.get(self.path_len..).unwrap_or_default()
    }

    /// What goes to the backend.
    pub(crate) fn onward(&self) -> &str {
        if self.onward.is_empty() { &self.target } else { &self.onward }
    }

    /// Lets the canonical path go on to the backend.
    pub(crate) fn send_canonical(&mut self) {
        if self.path_len <= self.target.len() && self.sent() != "*" {
            self.target.replace_range(..self.path_len, &self.path);
            self.path_len = self.path.len();
        }
    }

    /// Whose it is: the first of those that trusted proxies vouch for, else the peer.
    pub(crate) fn client(&self, peer: IpAddr) -> IpAddr {
        self.chain.first().copied().unwrap_or(peer)
    }

    /// By which client and backend know it.
    pub(crate) fn shown_id(&self) -> Id<'_> {
        self.told_id().map_or(Id::Own(self.id), Id::Told)
    }

    pub(crate) fn told_id(&self) -> Option<&str> {
        self.told.as_ref().and_then(|it| it.id.as_deref())
    }

    /// The protocol that it asks to switch to: what follows its answer is a tunnel's, if the backend agrees.
    pub(crate) fn upgrade(&self) -> Option<&str> {
        match (self.opens, self.websocket) {
            (false, _) => None,
            (true, true) => Some(PROTOCOL),
            (true, false) => self.switches.as_deref(),
        }
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// A call of gRPC needs trailers and streams both ways.
    pub(crate) fn needs(&self) -> Needs {
        match (self.opens, self.grpc) {
            (true, _) => Needs::Tunnel,
            (false, true) => Needs::Http2,
            (false, false) => Needs::Either,
        }
    }

    /// Fills in from an HTTP/1 head.
    /// `unnamed` is the host of a request that need not name one (HTTP/1.0).
    pub(crate) fn of_h1(&mut self, head: &RequestHead, buf: &[u8], unnamed: Option<&str>) -> Result<(), Refusal> {
        set(&mut self.method, head.method.of(buf));
        let host = head.value(FieldId::Host, buf).or(unnamed.map(str::as_bytes).filter(|_| head.version_10));
        self.names(head.target.of(buf), host)?;
        self.protocol = "http/1.1";
        self.body = match head.framing {
            Framing::None | Framing::UntilClose => BodyLen::None,
            Framing::Length(n) => BodyLen::Known(n),
            Framing::Chunked => BodyLen::Unknown,
        };
        (self.opens, self.websocket) = (false, false);
        if head.connection.upgrade && !head.version_10 {
            self.asks_to_switch(head, buf)?;
        }
        self.te_trailers = head.value(FieldId::Te, buf).is_some_and(|v| v.eq_ignore_ascii_case(b"trailers"));
        Ok(())
    }

    /// A WebSocket handshake has no body, which some say by a length of 0. Another protocol is asked for by its name alone,
    /// with whatever method and body, and its route says whether it passes. What asks for several is refused: passed on without
    /// them it would be another request, and one of them would be the backend's choice and nobody's rule.
    #[cold]
    fn asks_to_switch(&mut self, head: &RequestHead, buf: &[u8]) -> Result<(), Refusal> {
        let mut said = head.fields.iter().filter(|f| f.id == FieldId::Upgrade).map(|f| f.value.of(buf));
        let Some(to) = said.next() else { return Ok(()) };
        let bodiless = matches!(head.framing, Framing::None | Framing::Length(0));
        if to.eq_ignore_ascii_case(b"websocket") && bodiless && self.method == "GET" {
            (self.opens, self.websocket) = (true, true);
            self.body = BodyLen::None;
            let mut keys = head.fields.iter().filter(|f| f.name.of(buf).eq_ignore_ascii_case(KEY));
            self.key = keys.next().and_then(|f| Key::read(f.value.of(buf))).filter(|_| keys.next().is_none());
            return Ok(());
        }
        // Versions of HTTP and TLS itself are offers, which a server may leave (RFC 9110 §7.8). They never pass: what came
        // behind them would be requests that nobody judged.
        let name = |p: &[u8]| p.split(|b| *b == b'/').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        let is_offer = |p: &[u8]| matches!(name(p).as_slice(), b"h2c" | b"h2" | b"http" | b"tls" | b"websocket" | b"");
        let are_offers = |it: &[u8]| it.split(|b| *b == b',').all(is_offer);
        if are_offers(to) && said.clone().all(are_offers) {
            return Ok(());
        }
        let mut parts = to.splitn(2, |b| *b == b'/');
        if said.next().is_some() || are_offers(to) || !parts.all(everyhop_http1::is_token) {
            return Err(Refusal::UpgradeRefused);
        }
        // Tokens are ASCII.
        self.switches = Some(to.iter().map(|b| char::from(*b)).collect::<String>().into());
        self.opens = true;
        Ok(())
    }

    /// Fills in from an HTTP/2 head, whose pseudo-fields the codec has checked for presence and syntax (RFC 9113 §8.3.1).
    pub(crate) fn of_h2(&mut self, head: &Head, body: BodyLen) -> Result<(), Refusal> {
        set(&mut self.method, head.method());
        let opens = if self.method == "CONNECT" { head.protocol() } else { b"" };
        if !opens.is_empty() {
            // It is judged, logged and forwarded as what it stands for, whichever protocol it came by.
            set(&mut self.method, b"GET");
        }
        let (mut host, mut hosts, mut announces, mut te_trailers) = (None, 0, false, false);
        for it in head.fields() {
            match it.name {
                b"host" => {
                    host = host.or(Some(it.value));
                    hosts += 1;
                }
                b"trailer" => announces = true,
                b"te" => te_trailers |= it.value == b"trailers",
                _ => {}
            }
        }
        // One name, whether it is said by a field or by `:authority`, and one of the two schemes there are.
        if hosts > 1 {
            return Err(Refusal::BadHost);
        }
        let scheme = head.scheme();
        let secure = scheme.eq_ignore_ascii_case(b"https");
        if !secure && !scheme.is_empty() && !scheme.eq_ignore_ascii_case(b"http") {
            return Err(Refusal::BadTarget);
        }
        let authority = Some(head.authority()).filter(|it| !it.is_empty());
        let target = if head.path().is_empty() { b"/" } else { head.path() };
        // What would be an absolute target of HTTP/1 names another host than `:authority` (RFC 9113 §8.3.1).
        if self.method != "CONNECT" && !target.starts_with(b"/") && target != b"*" {
            self.tells(target);
            return Err(Refusal::BadTarget);
        }
        self.names(target, authority.or(host))?;
        self.secure = secure;
        // Host beside :authority must say the same (RFC 9113 §8.3.1).
        if let (Some(host), Some(_)) = (host, authority) {
            let mut other = String::new();
            let port = host::host_into(host, &mut other).map_err(|_| Refusal::BadHost)?;
            let _ = port;
            if other != self.host {
                return Err(Refusal::BadHost);
            }
        }
        self.protocol = "h2";
        self.body = body;
        self.announces = matches!(body, BodyLen::Known(_)) && announces;
        (self.opens, self.websocket) = (false, false);
        if !opens.is_empty() {
            self.connects(opens)?;
        }
        self.te_trailers = te_trailers;
        Ok(())
    }
}

impl Asked {
    /// An extended CONNECT (RFC 8441). What follows its head is the tunnel's, once there is one.
    #[cold]
    fn connects(&mut self, protocol: &[u8]) -> Result<(), Refusal> {
        if !protocol.eq_ignore_ascii_case(PROTOCOL.as_bytes()) {
            return Err(Refusal::UpgradeRefused);
        }
        (self.opens, self.websocket) = (true, true);
        (self.body, self.key) = (BodyLen::None, Key::new());
        Ok(())
    }
}
