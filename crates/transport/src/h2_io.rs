//! One side of a connection as the `h2` crate wants it: a stream of bytes that reads into memory of the crate's own, with a
//! tap for whoever counts what goes by. It knows no frame. Read next: `h2_marks.rs`, which does, then `side.rs`.

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
}

impl<T> Stream<T> {
    pub fn of_backend(wire: Wire, tap: T, secret: Secret) -> Stream<T> {
        Stream::new(wire, Buf::default(), tap, Marks::new(false, secret))
    }

    fn new(wire: Wire, waiting: Buf, tap: T, marks: Marks) -> Stream<T> {
        Stream { wire, waiting, on: 0, made: Vec::new(), marks, tap }
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
}

impl<T: Tap + Unpin> AsyncRead for Stream<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.on == 0 && this.made.is_empty() {
            match this.marks.look(&mut this.waiting, &mut this.made) {
                Looked::On(n) => this.on = n,
                Looked::Changed => {}
                Looked::More => {
                    let before = this.waiting.len();
                    let read = ready!(this.wire.poll_read(cx, &mut this.waiting));
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
        match &wrote {
            Poll::Ready(Ok(n)) => this.tap.wrote(*n),
            Poll::Ready(Err(e)) => this.tap.broke(e),
            Poll::Pending => {}
        }
        wrote
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = this.wire.poll_flush(cx);
        if let Poll::Ready(Err(e)) = &flushed {
            this.tap.broke(e);
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().wire.poll_close(cx)
    }
}
