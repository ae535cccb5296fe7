//! The door between the languages, and the only crate that knows Python: a handful of functions with plain values.
//! Nothing on the path of a byte goes through here. Read next: `judge.rs`, then `look.rs`.

mod judge;
mod look;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use std::os::fd::{FromRawFd, OwnedFd};

/// Runs the engine on an inherited, already listening Unix socket. Never returns to Python.
///
/// `sandbox` is `enforce`, `best-effort` or `off`; `user` is a user's and a group's number, if it is to become them.
#[pyfunction]
#[pyo3(signature = (fd, sandbox, user=None))]
fn main(py: Python<'_>, fd: i32, sandbox: &str, user: Option<(u32, u32)>) -> PyResult<()> {
    become_process(py, fd, sandbox, user, c"everyhop-engine", everyhop_control::run)
}

/// Runs the keyholder on an inherited socket that its supervisor speaks on. Never returns to Python. The rest as `main`.
#[pyfunction]
#[pyo3(signature = (fd, sandbox, user=None))]
fn hold(py: Python<'_>, fd: i32, sandbox: &str, user: Option<(u32, u32)>) -> PyResult<()> {
    become_process(py, fd, sandbox, user, c"everyhop-keys", everyhop_control::hold)
}

/// Runs the process of a PKCS#11 module, which is told to it on an inherited socket. Never returns to Python. The rest as `main`.
#[pyfunction]
#[pyo3(signature = (fd, sandbox, user=None))]
fn hold_tokens(py: Python<'_>, fd: i32, sandbox: &str, user: Option<(u32, u32)>) -> PyResult<()> {
    become_process(py, fd, sandbox, user, c"everyhop-token", everyhop_control::hold_tokens)
}

fn become_process(
    py: Python<'_>,
    fd: i32,
    sandbox: &str,
    user: Option<(u32, u32)>,
    name: &std::ffi::CStr,
    run: fn(OwnedFd, everyhop_control::Sandbox, Option<everyhop_control::User>) -> std::process::ExitCode,
) -> PyResult<()> {
    use everyhop_control::{Sandbox, User};
    if fd < 3 {
        return Err(PyValueError::new_err("a descriptor above 2 is needed"));
    }
    let sandbox = match sandbox {
        "enforce" => Sandbox::Enforce,
        "best-effort" => Sandbox::BestEffort,
        "off" => Sandbox::Off,
        _ => return Err(PyValueError::new_err("sandbox is enforce, best-effort or off")),
    };
    let user = user.map(|(uid, gid)| User { uid, gid });
    // A name for ps and top; without it the process runs as well.
    let _ = rustix::thread::set_name(name);
    py.detach(|| {
        // SAFETY: the caller hands over a descriptor that nothing else in this fresh process uses.
        let control = unsafe { OwnedFd::from_raw_fd(fd) };
        let code = run(control, sandbox, user);
        let failed = code != std::process::ExitCode::SUCCESS;
        std::process::exit(i32::from(failed) * 3);
    })
}

/// Gives up what a supervisor never needs; `OSError` where the kernel refuses it. To be called while there is one thread.
#[pyfunction]
fn close_supervisor() -> PyResult<()> {
    Ok(everyhop_control::close_supervisor()?)
}

#[pyfunction]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Reads a plan as the engine would; `ValueError` says why it is none.
#[pyfunction]
fn read_plan(text: &str) -> PyResult<()> {
    everyhop_plan::read(text).map(drop).map_err(|e| PyValueError::new_err(e.why))
}

/// Every reason for which a connection or request is refused: slug, HTTP status (0: none spoken), sentence.
#[pyfunction]
fn wire_refusals() -> Vec<(&'static str, u16, &'static str)> {
    everyhop_control::all_refusals()
}

/// What can be wrong with a running edge, the worst first: kind, whether it makes it unready, sentence.
#[pyfunction]
fn troubles() -> Vec<(&'static str, bool, &'static str)> {
    everyhop_control::TROUBLES.to_vec()
}

/// Asks the matcher of a plan where a request would go; both sides JSON.
#[pyfunction]
fn where_in(plan: &str, ask: &str) -> PyResult<String> {
    everyhop_control::where_in(plan, ask).map_err(PyValueError::new_err)
}

