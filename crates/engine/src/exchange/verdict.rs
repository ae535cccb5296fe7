//! What came of asking somebody else whether a request may pass: what its line, its backend and its client are told of that. Read
//! next: `../client/asks.rs`, where it is asked.

use crate::exchange::inspection::Inspection;
use everyhop_record::line::{AskedBy, Beside};
use everyhop_record::refusal::Refusal;
use everyhop_record::span::AskedOf;
use everyhop_running::asks::{AsksRun, Outcome};
use std::sync::Arc;

/// What others than the edge said of a request, each where it was asked.
#[derive(Debug, Default)]
pub(crate) struct Others {
    pub(crate) verdict: Option<Verdict>,
    pub(crate) inspected: Option<Inspection>,
}

impl Others {
    pub(crate) fn told(&self) -> Beside<'_> {
        Beside { ask: self.verdict.as_ref().map(Verdict::told), waf: self.inspected.as_ref().map(Inspection::told) }
    }
}

#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) by: Arc<AsksRun>,
    pub(crate) outcome: Outcome,
    /// Of its answer; 0 where there was none.
    pub(crate) status: u16,
    pub(crate) took_us: u64,
    /// When it was there, in microseconds since 1970.
    pub(crate) ended_us: u64,
    /// By which number it was told of the trace.
    pub(crate) span: Option<[u8; 8]>,
    /// What the outcome alone does not tell.
    pub(crate) detail: Option<String>,
    /// What of its answer goes to the backend.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    /// The cookies that it sets where it lets a request pass: such as those of a session that was prolonged.
    pub(crate) cookies: Vec<Vec<u8>>,
}

impl Verdict {
    /// All values of one of its fields, as one.
    #[cold]
    pub(crate) fn tell(&self, name: &str, into: &mut Vec<u8>) {
        for (i, (_, value)) in self.fields.iter().filter(|(known, _)| known == name).enumerate() {
            if i > 0 {
                into.extend_from_slice(b", ");
            }
            into.extend_from_slice(value);
        }
    }

    /// As which a request is refused that does not pass.
    pub(crate) fn why(&self) -> Refusal {
        match self.outcome {
            Outcome::Passed | Outcome::Unasked | Outcome::Denied | Outcome::Led => Refusal::AskDenied,
            Outcome::Unreached => Refusal::AskUnreached,
            Outcome::Late => Refusal::AskLate,
            Outcome::Unfit => Refusal::AskUnfit,
            Outcome::Busy => Refusal::AskBusy,
            Outcome::Left => Refusal::ClientGone,
        }
    }

    pub(crate) fn spanned(&self) -> AskedOf<'_> {
        AskedOf {
            by: &self.by.by.name,
            verdict: self.outcome.word(),
            status: self.status,
            ended_us: self.ended_us,
            duration_us: self.took_us,
            span: self.span,
            detail: self.detail.as_deref(),
            is_decided: matches!(self.outcome, Outcome::Passed | Outcome::Denied | Outcome::Led),
        }
    }

    pub(crate) fn told(&self) -> AskedBy<'_> {
        AskedBy {
            by: &self.by.by.name,
            verdict: self.outcome.word(),
            status: self.status,
            duration_us: self.took_us,
            is_unasked: self.outcome == Outcome::Unasked,
        }
    }
}
