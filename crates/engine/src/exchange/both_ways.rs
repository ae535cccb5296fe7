//! One request and its answer, both ways at once: what the client sends goes to the backend, what the backend answers
//! goes to the client, each as fast as the other side takes it. Whichever protocol either side speaks.
//!
//! It never interprets a body, holds a buffer each way and, for a backend that can say that it did not look, the first
//! [`KEPT_BYTES`] of the request's until the answer begins; and it never turns a broken end into a complete one. Read next: `both_ways/owed.rs`, whose turn
//! it is to take something, `sides.rs`, then `../client/h1.rs` and `../backend/h1.rs`, the sides.

use crate::exchange::again::Again;
use crate::exchange::compress::Coder;
use crate::exchange::copied::Copied;
use crate::exchange::edits::Shaping;
use crate::exchange::sides::{Backend, Client};
use crate::exchange::trailers::unsaid;
use crate::exchange::words::{Behind, BodyLen, Gone, Got, Meta};
use everyhop_plan::{Edits, Limits};
use everyhop_record::refusal::Refusal;
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::Watch;
use http::HeaderMap;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

mod owed;

/// What of a request's body is held after it was handed on, so that it can go again where the backend says that it did not
/// look at it: what most calls have. A longer one goes once.
const KEPT_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Body,
    Flush,
    Done,
    /// The backend takes no more; its answer may still come. Once that has begun, what the client still sends is thrown
    /// away: it may read nothing before it has sent everything.
    Broken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Response {
    Head,
    /// The backend agreed to a switch, and the request is not all sent: what follows it is the new protocol's, on either side.
    Agreed,
    Body,
    Flush,
    Done,
}

/// What holds for an exchange, whatever comes.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) limits: &'a Limits,
    /// A switch of protocols was asked for.
    pub(crate) upgrade: bool,
    /// What the route changes in the request's head, which no trailer may say again.
    pub(crate) request: Option<&'a Edits>,
    /// Another backend may be asked instead.
    pub(crate) again: Option<&'a Again<'a>>,
    /// What the route makes of the answer's head.
    pub(crate) shaping: Option<Shaping<'a>>,
}

/// How an exchange went so far.
pub(crate) struct Exchange {
    to_up: Buf,
    to_client: Buf,
    /// Where the body goes out in another coding than it came.
    coder: Option<Box<Coder>>,
    request: Request,
    response: Response,
    informational: u32,
    /// What was taken from the client so far, while it may have to go again.
    kept: Option<Buf>,
    /// What was taken from the client so far, while somebody else takes a copy.
    copied: Option<Box<Copied>>,
    bodiless: bool,
    body_ended: bool,
    /// Behind the request's body, once that has ended.
    trailers: Option<HeaderMap>,
    /// The client takes nothing more for now.
    blocked: bool,
    /// What the client was told; 0 before that.
    pub(crate) status: u16,
    /// When the answer's head was there; `None` while the turn in which it came goes on, whose end tells it as well.
    pub(crate) head_at: Option<Instant>,
    /// When the whole request was sent, and the answer's head came, is noted.
    times: bool,
    sent_at: Option<Instant>,
    /// The response is a switch of protocols: bytes follow, no body.
    pub(crate) switched: bool,
    /// What was thrown away of the request's body.
    wasted: u64,
    pub(crate) body_in: u64,
    pub(crate) body_out: u64,
}

impl Exchange {
    /// `body`: the request has one. Its head is queued at the upstream side already. `keeps`: the backend's protocol has a
    /// way to say that a request was not looked at.
    pub(crate) fn new(body: BodyLen, keeps: bool) -> Exchange {
        Exchange {
            to_up: Buf::default(),
            to_client: Buf::default(),
            coder: None,
            request: if body == BodyLen::None { Request::Flush } else { Request::Body },
            response: Response::Head,
            informational: 0,
            kept: (keeps && body != BodyLen::None).then(Buf::default),
            copied: None,
            bodiless: body == BodyLen::None,
            body_ended: body == BodyLen::None,
            trailers: None,
            blocked: false,
            status: 0,
            head_at: None,
            times: false,
            sent_at: None,
            switched: false,
            wasted: 0,
            body_in: 0,
            body_out: 0,
        }
    }

