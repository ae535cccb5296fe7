//! What came of asking somebody else about requests, by who is asked. Read next: `metrics_text.rs`, which has everything else.

use crate::metrics_text::label;
use everyhop_record::times::BUCKETS_US;
use everyhop_running::running::Running;
use everyhop_running::timed::Took;
use std::fmt::Write;

pub(crate) fn asks(out: &mut String, running: &Running) {
    let each = || running.asks.iter().map(|it| (label(&it.by.name), it));
    let name = "everyhop_asks_total";
    let help = "requests that an authorizer was to be asked about, by what came of it";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter");
    for (by, it) in each() {
        for (verdict, n) in it.counted() {
            let _ = writeln!(out, "{name}{{authorizer=\"{by}\",verdict=\"{verdict}\"}} {n}");
        }
    }
    let name = "everyhop_ask_duration_seconds";
    let help = "from a request being admitted to the verdict of its authorizer";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} histogram");
    for (by, it) in each() {
        durations(out, name, &format!("authorizer=\"{by}\""), it.took());
    }
    let name = "everyhop_asks_under_way";
    let _ = writeln!(out, "# HELP {name} requests that an authorizer is being asked about\n# TYPE {name} gauge");
    for (by, it) in each() {
        let _ = writeln!(out, "{name}{{authorizer=\"{by}\"}} {}", it.under_way());
    }
}

/// The rows of a histogram of microseconds, in seconds.
pub(crate) fn durations(out: &mut String, name: &str, label: &str, (took, us): Took) {
    let mut sum = 0;
    for (bound, n) in BUCKETS_US.iter().zip(&took) {
        sum += n;
        let (s, us) = (bound / 1_000_000, bound % 1_000_000);
        let _ = writeln!(out, "{name}_bucket{{{label},le=\"{s}.{us:06}\"}} {sum}");
    }
    sum += took.last().copied().unwrap_or(0);
    let _ = writeln!(out, "{name}_bucket{{{label},le=\"+Inf\"}} {sum}");
    let _ = writeln!(out, "{name}_sum{{{label}}} {}.{:06}", us / 1_000_000, us % 1_000_000);
    let _ = writeln!(out, "{name}_count{{{label}}} {sum}");
}

/// When somebody's word ends: for plaintext to whoever is asked, and for what passes unasked.
pub(crate) fn expiries(out: &mut String, name: &str, running: &Running) {
    for it in &running.asks {
        let by = label(&it.by.name);
        if let Some(until) = it.to.backends.iter().map(|b| b.closes_at_s).filter(|s| *s != i64::MAX).min() {
            let _ = writeln!(out, "{name}{{kind=\"authorizer-acceptance\",name=\"{by}\"}} {until}");
        }
        if let everyhop_plan::WhenDown::Pass { acceptance } = &it.by.when_down {
            let until = acceptance.closes_at_s;
            let _ = writeln!(out, "{name}{{kind=\"pass-acceptance\",name=\"{by}\"}} {until}");
        }
    }
}
