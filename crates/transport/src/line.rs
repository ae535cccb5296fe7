//! A line to another process of ours on this host: whole messages over a socket that keeps their bounds (SOCK_SEQPACKET), asked
//! and answered by a thread that waits. What it waits for takes microseconds; the bound is for a process that hangs or is gone.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

/// Our end of it.
pub struct Line(OwnedFd);

impl Line {
    pub fn new(fd: OwnedFd) -> Line {
        Line(fd)
    }

    /// Says it whole. Fails where the other side is gone, or takes nothing until then.
    pub fn say(&self, message: &[u8], until: Instant) -> io::Result<()> {
        loop {
            match send(&self.0, message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Err(Errno::AGAIN) => self.wait(PollFlags::OUT, until)?,
                Err(Errno::INTR) => {}
                done => return Ok(done.map(drop)?),
            }
        }
    }

    /// The next message, as far as it fits `into`. Fails where the other side is gone, or says nothing until then.
    pub fn hear(&self, into: &mut [u8], until: Instant) -> io::Result<usize> {
        loop {
            match recv(&self.0, &mut *into, RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(Errno::AGAIN) => self.wait(PollFlags::IN, until)?,
                Err(Errno::INTR) => {}
                done => return Ok(done?.1),
            }
        }
    }

    fn wait(&self, wanted: PollFlags, until: Instant) -> io::Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let left = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
        match poll(&mut [PollFd::new(&self.0, wanted)], Some(&left)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}
