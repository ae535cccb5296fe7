//! A moment that a thread waits for more closely than its tick: a timer of the kernel's that is set for once.
//! Read next: `ticker.rs`.

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    /// To be called on the thread's runtime.
    pub fn new() -> io::Result<Alarm> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // SAFETY: the descriptor is the timer's own; nobody else has it, and the `AsyncFd` keeps it open as long as it lives.
        Ok(Alarm(unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?))
    }

    /// It rings after so long, once, whatever it was set for.
    pub fn set(&self, after: Duration) -> io::Result<()> {
        let each = Timespec::try_from(Duration::ZERO).map_err(io::Error::other)?;
        let first = Timespec::try_from(after.max(Duration::from_nanos(1))).map_err(io::Error::other)?;
        let spec = Itimerspec { it_interval: each, it_value: first };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &spec)?;
        Ok(())
    }

    /// It rang since it was set.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(cx))?;
            match ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut [0u8; 8])?)) {
                Ok(read) => return Poll::Ready(read.map(drop)),
                Err(_) => continue,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Instant;

    #[test]
    fn it_rings_once_for_each_time_that_it_is_set() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        runtime.block_on(async {
            let alarm = Alarm::new().expect("a timer");
            for _ in 0..2 {
                let began = Instant::now();
                alarm.set(Duration::from_millis(5)).expect("a time");
                poll_fn(|cx| alarm.poll(cx)).await.expect("it rings");
                assert!(began.elapsed() >= Duration::from_millis(5));
            }
            let again = poll_fn(|cx| Poll::Ready(alarm.poll(cx).is_ready())).await;
            assert!(!again, "it rang once more");
        });
    }
}
