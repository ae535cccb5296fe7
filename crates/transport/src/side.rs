//! One side of a connection: a socket, perhaps with a TLS session over it, that gives and takes plaintext.
//! It never decides whether there is TLS: it is built with a session or without, and stays so for life.
//! Reads and writes are as few as can be: one read until the socket is dry, one write for all that is queued.
//! Read next: `tls.rs`.

use crate::buf::{Buf, ROOM, is_pressed};
use crate::shares::Held;
use crate::sock::Sock;
use crate::tls::{Driven, SMALL_FIRST_BYTES, Session};
use rustls::ProtocolVersion;
use std::io;
use std::task::{Context, Poll, ready};

/// Ciphertext waiting to go out above which nothing more is encrypted: back-pressure.
const OUT_FULL: usize = 16 * 1024;
/// Plaintext that is encrypted at a time, and where memory is short: a record, whose ciphertext fits a plain buffer.
const SEAL_BYTES: usize = 256 * 1024;
const SEAL_SHORT_BYTES: usize = 16 * 1024;

fn sealed_at_a_time(bytes: usize) -> usize {
    bytes.min(if bytes > SEAL_SHORT_BYTES && is_pressed() { SEAL_SHORT_BYTES } else { SEAL_BYTES })
}

pub struct Wire {
    sock: Sock,
    /// In a box with all that is its own, beside the session in one of its allocator's classes: most of a wire is moved often.
    tls: Option<Box<Tls>>,
    /// The peer will send nothing more.
    eof: bool,
    /// The last read took all the room there was: the next one gets more.
    hungry: bool,
    /// Whether it may have more: not where many streams would each hold so much.
    pub greedy: bool,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Its share of the process's descriptors, where it was opened by one: a connection to a backend is, a client's
    /// connection is counted where it arrives.
    _share: Option<Held>,
}

struct Tls {
    session: Session,
    incoming: Buf,
    outgoing: Buf,
    /// Plaintext that came with the end of the handshake.
    early: Buf,
    /// Bytes that are still to go out in small records.
    small: usize,
    /// What came after the handshake was answered by TLS itself.
    replied: bool,
}

/// Why a wire ended. Whose fault it is depends on which side it stands.
#[derive(Debug)]
pub enum WireError {
    Io,
    Tls(rustls::Error),
    /// The peer closed during the handshake.
    Eof,
}

impl From<io::Error> for WireError {
    fn from(e: io::Error) -> Self {
        let tls = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        tls.map_or(WireError::Io, |tls| WireError::Tls(tls.clone()))
    }
}

impl Wire {
    pub fn plain(sock: Sock) -> Wire {
        Wire { sock, tls: None, eof: false, hungry: false, greedy: true, bytes_in: 0, bytes_out: 0, _share: None }
    }

    /// `incoming` is what was read before: the hello.
    pub fn secured(sock: Sock, session: Session, incoming: Buf) -> Wire {
        let tls = Tls { session, incoming, outgoing: Buf::default(), early: Buf::default(), small: 0, replied: false };
        let tls = Some(Box::new(tls));
        Wire { sock, tls, eof: false, hungry: false, greedy: true, bytes_in: 0, bytes_out: 0, _share: None }
    }

    pub fn holding(self, share: Held) -> Wire {
        Wire { _share: Some(share), ..self }
    }

    /// The peer asked for another handshake: all that TLS 1.2 answers by itself, and always with a no.
    pub fn was_asked_to_renegotiate(&self) -> bool {
        let tls12 = |t: &Tls| t.session.common().protocol_version() == Some(ProtocolVersion::TLSv1_2);
        self.tls.as_deref().is_some_and(|t| t.replied && tls12(t))
    }

    #[inline]
    pub fn session(&self) -> Option<&Session> {
        self.tls.as_ref().map(|t| &t.session)
    }

