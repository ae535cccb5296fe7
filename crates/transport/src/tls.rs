//! TLS over buffers, for both sides of us: the only file that speaks rustls' record interface.
//!
//! rustls' unbuffered interface lets us own the buffers, so that an idle session holds none. [`Session::drive`] moves
//! ciphertext to plaintext and queues what must be sent; it does no I/O. Read next: `side.rs`, which does.

use crate::buf::Buf;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{ClientConfig, CommonState, ServerConfig, pki_types::ServerName};
use std::sync::Arc;

/// One TLS session, whichever side of it we are. Large, so that what has one keeps it in a box.
pub enum Session {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What a call of [`Session::drive`] left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driven {
    /// Everything that was there is processed.
    More,
    /// The peer said close_notify.
    PeerClosed,
}

/// Room that a record's header, tag and content type need.
const RECORD_OVERHEAD: usize = 64;
/// RFC 8446 §5.1.
const RECORD_BYTES: usize = 16 * 1024;
/// A record that fits one segment: what a client gets in the first round trip it can decrypt in that round trip. A full
/// record would keep it waiting for the second.
const SMALL_RECORD_BYTES: usize = 1369;
/// What goes out in small records while the network's window is narrow: ten segments (RFC 6928).
pub const SMALL_FIRST_BYTES: usize = 10 * SMALL_RECORD_BYTES;

impl Session {
    pub fn server(config: Arc<ServerConfig>) -> Result<Session, rustls::Error> {
        Ok(Session::Server(UnbufferedServerConnection::new(config)?))
    }

    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Session, rustls::Error> {
        Ok(Session::Client(UnbufferedClientConnection::new(config, name)?))
    }

    pub fn common(&self) -> &CommonState {
        match self {
            Session::Server(c) => c,
            Session::Client(c) => c,
        }
    }

    /// Processes all of `incoming`, appends plaintext to `plain` and what must be sent to `outgoing`.
    ///
    /// On an error the alert for the peer is in `outgoing`.
    pub fn drive(&mut self, incoming: &mut Buf, plain: &mut Buf, outgoing: &mut Buf) -> Result<Driven, rustls::Error> {
        let driven = self.run(Step { incoming, plain, outgoing, last: Last::Nothing });
        if driven.is_err() {
            // rustls queued the alert, which comes out before anything else is looked at; then nothing is asked of it any more:
            // it would fail once more. What is left is shown to it, since there may be messages behind the one that failed in
            // its record (BoringSSL writes a whole flight into one), and rustls keeps offsets to them.
            let _ = self.run(Step { incoming, plain: &mut Buf::default(), outgoing, last: Last::Queued });
        }
        driven.map(|(driven, _)| driven)
    }

    /// Encrypts all of `bytes` onto `outgoing`, the first `small` of them in small records; gives false if the session
    /// cannot send application data.
    ///
    /// Takes `incoming` too: rustls keeps offsets into it while a handshake message is incomplete.
    pub fn encrypt(
        &mut self,
        bytes: &[u8],
        small: usize,
        incoming: &mut Buf,
        plain: &mut Buf,
        outgoing: &mut Buf,
    ) -> Result<(Driven, bool), rustls::Error> {
        self.run(Step { incoming, plain, outgoing, last: Last::Seal(bytes, small) })
    }

    /// Queues close_notify; a session that is not open sends none.
    pub fn close(&mut self, incoming: &mut Buf, outgoing: &mut Buf) {
        let step = Step { incoming, plain: &mut Buf::default(), outgoing, last: Last::Close };
        // A session that cannot say goodbye is closed without: the peer sees truncation, which is the truth.
        let _ = self.run(step);
    }

    fn run(&mut self, mut step: Step<'_>) -> Result<(Driven, bool), rustls::Error> {
        let mut driven = Driven::More;
        loop {
            if matches!(step.last, Last::Queued) && !self.common().wants_write() {
                return Ok((driven, false));
            }
            // The buffer is lent to rustls for the call and put back after it.
            let mut incoming = std::mem::take(step.incoming);
            let (discard, next) = match self {
                Session::Server(c) => step.server(c.process_tls_records(incoming.bytes_mut())),
                Session::Client(c) => step.client(c.process_tls_records(incoming.bytes_mut())),
            };
            incoming.consume_keep(discard);
            *step.incoming = incoming;
            match next? {
                Next::Again => {}
                Next::PeerClosed => driven = Driven::PeerClosed,
                Next::Blocked => return Ok((driven, false)),
                Next::Done => return Ok((driven, true)),
                Next::Closed => return Ok((Driven::PeerClosed, false)),
            }
        }
    }
}

/// What one round of the state machine asks for; it hides rustls' two data types from the loop.
struct Step<'a> {
    incoming: &'a mut Buf,
    plain: &'a mut Buf,
    outgoing: &'a mut Buf,
    last: Last<'a>,
}

