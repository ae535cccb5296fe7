//! Connections without a listener, for `fuzz/`: an HTTP connection whose TLS has just ended is served over a socket pair,
//! on a runtime, a plan and a clock of the caller's. Nothing else of the engine is different. Not in the wheel.

use crate::arrived::Arrived;
use crate::client;
use crate::terminate::Opened;
use crate::worker::core::Core;
use crate::worker::shared::Shared;
use everyhop_record::digest::sha256_hex;
use everyhop_record::facts::TlsFacts;
use everyhop_running::build::Brought;
use everyhop_running::material::Blob;
use everyhop_running::running::Running;
use everyhop_transport::deadlines::Watch;
use everyhop_transport::side::Wire;
use everyhop_transport::sock::Sock;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::UnixStream;

/// What the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Http1,
    Http2,
}

/// One thread's share of an engine. To be used within one `LocalRuntime`.
pub struct Edge {
    core: Rc<Core>,
    running: Arc<Running>,
}

impl Edge {
    /// Runs `plan`, which needs no material: sites without certificates, hops in plaintext.
    pub fn open(plan: &str) -> Result<Edge, String> {
        let shared = Arc::new(Shared::default());
        let brought = Brought {
            text: plan.to_owned(),
            digest: sha256_hex(plan.as_bytes()),
            material: Vec::new(),
            material_digest: String::new(),
            blob: &Blob::default(),
            names: &HashMap::new(),
            threads: 1,
        };
        let running = Arc::new(Running::build(brought, None, |name| shared.count_of(name)).map_err(|e| e.0)?);
        shared.running.store(Some(running.clone()));
        let core = Core::new(0, shared);
        core.refresh();
        Ok(Edge { core, running })
    }

    /// Serves a client of the plan's first listener and first site, from `peer`, as if its handshake were over.
    pub fn serve(&self, speaks: Speaks, sock: UnixStream, peer: SocketAddr) {
        let arrived = Arrived::new(&self.core, self.running.clone(), 0, None, peer, None);
        let Some(arrived) = arrived else { return };
        let protocol = if speaks == Speaks::Http2 { "h2" } else { "http/1.1" };
        let facts = TlsFacts { alpn: Some(protocol.to_owned()), ..TlsFacts::default() };
        let opened = Opened::new(arrived, None, 0, facts, Vec::new());
        client::serve(opened, Wire::plain(Sock::Unix(sock)));
    }

    /// Connections that some task still holds.
    pub fn open_connections(&self) -> u32 {
        self.core.shared.clients.open()
    }

    /// Lets time pass at once: the clock goes on and who is late is woken.
    pub fn pass_s(&self, seconds: u32) {
        let clock = self.core.clock();
        clock.now_ms.set(clock.now_ms.get() + u64::from(seconds) * 1000);
        self.core.backends.pools.sweep(clock.now_ms.get());
        let mut from = Some(0);
        while let Some(at) = from {
            from = self.core.watches().some(at, Watch::is_late);
        }
    }
}
