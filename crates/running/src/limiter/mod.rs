//! Limits made ready: for each one table of what keys owe and one of what is under way, for all threads and all routes that
//! name it. They outlive plans as long as they count by the same. Nothing here knows a request; whoever does makes its key of
//! it. Read next: `pace.rs`, `table.rs`, `counts.rs`.

mod counts;
mod leases;
mod pace;
mod table;

use crate::material::Unusable;
use crate::running::{RouteRun, Running};
use crate::store::{Question, StoreRun};
use counts::{Counts, UnderWay};
use everyhop_plan::{KeyPart, LimitMode, LimitTells, Limiter, Way, WhenSilent};
use everyhop_record::digest::sha256_hex;
use everyhop_record::refusal::Refusal;
use leases::{Leases, Limit, Terms};
use pace::Pace;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use table::Table;

pub use counts::UnderWay as LimitHeld;
pub use leases::Leased;

/// What a limit remembers.
struct Memory {
    /// So that nobody can choose values of one set, or know a key's by its sign in the log.
    secret: RandomState,
    /// Nanoseconds count from here.
    began: Instant,
    owed: Option<Table>,
    under_way: Arc<Counts>,
    leases: Option<Leases>,
}

/// A limit, whichever routes name it.
pub struct LimiterRun {
    pub plan: Limiter,
    pace: Option<Pace>,
    memory: Arc<Memory>,
    is_by_address: bool,
    store: Option<Arc<StoreRun>>,
}

/// A limit of one route, and how often it was beyond it there.
pub struct Limited {
    pub by: Arc<LimiterRun>,
    pub over: Arc<AtomicU64>,
}

/// All limits of one route.
pub struct LimitsRun {
    pub each: Vec<Limited>,
    /// Some of them tell in all answers what is left.
    pub tells: bool,
    /// Some of them are counted together with other edges.
    pub shares: bool,
}

/// A request that a limit lets pass.
pub struct Taken {
    /// How many more would pass now, where it has a rate.
    pub left: u64,
    /// After so many nanoseconds all of it is earned back.
    pub earned_ns: u64,
    pub held: Option<UnderWay>,
}

/// Why one does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// One would pass after so many nanoseconds.
    Rate {
        wait_ns: u64,
        /// By so many in so many seconds, where that is not the plan's own.
        by: Option<Limit>,
    },
    AtOnce,
    /// Its store does not answer.
    Unknown,
}

impl Over {
    pub fn into_refusal(self) -> Refusal {
        match self {
            Over::Rate { .. } => Refusal::RateLimited,
            Over::AtOnce => Refusal::TooManyOfKey,
            Over::Unknown => Refusal::LimitUnknown,
        }
    }
}

/// A key that owes much, by its sign.
pub struct Busy {
    pub sign: String,
    /// How many of the burst are used up.
    pub used: u64,
}

/// By what a key is told from others where it is shown: it says nothing of what it was made of.
pub fn sign(key: u64) -> String {
    format!("{:08x}", key >> 32)
}

impl LimiterRun {
    fn new(plan: &Limiter, before: Option<&LimiterRun>, store: Option<Arc<StoreRun>>) -> LimiterRun {
        let alike = |b: &&LimiterRun| {
            let store = |it: &Limiter| it.shared.as_ref().map(|s| s.store.clone());
            let of = |it: &Limiter| (it.by.clone(), it.ipv6_prefix, it.keys, store(it));
            of(&b.plan) == of(plan) && b.plan.rate.is_some() == plan.rate.is_some()
        };
        let memory = before.filter(alike).map(|b| b.memory.clone()).unwrap_or_else(|| {
            Arc::new(Memory {
                secret: RandomState::new(),
                began: Instant::now(),
                owed: plan.rate.map(|_| Table::new(plan.keys)),
                under_way: Arc::default(),
                leases: plan.shared.as_ref().map(|_| Leases::new(plan.keys)),
            })
        });
        let has = |is: fn(&KeyPart) -> bool| plan.by.iter().any(is);
        let is_by_address = has(|it| matches!(it, KeyPart::ClientAddress {}))
            && !has(|it| matches!(it, KeyPart::Claim { .. } | KeyPart::User {}));
        LimiterRun { plan: plan.clone(), pace: plan.rate.map(Pace::of), memory, is_by_address, store }
    }

