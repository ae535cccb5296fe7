//! One side of a connection as the `h2` crate wants it: a stream of bytes that reads into memory of the crate's own, with a
//! tap for whoever counts what goes by. It knows no frame. Read next: `side.rs`.

use crate::buf::Buf;
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
    pub wire: Wire,
    pub waiting: Buf,
    /// Looks at what goes by; of a backend's connection nobody does.
    pub tap: T,
}

impl<T: Tap + Unpin> AsyncRead for Stream<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.waiting.is_empty() {
            let read = ready!(this.wire.poll_read(cx, &mut this.waiting));
            read.inspect_err(|e| this.tap.broke(e))?;
            this.tap.saw(this.waiting.bytes());
        }
        let n = this.waiting.len().min(into.remaining());
        into.put_slice(this.waiting.bytes().get(..n).unwrap_or_default());
        this.waiting.consume(n);
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
