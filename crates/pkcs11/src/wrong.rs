//! Why a token signs nothing, in words that say who can mend it: whoever keeps the module, the token or the PIN.

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};

/// Whose fault it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// The module cannot be used.
    Module(String),
    /// The token or the key is not there, or is no such key.
    Token(String),
    /// The PIN is not the token's: asked again, that would lock it.
    Pin(String),
    /// The key is another one than the certificate's.
    Mismatch(String),
}

impl Wrong {
    pub fn slug(&self) -> &'static str {
        match self {
            Wrong::Module(_) => "key/module",
            Wrong::Token(_) => "key/token",
            Wrong::Pin(_) => "key/pin",
            Wrong::Mismatch(_) => "certificate/key-mismatch",
        }
    }

    pub fn why(&self) -> &str {
        match self {
            Wrong::Module(why) | Wrong::Token(why) | Wrong::Pin(why) | Wrong::Mismatch(why) => why,
        }
    }
}

/// What a module answered, by the name that the standard has for it: its own text would be a page.
pub(crate) fn said(e: &Error) -> String {
    match e {
        Error::Pkcs11(rv, function) => format!("{} answers {}", called(*function), code(rv)),
        Error::LibraryLoading(e) => format!("it cannot be loaded: {e}"),
        Error::MissingSymbol(name) => format!("it has no {name}, and is no module of PKCS#11"),
        other => other.to_string(),
    }
}

fn called(function: Function) -> String {
    format!("C_{function:?}")
}

fn code(rv: &RvError) -> String {
    let name = format!("{rv:?}");
    let mut out = "CKR".to_owned();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}
