//! Holds private keys for engines that have none (`[engine] keys = "apart"`), and signs handshakes by them: what an ask may be
//! of stands in `everyhop_signing`, and is put together here, from its parts. It opens nothing, knows no plan, and says nothing
//! of a key but how often it signed. Read next: `bound.rs`; the process around it is in `crates/control/src/holding.rs`.

#![forbid(unsafe_code)]

mod bound;

use crate::bound::Bound;
use everyhop_running::apart::id_of;
use everyhop_running::secret::SecretPem;
use everyhop_signing::{Answer, Ask, KeyId, LONGEST_BYTES, No, Role};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::SigningKey;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

/// What it is to hold, in the place of what it held. `Debug` is not derived.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    keys: Vec<GivenKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenKey {
    /// What it is the key of, for whoever reads the counts.
    id: String,
    role: GivenRole,
    key: SecretPem,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum GivenRole {
    Server,
    Client,
}

/// How often a key signed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    pub id: String,
    pub signed: u64,
}

struct Held {
    id: String,
    key: Arc<dyn SigningKey>,
    signed: AtomicU64,
    bound: Bound,
}

/// All keys, for all lines.
#[derive(Default)]
pub struct Holder {
    keys: RwLock<HashMap<(KeyId, Role), Arc<Held>>>,
    refused: [AtomicU64; No::ALL.len()],
}

impl Holder {
    /// Holds these and no others. Fails, and holds what it held, where one is no key.
    pub fn hold(&self, given: &Given) -> Result<(), String> {
        let mut keys = HashMap::new();
        for it in &given.keys {
            let role = match it.role {
                GivenRole::Server => Role::Server,
                GivenRole::Client => Role::Client,
            };
            let der = it.key.key().ok_or_else(|| format!("{:?} is no private key in PEM", it.id))?;
            let key = any_supported_type(&der).map_err(|_| format!("{:?} is of no kind that TLS uses here", it.id))?;
            let name = key.public_key().map(|public| id_of(&public));
            let name = (name.ok_or_else(|| format!("{:?} has no public half", it.id))?, role);
            let before = self.find(name);
            let signed = AtomicU64::new(before.map_or(0, |it| it.signed.load(Ordering::Relaxed)));
            keys.insert(name, Arc::new(Held { id: it.id.clone(), key, signed, bound: Bound::default() }));
        }
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// How often each key signed, and how often none did, by the reason.
    pub fn counted(&self) -> (Vec<Counted>, HashMap<&'static str, u64>) {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let mut signed: Vec<_> =
            keys.values().map(|it| Counted { id: it.id.clone(), signed: it.signed.load(Ordering::Relaxed) }).collect();
        signed.sort_by(|a, b| a.id.cmp(&b.id));
        let refused = No::ALL.iter().zip(&self.refused).map(|(no, count)| (no.word(), count.load(Ordering::Relaxed)));
        (signed, refused.collect())
    }

    /// Answers what comes on a line until its other end is gone.
    pub fn serve(&self, line: &OwnedFd) {
        let mut room = vec![0u8; LONGEST_BYTES + 1];
        loop {
            let len = match recv(line, &mut *room, RecvFlags::empty()) {
                Ok((_, 0)) => return,
                Ok((_, len)) => len,
                Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            let answer = self.answer(room.get(..len).unwrap_or_default(), Instant::now()).write();
            if send(line, &answer, SendFlags::NOSIGNAL).is_err() {
                return;
            }
        }
    }

    pub fn answer(&self, message: &[u8], now: Instant) -> Answer {
        let (number, signed) = match Ask::read(message) {
            Ok(ask) => (ask.number, self.sign(&ask, now)),
            Err((number, no)) => (number, Err(no)),
        };
        if let Err(no) = signed
            && let Some(count) = No::ALL.iter().position(|it| *it == no).and_then(|at| self.refused.get(at))
        {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Answer { number, signed }
    }

    fn sign(&self, ask: &Ask<'_>, now: Instant) -> Result<Vec<u8>, No> {
        let held = self.find((ask.key, ask.content.role())).ok_or(No::Key)?;
        let signer = held.key.choose_scheme(&[SignatureScheme::from(ask.scheme)]).ok_or(No::Scheme)?;
        if !held.bound.takes(now) {
            return Err(No::TooMany);
        }
        let signature = signer.sign(&ask.content.signed()).map_err(|_| No::Scheme)?;
        held.signed.fetch_add(1, Ordering::Relaxed);
        Ok(signature)
    }

    fn find(&self, name: (KeyId, Role)) -> Option<Arc<Held>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&name).cloned()
    }
}
