//! HTTP/1.1 to a backend: one request at a time on one connection. The answer is judged as strictly as a request is: a
//! backend that frames badly is not believed (threat U02), and a short body never becomes a complete one (threat U01).
//! A route with `answers = "lenient"` takes what can be read in one way all the same.

use crate::backend::connect::Opened;
use crate::backend::link::Link;
use crate::exchange::asked::Asked;
use crate::exchange::body::{Body, Taken};
use crate::exchange::edits::Shaping;
use crate::exchange::limits::codec_limits;
use crate::exchange::shape::give;
use crate::exchange::sides::Client;
use crate::exchange::trailers::{last_chunk, of_answer};
use crate::exchange::websocket::{Accept, Key, Opening, accepts};
use crate::exchange::words::{Behind, BodyLen, Fields, Got, Meta};
use everyhop_http1::{self as http1, FieldId, Framing, Parsed, ResponseHead, write};
use everyhop_plan::{Coding, Limits};
use everyhop_record::line::HopFragment;
use everyhop_record::refusal::Refusal;
use everyhop_transport::buf::Buf;
use everyhop_transport::side::Wire;
use http::HeaderMap;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// What is queued to go out above which it goes before the body is looked at, and below which it is gathered.
const OUT_EAGER: usize = 16 * 1024;

pub(crate) struct H1Up {
    pub(crate) wire: Wire,
    pub(crate) inb: Buf,
    pub(crate) link: Rc<Link>,
    pub(crate) generation: u64,
    limits: http1::Limits,
    out: Buf,
    head: ResponseHead,
    head_len: usize,
    to_head: bool,
    chunks: bool,
    body: Body,
    answered: bool,
    keep: bool,
    /// How long the backend keeps it when it is idle, where it says so.
    kept_s: Option<u32>,
    /// Somebody proved here who they are, or was asked to, in a way that holds for the connection: it is nobody else's (threat T07).
    bound: bool,
    rule: Option<&'static str>,
    /// What was asked to switch to.
    upgrade: Option<Box<str>>,
    /// What a handshake with a key of ours is to be answered with.
    wants: Option<Accept>,
}

impl H1Up {
    pub(crate) fn new(opened: Opened, limits: &Limits) -> H1Up {
        let lenient = opened.link.backend.lenient_answers;
        H1Up {
            wire: opened.wire,
            inb: Buf::default(),
            link: opened.link,
            generation: opened.generation,
            limits: codec_limits(limits),
            out: Buf::default(),
            head: ResponseHead::lenient(lenient),
            head_len: 0,
            to_head: false,
            chunks: false,
            body: Body::lenient(lenient, &codec_limits(limits)),
            answered: false,
            // Nothing was asked yet.
            keep: true,
            kept_s: None,
            bound: false,
            rule: None,
            upgrade: None,
            wants: None,
        }
    }

    pub(crate) fn start(&mut self, head: &[u8], asked: &Asked) {
        self.out.push(head);
        self.head.reset();
        self.to_head = asked.is_head();
        // Each stream of a client's HTTP/2 connection would hold what was read ahead for it.
        self.wire.greedy = asked.protocol != "h2";
        self.chunks = asked.body == BodyLen::Unknown || asked.announces;
        (self.answered, self.keep) = (false, false);
        self.bound |= asked.binds.get();
        if asked.opens || self.upgrade.is_some() {
            self.upgrade = asked.upgrade().map(Into::into);
        }
        let ours = asked.key.as_ref().filter(|_| asked.websocket && asked.protocol == "h2");
        self.wants = ours.map(Key::accept);
    }

    /// As [`H1Up::start`], of a question of the edge's own, which has no body.
    pub(crate) fn ask(&mut self, head: &[u8]) {
        self.out.push(head);
        self.head.reset();
        (self.answered, self.keep) = (false, false);
    }

    /// How long the answer whose head was read asks to be left alone (RFC 9110 §10.2.3), where it says that in seconds.
    #[cold]
    pub(crate) fn retry_after_s(&self) -> Option<u64> {
        std::str::from_utf8(self.says(b"retry-after").last()?).ok()?.parse().ok()
    }

    /// What the answer whose head was read says in the fields of a name.
    #[cold]
    pub(crate) fn says(&self, field: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        ResponseView { head: &self.head, buf: self.inb.bytes() }.each(|_, name, value| {
            if name.eq_ignore_ascii_case(field) {
                found.push(value.to_vec());
            }
        });
        found
    }

