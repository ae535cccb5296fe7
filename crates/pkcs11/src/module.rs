//! The module in this process, and its tokens. It is loaded once and stays; where it cannot lock by itself, one thread at a time calls
//! it. A token is logged in to once for all its sessions, and each thread signs in a session of its own. A PIN that was refused is
//! never shown again: few tries lock a token.

use crate::key::Key;
use crate::uri::{Selector, Uri};
use crate::wrong::{Wrong, said};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::RawAuthPin;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// All that is known of one.
pub struct Module {
    calls: Pkcs11,
    /// Held by whoever calls it, where it cannot lock.
    alone: Option<Mutex<()>>,
    tokens: Mutex<HashMap<Selector, Arc<Token>>>,
    /// Signatures that are under way, and since when.
    busy: Mutex<BTreeMap<u64, Instant>>,
    number: AtomicU64,
}

/// A token that is logged in to.
pub struct Token {
    pub(crate) module: Arc<Module>,
    slot: Slot,
    /// As long as it is open the login holds for all others.
    first: Mutex<Session>,
    free: Mutex<Vec<Session>>,
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

fn module(e: &Error) -> Wrong {
    Wrong::Module(said(e))
}

fn token(e: &Error) -> Wrong {
    Wrong::Token(said(e))
}

impl Module {
    /// Runs what stands in the file: to be called where nothing is that it must not have.
    pub fn load(path: &Path) -> Result<Arc<Module>, Wrong> {
        let calls = Pkcs11::new(path).map_err(|e| module(&e))?;
        let alone = match calls.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) => None,
            Err(Error::Pkcs11(RvError::CantLock | RvError::NeedToCreateThreads | RvError::ArgumentsBad, _)) => {
                calls.initialize(CInitializeArgs::new(CInitializeFlags::empty())).map_err(|e| module(&e))?;
                Some(Mutex::new(()))
            }
            Err(e) => return Err(module(&e)),
        };
        let tokens = Mutex::default();
        Ok(Arc::new(Module { calls, alone, tokens, busy: Mutex::default(), number: AtomicU64::new(0) }))
    }

    /// For as long as the module is called.
    pub(crate) fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        self.alone.as_ref().map(lock)
    }

    /// For how long a signature has been waited for.
    pub fn waits(&self) -> Duration {
        lock(&self.busy).values().next().map_or(Duration::ZERO, Instant::elapsed)
    }

    pub(crate) fn begins(&self) -> u64 {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        lock(&self.busy).insert(number, Instant::now());
        number
    }

    pub(crate) fn ends(&self, number: u64) {
        lock(&self.busy).remove(&number);
    }

    /// The token, logged in to. `careful`: a PIN is not tried where one was refused since the last that was right.
    pub fn token(self: &Arc<Self>, which: &Selector, pin: Option<&[u8]>, careful: bool) -> Result<Arc<Token>, Wrong> {
        let mut tokens = lock(&self.tokens);
        if let Some(it) = tokens.get(which) {
            return Ok(it.clone());
        }
        let _turn = self.turn();
        let (slot, info) = self.slot(which)?;
        let first = self.calls.open_ro_session(slot).map_err(|e| token(&e))?;
        if let Some(pin) = pin {
            may_try(&info, careful)?;
            let pin = RawAuthPin::new(Box::new(pin.to_vec()));
            match first.login_with_raw(UserType::User, &pin) {
                Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
                Err(e @ Error::Pkcs11(RvError::DeviceRemoved | RvError::TokenNotPresent, _)) => return Err(token(&e)),
                Err(e) => return Err(Wrong::Pin(format!("the token does not take the PIN: {}", said(&e)))),
            }
        }
        let it = Token { module: self.clone(), slot, first: Mutex::new(first), free: Mutex::default() };
        Ok(tokens.entry(which.clone()).or_insert(Arc::new(it)).clone())
    }

    fn slot(&self, which: &Selector) -> Result<(Slot, TokenInfo), Wrong> {
        let mut found = Vec::new();
        let mut there = Vec::new();
        for slot in self.calls.get_slots_with_token().map_err(|e| token(&e))? {
            let Ok(info) = self.calls.get_token_info(slot) else { continue };
            if !info.token_initialized() {
                continue;
            }
            there.push(format!("{:?}", info.label()));
            if fits(which, slot, &info) {
                found.push((slot, info));
            }
        }
        let one = found.pop();
        match one {
            Some(it) if found.is_empty() => Ok(it),
            Some(_) => Err(Wrong::Token("several tokens fit: say serial= as well".to_owned())),
            None if there.is_empty() => Err(Wrong::Token("the module has no token".to_owned())),
            None => Err(Wrong::Token(format!("the module has no such token; it has {}", there.join(", ")))),
        }
    }
}

