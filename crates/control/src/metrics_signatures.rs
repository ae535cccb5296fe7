//! Handshakes that were signed by keys which another process holds. Read next: `metrics_text.rs`, which has everything else.

use everyhop_running::apart::LINES;
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// Nothing where keys are in this process.
pub(crate) fn signatures(out: &mut String) {
    if !LINES.are_wanted() {
        return;
    }
    let (counts, name) = (&LINES.counts, "everyhop_signatures_total");
    let help = "handshakes that were to be signed by the keyholder, by how that ended";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter");
    for (end, n) in [("signed", &counts.signed), ("refused", &counts.refused), ("silent", &counts.silent)] {
        let _ = writeln!(out, "{name}{{end=\"{end}\"}} {}", n.load(Ordering::Relaxed));
    }
    let name = "everyhop_signatures_seconds_total";
    let _ = writeln!(out, "# HELP {name} time that handshakes waited for the keyholder\n# TYPE {name} counter");
    let waited_s = std::time::Duration::from_nanos(counts.nanoseconds.load(Ordering::Relaxed)).as_secs_f64();
    let _ = writeln!(out, "{name} {waited_s:.6}");
}
