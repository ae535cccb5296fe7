//! How much stays in the edge's own zone, of routes whose backends are in several. Read next: `metrics_text.rs`, which has
//! everything else.

use crate::metrics_text::label;
use crate::report::{now_s, zone_of};
use everyhop_running::running::{RouteRun, Running};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::Ordering;

pub(crate) fn zones(out: &mut String, running: &Running) {
    let name = "everyhop_route_own_zone_ratio";
    let help = "how much of what comes goes to the edge's own zone now, of routes with zones";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
    for r in &running.routes {
        if let Some(ppm) = r.stays_ppm(now_s()) {
            let _ = writeln!(out, "{name}{{route=\"{}\"}} {}.{:06}", label(&r.name), ppm / 1_000_000, ppm % 1_000_000);
        }
    }
    let name = "everyhop_zone_requests_total";
    let help = "requests, or connections that nobody reads, that went to backends of each zone, of routes with zones";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter");
    for r in &running.routes {
        for (zone, n) in by_zone(r) {
            let _ = writeln!(out, "{name}{{route=\"{}\",zone=\"{}\"}} {n}", label(&r.name), label(zone));
        }
    }
}

/// Nothing where no backend has a zone; those in none of several are together.
fn by_zone(route: &RouteRun) -> BTreeMap<&str, u64> {
    let mut found = BTreeMap::new();
    let has = route.spread.iter().flat_map(|s| &s.shares).any(|s| s.zone.is_some());
    for (i, sent) in route.sent.iter().enumerate().filter(|_| has) {
        *found.entry(zone_of(route, i).unwrap_or_default()).or_default() += sent.load(Ordering::Relaxed);
    }
    found
}
