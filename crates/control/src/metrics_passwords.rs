//! Passwords that were verified, and those that needed no verifying. Read next: `metrics_text.rs`, which has everything else.

use everyhop_engine::worker::shared::Shared;
use std::fmt::Write;
use std::sync::atomic::Ordering;

pub(crate) fn passwords(out: &mut String, shared: &Shared) {
    let (counts, name) = (&shared.passwords.counts, "everyhop_passwords_total");
    let help = "passwords that requests showed, by what came of them: remembered ones were verified before";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter");
    for (verdict, n) in [
        ("right", &counts.right),
        ("wrong", &counts.wrong),
        ("too-many-at-once", &counts.busy),
        ("remembered", &counts.remembered),
    ] {
        let _ = writeln!(out, "{name}{{verdict=\"{verdict}\"}} {}", n.load(Ordering::Relaxed));
    }
    let name = "everyhop_passwords_under_way";
    let _ = writeln!(out, "# HELP {name} passwords that are being verified, or wait for it\n# TYPE {name} gauge");
    let _ = writeln!(out, "{name} {}", shared.passwords.under_way());
}
