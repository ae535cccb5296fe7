//! The end of an engine that was told to drain: waits until nothing is in flight, has what is to be told of it told, and returns
//! once the process may end. It waits for states, each with a bound, so that nobody who has nothing to do is waited for.
//! Runs on a thread of its own. Read next: `everyhop-engine`'s `worker/run.rs`.

use everyhop_engine::worker::run::Order;
use everyhop_engine::worker::shared::Shared;
use everyhop_transport::clock::steady_ms;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(5);
/// How long threads have for what is late: they refuse it at their next tick, and it ends by itself then.
const LATE_MS: u64 = 400;
/// How long an edge that leaves waits for a disk and for a collector: less than its supervisor waits for it.
const FLUSH_MS: u64 = 1500;

/// Returns once nothing is in flight or the drain's time is over, and what was told of it has left this process.
pub(crate) fn over(shared: &Shared, workers: &[UnboundedSender<Order>]) {
    loop {
        let is_over = || steady_ms() >= shared.drain_until_ms.load(Ordering::Relaxed);
        let is_idle = || shared.clients.open() == 0;
        until(|| is_idle() || is_over());
        let is_late = is_over();
        within(LATE_MS, || is_idle() && copies(shared) == 0);
        hand_over(workers);
        // A thread may have accepted somebody just before it was told to drain.
        if is_late || is_idle() {
            break;
        }
    }
    shared.spans.leave();
    within(FLUSH_MS, || !shared.logs.is_waiting() && shared.spans.count() == 0);
}

/// Has each thread hand over its log lines, also those of what it is about to end.
fn hand_over(workers: &[UnboundedSender<Order>]) {
    let (sender, done) = channel();
    let asked = workers.iter().filter(|it| it.send(Order::HandOver(sender.clone())).is_ok()).count();
    let until = steady_ms().saturating_add(LATE_MS);
    for _ in 0..asked {
        let left = Duration::from_millis(until.saturating_sub(steady_ms()));
        if done.recv_timeout(left).is_err() {
            return;
        }
    }
}

/// Copies of requests that are still on their way to a mirror.
fn copies(shared: &Shared) -> u32 {
    let running = shared.running.load();
    let mirrors = running.iter().flat_map(|it| &it.routes).filter_map(|it| it.mirror.as_deref());
    mirrors.map(|it| it.under_way()).sum()
}

fn within(ms: u64, done: impl Fn() -> bool) {
    let until_ms = steady_ms().saturating_add(ms);
    until(|| done() || steady_ms() >= until_ms);
}

fn until(done: impl Fn() -> bool) {
    while !done() {
        std::thread::sleep(LOOK);
    }
}
