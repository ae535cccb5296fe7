//! The backends of a plan in the making: one for each hop, whatever routes have it, with one health; taken over from the plan
//! before where it is the same in everything. Read next: `backend.rs`, then `carried.rs`.

use crate::address::{Address, Found, resolved};
use crate::backend::{BackendRun, Health, Secured};
use crate::carried::like;
use crate::material::{self, Blob, Listed, Unusable};
use crate::running::Running;
use arc_swap::ArcSwap;
use everyhop_plan::{
    BackendHop, HealthCheck, Identity, Place, Proof, Reach, SendProxy, Spread, StaleCrl, StartTls, UpstreamProtocol,
};
use everyhop_record::digest::sha256_hex;
use rustls::pki_types::ServerName;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// What is listed of the material that a plan comes with, by id.
pub(crate) struct Lists<'a>(HashMap<&'a str, &'a Listed>);

impl<'a> Lists<'a> {
    pub(crate) fn of(material: &'a [Listed]) -> Lists<'a> {
        Lists(material.iter().map(|l| (l.id.as_str(), l)).collect())
    }

    pub(crate) fn get(&self, id: &str) -> Option<&&'a Listed> {
        self.0.get(id)
    }

    pub(crate) fn hash(&self, id: &str) -> &str {
        self.get(id).map_or("", |l| l.chain_sha256.as_str())
    }

    pub(crate) fn end_of(&self, id: &str) -> i64 {
        self.get(id).and_then(|l| l.not_after_s).unwrap_or(i64::MAX)
    }
}

/// How a backend is spoken to, and how far it is believed to speak so itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speaks {
    pub(crate) protocol: UpstreamProtocol,
    pub(crate) lenient_answers: bool,
    /// What goes there shares no connection and no health with requests: copies of them, and what is told of them.
    #[expect(dead_code, reason = "part of what the hop's id is made of")]
    pub(crate) apart: bool,
}

/// What a check of a backend's health asks, and what goes first on its connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checks<'a> {
    check: &'a HealthCheck,
    #[expect(dead_code, reason = "part of what the hop's id is made of")]
    first: (SendProxy, Option<StartTls>),
}

impl<'a> Checks<'a> {
    pub(crate) fn of(spread: Option<&'a Spread>, first: (SendProxy, Option<StartTls>)) -> Option<Checks<'a>> {
        spread.and_then(|s| s.health.as_ref()).map(|check| Checks { check, first })
    }
}

pub(crate) struct Hops<'a> {
    identities: &'a [Identity],
    listed: &'a Lists<'a>,
    blob: &'a Blob,
    names: &'a HashMap<String, Vec<Found>>,
    old_backends: HashMap<u64, &'a Arc<BackendRun>>,
    /// Those that were checked, by what they have in common with the same hop checked otherwise.
    old_checked: HashMap<u64, &'a Arc<BackendRun>>,
    /// Backends of this plan by hop.
    built: RefCell<HashMap<u64, Arc<BackendRun>>>,
}

