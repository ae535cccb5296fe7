//! Keys that are not here: each is asked of the process that holds it (`[engine] keys = "apart"`), one handshake at a time. The
//! thread waits for the signature, some tens of microseconds. Where the holder is gone another is there within a second, and
//! whoever shakes hands waits for it; one that hangs costs a thread no more than a moment of each handshake, which then ends as
//! unsigned. Read next: `everyhop_signing`, which says what can be asked.

use aws_lc_rs::digest::{SHA256, digest};
use everyhop_record::reason::UNSIGNED;
use everyhop_signing::{Answer, Ask, Content, KeyId, No, Role};
use everyhop_transport::line::Line;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, alg_id};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long what is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A signature.
    pub answer: Duration,
    /// After one that did not come, the next one.
    pub little: Duration,
    /// Another holder, where the one before is gone.
    pub back: Duration,
    /// All of it together.
    pub whole: Duration,
    /// For how long a holder may be gone before nobody waits for another: `little` is all then.
    pub gone: Duration,
}

/// Of an engine with the keyholder.
const ENGINE: Patience = Patience {
    answer: Duration::from_secs(1),
    little: Duration::from_millis(20),
    back: Duration::from_secs(3),
    whole: Duration::from_secs(4),
    gone: Duration::MAX,
};
/// RSA with 16,384 bits, and the answer's head.
const ANSWER_BYTES: usize = 2048 + 16;

/// What a signer says where another holder may come yet.
pub const AWAY: &str = "everyhop: not signed yet";

/// The lines to the holder, of all threads: one takes a line for as long as its signature takes.
pub static LINES: Lines = Lines::new(ENGINE);

pub struct Lines {
    patience: Patience,
    pool: Mutex<Pool>,
    changed: Condvar,
    pub counts: Counts,
}

/// Signatures that were asked for, by how that ended.
#[derive(Default)]
pub struct Counts {
    pub signed: AtomicU64,
    /// By the holder, with a reason.
    pub refused: AtomicU64,
    /// Nobody answered.
    pub silent: AtomicU64,
    pub nanoseconds: AtomicU64,
}

struct Pool {
    free: Vec<Line>,
    /// How many there are, those that are in use with them.
    there: usize,
    /// Counts the holders: a line of one before is not given back.
    holder: u64,
    number: u64,
    /// The last that was asked for did not come.
    silent: bool,
    /// Since when there is no holder.
    gone: Option<Instant>,
}

/// Nobody signs, or the holder does not.
#[derive(Clone, Copy)]
enum Unsigned {
    Now,
    /// Another holder may come yet.
    Yet,
}

impl Lines {
    pub const fn new(patience: Patience) -> Lines {
        let pool = Pool { free: Vec::new(), there: 0, holder: 0, number: 0, silent: false, gone: None };
        let counts = Counts {
            signed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            silent: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
        };
        Lines { patience, pool: Mutex::new(pool), changed: Condvar::new(), counts }
    }

    /// Lines to another holder, in the place of those before.
    pub fn open(&self, lines: Vec<OwnedFd>) {
        let mut pool = self.pool();
        pool.there = lines.len();
        pool.free = lines.into_iter().map(Line::new).collect();
        pool.holder += 1;
        (pool.silent, pool.gone) = (false, None);
        self.changed.notify_all();
    }

    /// Whether there ever was a holder.
    pub fn are_wanted(&self) -> bool {
        self.pool().holder > 0
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sign(&self, key: KeyId, scheme: u16, content: Content<'_>) -> Result<Vec<u8>, Unsigned> {
        let began = Instant::now();
        let signed = self.asked(key, scheme, content, began);
        let counted = match &signed {
            Ok(Ok(_)) => &self.counts.signed,
            Ok(Err(_)) => &self.counts.refused,
            Err(_) => &self.counts.silent,
        };
        counted.fetch_add(1, Ordering::Relaxed);
        let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.counts.nanoseconds.fetch_add(took, Ordering::Relaxed);
        signed?.map_err(|_| Unsigned::Now)
    }

    fn asked(
        &self,
        key: KeyId,
        scheme: u16,
        content: Content<'_>,
        began: Instant,
    ) -> Result<Result<Vec<u8>, No>, Unsigned> {
        loop {
            let (line, holder, number, until) = self.take(began)?;
            let ask = Ask { number, key, scheme, content }.write();
            match answer(&line, &ask, number, until) {
                Ok(signed) => {
                    self.give_back(line, holder, false);
                    if signed == Err(No::Away) && began.elapsed() < self.patience.back {
                        continue;
                    }
                    return Ok(signed);
                }
                Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                    // What it says too late is passed over: it has another number.
                    self.give_back(line, holder, true);
                    return Err(Unsigned::Now);
                }
                // It is gone, and the next one is on its way.
                Err(_) => self.lose(holder),
            }
        }
    }

