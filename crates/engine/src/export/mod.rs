//! What the edge tells a collector, on a thread of its own: spans wait in a queue (`everyhop-record`'s `spans.rs`), and go out in
//! batches over a hop that is opened as one to a backend. No request waits for it, and nothing here is on its path: a collector
//! that is slow or gone costs spans, which are counted. Read next: `deliver.rs`, then `post.rs`.

mod deliver;
mod post;

use crate::export::deliver::deliver;
use crate::worker::shared::Shared;
use everyhop_transport::deadlines::Watches;
use everyhop_transport::thread;
use everyhop_transport::ticker::Ticker;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// Sends until the process ends.
pub fn run(shared: &Arc<Shared>) -> std::io::Result<()> {
    let shared = shared.clone();
    thread::run(Box::pin(async move {
        let watches: Rc<Watches> = Rc::default();
        let (ticker, began) = (Ticker::new()?, Instant::now());
        watches.clock.tick(began);
        let begin = || tokio::task::spawn_local(deliver(shared.clone(), watches.clone()));
        let mut sending = begin();
        loop {
            ticker.tick().await?;
            if watches.clock.tick(began) {
                watches.wake_all().await;
            }
            watches.tick().await;
            // It never ends by itself: after a panic, which was counted, the next begins.
            if sending.is_finished() {
                sending = begin();
            }
        }
    }))
}
