//! A hop to a store, over which it is spoken with in its own words. Read next: `line.rs`, `service.rs`.

use crate::backend::connect;
use crate::backend::preface::Preface;
use crate::store::line::Line;
use crate::store::service::Service;
use everyhop_plan::StoreSpeaks;
use everyhop_record::failure::Failure;
use everyhop_record::refusal::Refusal;
use everyhop_running::address::Address;
use everyhop_running::backend::BackendRun;
use everyhop_running::store::StoreRun;
use everyhop_transport::deadlines::{Watches, in_time};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// For opening a connection, and for what is said first on it.
const OPENS_MS: u64 = 2_000;

pub(super) enum Talk {
    Line(Box<Line>),
    Service(Box<Service>),
}

impl Talk {
    /// Asks and hears until it ends: with why, or with nothing where `goes_on` says that it is another one now.
    pub(super) async fn talk(&mut self, goes_on: impl Fn() -> bool) -> Option<String> {
        match self {
            Talk::Line(it) => it.talk(goes_on).await,
            Talk::Service(it) => it.talk(goes_on).await,
        }
    }
}

/// To the first of its addresses that takes one, in turns. Refuses: with why none does.
pub(super) async fn open(watches: &Rc<Watches>, store: &Arc<StoreRun>, turn: &mut usize) -> Result<Talk, String> {
    let of = |b: &Arc<BackendRun>| {
        let all = b.addresses.load_full();
        (0..all.len()).filter_map(|i| Some((b.clone(), all.get(i)?.clone()))).collect::<Vec<_>>()
    };
    let mut all: Vec<(Arc<BackendRun>, Address)> = store.backends.iter().flat_map(of).collect();
    if let Some(turns) = turn.checked_rem(all.len()) {
        all.rotate_left(turns);
    }
    let mut why = Refusal::Unresolved.slug().to_owned();
    for (i, (backend, address)) in all.into_iter().enumerate() {
        match open_one(watches, store, &backend, &address).await {
            Ok(it) => {
                *turn = turn.wrapping_add(i);
                return Ok(it);
            }
            Err(it) => why = it,
        }
    }
    *turn = turn.wrapping_add(1);
    Err(why)
}

async fn open_one(
    watches: &Rc<Watches>,
    store: &Arc<StoreRun>,
    backend: &Arc<BackendRun>,
    address: &Address,
) -> Result<Talk, String> {
    let clock = watches.clock.clone();
    if let Some(closed) = backend.closed(clock.unix_s.get()) {
        return Err(closed.slug().to_owned());
    }
    let until_ms = clock.now_ms.get() + OPENS_MS;
    let opened = connect::open(watches, 0, backend, address, until_ms, &Preface::NONE, &mut None).await;
    let opened = opened.map_err(|it| failed(watches, backend, address, &it))?;
    opened.link.is_our_own();
    let watch = watches.watch();
    watch.at_ms(until_ms);
    let begins = async {
        Ok::<_, String>(match store.plan.speaks {
            StoreSpeaks::Redis {} => {
                let mut line = Line::on(watches, store, opened)?;
                line.begin().await?;
                Talk::Line(Box::new(line))
            }
            StoreSpeaks::Envoy { .. } => Talk::Service(Box::new(Service::on(watches, store, opened).await?)),
        })
    };
    match in_time(&watch, begins).await {
        Ok(Ok(it)) => Ok(it),
        Ok(Err(why)) => Err(format!("{}: {why}", backend.at)),
        Err(_) => Err(format!("{}: it does not answer", backend.at)),
    }
}

fn failed(watches: &Watches, backend: &BackendRun, address: &Address, it: &Failure) -> String {
    let (micros, _) = watches.clock.unix_micros(Instant::now());
    backend.health.count(it.why.slug());
    address.fares.failures.fetch_add(1, Ordering::Relaxed);
    address.fares.note(it, micros);
    let more = it.detail.as_deref().map(|d| format!(": {d}")).unwrap_or_default();
    format!("{} at {}{more}", it.why.slug(), backend.at)
}
