//! Bytes from socket to socket without passing through us: `splice(2)` by way of a pipe, which a direction borrows from
//! its thread while it moves bulk. Worth its two extra descriptors and system calls only for large pieces; small ones
//! are copied. Read next: `splice.rs` of the engine, which
//! borrows it.

use crate::shares::{Held, PIPES};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Room of a pipe; the kernel gives less where the user's share is used up, which only makes pieces smaller.
const ROOM: usize = 1024 * 1024;
/// A piece below this is no bulk any more.
const SMALL: usize = 16 * 1024;
/// Empty pipes that a thread keeps: two descriptors each.
const SPARE: usize = 16;

thread_local! {
    static POOL: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

pub struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
    /// Bytes in it.
    held: usize,
    _share: Held,
}

/// What moving came to.
pub enum Moved {
    /// The sender's end; all before it was passed on.
    End,
    /// The flow became small; nothing is held.
    Small,
}

impl Pipe {
    /// `None` where there are no descriptors left for it: then bytes are copied.
    pub fn take() -> Option<Pipe> {
        POOL.with_borrow_mut(Vec::pop).or_else(|| {
            let share = PIPES.take()?;
            let (out, into) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).ok()?;
            let _ = fcntl_setpipe_size(&into, ROOM);
            Some(Pipe { out, into, held: 0, _share: share })
        })
    }

    pub fn give(self) {
        if self.held == 0 {
            POOL.with_borrow_mut(|pool| {
                if pool.len() < SPARE {
                    pool.push(self);
                }
            });
        }
    }

    /// Moves from `from` to `to` until one of them must be waited for; counts what reached `to` in `moved`.
    pub fn poll_move(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
        to: &TcpStream,
        moved: &mut u64,
    ) -> Poll<io::Result<Moved>> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let mut last = ROOM;
        loop {
            while self.held > 0 {
                ready!(to.poll_write_ready(cx))?;
                match to.try_io(Interest::WRITABLE, || Ok(splice(&self.out, None, to, None, self.held, flags)?)) {
                    Ok(n) => {
                        self.held -= n;
                        *moved += n as u64;
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    Err(e) => return Poll::Ready(Err(e)),
                }
            }
            if last < SMALL {
                return Poll::Ready(Ok(Moved::Small));
            }
            ready!(from.poll_read_ready(cx))?;
            // The pipe is empty, so that "again" speaks of the socket.
            match from.try_io(Interest::READABLE, || Ok(splice(from, None, &self.into, None, ROOM, flags)?)) {
                Ok(0) => return Poll::Ready(Ok(Moved::End)),
                Ok(n) => (self.held, last) = (n, n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if e.raw_os_error() == Some(Errno::INTR.raw_os_error()) => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }
}
