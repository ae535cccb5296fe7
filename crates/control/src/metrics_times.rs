//! How long things took, as Prometheus' histograms: a request, and apart from it what a backend took to begin its answer.
//! Read next: `metrics_text.rs`, which has everything else.

use crate::metrics_text::label;
use everyhop_record::times::{BUCKETS_US, CLASSES, Times};
use everyhop_running::running::Running;
use std::fmt::Write;

pub(crate) fn durations(out: &mut String, running: &Running) {
    let name = "everyhop_request_duration_seconds";
    let _ = writeln!(out, "# HELP {name} from the head to the end of the answer\n# TYPE {name} histogram");
    for r in &running.routes {
        let all = |f: &dyn Fn(&Times) -> u64| r.stats.sum(|t| t.durations(f));
        histogram(out, name, &format!("route=\"{}\"", label(&r.name)), all);
    }
}

/// Only classes that were seen: most routes have two or three.
pub(crate) fn first_bytes(out: &mut String, running: &Running) {
    let name = "everyhop_backend_first_byte_seconds";
    let help =
        "from the head being sent to the backend to the head of its answer, by the class of the backend's status";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} histogram");
    for r in &running.routes {
        for class in 1..CLASSES {
            let all = |f: &dyn Fn(&Times) -> u64| r.stats.sum(|t| t.first_bytes(class, f));
            if all(&Times::count) > 0 {
                histogram(out, name, &format!("route=\"{}\",class=\"{}xx\"", label(&r.name), class), all);
            }
        }
    }
}

/// `all` sums over the threads.
fn histogram(out: &mut String, name: &str, labels: &str, all: impl Fn(&dyn Fn(&Times) -> u64) -> u64) {
    let mut sum = 0;
    for (i, bound) in BUCKETS_US.iter().enumerate() {
        sum += all(&|t| t.bucket(i));
        let (s, us) = (bound / 1_000_000, bound % 1_000_000);
        let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{s}.{us:06}\"}} {sum}");
    }
    // Of the same reading, so that no bucket has more than all have.
    sum += all(&|t| t.bucket(BUCKETS_US.len()));
    let us = all(&Times::us);
    let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {sum}");
    let _ = writeln!(out, "{name}_sum{{{labels}}} {}.{:06}", us / 1_000_000, us % 1_000_000);
    let _ = writeln!(out, "{name}_count{{{labels}}} {sum}");
}