/// What to do once everything that came is processed.
enum Last<'a> {
    Nothing,
    /// Not even that: what is queued comes out, and nothing more.
    Queued,
    Seal(&'a [u8], usize),
    Close,
}

enum Next {
    Again,
    Blocked,
    Done,
    PeerClosed,
    Closed,
}

macro_rules! step {
    ($name:ident, $data:ty) => {
        fn $name(&mut self, status: UnbufferedStatus<'_, '_, $data>) -> (usize, Result<Next, rustls::Error>) {
            let mut discard = status.discard;
            let next = match status.state {
                Err(e) => Err(e),
                Ok(ConnectionState::ReadTraffic(mut read)) => loop {
                    match read.next_record() {
                        Some(Ok(record)) => {
                            discard += record.discard;
                            self.plain.push(record.payload);
                        }
                        Some(Err(e)) => break Err(e),
                        None => break Ok(Next::Again),
                    }
                },
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    let mut need = 512;
                    loop {
                        match encode_into(self.outgoing, need, |room| data.encode(room)) {
                            Ok(()) => break Ok(Next::Again),
                            Err(EncodeError::InsufficientSize(more)) => need = more.required_size,
                            Err(EncodeError::AlreadyEncoded) => break Ok(Next::Again),
                        }
                    }
                }
                // Queued counts as sent: the wire flushes before it waits.
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    Ok(Next::Again)
                }
                Ok(ConnectionState::PeerClosed) => Ok(Next::PeerClosed),
                Ok(ConnectionState::Closed) => Ok(Next::Closed),
                // Early data is off at every site; a state that we do not know must not pass as progress.
                Ok(ConnectionState::ReadEarlyData(_)) => Err(rustls::Error::General("early data".into())),
                Ok(ConnectionState::BlockedHandshake) => Ok(Next::Blocked),
                Ok(ConnectionState::WriteTraffic(mut w)) => match self.last {
                    Last::Nothing | Last::Queued => Ok(Next::Blocked),
                    Last::Seal(bytes, small) => {
                        // What fits one full record anyway is not worth cutting.
                        let small = if bytes.len() > SMALL_FIRST_BYTES { small } else { 0 };
                        let (first, rest) = bytes.split_at(small.min(bytes.len()));
                        let rest = Some(rest).filter(|r| !r.is_empty() || first.is_empty());
                        let mut pieces = first.chunks(SMALL_RECORD_BYTES).chain(rest);
                        pieces.try_for_each(|piece| seal(&mut w, piece, self.outgoing)).map(|()| Next::Done)
                    }
                    Last::Close => {
                        let _ = encode_into(self.outgoing, RECORD_OVERHEAD, |room| w.queue_close_notify(room));
                        Ok(Next::Done)
                    }
                },
                Ok(_) => Err(rustls::Error::General("unknown TLS state".into())),
            };
            (discard, next)
        }
    };
}

impl Step<'_> {
    step!(server, ServerConnectionData);
    step!(client, ClientConnectionData);
}

fn encode_into<E>(out: &mut Buf, need: usize, f: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<(), E> {
    out.reserve(need);
    let tail = out.tail();
    let before = tail.len();
    tail.resize(before + need, 0);
    let wrote = f(tail.get_mut(before..).unwrap_or_default());
    tail.truncate(before + wrote.as_ref().copied().unwrap_or(0));
    wrote.map(|_| ())
}

fn seal<D>(w: &mut WriteTraffic<'_, D>, bytes: &[u8], out: &mut Buf) -> Result<(), rustls::Error> {
    let records = bytes.len() / RECORD_BYTES + 1;
    let mut need = bytes.len() + records * RECORD_OVERHEAD;
    loop {
        match encode_into(out, need, |room| w.encrypt(bytes, room)) {
            Ok(()) => return Ok(()),
            Err(EncryptError::InsufficientSize(more)) => need = more.required_size,
            Err(EncryptError::EncryptExhausted) => return Err(rustls::Error::EncryptError),
        }
    }
}
