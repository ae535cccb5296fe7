//! What limits counted, in the metrics and in `status`. A key is shown by its sign, which tells it from another one and nothing
//! of whose it is. Read next: `limiter/mod.rs` of `everyhop-running`.

use crate::metrics_text::{counter, label};
use everyhop_plan::{LimitMode, StoreSpeaks};
use everyhop_running::limiter::LimiterRun;
use everyhop_running::running::Running;
use everyhop_running::store::Questions;
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Keys that `status` shows of a limit: those that have used most.
const SHOWN: usize = 5;

/// Nothing where no route has a limit.
pub(crate) fn limits(out: &mut String, running: &Running) {
    let name = "everyhop_limited_total";
    counter(
        out,
        name,
        "requests beyond a limit of their route, which refused them or, where it only observes, let them pass",
    );
    for r in &running.routes {
        for it in r.limited.iter().flat_map(|l| &l.each) {
            let (route, limit, mode) = (label(&r.name), label(&it.by.plan.name), mode(&it.by));
            let n = it.over.load(Ordering::Relaxed);
            let _ = writeln!(out, "{name}{{route=\"{route}\",limit=\"{limit}\",mode=\"{mode}\"}} {n}");
        }
    }
    let each = || running.limiters.iter().map(|it| (label(&it.plan.name), it, it.busiest(0)));
    let name = "everyhop_limit_keys";
    let _ = writeln!(out, "# HELP {name} keys that have used something of a limit with a rate\n# TYPE {name} gauge");
    for (limit, _, (keys, _, _)) in each() {
        let _ = writeln!(out, "{name}{{limit=\"{limit}\"}} {keys}");
    }
    let name = "everyhop_limit_keys_forgotten_total";
    counter(out, name, "keys that had used something of a limit and lost their place to others (keys)");
    for (limit, _, (_, forgotten, _)) in each() {
        let _ = writeln!(out, "{name}{{limit=\"{limit}\"}} {forgotten}");
    }
    let name = "everyhop_limit_requests_under_way";
    let _ = writeln!(out, "# HELP {name} requests under way, of limits with at_once\n# TYPE {name} gauge");
    for it in running.limiters.iter().filter(|it| it.plan.at_once.is_some()) {
        let _ = writeln!(out, "{name}{{limit=\"{}\"}} {}", label(&it.plan.name), it.under_way().0);
    }
}

/// Where limits are counted together with other edges.
pub(crate) fn stores(out: &mut String, running: &Running) {
    let name = "everyhop_store_up";
    let _ = writeln!(out, "# HELP {name} whether a store answers, in which limits are counted\n# TYPE {name} gauge");
    for it in &running.stores {
        let (store, (speaks, _), up) = (label(&it.plan.name), words(&it.plan.speaks), u8::from(it.questions.is_up()));
        let _ = writeln!(out, "{name}{{store=\"{store}\",speaks=\"{speaks}\"}} {up}");
    }
    type Count = fn(&Questions) -> &AtomicU64;
    let each: [(&str, &str, Count); 4] = [
        (
            "everyhop_store_asked_total",
            "questions to a store, each for one request or, where requests are leased, for some of a key",
            |q| &q.asked,
        ),
        ("everyhop_store_late_total", "questions to a store that were not answered in time", |q| &q.late),
        ("everyhop_store_downs_total", "how often a store stopped answering", |q| &q.downs),
        ("everyhop_store_alone_total", "requests let pass by an edge's own count, as its store was silent", |q| {
            &q.alone
        }),
    ];
    for (name, help, of) in each {
        counter(out, name, help);
        for it in &running.stores {
            let n = of(&it.questions).load(Ordering::Relaxed);
            let _ = writeln!(out, "{name}{{store=\"{}\"}} {n}", label(&it.plan.name));
        }
    }
}

/// Of each store: where it is, whether it answers, and what its last connection was.
pub(crate) fn stores_told(running: &Running) -> Vec<Value> {
    let each = running.stores.iter().map(|it| {
        let (speaks, domain) = words(&it.plan.speaks);
        json!({
            "name": it.plan.name, "speaks": speaks, "domain": domain, "at": it.backends.iter().map(|b| &b.at).collect::<Vec<_>>(),
            "up": it.questions.is_up(), "why": it.questions.trouble(),
            "asked": it.questions.asked.load(Ordering::Relaxed), "late": it.questions.late.load(Ordering::Relaxed),
            "downs": it.questions.downs.load(Ordering::Relaxed),
            "alone": it.questions.alone.load(Ordering::Relaxed),
            "hop": it.questions.hop().and_then(|text| serde_json::from_str::<Value>(&text).ok()),
        })
    });
    each.collect()
}

/// In which words a store is asked, and in which domain of its own, as a configuration says it.
fn words(it: &StoreSpeaks) -> (&'static str, Option<&str>) {
    match it {
        StoreSpeaks::Redis {} => ("redis", None),
        StoreSpeaks::Envoy { domain } => ("envoy", Some(domain)),
    }
}

fn mode(it: &LimiterRun) -> &'static str {
    match it.plan.mode {
        LimitMode::Refuse => "refuse",
        LimitMode::Observe => "observe",
    }
}

/// Of each limit: how many keys it remembers, and which have used most.
pub(crate) fn told(running: &Running) -> Vec<Value> {
    let over = |it: &Arc<LimiterRun>| -> u64 {
        let each = running.routes.iter().filter_map(|r| r.limited.as_ref()).flat_map(|l| &l.each);
        each.filter(|l| Arc::ptr_eq(&l.by, it)).map(|l| l.over.load(Ordering::Relaxed)).sum()
    };
    let each = running.limiters.iter().map(|it| {
        let (keys, forgotten, busiest) = it.busiest(SHOWN);
        let (under_way, busy) = it.under_way();
        json!({
            "name": it.plan.name, "mode": mode(it), "over": over(it),
            "keys": keys, "forgotten": forgotten, "under_way": under_way, "keys_under_way": busy,
            "burst": it.policy().map(|(burst, _)| burst),
            "busiest": busiest.iter().map(|b| json!({"key": b.sign, "used": b.used})).collect::<Vec<_>>(),
        })
    });
    each.collect()
}
