//! What came of bytes.

use crate::fault::{Code, Fault};

/// What a peer said, each thing once, in the order that it came.
///
/// A stream is the caller's from the first event of it, or from [`crate::Connection::request`], until the caller says
/// [`crate::Connection::done`]. After [`Event::Reset`], [`Event::Broken`] and [`Event::Unprocessed`] nothing more comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'i> {
    /// A request began, or a final answer came: [`crate::Connection::head`] has it. `last`: with it the stream's other side
    /// ended, as in all events.
    Head { stream: u32, last: bool },
    /// An interim answer (RFC 9110 §15.2) is in [`crate::Connection::head`].
    Informational { stream: u32 },
    /// A request began whose head is longer, or has more fields, than may be: what of it was kept tells whom it is for at
    /// best. It is to be answered 431 (RFC 6585 §5). Of an answer this is [`Event::Broken`].
    TooLong { stream: u32, last: bool },
    /// Some of a body, to be released when it went on; none only where `last`.
    Data { stream: u32, bytes: &'i [u8], last: bool },
    /// What ended the stream behind its body is in [`crate::Connection::head`].
    Trailers { stream: u32 },
    /// As [`Event::Trailers`], but they were longer or more than may be.
    TrailersTooLong { stream: u32 },
    /// The peer reset it.
    Reset { stream: u32, code: Code },
    /// The peer broke the stream's rules, and was told by RST_STREAM. It may be one of which nothing was told before.
    Broken { stream: u32, fault: Fault },
    /// The peer went away before it looked at this request, which may go elsewhere (RFC 9113 §6.8).
    Unprocessed { stream: u32 },
    /// The peer said what it takes (RFC 9113 §6.5).
    Settings,
    /// Our last window for streams is acknowledged: another may be set.
    Settled,
    /// Our PING came back; so many bytes came in between.
    Pong { came: u64 },
    /// The peer goes away, and looked at streams up to `last`.
    GoAway { last: u32, code: Code },
    /// We went away, and the peer knows: no streams come any more.
    Left,
}

/// Who may go on, each told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// Some of what [`crate::Connection::body`] did not take of this stream is taken now: so much is set aside for it until
    /// it comes back, ends, or says [`crate::Connection::rest`].
    Body(u32),
    /// A request that found no stream may find one now, or that none comes any more.
    Request,
}

/// Why something was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSent {
    /// The stream is closed, or the connection is.
    Gone,
    /// A second final head, or something before the first.
    Order,
    /// A body that is not as long as its head said; the stream was reset, since nobody may take it for a whole one.
    Length,
}

/// Why a request found no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoStream {
    /// As many are open as may be; [`Ready::Request`] says when one is not.
    Full,
    /// The peer goes away, or we do, or no numbers are left: another connection is needed.
    Away,
    /// It cannot be said: a pseudo-field is missing or is none.
    Malformed,
}
