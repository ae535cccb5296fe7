//! One side of a connection as the `h2` crate wants it: a stream of bytes that reads into memory of the crate's own, with a
//! tap for whoever counts what goes by. It knows no frame. A client's end is held back while it waits for answers: the crate
//! would give up all of them. Read next: `h2_marks.rs`, which knows frames, then `side.rs`.

use crate::buf::Buf;
use crate::h2_marks::{Looked, Marks, Secret};
use crate::side::Wire;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Sees the bytes of a stream go by. It changes none and holds none back.
pub trait Tap {
    /// These bytes came from the peer, in order, however they are cut.
    fn saw(&mut self, bytes: &[u8]);
    /// So many bytes were taken to be sent to it.
    fn wrote(&mut self, n: usize);
    /// It ended otherwise than by an end.
    fn broke(&mut self, _: &io::Error) {}
    /// A client ended its direction where a frame ends, and where it `hung_up`, its socket's too; `moved`: something was
    /// written since this was last asked. `cx` is woken once anything else is to be said of it.
    fn ends(&mut self, _: &mut Context<'_>, _hung_up: bool, _moved: bool) -> Ends {
        Ends::Told
    }
}

/// What becomes of a client's end: the `h2` crate, once told, gives up whatever is still to be sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Ends {
    /// It is told now.
    Told,
    /// Once all that there is to send was sent.
    Sent,
    /// Not as long as it waits for answers (RFC 8446 §6.1).
    Held,
}

/// Nobody looks.
impl Tap for () {
    fn saw(&mut self, _: &[u8]) {}
    fn wrote(&mut self, _: usize) {}
}

/// A wire for the `h2` crate, which reads into its own memory.
pub struct Stream<T> {
    wire: Wire,
    waiting: Buf,
    /// So many bytes of what waits go on as they are.
    on: usize,
    /// What goes on before them.
    made: Vec<u8>,
    marks: Marks,
    /// Looks at what goes by.
    tap: T,
    /// The client's direction ended where a frame ends.
    ended: bool,
    /// It is told once nothing more is written.
    last: bool,
    wrote: Wrote,
}

/// What became of what was to be sent since a client's end was last looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrote {
    Nothing,
    Some,
    /// The socket takes no more for now.
    Stuck,
}

impl<T> Stream<T> {
    pub fn of_backend(wire: Wire, tap: T, secret: Secret) -> Stream<T> {
        Stream::new(wire, Buf::default(), tap, Marks::new(false, secret))
    }

    fn new(wire: Wire, waiting: Buf, tap: T, marks: Marks) -> Stream<T> {
        Stream { wire, waiting, on: 0, made: Vec::new(), marks, tap, ended: false, last: false, wrote: Wrote::Nothing }
    }
}

impl<T: Tap> Stream<T> {
    /// Of a client's connection, whose trailers get marks around them. `first`: what was read of it before.
    pub fn of_client(wire: Wire, first: Buf, mut tap: T, secret: Secret) -> Stream<T> {
        if !first.is_empty() {
            tap.saw(first.bytes());
        }
        Stream::new(wire, first, tap, Marks::new(true, secret))
    }

    /// Nothing more comes, by what a read came to. True where that is not told yet: what could never end now is cut, and
    /// what was asked for is answered.
    #[cold]
    fn ends(&mut self, read: &io::Result<usize>) -> bool {
        let is_end = read.as_ref().map_or_else(|e| e.kind() == io::ErrorKind::UnexpectedEof, |_| true);
        self.ended = is_end && self.waiting.is_empty() && self.marks.cut(&mut self.made);
        self.ended
    }

    /// After a client's end: Ready when it is told.
    #[cold]
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let hung_up = match self.wire.poll_hung_up(cx) {
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(e)) => {
                self.tap.broke(&e);
                return Poll::Ready(Err(e));
            }
            Poll::Pending => false,
        };
        let wrote = self.wrote;
        if wrote == Wrote::Some {
            self.wrote = Wrote::Nothing;
        }
        let ends = self.tap.ends(cx, hung_up, wrote == Wrote::Some);
        let last = std::mem::replace(&mut self.last, ends == Ends::Sent);
        match ends {
            Ends::Told => Poll::Ready(Ok(())),
            Ends::Sent if last && wrote == Wrote::Nothing => Poll::Ready(Ok(())),
            Ends::Sent if wrote != Wrote::Stuck => {
                // Who reads sends next what there is, and comes back.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Ends::Sent | Ends::Held => Poll::Pending,
        }
    }
}

impl<T: Tap + Unpin> AsyncRead for Stream<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.on == 0 && this.made.is_empty() {
            match this.marks.look(&mut this.waiting, &mut this.made) {
                Looked::On(n) => this.on = n,
                Looked::Changed => {}
                Looked::More if this.ended => return this.poll_ended(cx),
                Looked::More => {
                    let before = this.waiting.len();
                    let read = ready!(this.wire.poll_read(cx, &mut this.waiting));
                    if !matches!(read, Ok(1..)) && this.ends(&read) {
                        continue;
                    }
                    if read.inspect_err(|e| this.tap.broke(e))? == 0 {
                        // What is left is no frame, and nothing comes behind it.
                        this.on = before;
                        break;
                    }
                    this.tap.saw(this.waiting.bytes().get(before..).unwrap_or_default());
                }
            }
        }
        if !this.made.is_empty() {
            let n = this.made.len().min(into.remaining());
            into.put_slice(this.made.get(..n).unwrap_or_default());
            this.made.drain(..n);
            return Poll::Ready(Ok(()));
        }
        let n = this.on.min(into.remaining());
        into.put_slice(this.waiting.bytes().get(..n).unwrap_or_default());
        this.waiting.consume(n);
        this.on -= n;
        Poll::Ready(Ok(()))
    }
}

impl<T: Tap + Unpin> AsyncWrite for Stream<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = this.wire.poll_write_slice(cx, bytes);
        this.wrote = Wrote::Some;
        match &wrote {
            Poll::Ready(Ok(n)) => this.tap.wrote(*n),
            Poll::Ready(Err(e)) => this.tap.broke(e),
            Poll::Pending => this.wrote = Wrote::Stuck,
        }
        wrote
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = this.wire.poll_flush(cx);
        match &flushed {
            Poll::Ready(Ok(())) if this.wrote == Wrote::Stuck => this.wrote = Wrote::Some,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(e)) => this.tap.broke(e),
            Poll::Pending => this.wrote = Wrote::Stuck,
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().wire.poll_close(cx)
    }
}
