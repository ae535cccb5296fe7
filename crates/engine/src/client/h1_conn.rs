//! A connection of HTTP/1.1 with a client: what is read and written of it, between requests and behind the last one.
//! Read next: `h1_side.rs`, its part in a request.

use crate::client::answer::Answer;
use crate::client::conn::Conn;
use crate::client::work::Work;
use crate::exchange::body::Body;
use crate::exchange::carry::Carrier;
use crate::exchange::limits::codec_limits;
use crate::exchange::sides::Client;
use crate::exchange::words::{Gone, Got};
use everyhop_http1::{Parsed, RequestHead};
use everyhop_record::refusal::Refusal;
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::Watched;
use everyhop_transport::side::Wire;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Response bytes above which they are handed on at once, and below which they are gathered into one record.
pub(super) const OUT_EAGER: usize = 16 * 1024;
/// An unread request body up to this long is read and thrown away, so that the connection can go on.
const DRAIN_BYTES: u64 = 64 * 1024;
/// Silence after which the network's window is narrow again (RFC 5681 §4.1; a retransmission timeout is less).
const NARROW_MS: u64 = 1000;
/// How long the rest of a short body is waited for, and a closing connection listens for what may still be under way.
const SILENT_S: u32 = 1;
/// The same where the client is known to have more to send: a slow network pauses.
pub(super) const SILENT_SENDING_S: u32 = 5;

/// How the response's body is framed.
#[derive(PartialEq)]
pub(super) enum Sending {
    Plain,
    Chunks,
}

/// A connection of HTTP/1.1 with a client.
pub(super) struct H1 {
    pub(super) conn: Rc<Conn>,
    pub(super) wire: Wire,
    pub(super) inb: Buf,
    pub(super) out: Buf,
    pub(super) body: Body,
    pub(super) sending: Sending,
    pub(super) version_10: bool,
    pub(super) keep: bool,
    /// The client waits for `100 Continue` and nobody but us will send it.
    pub(super) owes_continue: bool,
    /// It said that it waits for `100 Continue` before it sends its body.
    pub(super) expects: bool,
    /// The protocol that the request asks to switch to, if it is no WebSocket's.
    pub(super) switches: Option<Box<str>>,
    /// Its socket ended in its direction: until when it is waited for, and how much it had been sent by then.
    half_closed: Option<Box<(Watched, u64)>>,
}

/// What waiting for a request came to.
pub(super) enum Next {
    Head(usize),
    Refused(Refusal),
    /// Nothing more will come, or is wanted.
    Over,
    /// What came is no TLS.
    Broken,
}

impl H1 {
    pub(super) fn new(conn: Rc<Conn>, wire: Wire, first: Buf) -> H1 {
        H1 {
            conn,
            wire,
            inb: first,
            out: Buf::default(),
            body: Body::default(),
            sending: Sending::Plain,
            version_10: false,
            keep: true,
            owes_continue: false,
            expects: false,
            switches: None,
            half_closed: None,
        }
    }