    /// A line that nobody uses, and until when it is worth waiting for the answer.
    fn take(&self, began: Instant) -> Result<(Line, u64, u64, Instant), Unsigned> {
        let whole = self.patience;
        let mut pool = self.pool();
        loop {
            let given_up = pool.gone.is_some_and(|since| since.elapsed() >= whole.gone);
            let patience = match (pool.there, pool.silent, given_up) {
                (0, _, false) => whole.back,
                (0, _, true) | (_, true, _) => whole.little,
                (_, false, _) => whole.answer,
            };
            if let Some(line) = pool.free.pop() {
                pool.number += 1;
                // Who waited for a holder has not waited for its answer.
                let until = (Instant::now() + patience.min(whole.answer)).min(began + whole.whole);
                return Ok((line, pool.holder, pool.number, until));
            }
            let left = (began + patience).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(if pool.there == 0 && !given_up { Unsigned::Yet } else { Unsigned::Now });
            }
            pool = self.changed.wait_timeout(pool, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn give_back(&self, line: Line, holder: u64, silent: bool) {
        let mut pool = self.pool();
        if pool.holder == holder {
            pool.free.push(line);
            pool.silent = silent;
            self.changed.notify_one();
        }
    }

    fn lose(&self, holder: u64) {
        let mut pool = self.pool();
        if pool.holder == holder {
            pool.there = pool.there.saturating_sub(1);
            if pool.there == 0 {
                pool.gone.get_or_insert_with(Instant::now);
            }
            // The others of a process that is gone are gone, too, which they tell who takes them.
        }
    }
}

fn answer(line: &Line, ask: &[u8], number: u64, until: Instant) -> io::Result<Result<Vec<u8>, No>> {
    line.say(ask, until)?;
    let mut room = [0u8; ANSWER_BYTES];
    loop {
        let len = line.hear(&mut room, until)?;
        match Answer::read(room.get(..len).unwrap_or_default()) {
            Some(it) if it.number == number => return Ok(it.signed),
            Some(_) => {}
            None => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// A certificate whose key is held by another process, which signs for `role` by it. Nothing where no kind of key that TLS uses
/// here is in it.
pub fn certified(chain: Vec<CertificateDer<'static>>, role: Role) -> Option<CertifiedKey> {
    let public = {
        let leaf = webpki::EndEntityCert::try_from(chain.first()?).ok()?;
        leaf.subject_public_key_info().into_owned()
    };
    Some(CertifiedKey::new(chain, through(&LINES, public, role)?))
}

/// A key that whoever is at the other end of `lines` signs by.
pub fn through(
    lines: &'static Lines,
    public: SubjectPublicKeyInfoDer<'static>,
    role: Role,
) -> Option<Arc<dyn SigningKey>> {
    let (algorithm, schemes) = schemes(&public)?;
    let id = id_of(&public);
    Some(Arc::new(Apart { lines, public, id, schemes, algorithm, role }))
}

/// What a key is known by: the SHA-256 of its public half.
pub fn id_of(public: &SubjectPublicKeyInfoDer<'_>) -> KeyId {
    let mut id = KeyId::default();
    id.copy_from_slice(digest(&SHA256, public.as_ref()).as_ref());
    id
}

struct Apart {
    lines: &'static Lines,
    public: SubjectPublicKeyInfoDer<'static>,
    id: KeyId,
    schemes: &'static [SignatureScheme],
    algorithm: SignatureAlgorithm,
    role: Role,
}

impl fmt::Debug for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Apart").field("role", &self.role).field("schemes", &self.schemes).finish_non_exhaustive()
    }
}

impl SigningKey for Apart {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = *self.schemes.iter().find(|it| offered.contains(it))?;
        Some(Box::new(Signing { lines: self.lines, id: self.id, role: self.role, scheme }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.public.clone())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

struct Signing {
    lines: &'static Lines,
    id: KeyId,
    role: Role,
    scheme: SignatureScheme,
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing").field("role", &self.role).field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl Signer for Signing {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let content = Content::of_message(self.role, message);
        let signed = content.ok_or(Unsigned::Now).and_then(|it| self.lines.sign(self.id, u16::from(self.scheme), it));
        signed.map_err(|why| Error::General(if matches!(why, Unsigned::Yet) { AWAY } else { UNSIGNED }.to_owned()))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

/// By which a key of that kind signs, in the order of rustls' own.
pub fn schemes(public: &SubjectPublicKeyInfoDer<'_>) -> Option<(SignatureAlgorithm, &'static [SignatureScheme])> {
    use SignatureAlgorithm as A;
    use SignatureScheme as S;
    let (whole, _) = sequence(public.as_ref())?;
    let (algorithm, _) = sequence(whole)?;
    Some(match algorithm {
        it if it == alg_id::ECDSA_P256.as_ref() => (A::ECDSA, &[S::ECDSA_NISTP256_SHA256]),
        it if it == alg_id::ECDSA_P384.as_ref() => (A::ECDSA, &[S::ECDSA_NISTP384_SHA384]),
        it if it == alg_id::ECDSA_P521.as_ref() => (A::ECDSA, &[S::ECDSA_NISTP521_SHA512]),
        it if it == alg_id::ED25519.as_ref() => (A::ED25519, &[S::ED25519]),
        it if it == alg_id::RSA_ENCRYPTION.as_ref() => (
            A::RSA,
            &[
                S::RSA_PSS_SHA512,
                S::RSA_PSS_SHA384,
                S::RSA_PSS_SHA256,
                S::RSA_PKCS1_SHA512,
                S::RSA_PKCS1_SHA384,
                S::RSA_PKCS1_SHA256,
            ],
        ),
        _ => return None,
    })
}

/// The content of a SEQUENCE in DER, and what follows it.
fn sequence(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = der.split_first_chunk::<2>()?;
    let [0x30, first] = *head else { return None };
    let (len, rest) = match first {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81 => rest.split_first().map(|(len, rest)| (usize::from(*len), rest))?,
        0x82 => rest.split_first_chunk::<2>().map(|(len, rest)| (usize::from(u16::from_be_bytes(*len)), rest))?,
        _ => return None,
    };
    rest.split_at_checked(len)
}