    /// What a key is made with: whoever makes it writes each part with its length.
    #[inline]
    pub fn hasher(&self) -> impl Hasher {
        self.memory.secret.build_hasher()
    }

    pub fn observes(&self) -> bool {
        self.plan.mode == LimitMode::Observe
    }

    pub fn tells(&self) -> bool {
        self.plan.tells == LimitTells::Answers
    }

    /// It counts each address by itself, and nothing that a token says: a stranger can use up no more of it than a share of
    /// its own.
    pub fn is_by_address(&self) -> bool {
        self.is_by_address
    }

    fn ns(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.memory.began);
        // In 64 bits, which is enough for five hundred years.
        passed.as_secs().wrapping_mul(1_000_000_000).wrapping_add(u64::from(passed.subsec_nanos()))
    }

    /// One more request of that key. Where it only observes, what is beyond is held all the same: it passes.
    #[inline]
    pub fn take(&self, key: u64, now: Instant) -> (Taken, Option<Over>) {
        let (mut it, mut over) = (Taken { left: 0, earned_ns: 0, held: None }, None);
        if let Some(most) = self.plan.at_once {
            let (held, n) = self.memory.under_way.hold(key);
            if n > most {
                over = Some(Over::AtOnce);
                if !self.observes() {
                    return (it, over);
                }
            }
            it.held = Some(held);
        }
        let (Some(pace), Some(owed)) = (self.pace, &self.memory.owed) else { return (it, over) };
        let now_ns = self.ns(now);
        match owed.take(key, now_ns, pace) {
            Ok(until_ns) => {
                if self.tells() {
                    (it.left, it.earned_ns) = (pace.left(until_ns, now_ns), until_ns - now_ns);
                }
                (it, over)
            }
            Err(wait_ns) => {
                if !self.observes() {
                    it.held = None;
                }
                (it, Some(Over::Rate { wait_ns, by: None }))
            }
        }
    }

    /// It counts together with other edges.
    #[inline]
    pub fn is_shared(&self) -> bool {
        self.store.is_some()
    }

    /// Whether one that is within this edge's own count passes though its store says nothing; then it is counted as that.
    #[cold]
    pub fn passes_alone(&self) -> bool {
        let passes = self.plan.shared.as_ref().is_none_or(|it| it.when_down == WhenSilent::Local);
        if let Some(store) = self.store.as_ref().filter(|_| passes) {
            store.questions.alone.fetch_add(1, Ordering::Relaxed);
        }
        passes
    }

    /// Whether one that passes here passes where all edges count together. `named`: what of the request makes the key, as each of
    /// them writes it.
    pub fn lease(&self, key: u64, named: impl Fn() -> Vec<u8>, now: Instant) -> Leased {
        let Some((store, leases, terms)) = self.leasing() else { return Leased::Yes };
        let named = || {
            let digest = sha256_hex(&named());
            format!("everyhop:{}:{}", self.plan.name, digest.get(..32).unwrap_or(&digest))
        };
        leases.take(key, named, self.ns(now), (terms, &store.questions))
    }

    fn leasing(&self) -> Option<(&StoreRun, &Leases, Terms)> {
        let (store, pace) = (self.store.as_ref()?, self.pace?);
        let terms = Terms { step_ns: pace.step_ns(), burst: pace.burst, each: store.is_asked_of_each() };
        Some((store, self.memory.leases.as_ref()?, terms))
    }

    /// What became of a request for which that was asked. `Wait`: something else was.
    pub fn heard(&self, key: u64, question: &Question, named: impl Fn() -> Vec<u8>, now: Instant) -> Leased {
        match self.leasing() {
            Some((_, leases, terms)) if terms.each => leases.heard(key, question.answered(), self.ns(now), terms),
            _ => self.lease(key, named, now),
        }
    }

    /// A request that it let pass was refused by another limit: it counts for nothing here.
    #[cold]
    pub fn give_back(&self, key: u64) {
        if let (Some(pace), Some(owed)) = (self.pace, &self.memory.owed) {
            owed.give_back(key, pace);
        }
    }

    /// And the same where it was leased.
    #[cold]
    pub fn give_lease_back(&self, key: u64) {
        if let Some(leases) = &self.memory.leases {
            leases.give_back(key);
        }
    }

    /// The most that pass at a time, and the seconds in which all of it is earned back: what its answers call its policy.
    pub fn policy(&self) -> Option<(u32, u64)> {
        self.pace.map(|pace| (pace.burst, pace.span_s()))
    }

    /// Keys that owe something now, how many were forgotten, and those that owe most.
    pub fn busiest(&self, most: usize) -> (usize, u64, Vec<Busy>) {
        let (Some(pace), Some(owed)) = (self.pace, &self.memory.owed) else { return (0, 0, Vec::new()) };
        let now_ns = self.ns(Instant::now());
        let (number, all) = owed.owing(now_ns, most);
        let used = |until_ns| u64::from(pace.burst).saturating_sub(pace.left(until_ns, now_ns));
        let busy = all.iter().map(|it| Busy { sign: sign(it.key), used: used(it.until_ns) });
        (number, owed.forgotten(), busy.collect())
    }

    /// Requests under way, and of how many keys.
    pub fn under_way(&self) -> (u64, usize) {
        self.memory.under_way.all()
    }
}

