//! Makes ready what stands beside routes and is asked or told by them: authorizers, policies of rules, passwords, stores, mirrors, the
//! collector of traces.

use super::{Building, bare};
use crate::asks::AsksRun;
use crate::basic::{BasicRun, users_id};
use crate::hops::Speaks;
use crate::material::Unusable;
use crate::mirror::MirrorRun;
use crate::running::{RouteRun, Running};
use crate::store::StoreRun;
use crate::traces::TracesRun;
use crate::waf::WafRun;
use everyhop_plan::{
    Authorizer, AuthorizerSpeaks, Basic, EjectOn, Limits, Mirror, Plan, Store, StoreSpeaks, UpstreamProtocol,
};
use everyhop_record::counters::Stats;
use std::sync::Arc;

impl Building<'_> {
    /// `to`: a route that goes nowhere yet.
    pub(super) fn mirror(&self, by: &Mirror, lenient_answers: bool, to: RouteRun) -> Result<MirrorRun, Unusable> {
        let speaks = Speaks { protocol: by.upstream_protocol, lenient_answers, apart: true };
        let backends = by.backends.iter().map(|b| self.hops.backend(b, speaks, None)).collect::<Result<_, _>>()?;
        Ok(MirrorRun::new(by, RouteRun { backends, ..to }))
    }

    /// Who is asked, with what was counted `before`. It shares no connection and no health with requests.
    pub(super) fn asks(&self, by: &Authorizer, before: Option<&AsksRun>) -> Result<AsksRun, Unusable> {
        let protocol = match by.speaks {
            AuthorizerSpeaks::Http { .. } => UpstreamProtocol::Http1,
            AuthorizerSpeaks::Envoy {} => UpstreamProtocol::Http2,
        };
        let speaks = Speaks { protocol, lenient_answers: false, apart: true };
        let backends = by.backends.iter().map(|b| self.hops.backend(b, speaks, None)).collect::<Result<_, _>>()?;
        let (name, stats) = (by.name.as_str().into(), Arc::new(Stats::new(self.threads)));
        // One that cannot be connected to, or does not answer, is left alone where there is another.
        let connect_s = by.deadline_ms.div_ceil(1000).min(self.limits.connect_s);
        let limits = Arc::new(Limits { connect_s, ..Limits::clone(&self.limits) });
        let to = RouteRun { backends, eject_on: vec![EjectOn::Timeouts], ..bare(&name, "authorizer", &stats, &limits) };
        let mut made = AsksRun::new(by, to);
        made.follows(before);
        Ok(made)
    }

    /// Whose names and passwords it asks for.
    pub(super) fn basic(&mut self, it: &Basic, before: Option<&RouteRun>) -> Result<BasicRun, Unusable> {
        let digest = self.listed.hash(&users_id(&it.file));
        let old = before.and_then(|b| b.basic.as_deref());
        let made = BasicRun::of(it, self.blob, digest, old, &self.users)?;
        if self.users.iter().all(|known| !Arc::ptr_eq(known, &made.users)) {
            self.users.push(made.users.clone());
        }
        Ok(made)
    }

    pub(super) fn asked(&self, name: &str) -> Result<Arc<AsksRun>, Unusable> {
        let found = self.asks.iter().find(|it| it.by.name == name);
        found.cloned().ok_or_else(|| Unusable(format!("authorizer {name:?} is not there")))
    }

    pub(super) fn inspected(&self, name: &str) -> Result<Arc<WafRun>, Unusable> {
        let found = self.wafs.iter().find(|it| it.by.name == name);
        found.cloned().ok_or_else(|| Unusable(format!("waf {name:?} is not there")))
    }

    pub(super) fn traces(&self) -> Result<Option<TracesRun>, Unusable> {
        let Some(plan) = &self.plan.traces else { return Ok(None) };
        let found = self.plan.collectors.iter().find(|c| c.name == plan.collector);
        let it = found.ok_or_else(|| Unusable(format!("collector {:?} is not there", plan.collector)))?;
        let speaks = Speaks { protocol: UpstreamProtocol::Http1, lenient_answers: false, apart: true };
        let backends = it.backends.iter().map(|b| self.hops.backend(b, speaks, None)).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(TracesRun::new(plan, &it.under, backends, self.limits.clone())))
    }

    pub(super) fn stores(&self, before: Option<&Running>) -> Result<Vec<Arc<StoreRun>>, Unusable> {
        let store = |plan: &Store| {
            let protocol = match plan.speaks {
                StoreSpeaks::Redis {} => UpstreamProtocol::Tcp,
                StoreSpeaks::Envoy { .. } => UpstreamProtocol::Http2,
            };
            let speaks = Speaks { protocol, lenient_answers: false, apart: true };
            let backends =
                plan.backends.iter().map(|b| self.hops.backend(b, speaks, None)).collect::<Result<_, _>>()?;
            let id = format!("store/{}", plan.name);
            let password = match &plan.password {
                None => None,
                Some(_) => {
                    let sent = self.blob.stores.get(&id).cloned();
                    Some(sent.ok_or_else(|| Unusable(format!("material {id:?} was not sent")))?)
                }
            };
            let old = before.iter().flat_map(|b| &b.stores).find(|it| it.plan.name == plan.name);
            let questions = old.map(|it| it.questions.clone()).unwrap_or_default();
            Ok(Arc::new(StoreRun { plan: plan.clone(), backends, password, questions, limits: self.limits.clone() }))
        };
        self.plan.stores.iter().map(store).collect()
    }
}

/// The policies, each with what one of its name counted before.
pub(super) fn wafs(
    plan: &Plan,
    inspector: Option<&str>,
    before: Option<&Running>,
) -> Result<Vec<Arc<WafRun>>, Unusable> {
    if plan.wafs.is_empty() {
        return Ok(Vec::new());
    }
    let id = inspector.ok_or_else(|| Unusable("policies without their inspector's name".into()))?;
    let id: Arc<str> = id.into();
    let numbered = plan.wafs.iter().zip(0..=u16::MAX);
    let made = numbered.map(|(it, number)| {
        let old = before.and_then(|b| b.wafs.iter().find(|old| old.by.name == it.name));
        Arc::new(WafRun::new(it, number, id.clone(), old.map(|it| &**it)))
    });
    Ok(made.collect())
}