    /// The fields of the answer whose head was read.
    #[cold]
    pub(crate) fn each_field(&self, mut f: impl FnMut(&[u8], &[u8])) {
        ResponseView { head: &self.head, buf: self.inb.bytes() }.each(|_, name, value| f(name, value));
    }

    /// An interim head is read, and the next may come.
    pub(crate) fn pass_over(&mut self) {
        self.done_with_head();
    }

    pub(crate) fn facts(&self) -> Rc<HopFragment> {
        self.link.facts.clone()
    }

    /// The rule or limit that the answer broke.
    pub(crate) fn rule(&self) -> Option<&'static str> {
        self.rule
    }

    pub(crate) fn answered(&self) -> bool {
        self.answered
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.wire.is_quiet()
    }

    pub(crate) fn is_reusable(&self) -> bool {
        // Surplus bytes after a response belong to nobody: such a connection is not used again (threat H08).
        self.keep && !self.bound && self.inb.is_empty() && self.out.is_empty() && !self.wire.is_eof()
    }

    /// It waits: what it read goes on to others, who write into memory that is near instead of each into its own.
    pub(crate) fn rest(&mut self) {
        self.inb.release();
    }

    /// How long it may wait for its next request: never until the backend ends it, which no request must meet.
    pub(crate) fn idle_ms(&self, limit_s: u32) -> u64 {
        let ours = u64::from(limit_s) * 1000;
        self.kept_s.map_or(ours, |s| ours.min(u64::from(s) * 1000 - 1000.min(u64::from(s) * 500)))
    }

    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, from: &mut Buf) -> Poll<Result<(), Refusal>> {
        let n = from.len();
        while !self.out.is_empty() && self.out.len() + n > OUT_EAGER {
            ready!(self.wire.poll_write(cx, &mut self.out)).map_err(|e| self.broken(&e))?;
        }
        if self.chunks {
            write::chunk_size(self.out.tail(), n);
            self.out.take_from(from, n);
            self.out.push(b"\r\n");
        } else {
            self.out.take_from(from, n);
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn finish(&mut self, trailers: Option<HeaderMap>) {
        if self.chunks {
            last_chunk(self.out.tail(), trailers.as_ref());
        }
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.wire.poll_write_all(cx, &mut self.out).map_err(|e| self.broken(&e))
    }

    pub(crate) fn pushes(&mut self) -> bool {
        self.wire.pushes(&mut self.out)
    }

    /// Why it failed: a backend that wanted another handshake, and was told no, ends in its own way.
    fn broken(&self, e: &io::Error) -> Refusal {
        match self.link.broken(e) {
            Refusal::BackendClosed | Refusal::BackendTls if !self.answered && self.wire.was_asked_to_renegotiate() => {
                Refusal::HopRenegotiation
            }
            why => why,
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Refusal>> {
        let n = match ready!(self.wire.poll_read(cx, &mut self.inb)) {
            Ok(n) => n,
            Err(e) if !self.answered => return Poll::Ready(Err(self.broken(&e))),
            Err(e) if e.kind() == ErrorKind::InvalidData => return Poll::Ready(Err(self.broken(&e))),
            Err(_) => return Poll::Ready(Err(Refusal::BackendTruncated)),
        };
        if n > 0 {
            self.answered = true;
            self.link.answer_came();
        }
        Poll::Ready(Ok(n))
    }

    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>, _: &Limits) -> Poll<Result<Meta, Refusal>> {
        loop {
            if !self.inb.is_empty() {
                match self.head.parse(self.inb.bytes(), &self.limits, self.to_head) {
                    Parsed::Head { len } => {
                        self.head_len = len;
                        if self.head.status == 101 && !self.switches_as_asked() {
                            self.rule = Some("a switch to a protocol that was not asked for");
                            return Poll::Ready(Err(Refusal::BackendMalformed));
                        }
                        if self.head.status == 101 && !self.answers_our_key() {
                            self.rule = Some("its Sec-WebSocket-Accept does not answer our key");
                            return Poll::Ready(Err(Refusal::BackendMalformed));
                        }
                        // A success of any other kind would tell a client of HTTP/2 that its tunnel is open (RFC 8441 §5).
                        if self.wants.is_some() && (200..300).contains(&self.head.status) {
                            self.rule = Some("a success that opens no WebSocket");
                            return Poll::Ready(Err(Refusal::BackendMalformed));
                        }
                        self.bound |= self.head.status == 401 && self.asks_the_connection();
                        return Poll::Ready(Ok(self.meta()));
                    }
                    Parsed::Refused(why) => {
                        self.rule = Some(why.sentence());
                        return Poll::Ready(Err(Refusal::BackendMalformed));
                    }
                    Parsed::NeedMore => {}
                }
            }
            if ready!(self.poll_fill(cx))? == 0 {
                let why = match (self.answered, self.wire.was_asked_to_renegotiate()) {
                    (true, _) => Refusal::BackendTruncated,
                    (false, true) => Refusal::HopRenegotiation,
                    (false, false) => Refusal::BackendClosed,
                };
                return Poll::Ready(Err(why));
            }
        }
    }

    /// It names the one protocol that was asked for, and no other.
    #[cold]
    fn switches_as_asked(&self) -> bool {
        let (Some(asked), buf) = (&self.upgrade, self.inb.bytes()) else { return false };
        let mut upgrades = self.head.fields.iter().filter(|f| f.id == FieldId::Upgrade);
        upgrades.next().is_some_and(|f| f.value.of(buf).eq_ignore_ascii_case(asked.as_bytes()))
            && upgrades.next().is_none()
    }

    /// A client's own key is for the client to look at.
    fn answers_our_key(&self) -> bool {
        let view = ResponseView { head: &self.head, buf: self.inb.bytes() };
        self.wants.as_ref().is_none_or(|wanted| accepts(&view, wanted))
    }

    fn asks_the_connection(&self) -> bool {
        let mut asked = self.head.fields.iter().filter(|f| f.id == FieldId::WwwAuthenticate);
        asked.any(|f| http1::binds_the_connection(f.value.of(self.inb.bytes())))
    }

    fn meta(&mut self) -> Meta {
        self.keep = self.head.keeps_alive();
        self.kept_s = self.head.keep_alive_s;
        self.body.begin(self.head.framing, &self.limits);
        let (body, behind) = match self.head.framing {
            Framing::None => (BodyLen::None, Behind::Nothing),
            Framing::Length(n) => (BodyLen::Known(n), Behind::Nothing),
            Framing::Chunked => (BodyLen::Unknown, Behind::PerhapsTrailers),
            Framing::UntilClose => (BodyLen::Unknown, Behind::Nothing),
        };
        Meta { status: self.head.status, body, behind }
    }

    pub(crate) fn give_head(
        &mut self,
        meta: &Meta,
        client: &mut impl Client,
        by: Option<Shaping<'_>>,
    ) -> Option<Coding> {
        let view = ResponseView { head: &self.head, buf: self.inb.bytes() };
        let coding = if self.wants.is_some() && meta.status == 101 {
            give(client, meta, &Opening { fields: &view, accept: None }, by)
        } else {
            give(client, meta, &view, by)
        };
        self.done_with_head();
        coding
    }

    pub(crate) fn give_informational(&mut self, status: u16, client: &mut impl Client) {
        client.informational(status, &ResponseView { head: &self.head, buf: self.inb.bytes() });
        self.done_with_head();
    }

    fn done_with_head(&mut self) {
        self.inb.consume_keep(self.head_len);
        self.head.reset();
    }

    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>, into: &mut Buf) -> Poll<Result<Got, Refusal>> {
        loop {
            match self.body.take(&mut self.inb, into) {
                Taken::Some => return Poll::Ready(Ok(Got::Some)),
                Taken::End => return Poll::Ready(Ok(Got::End)),
                Taken::Malformed(why) => {
                    self.rule = Some(why.sentence());
                    return Poll::Ready(Err(Refusal::BackendMalformed));
                }
                Taken::NeedMore => {}
            }
            if ready!(self.poll_fill(cx))? == 0 {
                let fine = self.body.ends_with_the_connection();
                return Poll::Ready(if fine { Ok(Got::End) } else { Err(Refusal::BackendTruncated) });
            }
        }
    }

    pub(crate) fn trailers(&mut self) -> Option<HeaderMap> {
        self.body.trailers.take().map(|it| of_answer(*it))
    }
}

struct ResponseView<'a> {
    head: &'a ResponseHead,
    buf: &'a [u8],
}

impl Fields for ResponseView<'_> {
    fn has_secrets(&self) -> bool {
        false
    }

    fn reason(&self) -> &[u8] {
        self.head.reason.of(self.buf)
    }

    fn each(&self, mut f: impl FnMut(FieldId, &[u8], &[u8])) {
        for field in &self.head.fields {
            if !self.head.is_hop_by_hop(field, self.buf) {
                f(field.id, field.name.of(self.buf), field.value.of(self.buf));
            }
        }
    }
}
