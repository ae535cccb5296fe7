//! The site where TLS ended must be in the plan that runs now, and a certificate of it must still be valid.

use crate::admit::{Case, Checked};
use everyhop_record::refusal::Refusal;

pub(super) fn check(case: &mut Case<'_>) -> Checked {
    let site = case.proved.site.ok_or(Refusal::Misdirected)?;
    match case.running.sites.get(site) {
        Some(site) if case.now_s < site.not_after_s => Ok(()),
        _ => Err(Refusal::SiteExpired.into()),
    }
}
