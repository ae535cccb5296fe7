//! What came for one stream and was not fetched yet: a body waits here within its window. It knows no connection.
//! Read next: `shared.rs`, which fills it.

use crate::buf::Buf;
use crate::h2::talk::Ended;
use everyhop_http2::{Code, Fault, Head};
use std::collections::VecDeque;
use std::task::{Context, Waker};

/// Why nothing more comes of a stream, and nothing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The peer reset it.
    Reset(Code),
    /// The peer broke its rules, and was told.
    Broken(Fault),
    /// The peer went away without a look at it (RFC 9113 §6.8).
    Unprocessed,
    /// Its connection is over.
    Connection(Ended),
}

/// What stands behind a body.
#[derive(Debug)]
pub enum Trailers {
    Are(Head),
    /// Longer, or more, than may be.
    TooLong,
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// A final answer, which may have ended its stream.
    pub(super) head: Option<(Head, bool)>,
    pub(super) informational: VecDeque<Head>,
    pub(super) body: Buf,
    /// Nothing follows what is here.
    pub(super) ended: bool,
    pub(super) trailers: Option<Trailers>,
    pub(super) lost: Option<Lost>,
    /// The task that has to do with it.
    pub(super) waker: Option<Waker>,
}

impl Inbox {
    #[inline]
    pub(super) fn listen(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    #[inline]
    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The first word stays.
    pub(super) fn lose(&mut self, why: Lost) {
        self.lost.get_or_insert(why);
        self.wake();
    }
}
