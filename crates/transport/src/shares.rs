//! Descriptors are a budget: clients' connections, connections to backends and pipes for bulk each have a share of what
//! the process may open, so that none of them leaves no room for another (threat D01). Nothing is opened here.

use std::sync::atomic::{AtomicU32, Ordering};

/// Connections to backends of the process: as many as clients' connections, so that streams of HTTP/2, each of which may
/// take one, leave room for whoever arrives.
pub static BACKENDS: Share = Share::new();

/// Pipes of the process, each of which takes as many descriptors as a client's connection and its backend's.
pub static PIPES: Share = Share::new();

/// How many of a kind are open, and how many may be.
#[derive(Debug)]
pub struct Share {
    open: AtomicU32,
    most: AtomicU32,
}

impl Default for Share {
    fn default() -> Self {
        Share::new()
    }
}

impl Share {
    /// Without a bound until [`Share::at_most`] gives one.
    pub const fn new() -> Share {
        Share { open: AtomicU32::new(0), most: AtomicU32::new(u32::MAX) }
    }

    pub fn at_most(&self, most: u32) {
        self.most.store(most, Ordering::Relaxed);
    }

    pub fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// True where no more may be opened, if `others` take of the same share.
    pub fn is_used_up_with(&self, others: u32) -> bool {
        self.open().saturating_add(others) >= self.most.load(Ordering::Relaxed)
    }

    /// Whoever can do without keeps none open.
    pub fn is_half_used(&self) -> bool {
        self.open() >= self.most.load(Ordering::Relaxed) / 2
    }

    /// Counts one whether or not the share is used up.
    pub fn enter(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub fn leave(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// One of the share, if there is one left.
    pub fn take(&'static self) -> Option<Held> {
        if self.open.fetch_add(1, Ordering::Relaxed) < self.most.load(Ordering::Relaxed) {
            return Some(Held(self));
        }
        self.leave();
        None
    }
}

/// One of a share, for as long as what was opened by it lives.
#[derive(Debug)]
pub struct Held(&'static Share);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// True for an error that says that the process or the system has no descriptor or memory left.
pub fn is_exhaustion(e: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let full = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    full.iter().any(|f| e.raw_os_error() == Some(f.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_used_up_gives_nothing_until_something_is_given_back() {
        static FEW: Share = Share::new();
        FEW.at_most(2);
        assert!(!FEW.is_half_used());
        let (first, second) = (FEW.take(), FEW.take());
        assert!(FEW.is_half_used() && first.is_some() && second.is_some() && FEW.take().is_none());
        assert_eq!(FEW.open(), 2);
        drop(first);
        assert!(!FEW.is_used_up_with(0) && FEW.is_used_up_with(1));
        assert!(FEW.take().is_some());
    }
}