    /// A flow begins, or begins again after a silence: its first records are small.
    pub fn small_first(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.small = SMALL_FIRST_BYTES;
        }
    }

    pub fn sock_mut(&mut self) -> &mut Sock {
        &mut self.sock
    }

    #[inline]
    pub fn is_eof(&self) -> bool {
        self.eof
    }

    /// Runs the handshake to its end. What we send last (a client's Finished, a server's tickets) stays queued: it goes
    /// out with the first bytes that are written, or as soon as a read would wait.
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        let Wire { sock, tls: Some(tls), eof, bytes_in, bytes_out, hungry, .. } = self else {
            return Poll::Ready(Ok(()));
        };
        loop {
            let driven = tls.session.drive(&mut tls.incoming, &mut tls.early, &mut tls.outgoing);
            if driven.as_ref().is_ok_and(|d| *d == Driven::More) && !tls.session.common().is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            while !tls.outgoing.is_empty() {
                match sock.poll_write(cx, tls.outgoing.bytes()) {
                    Poll::Ready(Ok(n)) => {
                        *bytes_out += n as u64;
                        tls.outgoing.consume(n);
                    }
                    // The alert of a failed handshake is sent if it goes at once; the failure counts either way.
                    Poll::Ready(Err(e)) => {
                        let why = driven.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e));
                        return Poll::Ready(Err(why.err().unwrap_or_else(|| last_words(sock, tls, e, eof)).into()));
                    }
                    Poll::Pending if driven.is_err() => break,
                    Poll::Pending => return Poll::Pending,
                }
            }
            match driven {
                Err(e) => return Poll::Ready(Err(WireError::Tls(e))),
                // Its goodbye came with the end of the handshake: what it said before is in `early`.
                Ok(Driven::PeerClosed) if !tls.session.common().is_handshaking() => {
                    *eof = true;
                    return Poll::Ready(Ok(()));
                }
                Ok(Driven::PeerClosed) => return Poll::Ready(Err(WireError::Eof)),
                Ok(Driven::More) => {}
            }
            let n = ready!(sock.poll_fill(cx, &mut tls.incoming, hungry))?;
            if n == 0 {
                return Poll::Ready(Err(WireError::Eof));
            }
            *bytes_in += n as u64;
        }
    }

    /// Appends what the peer sent to `into`; `Ok(0)` is the end of its stream.
    ///
    /// A TLS stream that ends without close_notify is `UnexpectedEof`: truncation is never an end.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut Buf) -> Poll<io::Result<usize>> {
        self.poll_read_and(cx, into, true)
    }

    /// As [`Wire::poll_read`], while more is soon to be written: what is queued waits for that.
    pub fn poll_read_meanwhile(&mut self, cx: &mut Context<'_>, into: &mut Buf) -> Poll<io::Result<usize>> {
        self.poll_read_and(cx, into, false)
    }

    fn poll_read_and(&mut self, cx: &mut Context<'_>, into: &mut Buf, flush: bool) -> Poll<io::Result<usize>> {
        self.hungry &= self.greedy;
        let Some(tls) = &mut self.tls else {
            if self.eof {
                return Poll::Ready(Ok(0));
            }
            let n = match self.sock.poll_fill(cx, into, &mut self.hungry) {
                Poll::Ready(n) => n?,
                Poll::Pending => {
                    if into.is_empty() {
                        into.release();
                    }
                    return Poll::Pending;
                }
            };
            self.bytes_in += n as u64;
            self.eof = n == 0;
            return Poll::Ready(Ok(n));
        };
        if !tls.early.is_empty() {
            let n = tls.early.len();
            into.push(tls.early.bytes());
            tls.early.consume(n);
            return Poll::Ready(Ok(n));
        }
        if self.eof {
            return Poll::Ready(Ok(0));
        }
        let before = into.len();
        loop {
            if !tls.incoming.is_empty() {
                if tls.incoming.len() > ROOM {
                    into.widen();
                }
                let queued = tls.outgoing.len();
                let driven = tls
                    .session
                    .drive(&mut tls.incoming, into, &mut tls.outgoing)
                    .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e));
                if !tls.outgoing.is_empty() {
                    tls.replied |= tls.outgoing.len() > queued;
                    // A key update's answer or an alert: sent with what we write next, or now if it goes at once. A peer that takes
                    // nothing more may have said why: what was read says more than that writing failed.
                    let flushed = poll_flush(&mut self.sock, tls, cx, &mut self.bytes_out, &mut self.eof);
                    if let (Ok(_), Poll::Ready(Err(e))) = (&driven, flushed) {
                        return Poll::Ready(Err(e));
                    }
                }
                match driven? {
                    Driven::PeerClosed => self.eof = true,
                    Driven::More => {}
                }
                let got = into.len() - before;
                if tls.incoming.is_empty() {
                    tls.incoming.release();
                } else {
                    tls.incoming.narrow();
                }
                if got > 0 || self.eof {
                    return Poll::Ready(Ok(got));
                }
            }
            match self.sock.poll_fill(cx, &mut tls.incoming, &mut self.hungry) {
                Poll::Ready(Ok(0)) => {
                    self.eof = true;
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                Poll::Ready(Ok(n)) => self.bytes_in += n as u64,
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => {
                    // Our last flight, or an answer that did not go at once: the peer may wait for it as we do.
                    let eof = &mut self.eof;
                    if flush && let Poll::Ready(Err(e)) = poll_flush(&mut self.sock, tls, cx, &mut self.bytes_out, eof)
                    {
                        // It takes nothing more; what it said before that may be here by now, its end will wake us.
                        if e.kind() == io::ErrorKind::InvalidData {
                            return Poll::Ready(Err(e));
                        }
                        if self.eof || !tls.early.is_empty() {
                            return self.poll_read_and(cx, into, flush);
                        }
                    }
                    if tls.incoming.is_empty() {
                        tls.incoming.release();
                    }
                    if into.is_empty() {
                        into.release();
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Ready once the peer, which said goodbye in its direction, has ended its socket too, in that direction or at all: it
    /// may listen no more. Until then close_notify ends one direction only (RFC 8446 §6.1). An error: nobody is there, or
    /// something came behind the end.
    pub fn poll_hung_up(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.sock.poll_fill(cx, &mut Buf::default(), &mut false))? {
            0 => Poll::Ready(Ok(())),
            _ => Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
        }
    }

    /// Reads what still comes behind our goodbye, as it is on the wire: it is for nobody, so nothing is decrypted.
    pub fn poll_waste(&mut self, cx: &mut Context<'_>, into: &mut Buf) -> Poll<io::Result<usize>> {
        if self.eof {
            return Poll::Ready(Ok(0));
        }
        let n = ready!(self.sock.poll_fill(cx, into, &mut self.hungry))?;
        into.consume_keep(into.len());
        self.bytes_in += n as u64;
        Poll::Ready(Ok(n))
    }

    /// True if a read would wait: nothing decrypted is left over and the socket has signalled nothing. No system call.
    #[inline]
    pub fn is_quiet(&self) -> bool {
        !self.eof
            && self.tls.as_ref().is_none_or(|t| t.early.is_empty() && t.incoming.is_empty())
            && self.sock.is_quiet()
    }

    /// Takes bytes from the front of `from`: writes them, or encrypts and queues them. Ready once some were taken.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, from: &mut Buf) -> Poll<io::Result<usize>> {
        let Some(tls) = &mut self.tls else {
            let n = ready!(self.sock.poll_write(cx, from.bytes()))?;
            self.bytes_out += n as u64;
            from.consume_keep(n);
            return Poll::Ready(Ok(n));
        };
        if tls.outgoing.len() >= OUT_FULL {
            ready!(poll_flush(&mut self.sock, tls, cx, &mut self.bytes_out, &mut self.eof))?;
        }
        let n = sealed_at_a_time(from.len());
        let bytes = from.bytes().get(..n).unwrap_or_default();
        let small = tls.small;
        tls.small = small.saturating_sub(n);
        match tls.session.encrypt(bytes, small, &mut tls.incoming, &mut tls.early, &mut tls.outgoing) {
            Ok((driven, true)) => self.eof |= driven == Driven::PeerClosed,
            Ok((_, false)) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Err(e) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, e))),
        }
        from.consume_keep(n);
        Poll::Ready(Ok(n))
    }

    /// So much ciphertext waits to go out that nothing more is encrypted before it went.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.tls.as_ref().is_some_and(|t| t.outgoing.len() >= OUT_FULL)
    }

    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.tls {
            Some(tls) => poll_flush(&mut self.sock, tls, cx, &mut self.bytes_out, &mut self.eof),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Writes and flushes all of `from`.
    pub fn poll_write_all(&mut self, cx: &mut Context<'_>, from: &mut Buf) -> Poll<io::Result<()>> {
        while !from.is_empty() {
            if ready!(self.poll_write(cx, from))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        from.release();
        self.poll_flush(cx)
    }

    /// Sends of what waits, here and in `from`, as much as the kernel takes, though it did not say that it would: that it says only
    /// once a good part of its own room is free, to which a slow reader comes late. Whether it took any.
    #[cold]
    pub fn pushes(&mut self, from: &mut Buf) -> bool {
        let before = self.bytes_out;
        let waits = self.tls.as_deref_mut().map_or(from, |tls| &mut tls.outgoing);
        while !waits.is_empty() {
            let n = self.sock.send_now(waits.bytes());
            if n == 0 {
                break;
            }
            self.bytes_out += n as u64;
            waits.consume(n);
        }
        self.bytes_out != before
    }

    /// Says goodbye in our direction: close_notify where there is TLS, then the socket's own end; where the peer ended
    /// before, closing the socket is that end.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(tls) = &mut self.tls {
            tls.session.close(&mut tls.incoming, &mut tls.outgoing);
            ready!(poll_flush(&mut self.sock, tls, cx, &mut self.bytes_out, &mut self.eof))?;
        }
        if !self.eof {
            self.sock.shutdown_write();
        }
        Poll::Ready(Ok(()))
    }

    /// Says goodbye as far as it goes without waiting.
    pub fn close_now(&mut self) {
        let waker = std::task::Waker::noop();
        let _ = self.poll_close(&mut Context::from_waker(waker));
    }
}

