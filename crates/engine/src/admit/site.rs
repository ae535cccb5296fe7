//! The site where TLS ended must be in the plan that runs now, and a certificate of it must still be valid, and so must
//! the client's, if it showed one: what a handshake proved holds as long as what proved it.

use crate::admit::{Case, Checked};
use everyhop_record::refusal::Refusal;

pub(super) fn check(case: &mut Case<'_>) -> Checked {
    let site = case.proved.site.ok_or(Refusal::Misdirected)?;
    match case.running.sites.get(site) {
        Some(_) if case.now_s > case.proved.client_not_after_s => Err(Refusal::ClientExpired.into()),
        Some(site) if case.now_s < site.not_after_s => Ok(()),
        _ => Err(Refusal::SiteExpired.into()),
    }
}