/// What requests get under a plan: a JSON list of questions in, a JSON list of answers out.
#[pyfunction]
fn decide(py: Python<'_>, plan: &str, questions: &str) -> PyResult<String> {
    py.detach(|| judge::decide(plan, questions)).map_err(PyValueError::new_err)
}

/// What a request is as an edge reads it: method, target, whether it is HTTP/1.0, host, fields, body, and how many bytes it took.
type Read = (String, Vec<u8>, bool, String, Vec<(Vec<u8>, Vec<u8>)>, Vec<u8>, usize);

/// Reads the first HTTP/1.1 request of some bytes as an edge would, under `limits`: bytes of a head, fields, bytes of a target.
/// `ValueError` with slug, status and sentence where one refuses it; with `ends` and where, if it is not whole.
#[pyfunction]
fn read_request(py: Python<'_>, bytes: &[u8], limits: (usize, usize, usize)) -> PyResult<Read> {
    use everyhop_control::NoWhole;
    match py.detach(|| everyhop_control::read_request(bytes, limits.0, limits.1, limits.2)) {
        Ok(it) => Ok((it.method, it.target, it.version_10, it.host, it.fields, it.body, it.len)),
        Err(NoWhole::Refused(slug, status, sentence)) => Err(PyValueError::new_err((slug, status, sentence))),
        Err(NoWhole::Ends(at)) => Err(PyValueError::new_err(("ends", 0, at))),
    }
}

/// What two plans do differently, as JSON: with each name, and with each kind of request.
#[pyfunction]
fn differences(py: Python<'_>, old: &str, new: &str) -> PyResult<String> {
    py.detach(|| judge::differences(old, new)).map_err(PyValueError::new_err)
}

/// Routes of a plan that some request fits alike, so that only their order decides: a JSON list.
#[pyfunction]
fn ties(plan: &str) -> PyResult<String> {
    judge::ties(plan).map_err(PyValueError::new_err)
}

/// The four patterns, by how much they protect the way to a backend, weakest first.
#[pyfunction]
fn strengths() -> Vec<&'static str> {
    everyhop_decide::STRENGTHS.to_vec()
}

/// A host name in the form that requests are matched by; `None` if it is none.
#[pyfunction]
#[pyo3(signature = (text, wildcard=false))]
fn canon_host(text: &str, wildcard: bool) -> Option<String> {
    judge::host(text, wildcard)
}

/// A path in the form that requests are matched by; `None` if it has none.
#[pyfunction]
fn canon_path(text: &str) -> Option<String> {
    judge::path(text)
}

/// Why a path cannot be rewritten so: what is wrong, `regex` or `to`, and why; `None` if it can.
#[pyfunction]
fn judge_rewrite(regex: &str, to: &str) -> Option<(&'static str, String)> {
    let no = everyhop_canon::rewrite::Rewrite::of(regex, to).err()?;
    Some((if no.is_of_regex() { "regex" } else { "to" }, no.to_string()))
}

/// A network in the form that peers are compared with; `None` if it is none.
#[pyfunction]
fn canon_network(text: &str) -> Option<String> {
    text.parse::<everyhop_canon::cidr::Cidr>().ok().map(|net| net.to_string())
}

/// By what an allow-list names a client, in the form that is compared. `ValueError` with the reason for what no client can
/// prove.
#[pyfunction]
fn canon_client(text: &str) -> PyResult<String> {
    everyhop_canon::client::client(text).map_err(PyValueError::new_err)
}

/// Whether an engine could use this chain and key: which of them it could not, `chain`, `key` or `both`, and why.
#[pyfunction]
fn judge_pair(py: Python<'_>, chain: &str, key: &[u8]) -> Option<(&'static str, String)> {
    use everyhop_running::{judge, secret::SecretPem};
    let key = SecretPem::new(key);
    py.detach(|| match judge::pair(chain, &key) {
        Ok(_) => None,
        Err(judge::Wrong::Chain(why)) => Some(("chain", why)),
        Err(judge::Wrong::Key(why)) => Some(("key", why.to_owned())),
        Err(judge::Wrong::Mismatch) => Some(("both", String::new())),
    })
}