    /// `work` is taken once there is something to read. Not an `async fn`: an idle connection would hold each of its arguments twice.
    pub(super) fn next_head<'a>(
        &'a mut self,
        conn: &'a Conn,
        work: &'a mut Option<Box<Work>>,
    ) -> impl Future<Output = Next> + use<'a> {
        let core = &conn.opened.arrived.core;
        let mut begun = !self.inb.is_empty();
        let since_ms = core.clock().now_ms.get();
        // Whoever waits here keeps no plan.
        let limits = core.running().map(|r| r.limits.clone());
        if let Some(it) = &limits {
            conn.opened.arrived.watch.within_s(if begun { it.head_s } else { it.idle_s });
        }
        poll_fn(move |cx| {
            let (watch, core) = (&conn.opened.arrived.watch, &conn.opened.arrived.core);
            let Some(limits) = &limits else { return Poll::Ready(Next::Over) };
            loop {
                if !self.inb.is_empty() {
                    match work.get_or_insert_with(Work::take).head.parse(self.inb.bytes(), &codec_limits(limits)) {
                        Parsed::Head { len } => return Poll::Ready(Next::Head(len)),
                        Parsed::Refused(why) => return Poll::Ready(Next::Refused(Refusal::Http1(why))),
                        Parsed::NeedMore => {}
                    }
                    if !begun {
                        begun = true;
                        if core.clock().now_ms.get() - since_ms >= NARROW_MS {
                            self.wire.small_first();
                        }
                        watch.within_s(limits.head_s);
                    }
                }
                match self.wire.poll_read(cx, &mut self.inb) {
                    Poll::Ready(Ok(n)) if n > 0 => continue,
                    Poll::Ready(_) if begun => return Poll::Ready(Next::Refused(Refusal::BodyTruncated)),
                    Poll::Ready(Err(e)) if e.kind() == ErrorKind::InvalidData => return Poll::Ready(Next::Broken),
                    Poll::Ready(_) => return Poll::Ready(Next::Over),
                    Poll::Pending => {}
                }
                // Between requests is the moment to go: for a drain in a hurry, or where the site is another one now.
                let gone = core.running().is_none_or(|r| !conn.stands_in(&r));
                if !begun && (core.hurries() || gone) {
                    return Poll::Ready(Next::Over);
                }
                return watch
                    .poll_late(cx)
                    .map(|_| if begun { Next::Refused(Refusal::RequestTooSlow) } else { Next::Over });
            }
        })
    }

    pub(super) fn take_head(&mut self, head: &RequestHead, len: usize, switches: Option<&str>) {
        self.inb.consume_keep(len);
        self.version_10 = head.version_10;
        self.keep = head.keeps_alive() && !self.conn.opened.arrived.core.is_draining() && !self.conn.is_old();
        self.body.begin(head.framing, &codec_limits(self.conn.opened.arrived.running.limits()));
        self.expects = head.expects_continue;
        if let Some(to) = switches {
            // Who sends bytes of the new protocol before it is agreed to may send what somebody else made: if it is not
            // agreed to, none of them begins a request.
            (self.keep, self.switches) = (false, Some(to.into()));
        }
    }

    /// The request's end will not be waited for: too much of it is left, or it comes only if it is asked for.
    pub(super) fn is_far(&self) -> bool {
        !self.body.is_over() && (self.expects || self.body.exceeds(DRAIN_BYTES))
    }

    /// The client's socket ended in its direction; whether it still listens nobody knows. Ready once it is waited for no
    /// longer, and it took nothing meanwhile.
    #[cold]
    pub(super) fn poll_half_closed(&mut self, cx: &Context<'_>) -> Poll<()> {
        let arrived = &self.conn.opened.arrived;
        let (watch, sent) = &mut **self.half_closed.get_or_insert_with(|| Box::new((arrived.core.watch(), u64::MAX)));
        if *sent != self.wire.bytes_out {
            *sent = self.wire.bytes_out;
            watch.within_s(arrived.running.limits().half_closed_s);
        }
        watch.poll_late(cx).map(drop)
    }

    /// Reads an unread body to its end, if that is near; false if the connection cannot go on.
    pub(super) async fn drain(&mut self) -> bool {
        if self.body.is_over() {
            return true;
        }
        if self.is_far() {
            return false;
        }
        let conn = self.conn.clone();
        let watch = &conn.opened.arrived.watch;
        watch.within_s(SILENT_S);
        let (mut waste, mut left) = (Buf::default(), DRAIN_BYTES);
        poll_fn(|cx| {
            loop {
                match self.poll_body(cx, &mut waste) {
                    Poll::Ready(Ok(Got::End)) => return Poll::Ready(true),
                    Poll::Ready(Ok(Got::Some)) if (waste.len() as u64) < left => {
                        left -= waste.len() as u64;
                        waste.consume_keep(waste.len());
                    }
                    Poll::Ready(_) => return Poll::Ready(false),
                    Poll::Pending => return watch.poll_late(cx).map(|_| false),
                }
            }
        })
        .await
    }

    /// Queues an answer that was decided. What is still to come of the request is read behind it, if its end is near.
    pub(super) fn give(&mut self, it: Option<Answer>) {
        self.keep &= !self.is_far();
        if let Some(it) = it {
            self.queue(&it);
        }
    }

    pub(super) fn queue(&mut self, it: &Answer) {
        self.head(&it.meta, it);
        self.out.push(&it.body);
    }

    pub(super) async fn flush(&mut self) -> Result<(), Gone> {
        let conn = self.conn.clone();
        let watch = &conn.opened.arrived.watch;
        watch.within_s(conn.opened.arrived.running.limits().body_progress_s);
        poll_fn(|cx| match self.poll_flush(cx) {
            Poll::Pending => watch.poll_late(cx).map(|_| Err(Gone)),
            ready => ready,
        })
        .await
    }

    /// Says goodbye and listens: closing over unread bytes would reset the last answer away (RFC 9112 §9.6). Who is known to
    /// have more to send is let first: some take a goodbye for the failure of what they send, and read no answer.
    pub(super) async fn close(&mut self) {
        if self.flush().await.is_err() {
            return;
        }
        let conn = self.conn.clone();
        let arrived = &conn.opened.arrived;
        let limits = arrived.running.limits();
        let until_ms = arrived.core.clock().now_ms.get() + u64::from(limits.linger_s) * 1000;
        let mut left = u64::from(limits.linger_bytes);
        let sends = !self.body.is_over();
        // Of an answer that only the connection's end ends the end cannot wait.
        if sends && !self.version_10 {
            self.waste(SILENT_SENDING_S, until_ms, &mut left).await;
        }
        let watch = &arrived.watch;
        watch.within_s(SILENT_S);
        let said = poll_fn(|cx| match self.wire.poll_close(cx) {
            Poll::Pending => watch.poll_late(cx).map(|_| false),
            Poll::Ready(said) => Poll::Ready(said.is_ok()),
        });
        if said.await {
            let silent_s = if sends && self.version_10 { SILENT_SENDING_S } else { SILENT_S };
            self.waste(silent_s, until_ms, &mut left).await;
        }
    }

    /// Reads and throws away what the client sends, until it ends, is silent, or has sent enough.
    async fn waste(&mut self, silent_s: u32, until_ms: u64, left: &mut u64) {
        let conn = self.conn.clone();
        let (watch, now_ms) = (&conn.opened.arrived.watch, &conn.opened.arrived.core.clock().now_ms);
        let wait = || watch.at_ms(until_ms.min(now_ms.get() + u64::from(silent_s) * 1000));
        wait();
        self.inb.consume_keep(self.inb.len());
        poll_fn(|cx| {
            loop {
                match self.wire.poll_waste(cx, &mut self.inb) {
                    Poll::Ready(Ok(n)) if n > 0 && n as u64 <= *left && !watch.is_late() => *left -= n as u64,
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending if conn.is_overdue() => return Poll::Ready(()),
                    Poll::Pending => return watch.poll_late(cx).map(drop),
                }
                wait();
            }
        })
        .await;
    }
}
