//! What became of copies, of routes that have a mirror. Read next: `metrics_text.rs`, which has everything else.

use crate::metrics_text::label;
use everyhop_running::running::Running;
use std::fmt::Write;

pub(crate) fn mirrors(out: &mut String, running: &Running) {
    let with = || running.routes.iter().filter_map(|r| Some((label(&r.name), r.mirror.as_deref()?)));
    let name = "everyhop_mirrored_total";
    let help = "requests that were chosen to be copied to the route's mirror, by what became of the copy";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter");
    for (route, mirror) in with() {
        for (outcome, n) in mirror.counted() {
            let _ = writeln!(out, "{name}{{route=\"{route}\",outcome=\"{outcome}\"}} {n}");
        }
    }
    let name = "everyhop_mirror_copies_under_way";
    let help = "copies that are being made or under way to the route's mirror";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (route, mirror) in with() {
        let _ = writeln!(out, "{name}{{route=\"{route}\"}} {}", mirror.under_way());
    }
}
