//! The backend of a session: it records what arrives, and serves only what a strict reader takes for a request, or says
//! what it was told to.

use crate::oracle::{self, Ends, NoHead};
use crate::shown;
use std::cell::RefCell;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{spawn_local, yield_now};

#[derive(Clone, Default)]
pub enum Behaviour {
    /// Answers each complete request.
    #[default]
    Serves,
    /// Once something came, says this in pieces, then closes or waits.
    Says { pieces: Vec<Vec<u8>>, closes: bool },
}

/// What a connection brought.
#[derive(Debug, Default, Clone)]
pub struct Received {
    pub bytes: Vec<u8>,
    pub requests: Vec<Request>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
}

#[derive(Default)]
pub struct Backend {
    behaviour: Behaviour,
    received: Vec<Received>,
    moved: usize,
}

impl Backend {
    pub fn reset(&mut self, behaviour: Behaviour) {
        self.behaviour = behaviour;
        self.received.clear();
    }

    pub fn take(&mut self) -> Vec<Received> {
        std::mem::take(&mut self.received)
    }

    /// Changes whenever something happens here.
    pub fn progress(&self) -> usize {
        self.moved
    }
}

type Shared = Rc<RefCell<Backend>>;

pub async fn listen(listener: UnixListener, backend: Shared) {
    while let Ok((sock, _)) = listener.accept().await {
        let at = {
            let mut it = backend.borrow_mut();
            it.moved += 1;
            it.received.push(Received::default());
            it.received.len() - 1
        };
        spawn_local(serve(sock, backend.clone(), at));
    }
}

async fn serve(mut sock: UnixStream, backend: Shared, at: usize) {
    let behaviour = backend.borrow().behaviour.clone();
    let mut unread = Vec::new();
    let mut said = false;
    let mut some = [0u8; 4096];
    while let Ok(n) = sock.read(&mut some).await {
        let answers = {
            let mut all = backend.borrow_mut();
            all.moved += 1;
            // Of an input before this one: it is swept away.
            let Some(mine) = all.received.get_mut(at) else { return };
            mine.bytes.extend_from_slice(&some[..n]);
            unread.extend_from_slice(&some[..n]);
            let before = mine.requests.len();
            while let Some((request, len)) = next(&unread) {
                mine.requests.push(request);
                unread.drain(..len);
            }
            mine.requests.len() - before
        };
        if n == 0 {
            return;
        }
        match &behaviour {
            // HTTP/2 by prior knowledge is not served.
            Behaviour::Serves if unread.starts_with(b"PRI ") => return,
            Behaviour::Serves => {
                for _ in 0..answers {
                    let head =
                        backend.borrow().received.get(at).and_then(|r| r.requests.last().map(|r| r.method == b"HEAD"));
                    let answer: &[u8] = match head {
                        Some(true) => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
                        _ => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                    };
                    if sock.write_all(answer).await.is_err() {
                        return;
                    }
                }
            }
            Behaviour::Says { .. } if said => {}
            Behaviour::Says { pieces, closes } => {
                said = true;
                for piece in pieces {
                    if sock.write_all(piece).await.is_err() {
                        return;
                    }
                    backend.borrow_mut().moved += 1;
                    yield_now().await;
                }
                if *closes {
                    return;
                }
            }
        }
    }
}

/// The next complete request; what can never be one must not have come here at all.
fn next(bytes: &[u8]) -> Option<(Request, usize)> {
    if bytes.starts_with(b"PRI ") {
        return None;
    }
    let head = match oracle::request(bytes) {
        Ok(head) => head,
        Err(NoHead::Incomplete) => return None,
        Err(NoHead::Wrong) => panic!("no request, and it reached the backend: {}", shown(bytes)),
    };
    let rest = &bytes[head.len..];
    let (body, len) = match head.ends {
        Ends::Nowhere => (Vec::new(), 0),
        Ends::After(n) => {
            let n = usize::try_from(n).ok()?;
            (rest.get(..n)?.to_vec(), n)
        }
        Ends::WithLastChunk => {
            let (body, _, len) = oracle::dechunk(rest)?;
            (body, len)
        }
        Ends::WithTheConnection => panic!("a request that ends with the connection: {}", shown(bytes)),
    };
    let [method, target, _] = head.first;
    Some((Request { method, target, fields: head.fields, body }, head.len + len))
}
