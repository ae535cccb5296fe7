//! What a request came to by the limits of its route: what its answer tells of that, in the fields of
//! draft-ietf-httpapi-ratelimit-headers and, where a limit says so, in those that came before it; and what its line says. None
//! of it names whose request it was. Read next: `../client/limited.rs`, which asks the limits.

use everyhop_plan::Limiter;
use everyhop_running::limiter::{LimitHeld, LimiterRun, Over, Taken, sign};
use everyhop_running::store::Question;
use std::io::Write;
use std::sync::Arc;

/// How far a request has come with the limits of its route.
#[derive(Default)]
pub(crate) struct Within {
    /// What is counted as under way, until it is dropped.
    pub(crate) held: Vec<LimitHeld>,
    /// What its answer and its line tell.
    pub(crate) told: Option<Box<Limited>>,
    /// Which have counted it, a bit each in their order.
    pub(crate) counted: u64,
    /// Those by address were asked before its token.
    pub(crate) had_first: bool,
    /// Where some of the route's limits are counted together with other edges, the keys by which it was counted.
    pub(crate) keys: Vec<(usize, u64)>,
    /// Which of them took it from what a store leased, a bit each.
    pub(crate) leased: u64,
    /// What stores were asked, and have not answered yet.
    pub(crate) waits: Vec<Waits>,
}

/// A store was asked whether one more passes.
pub(crate) struct Waits {
    /// The place of its limit among the route's.
    pub(crate) limit: usize,
    pub(crate) key: u64,
    pub(crate) named: Vec<u8>,
    /// What is told of it once it passes there too.
    pub(crate) taken: Taken,
    pub(crate) question: Arc<Question>,
}

/// Nothing where no limit has anything to tell.
#[derive(Debug, Default)]
pub(crate) struct Limited {
    policy: Vec<u8>,
    state: Vec<u8>,
    /// Of the limit that leaves least, of those that tell it so.
    x: Option<Left>,
    /// It is refused, and would pass after so long.
    retry_ms: Option<u64>,
    /// What its line says.
    pub(crate) detail: Option<Box<str>>,
}

/// What is left of a limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    /// So many pass at a time.
    pub(crate) burst: u32,
    /// In so many seconds all of them are earned back.
    pub(crate) window_s: u64,
    pub(crate) left: u64,
    /// Until more is left than now, where nothing is; else until all is.
    pub(crate) after_s: u64,
}

impl Limited {
    pub(crate) fn tell(&mut self, name: &str, it: Left, x_ratelimit: bool) {
        let Left { burst, window_s, left, after_s } = it;
        for text in [&mut self.policy, &mut self.state] {
            if !text.is_empty() {
                text.extend_from_slice(b", ");
            }
        }
        // Names of limits need no escape in a structured field's string (RFC 9651 §3.3.3).
        let _ = write!(self.policy, "\"{name}\";q={burst};w={window_s}");
        let _ = write!(self.state, "\"{name}\";r={left};t={after_s}");
        if x_ratelimit && self.x.is_none_or(|x| left < x.left) {
            self.x = Some(it);
        }
    }

    /// It is refused; one that asks again sooner than after `retry_ms` is refused again, where that is known.
    pub(crate) fn refuse(&mut self, retry_ms: u64) {
        self.retry_ms = Some(retry_ms);
    }

    /// Backends' own fields of these names say something else.
    pub(crate) fn replaces(&self, name: &[u8]) -> bool {
        let head = name.get(..X_RATELIMIT.len());
        self.x.is_some() && head.is_some_and(|it| it.eq_ignore_ascii_case(X_RATELIMIT))
    }

