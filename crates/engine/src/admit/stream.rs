//! A connection whose bytes go on as they come is admitted once and whole: there is no request in it to be judged later.
//! Read next: `everyhop-decide`, `admit.rs`.

use crate::admit::{Proved, Refused, site};
use everyhop_record::refusal::Refusal;
use everyhop_running::running::Running;

/// Judges a connection by its hello's name and by what its handshake proved. `now_s` is Unix time.
pub fn admit_stream(running: &Running, proved: &Proved<'_>, sni: Option<&str>, now_s: i64) -> Result<usize, Refused> {
    site::stands(running, proved, now_s)?;
    let at = proved.site.ok_or(Refusal::Misdirected)?;
    Ok(running.matcher.admit_stream(proved.listener, at, proved.who, sni)?)
}
