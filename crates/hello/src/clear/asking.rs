//! A backend is asked for TLS before anything else: one word at a time, and after each the whole of its answer and nothing
//! behind it. Read next: `smtp.rs`.

use crate::clear::{Protocol, imap, ldap, postgres, smtp};
use std::net::{IpAddr, Ipv4Addr};

/// Most bytes of one answer: an EHLO's has a dozen lines.
pub(super) const REPLY_BYTES: usize = 8192;

/// What a backend's bytes since it was last spoken to are so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    NeedMore,
    /// They are all of its answer: this comes next.
    Say(Vec<u8>),
    /// They are all of its yes: TLS begins, or, where it was only to greet, the session.
    Begins,
    No(Unwilling),
}

/// Why it comes to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwilling {
    /// It does not say yes.
    NoTls(&'static str),
    /// It takes no session now, with TLS or without.
    NotReady(&'static str),
}

/// A yes is one where nothing comes behind it: whoever stands in between could have added that to what the session says
/// (CVE-2011-0411, CVE-2021-23222).
pub(super) fn yes(more: &[u8]) -> Answer {
    match more.is_empty() {
        true => Answer::Begins,
        false => Answer::No(Unwilling::NoTls("it said more than it was asked")),
    }
}

/// Where the conversation stands: what was said last.
#[derive(Debug, Clone, Copy)]
enum Step {
    Postgres,
    Ldap,
    Smtp(smtp::Step),
    Imap(imap::Step),
}

/// A conversation with a backend.
#[derive(Debug)]
pub struct Asking {
    step: Step,
    us: IpAddr,
    /// It is not asked for TLS: it greets whoever speaks to it, and that is all.
    only_greeting: bool,
}

impl Asking {
    /// `us`: by which the edge calls itself.
    pub fn for_tls(protocol: Protocol, us: IpAddr) -> Asking {
        let step = match protocol {
            Protocol::Postgres => Step::Postgres,
            Protocol::Ldap => Step::Ldap,
            Protocol::Smtp => Step::Smtp(smtp::Step::Greeting),
            Protocol::Imap => Step::Imap(imap::Step::Greeting),
        };
        Asking { step, us, only_greeting: false }
    }

    /// Its greeting alone, of a protocol whose servers greet.
    pub fn for_greeting(protocol: Protocol) -> Asking {
        Asking { only_greeting: true, ..Asking::for_tls(protocol, Ipv4Addr::LOCALHOST.into()) }
    }

    /// What is said before a byte of the backend's; empty where it speaks first.
    pub fn first(&self) -> Vec<u8> {
        match self.step {
            Step::Postgres => postgres::SSL_REQUEST.to_vec(),
            Step::Ldap => ldap::request(),
            Step::Smtp(_) | Step::Imap(_) => Vec::new(),
        }
    }

    /// Reads what the backend said since it was last spoken to.
    pub fn hear(&mut self, bytes: &[u8]) -> Answer {
        let answer = match self.step {
            Step::Postgres => postgres::answered(bytes),
            Step::Ldap => ldap::answered(bytes),
            Step::Smtp(step) => smtp::answered(step, bytes),
            Step::Imap(step) => imap::answered(step, bytes),
        };
        if answer != Answer::Begins || self.only_greeting {
            return answer;
        }
        let (next, says) = match self.step {
            Step::Smtp(smtp::Step::Greeting) => (Step::Smtp(smtp::Step::Ehlo), smtp::ehlo(self.us)),
            Step::Smtp(smtp::Step::Ehlo) => (Step::Smtp(smtp::Step::StartTls), smtp::STARTTLS.to_vec()),
            Step::Imap(imap::Step::Greeting) => (Step::Imap(imap::Step::StartTls), imap::STARTTLS.to_vec()),
            _ => return Answer::Begins,
        };
        self.step = next;
        Answer::Say(says)
    }
}
