//! The task's part of a connection: moves its bytes, gives what came to whom it is for, and says how it ended. A client's end
//! closes one direction (RFC 8446 §6.1): who asked before gets its answers. Read next: `stream.rs`.

use crate::buf::Buf;
use crate::h2::stream::Stream;
use crate::h2::talk::{Ended, Talk};
use crate::side::Wire;
use everyhop_http2::{Code, Connection, Fault, Head};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// Hears what goes by.
pub trait Tap {
    /// So many bytes came from the peer. Gives: the time, in milliseconds.
    fn saw(&mut self, bytes: usize) -> u64;
    /// Its socket, or TLS, broke.
    fn broke(&mut self, _: &io::Error) {}
    /// A client ended its direction where a frame ends, and where it `hung_up`, its socket's too; `moved`: something was
    /// written since this was last asked. `cx` is woken once anything else is to be said of it.
    fn ends(&mut self, _: &mut Context<'_>, _hung_up: bool, _moved: bool) -> Ends {
        Ends::Now
    }
}

/// What becomes of a client's end.
#[derive(Debug, PartialEq, Eq)]
pub enum Ends {
    Now,
    /// Once all that there is to send was sent.
    Sent,
    /// Not as long as it waits for answers.
    Held,
}

/// A request that began.
pub struct Incoming {
    pub stream: Stream,
    pub head: Head,
    /// It has no body.
    pub last: bool,
}

/// A request that is none, or is longer than may be: its client was told so by its stream, and nobody else has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untaken {
    /// It was reset.
    Broken(Fault),
    /// It was answered 431 (RFC 6585 §5).
    TooLong,
}

/// What a connection came to.
pub enum Came {
    Request(Box<Incoming>),
    Untaken(Untaken),
    Ended(Ended),
}

/// Reads of one turn, after which others have theirs.
const READS: u32 = 16;
/// Who takes no more of what was said is not listened to above so many bytes of it: answers without a body know no window.
const UNSENT: usize = 256 * 1024;

pub struct Mover<T> {
    talk: Rc<Talk>,
    wire: Wire,
    input: Buf,
    serves: bool,
    tap: T,
    /// Nothing more comes.
    eof: bool,
    /// Something was written since the tap was last asked about an end.
    moved: bool,
}

/// Whoever has a stream of it waits for nobody any more.
impl<T> Drop for Mover<T> {
    fn drop(&mut self) {
        self.talk.with(|it| it.end(Ended::Closed));
    }
}

impl<T: Tap> Mover<T> {
    /// Serves a client. `first`: what was read of it before.
    pub fn server(codec: Connection, wire: Wire, first: Buf, tap: T) -> Mover<T> {
        Mover::new(codec, wire, first, true, tap)
    }

    /// Asks a server.
    pub fn client(codec: Connection, wire: Wire, tap: T) -> Mover<T> {
        Mover::new(codec, wire, Buf::default(), false, tap)
    }

    fn new(codec: Connection, wire: Wire, input: Buf, serves: bool, mut tap: T) -> Mover<T> {
        let talk = Talk::new(codec);
        let now_ms = tap.saw(input.len());
        talk.with(|it| it.codec.at_ms(now_ms));
        Mover { talk, wire, input, serves, tap, eof: false, moved: false }
    }

    pub fn talk(&self) -> &Rc<Talk> {
        &self.talk
    }

