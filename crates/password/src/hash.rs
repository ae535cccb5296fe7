//! One hash of a password, as a file of users has it: which kind it is, what it costs to verify, and whether a password is the one.
//! Read next: `users.rs`.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{constant_time, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::fmt::Write;

/// One verification takes no more memory: whoever can ask for many would else take all there is.
const MOST_KIB: u32 = 64 * 1024;
/// Memory times passes, by which time is measured: about a fifth of a second.
const MOST_KIB_PASSES: u32 = 256 * 1024;
const MOST_LANES: u32 = 16;
/// 2^14 rounds: about a second.
const MOST_COST: u32 = 14;
/// Below these a copied file is guessed quickly (OWASP's Password Storage Cheat Sheet: 19 MiB twice and its equals, cost 10).
const LEAST_KIB_PASSES: u32 = 35 * 1024;
const LEAST_COST: u32 = 10;

/// What is made here: OWASP's first choice.
const KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const SALT_BYTES: usize = 16;
const OUT_BYTES: usize = 32;

/// A hash by which passwords are verified. `Debug` is not derived: whoever reads it can guess at home.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    how: How,
    /// As it stands in the file.
    text: Box<str>,
}

#[derive(Clone, PartialEq, Eq)]
enum How {
    Argon2id { kib: u32, passes: u32, lanes: u32, salt: Box<[u8]>, out: Box<[u8]> },
    Bcrypt { cost: u32 },
}

/// What kind of a hash stands somewhere that is none of those that are taken; by which its owner knows what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `$apr1$` and `$1$`.
    Md5,
    /// `{SHA}`, `{SSHA}`.
    Sha1,
    /// `$5$` and `$6$`.
    ShaCrypt,
    /// `$y$`, `$7$` and `$scrypt$`.
    Scrypt,
    /// argon2i and argon2d, and argon2 before its version 1.3.
    OtherArgon2,
    /// `$2x$`, and what else crypt_blowfish had before its bug was found.
    OldBcrypt,
    /// No hash that is known: text, or crypt's of 13 signs.
    Plain,
}

impl Kind {
    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Md5 => "md5",
            Kind::Sha1 => "sha1",
            Kind::ShaCrypt => "sha-crypt",
            Kind::Scrypt => "scrypt",
            Kind::OtherArgon2 => "argon2-other",
            Kind::OldBcrypt => "bcrypt-old",
            Kind::Plain => "plain",
        }
    }
}

/// Why a text is no hash that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoHash {
    Other(Kind),
    /// It begins as one of argon2id or bcrypt does, and is not whole.
    Broken,
    /// Whoever asks for it to be verified asks for more than an edge has to give.
    Costly,
}

impl Hash {
    pub fn read(text: &str) -> Result<Hash, NoHash> {
        let how = if let Some(rest) = text.strip_prefix("$argon2id$") {
            argon2id(rest)?
        } else if ["$2y$", "$2b$", "$2a$"].iter().any(|it| text.starts_with(it)) {
            bcrypt(text)?
        } else {
            return Err(NoHash::Other(other(text)));
        };
        Ok(Hash { how, text: text.into() })
    }

    /// Whether the password is the one. Takes the time and memory that it says. Of one that is longer than 72 bytes bcrypt knows
    /// the first 72, wherever it is used.
    pub fn is_of(&self, password: &[u8]) -> bool {
        match &self.how {
            How::Argon2id { kib, passes, lanes, salt, out } => {
                let mut made = zeroize::Zeroizing::new(vec![0; out.len()]);
                let params = Params::new(*kib, *passes, *lanes, Some(out.len()));
                let by = params.map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params));
                by.and_then(|by| by.hash_password_into(password, salt, &mut made)).is_ok()
                    && constant_time::verify_slices_are_equal(&made, out).is_ok()
            }
            How::Bcrypt { .. } => bcrypt::verify(password, &self.text).unwrap_or(false),
        }
    }

    /// Whoever copies it guesses quickly.
    pub fn is_cheap(&self) -> bool {
        match self.how {
            How::Argon2id { kib, passes, .. } => kib.saturating_mul(passes) < LEAST_KIB_PASSES,
            How::Bcrypt { cost } => cost < LEAST_COST,
        }
    }

    /// As it stands in the file.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// `v=19$m=19456,t=2,p=1$SALT$HASH`, as the PHC's string format has it, each part once and in this order.
