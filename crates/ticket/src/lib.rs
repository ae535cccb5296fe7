//! Session tickets under keys that several edges derive alike from one secret, so that each opens what the others sealed
//! without a word between them. It reads no clock and no file, and knows no TLS: what is sealed are bytes.
//!
//! A key is that of one secret, one site with all that it demands of clients, and one rotation of the clock: HKDF-SHA256
//! (RFC 5869) of the secret under a fixed label, expanded by those two. What is sealed goes out under the key of now; what comes
//! is opened by the one before, that of now and the one after, which an edge whose clock is ahead has begun. Nothing is opened
//! after its end, which stands inside of it.
//!
//! A ticket: the key's id (16 bytes), the nonce (12), then sealed by AES-256-GCM-SIV (RFC 8452) its end in Unix time (8) and
//! what was given to be sealed, and the tag (16); the id is authenticated beside them. GCM-SIV since nobody counts the nonces that
//! all edges draw under one key: two that are the same give no forgery by it, as they would with GCM.

#![forbid(unsafe_code)]

use arc_swap::ArcSwapOption;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use std::sync::Arc;
use zeroize::Zeroizing;

/// A secret has at least as many bytes as the keys that are made of it.
pub const LEAST_BYTES: usize = 32;
/// Another label is another form: what one opens the other does not.
const LABEL: &[u8] = b"everyhop session tickets, form 1";
const ID_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const END_BYTES: usize = 8;

/// Why no keys can be made of what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    NoSecret,
    /// It has fewer than [`LEAST_BYTES`].
    ShortSecret,
    /// Keys that never change are none of ours.
    NoRotation,
}

/// What keys are made of: the first secret's seal, those of all open. Holds what HKDF extracts from each, not the secrets.
pub struct Keys {
    secrets: Vec<Prk>,
    rotate_s: u64,
}

/// A number of bytes to expand to.
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

impl Keys {
    /// `rotate_s`: how long one key seals, and how long what it sealed may be opened.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>, rotate_s: u32) -> Result<Keys, Unfit> {
        let salt = Salt::new(HKDF_SHA256, LABEL);
        let extracted =
            |secret: &[u8]| if secret.len() < LEAST_BYTES { Err(Unfit::ShortSecret) } else { Ok(salt.extract(secret)) };
        let secrets = secrets.into_iter().map(extracted).collect::<Result<Vec<_>, _>>()?;
        match (secrets.is_empty(), rotate_s) {
            (true, _) => Err(Unfit::NoSecret),
            (_, 0) => Err(Unfit::NoRotation),
            (..) => Ok(Keys { secrets, rotate_s: rotate_s.into() }),
        }
    }

    /// By which it is known whether two are made of the same. Nothing is sealed by it, and no secret found.
    pub fn mark(&self) -> Vec<u8> {
        let mut mark = self.rotate_s.to_be_bytes().to_vec();
        for secret in &self.secrets {
            let mut one = [0; KEY_BYTES];
            if expand(secret, &[b"mark"], &mut one).is_some() {
                mark.extend(one);
            }
        }
        mark
    }

    /// Those of one site. `bound_to` says all that a session of it stands for: of another one no ticket is opened.
    pub fn of(self: &Arc<Keys>, bound_to: &[u8]) -> Tickets {
        let mut site = [0; KEY_BYTES];
        // A digest: what is expanded by has one length, so that nothing of it is read as something else.
        site.copy_from_slice(digest(&SHA256, bound_to).as_ref());
        Tickets { keys: Arc::clone(self), site, near: ArcSwapOption::empty() }
    }
}

/// Fills `out`; `None` only for more than HKDF gives.
fn expand(secret: &Prk, info: &[&[u8]], out: &mut [u8]) -> Option<()> {
    secret.expand(info, Bytes(out.len())).ok()?.fill(out).ok()
}

/// Seals and opens the tickets of one site.
pub struct Tickets {
    keys: Arc<Keys>,
    site: [u8; 32],
    /// Made when they are first asked for, and when the clock goes on to another rotation.
    near: ArcSwapOption<Near>,
}

/// The keys of a moment.
struct Near {
    rotation: u64,
    seals: Key,
    /// Those that only open.
    others: Vec<Key>,
}

struct Key {
    id: [u8; ID_BYTES],
    key: RandomizedNonceKey,
}

impl Tickets {
    /// How long a ticket may be opened after it was sealed.
    pub fn lifetime_s(&self) -> u64 {
        self.keys.rotate_s
    }

    /// `None`: there is no randomness.
    pub fn seal(&self, given: &[u8], now_s: u64) -> Option<Vec<u8>> {
        let Key { id, key } = &self.near(now_s)?.seals;
        let mut sealed = Vec::with_capacity(END_BYTES + given.len() + AES_256_GCM_SIV.tag_len());
        sealed.extend(now_s.saturating_add(self.keys.rotate_s).to_be_bytes());
        sealed.extend_from_slice(given);
        let nonce = key.seal_in_place_append_tag(Aad::from(id), &mut sealed).ok()?;
        Some([id, &nonce.as_ref()[..], &sealed].concat())
    }

    /// What was sealed; `None` for what is over, or was not sealed by a key that is ours now.
    pub fn open(&self, ticket: &[u8], now_s: u64) -> Option<Vec<u8>> {
        let (id, rest) = ticket.split_first_chunk::<ID_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let near = self.near(now_s)?;
        // An id is on the wire with each ticket: comparing it tells nobody anything.
        let by = [&near.seals].into_iter().chain(&near.others).find(|key| key.id == *id)?;
        let mut sealed = sealed.to_vec();
        let opened = by.key.open_in_place(Nonce::from(nonce), Aad::from(id), &mut sealed).ok()?;
        let (end, given) = opened.split_first_chunk::<END_BYTES>()?;
        let left_s = u64::from_be_bytes(*end).checked_sub(now_s)?;
        // One that lasts longer is of a clock that is ahead by more than a rotation: by that of nobody here.
        (left_s > 0 && left_s <= self.keys.rotate_s.saturating_mul(2)).then(|| given.to_vec())
    }

    fn near(&self, now_s: u64) -> Option<Arc<Near>> {
        let rotation = now_s / self.keys.rotate_s.max(1);
        if let Some(near) = self.near.load_full().filter(|it| it.rotation == rotation) {
            return Some(near);
        }
        let made = Arc::new(self.made(rotation)?);
        self.near.store(Some(made.clone()));
        Some(made)
    }

    fn made(&self, rotation: u64) -> Option<Near> {
        let around = [rotation, rotation.saturating_sub(1), rotation.saturating_add(1)];
        let each = self.keys.secrets.iter().flat_map(|secret| around.map(|at| self.key(secret, at)));
        let mut keys = each.collect::<Option<Vec<_>>>()?.into_iter();
        Some(Near { rotation, seals: keys.next()?, others: keys.collect() })
    }

    fn key(&self, secret: &Prk, rotation: u64) -> Option<Key> {
        let mut made = Zeroizing::new([0; ID_BYTES + KEY_BYTES]);
        let info: [&[u8]; 4] = [b"key", &self.site, &self.keys.rotate_s.to_be_bytes(), &rotation.to_be_bytes()];
        expand(secret, &info, &mut *made)?;
        let (id, key) = made.split_first_chunk::<ID_BYTES>()?;
        Some(Key { id: *id, key: RandomizedNonceKey::new(&AES_256_GCM_SIV, key).ok()? })
    }
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets")
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}
