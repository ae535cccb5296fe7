//! A body as it comes off a connection, for both sides: how much of what was read belongs to it, and where it ends.
//! It never reads a socket itself. Read next: `../client/h1.rs` and `../backend/h1.rs`, which do.

use crate::exchange::trailers::trailer_map;
use everyhop_http1::{Chunk, Chunked, Framing, Limits, Refused};
use everyhop_transport::buf::Buf;
use http::HeaderMap;

#[derive(Debug, Default)]
pub(crate) struct Body {
    framing: Framing,
    chunked: Chunked,
    /// Boxed: few have any, and a table has room for some.
    pub(crate) trailers: Option<Box<HeaderMap>>,
}

/// What taking a piece came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Some,
    End,
    /// Nothing more without reading on.
    NeedMore,
    Malformed(Refused),
}

impl Body {
    /// Of a backend whose chunks are read leniently.
    pub(crate) fn lenient(lenient: bool, limits: &Limits) -> Body {
        Body { chunked: Chunked::lenient(lenient, limits), ..Body::default() }
    }

    /// Begins a message's body; keeps the memory of the last one.
    pub(crate) fn begin(&mut self, framing: Framing, limits: &Limits) {
        self.framing = framing;
        self.trailers = None;
        self.chunked.reset(limits);
    }

    /// What is left cannot be read: where it ends nobody knows.
    pub(crate) fn leave(&mut self) {
        self.framing = Framing::None;
    }

    /// Nothing is left to be read.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.framing, Framing::None | Framing::Length(0))
    }

    /// More than `bytes` are known to be left.
    pub(crate) fn exceeds(&self, bytes: u64) -> bool {
        matches!(self.framing, Framing::Length(left) if left > bytes)
    }

    pub(crate) fn ends_with_the_connection(&self) -> bool {
        self.framing == Framing::UntilClose
    }

    /// Moves decoded bytes from the front of `from` to `into`.
    pub(crate) fn take(&mut self, from: &mut Buf, into: &mut Buf) -> Taken {
        let have = from.len();
        match &mut self.framing {
            Framing::None | Framing::Length(0) => Taken::End,
            Framing::Chunked => self.take_chunk(from, into),
            Framing::Length(_) | Framing::UntilClose if have == 0 => Taken::NeedMore,
            Framing::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(have);
                *left -= n as u64;
                into.take_from(from, n);
                Taken::Some
            }
            Framing::UntilClose => {
                into.take_from(from, have);
                Taken::Some
            }
        }
    }

    fn take_chunk(&mut self, from: &mut Buf, into: &mut Buf) -> Taken {
        match self.chunked.next(from.bytes()) {
            Chunk::Data { skip, len } => {
                from.consume_keep(skip);
                into.take_from(from, len);
                Taken::Some
            }
            Chunk::NeedMore { consumed } => {
                from.consume_keep(consumed);
                Taken::NeedMore
            }
            Chunk::End { consumed } => {
                from.consume_keep(consumed);
                self.trailers = trailer_map(&self.chunked.trailers).map(Box::new);
                self.framing = Framing::None;
                Taken::End
            }
            Chunk::Refused(why) => Taken::Malformed(why),
        }
    }
}
