//! The site where TLS ended must be in the plan that runs now, and a certificate of it must still be valid, and so must
//! the client's, if it showed one: what a handshake proved holds as long as what proved it.

use crate::admit::{Case, Checked, Proved};
use everyhop_record::refusal::Refusal;
use everyhop_running::running::Running;

pub(super) fn check(case: &mut Case<'_>) -> Checked {
    stands(case.running, case.proved, case.now_s)
}

/// What the handshake proved still stands.
#[inline]
pub(super) fn stands(running: &Running, proved: &Proved<'_>, now_s: i64) -> Checked {
    let site = proved.site.ok_or(Refusal::Misdirected)?;
    match running.sites.get(site) {
        Some(_) if now_s > proved.client_not_after_s => Err(Refusal::ClientExpired.into()),
        Some(site) if now_s < site.not_after_s => Ok(()),
        _ => Err(Refusal::SiteExpired.into()),
    }
}
