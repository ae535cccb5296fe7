//! Issuers of tokens and what routes want of them, made ready. A plan without any has none of this.
//! Read next: `everyhop-token`, which judges.

use crate::key_server::KeyServer;
use crate::material::{Blob, Unusable};
use everyhop_plan::{Algorithm, ClaimValue, Edits, Issuer, Jwt, Keys, Piece, TokenFrom, TokenType};
use everyhop_token::{Claims, KeySet, Kind, NoText, Rules, Wanted};
use std::borrow::Cow;
use std::sync::Arc;

/// An issuer with its keys. Another set of keys makes another one, so that what was verified by this one is verified anew.
#[derive(Debug)]
pub struct IssuerRun {
    pub name: Arc<str>,
    pub rules: Rules,
    pub keys: KeySet,
    /// Who is asked for its keys; `None` where they stand in a file.
    pub server: Option<Arc<KeyServer>>,
    /// What it was made of: the issuer as the plan has it, and the digest of its keys.
    made_of: (Issuer, String),
}

impl IssuerRun {
    /// The one before where nothing of it changed.
    pub(crate) fn of(
        it: &Issuer,
        blob: &Blob,
        digest: &str,
        before: &[Arc<IssuerRun>],
    ) -> Result<Arc<IssuerRun>, Unusable> {
        let made_of = (it.clone(), digest.to_owned());
        if let Some(same) = before.iter().find(|old| old.made_of == made_of) {
            return Ok(same.clone());
        }
        let keys = keys_of(it, blob)?;
        let server = match &it.keys {
            Keys::File { .. } => None,
            Keys::Server { .. } => {
                let same = before.iter().find(|old| old.made_of.0.name == it.name && old.made_of.0.keys == it.keys);
                Some(same.and_then(|old| old.server.clone()).unwrap_or_default())
            }
        };
        let rules = Rules {
            issuer: it.issuer.clone(),
            audience: it.audience.clone(),
            algorithms: it.algorithms.iter().map(|a| algorithm(*a)).collect(),
            kind: match it.kind {
                None => Kind::Either,
                Some(TokenType::Jwt) => Kind::Jwt,
                Some(TokenType::Access) => Kind::Access,
            },
            leeway_s: it.leeway_s,
        };
        Ok(Arc::new(IssuerRun { name: it.name.as_str().into(), rules, keys, server, made_of }))
    }
}

fn keys_of(it: &Issuer, blob: &Blob) -> Result<KeySet, Unusable> {
    let id = keys_id(&it.name);
    let sent = match &it.keys {
        Keys::File { .. } => blob.issuers.get(&id).ok_or_else(|| Unusable(format!("material {id:?} was not sent")))?,
        // They did not come yet, or are too old to be believed: its tokens are refused until they do.
        Keys::Server { .. } => match blob.fetched.get(&id) {
            None => return Ok(KeySet::empty()),
            Some(sent) => sent,
        },
    };
    let keys = KeySet::read(sent.as_bytes()).map_err(|why| Unusable(format!("{id:?}: {}", why.sentence())))?;
    // Every token would be refused for ever: whoever meant that would have no such route.
    if keys.is_empty() {
        return Err(Unusable(format!("{id:?} has no key by which a token could be verified")));
    }
    Ok(keys)
}

/// By which its keys are among the material.
pub(crate) fn keys_id(name: &str) -> String {
    format!("issuer/{name}")
}

fn algorithm(it: Algorithm) -> everyhop_token::Algorithm {
    use everyhop_token::Algorithm as Known;
    match it {
        Algorithm::Rs256 => Known::Rs256,
        Algorithm::Rs384 => Known::Rs384,
        Algorithm::Rs512 => Known::Rs512,
        Algorithm::Ps256 => Known::Ps256,
        Algorithm::Ps384 => Known::Ps384,
        Algorithm::Ps512 => Known::Ps512,
        Algorithm::Es256 => Known::Es256,
        Algorithm::Es384 => Known::Es384,
        Algorithm::Es512 => Known::Es512,
        Algorithm::EdDsa => Known::EdDsa,
    }
}

/// A token that was verified, and by whose keys.
#[derive(Debug)]
pub struct Verified {
    pub issuer: Arc<IssuerRun>,
    pub claims: Claims,
}

/// What a route wants of tokens.
pub struct JwtRun {
    /// A token of any of them will do.
    pub issuers: Vec<Arc<IssuerRun>>,
    pub at: TokenFrom,
    /// The token goes no further.
    pub strip: bool,
    wants: Vec<(Vec<String>, Vec<Wanted>)>,
    /// The claims that stand in what goes to its backends.
    tells: Vec<Vec<String>>,
}

impl JwtRun {
    pub(crate) fn of(it: &Jwt, request: &Edits, issuers: &[Arc<IssuerRun>]) -> Result<JwtRun, Unusable> {
        let named = |name: &String| {
            let found = issuers.iter().find(|it| *it.name == **name).cloned();
            found.ok_or_else(|| Unusable(format!("there is no issuer {name:?}")))
        };
        let wanted = |value: &ClaimValue| match value {
            ClaimValue::Text { text } => Wanted::Text(text.clone()),
            ClaimValue::Whole { whole } => Wanted::Whole(*whole),
            ClaimValue::Truth { truth } => Wanted::Truth(*truth),
        };
        let pieces = request.set.iter().chain(&request.add).flat_map(|edit| &edit.value);
        let mut tells: Vec<Vec<String>> = pieces
            .filter_map(|piece| match piece {
                Piece::Claim { path } => Some(path.clone()),
                Piece::Text { .. } | Piece::Of { .. } | Piece::User {} | Piece::Answer { .. } => None,
            })
            .collect();
        tells.dedup();
        Ok(JwtRun {
            issuers: it.issuers.iter().map(named).collect::<Result<_, _>>()?,
            at: it.at.clone(),
            strip: it.strip,
            wants: it.claims.iter().map(|c| (c.path.clone(), c.any.iter().map(wanted).collect())).collect(),
            tells,
        })
    }

    /// Who is believed to have issued what says to be of `iss`.
    pub fn issuer(&self, iss: &str) -> Option<&Arc<IssuerRun>> {
        self.issuers.iter().find(|it| it.rules.issuer == iss)
    }

    /// The cookie whose token goes no further.
    pub fn kept_cookie(&self) -> Option<&str> {
        match &self.at {
            TokenFrom::Cookie { name } if self.strip => Some(name),
            _ => None,
        }
    }

    /// Its own issuer, as it is now, verified that token.
    pub fn believes(&self, it: &Verified) -> bool {
        self.issuers.iter().any(|own| Arc::ptr_eq(own, &it.issuer))
    }

    /// Every claim is what the route wants.
    pub fn takes(&self, claims: &Claims) -> bool {
        self.wants.iter().all(|(path, any)| any.iter().any(|it| claims.has(path, it)))
    }

    /// What goes to the backend of the claims can be said there.
    pub fn can_tell(&self, claims: &Claims) -> bool {
        self.tells.iter().all(|path| claims.text(path).is_ok())
    }
}

impl Verified {
    /// A claim as a field has it; empty where it is not there or cannot be said.
    pub fn told(&self, path: &[String]) -> Cow<'_, str> {
        match self.claims.text(path) {
            Ok(Some(text)) => text,
            Ok(None) | Err(NoText) => Cow::Borrowed(""),
        }
    }

    /// When nobody believes it any more, in Unix time.
    pub fn ends_s(&self) -> i64 {
        self.claims.exp_s.saturating_add(i64::from(self.issuer.rules.leeway_s))
    }
}
