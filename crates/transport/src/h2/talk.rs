//! A connection as its streams see it, and those who would open one. What they share is never held on to while somebody else
//! runs. Read next: `shared.rs`, what that is.

use crate::h2::asking::Asking;
use crate::h2::inbox::Lost;
use crate::h2::shared::Inner;
use crate::h2::stream::Stream;
use everyhop_http2::{Code, Connection, Fault, NoStream};
use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By what its peer did; it was told.
    Fault(Fault),
    /// The peer went away, with what it says is wrong with us.
    Away(Code),
    /// Its socket ended, or broke.
    Closed,
    /// In order: all that was asked is answered, or is waited for no longer after the client's end.
    Over,
}

/// A connection as its streams, and those who would open one, see it.
pub struct Talk {
    inner: RefCell<Inner>,
}

/// One task more, each once, however often it looks.
fn listen_too(all: &mut Vec<Waker>, cx: &Context<'_>) {
    if !all.iter().any(|it| it.will_wake(cx.waker())) {
        all.push(cx.waker().clone());
    }
}

impl Talk {
    pub(super) fn new(codec: Connection) -> Rc<Talk> {
        Rc::new(Talk { inner: RefCell::new(Inner::new(codec)) })
    }

    #[inline]
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(&mut self.inner.borrow_mut())
    }

    /// Asks for something as soon as a stream is free. `last`: it has no body. Gives: its stream; nothing where no request
    /// is taken any more.
    pub fn poll_ask(self: &Rc<Talk>, cx: &Context<'_>, asking: &Asking, last: bool) -> Poll<Result<Stream, Lost>> {
        let mut it = self.inner.borrow_mut();
        if let Some(ended) = it.ended {
            return Poll::Ready(Err(Lost::Connection(ended)));
        }
        match it.codec.request(&asking.request(), last, |fields| asking.write(fields)) {
            Ok(stream) => {
                it.opens(stream);
                drop(it);
                Poll::Ready(Ok(Stream::new(self.clone(), stream)))
            }
            Err(NoStream::Full) => {
                listen_too(&mut it.asks, cx);
                Poll::Pending
            }
            Err(NoStream::Away) => Poll::Ready(Err(Lost::Unprocessed)),
            Err(NoStream::Malformed) => Poll::Ready(Err(Lost::Reset(Code::INTERNAL_ERROR))),
        }
    }

    /// Whether a request would find a stream now.
    pub fn has_room(&self) -> bool {
        self.inner.borrow().codec.has_room()
    }

    /// Streams that are open.
    pub fn open_streams(&self) -> u32 {
        self.inner.borrow().codec.open_streams()
    }

    /// The peer takes no more requests over it.
    pub fn is_away(&self) -> bool {
        let it = self.inner.borrow();
        it.away.is_some() || it.ended.is_some()
    }

    /// Whether the peer takes extended CONNECT (RFC 8441 §3); none while it has said nothing of itself.
    pub fn takes_extended_connect(&self) -> Option<bool> {
        self.inner.borrow().codec.takes_extended_connect()
    }

    /// Asks the peer for a sign of life. False where one is still to come.
    pub fn ping(&self) -> bool {
        let mut it = self.inner.borrow_mut();
        let asked = it.codec.ping();
        it.tell();
        asked
    }

    /// The sign of life that came, with how many bytes came since it was asked for.
    pub fn take_pong(&self) -> Option<u64> {
        self.inner.borrow_mut().pong.take()
    }

    /// As [`Connection::set_window`].
    pub fn set_window(&self, bytes: u32) -> bool {
        let mut it = self.inner.borrow_mut();
        let set = it.codec.set_window(bytes);
        it.tell();
        set
    }

    /// As [`Connection::set_connection_window`].
    pub fn set_connection_window(&self, bytes: u32) {
        let mut it = self.inner.borrow_mut();
        it.codec.set_connection_window(bytes);
        it.tell();
    }

    /// As [`Connection::is_held_up`].
    pub fn is_held_up(&self, least: u32) -> bool {
        self.inner.borrow().codec.is_held_up(least)
    }

    /// As [`Connection::leave`].
    pub fn leave(&self) {
        let mut it = self.inner.borrow_mut();
        it.codec.leave();
        it.tell();
    }
}
