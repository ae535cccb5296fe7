//! The `h2` crate as a second judge, polled by hand over bytes in memory: a server that answers each request when it is
//! whole, and a client whose answers are read to their end.

use crate::kit::{Frame, GOAWAY, RESET, frames};
use bytes::Bytes;
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Both ways of a connection.
#[derive(Default)]
pub struct Wires {
    pub input: RefCell<Vec<u8>>,
    pub output: RefCell<Vec<u8>>,
}

pub struct Io(Rc<Wires>);

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut input = self.0.input.borrow_mut();
        let n = input.len().min(into.remaining());
        if n == 0 {
            return Poll::Pending;
        }
        into.put_slice(&input[..n]);
        input.drain(..n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.output.borrow_mut().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What became of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Goes,
    Stream,
    Connection,
}

/// By what one side said: a reset by which it refuses, or that it goes away in anger.
pub fn verdict(said: &[Frame]) -> Verdict {
    let of = |it: &Frame| match it.kind {
        GOAWAY if it.payload[4..8] != [0; 4] => Verdict::Connection,
        // NO_ERROR and CANCEL are an application's.
        RESET if !matches!(it.number(), 0 | 8) => Verdict::Stream,
        _ => Verdict::Goes,
    };
    said.iter().map(of).max().unwrap_or(Verdict::Goes)
}

/// A message as an application has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

fn said(map: &http::HeaderMap) -> Vec<(String, String)> {
    map.iter().map(|(name, value)| (name.to_string(), crate::kit::text(value.as_bytes()))).collect()
}

pub fn map(fields: &[(String, Vec<u8>)]) -> http::HeaderMap {
    let mut map = http::HeaderMap::new();
    for (name, value) in fields {
        let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a name");
        map.append(name, http::HeaderValue::from_bytes(value).expect("a value"));
    }
    map
}

/// A stream's incoming half.
pub struct Incoming {
    body: h2::RecvStream,
    pub message: Message,
    /// The crate would not take it, which it tells its application alone where the stream is closed.
    refused: bool,
}

impl Incoming {
    fn new(body: h2::RecvStream, fields: &http::HeaderMap) -> Incoming {
        Incoming { body, message: Message { fields: said(fields), ..Message::default() }, refused: false }
    }

    fn fails(&mut self, why: &h2::Error) -> Poll<bool> {
        self.refused = why.is_library();
        Poll::Ready(false)
    }

    /// Whether it ended, as a whole or otherwise.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            match self.body.poll_data(cx) {
                Poll::Ready(Some(Ok(some))) => {
                    self.message.body.extend_from_slice(&some);
                    self.body.flow_control().release_capacity(some.len()).expect("its own");
                }
                Poll::Ready(Some(Err(why))) => return self.fails(&why),
                Poll::Ready(None) => match self.body.poll_trailers(cx) {
                    Poll::Ready(Ok(it)) => {
                        self.message.trailers = it.map(|it| said(&it)).unwrap_or_default();
                        return Poll::Ready(true);
                    }
                    Poll::Ready(Err(why)) => return self.fails(&why),
                    Poll::Pending => return Poll::Pending,
                },
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// A body on its way.
pub struct Outgoing {
    send: h2::SendStream<Bytes>,
    body: Vec<u8>,
    trailers: http::HeaderMap,
}

impl Outgoing {
    /// True when all of it went, or nothing will.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        while !self.body.is_empty() {
            self.send.reserve_capacity(self.body.len());
            if self.send.capacity() == 0 {
                match self.send.poll_capacity(cx) {
                    Poll::Ready(Some(Ok(_))) => continue,
                    Poll::Pending => return false,
                    _ => return true,
                }
            }
            let n = self.send.capacity().min(self.body.len());
            let some: Vec<u8> = self.body.drain(..n).collect();
            if self.send.send_data(some.into(), false).is_err() {
                return true;
            }
        }
        let _ = match self.trailers.is_empty() {
            true => self.send.send_data(Bytes::new(), true),
            false => self.send.send_trailers(std::mem::take(&mut self.trailers)),
        };
        true
    }
}

pub struct Server {
    pub wires: Rc<Wires>,
    conn: h2::server::Connection<Io, Bytes>,
    asked: Vec<(http::Request<()>, Incoming, h2::server::SendResponse<Bytes>)>,
    sending: Vec<Outgoing>,
    /// Whole requests.
    pub heard: Vec<(http::Request<()>, Message)>,
    /// What each is answered by.
    pub answer: Message,
    pub failed: bool,
}

