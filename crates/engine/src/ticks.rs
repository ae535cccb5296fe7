//! Waiting on the control side, where blocking is allowed.

use std::time::Duration;

const BEAT: Duration = Duration::from_millis(100);

pub(crate) fn beat() {
    std::thread::sleep(BEAT);
}

pub(crate) fn until(done: impl Fn() -> bool) {
    while !done() {
        beat();
    }
}