    /// Moves what can be moved. Gives: a request that began or could not, or how the connection ended, once and for all; what
    /// is still to be said of it then [`Mover::poll_close`] says.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Came> {
        self.talk.with(|it| it.listen(cx));
        let mut reads = 0;
        loop {
            if let Some(came) = self.look() {
                return Poll::Ready(came);
            }
            let flushed = match self.poll_write(cx) {
                Poll::Ready(Ok(())) => true,
                Poll::Ready(Err(e)) => return Poll::Ready(Came::Ended(self.broke(&e))),
                Poll::Pending => false,
            };
            if let Some(ended) = self.over(flushed) {
                return Poll::Ready(Came::Ended(ended));
            }
            if self.eof {
                return self.poll_ended(cx, flushed).map(Came::Ended);
            }
            if !flushed && self.talk.with(|it| it.codec.output().len() > UNSENT) {
                return Poll::Pending;
            }
            if reads == READS || self.talk.with(|it| std::mem::take(&mut it.yields)) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            reads += 1;
            let before = self.input.len();
            let Poll::Ready(read) = self.wire.poll_read(cx, &mut self.input) else {
                self.rest();
                return Poll::Pending;
            };
            match read {
                Ok(1..) => {
                    let now_ms = self.tap.saw(self.input.len() - before);
                    self.talk.with(|it| it.codec.at_ms(now_ms));
                }
                Ok(0) => self.ends(None),
                Err(e) => self.ends(Some(&e)),
            }
        }
    }

    /// It waits: memory that nothing is in goes to whoever needs some.
    #[inline]
    fn rest(&mut self) {
        if self.input.is_empty() {
            self.input.release();
        }
        self.talk.with(super::shared::Inner::rest);
    }

    /// What came goes to whom it is for, up to a request.
    fn look(&mut self) -> Option<Came> {
        let Mover { talk, input, serves, .. } = self;
        let mut at = 0;
        let came = talk.with(|it| {
            let mut came = None;
            while came.is_none() && it.ended.is_none() && !it.yields {
                match it.codec.next(input.bytes(), &mut at) {
                    Ok(Some(event)) => came = it.came(talk, event, *serves),
                    Ok(None) => break,
                    Err(fault) => it.end(Ended::Fault(fault)),
                }
            }
            it.wake_ready();
            came
        });
        input.consume_keep(at);
        came
    }

    /// Ready once all was written that there is.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Mover { talk, wire, moved, .. } = self;
        talk.with(|it| {
            let mut some = false;
            while !it.codec.output().is_empty() {
                let n = ready!(wire.poll_write_slice(cx, it.codec.output()))?;
                it.codec.sent(n);
                some = true;
            }
            if some {
                *moved = true;
                it.wake_ready();
            }
            wire.poll_flush(cx)
        })
    }

    fn over(&mut self, flushed: bool) -> Option<Ended> {
        self.talk.with(|it| {
            let in_order = flushed && it.codec.open_streams() == 0;
            let ended = match (it.ended, it.away) {
                (Some(ended), _) => Some(ended),
                (None, Some(Code::NO_ERROR)) if in_order => Some(Ended::Over),
                (None, Some(code)) if in_order => Some(Ended::Away(code)),
                (None, _) if in_order && it.codec.is_over() => Some(Ended::Over),
                _ => None,
            };
            ended.inspect(|ended| it.end(*ended))
        })
    }

    /// Nothing more comes, by what a read came to: of a client that may be an end in order; who serves has no end of its own.
    #[cold]
    fn ends(&mut self, broke: Option<&io::Error>) {
        self.eof = true;
        let is_end = broke.is_none_or(|e| e.kind() == io::ErrorKind::UnexpectedEof);
        if self.serves && is_end && self.input.is_empty() && self.talk.with(|it| it.codec.end_of_input()).is_ok() {
            return;
        }
        if let Some(e) = broke {
            self.tap.broke(e);
        }
        self.talk.with(|it| it.end(Ended::Closed));
    }

    #[cold]
    fn broke(&mut self, e: &io::Error) -> Ended {
        self.tap.broke(e);
        self.talk.with(|it| it.end(Ended::Closed));
        Ended::Closed
    }

    /// After a client's end: Ready when nobody waits for anything any more.
    #[cold]
    fn poll_ended(&mut self, cx: &mut Context<'_>, flushed: bool) -> Poll<Ended> {
        let hung_up = match self.wire.poll_hung_up(cx) {
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(e)) => return Poll::Ready(self.broke(&e)),
            Poll::Pending => false,
        };
        let moved = std::mem::take(&mut self.moved);
        match self.tap.ends(cx, hung_up, moved) {
            Ends::Now => {}
            Ends::Sent if flushed => {}
            Ends::Sent | Ends::Held => return Poll::Pending,
        }
        self.talk.with(|it| it.end(Ended::Over));
        Poll::Ready(Ended::Over)
    }

    /// Says the last word, and closes.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.poll_write(cx), Poll::Pending) {
            return Poll::Pending;
        }
        self.wire.poll_close(cx).map(drop)
    }

    /// Ends it now, with what is wrong.
    pub fn abort(&mut self, code: Code) {
        self.talk.with(|it| {
            it.codec.abort(code);
            it.end(Ended::Closed);
        });
    }
}
