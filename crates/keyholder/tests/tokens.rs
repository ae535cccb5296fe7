//! A keyholder that has a module, with a real token: SoftHSM, which finds its tokens by the environment, and so in a process of its own.
//! What it signs by is its certificate's key, and what it cannot sign by it tells.

use base64::{Engine, engine::general_purpose::STANDARD};
use everyhop_keyholder::{GivenTokens, Holder, Lacking};
use everyhop_running::apart::id_of;
use everyhop_signing::{Ask, Content, KeyId, No, Role};
use rustls::pki_types::CertificateDer;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "4711";
const FOLDER: &str = "EVERYHOP_TEST_TOKENS";
const INSIDE: &str = "what_a_token_signs_and_what_it_lacks";
const ECDSA_P256: u16 = 0x0403;
const ECDSA_P384: u16 = 0x0503;
const OF_SERVER: Content<'static> = Content::Tls13(Role::Server, &[5; 32]);

fn run(program: &str, words: &[&str], folder: &Path) {
    let done = Command::new(program)
        .args(words)
        .current_dir(folder)
        .env("SOFTHSM2_CONF", folder.join("softhsm2.conf"))
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
}

/// `name.pem` and `name.der`.
fn certified(folder: &Path, name: &str, kind: &[&str]) {
    let (key, certificate) = (format!("{name}.pem"), format!("{name}.der"));
    let words =
        ["req", "-x509", "-nodes", "-subj", "/CN=a.test", "-outform", "DER", "-keyout", &key, "-out", &certificate];
    run("openssl", &[&words[..], kind].concat(), folder);
}

#[test]
fn a_token_is_asked_in_a_process_that_has_its_module() {
    let folder = Folder(std::env::temp_dir().join(format!("everyhop-tokens-{}", std::process::id())));
    std::fs::create_dir_all(folder.0.join("tokens")).expect("a folder");
    let conf = format!("directories.tokendir = {}/tokens\nobjectstore.backend = file\n", folder.0.display());
    std::fs::write(folder.0.join("softhsm2.conf"), conf).expect("written");
    run("softhsm2-util", &["--init-token", "--free", "--label", "edge", "--so-pin", PIN, "--pin", PIN], &folder.0);
    for (n, (name, kind)) in [("one", "P-256"), ("two", "P-256"), ("long", "P-521")].into_iter().enumerate() {
        let curve = format!("ec_paramgen_curve:{kind}");
        certified(&folder.0, name, &["-newkey", "ec", "-pkeyopt", &curve]);
        let (key, id) = (format!("{name}.pem"), format!("0{n}"));
        let words = ["--import", &key, "--token", "edge", "--label", name, "--id", &id, "--pin", PIN];
        run("softhsm2-util", &words, &folder.0);
    }
    let done = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", INSIDE, "--ignored", "--nocapture"])
        .env("SOFTHSM2_CONF", folder.0.join("softhsm2.conf"))
        .env(FOLDER, &folder.0)
        .output()
        .expect("it begins");
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && told.contains("1 passed"), "{told}{}", String::from_utf8_lossy(&done.stderr));
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Certificates, and which key of the token is said to be theirs.
struct There(PathBuf);

impl There {
    fn der(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(format!("{name}.der"))).expect("a certificate")
    }

    fn id(&self, name: &str) -> KeyId {
        let der = CertificateDer::from(self.der(name));
        id_of(&webpki::EndEntityCert::try_from(&der).expect("a certificate").subject_public_key_info())
    }

    fn given(&self, module: &str, keys: &[(&str, &str)]) -> GivenTokens {
        let keys = keys.iter().map(|(certificate, object)| {
            let (der, pin) = (STANDARD.encode(self.der(certificate)), STANDARD.encode(PIN));
            let uri = format!("pkcs11:token=edge;object={object}?module-path={SOFTHSM}");
            format!(
                r#"{{"id": "{certificate}", "role": "server", "certificate": "{der}", "uri": "{uri}", "pin": "{pin}"}}"#
            )
        });
        let keys = keys.collect::<Vec<_>>().join(", ");
        serde_json::from_str(&format!(r#"{{"module": "{module}", "careful": false, "keys": [{keys}]}}"#)).expect("keys")
    }

    fn asked(&self, holder: &Holder, name: &str, scheme: u16) -> Result<(), No> {
        let ask = Ask { number: 1, key: self.id(name), scheme, content: OF_SERVER };
        let signature = holder.answer(&ask.write(), Instant::now()).signed?;
        let der = CertificateDer::from(self.der(name));
        let leaf = webpki::EndEntityCert::try_from(&der).expect("a certificate");
        let signed = OF_SERVER.signed();
        leaf.verify_signature(webpki::aws_lc_rs::ECDSA_P256_SHA256, &signed, &signature).expect("its signature");
        Ok(())
    }
}

fn told(lacking: &[Lacking]) -> Vec<(&str, &str)> {
    lacking.iter().map(|it| (it.id.as_str(), it.slug)).collect()
}

#[test]
#[ignore = "asked by the test above, in an environment that has a token"]
fn what_a_token_signs_and_what_it_lacks() {
    let there = There(std::env::var_os(FOLDER).expect("begun by the test above").into());
    let away = Holder::default().hold_tokens(&there.given("/nowhere.so", &[("one", "one"), ("two", "two")]), true);
    assert_eq!(told(&away), [("one", "key/module"), ("two", "key/module")]);

    let holder = Holder::default();
    assert_eq!(holder.hold_tokens(&there.given(SOFTHSM, &[("one", "one")]), true), []);
    assert_eq!(there.asked(&holder, "one", ECDSA_P256), Ok(()));
    assert_eq!(there.asked(&holder, "one", ECDSA_P384), Err(No::Scheme));
    assert_eq!(there.asked(&holder, "two", ECDSA_P256), Err(No::Key));
    assert_eq!((holder.counted().0.len(), holder.waits()), (1, Duration::ZERO));

    // Where one of them cannot be signed by, a whole set leaves what was held.
    let lacks = [("one", "two"), ("two", "two"), ("long", "long")];
    let found = holder.hold_tokens(&there.given(SOFTHSM, &lacks), true);
    assert_eq!(told(&found), [("one", "certificate/key-mismatch"), ("long", "key/token")]);
    assert!(found.last().is_some_and(|it| it.why.contains("no token is asked for")), "{found:?}");
    assert_eq!(there.asked(&holder, "one", ECDSA_P256), Ok(()));
    assert_eq!(there.asked(&holder, "two", ECDSA_P256), Err(No::Key));
    // And what is not whole goes on with those that sign.
    assert_eq!(told(&holder.hold_tokens(&there.given(SOFTHSM, &lacks), false)), told(&found));
    assert_eq!(there.asked(&holder, "one", ECDSA_P256), Err(No::Key));
    assert_eq!(there.asked(&holder, "two", ECDSA_P256), Ok(()));
    // A whole set with nothing wrong takes the place of it.
    assert_eq!(holder.hold_tokens(&there.given(SOFTHSM, &[("one", "one")]), true), []);
    assert_eq!(there.asked(&holder, "two", ECDSA_P256), Err(No::Key));
}