    /// Somebody else takes a copy of the request, once all of it is there.
    #[cold]
    pub(crate) fn copies(&mut self, it: Box<Copied>) {
        if self.bodiless {
            it.goes(None);
        } else {
            self.copied = Some(it);
        }
    }

    /// How long an answer is waited for is looked at.
    #[cold]
    pub(crate) fn times(&mut self) {
        self.times = true;
    }

    /// How long the backend took, or has taken by now, to begin its answer after it had the whole request; nothing where it
    /// began before, or nobody looks.
    #[cold]
    pub(crate) fn waited(&self) -> Option<Duration> {
        Some(self.head_at.unwrap_or_else(Instant::now).saturating_duration_since(self.sent_at?))
    }

    /// The whole request reached the backend's side.
    pub(crate) fn sent_all(&self) -> bool {
        self.request == Request::Done
    }

    /// No byte of the request's body was taken from the client.
    pub(crate) fn untouched(&self) -> bool {
        self.body_in == 0
    }

    /// All that was taken from the client is still there, and the client was told nothing.
    pub(crate) fn may_go_again(&self) -> bool {
        self.status == 0 && (self.untouched() || self.kept.is_some())
    }

    /// The same request from its beginning, to another connection.
    pub(crate) fn again(&mut self) {
        self.to_up = Buf::default();
        if let Some(kept) = &self.kept {
            self.to_up.push(kept.bytes());
        }
        self.request = if self.bodiless { Request::Flush } else { Request::Body };
        self.response = Response::Head;
        self.informational = 0;
        self.sent_at = None;
    }

    /// The request's body is all read, so the client's connection stands at the next request.
    pub(crate) fn read_all(&self) -> bool {
        self.body_ended
    }

