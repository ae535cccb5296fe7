//! Control: the supervisor's questions and orders, one answer each, over a Unix socket that only our own user reaches.
//! `apply` is all or nothing: a refused plan leaves what runs. Runs on the process's first thread and a thread a
//! connection; no worker ever waits for it. Read next: `messages.rs`, then `everyhop-running`.

use crate::messages::{Ask, Asked, Socket, Unread, answer, refused};
use crate::{fds, leave, report, status, trouble, r#where};
use everyhop_engine::worker::run::Order;
use everyhop_engine::worker::shared::Shared;
use everyhop_running::address::Found;
use everyhop_running::apart::LINES;
use everyhop_running::build::Brought;
use everyhop_running::material::Blob;
use everyhop_running::passwords::Passwords;
use everyhop_running::running::Running;
use everyhop_transport::clock::steady_ms;
use everyhop_transport::deadlines::TICK;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// How long a question may wait for its answer.
const LONGEST_WAIT_MS: u64 = 60_000;

/// What all control connections share.
pub(crate) struct Engine {
    pub(crate) shared: Arc<Shared>,
    pub(crate) started_s: u64,
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    workers: Vec<UnboundedSender<Order>>,
    /// Our copies, for a new supervisor.
    sockets: Vec<(Socket, OwnedFd)>,
    status: Option<(String, OwnedFd)>,
    /// A thread asks stores.
    asks: bool,
    /// Threads that verify passwords.
    verifies: usize,
    /// A thread sends spans.
    exports: bool,
    /// While it is there, whoever told the engine to leave, on that thread, has no answer yet, and the process does not end.
    leaving: Option<(ThreadId, Sender<()>)>,
}

impl State {
    /// Tells the workers which plan runs; sockets that it does not name are closed, those that came ahead of a plan that
    /// was refused as well: nobody is left waiting in their queue.
    fn forget_unnamed(&mut self, running: Option<&Running>) {
        for worker in &self.workers {
            let _ = worker.send(Order::Changed);
        }
        let listeners = running.map(|r| r.plan.listeners.as_slice()).unwrap_or_default();
        self.sockets.retain(|(s, _)| listeners.iter().any(|l| l.name == s.listener && l.bind.contains(&s.bind)));
    }
}

impl Engine {
    pub(crate) fn new(shared: Arc<Shared>) -> Arc<Engine> {
        let started_s = everyhop_transport::clock::unix_micros() / 1_000_000;
        Arc::new(Engine { shared, started_s, state: Mutex::default() })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves the control socket until the engine is told to stop.
pub(crate) fn serve(listener: OwnedFd, engine: &Arc<Engine>) -> ExitCode {
    let listener = UnixListener::from(listener);
    meet(&listener, engine)
}

/// Answers whoever comes, for ever.
fn meet(listener: &UnixListener, engine: &Arc<Engine>) -> ! {
    loop {
        match listener.accept() {
            Ok((stream, _)) if is_ours(&stream) => {
                let engine = engine.clone();
                let named = thread::Builder::new().name("control".into());
                // Without a thread the connection is dropped and the supervisor asks again.
                let _ = named.spawn(move || converse(stream, &engine));
            }
            Ok(_) => {}
            // Out of descriptors, or a supervisor that left: no reason to end what runs.
            Err(_) => thread::sleep(TICK),
        }
    }
}

/// Peer credentials: our own user or root.
fn is_ours(stream: &UnixStream) -> bool {
    let peer = rustix::net::sockopt::socket_peercred(stream);
    peer.is_ok_and(|p| p.uid == rustix::process::geteuid() || p.uid.is_root())
}

fn converse(mut stream: UnixStream, engine: &Arc<Engine>) {
    while let Ok(Some((body, fds))) = fds::receive(&mut stream) {
        // Whoever asked has given up, and may have asked anew by now: what was asked first must not come last.
        if fds::is_left(&stream) {
            return;
        }
        let (answer, given) = match Ask::read(&body) {
            Ok(Ask::Wanted { wait_ms }) => (engine.wanted(wait_ms, || fds::is_left(&stream)), Vec::new()),
            Ok(ask) => engine.answer(ask, fds),
            Err(Unread(slug, why)) => (refused(slug, &why), Vec::new()),
        };
        let borrowed: Vec<BorrowedFd<'_>> = given.iter().map(AsFd::as_fd).collect();
        let sent = fds::send(&mut stream, answer.to_string().as_bytes(), &borrowed);
        engine.answered();
        if sent.is_err() {
            return;
        }
        if answer.get("answer") == Some(&Value::from("stopping")) {
            std::process::exit(0);
        }
    }
}

impl Engine {
    pub(crate) fn answer(self: &Arc<Self>, ask: Ask, fds: Vec<OwnedFd>) -> (Value, Vec<OwnedFd>) {
        let given = match ask {
            Ask::Hello {} => self.welcome(),
            Ask::Listen { threads, sockets, status } => self.listen(threads, sockets, status, fds),
            Ask::Apply { plan, plan_digest, material, material_digest, names, logs, zone, inspector } => {
                let here = (zone.as_deref(), inspector.as_deref());
                self.apply(plan, plan_digest, material, material_digest, &names, &logs, here, fds)
            }
            Ask::Names { names } => {
                if let Some(running) = self.shared.running.load_full() {
                    running.resolve(&names);
                }
                answer("named")
            }
            Ask::Log { logs } if logs.len() == fds.len() => {
                logs.iter().zip(fds).for_each(|(place, fd)| self.shared.logs.open(place, fd));
                answer("reopened")
            }
            Ask::Log { .. } => refused("control/descriptor", "descriptors and logs differ in number"),
            Ask::Adopt {} => return self.adopt(),
            Ask::Reach {} => self.reach(fds),
            Ask::Status {} => report::status(&self.shared),
            Ask::Troubles { troubles } => trouble::take(&self.shared, troubles),
            Ask::Plan {} => self.plan(),
            Ask::Wanted { wait_ms } => self.wanted(wait_ms, || false),
            Ask::Inspector { id, at_once } => self.inspector(&id, at_once, fds),
            Ask::Keys { issuers } => {
                self.heard(&issuers);
                answer("heard")
            }
            Ask::Challenges { challenges } => match self.shared.challenges.are(challenges) {
                Ok(()) => answer("heard"),
                Err(why) => refused("plan/unusable", &why.0),
            },
            Ask::Where(ask) => r#where::where_now(&self.shared, &ask),
            Ask::Signers {} => {
                LINES.open(fds);
                answer("heard")
            }
            Ask::Drain { drain_s } => self.leave(drain_s, Order::Drain),
            Ask::Retire { retire_s } => self.leave(retire_s, Order::Retire),
            Ask::Stop {} => answer("stopping"),
        };
        (given, Vec::new())
    }

    fn welcome(&self) -> Value {
        let running = self.shared.running.load_full();
        let state = self.state();
        let threads = state.workers.len();
        let draining = self.shared.draining.load(Ordering::Relaxed);
        let left_ms = self.shared.drain_until_ms.load(Ordering::Relaxed).saturating_sub(steady_ms());
        json!({
            "protocol": 1, "answer": "welcome", "pid": std::process::id(), "version": env!("CARGO_PKG_VERSION"),
            "started_s": self.started_s,
            "plan_digest": running.as_ref().map(|r| &r.digest),
            "material_digest": running.as_ref().map(|r| &r.material_digest),
            "generation": running.as_ref().map_or(0, |r| r.generation),
            "threads": (threads > 0).then_some(threads),
            "draining": draining,
            "leaves_in_s": draining.then_some(left_ms / 1000),
            "sockets": state.sockets.iter().map(|(s, _)| s).collect::<Vec<_>>(),
            "sandbox": crate::sandbox::closed(),
            "status_bind": state.status.as_ref().map(|(bind, _)| bind),
        })
    }

    fn listen(&self, threads: usize, sockets: Vec<Socket>, status: Option<String>, fds: Vec<OwnedFd>) -> Value {
        if fds.len() != sockets.len() + usize::from(status.is_some()) {
            return refused("control/descriptor", "descriptors and sockets differ in number");
        }
        let mut state = self.state();
        if !state.workers.is_empty() && state.workers.len() != threads {
            return refused("engine/restart-needed", "the number of threads cannot change while running");
        }
        if threads == 0 {
            return refused("control/malformed", "at least one thread is needed");
        }
        for index in state.workers.len()..threads {
            let (sender, orders) = unbounded_channel();
            let shared = self.shared.clone();
            let spawned = thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
                if everyhop_engine::run(index, shared, orders).is_err() {
                    std::process::exit(4);
                }
            });
            if spawned.is_err() {
                return refused("engine/thread", "a worker thread could not be started");
            }
            state.workers.push(sender);
        }
        let mut fds = fds.into_iter();
        for (socket, fd) in sockets.into_iter().zip(fds.by_ref()) {
            let Some(worker) = state.workers.get(socket.thread) else {
                return refused("control/malformed", "a socket names a thread that is not there");
            };
            let Ok(copy) = ready(&fd) else { return refused("control/descriptor", "a descriptor is no socket") };
            let order = Order::Listen { listener: socket.listener.clone(), bind: socket.bind.clone(), socket: copy };
            let _ = worker.send(order);
            state.sockets.push((socket, fd));
        }
        if let (Some(bind), Some(fd)) = (status, fds.next()) {
            let Ok(copy) = ready(&fd) else { return refused("control/descriptor", "a descriptor is no socket") };
            if let Some(worker) = state.workers.first() {
                let _ = worker.send(Order::Serve { socket: copy, by: status::listen });
            }
            state.status = Some((bind, fd));
        }
        answer("listening")
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one message, in its order")]
    fn apply(
        &self,
        plan: String,
        plan_digest: String,
        material: Vec<everyhop_running::material::Listed>,
        material_digest: String,
        names: &HashMap<String, Vec<Found>>,
        logs: &[String],
        (zone, inspector): (Option<&str>, Option<&str>),
        fds: Vec<OwnedFd>,
    ) -> Value {
        let mut fds = fds.into_iter();
        let Some(blob) = fds.next().and_then(read_blob) else {
            return refused("engine/material", "the material did not come or cannot be read");
        };
        if fds.len() != logs.len() {
            return refused("control/descriptor", "descriptors and logs differ in number");
        }
        let mut state = self.state();
        let before = self.shared.running.load_full();
        // Sockets come before plans, so that "one for each core" is what the supervisor counted.
        let threads = state.workers.len();
        let brought = Brought {
            text: plan,
            digest: plan_digest,
            material,
            material_digest,
            blob: &blob,
            names,
            threads,
            logs: &self.shared.logs,
            zone,
            inspector,
        };
        let running = match Running::build(brought, before.as_deref(), |name| self.shared.count_of(name)) {
            Ok(running) => running,
            Err(why) => {
                state.forget_unnamed(before.as_deref());
                return refused("engine/plan", &why.0);
            }
        };
        if running.plan.engine.threads.number(threads) != threads {
            state.forget_unnamed(before.as_deref());
            return refused("engine/restart-needed", "the number of threads cannot change while running");
        }
        self.shared.logs.configure(running.plan.log.on_full);
        logs.iter().zip(fds).for_each(|(place, fd)| self.shared.logs.open(place, fd));
        // Backends that were carried over have the addresses of the plan before.
        running.resolve(names);
        if running.traces.is_some() && !state.exports {
            let shared = self.shared.clone();
            let named = thread::Builder::new().name("export".into());
            // Without a thread spans wait until there is no room for more, which is told.
            state.exports = named.spawn(move || drop(everyhop_engine::export::run(&shared))).is_ok();
        }
        if !running.stores.is_empty() && !state.asks {
            let shared = self.shared.clone();
            let named = thread::Builder::new().name("store".into());
            // Without a thread no store answers, which is told.
            state.asks = named.spawn(move || drop(everyhop_engine::store::run(&shared))).is_ok();
        }
        if running.routes.iter().any(|r| r.basic.is_some()) {
            // Without a thread every password waits in vain, which is told to who shows it.
            for index in state.verifies..Passwords::threads(threads) {
                let passwords = self.shared.passwords.clone();
                let named = thread::Builder::new().name(format!("password-{index}"));
                state.verifies += usize::from(named.spawn(move || passwords.work()).is_ok());
            }
        }
        self.shared.inspectors.keep(running.wafs.first().map(|it| &*it.inspector));
        let (generation, digest) = (running.generation, running.digest.clone());
        let running = Arc::new(running);
        self.shared.running.store(Some(running.clone()));
        // Whoever brings a plan looks after us.
        self.shared.told.lock().unwrap_or_else(PoisonError::into_inner).at_ms = steady_ms().max(1);
        state.forget_unnamed(Some(&running));
        json!({"protocol": 1, "answer": "applied", "generation": generation, "plan_digest": digest})
    }

    fn adopt(&self) -> (Value, Vec<OwnedFd>) {
        let state = self.state();
        let mut given = Vec::new();
        for fd in state.sockets.iter().map(|(_, fd)| fd).chain(state.status.as_ref().map(|(_, fd)| fd)) {
            match fd.try_clone() {
                Ok(copy) => given.push(copy),
                Err(_) => return (refused("control/descriptor", "out of descriptors"), Vec::new()),
            }
        }
        let sockets: Vec<&Socket> = state.sockets.iter().map(|(s, _)| s).collect();
        let status = state.status.as_ref().map(|(bind, _)| bind);
        (json!({"protocol": 1, "answer": "sockets", "sockets": sockets, "status": status}), given)
    }

    /// Answers on another socket, too: that of a name which is there, where the first one was taken away.
    fn reach(self: &Arc<Self>, fds: Vec<OwnedFd>) -> Value {
        let Some(socket) = fds.into_iter().next() else {
            return refused("control/descriptor", "no descriptor came with the socket");
        };
        let (listener, engine) = (UnixListener::from(socket), self.clone());
        match thread::Builder::new().name("control".into()).spawn(move || meet(&listener, &engine)) {
            Ok(_) => answer("listening"),
            Err(_) => refused("engine/thread", "no thread could be started to answer there"),
        }
    }

    /// Requests are inspected there from now on, by the policies of that name.
    fn inspector(&self, id: &str, at_once: usize, fds: Vec<OwnedFd>) -> Value {
        let Some(socket) = fds.into_iter().next() else {
            return refused("control/descriptor", "no descriptor came with the inspector");
        };
        match self.shared.inspectors.hand(id, at_once, UnixStream::from(socket)) {
            Ok(()) => answer("heard"),
            Err(_) => refused("engine/thread", "no thread could be started to speak with the inspector"),
        }
    }

    /// Whose keys are to be asked for; this conversation's thread waits a while for the first.
    fn wanted(&self, wait_ms: u64, has_left: impl Fn() -> bool) -> Value {
        let found = self.shared.wanted.take(Duration::from_millis(wait_ms.min(LONGEST_WAIT_MS)), has_left);
        let issuers: Vec<Value> =
            found.iter().map(|(issuer, question)| json!({"issuer": issuer, "question": question})).collect();
        json!({"protocol": 1, "answer": "wanted", "issuers": issuers})
    }

    fn heard(&self, asked: &[Asked]) {
        let Some(running) = self.shared.running.load_full() else { return };
        for it in asked {
            let named = running.issuers.iter().find(|i| *i.name == *it.issuer);
            if let Some(server) = named.and_then(|i| i.server.as_ref()) {
                server.tell(it.question, it.failed, it.fetched_s);
            }
        }
    }

    fn plan(&self) -> Value {
        let running = self.shared.running.load_full();
        json!({
            "protocol": 1, "answer": "plan",
            "plan": running.as_ref().map(|r| &r.text),
            "plan_digest": running.as_ref().map(|r| &r.digest),
            "material": running.as_ref().map(|r| r.material.as_slice()).unwrap_or_default(),
        })
    }

    /// What this thread was asked is answered, or whoever asked is gone: an engine that was told so to leave may do it.
    pub(crate) fn answered(&self) {
        self.state().leaving.take_if(|(by, _)| *by == thread::current().id());
    }

    /// Accepts no more. Once it has said so, it ends when nothing is in flight or the time is over; who was told to retire may be
    /// told to drain.
    fn leave(&self, within_s: u64, order: Order) -> Value {
        let until = steady_ms().saturating_add(within_s.saturating_mul(1000));
        let retires = matches!(order, Order::Retire);
        self.shared.drain_until_ms.store(until, Ordering::Relaxed);
        self.shared.retiring.store(retires, Ordering::Relaxed);
        let again = self.shared.draining.swap(true, Ordering::Relaxed);
        let mut state = self.state();
        for worker in &state.workers {
            let _ = worker.send(if retires { Order::Retire } else { Order::Drain });
        }
        // Ours are copies: while one is open the kernel still queues clients whom nobody will serve.
        state.sockets.clear();
        if retires {
            state.status = None;
        }
        drop(state);
        if again {
            return answer("draining");
        }
        let (leaving, answered) = channel();
        let (shared, workers) = (self.shared.clone(), {
            let mut state = self.state();
            state.leaving = Some((thread::current().id(), leaving));
            state.workers.clone()
        });
        let watch = move || {
            let _ = answered.recv();
            leave::over(&shared, &workers);
            std::process::exit(0);
        };
        match thread::Builder::new().name("drain".into()).spawn(watch) {
            Ok(_) => answer("draining"),
            Err(_) => refused("engine/thread", "no thread could be started to watch the drain"),
        }
    }
}

/// A copy of a listening socket that tokio can take.
fn ready(fd: &OwnedFd) -> std::io::Result<TcpListener> {
    let socket = TcpListener::from(fd.try_clone()?);
    socket.set_nonblocking(true)?;
    // Accepted connections inherit it: small answers leave at once, without a system call each.
    socket2::SockRef::from(&socket).set_tcp_nodelay(true)?;
    Ok(socket)
}

fn read_blob(fd: OwnedFd) -> Option<Blob> {
    fds::read_sealed(fd, |text| serde_json::from_slice(text).ok())
}
