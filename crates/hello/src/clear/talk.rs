//! A client's side of the conversation before TLS: its bytes so far become an answer, the beginning of TLS, or an end. The
//! edge speaks for itself here: nobody behind it has heard of the client. Read next: `smtp.rs`.

use crate::clear::{Protocol, imap, ldap, postgres, smtp};
use std::net::IpAddr;

/// Answers that a client gets before it must begin TLS: a client needs two or three.
const ANSWERS: u8 = 16;

/// What the bytes of a client are so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    NeedMore,
    /// The first `consumed` bytes get this answer, and the conversation goes on.
    Answer {
        consumed: usize,
        says: Vec<u8>,
    },
    /// All bytes are a request for TLS: it begins behind this answer.
    Begins {
        says: Vec<u8>,
    },
    /// TLS begins without being asked for: nothing is consumed.
    AtOnce,
    /// It says goodbye.
    Leaves {
        says: Vec<u8>,
    },
    /// More came than a request for TLS, before that had its answer.
    Early,
    /// It is not served, and told so last.
    Refused {
        says: Vec<u8>,
    },
}

/// A conversation, of a client that has been greeted.
#[derive(Debug)]
pub struct Talk {
    protocol: Protocol,
    pub(super) us: IpAddr,
    answers: u8,
    /// It introduced itself, or was denied what PostgreSQL asks for first.
    pub(super) begun: bool,
    pub(super) denied: bool,
}

impl Talk {
    /// `us`: the address that the client reached, by which the edge calls itself.
    pub fn new(protocol: Protocol, us: IpAddr) -> Talk {
        Talk { protocol, us, answers: 0, begun: false, denied: false }
    }

    /// What the client is told before it says anything, with what it may do here; empty where it speaks first.
    pub fn greeting(&self) -> Vec<u8> {
        match self.protocol {
            Protocol::Imap => imap::CLEAR_GREETING.to_vec(),
            other => other.greeting(self.us),
        }
    }

    /// It asked for something that is not had without TLS.
    pub fn was_denied(&self) -> bool {
        self.denied
    }

    /// Reads what the client sent and got no answer for yet.
    pub fn hear(&mut self, bytes: &[u8]) -> Heard {
        let heard = match self.protocol {
            Protocol::Postgres => postgres::hear(self, bytes),
            Protocol::Smtp => smtp::hear(self, bytes),
            Protocol::Imap => imap::hear(self, bytes),
            Protocol::Ldap => ldap::hear(self, bytes),
        };
        if matches!(heard, Heard::Answer { .. }) {
            self.answers += 1;
            if self.answers > ANSWERS {
                return Heard::Refused { says: self.enough() };
            }
        }
        heard
    }

    /// The last words to a client that talks on and does not begin TLS.
    fn enough(&self) -> Vec<u8> {
        match self.protocol {
            Protocol::Postgres => Vec::new(),
            Protocol::Smtp => smtp::ENOUGH.to_vec(),
            Protocol::Imap => imap::ENOUGH.to_vec(),
            Protocol::Ldap => ldap::disconnection(),
        }
    }
}
