//! What all threads share: the running plan behind an atomic pointer, the counts of connections, the logs' writers.
//! Written where a connection begins or ends and by the control thread, never on the path of a byte.

use crate::inspect::Inspectors;
use crate::worker::ids;
use crate::worker::sources::Sources;
use arc_swap::ArcSwapOption;
use everyhop_record::log::Logs;
use everyhop_record::spans::Spans;
use everyhop_record::trouble::Trouble;
use everyhop_running::challenges::Challenges;
use everyhop_running::key_server::Wanted;
use everyhop_running::passwords::Passwords;
use everyhop_running::running::Running;
use everyhop_transport::shares::Share;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};

/// What a supervisor found wrong, and when it said so last.
#[derive(Default)]
pub struct Told {
    pub troubles: Vec<Trouble>,
    /// In the milliseconds of the steady clock; 0: no supervisor ever said anything.
    pub at_ms: u64,
}

/// The common ground of all threads.
pub struct Shared {
    pub running: ArcSwapOption<Running>,
    pub draining: AtomicBool,
    /// It drains because another engine accepts in its place: nobody is in a hurry.
    pub retiring: AtomicBool,
    /// When a drain must be over, in the milliseconds of the steady clock.
    pub drain_until_ms: AtomicU64,
    pub logs: Logs,
    /// What of requests is on its way to a collector.
    pub spans: Spans,
    /// Connections now, by listener name; survives reloads.
    listeners: Mutex<HashMap<String, Arc<AtomicU32>>>,
    /// Clients' connections: what the descriptors allow with one for each backend's side and some for the rest.
    pub clients: Share,
    pub(crate) sources: Arc<Sources>,
    pub panics: AtomicU64,
    /// What the supervisor says is wrong now.
    pub told: Mutex<Told>,
    /// Whether passwords are right, of routes that ask for them.
    pub passwords: Arc<Passwords>,
    /// Issuers whose keys the supervisor is to ask for.
    pub wanted: Wanted,
    /// Who inspects requests.
    pub inspectors: Inspectors,
    /// What authorities are answered whose orders are pending.
    pub challenges: Challenges,
    /// Where the ids of this process begin.
    pub(crate) ids_from: u64,
}

impl Default for Shared {
    fn default() -> Self {
        Shared {
            running: ArcSwapOption::default(),
            draining: AtomicBool::default(),
            retiring: AtomicBool::default(),
            drain_until_ms: AtomicU64::default(),
            logs: Logs::default(),
            spans: Spans::default(),
            listeners: Mutex::default(),
            clients: Share::default(),
            sources: Arc::default(),
            panics: AtomicU64::default(),
            told: Mutex::default(),
            passwords: Arc::default(),
            wanted: Wanted::default(),
            inspectors: Inspectors::default(),
            challenges: Challenges::default(),
            ids_from: ids::anywhere(),
        }
    }
}

impl Shared {
    pub fn count_of(&self, listener: &str) -> Arc<AtomicU32> {
        let mut all = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(listener.to_owned()).or_default().clone()
    }
}