fn fits(which: &Selector, slot: Slot, info: &TokenInfo) -> bool {
    let is = |wanted: &Option<String>, there: &str| wanted.as_ref().is_none_or(|it| it == there.trim_end());
    is(&which.label, info.label())
        && is(&which.serial, info.serial_number())
        && is(&which.manufacturer, info.manufacturer_id())
        && is(&which.model, info.model())
        && which.slot.is_none_or(|it| it == slot.id())
}

fn may_try(info: &TokenInfo, careful: bool) -> Result<(), Wrong> {
    if info.user_pin_locked() {
        return Err(Wrong::Pin("the PIN is locked".to_owned()));
    }
    if info.user_pin_final_try() {
        return Err(Wrong::Pin("the token says that one more wrong PIN locks it: it is not tried".to_owned()));
    }
    if careful && info.user_pin_count_low() {
        return Err(Wrong::Pin(
            "a wrong PIN was shown to the token, and none that is right since: it is not tried".to_owned(),
        ));
    }
    Ok(())
}

impl Token {
    /// The private key that `uri` names in it.
    pub fn key(self: &Arc<Self>, uri: &Uri) -> Result<Key, Wrong> {
        let _turn = self.module.turn();
        let session = lock(&self.first);
        let mut wanted = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
        wanted.extend(uri.object.as_ref().map(|it| Attribute::Label(it.clone().into_bytes())));
        wanted.extend(uri.id.as_ref().map(|it| Attribute::Id(it.clone())));
        let found = session.find_objects(&wanted).map_err(|e| token(&e))?;
        let object = match *found {
            [one] => one,
            [] if uri.pin.is_none() => {
                return Err(Wrong::Token(
                    "the token has no such private key that it shows without a PIN: give pin-source".into(),
                ));
            }
            [] => return Err(Wrong::Token("the token has no such private key".to_owned())),
            _ => return Err(Wrong::Token("several private keys fit: say id= as well".to_owned())),
        };
        let asks = session.get_attributes(object, &[AttributeType::AlwaysAuthenticate]).unwrap_or_default();
        if asks.iter().any(|it| matches!(it, Attribute::AlwaysAuthenticate(true))) {
            return Err(Wrong::Token(
                "the key asks for the PIN at each signature (CKA_ALWAYS_AUTHENTICATE)".to_owned(),
            ));
        }
        drop(session);
        Ok(Key::new(self.clone(), object))
    }

    /// Signs in a session that nobody else uses; once more in a fresh one, where that has ended.
    pub(crate) fn signs(
        &self,
        by: &cryptoki::mechanism::Mechanism<'_>,
        object: ObjectHandle,
        data: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let _turn = self.module.turn();
        let kept = lock(&self.free).pop();
        if let Some(session) = kept
            && let Ok(signature) = session.sign(by, object, data)
        {
            lock(&self.free).push(session);
            return Ok(signature);
        }
        let session = self.module.calls.open_ro_session(self.slot)?;
        let signature = session.sign(by, object, data)?;
        lock(&self.free).push(session);
        Ok(signature)
    }
}