    /// The fields of its answer.
    pub(crate) fn each(&self, mut f: impl FnMut(&'static str, &[u8])) {
        if let Some(ms) = self.retry_ms {
            number(ms.div_ceil(1000).max(1), |value| f("retry-after", value));
        }
        if !self.policy.is_empty() {
            f("ratelimit-policy", &self.policy);
            f("ratelimit", &self.state);
        }
        if let Some(Left { burst, left, after_s, .. }) = self.x {
            number(u64::from(burst), |value| f("x-ratelimit-limit", value));
            number(left, |value| f("x-ratelimit-remaining", value));
            number(after_s, |value| f("x-ratelimit-reset", value));
        }
    }

    /// The same for a call of gRPC, whose clients wait by a word of their own (gRFC A6).
    pub(crate) fn each_of_call(&self, mut f: impl FnMut(&'static str, &[u8])) {
        if let Some(ms) = self.retry_ms {
            number(ms.max(1), |value| f("grpc-retry-pushback-ms", value));
        }
        self.each(f);
    }
}

/// The bit of a limit, by its place among the route's.
pub(crate) fn bit(place: usize) -> u64 {
    1 << (place % 64)
}

#[cold]
#[inline(never)]
pub(crate) fn tell(told: &mut Option<Box<Limited>>, run: &LimiterRun, taken: &Taken) {
    let Some((burst, window_s)) = run.policy() else { return };
    let after_s = taken.earned_ns.div_ceil(1_000_000_000);
    let left = Left { burst, window_s, left: taken.left, after_s };
    told.get_or_insert_default().tell(&run.plan.name, left, run.plan.x_ratelimit);
}

/// It goes on all the same where the limit only observes; then its line alone tells.
#[cold]
#[inline(never)]
pub(crate) fn exceeded(told: &mut Option<Box<Limited>>, run: &LimiterRun, key: u64, over: Over) {
    let it = told.get_or_insert_default();
    let retry_ms = match over {
        Over::Rate { wait_ns, .. } => wait_ns.div_ceil(1_000_000),
        // When one ends nobody knows, or when a store answers again.
        Over::AtOnce | Over::Unknown => 1000,
    };
    let says = format!("limit {}: {}, key {}", run.plan.name, said(&run.plan, over), sign(key));
    if run.observes() {
        let before = it.detail.take().map(|d| format!("{d}; ")).unwrap_or_default();
        it.detail = Some(format!("{before}{says}; observed alone, it would be refused").into());
        return;
    }
    it.detail = Some(says.into());
    it.refuse(retry_ms);
    if let (Over::Rate { by, .. }, Some(own)) = (over, run.policy()) {
        let (burst, window_s) = by.unwrap_or(own);
        let left = Left { burst, window_s, left: 0, after_s: retry_ms.div_ceil(1000).max(1) };
        it.tell(&run.plan.name, left, run.plan.x_ratelimit);
    }
}

fn said(plan: &Limiter, over: Over) -> String {
    match (over, plan.rate, plan.at_once) {
        (Over::Rate { by: Some((count, per_s)), .. }, ..) => format!("{count} in {per_s} s, by its store"),
        (Over::Rate { .. }, Some(rate), _) => {
            let per = match rate.per_s {
                1 => "s".to_owned(),
                60 => "m".to_owned(),
                3600 => "h".to_owned(),
                86_400 => "d".to_owned(),
                s => format!("{s}s"),
            };
            format!("{}/{per}, burst {}", rate.count, rate.burst)
        }
        (Over::Unknown, ..) => "its store does not answer".to_owned(),
        (_, _, most) => format!("{} at once", most.unwrap_or_default()),
    }
}

const X_RATELIMIT: &[u8] = b"x-ratelimit-";

fn number(n: u64, f: impl FnOnce(&[u8])) {
    let mut text = Vec::with_capacity(20);
    everyhop_http1::write::number(&mut text, n);
    f(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(it: &Limited) -> String {
        let mut all = String::new();
        it.each(|name, value| all.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value))));
        all
    }

    #[test]
    fn several_limits_are_one_list_and_the_old_fields_are_of_the_one_that_leaves_least() {
        let mut it = Limited::default();
        it.tell("minute", Left { burst: 60, window_s: 60, left: 7, after_s: 53 }, true);
        it.tell("day", Left { burst: 1000, window_s: 86_400, left: 3, after_s: 80_000 }, true);
        it.tell("quiet", Left { burst: 9, window_s: 9, left: 0, after_s: 1 }, false);
        assert_eq!(
            fields(&it),
            "ratelimit-policy: \"minute\";q=60;w=60, \"day\";q=1000;w=86400, \"quiet\";q=9;w=9\n\
             ratelimit: \"minute\";r=7;t=53, \"day\";r=3;t=80000, \"quiet\";r=0;t=1\n\
             x-ratelimit-limit: 1000\nx-ratelimit-remaining: 3\nx-ratelimit-reset: 80000\n"
        );
        assert!(it.replaces(b"X-RateLimit-Limit") && !it.replaces(b"x-rate") && !it.replaces(b"ratelimit"));
        assert!(!Limited::default().replaces(b"x-ratelimit-limit"));
    }

    #[test]
    fn whoever_is_refused_is_told_to_wait_a_whole_second_at_the_least() {
        for (ms, told) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (u64::MAX, "18446744073709552")] {
            let mut it = Limited::default();
            it.refuse(ms);
            assert_eq!(fields(&it), format!("retry-after: {told}\n"));
        }
    }
}
