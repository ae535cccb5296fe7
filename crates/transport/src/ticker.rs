//! Time that passes: a thread's tick.

use crate::deadlines::TICK;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A thread's tick: a timer of the kernel's beside the sockets. tokio's own timers would be looked through at each turn of
/// the loop, which costs as much as parsing a head does; one timer a thread needs none of that.
pub struct Ticker(AsyncFd<OwnedFd>);

impl Ticker {
    /// To be called on the thread's runtime.
    pub fn new() -> std::io::Result<Ticker> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let each = Timespec::try_from(TICK).map_err(std::io::Error::other)?;
        let spec = Itimerspec { it_interval: each, it_value: each };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &spec)?;
        // SAFETY: the descriptor is the timer's own; nobody else has it, and the `AsyncFd` keeps it open as long as it lives.
        Ok(Ticker(unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?))
    }

    /// The next tick; several that were missed are one. May be dropped and called again at any time.
    pub async fn tick(&self) -> std::io::Result<()> {
        let read = |timer: &OwnedFd| Ok(rustix::io::read(timer, &mut [0u8; 8])?);
        self.0.async_io(Interest::READABLE, read).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticker_ticks_again_and_again_on_its_thread() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        let began = std::time::Instant::now();
        runtime.block_on(async {
            let ticker = Ticker::new().expect("a timer");
            for _ in 0..3 {
                ticker.tick().await.expect("a tick");
            }
        });
        assert!(began.elapsed() >= TICK * 2, "it ticked at once");
    }
}
