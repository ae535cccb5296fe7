//! The engine on its own, for bench, callgrind and sandbox tests: binds what a plan names and applies it, through the
//! same orders that a supervisor sends. Where the plan has rules to inspect by, who asks them is at the other end of its
//! standard input. Not in the wheel.

use crate::messages::{Ask, Socket};
use crate::serve::Engine;
use everyhop_engine::worker::shared::Shared;
use everyhop_plan::STDOUT;
use everyhop_record::digest::sha256_hex;
use everyhop_running::material::{Blob, Listed};
use rustix::fs::MemfdFlags;
use socket2::{Domain, Protocol, SockAddr, Type};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Seek, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;

/// Runs `plan` (canonical JSON) with `material` (the control protocol's blob) until killed.
pub fn develop(plan: &str, material: &str) -> ExitCode {
    match start(plan, material) {
        Ok(_engine) => loop {
            std::thread::park();
        },
        Err(why) => {
            eprintln!("everyhop-engine: {why}");
            ExitCode::from(4)
        }
    }
}

fn start(text: &str, material: &str) -> Result<Arc<Engine>, String> {
    let plan = everyhop_plan::read(text).map_err(|e| e.why)?;
    let blob: Blob = serde_json::from_str(material).map_err(|e| e.to_string())?;
    let ids = blob.certs.keys().chain(blob.cas.keys());
    let listed = |id: &String| Listed {
        id: id.clone(),
        chain_sha256: sha256_hex(id.as_bytes()),
        key_sha256: None,
        not_after_s: None,
    };
    let list: Vec<Listed> = ids.map(listed).collect();
    let shared = Arc::new(Shared::default());
    crate::prepare(&shared);
    let engine = Engine::new(shared);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = plan.engine.threads.number(cores);
    let (mut sockets, mut fds) = (Vec::new(), Vec::new());
    for listener in &plan.listeners {
        for bind in &listener.bind {
            for thread in 0..threads {
                let socket = bound(bind).map_err(|e| format!("{bind}: {e}"))?;
                let at = socket.local_addr().ok().and_then(|a| a.as_socket());
                eprintln!("listening {} {}", listener.name, at.map_or_else(String::new, |a| a.to_string()));
                sockets.push(Socket { listener: listener.name.clone(), bind: bind.clone(), thread });
                fds.push(OwnedFd::from(socket));
            }
        }
    }
    told(&engine, Ask::Listen { threads, sockets, status: None }, fds)?;
    let inspector = (!plan.wafs.is_empty()).then(|| "stdin".to_owned());
    if let Some(id) = &inspector {
        let socket = std::io::stdin().as_fd().try_clone_to_owned().map_err(|e| e.to_string())?;
        told(&engine, Ask::Inspector { id: id.clone(), at_once: 2 }, vec![socket])?;
    }
    let mut logs = plan.log_places();
    logs.retain(|it| *it != STDOUT);
    let ask = Ask::Apply {
        plan: text.to_owned(),
        plan_digest: sha256_hex(text.as_bytes()),
        material: list,
        material_digest: sha256_hex(material.as_bytes()),
        names: HashMap::new(),
        logs: logs.iter().map(|it| (*it).to_owned()).collect(),
        zone: None,
        inspector,
    };
    let mut fds = vec![memory(material).map_err(|e| e.to_string())?];
    for path in &logs {
        fds.push(File::options().append(true).create(true).open(path).map_err(|e| format!("{path}: {e}"))?.into());
    }
    told(&engine, ask, fds)?;
    Ok(engine)
}

fn told(engine: &Arc<Engine>, ask: Ask, fds: Vec<OwnedFd>) -> Result<(), String> {
    let (answer, _) = engine.answer(ask, fds);
    engine.answered();
    if answer.get("answer").is_some_and(|a| a == "refused") { Err(answer.to_string()) } else { Ok(()) }
}

fn bound(bind: &str) -> std::io::Result<socket2::Socket> {
    let addr: SocketAddr = bind.parse().map_err(|_| std::io::ErrorKind::InvalidInput)?;
    let socket = socket2::Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SockAddr::from(addr))?;
    socket.listen(4096)?;
    Ok(socket)
}

fn memory(text: &str) -> std::io::Result<OwnedFd> {
    let mut file = File::from(rustix::fs::memfd_create("material", MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file.into())
}
