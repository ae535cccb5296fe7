//! Which backends are asked whether they are well, by tasks of the first thread: those of the plan that runs, each once
//! whatever routes share it. Read next: `../backend/check.rs`, what such a task does.

use crate::backend::check::look_after;
use crate::backend::check_asks::Asks;
use crate::worker::core::Core;
use everyhop_running::running::Running;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// By the id of the hop.
#[derive(Default)]
pub(crate) struct Checks {
    tasks: HashMap<u64, Task>,
}

struct Task {
    asks: Rc<RefCell<Rc<Asks>>>,
    handle: JoinHandle<()>,
}

impl Checks {
    /// What the plan has is asked from now on, and nothing else. One that goes on keeps its turn.
    pub(crate) fn follow(&mut self, core: &Core, running: &Running) {
        let mut before = std::mem::take(&mut self.tasks);
        for route in &running.routes {
            let Some(asks) = Asks::of(route).map(Rc::new) else { continue };
            for backend in &route.backends {
                self.tasks.entry(backend.hop_id).or_insert_with(|| match before.remove(&backend.hop_id) {
                    Some(task) => {
                        *task.asks.borrow_mut() = asks.clone();
                        task
                    }
                    None => {
                        let asks = Rc::new(RefCell::new(asks.clone()));
                        let it = look_after(core.watches().clone(), asks.clone(), Arc::downgrade(backend));
                        Task { asks, handle: tokio::task::spawn_local(it) }
                    }
                });
            }
        }
        for gone in before.into_values() {
            gone.handle.abort();
        }
    }
}
