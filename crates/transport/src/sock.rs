//! A socket of either kind, read into our buffers: one system call each time, nothing kept here.
//! Read next: `side.rs`, which puts TLS over it.

use crate::buf::{Buf, ROOM};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connected socket.
pub enum Sock {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Sock {
    /// One read into the unused room of `into`; `hungry` remembers whether it took all of it, or more than a plain buffer has.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, into: &mut Buf, hungry: &mut bool) -> Poll<io::Result<usize>> {
        match self {
            Sock::Tcp(s) => poll_fill(s, cx, into, hungry),
            Sock::Unix(s) => poll_fill(s, cx, into, hungry),
        }
    }

    /// As [`Sock::poll_fill`], whether or not the runtime knows that something came; true if something did.
    pub fn fill_now(&self, into: &mut Buf) -> bool {
        let mut room = [0; ROOM];
        let flags = rustix::net::RecvFlags::DONTWAIT;
        let read = match self {
            Sock::Tcp(s) => rustix::net::recv(s, &mut room, flags),
            Sock::Unix(s) => rustix::net::recv(s, &mut room, flags),
        };
        let n = read.map_or(0, |(n, _)| n);
        into.push(room.get(..n).unwrap_or_default());
        n > 0
    }

    /// Sends as much as the kernel takes, whether or not the runtime knows that there is room; how much that was.
    pub fn send_now(&self, bytes: &[u8]) -> usize {
        let flags = rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL;
        let sent = match self {
            Sock::Tcp(s) => rustix::net::send(s, bytes, flags),
            Sock::Unix(s) => rustix::net::send(s, bytes, flags),
        };
        sent.unwrap_or(0)
    }

    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Sock::Tcp(s) => Pin::new(s).poll_write(cx, bytes),
            Sock::Unix(s) => Pin::new(s).poll_write(cx, bytes),
        }
    }

    #[inline]
    pub fn is_quiet(&self) -> bool {
        // tokio keeps the readiness that epoll last told of, so asking costs no system call.
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match self {
            Sock::Tcp(s) => s.poll_read_ready(&mut cx).is_pending(),
            Sock::Unix(s) => s.poll_read_ready(&mut cx).is_pending(),
        }
    }

    pub fn shutdown_write(&self) {
        // An already closed socket has nothing left to say.
        let _ = match self {
            Sock::Tcp(s) => rustix::net::shutdown(s, rustix::net::Shutdown::Write),
            Sock::Unix(s) => rustix::net::shutdown(s, rustix::net::Shutdown::Write),
        };
    }

    /// The peer may acknowledge or take nothing for so long, where that is longer than [`SILENT_MS`]: the kernel is not to be
    /// less patient than a limit that says how long it may pause.
    pub fn may_be_silent(&self, seconds: u32) {
        let silent_ms = silent_ms(seconds);
        if let (Sock::Tcp(s), true) = (self, silent_ms > SILENT_MS) {
            let _ = rustix::net::sockopt::set_tcp_user_timeout(s, silent_ms);
        }
    }

    /// Closing will reset: the peer learns that it did not end well.
    pub fn reset_on_close(&self) {
        if let Sock::Tcp(s) = self {
            let _ = rustix::net::sockopt::set_socket_linger(s, Some(std::time::Duration::ZERO));
        }
    }
}

/// A peer that vanishes without a word is noticed: one that acknowledges nothing, or takes nothing of what waits for it, for
/// `silent_ms` ends the connection (to the kernel both are one), and it is asked once a minute where nothing is under way, so
/// that nobody between forgets the connection either.
pub fn notice_its_end(sock: &TcpStream, silent_ms: u32) {
    use rustix::net::sockopt;
    // A kernel that cannot has connections that end by their deadlines alone.
    let _ = sockopt::set_socket_keepalive(sock, true);
    let _ = sockopt::set_tcp_keepidle(sock, std::time::Duration::from_secs(60));
    let _ = sockopt::set_tcp_user_timeout(sock, silent_ms);
}

/// How long a peer may acknowledge or take nothing, where no limit lets it pause for longer.
pub const SILENT_MS: u32 = 30_000;

/// As [`SILENT_MS`], of one that a limit of so many seconds lets pause: it may have reasons of its own to read nothing.
pub fn silent_ms(seconds: u32) -> u32 {
    seconds.saturating_mul(1000).max(SILENT_MS)
}

/// One read of a TCP socket into the unused room of `into`.
pub fn poll_fill_tcp(sock: &mut TcpStream, cx: &mut Context<'_>, into: &mut Buf) -> Poll<io::Result<usize>> {
    poll_fill(sock, cx, into, &mut false)
}

fn poll_fill(
    sock: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    into: &mut Buf,
    hungry: &mut bool,
) -> Poll<io::Result<usize>> {
    if *hungry {
        into.widen();
    }
    into.reserve_read();
    let tail = into.tail();
    let before = tail.len();
    let mut space = ReadBuf::uninit(tail.spare_capacity_mut());
    ready!(Pin::new(sock).poll_read(cx, &mut space))?;
    let n = space.filled().len();
    *hungry = space.remaining() == 0 || n > ROOM;
    // SAFETY: `filled()` says that the first `n` bytes of the spare capacity were written.
    unsafe { tail.set_len(before + n) };
    Poll::Ready(Ok(n))
}
