//! How many handshakes were by post-quantum key exchange, of sites and of backends. Read next: `metrics_text.rs`, which has
//! everything else.

use crate::metrics_text::label;
use everyhop_record::exchanges::Exchanges;
use everyhop_running::running::Running;
use std::fmt::Write;

pub(crate) fn exchanges(out: &mut String, running: &Running) {
    let name = "everyhop_site_handshakes_total";
    let help = "handshakes of clients that went well, by site and by whether the key exchange was post-quantum";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter");
    for (site, run) in running.plan.sites.iter().zip(&running.sites) {
        both(out, &format!("{name}{{site=\"{}\"", label(&site.name)), &run.exchanges);
    }
    let name = "everyhop_hop_handshakes_total";
    let help = "handshakes with backends and mirrors that went well, by whether the key exchange was post-quantum; \
                a hop that several routes have counts for each";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter");
    for r in &running.routes {
        for b in r.backends.iter().chain(r.mirror.iter().flat_map(|m| &m.to.backends)) {
            if b.secured.is_some() {
                let (route, at) = (label(&r.name), label(&b.at));
                both(out, &format!("{name}{{route=\"{route}\",backend=\"{at}\""), &b.health.exchanges);
            }
        }
    }
}

fn both(out: &mut String, begun: &str, it: &Exchanges) {
    let (post_quantum, others) = it.counts();
    for (said, n) in [("yes", post_quantum), ("no", others)] {
        let _ = writeln!(out, "{begun},post_quantum=\"{said}\"}} {n}");
    }
}
