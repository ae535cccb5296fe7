//! The loop of a thread: readiness, and tasks that never leave it. There is one of it, whatever runs in it: compiled for one kind
//! of work, the runtime's loop becomes one piece, and a second kind costs every wake-up of both. Read next: `ticker.rs`.

use std::io;
use std::pin::Pin;
use tokio::runtime::{Builder, LocalOptions};

/// What a thread does until it ends.
pub type Work = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// Runs it, with the tasks that it begins.
#[inline(never)]
pub fn run(work: Work) -> io::Result<()> {
    Builder::new_current_thread().enable_io().build_local(LocalOptions::default())?.block_on(work)
}
