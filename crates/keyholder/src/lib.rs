//! Holds private keys for engines that have none (`[engine] keys = "apart"`), and signs handshakes by them: what an ask may be
//! of stands in `everyhop_signing`, and is put together here, from its parts. It opens nothing, knows no plan, and says nothing
//! of a key but how often it signed. A key of a token is asked of the process that has its module, which is one of these, too. Read
//! next: `bound.rs`, `token.rs`; the process around it is in `crates/control/src/holding.rs`.

#![forbid(unsafe_code)]

mod bound;
mod token;

pub use crate::token::{GivenTokens, Lacking};

use crate::bound::Bound;
use crate::token::Tokens;
use everyhop_running::apart::{AWAY, Lines, Patience, id_of, through};
use everyhop_running::secret::{SecretPem, SecretText};
use everyhop_signing::{Answer, Ask, KeyId, LONGEST_BYTES, No, Role};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::CertificateDer;
use rustls::sign::SigningKey;
use rustls::{Error, SignatureScheme};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

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
    #[serde(default)]
    key: Option<SecretPem>,
    #[serde(default)]
    token: Option<Elsewhere>,
}

/// A key in a token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Elsewhere {
    /// Whose process is asked.
    module: String,
    /// The certificate, in base64.
    certificate: SecretText,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GivenRole {
    Server,
    Client,
}

impl From<GivenRole> for Role {
    fn from(it: GivenRole) -> Role {
        match it {
            GivenRole::Server => Role::Server,
            GivenRole::Client => Role::Client,
        }
    }
}

/// With the process of a module: less than an engine's with us, so that it hears from us why there is no signature. One that died is
/// back by then, or an engine asks again; where it is gone for longer, nobody's thread stands still for it.
const TOKEN: Patience = Patience {
    answer: Duration::from_millis(800),
    little: Duration::from_millis(100),
    back: Duration::from_millis(900),
    whole: Duration::from_millis(900),
    gone: Duration::from_secs(3),
};

/// How often a key signed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    pub id: String,
    pub signed: u64,
}

struct Held {
    id: String,
    key: Arc<dyn SigningKey>,
    /// What it means where it does not sign.
    silent: No,
    signed: AtomicU64,
    bound: Bound,
}

/// All keys, for all lines.
#[derive(Default)]
pub struct Holder {
    keys: RwLock<HashMap<(KeyId, Role), Arc<Held>>>,
    refused: [AtomicU64; No::ALL.len()],
    /// The lines to processes of modules, by the files of these: as many as were ever named.
    modules: Mutex<HashMap<String, &'static Lines>>,
    tokens: Tokens,
}

impl Holder {
    /// Holds these and no others. Fails, and holds what it held, where one is no key.
    pub fn hold(&self, given: &Given) -> Result<(), String> {
        let mut keys = HashMap::new();
        for it in &given.keys {
            let (key, silent) = match (&it.key, &it.token) {
                (Some(pem), None) => {
                    let der = pem.key().ok_or_else(|| format!("{:?} is no private key in PEM", it.id))?;
                    (
                        any_supported_type(&der)
                            .map_err(|_| format!("{:?} is of no kind that TLS uses here", it.id))?,
                        No::Scheme,
                    )
                }
                (None, Some(token)) => {
                    let key = self.asked(token, it.role.into());
                    (key.ok_or_else(|| format!("{:?} is of no kind that TLS uses here", it.id))?, No::Token)
                }
                _ => return Err(format!("{:?} is in one place", it.id)),
            };
            self.put(&mut keys, &it.id, it.role.into(), key, silent)?;
        }
        self.replace(keys);
        Ok(())
    }

    /// Signs by these keys of a token and by no others, and tells which of them it cannot sign by; where it is `whole`, and there is
    /// one, it goes on with those it had.
    pub fn hold_tokens(&self, given: &GivenTokens, whole: bool) -> Vec<Lacking> {
        let lacking = |id: &str, wrong: &everyhop_pkcs11::Wrong| Lacking {
            id: id.to_owned(),
            slug: wrong.slug(),
            why: wrong.why().to_owned(),
        };
        let module = match self.tokens.module(&given.module) {
            Ok(it) => it,
            Err(wrong) => return given.keys.iter().map(|it| lacking(&it.id, &wrong)).collect(),
        };
        let (mut keys, mut without) = (HashMap::new(), Vec::new());
        for it in &given.keys {
            let put = Tokens::key(&module, it, given.careful).and_then(|key| {
                self.put(&mut keys, &it.id, it.role.into(), key, No::Token).map_err(everyhop_pkcs11::Wrong::Token)
            });
            without.extend(put.err().map(|wrong| lacking(&it.id, &wrong)));
        }
        if without.is_empty() || !whole {
            self.replace(keys);
        }
        without
    }

    /// For how long a token has been waited for.
    pub fn waits(&self) -> Duration {
        self.tokens.waits()
    }

    /// Lines to the process of a module, in the place of those before.
    pub fn open(&self, module: &str, lines: Vec<OwnedFd>) {
        self.lines(module).open(lines);
    }

    fn lines(&self, module: &str) -> &'static Lines {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        modules.entry(module.to_owned()).or_insert_with(|| Box::leak(Box::new(Lines::new(TOKEN))))
    }

    fn asked(&self, token: &Elsewhere, role: Role) -> Option<Arc<dyn SigningKey>> {
        let certificate = CertificateDer::from(token.certificate.bytes());
        let leaf = webpki::EndEntityCert::try_from(&certificate).ok()?;
        through(self.lines(&token.module), leaf.subject_public_key_info().into_owned(), role)
    }

    fn put(
        &self,
        keys: &mut HashMap<(KeyId, Role), Arc<Held>>,
        id: &str,
        role: Role,
        key: Arc<dyn SigningKey>,
        silent: No,
    ) -> Result<(), String> {
        let name = key.public_key().map(|public| id_of(&public));
        let name = (name.ok_or_else(|| format!("{id:?} has no public half"))?, role);
        let signed = self.find(name).map_or(0, |it| it.signed.load(Ordering::Relaxed));
        let signed = AtomicU64::new(signed);
        keys.insert(name, Arc::new(Held { id: id.to_owned(), key, silent, signed, bound: Bound::default() }));
        Ok(())
    }

    fn replace(&self, keys: HashMap<(KeyId, Role), Arc<Held>>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
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
        let signature = signer
            .sign(&ask.content.signed())
            .map_err(|e| if e == Error::General(AWAY.to_owned()) { No::Away } else { held.silent })?;
        held.signed.fetch_add(1, Ordering::Relaxed);
        Ok(signature)
    }

    fn find(&self, name: (KeyId, Role)) -> Option<Arc<Held>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&name).cloned()
    }
}
