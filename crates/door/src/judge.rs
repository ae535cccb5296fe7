//! The one judge, as Python asks it: canonical names, what requests get under a plan, and what two plans do differently.
//! Everything is answered by the crates that the data path uses; Python has no matcher of its own.

use everyhop_canon as canon;
use everyhop_decide::{Ask, Asked, At, Matcher, Named, Outcome, Plain, Proof, Tie, Verdict, Who, apart, named};
use everyhop_plan::Plan;
use serde::Deserialize;
use serde_json::{Value, json};

/// One question, as the wire would put it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// The listener's name; `null` for the plan's first that speaks TLS.
    listener: Option<String>,
    sni: Option<String>,
    host: String,
    path: String,
    method: String,
    headers: Vec<(String, String)>,
    /// The names that the client proved; `null` for a client that every allow-list would take.
    client: Option<Vec<String>>,
    /// Where it comes from; `null` for where every list of networks would take it.
    address: Option<std::net::IpAddr>,
    /// The protocol that it asks to switch to.
    upgrade: Option<String>,
}

struct Judge {
    plan: Plan,
    matcher: Matcher,
}

impl Judge {
    fn of(plan: &str) -> Result<Judge, String> {
        let plan = everyhop_plan::read(plan).map_err(|e| e.why)?;
        let matcher = Matcher::build(&plan).map_err(|e| e.0)?;
        Ok(Judge { plan, matcher })
    }

    fn answer(&self, it: &Question) -> Value {
        let Ok(host) = canon::host::host(it.host.as_bytes()) else {
            return json!({"verdict": "refuse", "site": null, "route": null, "slug": "request/bad-host"});
        };
        let mut path = String::new();
        if canon::path::form_into(&it.path, &mut path).is_err() {
            return json!({"verdict": "refuse", "site": null, "route": null, "slug": "request/bad-target"});
        }
        let mut headers = it.headers.clone();
        headers.retain(|(name, _)| is_heard(name));
        let listener = it.listener.as_deref().or_else(|| self.plan.first_of_tls().map(|l| l.name.as_str()));
        let ask = Ask { host: &host, path: &path, sent: &it.path, method: &it.method, headers: &headers };
        let names: Option<Vec<String>> =
            it.client.as_ref().map(|names| names.iter().filter_map(|n| canon::client::proved(n)).collect());
        let who = Who {
            proof: names.as_deref().map_or(Proof::Any, Proof::Names),
            at: it.address.map_or(At::Anywhere, At::Address),
        };
        shown(&self.matcher.judge(listener.unwrap_or_default(), it.sni.as_deref(), who, &ask, it.upgrade.as_deref()))
    }
}

/// Sites and routes by their index in the plan.
fn shown(outcome: &Outcome) -> Value {
    match *outcome {
        Outcome::Splice { route } => json!({"verdict": "splice", "site": null, "route": route, "slug": null}),
        Outcome::Shut { route, why } => {
            json!({"verdict": "refuse", "site": null, "route": route, "slug": why.slug()})
        }
        Outcome::Pass { site, route } => json!({"verdict": "terminate", "site": site, "route": route, "slug": null}),
        Outcome::Deny { site, route, why } => {
            json!({"verdict": "refuse", "site": site, "route": route, "slug": why.slug()})
        }
        Outcome::Plain { what } => {
            let verdict = if what == Plain::Redirect { "redirect" } else { "refuse" };
            json!({"verdict": verdict, "site": null, "route": null, "slug": what.slug()})
        }
        Outcome::Refuse { why } => json!({"verdict": "refuse", "site": null, "route": null, "slug": why.slug()}),
    }
}

/// What requests get: `plan` and `questions` are JSON, and so is the list of answers.
pub(crate) fn decide(plan: &str, questions: &str) -> Result<String, String> {
    let judge = Judge::of(plan)?;
    let questions: Vec<Question> = serde_json::from_str(questions).map_err(|e| e.to_string())?;
    Ok(Value::from(questions.iter().map(|q| judge.answer(q)).collect::<Vec<_>>()).to_string())
}

/// What two plans do differently, as JSON: `names`, each pattern with what becomes of its hellos, and `requests`, each
/// pair of answers once with a request that gets it.
pub(crate) fn differences(old: &str, new: &str) -> Result<String, String> {
    let (old, new) = (Judge::of(old)?.matcher, Judge::of(new)?.matcher);
    let ends = |verdict: &Verdict| match *verdict {
        Verdict::Splice(route) => json!({"verdict": "splice", "site": null, "route": route}),
        Verdict::Terminate(site) => json!({"verdict": "terminate", "site": site, "route": null}),
        Verdict::Refuse(_) => json!({"verdict": "refuse", "site": null, "route": null}),
    };
    let name =
        |it: &Named| json!({"pattern": it.pattern, "plain": it.is_plain, "old": ends(&it.old), "new": ends(&it.new)});
    let request = |it: &Asked| {
        json!({
            "host": it.host, "pattern": it.pattern, "listener": it.listener, "path": it.path, "method": it.method, "headers": it.headers,
            "old": shown(&it.old), "new": shown(&it.new),
        })
    };
    let names: Vec<Value> = named(&old, &new).iter().map(name).collect();
    let requests: Vec<Value> = apart(&old, &new).iter().map(request).collect();
    Ok(json!({"names": names, "requests": requests}).to_string())
}

/// Routes of a plan that only their order tells apart, as JSON.
pub(crate) fn ties(plan: &str) -> Result<String, String> {
    let tie = |t: Tie| json!({"host": t.host, "path": t.path, "first": t.first, "late": t.late});
    Ok(Value::from(Judge::of(plan)?.matcher.ties().into_iter().map(tie).collect::<Vec<_>>()).to_string())
}

/// A host name as requests are matched by: lower case, no trailing dot; with `wildcard` also `*.` and a suffix. `None` for
/// an address, a port, or what is no name.
pub(crate) fn host(text: &str, wildcard: bool) -> Option<String> {
    let (star, rest) = match text.strip_prefix("*.") {
        Some(rest) if wildcard => ("*.", rest),
        _ => ("", text),
    };
    let mut name = String::new();
    let port = canon::host::host_into(rest.as_bytes(), &mut name).ok()?;
    let is_name = port.is_none() && !name.starts_with('[') && name.parse::<std::net::Ipv4Addr>().is_err();
    is_name.then(|| format!("{star}{name}")).filter(|n| n.len() <= 253)
}

/// The canonical form of a path that every backend reads in one way; `None` for any other.
pub(crate) fn path(text: &str) -> Option<String> {
    canon::path::path(text.as_bytes()).ok()
}

/// Whether a request's field of that name can choose a route: not one that concerns a connection alone, nor one that only
/// the edge may say.
pub(crate) fn is_heard(name: &str) -> bool {
    let id = everyhop_http1::field_id(name.as_bytes());
    !id.is_identity() && !id.is_hop_by_hop() && id != everyhop_http1::FieldId::Host
}
