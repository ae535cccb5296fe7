//! One thread: a single-threaded runtime, its accept tasks, and a tick. Orders come from the control thread.
//! Nothing here waits on another thread, and it knows no stage of a connection: what accepts is handed to it.

use crate::backend::{choose, spread};
use crate::worker::checks::Checks;
use crate::worker::core::Core;
use crate::worker::shared::Shared;
use everyhop_running::running::Running;
use everyhop_transport::thread;
use everyhop_transport::ticker::Ticker;
use std::collections::{HashMap, HashSet};
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

/// Turns of the loop after which tasks that wake each other at an end have run: a connection, its streams, their tunnels.
const TURNS: u8 = 8;

/// What the control thread tells a worker.
pub enum Order {
    /// Accept here once a plan names the listener.
    Listen { listener: String, bind: String, socket: TcpListener },
    /// Serve this socket besides, in tasks of this thread: the status address.
    Serve { socket: TcpListener, by: fn(&Rc<Core>, TcpListener) -> Option<JoinHandle<()>> },
    /// The running plan changed.
    Changed,
    /// Stop accepting; finish what is in flight.
    Drain,
    /// As a drain, of an engine that was followed by another: what is served besides is the other's, too.
    Retire,
    /// Hand over the log lines of all that ended, and say so.
    HandOver(std::sync::mpsc::Sender<()>),
}

/// Begins to accept the connections of a listener, in a task of this thread.
pub(crate) type Accept = fn(Rc<Core>, Rc<str>, tokio::net::TcpListener) -> JoinHandle<()>;

/// Runs until the process ends.
pub(crate) fn run(
    index: usize,
    shared: Arc<Shared>,
    mut orders: UnboundedReceiver<Order>,
    accept: Accept,
) -> std::io::Result<()> {
    choose::start_at(index);
    spread::start_at(index);
    thread::run(Box::pin(async move {
        let core = Core::new(index, shared);
        let mut accepting = Accepting::default();
        let began = Instant::now();
        let ticker = Ticker::new()?;
        core.clock().tick(began);
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => obey(&core, &mut accepting, order, accept).await,
                    None => return Ok(()),
                },
                ticked = ticker.tick() => {
                    // A timer that cannot be read would leave every deadline unkept: the engine ends instead.
                    ticked?;
                    if core.clock().tick(began) {
                        core.watches().wake_all().await;
                    }
                    core.log.borrow_mut().flush();
                    core.backends.pools.sweep(core.clock().now_ms.get());
                    core.watches().tick().await;
                    if core.is_draining() && !core.overdue.get() && core.drain_deadline_ms() <= core.clock().now_ms.get() {
                        core.overdue.set(true);
                        core.watches().wake_all().await;
                    }
                }
            }
        }
    }))
}

/// Sockets of this thread: accepting, or waiting for a plan that names them; and on the first thread what else goes on.
#[derive(Default)]
struct Accepting {
    tasks: HashMap<(String, String), JoinHandle<()>>,
    waiting: Vec<(String, String, TcpListener)>,
    besides: Option<JoinHandle<()>>,
    checks: Checks,
}

async fn obey(core: &Rc<Core>, accepting: &mut Accepting, order: Order, accept: Accept) {
    match order {
        Order::Listen { listener, bind, socket } => {
            accepting.waiting.push((listener, bind, socket));
            accepting.start(core, accept);
        }
        Order::Serve { socket, by } => accepting.besides = by(core, socket),
        Order::Changed => {
            if let Some(running) = take_plan(core) {
                let named = |key: &(String, String)| {
                    running.plan.listeners.iter().any(|l| l.name == key.0 && l.bind.contains(&key.1))
                };
                accepting.tasks.retain(|key, task| {
                    let stays = named(key);
                    if !stays {
                        task.abort();
                    }
                    stays
                });
                if core.index == 0 {
                    accepting.checks.follow(core, &running);
                }
            }
            accepting.start(core, accept);
            // Sockets come ahead of the plan that names them: what this one does not name, none will.
            accepting.waiting.clear();
            core.watches().wake_all().await;
        }
        Order::Drain | Order::Retire => {
            core.shared.draining.store(true, Ordering::Relaxed);
            core.overdue.set(false);
            let besides = accepting.besides.take_if(|_| matches!(order, Order::Retire));
            for task in accepting.tasks.drain().map(|(_, task)| task).chain(besides) {
                task.abort();
            }
            core.watches().wake_all().await;
        }
        Order::HandOver(done) => {
            // Whose connection just ended in its own task is told of by tasks that were woken by that.
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
            core.log.borrow_mut().flush();
            let _ = done.send(());
        }
    }
}

/// The plan that all threads run now becomes this thread's; what waits in its pools for hops of another, or for what takes
/// nothing new, ends.
pub(crate) fn take_plan(core: &Core) -> Option<Arc<Running>> {
    core.refresh();
    let running = core.running()?;
    let hops: HashSet<u64> = running.used().map(|b| b.hop_id).collect();
    core.backends.pools.keep_only(&hops);
    Some(running)
}

impl Accepting {
    fn start(&mut self, core: &Rc<Core>, accept: Accept) {
        let Some(running) = core.running() else { return };
        for (listener, bind, socket) in std::mem::take(&mut self.waiting) {
            let named = running.plan.listeners.iter().any(|l| l.name == listener && l.bind.contains(&bind));
            if !named {
                self.waiting.push((listener, bind, socket));
                continue;
            }
            if let Ok(socket) = tokio::net::TcpListener::from_std(socket) {
                let task = accept(core.clone(), listener.as_str().into(), socket);
                self.tasks.insert((listener, bind), task);
            }
        }
    }
}
