//! What a site keeps over reloads that change nothing of who may resume: its sessions and its ticket keys, which are its own or
//! those that edges share (`[tickets]`). Whichever they are, what a session stands for and until when is said in `known.rs`.

use crate::known::Lasting;
use crate::material::{Blob, Unusable};
use everyhop_plan::{ClientDemand, Plan, Site};
use everyhop_ticket::{Keys, Tickets, Unfit};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::UnixTime;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};
use serde_json::json;
use std::sync::Arc;

/// Sessions that a site remembers for TLS 1.2 clients that use no tickets.
const SESSIONS: usize = 4096;

#[derive(Clone)]
pub struct Resumption {
    pub(crate) sessions: Arc<dyn StoresServerSessions>,
    pub(crate) tickets: Arc<dyn ProducesTickets>,
    /// What the ticket keys are made of ([`Keys::mark`]); `None`: of this engine's own randomness.
    pub(crate) shared: Option<Arc<[u8]>>,
}

/// Ticket keys that edges share.
pub(crate) struct Shared {
    keys: Arc<Keys>,
    mark: Arc<[u8]>,
}

impl Shared {
    /// As the plan has it; `None` where each engine has its own.
    pub(crate) fn of(plan: &Plan, blob: &Blob) -> Result<Option<Shared>, Unusable> {
        let Some(it) = &plan.tickets else { return Ok(None) };
        if it.keys.len() != blob.tickets.len() {
            return Err(Unusable("not all secrets of ticket keys were sent".into()));
        }
        let made = Keys::new(blob.tickets.iter().map(|secret| secret.bytes()), it.rotate_s);
        let keys = made.map_err(|why| {
            Unusable(match why {
                Unfit::NoSecret => "ticket keys are made of no secret".into(),
                Unfit::ShortSecret => "a secret of ticket keys is too short".into(),
                Unfit::NoRotation => "ticket keys never rotate".into(),
            })
        })?;
        Ok(Some(Shared { mark: keys.mark().into(), keys: Arc::new(keys) }))
    }
}

/// All that a session of a site stands for, written so that edges with the same site write the same: of another one no ticket is
/// opened. Roots and lists are known by their digests, wherever they lie.
pub(crate) fn bound_to(site: &Site, ca: &str, crl: &str) -> Vec<u8> {
    let clients = match &site.clients {
        ClientDemand::Nothing {} => json!("nothing"),
        ClientDemand::Ask { crl: lists, stale_crl, .. } => json!(["ask", ca, lists.as_ref().map(|_| crl), stale_crl]),
        ClientDemand::Require { crl: lists, stale_crl, .. } => {
            json!(["require", ca, lists.as_ref().map(|_| crl), stale_crl])
        }
    };
    json!([site.name, site.protocol, clients, site.policy]).to_string().into_bytes()
}

impl Resumption {
    /// With ticket keys of its own. `knows_clients`: sessions stand for what clients proved, and last as `known.rs` says.
    pub fn new(knows_clients: bool) -> Result<Resumption, Unusable> {
        let sessions = ServerSessionMemoryCache::new(SESSIONS);
        let sessions: Arc<dyn StoresServerSessions> =
            if knows_clients { Arc::new(Lasting(sessions)) } else { sessions };
        Ok(Resumption { sessions, tickets: lasting(own()?, knows_clients), shared: None })
    }

    /// `before`: what the site kept so far, with whoever may resume as now. Its sessions stay, and its ticket keys if they are made
    /// of the same.
    pub(crate) fn after(
        before: Option<&Resumption>,
        knows_clients: bool,
        shared: Option<&Shared>,
        bound_to: impl FnOnce() -> Vec<u8>,
    ) -> Result<Resumption, Unusable> {
        let mark = shared.map(|it| it.mark.clone());
        let kept = match before {
            Some(it) if it.shared == mark => return Ok(it.clone()),
            Some(it) => it.clone(),
            None => Resumption::new(knows_clients)?,
        };
        let tickets: Arc<dyn ProducesTickets> = match shared {
            Some(by) => Arc::new(OfAll(by.keys.of(&bound_to()))),
            None => own()?,
        };
        Ok(Resumption { tickets: lasting(tickets, knows_clients), shared: mark, ..kept })
    }
}

fn own() -> Result<Arc<dyn ProducesTickets>, Unusable> {
    Ticketer::new().map_err(|_| Unusable("no randomness for ticket keys".into()))
}

fn lasting(tickets: Arc<dyn ProducesTickets>, knows_clients: bool) -> Arc<dyn ProducesTickets> {
    if knows_clients { Arc::new(Lasting(tickets)) } else { tickets }
}

/// Tickets that every edge opens which has the secret.
#[derive(Debug)]
struct OfAll(Tickets);

impl ProducesTickets for OfAll {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.0.lifetime_s()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.seal(plain, UnixTime::now().as_secs())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.open(cipher, UnixTime::now().as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_that_a_ticket_lasts_as_long_as_every_edge_opens_it() {
        for rotate_s in [1, 3600, u32::MAX] {
            let keys = Keys::new([&[1; 32][..]], rotate_s).unwrap_or_else(|_| panic!("keys"));
            assert_eq!(OfAll(Arc::new(keys).of(b"site")).lifetime(), rotate_s);
        }
    }
}
