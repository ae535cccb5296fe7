//! Names of keys in tokens: what is read says the same with every sign of it written as `%XX`, and a PIN is never said again.

use everyhop_pkcs11::Uri;
use std::fmt::Write;

pub fn key_uri(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Uri::read(text) {
        Ok(it) => assert_eq!(Uri::read(&written(&it)).as_ref(), Ok(&it), "{text}"),
        Err(wrong) => {
            assert!(wrong.at <= text.len() && !wrong.why.is_empty());
            if let Some(pin) = text.split("pin-value=").nth(1).and_then(|rest| rest.split('&').next()) {
                assert!(pin.len() < 8 || !wrong.why.contains(pin), "{text}");
            }
        }
    }
}

fn written(it: &Uri) -> String {
    let mut path: Vec<String> = Vec::new();
    let token = &it.token;
    let texts = [("token", &token.label), ("serial", &token.serial), ("manufacturer", &token.manufacturer)];
    for (name, value) in texts.into_iter().chain([("model", &token.model), ("object", &it.object)]) {
        path.extend(value.as_ref().map(|it| format!("{name}={}", signs(it.as_bytes()))));
    }
    path.extend(token.slot.map(|it| format!("slot-id={it}")));
    path.extend(it.id.as_ref().map(|it| format!("id={}", signs(it))));
    let pin = it.pin.as_ref().map_or(String::new(), |it| format!("&pin-source={}", signs(it.as_bytes())));
    format!("pkcs11:{}?module-path={}{pin}", path.join(";"), signs(it.module.as_bytes()))
}

fn signs(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "%{byte:02x}");
        out
    })
}
