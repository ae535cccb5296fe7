//! An edge in memory: clients and backends are ends of sockets that the test holds and speaks through byte by byte, time
//! passes when it says so. Nothing waits: after each step everybody acts until nothing moves. Read next: `plan.rs`.

use crate::plan::{PLACES, Plan};
use everyhop_engine::fuzzing::{Edge, Speaks};
use everyhop_record::facts::Peer;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::task::{JoinHandle, spawn_local, yield_now};

/// Turns of the runtime without a byte after which nothing will come of itself.
const QUIET_TURNS: usize = 16;

static STAGES: AtomicUsize = AtomicUsize::new(0);

pub const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n";
pub const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Our end of a socket: of a client's connection, or of one to a backend.
pub struct End {
    sock: std::os::unix::net::UnixStream,
    heard: RefCell<Vec<u8>>,
    all: Cell<usize>,
    over: Cell<bool>,
}

impl End {
    /// To be called within the runtime.
    fn new(sock: UnixStream) -> Rc<End> {
        let sock = sock.into_std().expect("a socket");
        let mut reading = UnixStream::from_std(sock.try_clone().expect("a descriptor")).expect("a socket");
        let it = Rc::new(End { sock, heard: RefCell::default(), all: Cell::new(0), over: Cell::new(false) });
        let end = it.clone();
        spawn_local(async move {
            let mut some = [0u8; 4096];
            while let Ok(n) = reading.read(&mut some).await {
                if n == 0 {
                    break;
                }
                end.heard.borrow_mut().extend_from_slice(&some[..n]);
                end.all.set(end.all.get() + n);
            }
            end.over.set(true);
        });
        it
    }

    /// What came since it was asked last.
    pub fn took(&self) -> String {
        String::from_utf8(self.took_bytes()).expect("text")
    }

    /// As [`End::took`], of what is no text.
    pub fn took_bytes(&self) -> Vec<u8> {
        self.heard.take()
    }

    /// The other side has ended.
    pub fn is_over(&self) -> bool {
        self.over.get()
    }
}

/// A place that connections to a backend come to.
#[derive(Default)]
struct Backend {
    ends: RefCell<Vec<Rc<End>>>,
    listening: RefCell<Option<JoinHandle<()>>>,
}

pub struct Stage {
    runtime: LocalRuntime,
    edge: Edge,
    backends: Vec<Rc<Backend>>,
    clients: RefCell<Vec<Rc<End>>>,
    places: Vec<String>,
}

impl Stage {
    /// An edge that runs `plan`; all its backends listen.
    pub fn open(plan: &Plan) -> Stage {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let runtime = runtime.expect("a runtime");
        // Abstract, so that nothing is left behind; of this stage alone.
        let own = format!("\0everyhop-core-{}-{}", std::process::id(), STAGES.fetch_add(1, Ordering::Relaxed));
        let places: Vec<String> = (0..PLACES).map(|i| format!("{own}-{i}")).collect();
        let edge = Edge::open(&plan.text(&places)).expect("a plan that the engine takes");
        let backends = places.iter().map(|_| Rc::default()).collect();
        let it = Stage { runtime, edge, backends, clients: RefCell::default(), places };
        for i in 0..PLACES {
            it.rise(i);
        }
        it
    }

    /// Backend `i` takes connections.
    pub fn rise(&self, i: usize) {
        let backend = self.backends[i].clone();
        let place = self.places[i].clone();
        self.runtime.block_on(async {
            let listener = UnixListener::bind(&place).expect("a socket");
            let ends = backend.clone();
            let task = spawn_local(async move {
                while let Ok((sock, _)) = listener.accept().await {
                    ends.ends.borrow_mut().push(End::new(sock));
                }
            });
            *backend.listening.borrow_mut() = Some(task);
        });
    }

    /// Backend `i` takes no more connections; those that are there stay.
    pub fn fall(&self, i: usize) {
        let task = self.backends[i].listening.take();
        self.runtime.block_on(async {
            if let Some(task) = task {
                task.abort();
                let _ = task.await;
            }
        });
    }

    pub fn client(&self, speaks: Speaks) -> Rc<End> {
        self.proved(speaks, None)
    }

    /// A client whose certificate ends after that second.
    pub fn h1_until(&self, not_after_s: i64) -> Rc<End> {
        let key_sha256 = String::new();
        self.proved(Speaks::Http1, Some(Peer::new(["client.test".into()], "", key_sha256, not_after_s)))
    }

