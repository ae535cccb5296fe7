//! What came of inspecting a request: what its line says of that. Read next: `../client/inspected.rs`, where it is inspected.

use everyhop_record::inspected::InspectedBy;
use everyhop_record::refusal::Refusal;
use everyhop_running::waf::{Inspected, WafRun};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Inspection {
    pub(crate) by: Arc<WafRun>,
    pub(crate) found: Found,
    pub(crate) took_us: u64,
}

/// What was found, or why nothing was.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) what: Inspected,
    /// Nothing where there is no verdict of the rules.
    pub(crate) score: Option<u32>,
    /// Which rules matched and where, never what.
    pub(crate) rules: Vec<(u32, Vec<u8>)>,
    /// Why there is no verdict, where the word alone does not tell.
    pub(crate) detail: Option<&'static str>,
}

impl From<Inspected> for Found {
    fn from(what: Inspected) -> Found {
        Found { what, score: None, rules: Vec::new(), detail: None }
    }
}

impl Inspection {
    /// As which the request is refused, if it is.
    pub(crate) fn why(&self) -> Option<Refusal> {
        match self.found.what {
            Inspected::Allowed | Inspected::Uninspected | Inspected::WouldDeny => None,
            Inspected::Denied => Some(Refusal::WafDenied),
            Inspected::Late => Some(Refusal::WafLate),
            Inspected::Down => Some(Refusal::WafDown),
            Inspected::Busy => Some(Refusal::WafBusy),
            Inspected::Failed => Some(Refusal::WafFailed),
            Inspected::TooLong => Some(Refusal::WafBodyTooLong),
            Inspected::Left => Some(Refusal::ClientGone),
        }
    }

    pub(crate) fn told(&self) -> InspectedBy<'_> {
        InspectedBy {
            by: &self.by.by.name,
            verdict: self.found.what.word(),
            score: self.found.score,
            rules: &self.found.rules,
            duration_us: self.took_us,
            is_uninspected: self.found.what == Inspected::Uninspected,
        }
    }
}
