//! The plan's rule, as the matcher has it for whoever asks: the route that fits best, which clients it allows, and whether
//! it takes an upgrade. Read next: `everyhop-decide`, `admit.rs`.

use crate::admit::{Case, Checked};
use everyhop_decide::Ask;
use everyhop_record::refusal::Refusal;

#[inline]
pub(super) fn check(case: &mut Case<'_>) -> Checked {
    let site = case.proved.site.ok_or(Refusal::Misdirected)?;
    let asked = case.asked;
    let ask =
        Ask { host: &asked.host, path: asked.path(), sent: asked.sent(), method: &asked.method, headers: case.headers };
    case.route =
        Some(case.running.matcher.admit(case.proved.listener, site, case.proved.who, &ask, asked.upgrade())?);
    Ok(())
}
