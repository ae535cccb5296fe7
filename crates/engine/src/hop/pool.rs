//! Open connections that wait for their next request, a pool a thread, keyed by everything that the hop depends on.
//! A connection that has signalled anything while it waited is thrown away: what it would say belongs to no request.

use crate::thread::Core;
use crate::hop::connect::Opened;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

#[derive(Default)]
pub(crate) struct Pools {
    idle: RefCell<HashMap<u64, Vec<Idle>>>,
}

struct Idle {
    opened: Opened,
    until_ms: u64,
}

impl Pools {
    /// The connection that waited least, if it is still quiet.
    pub(crate) fn take(&self, hop_id: u64, now_ms: u64) -> Option<Opened> {
        let mut idle = self.idle.borrow_mut();
        let list = idle.get_mut(&hop_id)?;
        while let Some(it) = list.pop() {
            if it.until_ms > now_ms && it.opened.wire.is_quiet() {
                return Some(it.opened);
            }
        }
        None
    }

    pub(crate) fn give(&self, core: &Core, opened: Opened) {
        let Some(running) = core.running() else { return };
        let limits = running.limits();
        let mut idle = self.idle.borrow_mut();
        let list = idle.entry(opened.hop_id).or_default();
        if list.len() < usize::try_from(limits.upstream_idle_connections).unwrap_or(usize::MAX) {
            let until_ms = core.clock().now_ms.get() + u64::from(limits.upstream_idle_s) * 1000;
            list.push(Idle { opened, until_ms });
        }
    }

    /// Closes what waited too long.
    pub(crate) fn sweep(&self, now_ms: u64) {
        self.idle.borrow_mut().retain(|_, list| {
            list.retain(|it| it.until_ms > now_ms);
            !list.is_empty()
        });
    }

    /// Closes everything whose hop the new plan does not have: a weaker hop must not live on in a pool.
    pub(crate) fn keep_only(&self, hops: &HashSet<u64>) {
        self.idle.borrow_mut().retain(|hop, _| hops.contains(hop));
    }
}
