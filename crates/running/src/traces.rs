//! Which requests become spans, and the collector that they go to: a hop as one to a backend, with its own health. Nothing is
//! sent here. Read next: `everyhop-record`'s `spans.rs`; the engine's `export`, which sends.

use crate::backend::BackendRun;
use everyhop_plan::{Limits, Traced, Traces};
use everyhop_record::otlp;
use std::sync::Arc;

/// What is done with requests of a plan that has `traces`.
pub struct TracesRun {
    pub collector: String,
    pub backends: Vec<Arc<BackendRun>>,
    /// The path that spans are sent to.
    pub path: String,
    /// `Resource` of OTLP.
    pub resource: Vec<u8>,
    /// Of those that reach no route, and of routes that say no other.
    pub share: Share,
    pub slow_us: u64,
    pub query: bool,
    pub limits: Arc<Limits>,
}

/// How many of the requests that nobody in front has decided about: those whose trace has a number below it, so that everybody
/// who counts so keeps the same ones (OpenTelemetry, `TraceIdRatioBased`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u64);

impl Share {
    pub fn of(ppm: u32) -> Share {
        let below = (u128::from(ppm.min(1_000_000)) << 63) / 1_000_000;
        Share(u64::try_from(below).unwrap_or(u64::MAX))
    }

    pub fn takes(self, trace: [u8; 16]) -> bool {
        let [.., a, b, c, d, e, f, g, h] = trace;
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < self.0
    }
}

impl TracesRun {
    pub(crate) fn new(plan: &Traces, under: &str, backends: Vec<Arc<BackendRun>>, limits: Arc<Limits>) -> TracesRun {
        let own = [("service.name".to_owned(), plan.service.clone())];
        let others = plan.resource.iter().map(|it| (it.name.clone(), it.value.clone()));
        let resource: Vec<_> = own.into_iter().chain(others).collect();
        TracesRun {
            collector: plan.collector.clone(),
            backends,
            path: format!("{under}/v1/traces"),
            resource: otlp::resource(&resource),
            share: Share::of(plan.ppm),
            slow_us: u64::from(plan.slow_ms) * 1000,
            query: plan.query,
            limits,
        }
    }

    /// What is sent to the one is sent to the other.
    pub fn is_to_the_same(&self, other: &TracesRun) -> bool {
        let same = |(a, b): (&Arc<BackendRun>, &Arc<BackendRun>)| a.hop_id == b.hop_id;
        self.path == other.path
            && self.backends.len() == other.backends.len()
            && self.backends.iter().zip(&other.backends).all(same)
    }

    /// Of a route that says that; `None`: none of its requests.
    pub(crate) fn share_of(&self, traced: Traced) -> Option<Share> {
        match traced {
            Traced::AsFile {} => Some(self.share),
            Traced::Never {} => None,
            Traced::Share { ppm } => Some(Share::of(ppm)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(last: u64) -> [u8; 16] {
        let mut out = [7; 16];
        out[8..].copy_from_slice(&last.to_be_bytes());
        out
    }

    #[test]
    fn all_none_and_a_share_are_what_they_say() {
        for n in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(Share::of(1_000_000).takes(trace(n)) && !Share::of(0).takes(trace(n)), "{n}");
        }
        let step = u64::MAX / 10_000;
        let taken = (0..10_000).filter(|n| Share::of(10_000).takes(trace(n * step))).count();
        assert!(taken.abs_diff(100) <= 1, "{taken} of 10,000 are not one in a hundred");
    }
}
