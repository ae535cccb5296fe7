//! What came of inspecting requests, by the policy of rules. Read next: `metrics_text.rs`, which has everything else.

use crate::metrics_asks::durations;
use crate::metrics_text::label;
use everyhop_engine::worker::shared::Shared;
use everyhop_record::trouble::Trouble;
use everyhop_running::running::Running;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt::Write;

pub(crate) fn wafs(out: &mut String, shared: &Shared, running: &Running) {
    let each = || running.wafs.iter().map(|it| (label(&it.by.name), it));
    let name = "everyhop_waf_requests_total";
    let help = "requests that were to be inspected by the rules of a waf, by what came of it";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter");
    for (by, it) in each() {
        for (verdict, n) in it.counted() {
            let _ = writeln!(out, "{name}{{waf=\"{by}\",verdict=\"{verdict}\"}} {n}");
        }
    }
    let name = "everyhop_waf_duration_seconds";
    let help = "from a request being held as a whole to what the rules said of it";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} histogram");
    for (by, it) in each() {
        durations(out, name, &format!("waf=\"{by}\""), it.took());
    }
    let name = "everyhop_waf_under_way";
    let _ = writeln!(out, "# HELP {name} requests that are being inspected\n# TYPE {name} gauge");
    for (by, it) in each() {
        let _ = writeln!(out, "{name}{{waf=\"{by}\"}} {}", it.under_way());
    }
    let name = "everyhop_waf_inspector_up";
    let _ = writeln!(
        out,
        "# HELP {name} whether somebody is there who inspects by the rules that run\n# TYPE {name} gauge"
    );
    if !running.wafs.is_empty() {
        let _ = writeln!(out, "{name} {}", u8::from(is_up(shared, running)));
    }
}

/// When somebody's word for what passes uninspected ends, and when rules are asked again that are not by somebody's word.
pub(crate) fn expiries(out: &mut String, name: &str, running: &Running) {
    for it in &running.wafs {
        let by = label(&it.by.name);
        if let everyhop_plan::WhenDown::Pass { acceptance } = &it.by.when_down {
            let until = acceptance.closes_at_s;
            let _ = writeln!(out, "{name}{{kind=\"uninspected-acceptance\",name=\"{by}\"}} {until}");
        }
        if let Some(until) = it.by.exclude.iter().map(|one| one.closes_at_s).min() {
            let _ = writeln!(out, "{name}{{kind=\"waf-exclusion\",name=\"{by}\"}} {until}");
        }
    }
}

pub(crate) fn told(shared: &Shared, running: &Running) -> Value {
    let is_up = is_up(shared, running);
    let one = |it: &everyhop_running::waf::WafRun| {
        json!({
            "name": it.by.name, "mode": it.by.mode, "inspector": if is_up { "up" } else { "down" },
            "under_way": it.under_way(), "counted": it.counted().collect::<HashMap<_, _>>(),
        })
    };
    running.wafs.iter().map(|it| one(it)).collect()
}

/// That nobody inspects.
pub(crate) fn trouble(shared: &Shared, running: &Running, found: &mut Vec<Trouble>) {
    if running.wafs.is_empty() || is_up(shared, running) {
        return;
    }
    for it in &running.wafs {
        found.push(Trouble::new("inspector-down", format!("waf {}", it.by.name), ""));
    }
}

fn is_up(shared: &Shared, running: &Running) -> bool {
    running.wafs.first().is_some_and(|it| shared.inspectors.is_up(&it.inspector))
}