/// Whether an engine could show this chain by a key that is elsewhere: why it could not, or `None`.
#[pyfunction]
fn judge_chain(py: Python<'_>, chain: &str) -> Option<String> {
    py.detach(|| everyhop_running::judge::chain_elsewhere(chain)).err()
}

/// What a key's PKCS#11 URI says: the module's file and where the PIN is kept; or at which byte it is none, why, and whether the PIN
/// itself stands in it.
#[pyfunction]
#[expect(clippy::type_complexity, reason = "one of two, as Python reads them")]
fn read_key_uri(text: &str) -> (Option<(String, Option<String>)>, Option<(usize, String, bool)>) {
    match everyhop_pkcs11::Uri::read(text) {
        Ok(it) => (Some((it.module, it.pin)), None),
        Err(e) => (None, Some((e.at, e.why, e.has_pin))),
    }
}

/// The certificates of a bundle, counted from 0, that an engine could not take for roots, each with the reason.
#[pyfunction]
fn judge_roots(py: Python<'_>, pem: &str) -> PyResult<Vec<(usize, String)>> {
    py.detach(|| everyhop_running::judge::roots(pem)).map(|(_, unusable)| unusable).map_err(PyValueError::new_err)
}

/// Why an engine could not judge clients by these roots and revocation lists; `None` if it could.
#[pyfunction]
fn judge_lists(py: Python<'_>, roots: &str, lists: &str) -> Option<String> {
    py.detach(|| everyhop_running::judge::revocation(roots, lists)).err()
}

/// The public keys of an issuer of tokens, as an engine would take them: how many can be used, by which algorithms they verify,
/// and which are left out, counted from 0, by name and with a word for why. `ValueError` for what is no set of keys.
#[pyfunction]
#[expect(clippy::type_complexity, reason = "plain values, of one answer")]
fn judge_keys(text: &str) -> PyResult<(usize, Vec<&'static str>, Vec<(usize, Option<String>, &'static str)>)> {
    let set = everyhop_token::KeySet::read(text.as_bytes()).map_err(|no| PyValueError::new_err(no.sentence()))?;
    let by = set.algorithms().into_iter().map(everyhop_token::Algorithm::name).collect();
    Ok((set.len(), by, set.left_out.into_iter().map(|it| (it.at, it.kid, it.why.name())).collect()))
}

/// A user by name, line and whether the hash is guessed quickly.
type Known = (String, usize, bool);
/// What is wrong with a line: its number, column and width, whose it is, a word for why, and more of that.
type Wrong = (usize, usize, usize, String, &'static str, String);

/// A file of users, as an engine would read it: who is in it, or what is wrong.
#[pyfunction]
fn judge_users(text: &str) -> (Vec<Known>, Vec<Wrong>) {
    use everyhop_password::{NoHash, Users, Why};
    match Users::read(text) {
        Ok(users) => (users.each().map(|it| (it.name.to_string(), it.line, it.hash.is_cheap())).collect(), Vec::new()),
        Err(wrong) => {
            let told = wrong.into_iter().map(|it| {
                let (why, more) = match it.why {
                    Why::Form => ("form", String::new()),
                    Why::Name => ("name", String::new()),
                    Why::Twice(line) => ("twice", line.to_string()),
                    Why::TooMany => ("too-many", String::new()),
                    Why::Hash(NoHash::Broken) => ("broken", String::new()),
                    Why::Hash(NoHash::Costly) => ("costly", String::new()),
                    Why::Hash(NoHash::Other(kind)) => ("other", kind.name().to_owned()),
                };
                (it.line, it.column, it.width, it.name, why, more)
            });
            (Vec::new(), told.collect())
        }
    }
}

/// A hash of a password, for a file of users. `OSError` where the system gives nothing at random.
#[pyfunction]
fn hash_password(py: Python<'_>, password: &[u8]) -> PyResult<String> {
    let hashed = py.detach(|| everyhop_password::hashed(password));
    hashed.ok_or_else(|| PyOSError::new_err("the system gives nothing at random"))
}

/// The checks that a request passes, in their order: name, what it asks of a request, slugs by which it refuses.
#[pyfunction]
fn checks() -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    everyhop_record::order::ORDER.iter().map(|it| (it.name, it.asks, it.slugs())).collect()
}

