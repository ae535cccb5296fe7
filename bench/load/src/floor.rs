//! The floor: one thread and epoll that make the system calls and the cryptography that a proxy cannot do without, and
//! nothing else. No routes, no HTTP, no headers, no limits, no logs: never a proxy to use, only something to measure by.
//!
//! Bytes that come are decrypted, encrypted and sent on; a read that fills less than its room is the last until epoll
//! says more; nothing is re-armed. Connections to the backend are kept for the next client.

use crate::{Failed, Given, tls};
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection, pki_types::ServerName};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;

const ROOM: usize = 256 * 1024;
const LISTENER: u64 = u64::MAX;

struct Floor {
    poll: OwnedFd,
    backend: SocketAddr,
    ends: Option<Arc<ServerConfig>>,
    begins: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    splices: bool,
    pairs: Vec<Option<Pair>>,
    free: Vec<usize>,
    /// Backends for the next client, each in the place that it had, so that what epoll still tells of it is nobody else's.
    spare: Vec<(usize, Side)>,
    room: Vec<u8>,
    plain: Vec<u8>,
}

/// Client, backend.
struct Pair([Side; 2]);

struct Side {
    sock: TcpStream,
    tls: Option<Connection>,
    readable: bool,
    /// Its end was told together with its last bytes: no other event will tell of it.
    ends: bool,
    ended: bool,
    /// What waits to be written to this side.
    waiting: Vec<u8>,
    /// What was spliced from this side and not yet to the other.
    pipe: Option<(OwnedFd, OwnedFd, usize)>,
}

/// `listen= to= [mode=splice] [chain= key=] [name= ca= [present_chain= present_key=]]`: ends TLS where a certificate is
/// given, begins it where roots are.
pub(crate) fn run(given: &Given) -> Result<(), Failed> {
    let ends = match (given.maybe("chain"), given.maybe("key")) {
        (Some(chain), Some(key)) => Some(tls::server(chain, key)?),
        _ => None,
    };
    let begins = match (given.maybe("ca"), given.maybe("name")) {
        (Some(_), Some(name)) => Some((tls::client(&given.presenting())?, ServerName::try_from(name.to_owned())?)),
        _ => None,
    };
    let listener = TcpListener::bind(given.text("listen")?)?;
    rustix::net::listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN | epoll::EventFlags::ET)?;
    let backend = given.text("to")?.parse()?;
    let splices = given.maybe("mode") == Some("splice");
    let (pairs, free, spare) = Default::default();
    let (room, plain) = (vec![0; ROOM], vec![0; ROOM]);
    Floor { poll, backend, ends, begins, splices, pairs, free, spare, room, plain }.serve(&listener)
}

impl Given {
    fn presenting(&self) -> Given {
        let mut it = self.clone();
        for (from, to) in [("present_chain", "chain"), ("present_key", "key")] {
            it.0.remove(to);
            if let Some(value) = self.0.get(from) {
                it.0.insert(to.into(), value.clone());
            }
        }
        it
    }
}

impl Floor {
    fn serve(mut self, listener: &TcpListener) -> Result<(), Failed> {
        let mut events = Vec::with_capacity(512);
        loop {
            events.clear();
            match epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), None) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            for event in &events {
                let flags = event.flags;
                match event.data.u64() {
                    LISTENER => self.accept(listener)?,
                    token => self.move_on(usize::try_from(token)?, flags.contains(epoll::EventFlags::RDHUP)),
                }
            }
        }
    }

    fn accept(&mut self, listener: &TcpListener) -> Result<(), Failed> {
        loop {
            let sock = match listener.accept() {
                Ok((sock, _)) => sock,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e.into()),
            };
            sock.set_nonblocking(true)?;
            sock.set_nodelay(true)?;
            let kept = self.kept();
            let at = kept.as_ref().map(|(at, _)| *at).or_else(|| self.free.pop()).unwrap_or(self.pairs.len());
            let session = self.ends.clone().map(ServerConnection::new).transpose()?.map(Connection::Server);
            let client = self.side(sock, session, at * 2)?;
            let backend = match kept {
                Some((_, side)) => side,
                None => {
                    let sock = TcpStream::connect(self.backend)?;
                    sock.set_nonblocking(true)?;
                    sock.set_nodelay(true)?;
                    let session = match &self.begins {
                        Some((config, name)) => Some(ClientConnection::new(config.clone(), name.clone())?),
                        None => None,
                    };
                    self.side(sock, session.map(Connection::Client), at * 2 + 1)?
                }
            };
            let pair = Some(Pair([client, backend]));
            match self.pairs.get_mut(at) {
                Some(slot) => *slot = pair,
                None => self.pairs.push(pair),
            }
            self.move_on(at * 2, false);
        }
    }

    /// The last kept backend that said nothing meanwhile: what it could say is that it was idle for too long.
    fn kept(&mut self) -> Option<(usize, Side)> {
        while let Some((at, side)) = self.spare.pop() {
            if side.sock.peek(&mut [0]).is_err_and(|e| e.kind() == ErrorKind::WouldBlock) {
                return Some((at, side));
            }
            self.free.push(at);
        }
        None
    }

    fn side(&self, sock: TcpStream, tls: Option<Connection>, token: usize) -> Result<Side, Failed> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        epoll::add(&self.poll, &sock, epoll::EventData::new_u64(u64::try_from(token)?), flags)?;
        let pipe = match self.splices {
            true => pipe_with(PipeFlags::NONBLOCK).map(|(r, w)| Some((r, w, 0)))?,
            false => None,
        };
        Ok(Side { sock, tls, readable: false, ends: false, ended: false, waiting: Vec::new(), pipe })
    }

    fn move_on(&mut self, token: usize, ends: bool) {
        let at = token / 2;
        let Some(Some(Pair(sides))) = self.pairs.get_mut(at) else { return };
        if let Some(side) = sides.get_mut(token % 2) {
            side.readable = true;
            side.ends |= ends;
        }
        let [client, backend] = sides;
        let (room, plain) = (&mut self.room, &mut self.plain);
        let there = pump(client, backend, room, plain);
        let back = pump(backend, client, room, plain);
        // What one way left to be written may go now (a handshake's flights go both ways).
        let there = there && (client.tls.is_none() || pump(client, backend, room, plain));
        if there && back && !client.ended && !backend.ended {
            return;
        }
        let pair = self.pairs.get_mut(at).and_then(Option::take);
        match pair {
            Some(Pair([_, mut backend]))
                if there
                    && back
                    && !backend.ended
                    && backend.waiting.is_empty()
                    && !backend.tls.as_ref().is_some_and(|s| s.is_handshaking())
                    // Where TLS does not end here, the backend's session was this client's.
                    && self.ends.is_some() =>
            {
                backend.readable = false;
                self.spare.push((at, backend));
            }
            _ => self.free.push(at),
        }
    }
}

