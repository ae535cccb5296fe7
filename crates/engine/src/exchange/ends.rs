//! An end of a tunnel: a whole connection, or a stream of one of HTTP/2. Bytes are read and written as they come, and how it
//! ends on one side is how it is ended on the other: RST_STREAM(CANCEL) is a connection's reset (RFC 8441 §5).
//! Read next: `../client/tunnel.rs`.

use crate::exchange::streams::poll_recv;
use crate::exchange::words::Got;
use everyhop_http2::Code;
use everyhop_transport::buf::Buf;
use everyhop_transport::h2::{Lost, Stream};
use everyhop_transport::side::Wire;
use std::io::{self, ErrorKind};
use std::task::{Context, Poll, ready};

pub(crate) enum End {
    Wire(Wire),
    Stream(Stream),
}

fn broke(why: Lost) -> io::Error {
    io::Error::new(ErrorKind::ConnectionReset, format!("{why:?}"))
}

/// It has ended, and needs no more of what is still sent to it (RFC 9113 §8.1).
const ENOUGH: Lost = Lost::Reset(Code::NO_ERROR);

impl End {
    /// Appends what came; 0 where nothing more will.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut Buf) -> Poll<io::Result<usize>> {
        let it = match self {
            End::Wire(wire) => return wire.poll_read(cx, into),
            End::Stream(it) => it,
        };
        let before = into.len();
        Poll::Ready(match ready!(poll_recv(it, cx, into, |n| n)) {
            Ok((Got::Some, _)) => Ok(into.len() - before),
            // Trailers of a tunnel would say nothing.
            Ok((Got::End, _)) => Ok(0),
            Err(e) => Err(broke(e)),
        })
    }

    /// Takes some of what there is.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, from: &mut Buf) -> Poll<io::Result<usize>> {
        let it = match self {
            End::Wire(wire) => return wire.poll_write(cx, from),
            End::Stream(it) => it,
        };
        let before = from.len();
        match ready!(it.poll_send(cx, from, false)) {
            Ok(()) => Poll::Ready(Ok(before - from.len())),
            Err(ENOUGH) => {
                from.consume(before);
                Poll::Ready(Ok(before))
            }
            Err(why) => Poll::Ready(Err(broke(why))),
        }
    }

    /// What was taken goes; an error also where the peer broke it off and nothing is read any more.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            End::Wire(wire) => wire.poll_flush(cx),
            End::Stream(it) => match it.poll_lost(cx) {
                Poll::Ready(ENOUGH) | Poll::Pending => Poll::Ready(Ok(())),
                Poll::Ready(why) => Poll::Ready(Err(broke(why))),
            },
        }
    }

    /// Its peer may pause for so long; a stream's connection is read by whoever has it all the time.
    pub(crate) fn may_be_silent(&mut self, seconds: u32) {
        if let End::Wire(wire) = self {
            wire.sock_mut().may_be_silent(seconds);
        }
    }

    /// Nothing more goes there.
    pub(crate) fn finish(&mut self) {
        match self {
            End::Wire(wire) => wire.close_now(),
            // One that is gone needs no end.
            End::Stream(it) => drop(it.finish()),
        }
    }

    /// It is broken off, and its peer is to see that.
    pub(crate) fn cut(&mut self) {
        match self {
            End::Wire(wire) => wire.sock_mut().reset_on_close(),
            End::Stream(it) => it.reset(Code::CANCEL),
        }
    }
}