impl<'a> Hops<'a> {
    pub(crate) fn after(
        before: Option<&'a Running>,
        identities: &'a [Identity],
        listed: &'a Lists<'a>,
        blob: &'a Blob,
        names: &'a HashMap<String, Vec<Found>>,
    ) -> Hops<'a> {
        let old = || before.iter().flat_map(|b| b.backends());
        let old_backends = old().map(|b| (b.hop_id, b)).collect();
        let old_checked = old().filter(|b| b.check.is_some()).map(|b| (b.kin_id, b)).collect();
        Hops { identities, listed, blob, names, old_backends, old_checked, built: RefCell::default() }
    }

    pub(crate) fn splice(&self, place: &Place, checks: Option<Checks<'_>>) -> Arc<BackendRun> {
        let ids = Ids::of(&format!("splice {place:?}"), checks);
        let speaks = Speaks { protocol: UpstreamProtocol::Http1, lenient_answers: false, apart: false };
        self.known(ids, place, "passthrough", Secures::Not, speaks, i64::MAX, checks)
    }

    pub(crate) fn backend(
        &self,
        backend: &everyhop_plan::Backend,
        speaks: Speaks,
        checks: Option<Checks<'_>>,
    ) -> Result<Arc<BackendRun>, Unusable> {
        let protocol = speaks.protocol;
        let (tls, verify, present, demand_asks, policy) = match &backend.hop {
            BackendHop::Plaintext { .. } if protocol == UpstreamProtocol::Auto => {
                let at = &backend.at;
                return Err(Unusable(format!("the hop to {at} has no TLS in which it could choose its protocol")));
            }
            BackendHop::Plaintext { reach } => {
                let closes = match reach {
                    Reach::SameHost {} => i64::MAX,
                    Reach::Accepted { acceptance } => acceptance.closes_at_s,
                };
                let ids = Ids::of(&format!("plaintext {:?} {speaks:?} {closes}", backend.at), checks);
                return Ok(self.known(ids, &backend.at, "plaintext", Secures::Not, speaks, closes, checks));
            }
            BackendHop::Reencrypt { verify, policy } => ("reencrypt", verify, None, false, policy),
            BackendHop::Mutual { verify, present, demand_asks, policy } => {
                ("mutual", verify, Some(present), *demand_asks, policy)
            }
        };
        let material = present
            .map(|name| {
                let found = self.identities.iter().find(|i| i.name == *name);
                found.map(|i| i.material.as_str()).ok_or_else(|| Unusable(format!("identity {name:?} is not there")))
            })
            .transpose()?;
        let (ca, crl, lists_end_s) = match &verify.by {
            Proof::Roots { ca, crl, stale_crl } | Proof::Spiffe { ca, crl, stale_crl, .. } => {
                let ends = crl.as_deref().filter(|_| *stale_crl == StaleCrl::Refuse).map(|id| self.listed.end_of(id));
                (self.listed.hash(ca), crl.as_deref().map_or("", |id| self.listed.hash(id)), ends.unwrap_or(i64::MAX))
            }
            Proof::Pins { .. } => ("", "", i64::MAX),
        };
        // Open connections and sessions carry a backend past the question whether it was revoked: another list, another hop.
        let inputs = format!(
            "{tls} {:?} {verify:?} {ca} {crl} {material:?} {} {demand_asks} {policy:?} {speaks:?}",
            backend.at,
            material.map_or("", |m| self.listed.hash(m)),
        );
        let ids = Ids::of(&inputs, checks);
        let name = ServerName::try_from(verify.name.clone())
            .map_err(|_| Unusable(format!("{:?} is no name of a server", verify.name)))?;
        if let Some(known) = self.find(ids.hop) {
            return Ok(known);
        }
        let shown = present.and_then(|name| self.identities.iter().find(|i| i.name == *name));
        if !self.blob.has_come(verify, shown) {
            return Ok(self.known(ids, &backend.at, tls, Secures::NotYet, speaks, i64::MAX, checks));
        }
        let config = material::client(verify, material, policy, protocol, self.blob)?;
        let secured = Secured::new(config, name, present.is_some(), demand_asks, policy, lists_end_s);
        Ok(self.known(ids, &backend.at, tls, Secures::By(secured), speaks, i64::MAX, checks))
    }

    /// The backend of this plan or of the one before that is the same in everything.
    fn find(&self, hop_id: u64) -> Option<Arc<BackendRun>> {
        self.built.borrow().get(&hop_id).or_else(|| self.old_backends.get(&hop_id).copied()).cloned()
    }

    /// As [`Hops::find`], else a new one.
    #[expect(clippy::too_many_arguments, reason = "what a backend is, each once")]
    fn known(
        &self,
        ids: Ids,
        place: &Place,
        tls: &'static str,
        secured: Secures,
        speaks: Speaks,
        closes_at_s: i64,
        checks: Option<Checks<'_>>,
    ) -> Arc<BackendRun> {
        if let Some(known) = self.find(ids.hop) {
            return known;
        }
        let addresses = match place {
            Place::Ip { ip, port } => vec![Address::new(Some(SocketAddr::new(*ip, *port)))],
            Place::Name { .. } | Place::Service { .. } => {
                let found = resolved(place, self.names).unwrap_or_default();
                found.into_iter().map(|(at, rank)| Address::ranked(Some(at), rank)).collect()
            }
            Place::Unix { .. } => vec![Address::new(None)],
        };
        let is_uncertified = matches!(secured, Secures::NotYet);
        let secured = if let Secures::By(it) = secured { Some(it) } else { None };
        let before = checks.and_then(|_| self.old_checked.get(&ids.kin));
        let addresses = match before {
            Some(before) => like(addresses, &before.addresses.load()),
            None => addresses,
        };
        let it = Arc::new(BackendRun {
            hop_id: ids.hop,
            kin_id: ids.kin,
            at: place.to_string(),
            place: place.clone(),
            addresses: ArcSwap::from_pointee(addresses),
            tls,
            secured,
            is_uncertified,
            protocol: speaks.protocol,
            lenient_answers: speaks.lenient_answers,
            closes_at_s,
            health: Health::default(),
            check: checks.map(|c| c.check.clone()),
            open: Arc::default(),
            turn: AtomicUsize::default(),
        });
        it.sum_up();
        self.built.borrow_mut().insert(ids.hop, it.clone());
        it
    }
}

/// How a hop speaks TLS.
#[expect(clippy::large_enum_variant, reason = "handed on once")]
enum Secures {
    Not,
    By(Secured),
    /// What it takes comes by itself and is not there: nothing goes there until it is.
    NotYet,
}

/// What a backend is known by.
#[derive(Clone, Copy)]
struct Ids {
    hop: u64,
    /// The same however its health is checked.
    kin: u64,
}

impl Ids {
    fn of(inputs: &str, checks: Option<Checks<'_>>) -> Ids {
        let kin = hop_id(inputs);
        Ids { hop: checks.map_or(kin, |checks| hop_id(&format!("{inputs} {checks:?}"))), kin }
    }
}

/// The first 64 bits of a SHA-256. Whoever has the same id shares pools and TLS sessions, so two different hops must not
/// have the same: of a thousand hops some two have it with a chance of 1 in 10^13.
fn hop_id(inputs: &str) -> u64 {
    let hex = sha256_hex(inputs.as_bytes());
    hex.get(..16).and_then(|h| u64::from_str_radix(h, 16).ok()).unwrap_or_default()
}