/// The limits of a plan by their names; those that count by the same as before go on counting.
///
/// Refuses: two of one name that are not the same.
pub(crate) fn limiters(
    ways: impl Iterator<Item = impl std::borrow::Borrow<Way>>,
    before: Option<&Running>,
    stores: &[Arc<StoreRun>],
) -> Result<HashMap<String, Arc<LimiterRun>>, Unusable> {
    let mut all: HashMap<String, Arc<LimiterRun>> = HashMap::new();
    for way in ways {
        let Way::AtEdge { limited_by, .. } = way.borrow() else { continue };
        for plan in limited_by {
            match all.get(&plan.name) {
                Some(it) if it.plan == *plan => {}
                Some(_) => return Err(Unusable(format!("two limits are named {:?}", plan.name))),
                None => {
                    let mut old = before.iter().flat_map(|b| &b.limiters);
                    let old = old.find(|b| b.plan.name == plan.name).map(|b| &**b);
                    let store = match &plan.shared {
                        None => None,
                        Some(by) => {
                            let found = stores.iter().find(|it| it.plan.name == by.store).cloned();
                            Some(found.ok_or_else(|| Unusable(format!("store {:?} is not there", by.store)))?)
                        }
                    };
                    all.insert(plan.name.clone(), Arc::new(LimiterRun::new(plan, old, store)));
                }
            }
        }
    }
    Ok(all)
}

/// Those of a route, with what it counted so far.
pub(crate) fn of_route(
    way: &Way,
    all: &HashMap<String, Arc<LimiterRun>>,
    old: Option<&RouteRun>,
) -> Option<Box<LimitsRun>> {
    let Way::AtEdge { limited_by, .. } = way else { return None };
    let counted = |name: &str| {
        let mut each = old.and_then(|o| o.limited.as_ref()).into_iter().flat_map(|l| &l.each);
        each.find(|l| l.by.plan.name == name).map(|l| l.over.clone()).unwrap_or_default()
    };
    let named = limited_by.iter().filter_map(|plan| all.get(&plan.name));
    let each: Vec<_> = named.map(|by| Limited { by: by.clone(), over: counted(&by.plan.name) }).collect();
    let tells = each.iter().any(|it| it.by.tells());
    let shares = each.iter().any(|it| it.by.is_shared());
    (!each.is_empty()).then(|| Box::new(LimitsRun { each, tells, shares }))
}

impl Limited {
    /// It was beyond it once more.
    #[cold]
    pub fn exceeded(&self) {
        self.over.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
