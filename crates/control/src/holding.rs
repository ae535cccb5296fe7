//! The keyholder's process, and that of a PKCS#11 module, which is one as well but for what it holds: private keys come from the supervisor in a sealed memory file, lines to engines as descriptors, and
//! nothing else comes or goes. It opens no file and no socket, and is closed more narrowly than an engine. A supervisor that
//! is gone takes no key away from an engine that goes on: the process ends once nobody holds a line. A module is code of somebody
//! else's, which opens what it needs: its process has no key of a file, and the keyholder asks it as engines ask the keyholder. Read
//! next: `everyhop_keyholder`.

use crate::fds;
use crate::sandbox::{self, Sandbox, User};
use everyhop_keyholder::{Given, GivenTokens, Holder};
use serde::Deserialize;
use serde_json::{Value, json};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

#[derive(Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
enum Ask {
    /// Hold these keys and no others; they ride along.
    Hold { protocol: u32 },
    /// Sign by these keys of tokens and by no others; their PINs ride along. `whole`: all of them, or go on with those before.
    HoldTokens { protocol: u32, whole: bool },
    /// Answer on these lines, too.
    Lines { protocol: u32 },
    /// On these lines the process of a module answers.
    Module { protocol: u32, module: String },
    /// What did you sign?
    Counted { protocol: u32 },
}

/// How many lines there are.
#[derive(Default)]
struct Open {
    count: Mutex<usize>,
    fewer: Condvar,
}

/// Holds keys for as long as a supervisor speaks on `control`, or an engine has a line.
pub fn hold(control: OwnedFd, sandbox: Sandbox, user: Option<User>) -> ExitCode {
    serve(sandbox::Of::Keyholder, control, sandbox, user)
}

/// Has a module, and signs by the keys of its tokens for as long as a supervisor speaks on `control`, or a keyholder has a line.
pub fn hold_tokens(control: OwnedFd, sandbox: Sandbox, user: Option<User>) -> ExitCode {
    serve(sandbox::Of::Module, control, sandbox, user)
}

fn serve(whose: sandbox::Of, control: OwnedFd, sandbox: Sandbox, user: Option<User>) -> ExitCode {
    crate::undisturbed();
    // The cryptography asks the system for randomness in its own way the first time: before the door is closed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut [0u8; 32]);
    if let Err(why) = sandbox::enter_as(whose, sandbox, user) {
        eprintln!("everyhop: {why}");
        return ExitCode::from(4);
    }
    let (holder, open) = (Arc::new(Holder::default()), Arc::new(Open::default()));
    let mut control = UnixStream::from(control);
    while let Ok(Some((body, fds))) = fds::receive(&mut control) {
        let answer = answer(whose, &holder, &open, &body, fds);
        if fds::send(&mut control, answer.to_string().as_bytes(), &[]).is_err() {
            break;
        }
    }
    let count = open.count.lock().unwrap_or_else(PoisonError::into_inner);
    drop(open.fewer.wait_while(count, |count| *count > 0));
    ExitCode::SUCCESS
}

fn answer(whose: sandbox::Of, holder: &Arc<Holder>, open: &Arc<Open>, body: &[u8], fds: Vec<OwnedFd>) -> Value {
    let refused = |why: &str| json!({"protocol": 1, "answer": "refused", "slug": "control/malformed", "why": why});
    match serde_json::from_slice(body) {
        Ok(Ask::HoldTokens { protocol: 1, whole }) if whose == sandbox::Of::Module => match given::<GivenTokens>(fds) {
            Some(it) => json!({"protocol": 1, "answer": "held_tokens", "lacking": holder.hold_tokens(&it, whole)}),
            None => refused("the keys did not come"),
        },
        Ok(Ask::Module { protocol: 1, module }) if whose == sandbox::Of::Keyholder => {
            holder.open(&module, fds);
            json!({"protocol": 1, "answer": "held"})
        }
        Ok(Ask::Hold { protocol: 1 }) if whose == sandbox::Of::Keyholder => {
            match given::<Given>(fds).ok_or_else(|| "the keys did not come".to_owned()).and_then(|it| holder.hold(&it))
            {
                Ok(()) => json!({"protocol": 1, "answer": "held"}),
                Err(why) => refused(&why),
            }
        }
        Ok(Ask::Lines { protocol: 1 }) => {
            for line in fds {
                let (holder, counted) = (holder.clone(), open.clone());
                *open.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                let spawned = std::thread::Builder::new().name("line".into()).spawn(move || {
                    holder.serve(&line);
                    *counted.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
                    counted.fewer.notify_all();
                });
                if spawned.is_err() {
                    *open.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
                    return refused("a thread could not be started");
                }
            }
            json!({"protocol": 1, "answer": "held"})
        }
        Ok(Ask::Counted { protocol: 1 }) => {
            let (signed, refused) = holder.counted();
            let waits_ms = u64::try_from(holder.waits().as_millis()).unwrap_or(u64::MAX);
            json!({"protocol": 1, "answer": "counted", "signed": signed, "refused": refused, "waits_ms": waits_ms})
        }
        Ok(_) => refused("another protocol, or another process"),
        Err(e) => refused(&e.to_string()),
    }
}

/// What rides along in a sealed memory file.
fn given<T: serde::de::DeserializeOwned>(fds: Vec<OwnedFd>) -> Option<T> {
    fds.into_iter().next().and_then(|fd| fds::read_sealed(fd, |text| serde_json::from_slice::<T>(text).ok()))
}