fn argon2id(rest: &str) -> Result<How, NoHash> {
    let mut parts = rest.split('$');
    let (version, params) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    // Before version 1.3 nothing was said of one.
    if version == "v=16" || version.starts_with("m=") {
        return Err(NoHash::Other(Kind::OtherArgon2));
    }
    let (Some(salt), Some(out), None) = (parts.next(), parts.next(), parts.next()) else { return Err(NoHash::Broken) };
    let mut each = params.split(',');
    let mut number = |key: &str| each.next().and_then(|it| decimal(it.strip_prefix(key)?));
    let (Some(kib), Some(passes), Some(lanes)) = (number("m="), number("t="), number("p=")) else {
        return Err(NoHash::Broken);
    };
    let (Ok(salt), Ok(out)) = (STANDARD_NO_PAD.decode(salt), STANDARD_NO_PAD.decode(out)) else {
        return Err(NoHash::Broken);
    };
    let is_whole = version == "v=19"
        && each.next().is_none()
        && (8..=64).contains(&salt.len())
        && (16..=64).contains(&out.len())
        && Params::new(kib, passes, lanes, Some(out.len())).is_ok();
    if !is_whole {
        return Err(NoHash::Broken);
    }
    if kib > MOST_KIB || kib.saturating_mul(passes) > MOST_KIB_PASSES || lanes > MOST_LANES {
        return Err(NoHash::Costly);
    }
    Ok(How::Argon2id { kib, passes, lanes, salt: salt.into(), out: out.into() })
}

/// Digits alone, and none before the first that counts.
fn decimal(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && !(text.len() > 1 && text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

fn bcrypt(text: &str) -> Result<How, NoHash> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| NoHash::Broken)?;
    let digits = text.get(4..6).is_some_and(|it| it.bytes().all(|b| b.is_ascii_digit()));
    match parts.get_cost() {
        cost @ 4..=MOST_COST if digits => Ok(How::Bcrypt { cost }),
        15..=31 if digits => Err(NoHash::Costly),
        _ => Err(NoHash::Broken),
    }
}

fn other(text: &str) -> Kind {
    let begins = |any: &[&str]| any.iter().any(|it| text.starts_with(it));
    match () {
        () if begins(&["$apr1$", "$1$"]) => Kind::Md5,
        () if begins(&["{SHA}", "{SSHA}", "{sha}", "{ssha}"]) => Kind::Sha1,
        () if begins(&["$5$", "$6$"]) => Kind::ShaCrypt,
        () if begins(&["$y$", "$gy$", "$7$", "$scrypt$"]) => Kind::Scrypt,
        () if begins(&["$argon2i$", "$argon2d$", "$argon2$"]) => Kind::OtherArgon2,
        () if begins(&["$2x$", "$2$"]) => Kind::OldBcrypt,
        () => Kind::Plain,
    }
}

/// A hash of a password, for a file of users. `None` where the system gives nothing at random.
pub fn hashed(password: &[u8]) -> Option<String> {
    let (mut salt, mut out) = ([0; SALT_BYTES], [0; OUT_BYTES]);
    rand::fill(&mut salt).ok()?;
    let params = Params::new(KIB, PASSES, 1, Some(OUT_BYTES)).ok()?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(password, &salt, &mut out).ok()?;
    let mut text = String::new();
    let (salt, out) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(out));
    write!(text, "$argon2id$v=19$m={KIB},t={PASSES},p=1${salt}${out}").ok()?;
    Some(text)
}