/// Moves what came at `from` on to `to`; false when either broke.
fn pump(from: &mut Side, to: &mut Side, room: &mut [u8], plain: &mut [u8]) -> bool {
    if from.pipe.is_some() {
        return splice_on(from, to).is_ok();
    }
    loop {
        if !flush(to) || !flush(from) {
            return false;
        }
        if !to.waiting.is_empty() || to.tls.as_ref().is_some_and(|s| s.wants_write()) || !from.readable {
            return true;
        }
        let n = match from.sock.read(room) {
            Ok(0) => {
                from.ended = true;
                return true;
            }
            Ok(n) => n,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                from.readable = false;
                return true;
            }
            Err(_) => return false,
        };
        from.readable = from.ends || n == room.len();
        let mut came = room.get(..n).unwrap_or_default();
        let Some(session) = &mut from.tls else {
            if !give(to, came) {
                return false;
            }
            continue;
        };
        while !came.is_empty() {
            if session.read_tls(&mut came).is_err() || session.process_new_packets().is_err() {
                return false;
            }
            while let Ok(n) = session.reader().read(plain) {
                if n == 0 {
                    from.ended = true;
                    break;
                }
                if !give(to, plain.get(..n).unwrap_or_default()) {
                    return false;
                }
            }
        }
    }
}

/// Writes plaintext to a side: at once, or queued.
fn give(to: &mut Side, bytes: &[u8]) -> bool {
    match &mut to.tls {
        Some(session) => {
            session.set_buffer_limit(None);
            session.writer().write_all(bytes).is_ok()
        }
        None => {
            let n = match to.sock.write(bytes) {
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => 0,
                Err(_) => return false,
            };
            to.waiting.extend_from_slice(bytes.get(n..).unwrap_or_default());
            true
        }
    }
}

fn flush(side: &mut Side) -> bool {
    while let Some(session) = side.tls.as_mut().filter(|s| s.wants_write()) {
        match session.write_tls(&mut side.sock) {
            Ok(_) => {}
            Err(e) => return e.kind() == ErrorKind::WouldBlock,
        }
    }
    while !side.waiting.is_empty() {
        match side.sock.write(&side.waiting) {
            Ok(n) => drop(side.waiting.drain(..n)),
            Err(e) => return e.kind() == ErrorKind::WouldBlock,
        }
    }
    true
}

fn splice_on(from: &mut Side, to: &mut Side) -> Result<(), Errno> {
    let Some((out, into, held)) = &mut from.pipe else { return Ok(()) };
    loop {
        while *held > 0 {
            match splice(&*out, None, &to.sock, None, *held, SpliceFlags::NONBLOCK | SpliceFlags::MOVE) {
                Ok(n) => *held -= n,
                Err(Errno::AGAIN) => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        if !from.readable {
            return Ok(());
        }
        match splice(&from.sock, None, &*into, None, 1 << 20, SpliceFlags::NONBLOCK | SpliceFlags::MOVE) {
            Ok(0) => {
                from.ended = true;
                return Ok(());
            }
            Ok(n) => *held = n,
            Err(Errno::AGAIN) => {
                from.readable = false;
                return Ok(());
            }
            Err(e) => return Err(e),
        }
    }
}
