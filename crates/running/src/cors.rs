//! CORS of a route, made ready: whom it takes, and the values of the fields, written once.

use everyhop_plan::Cors;

#[derive(Debug)]
pub struct CorsRun {
    origins: Vec<Origins>,
    /// Fields of the answer to a preflight.
    pub preflight: Vec<(&'static str, String)>,
    /// Fields of any answer.
    pub always: Vec<(&'static str, String)>,
    /// Everybody may read, whoever asks.
    pub anybody: bool,
}

#[derive(Debug)]
enum Origins {
    Anybody,
    Exactly(String),
    /// `https://` and `.app.test:8443`.
    Below {
        scheme: String,
        rest: String,
    },
}

impl CorsRun {
    pub fn of(it: &Cors) -> CorsRun {
        let origins: Vec<_> = it.origins.iter().map(|text| Origins::of(text)).collect();
        let anybody = origins.iter().any(|it| matches!(it, Origins::Anybody));
        let listed = |name, words: &[String]| (!words.is_empty()).then(|| (name, words.join(", ")));
        let preflight = [
            listed("access-control-allow-methods", &it.methods),
            listed("access-control-allow-headers", &it.headers),
            Some(("access-control-max-age", it.max_age_s.to_string())),
        ];
        let credentials = it.credentials.then(|| ("access-control-allow-credentials", "true".to_owned()));
        CorsRun {
            origins,
            preflight: preflight.into_iter().flatten().chain(credentials.clone()).collect(),
            always: listed("access-control-expose-headers", &it.expose).into_iter().chain(credentials).collect(),
            anybody,
        }
    }

    /// Compared byte for byte: browsers write an origin in one form (RFC 6454 §6.2).
    pub fn takes(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|it| it.takes(origin))
    }
}

impl Origins {
    fn of(text: &str) -> Origins {
        match text.split_once("://*.") {
            _ if text == "*" => Origins::Anybody,
            Some((scheme, rest)) => Origins::Below { scheme: format!("{scheme}://"), rest: format!(".{rest}") },
            None => Origins::Exactly(text.to_owned()),
        }
    }

    fn takes(&self, origin: &[u8]) -> bool {
        match self {
            Origins::Anybody => true,
            Origins::Exactly(it) => it.as_bytes() == origin,
            Origins::Below { scheme, rest } => {
                let labels = origin.strip_prefix(scheme.as_bytes()).and_then(|it| it.strip_suffix(rest.as_bytes()));
                labels.is_some_and(|it| !it.is_empty() && it.split(|b| *b == b'.').all(is_label))
            }
        }
    }
}

/// Nothing that could end a host: what is before the suffix is names alone.
fn is_label(it: &[u8]) -> bool {
    !it.is_empty() && it.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}
