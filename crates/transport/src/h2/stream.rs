//! One stream, as the task of its request has it. Dropped, it is over: what is not ended is reset. Read next: `inbox.rs`, what
//! came for it.

use crate::buf::Buf;
use crate::h2::inbox::{Lost, Trailers};
use crate::h2::shared::Inner;
use crate::h2::talk::{Ended, Talk};
use everyhop_http2::{Code, Fields, Head, NotSent};
use std::rc::Rc;
use std::task::{Context, Poll};

pub struct Stream {
    talk: Rc<Talk>,
    id: u32,
}

/// What a server said.
pub enum Answered {
    /// An interim answer (RFC 9110 §15.2).
    Informational(Head),
    /// `last`: it has no body.
    Final { head: Head, last: bool },
}

/// A piece of a body as it is fetched.
const PIECE: usize = 32 * 1024;

impl Drop for Stream {
    fn drop(&mut self) {
        self.talk.with(|it| it.done(self.id));
    }
}

impl Stream {
    pub(super) fn new(talk: Rc<Talk>, id: u32) -> Stream {
        Stream { talk, id }
    }

    /// Memory that the next head takes.
    pub fn keep(&self, head: Head) {
        self.talk.with(|it| it.keep(head));
    }

    /// Its peer has ended it, and all that it sent was fetched.
    pub fn is_ended(&self) -> bool {
        self.talk.with(|it| it.inbox(self.id).is_none_or(|it| it.ended && it.body.is_empty() && it.trailers.is_none()))
    }

    /// Appends some of its body; 0 bytes are its end, behind which its trailers stand. What was fetched is to be released.
    pub fn poll_body(&mut self, cx: &Context<'_>, into: &mut Buf) -> Poll<Result<usize, Lost>> {
        self.talk.with(|inner| {
            let Some(it) = inner.inbox(self.id) else { return Poll::Ready(Err(Lost::Connection(Ended::Closed))) };
            let n = it.body.len().min(PIECE);
            if n > 0 {
                into.take_from(&mut it.body, n);
                if it.body.is_empty() {
                    it.body.release();
                }
                return Poll::Ready(Ok(n));
            }
            if it.ended {
                return Poll::Ready(Ok(0));
            }
            if let Some(why) = it.lost {
                return Poll::Ready(Err(why));
            }
            it.listen(cx);
            Poll::Pending
        })
    }

    /// So many bytes of its body went on: as many more may come.
    pub fn release(&mut self, bytes: usize) {
        self.talk.with(|it| {
            it.codec.release(self.id, bytes);
            it.tell();
        });
    }

    pub fn take_trailers(&mut self) -> Option<Trailers> {
        self.talk.with(|it| it.inbox(self.id)?.trailers.take())
    }

    /// The next head of its answer.
    pub fn poll_answer(&mut self, cx: &Context<'_>) -> Poll<Result<Answered, Lost>> {
        self.talk.with(|inner| {
            let Some(it) = inner.inbox(self.id) else { return Poll::Ready(Err(Lost::Connection(Ended::Closed))) };
            if let Some(head) = it.informational.pop_front() {
                return Poll::Ready(Ok(Answered::Informational(head)));
            }
            if let Some((head, last)) = it.head.take() {
                return Poll::Ready(Ok(Answered::Final { head, last }));
            }
            if let Some(why) = it.lost {
                return Poll::Ready(Err(why));
            }
            it.listen(cx);
            Poll::Pending
        })
    }

    /// Ready once nothing more goes: its peer reset it, broke it, or is gone.
    pub fn poll_lost(&mut self, cx: &Context<'_>) -> Poll<Lost> {
        self.talk.with(|inner| {
            let Some(it) = inner.inbox(self.id) else { return Poll::Ready(Lost::Connection(Ended::Closed)) };
            match it.lost {
                Some(why) => Poll::Ready(why),
                None => {
                    it.listen(cx);
                    Poll::Pending
                }
            }
        })
    }

    /// Sends as much of `from` as the peer's windows take now, at least a byte; `last`: behind it the stream ends.
    pub fn poll_send(&mut self, cx: &Context<'_>, from: &mut Buf, last: bool) -> Poll<Result<(), Lost>> {
        self.talk.with(|inner| {
            let sent = inner.codec.body(self.id, from.bytes(), last);
            inner.wake_ready();
            match sent {
                Ok(0) if !from.is_empty() => {
                    if let Some(it) = inner.inbox(self.id) {
                        it.listen(cx);
                    }
                    Poll::Pending
                }
                Ok(n) => {
                    from.consume_keep(n);
                    inner.tell();
                    Poll::Ready(Ok(()))
                }
                Err(_) => Poll::Ready(Err(self.lost(inner))),
            }
        })
    }

    /// As [`Stream::poll_send`], of what goes now; nobody waits for the rest.
    pub fn send_now(&mut self, from: &mut Buf, last: bool) -> Result<(), Lost> {
        self.does(|it, id| {
            let sent = it.codec.body(id, from.bytes(), last)?;
            from.consume_keep(sent);
            if !from.is_empty() {
                it.codec.rest(id);
            }
            Ok(())
        })
    }

    fn lost(&self, inner: &mut Inner) -> Lost {
        inner.tell();
        let why = inner.inbox(self.id).and_then(|it| it.lost);
        why.unwrap_or(Lost::Reset(Code::CANCEL))
    }

    fn does(&mut self, f: impl FnOnce(&mut Inner, u32) -> Result<(), NotSent>) -> Result<(), Lost> {
        self.talk.with(|inner| {
            let done = f(inner, self.id);
            inner.wake_ready();
            inner.tell();
            done.map_err(|_| self.lost(inner))
        })
    }

    /// Answers. `last`: there is no body.
    pub fn answer(&mut self, status: u16, last: bool, write: impl FnOnce(&mut Fields<'_>)) -> Result<(), Lost> {
        self.does(|it, id| it.codec.answer(id, status, last, write))
    }

    /// An interim answer.
    pub fn informational(&mut self, status: u16, write: impl FnOnce(&mut Fields<'_>)) -> Result<(), Lost> {
        self.does(|it, id| it.codec.informational(id, status, write))
    }

    /// Ends it behind its body.
    pub fn finish(&mut self) -> Result<(), Lost> {
        self.does(|it, id| it.codec.body(id, &[], true).map(drop))
    }

    /// Ends it with trailers.
    pub fn trailers(&mut self, write: impl FnOnce(&mut Fields<'_>)) -> Result<(), Lost> {
        self.does(|it, id| it.codec.trailers(id, write))
    }

    /// Breaks it off.
    pub fn reset(&mut self, code: Code) {
        let _ = self.does(|it, id| it.codec.reset(id, code));
    }
}
