//! Whole connections through the engine: a client's bytes over a socket pair into the real server side, and a backend in
//! the same thread that either serves what is in order or says what the input tells it to.
//!
//! Nothing waits for real time: when nothing moves any more, the clock is put forward; a connection that then does not
//! end is a finding, as is memory beyond a bound. Read next: `http1.rs`, `http2.rs`, `frames.rs`.

mod backend;
mod frames;
mod http1;
mod http2;
mod memory;

pub use http1::{backend_h1, client_h1};
pub use http2::{backend_h2, client_h2};

use backend::{Behaviour, Received};
use everyhop_engine::fuzzing::{Edge, Speaks};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::task::{spawn_local, yield_now};

/// What one connection may cost at most: a hundred streams with a buffer each way, and the connection's window twice.
const MEMORY_BYTES: isize = 12 * 1024 * 1024;
/// Turns of the runtime without any progress after which nothing will come of itself.
const QUIET_TURNS: usize = 12;
/// The longest deadline of the plan, but for tunnels, is 60 s; a few of them may follow each other.
const STEP_S: u32 = 61;
const STEPS: usize = 12;
/// An engine that spins never gets quiet.
const MOST_TURNS: usize = 200_000;

struct Stage {
    runtime: LocalRuntime,
    edge: Edge,
    backend: Rc<RefCell<backend::Backend>>,
}

thread_local! {
    static STAGE: Stage = Stage::open();
}

impl Stage {
    fn open() -> Stage {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let runtime = runtime.expect("a runtime");
        // Abstract, so that nothing is left behind; one a thread.
        let place = format!("\0everyhop-fuzz-{}-{:?}", std::process::id(), std::thread::current().id());
        let written = serde_json::to_string(&place).expect("a string");
        let plan = include_str!("../../plan.json").trim_end().replace("\"BACKEND\"", &written);
        let edge = Edge::open(&plan).expect("a plan that the engine takes");
        let backend = Rc::<RefCell<backend::Backend>>::default();
        let serving = backend.clone();
        runtime.block_on(async {
            let listener = UnixListener::bind(&place).expect("a socket");
            spawn_local(backend::listen(listener, serving));
        });
        Stage { runtime, edge, backend }
    }
}

/// How a client behaves.
struct Client {
    speaks: Speaks,
    pieces: Vec<Vec<u8>>,
    /// Ends its direction when it has said all; else it waits in silence.
    closes: bool,
    /// The plan trusts what it says of its own clients.
    trusted: bool,
}

/// Addresses of clients: of nobody in particular, and of a proxy that the plan trusts.
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// What came of it.
struct Ran {
    /// What the client was sent.
    answered: Vec<u8>,
    /// What each connection to the backend received.
    received: Vec<Received>,
    /// The connection ended before any deadline.
    at_once: bool,
}

/// Runs one connection to its end, and holds it to what must hold of any.
fn run(client: Client, behaviour: Behaviour) -> Ran {
    let (ran, peak) = memory::peak_of(|| STAGE.with(|stage| stage.run(client, behaviour)));
    assert!(peak < MEMORY_BYTES, "one connection took {peak} bytes");
    ran
}

impl Stage {
    fn run(&self, client: Client, behaviour: Behaviour) -> Ran {
        self.backend.borrow_mut().reset(behaviour);
        let (answered, told) = (Rc::<RefCell<Vec<u8>>>::default(), Rc::<Cell<usize>>::default());
        let at_once = self.runtime.block_on(async {
            let (ours, theirs) = UnixStream::pair().expect("a socket pair");
            let peer = SocketAddr::new(if client.trusted { PROXY } else { PEER }, 1);
            self.edge.serve(client.speaks, theirs, peer);
            let talking = spawn_local(talk(ours, client.pieces, client.closes, answered.clone(), told.clone()));
            let mut waited = 0;
            while waited < STEPS {
                self.settle(&answered, &told).await;
                if self.edge.open_connections() == 0 {
                    break;
                }
                self.edge.pass_s(STEP_S);
                waited += 1;
            }
            assert_eq!(self.edge.open_connections(), 0, "the connection does not end");
            talking.abort();
            // Pooled connections are of this input alone.
            self.edge.pass_s(3600);
            self.settle(&answered, &told).await;
            waited == 0
        });
        Ran { answered: answered.take(), received: self.backend.borrow_mut().take(), at_once }
    }

    /// Runs until nothing moves.
    async fn settle(&self, answered: &RefCell<Vec<u8>>, told: &Cell<usize>) {
        let seen =
            || (told.get(), answered.borrow().len(), self.backend.borrow().progress(), self.edge.open_connections());
        let (mut quiet, mut last) = (0, seen());
        for _ in 0..MOST_TURNS {
            yield_now().await;
            let now = seen();
            quiet = if now == last { quiet + 1 } else { 0 };
            last = now;
            if quiet == QUIET_TURNS {
                return;
            }
        }
        panic!("the engine does not come to rest");
    }
}

/// Says its pieces, each once the one before was taken, and hears everything.
async fn talk(
    sock: UnixStream,
    pieces: Vec<Vec<u8>>,
    closes: bool,
    answered: Rc<RefCell<Vec<u8>>>,
    told: Rc<Cell<usize>>,
) {
    let (mut read, mut write) = sock.into_split();
    let saying = async move {
        for piece in pieces {
            // Who was closed on stops talking.
            if write.write_all(&piece).await.is_err() {
                break;
            }
            told.set(told.get() + 1);
            yield_now().await;
        }
        if closes {
            drop(write);
            return;
        }
        std::future::pending::<()>().await;
    };
    let hearing = async {
        let mut some = [0u8; 4096];
        while let Ok(n) = read.read(&mut some).await {
            if n == 0 {
                return;
            }
            answered.borrow_mut().extend_from_slice(&some[..n]);
        }
    };
    let saying = spawn_local(saying);
    hearing.await;
    saying.abort();
    // What the other side does with a closed connection is asked as well.
    let _ = tokio::time::timeout(Duration::ZERO, saying).await;
}

/// `bytes` in pieces: whole, or of a size that the choice names.
fn pieces(bytes: &[u8], choice: u8) -> Vec<Vec<u8>> {
    let size = match choice & 3 {
        0 => bytes.len().max(1),
        1 => 1 + bytes.len() / 64,
        2 => 7.max(bytes.len() / 64),
        _ => 100,
    };
    bytes.chunks(size).map(<[u8]>::to_vec).collect()
}
