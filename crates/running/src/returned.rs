//! What a route makes of what its backends say of themselves, made ready. Read next: the engine's `exchange/returned.rs`.

use crate::backend::BackendRun;
use everyhop_plan::{Cookies, Locations, Place, Target};
use std::net::IpAddr;
use std::sync::Arc;

pub struct ReturnedRun {
    /// A backend that names itself is named as its client knows it.
    pub locations: bool,
    /// The host that backends are asked for; `None`: the one that the client asked for.
    pub host: Option<Box<str>>,
    /// What was taken from paths, and what was put before them.
    pub strip: Box<str>,
    pub under: Box<str>,
    pub cookies: Option<Cookies>,
    backends: Vec<Arc<BackendRun>>,
}

impl ReturnedRun {
    /// `None` where nothing is changed.
    pub fn of(
        locations: Locations,
        (host, target): (Option<&str>, &Target),
        cookies: Option<&Cookies>,
        backends: &[Arc<BackendRun>],
    ) -> Option<Box<ReturnedRun>> {
        let locations = locations == Locations::Rewrite;
        let (strip, under) = match target {
            Target::Moved { strip, under } => (strip.as_str(), under.as_str()),
            // No path of theirs says which one was asked for.
            Target::AsItCame {} | Target::Fixed { .. } | Target::Rewritten { .. } => ("", ""),
        };
        (locations || cookies.is_some()).then(|| {
            Box::new(ReturnedRun {
                locations,
                host: host.map(Into::into),
                strip: strip.into(),
                under: under.into(),
                cookies: cookies.cloned(),
                backends: backends.to_vec(),
            })
        })
    }

    /// One of the backends is there, by its name or an address of it; without a host, one has that port.
    pub fn is_backend(&self, host: Option<&str>, port: u16) -> bool {
        self.backends.iter().any(|it| {
            let named = match (&it.place, host) {
                (Place::Name { port: its, .. }, None) => *its == port,
                (Place::Name { name, port: its }, Some(host)) => *its == port && name.eq_ignore_ascii_case(host),
                _ => false,
            };
            let ip = host.map(|it| it.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>());
            named
                || it.addresses.load().iter().filter_map(|a| a.at).any(|at| {
                    let host_is_its = ip.as_ref().is_none_or(|it| it.as_ref().is_ok_and(|ip| *ip == at.ip()));
                    at.port() == port && host_is_its
                })
        })
    }
}