    /// Moves what can be moved; Ready when the response is complete and flushed, or something is wrong.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl Client,
        up: &mut impl Backend,
        watch: &Watch,
        terms: &Terms<'_>,
    ) -> Poll<Result<(), Refusal>> {
        let limits = terms.limits;
        let before = (client.sent(), up.sent());
        let mut moved = self.poll_request(cx, client, up, terms)?;
        moved |= self.poll_response(cx, client, up, terms)?;
        if self.response == Response::Done {
            return Poll::Ready(Ok(()));
        }
        if self.is_stuck() {
            self.unstick(cx, client, up, terms)?;
        }
        if self.request != Request::Body && !self.wastes(limits) && client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Refusal::ClientGone));
        }
        if moved || self.owed_goes_on(before, client, up) {
            watch.within_s(match (self.request, self.response) {
                (Request::Done | Request::Broken, Response::Head) => limits.first_byte_s,
                (_, Response::Body) if !self.client_owes() => limits.answer_silence_s,
                _ => limits.body_progress_s,
            });
        }
        ready!(watch.poll_late(cx));
        self.poll_over(cx, client, up, watch, limits)
    }

    /// What the client still sends is thrown away: nothing will be sent again that it was part of.
    fn wastes(&self, limits: &Limits) -> bool {
        self.request == Request::Broken
            && self.response != Response::Head
            && !self.body_ended
            && self.wasted < u64::from(limits.linger_bytes)
    }

    /// The backend answered with no, and takes nothing more; the client takes nothing before it has sent everything.
    fn is_stuck(&self) -> bool {
        self.status >= 300 && self.request == Request::Body && !self.to_up.is_empty() && self.client_owes()
    }

    /// The client has to take something before the answer can go on.
    fn client_owes(&self) -> bool {
        self.blocked || !self.to_client.is_empty()
    }

    /// Sends no more, so that the client may come to its end and read.
    #[cold]
    #[inline(never)]
    fn unstick(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl Client,
        up: &mut impl Backend,
        terms: &Terms<'_>,
    ) -> Result<bool, Refusal> {
        self.request = Request::Broken;
        self.poll_request(cx, client, up, terms)
    }

    /// In place, for what every request goes through; `unstick` has a copy of its own.
    #[inline(always)]
    fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl Client,
        up: &mut impl Backend,
        terms: &Terms<'_>,
    ) -> Result<bool, Refusal> {
        let limits = terms.limits;
        let mut moved = false;
        loop {
            match self.request {
                // It is no progress: whose answer does not go on is late as ever.
                Request::Broken if self.wastes(limits) => {
                    self.to_up.consume_keep(self.to_up.len());
                    match client.poll_body(cx, &mut self.to_up) {
                        Poll::Ready(Ok(Got::Some)) => self.wasted += self.to_up.len() as u64,
                        Poll::Ready(Ok(Got::End)) => self.body_ended = true,
                        Poll::Ready(Err(why)) => return Err(why),
                        Poll::Pending => return Ok(moved),
                    }
                    continue;
                }
                Request::Done | Request::Broken => return Ok(moved),
                Request::Flush => match up.poll_flush(cx) {
                    Poll::Ready(Ok(())) => {
                        self.request = Request::Done;
                        if self.times {
                            self.sent_at = Some(Instant::now());
                        }
                    }
                    Poll::Ready(Err(_)) => self.request = Request::Broken,
                    Poll::Pending => return Ok(moved),
                },
                Request::Body if !self.to_up.is_empty() => match up.poll_send(cx, &mut self.to_up) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => self.request = Request::Broken,
                    Poll::Pending => return Ok(moved),
                },
                Request::Body if self.body_ended => {
                    up.finish(self.trailers.clone());
                    self.request = Request::Flush;
                }
                Request::Body => match client.poll_body(cx, &mut self.to_up) {
                    Poll::Ready(Ok(Got::Some)) => {
                        self.body_in += self.to_up.len() as u64;
                        if limits.body_bytes != 0 && self.body_in > limits.body_bytes {
                            return Err(Refusal::BodyTooLong);
                        }
                        self.keep();
                    }
                    Poll::Ready(Ok(Got::End)) => {
                        self.body_ended = true;
                        self.trailers = client.trailers().map(|it| unsaid(it, terms.request));
                        if let Some(copied) = self.copied.take() {
                            copied.goes(self.trailers.as_ref());
                        }
                    }
                    Poll::Ready(Err(why)) => return Err(why),
                    Poll::Pending => {
                        // What was taken so far must not wait for what is not there yet.
                        if let Poll::Ready(Err(_)) = up.poll_flush(cx) {
                            self.request = Request::Broken;
                        }
                        return Ok(moved);
                    }
                },
            }
            moved = true;
        }
    }

    /// Holds what was just taken, as long as it is little.
    fn keep(&mut self) {
        self.copied.take_if(|it| !it.takes(self.to_up.bytes()));
        if let Some(kept) = &mut self.kept {
            if self.status == 0 && kept.len() + self.to_up.len() <= KEPT_BYTES {
                kept.push(self.to_up.bytes());
            } else {
                self.kept = None;
            }
        }
    }

    fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl Client,
        up: &mut impl Backend,
        terms: &Terms<'_>,
    ) -> Result<bool, Refusal> {
        let limits = terms.limits;
        let mut moved = false;
        loop {
            match self.response {
                Response::Done => return Ok(moved),
                Response::Head => {
                    let Poll::Ready(meta) = up.poll_head(cx, limits) else { return Ok(moved) };
                    let meta = meta?;
                    match meta.status {
                        101 if terms.upgrade => self.response = Response::Agreed,
                        // Nobody asked for a switch, or not for this one.
                        101 => return Err(Refusal::BackendMalformed),
                        100..=199 => {
                            self.informational += 1;
                            if self.informational > limits.informational_responses {
                                return Err(Refusal::BackendInformational);
                            }
                            up.give_informational(meta.status, client);
                            if let Poll::Ready(Err(Gone)) = client.poll_flush(cx) {
                                return Err(Refusal::ClientGone);
                            }
                        }
                        status if terms.again.is_some_and(|it| it.instead_of(status)) => {
                            return Err(Refusal::BackendUnwell);
                        }
                        _ => {
                            let coding = up.give_head(&meta, client, terms.shaping);
                            self.status = meta.status;
                            if self.times {
                                self.head_at = Some(Instant::now());
                            }
                            if let Some(coding) = coding {
                                // What it takes to code it is not the backend's.
                                self.head_at = Some(Instant::now());
                                self.coder = Some(Box::new(Coder::new(coding).map_err(|_| Refusal::ConnectionBroken)?));
                            }
                            self.kept = None;
                            self.response = if meta.body == BodyLen::None {
                                client.finish(None);
                                Response::Flush
                            } else {
                                Response::Body
                            };
                        }
                    }
                }
                Response::Agreed => match self.request {
                    Request::Done => {
                        let meta = Meta { status: 101, body: BodyLen::None, behind: Behind::Nothing };
                        up.give_head(&meta, client, terms.shaping);
                        self.status = 101;
                        self.switched = true;
                        self.response = Response::Flush;
                    }
                    // It took no more of a request than would make one.
                    Request::Broken => return Err(Refusal::BackendMalformed),
                    Request::Body | Request::Flush => return Ok(moved),
                },
                Response::Body if !self.to_client.is_empty() => {
                    let before = self.to_client.len();
                    let taken = client.poll_take(cx, &mut self.to_client);
                    self.body_out += (before - self.to_client.len()) as u64;
                    match taken {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(Gone)) => return Err(Refusal::ClientGone),
                        Poll::Pending => {
                            self.goes_on();
                            return Ok(moved);
                        }
                    }
                }
                Response::Body => match self.poll_piece(cx, client, up, limits) {
                    Poll::Ready(Ok(Got::Some)) => {}
                    Poll::Ready(Ok(Got::End)) => {
                        client.finish(up.trailers());
                        self.response = Response::Flush;
                    }
                    Poll::Ready(Err(why)) => return Err(why),
                    Poll::Pending => {
                        // Before the client can know of it.
                        self.goes_on();
                        if let Poll::Ready(Err(Gone)) = client.poll_flush(cx) {
                            return Err(Refusal::ClientGone);
                        }
                        return Ok(moved);
                    }
                },
                Response::Flush => match client.poll_flush(cx) {
                    Poll::Ready(Ok(())) => self.response = Response::Done,
                    Poll::Ready(Err(Gone)) => return Err(Refusal::ClientGone),
                    Poll::Pending => {
                        self.goes_on();
                        return Ok(moved);
                    }
                },
            }
            moved = true;
        }
    }

    /// The turn in which the answer began ends before the answer does.
    #[cold]
    fn goes_on(&mut self) {
        self.head_at.get_or_insert_with(Instant::now);
    }

    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl Client,
        up: &mut impl Backend,
        limits: &Limits,
    ) -> Poll<Result<Got, Refusal>> {
        match client.poll_room(cx) {
            Poll::Ready(Ok(())) => {
                self.blocked = false;
                match &mut self.coder {
                    None => up.poll_data(cx, &mut self.to_client, limits),
                    Some(coder) => coder.poll_data(cx, up, &mut self.to_client, limits),
                }
            }
            Poll::Ready(Err(Gone)) => Poll::Ready(Err(Refusal::ClientGone)),
            Poll::Pending => {
                self.blocked = true;
                // Nothing is read while the client takes nothing: a slow reader does not hold the room for it.
                if self.to_client.is_empty() {
                    self.to_client.release();
                }
                Poll::Pending
            }
        }
    }
}
