//! Answers of a route that has nothing behind it: where it leads a client, or what it tells one; and those to preflights of
//! CORS. Like a refusal such an answer is made here whole; unlike one it is what was decided. Read next: `answer.rs`, which
//! all are written as.

use crate::admit::Refused;
use crate::client::answer::Answer;
use crate::client::conn::Conn;
use crate::client::question::Question;
use crate::exchange::asked::Asked;
use crate::exchange::carry::Carrier;
use crate::exchange::cors::Granted;
use crate::exchange::edits::{Knows, composed};
use crate::exchange::observed::{Seen, record};
use crate::exchange::words::{Behind, BodyLen, Meta};
use bytes::Bytes;
use everyhop_plan::Variable;
use everyhop_record::grpc;
use everyhop_record::refusal::Refusal;
use everyhop_running::given::GivenRun;
use everyhop_running::running::{RouteRun, Running};
use std::sync::Arc;
use std::time::Instant;

/// Why a request goes to no backend.
pub(crate) enum Stays {
    Refused(Refused),
    Given(Own),
    /// Somebody else has to be asked first.
    Asks(Box<Question>),
}

impl From<Refused> for Stays {
    fn from(by: Refused) -> Stays {
        Stays::Refused(by)
    }
}

impl From<Refusal> for Stays {
    fn from(why: Refusal) -> Stays {
        Stays::Refused(why.into())
    }
}

/// What the edge says itself.
pub(crate) enum Says {
    /// What its route has.
    Given,
    /// Whether a page of another origin may ask.
    Preflight,
    /// What somebody says who was asked about it, and did not let it pass.
    Denied(Box<Answer>),
}

/// A request to which the edge has an answer of its own.
pub(crate) struct Own {
    pub(crate) running: Arc<Running>,
    /// The index of its route.
    pub(crate) route: usize,
    pub(crate) says: Says,
}

impl Own {
    /// The answer; it is counted and observed at its route.
    pub(crate) fn answer(self, conn: &Conn, asked: &Asked, began: Instant) -> Option<Answer> {
        let route = self.running.route(self.route)?;
        let mut answer = match self.says {
            Says::Given => written(conn, asked, route.given.as_ref()?),
            Says::Preflight => preflight(asked.cors.as_deref()?),
            Says::Denied(it) => return Some(said_no(conn, asked, (&self.running, route), *it, began)),
        };
        // What the answer is stays told in the log, beside what a call was told.
        let (status, mut told) = (answer.meta.status, None);
        if asked.grpc {
            (answer, told) = told_to_call(answer);
        }
        let bytes_out = answer.body.len() as u64;
        let seen = Seen { status, grpc: told, bytes_out, ..Seen::default() };
        record(&conn.observer(), asked, &self.running, Some(route), &seen, began);
        Some(answer)
    }
}

/// Refused by somebody else's word, and told by it: the line has the status that this one gave.
#[cold]
fn said_no(
    conn: &Conn,
    asked: &Asked,
    (running, route): (&Running, &RouteRun),
    answer: Answer,
    began: Instant,
) -> Answer {
    let status = asked.verdict().map_or(answer.meta.status, |it| it.status);
    let told = answer.fields.iter().find(|(name, _)| asked.grpc && name == "grpc-status");
    let seen = Seen {
        status,
        grpc: told.map(|(_, value)| grpc::read(value)),
        bytes_out: answer.body.len() as u64,
        end: Err(Refusal::AskDenied),
        ..Seen::default()
    };
    record(&conn.observer(), asked, running, Some(route), &seen, began);
    answer
}

/// The same in the words of gRPC: trailers alone, whose status is what HTTP's stands for there. Its words are the message; a page
/// or a place to go would be for people. A route that says a status of gRPC itself is left as it is.
#[cold]
fn told_to_call(it: Answer) -> (Answer, Option<u8>) {
    let field =
        |name: &str| it.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone());
    if let Some(said) = field("grpc-status") {
        return (it, Some(grpc::read(&said)));
    }
    let code = grpc::of_http(it.meta.status);
    let in_words = field("content-type").is_some_and(|kind| kind.starts_with(b"text/plain"));
    let message = match it.body.trim_ascii() {
        words if in_words && !words.is_empty() => percent_encoded(words.get(..MESSAGE_BYTES).unwrap_or(words)),
        _ => format!("the edge answers {} itself", it.meta.status).into_bytes(),
    };
    let mut fields = vec![
        ("content-type".into(), b"application/grpc".to_vec()),
        ("grpc-status".into(), code.to_string().into_bytes()),
        ("grpc-message".into(), message),
    ];
    let of_a_body = ["content-type", "content-encoding", "content-language", "content-length", "location"];
    fields.extend(it.fields.into_iter().filter(|(name, _)| !of_a_body.iter().any(|b| name.eq_ignore_ascii_case(b))));
    let meta = Meta { status: 200, body: BodyLen::None, behind: Behind::Nothing };
    (Answer { meta, fields, body: Bytes::new() }, Some(code))
}

/// What of its words a call is told: a field, and no page.
const MESSAGE_BYTES: usize = 512;

/// As `grpc-message` has it.
fn percent_encoded(words: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(words.len());
    for byte in words {
        match byte {
            b'%' | 0..0x20 | 0x7f.. => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out
}

fn preflight(granted: &Granted) -> Answer {
    let mut answer = Answer {
        meta: Meta { status: 204, body: BodyLen::None, behind: Behind::Nothing },
        fields: Vec::new(),
        body: Bytes::new(),
    };
    granted.each_of_preflight(|name, value| answer.fields.push((name.into(), value.to_vec())));
    answer
}

fn written(knows: &impl Knows, asked: &Asked, it: &GivenRun) -> Answer {
    let mut answer = Answer {
        meta: Meta { status: it.status, body: BodyLen::Known(it.body.len() as u64), behind: Behind::Nothing },
        fields: Vec::with_capacity(it.fields.len() + 2),
        body: it.body.clone(),
    };
    if let Some(to) = &it.location {
        composed(to, asked, &Rooted(knows), |value| answer.fields.push(("location".into(), value.to_vec())));
    }
    for edit in &it.fields {
        let name = edit.name.clone();
        composed(&edit.value, asked, knows, |value| answer.fields.push((name.into(), value.to_vec())));
    }
    if asked.is_head() {
        answer.without_body();
    }
    answer
}

/// `*` is no path that anybody could be led to: it asks about the server, and its root stands for that.
struct Rooted<'a>(&'a dyn Knows);

impl Knows for Rooted<'_> {
    fn tell(&self, of: Variable, asked: &Asked, into: &mut Vec<u8>) {
        if of == Variable::Path && !asked.sent().starts_with('/') {
            into.push(b'/');
        } else {
            self.0.tell(of, asked, into);
        }
    }
}
