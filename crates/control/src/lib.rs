//! The conversation with the supervisor: orders and questions, reports, `where`, the status address, and the process
//! closed before any of it. No byte of a connection goes through here. Read next: `serve.rs`, then `messages.rs`.

mod develop;
mod fds;
mod fetch;
mod holding;
mod leave;
mod messages;
mod metrics_asks;
mod metrics_exchanges;
mod metrics_limits;
mod metrics_mirrors;
mod metrics_passwords;
mod metrics_signatures;
mod metrics_text;
mod metrics_times;
mod metrics_waf;
mod metrics_zones;
mod report;
mod sandbox;
mod sandbox_module;
mod serve;
mod status;
mod trouble;
mod r#where;
mod whole;

pub use develop::develop;
pub use everyhop_record::refusal::{REFUSALS, Refusal, all_refusals};
pub use everyhop_record::trouble::TROUBLES;
pub use fetch::fetch_keys;
pub use holding::{hold, hold_tokens};
pub use sandbox::{Sandbox, User, close_supervisor};
pub use r#where::where_in;
pub use whole::{NoWhole, Whole, read_request};

use everyhop_engine::worker::shared::Shared;
use everyhop_transport::shares;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the C library must be told before the process starts, in `GLIBC_TUNABLES`: to copy with vector registers. Its
/// choice for pieces above some KiB is `rep movsb`, which AMD's cores run several times slower where the addresses are
/// badly aligned to each other, as a record's plaintext and ciphertext are (measured: 1.31 against 1.05 s/GiB).
pub const LIBC_TUNABLES: &str = "glibc.cpu.x86_rep_movsb_threshold=1073741824";

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Descriptors that no client's connection takes: control, status, log, each thread's own, and pipes for bulk.
pub const RESERVED_FDS: u64 = 128;

/// Runs the engine on an already listening Unix socket until it is told to stop or drain.
pub fn run(control: OwnedFd, sandbox: Sandbox, user: Option<User>) -> ExitCode {
    let shared = Arc::new(Shared::default());
    prepare(&shared);
    if let Err(why) = sandbox::enter(sandbox, user) {
        eprintln!("everyhop: {why}");
        return ExitCode::from(4);
    }
    serve::serve(control, &serve::Engine::new(shared))
}

/// What holds for the whole process.
fn prepare(shared: &Arc<Shared>) {
    // The allocator is built not to ask for huge pages (`no_thp`): the first ones would come before this line, in the supervisor
    // too, which loads it as well, and hold 3.6 MiB that nobody uses. Some systems give them unasked. A thread stands still
    // while one of 2 MiB is cleared: with a thousand connections a second that come to wait, the others' p99 was 5 ms instead
    // of 1 on a guest. They held twice the memory (35 to 18 MB after the loads of the bench), and no load cost less with them.
    // SAFETY: this operation takes one number, and zeros; it touches no memory of ours. Where it fails, nothing is lost.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
    undisturbed();
    // Descriptors up to the hard limit: each connection takes one or two.
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
    if let Some(fds) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        let most = fds.saturating_sub(RESERVED_FDS).max(2) / 2;
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        shared.clients.at_most(most);
        shares::BACKENDS.at_most(most);
        shares::PIPES.at_most(most / 4);
    }
    // The cryptography asks the system for randomness in its own way the first time: before the door is closed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut [0u8; 32]);
    let counted = shared.clone();
    let default = std::panic::take_hook();
    // A panic ends its connection (its task), is counted and told; it never opens anything.
    std::panic::set_hook(Box::new(move |info| {
        counted.panics.fetch_add(1, Ordering::Relaxed);
        default(info);
    }));
}

/// What tells a supervisor to reload or to reopen its log may be sent to us by mistake: by name, or by an old pid file. By
/// default each of these would end us, and with us every connection.
fn undisturbed() {
    for number in [libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2] {
        // SAFETY: ignoring a signal calls nothing of ours.
        unsafe { libc::signal(number, libc::SIG_IGN) };
    }
}