/// Whether a request's field of that name can choose a route.
#[pyfunction]
fn is_heard(name: &str) -> bool {
    judge::is_heard(name)
}

/// Whether a route may change the field of that name, of an answer or of a request.
#[pyfunction]
fn is_editable(name: &str, answer: bool) -> bool {
    everyhop_http1::field_id(name.as_bytes()).is_editable(answer)
}

/// Shakes hands with a TLS server and tells what it saw, as JSON. It verifies but does not insist: it is a probe.
#[pyfunction]
fn probe(py: Python<'_>, ask: &str) -> PyResult<String> {
    let ask: look::Ask = serde_json::from_str(ask).map_err(|e| PyValueError::new_err(e.to_string()))?;
    py.detach(|| look::probe(&ask)).map_err(PyOSError::new_err)
}

/// Asks the server of an issuer for its keys, as the hop to it is in the plan, and tells what came, as JSON. Waits for it.
#[pyfunction]
fn fetch_keys(py: Python<'_>, plan: &str, blob: &[u8], ask: &str) -> PyResult<String> {
    py.detach(|| everyhop_control::fetch_keys(plan, blob, ask)).map_err(PyValueError::new_err)
}

#[pymodule]
fn _door(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("LIBC_TUNABLES", everyhop_control::LIBC_TUNABLES)?;
    m.add("RESERVED_FDS", everyhop_control::RESERVED_FDS)?;
    m.add_function(wrap_pyfunction!(main, m)?)?;
    m.add_function(wrap_pyfunction!(hold, m)?)?;
    m.add_function(wrap_pyfunction!(hold_tokens, m)?)?;
    m.add_function(wrap_pyfunction!(close_supervisor, m)?)?;
    m.add_function(wrap_pyfunction!(version, m)?)?;
    m.add_function(wrap_pyfunction!(read_plan, m)?)?;
    m.add_function(wrap_pyfunction!(wire_refusals, m)?)?;
    m.add_function(wrap_pyfunction!(checks, m)?)?;
    m.add_function(wrap_pyfunction!(troubles, m)?)?;
    m.add_function(wrap_pyfunction!(where_in, m)?)?;
    m.add_function(wrap_pyfunction!(decide, m)?)?;
    m.add_function(wrap_pyfunction!(read_request, m)?)?;
    m.add_function(wrap_pyfunction!(differences, m)?)?;
    m.add_function(wrap_pyfunction!(ties, m)?)?;
    m.add_function(wrap_pyfunction!(strengths, m)?)?;
    m.add_function(wrap_pyfunction!(canon_host, m)?)?;
    m.add_function(wrap_pyfunction!(canon_path, m)?)?;
    m.add_function(wrap_pyfunction!(canon_network, m)?)?;
    m.add_function(wrap_pyfunction!(judge_rewrite, m)?)?;
    m.add_function(wrap_pyfunction!(canon_client, m)?)?;
    m.add_function(wrap_pyfunction!(judge_pair, m)?)?;
    m.add_function(wrap_pyfunction!(judge_chain, m)?)?;
    m.add_function(wrap_pyfunction!(read_key_uri, m)?)?;
    m.add_function(wrap_pyfunction!(judge_roots, m)?)?;
    m.add_function(wrap_pyfunction!(judge_lists, m)?)?;
    m.add_function(wrap_pyfunction!(judge_keys, m)?)?;
    m.add_function(wrap_pyfunction!(judge_users, m)?)?;
    m.add_function(wrap_pyfunction!(hash_password, m)?)?;
    m.add_function(wrap_pyfunction!(is_heard, m)?)?;
    m.add_function(wrap_pyfunction!(is_editable, m)?)?;
    m.add_function(wrap_pyfunction!(probe, m)?)?;
    m.add_function(wrap_pyfunction!(fetch_keys, m)?)?;
    Ok(())
}
