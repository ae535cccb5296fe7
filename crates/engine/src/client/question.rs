//! A request that passed all that can be judged here, and about which somebody else has to be asked: a store in which its limits
//! are counted, whoever verifies passwords, an authorizer, or one after the other. Read next: `asks.rs`.

use crate::exchange::asked::Asked;
use crate::exchange::limited::Within;
use everyhop_running::asks::AsksRun;
use everyhop_running::passwords::Try;
use everyhop_running::running::{RouteRun, Running};
use everyhop_running::waf::{Inspected, WafRun};
use std::sync::Arc;
use std::time::Instant;

/// What is known by then.
pub(crate) struct Question {
    pub(crate) running: Arc<Running>,
    /// The index of its route.
    pub(crate) route: usize,
    /// The authorizer of its route, where that has one whose word is not known yet.
    pub(crate) by: Option<Arc<AsksRun>>,
    /// The password that it shows, where that has to be verified first.
    pub(crate) password: Option<Box<Try>>,
    /// What its route is inspected by, where no verdict is known yet.
    pub(crate) waf: Option<Arc<WafRun>>,
    /// Memory for the head to the backend.
    pub(crate) scratch: Vec<u8>,
    pub(crate) began: Instant,
    /// What it counts to of its route's limits, while it is asked about too; and which stores have not answered.
    pub(crate) within: Option<Box<Within>>,
    /// It came no further than to the limits that are asked before its token is looked at, or to its password.
    pub(crate) is_early: bool,
}

/// Who is asked about it, and by what it is inspected, where that is not known of it yet.
#[cold]
pub(super) fn others(asked: &Asked, route: &RouteRun) -> (Option<Arc<AsksRun>>, Option<Arc<WafRun>>) {
    let by = route.asks.as_ref().filter(|by| asked.verdict().is_none_or(|it| !it.by.judges_as(by)));
    let waf = route.waf.as_ref().filter(|it| it.blocks());
    // One that passed uninspected is taken over by no other plan.
    let waf = waf
        .filter(|waf| asked.inspected().is_none_or(|it| it.found.what != Inspected::Allowed || !it.by.judges_as(waf)));
    (by.cloned(), waf.cloned())
}