    fn proved(&self, speaks: Speaks, client: Option<Peer>) -> Rc<End> {
        let end = self.runtime.block_on(async {
            let (ours, theirs) = UnixStream::pair().expect("a socket pair");
            let peer = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), 1);
            self.edge.serve_proved(speaks, theirs, peer, client);
            End::new(ours)
        });
        self.clients.borrow_mut().push(end.clone());
        self.settle();
        end
    }

    pub fn h1(&self) -> Rc<End> {
        self.client(Speaks::Http1)
    }

    /// A client of HTTP/1.1 that takes only what the test reads of it.
    pub fn slow(&self) -> std::os::unix::net::UnixStream {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a socket pair");
        for it in [&ours, &theirs] {
            it.set_nonblocking(true).expect("a socket");
        }
        self.runtime.block_on(async {
            let theirs = UnixStream::from_std(theirs).expect("a socket");
            let peer = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), 1);
            self.edge.serve_proved(Speaks::Http1, theirs, peer, None);
        });
        self.settle();
        ours
    }

    /// The connections that came to backend `i`, in order.
    pub fn came(&self, i: usize) -> Vec<Rc<End>> {
        self.backends[i].ends.borrow().clone()
    }

    /// The only connection that came to backend `i`.
    pub fn only(&self, i: usize) -> Rc<End> {
        let [end] = &self.came(i)[..] else { panic!("{} connections", self.came(i).len()) };
        end.clone()
    }

    pub fn says(&self, end: &End, bytes: impl AsRef<[u8]>) {
        // Who was closed on is told so; what it says goes nowhere.
        let _ = (&end.sock).write_all(bytes.as_ref());
        self.settle();
    }

    /// As [`Stage::says`], of more than the kernel holds: what it does not take yet goes as it is taken.
    pub fn sends(&self, end: &End, bytes: Vec<u8>) {
        self.runtime.block_on(async {
            let mut sock = UnixStream::from_std(end.sock.try_clone().expect("a descriptor")).expect("a socket");
            spawn_local(async move {
                let _ = sock.write_all(&bytes).await;
            });
        });
        self.settle();
    }

    pub fn closes(&self, end: &End) {
        let _ = end.sock.shutdown(std::net::Shutdown::Both);
        self.settle();
    }

    /// A request of `client` that backend `i` answers, over its newest connection; what the client got.
    pub fn served(&self, client: &End, i: usize) -> String {
        self.says(client, GET);
        let peer = self.came(i).last().expect("a connection").clone();
        assert!(peer.took().starts_with("GET /x HTTP/1.1\r\n"), "the request came");
        self.says(&peer, OK);
        client.took()
    }

    pub fn pass_ms(&self, ms: u64) {
        self.runtime.block_on(async { self.edge.pass_ms(ms) });
        self.settle();
    }

    pub fn pass_s(&self, s: u64) {
        self.pass_ms(s * 1000);
    }

    pub fn set_unix_s(&self, unix_s: i64) {
        self.runtime.block_on(async { self.edge.set_unix_s(unix_s) });
        self.settle();
    }

    pub fn reload(&self, plan: &Plan) {
        let text = plan.text(&self.places);
        self.runtime.block_on(async { self.edge.reload(&text) }).expect("a plan that the engine takes");
        self.settle();
    }

    pub fn drain(&self, seconds: u32) {
        self.runtime.block_on(async { self.edge.drain(seconds) });
        self.settle();
    }

    pub fn ejected(&self) -> Vec<bool> {
        self.edge.ejected()
    }

    pub fn plans_held(&self) -> usize {
        self.edge.plans_held()
    }

    pub fn open_connections(&self) -> u32 {
        self.edge.open_connections()
    }

    /// Everybody acts until nothing moves.
    pub fn settle(&self) {
        let seen = || {
            let ends = self.backends.iter().flat_map(|b| b.ends.borrow().clone());
            let all = ends.chain(self.clients.borrow().clone());
            let (count, bytes, over) =
                all.fold((0, 0, 0), |(c, b, o), e| (c + 1, b + e.all.get(), o + usize::from(e.over.get())));
            (count, bytes, over, self.edge.open_connections())
        };
        self.runtime.block_on(async {
            let (mut quiet, mut last) = (0, seen());
            while quiet < QUIET_TURNS {
                yield_now().await;
                let now = seen();
                quiet = if now == last { quiet + 1 } else { 0 };
                last = now;
            }
        });
    }
}
