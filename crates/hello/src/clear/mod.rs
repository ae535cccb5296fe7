//! What is said in the clear before a hello, by protocols that begin without TLS and ask for it: a client's words and the
//! answers to them (`talk.rs`), and how a backend is asked (`asking.rs`); the grammars are a file each. Every word is
//! bounded, nothing is guessed, and whatever came behind a request for TLS is told, since it must get into no session
//! (the kind of CVE-2011-0411). Read next: `talk.rs`.

mod asking;
mod ber;
mod imap;
mod ldap;
mod lines;
mod postgres;
mod smtp;
mod talk;

pub use asking::{Answer, Asking, Unwilling};
pub use talk::{Heard, Talk};

use std::net::IpAddr;

/// A protocol that begins in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// SSLRequest (PostgreSQL, "Message Flow", "SSL Session Encryption").
    Postgres,
    /// STARTTLS of RFC 3207.
    Smtp,
    /// STARTTLS of RFC 9051 §6.2.1.
    Imap,
    /// StartTLS of RFC 4511 §4.14.
    Ldap,
}

impl Protocol {
    /// What a server of it says that is there and has not yet asked who comes: the edge's own greeting, in which nothing of
    /// a backend's stands. Empty where the client speaks first.
    pub fn greeting(self, us: IpAddr) -> Vec<u8> {
        match self {
            Protocol::Smtp => smtp::greeting(us),
            Protocol::Imap => imap::GREETING.to_vec(),
            Protocol::Postgres | Protocol::Ldap => Vec::new(),
        }
    }
}