fn poll_flush(
    sock: &mut Sock,
    tls: &mut Tls,
    cx: &mut Context<'_>,
    bytes_out: &mut u64,
    eof: &mut bool,
) -> Poll<io::Result<()>> {
    while !tls.outgoing.is_empty() {
        let n = ready!(sock.poll_write(cx, tls.outgoing.bytes())).map_err(|e| last_words(sock, tls, e, eof))?;
        if n == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        *bytes_out += n as u64;
        tls.outgoing.consume(n);
    }
    Poll::Ready(Ok(()))
}

/// Who takes nothing more may have said why just before: an alert tells more than that writing failed. The socket itself
/// is asked, since the reset may be younger than the last wake-up; what else is there waits in `early` to be read.
#[cold]
fn last_words(sock: &Sock, tls: &mut Tls, failed: io::Error, eof: &mut bool) -> io::Error {
    tls.outgoing.release();
    if !sock.fill_now(&mut tls.incoming) {
        return failed;
    }
    let driven = tls.session.drive(&mut tls.incoming, &mut tls.early, &mut tls.outgoing);
    tls.outgoing.release();
    match driven {
        Err(why) => io::Error::new(io::ErrorKind::InvalidData, why),
        Ok(driven) => {
            *eof |= driven == Driven::PeerClosed;
            failed
        }
    }
}

impl Wire {
    /// As [`Wire::poll_write`], from memory that is not ours to take from.
    pub fn poll_write_slice(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(tls) = &mut self.tls else {
            let n = ready!(self.sock.poll_write(cx, bytes))?;
            self.bytes_out += n as u64;
            return Poll::Ready(Ok(n));
        };
        if tls.outgoing.len() >= OUT_FULL {
            ready!(poll_flush(&mut self.sock, tls, cx, &mut self.bytes_out, &mut self.eof))?;
        }
        let take = bytes.get(..sealed_at_a_time(bytes.len())).unwrap_or_default();
        let small = tls.small;
        tls.small = small.saturating_sub(take.len());
        match tls.session.encrypt(take, small, &mut tls.incoming, &mut tls.early, &mut tls.outgoing) {
            Ok((driven, true)) => {
                self.eof |= driven == Driven::PeerClosed;
                Poll::Ready(Ok(take.len()))
            }
            Ok((_, false)) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Err(e) => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, e))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The allocator has classes of 1,024, 1,280 and 1,536 bytes.
    #[test]
    fn a_session_and_its_buffers_fill_the_class_that_the_session_alone_would_take() {
        assert!(size_of::<Tls>() <= 1280, "{}", size_of::<Tls>());
    }
}