impl Server {
    /// Of a client that says `hello` first.
    pub fn new(hello: &[u8]) -> Server {
        let wires = Rc::<Wires>::default();
        wires.input.borrow_mut().extend_from_slice(hello);
        let mut it = h2::server::Builder::new();
        it.initial_window_size(65_536).initial_connection_window_size(1 << 20).max_concurrent_streams(100);
        it.max_header_list_size(65_536).max_frame_size(16_384).enable_connect_protocol();
        let mut shaking = Box::pin(it.handshake::<_, Bytes>(Io(wires.clone())));
        let cx = &mut Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(conn)) = shaking.as_mut().poll(cx) else { panic!("a right hello") };
        let answer = Message { body: b"ok".to_vec(), ..Message::default() };
        Server { wires, conn, asked: Vec::new(), sending: Vec::new(), heard: Vec::new(), answer, failed: false }
    }

    pub fn poll(&mut self) {
        let cx = &mut Context::from_waker(Waker::noop());
        for _ in 0..3 {
            while let Poll::Ready(it) = self.conn.poll_accept(cx) {
                let Some(Ok((request, respond))) = it else {
                    self.failed = true;
                    break;
                };
                let (parts, body) = request.into_parts();
                let incoming = Incoming::new(body, &parts.headers);
                self.asked.push((http::Request::from_parts(parts, ()), incoming, respond));
            }
            let mut i = 0;
            while let Some((_, incoming, _)) = self.asked.get_mut(i) {
                match incoming.poll(cx) {
                    Poll::Pending => i += 1,
                    Poll::Ready(whole) => {
                        let (request, incoming, respond) = self.asked.swap_remove(i);
                        if whole {
                            self.respond(respond);
                            self.heard.push((request, incoming.message));
                        }
                    }
                }
            }
            self.sending.retain_mut(|it| !it.poll(cx));
        }
    }

    fn respond(&mut self, mut respond: h2::server::SendResponse<Bytes>) {
        let mut head = http::Response::new(());
        let fields: Vec<_> =
            self.answer.fields.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
        *head.headers_mut() = map(&fields);
        if let Ok(send) = respond.send_response(head, false) {
            let trailers: Vec<_> =
                self.answer.trailers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
            self.sending.push(Outgoing { send, body: self.answer.body.clone(), trailers: map(&trailers) });
        }
    }

    /// Hears some bytes, and gives what it says.
    pub fn hears(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.wires.input.borrow_mut().extend_from_slice(bytes);
        self.poll();
        self.wires.output.take()
    }

    pub fn judges(&mut self, bytes: &[u8]) -> Verdict {
        let said = frames(&self.hears(bytes));
        if self.failed { Verdict::Connection } else { verdict(&said) }
    }
}

type Conn = Pin<Box<h2::client::Connection<Io, Bytes>>>;

pub struct Client {
    pub wires: Rc<Wires>,
    send: h2::client::SendRequest<Bytes>,
    conn: Conn,
    waiting: Vec<(h2::client::ResponseFuture, Option<(u16, Incoming)>)>,
    sending: Vec<Outgoing>,
    /// Whole answers.
    pub heard: Vec<(u16, Message)>,
    pub failed: bool,
    /// An answer was refused.
    refused: bool,
}

impl Client {
    pub fn new() -> Client {
        let wires = Rc::<Wires>::default();
        let mut it = h2::client::Builder::new();
        it.enable_push(false).initial_window_size(65_536).initial_connection_window_size(1 << 20);
        it.max_header_list_size(65_536);
        let mut shaking = Box::pin(it.handshake::<_, Bytes>(Io(wires.clone())));
        let cx = &mut Context::from_waker(Waker::noop());
        let Poll::Ready(Ok((send, conn))) = shaking.as_mut().poll(cx) else { panic!("nothing to wait for") };
        Client {
            wires,
            send,
            conn: Box::pin(conn),
            waiting: Vec::new(),
            sending: Vec::new(),
            heard: Vec::new(),
            failed: false,
            refused: false,
        }
    }

    pub fn ask(&mut self, request: http::Request<()>, message: Message) {
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(self.send.poll_ready(cx).is_ready());
        let is_bare = message.body.is_empty() && message.trailers.is_empty();
        let (response, send) = self.send.send_request(request, is_bare).expect("room");
        self.waiting.push((response, None));
        if !is_bare {
            let trailers: Vec<_> =
                message.trailers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
            self.sending.push(Outgoing { send, body: message.body, trailers: map(&trailers) });
        }
    }

    pub fn poll(&mut self) {
        let cx = &mut Context::from_waker(Waker::noop());
        for _ in 0..3 {
            if !self.failed
                && let Poll::Ready(it) = self.conn.as_mut().poll(cx)
            {
                self.failed = it.is_err();
            }
            self.sending.retain_mut(|it| !it.poll(cx));
            let (heard, refused) = (&mut self.heard, &mut self.refused);
            self.waiting.retain_mut(|(response, answer)| {
                if answer.is_none() {
                    match Pin::new(response).poll(cx) {
                        Poll::Ready(Ok(it)) => {
                            let (parts, body) = it.into_parts();
                            *answer = Some((parts.status.as_u16(), Incoming::new(body, &parts.headers)));
                        }
                        Poll::Ready(Err(why)) => {
                            *refused |= why.is_library();
                            return false;
                        }
                        Poll::Pending => return true,
                    }
                }
                let Some((status, incoming)) = answer else { return true };
                match incoming.poll(cx) {
                    Poll::Ready(whole) => {
                        *refused |= incoming.refused;
                        if whole {
                            heard.push((*status, std::mem::take(&mut incoming.message)));
                        }
                        false
                    }
                    Poll::Pending => true,
                }
            });
        }
    }

    pub fn hears(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.wires.input.borrow_mut().extend_from_slice(bytes);
        self.poll();
        self.wires.output.take()
    }

    pub fn judges(&mut self, bytes: &[u8]) -> Verdict {
        let said = frames(&self.hears(bytes));
        match verdict(&said) {
            _ if self.failed => Verdict::Connection,
            Verdict::Goes if self.refused => Verdict::Stream,
            it => it,
        }
    }
}
