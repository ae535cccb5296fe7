//! The one matcher: what a hello or a request may reach. Pure; the data path, `where` and the tests ask the same code.
//!
//! It is built once per plan. A hello is judged by name alone ([`Matcher::hello`]); a request, inside the site where its
//! TLS ended, by its one canonical form ([`Matcher::ask`]). It never guesses: what fits nothing is refused.
//! Read next: `admit.rs` (may it pass), `names.rs` (host tables), then `table.rs` (paths under one host).

#![forbid(unsafe_code)]

mod admit;
mod apart;
mod lost;
mod names;
mod plain;
mod readings;
mod table;
mod view;

pub use admit::{At, Denied, Outcome, Proof, Refused, STRENGTHS, Who};
pub use apart::{Asked, Named, apart, meeting, named};
pub use lost::Lost;
pub use names::{Names, NoPattern};
pub use plain::Plain;
pub use readings::Reading;
pub use table::Demand;

use everyhop_canon as canon;
use everyhop_plan::{HeaderMatch, Listener, MatchOf, Plan, Protocol, Unnamed, Way};

use table::Found;
use view::View;

/// What becomes of a connection whose hello was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Bytes go to the backend of this passthrough route (index into `plan.routes`) untouched.
    Splice(usize),
    /// TLS ends here, at this site (index into `plan.sites`).
    Terminate(usize),
    Refuse(HelloRefusal),
}

/// Why a hello reaches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HelloRefusal {
    NoSni,
    UnknownSni,
}

/// One canonical request, from either codec.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// Canonical, without port.
    pub host: &'a str,
    /// Canonical, without query; `/` for the asterisk of OPTIONS.
    pub path: &'a str,
    /// The path as it came: what the backend gets.
    pub sent: &'a str,
    pub method: &'a str,
    pub headers: &'a dyn Headers,
}

/// The fields of a request, as much as routing needs.
pub trait Headers {
    /// True if the field is there and each of its values equals `value`.
    fn all_equal(&self, name: &str, value: &str) -> bool;

    /// True if a cookie of that name is there, and each that has it equals `value`.
    fn cookie_equals(&self, name: &str, value: &str) -> bool;

    /// Hands on each value of the field that goes on to a backend under that name; of one that stays behind none.
    fn each_value(&self, name: &str, f: &mut dyn FnMut(&[u8]));

    /// True if what a route looks at is as it wants it.
    fn fit(&self, it: &HeaderMatch) -> bool {
        match it.of {
            MatchOf::Field => self.all_equal(&it.name, &it.equals),
            MatchOf::Cookie => self.cookie_equals(&it.name, &it.equals),
        }
    }
}

/// No fields at all.
pub struct NoHeaders;

impl Headers for NoHeaders {
    fn all_equal(&self, _: &str, _: &str) -> bool {
        false
    }

    fn cookie_equals(&self, _: &str, _: &str) -> bool {
        false
    }

    fn each_value(&self, _: &str, _: &mut dyn FnMut(&[u8])) {}
}

/// A list of pairs, names in lower case: for `where` and the tests.
impl Headers for [(String, String)] {
    fn all_equal(&self, name: &str, value: &str) -> bool {
        let mut seen = false;
        for (_, v) in self.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)) {
            if v != value {
                return false;
            }
            seen = true;
        }
        seen
    }

    fn cookie_equals(&self, name: &str, value: &str) -> bool {
        let fields = self.iter().filter(|(n, _)| n.eq_ignore_ascii_case("cookie"));
        canon::cookie::all_equal(fields.map(|(_, v)| v.as_bytes()), name, value)
    }

    fn each_value(&self, name: &str, f: &mut dyn FnMut(&[u8])) {
        self.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).for_each(|(_, v)| f(v.as_bytes()));
    }
}

impl Headers for Vec<(String, String)> {
    fn all_equal(&self, name: &str, value: &str) -> bool {
        self.as_slice().all_equal(name, value)
    }

    fn cookie_equals(&self, name: &str, value: &str) -> bool {
        self.as_slice().cookie_equals(name, value)
    }

    fn each_value(&self, name: &str, f: &mut dyn FnMut(&[u8])) {
        self.as_slice().each_value(name, f);
    }
}

/// What a request reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Route(usize),
    /// 404: the host is this site's, nothing is routed there.
    NotFound,
    /// 421: the host belongs to another site, a passthrough route or nobody here (RFC 9110 §15.5.20).
    Misdirected,
    /// 400: some backend reads the path of `route` as one of another route, or of none (R01).
    Ambiguous {
        route: usize,
        other: Option<usize>,
    },
}

/// Two routes of a host and a path that nothing tells apart but their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tie {
    pub host: String,
    pub path: String,
    /// Indices into `plan.routes`.
    pub first: usize,
    pub late: usize,
}

/// Who owns a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Owner {
    Site(usize),
    /// A site whose TLS carries something that is not read.
    Streams(usize),
    Splice(usize),
}

/// What a hello gets that names nobody, or nobody here, where nothing else was said.
const REFUSED: (Verdict, Verdict) = (Verdict::Refuse(HelloRefusal::NoSni), Verdict::Refuse(HelloRefusal::UnknownSni));

/// A plan that cannot be matched; the compiler refuses these first, so this is a bug or a forged plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmatchable(pub String);

/// The tables of one plan.
#[derive(Debug, Default)]
pub struct Matcher {
    /// What is reached by listeners that nobody names.
    common: View,
    /// By listener name: what is reached by those that are named.
    views: names::Map<String, View>,
    /// Those from which something goes on, with their addresses.
    listeners: Vec<(String, Vec<String>)>,
    /// By site: what comes inside its TLS is not read.
    is_streaming: Vec<bool>,
    /// By route.
    rules: Vec<admit::Rule>,
    /// By listener name: the answers to no SNI and unknown SNI.
    unnamed: names::Map<String, (Verdict, Verdict)>,
    /// Listeners where HTTP comes in the clear; of each, whether it is served there.
    plain: std::collections::HashMap<String, bool>,
    /// What is reached by a listener that is not there.
    nothing: View,
}

impl Matcher {
    /// Builds the tables.
    ///
    /// Refuses: a name owned twice, a reference to a site or route that is not there, a rewrite that is none.
    pub fn build(plan: &Plan) -> Result<Matcher, Unmatchable> {
        let mut it = Matcher { rules: admit::rules(plan)?, ..Matcher::default() };
        it.see(plan)?;
        it.is_streaming = plan.sites.iter().map(|s| s.protocol == Protocol::Tcp).collect();
        for listener in &plan.listeners {
            let answers = (
                it.unnamed(plan, listener, &listener.no_sni, HelloRefusal::NoSni)?,
                it.unnamed(plan, listener, &listener.unknown_sni, HelloRefusal::UnknownSni)?,
            );
            it.unnamed.insert(listener.name.clone(), answers);
            if listener.is_plain() {
                it.plain.insert(listener.name.clone(), listener.speaks.serves_plain());
            }
        }
        Ok(it)
    }

    fn unnamed(
        &self,
        plan: &Plan,
        at: &Listener,
        answer: &Unnamed,
        refusal: HelloRefusal,
    ) -> Result<Verdict, Unmatchable> {
        let wrong = |what: &str| Unmatchable(format!("listener {:?} names {what}", at.name));
        match answer {
            Unnamed::Refuse {} => Ok(Verdict::Refuse(refusal)),
            Unnamed::Site { site: name } => {
                let missing = || wrong(&format!("site {name:?}, which is not there"));
                let site = plan.sites.iter().position(|s| s.name == *name).ok_or_else(missing)?;
                let view = self.view(&at.name);
                if self.is_streaming(site) && view.only.get(site).copied().flatten().is_none() {
                    return Err(wrong(&format!("site {name:?}, which has not one route of tcp")));
                }
                if !at.answers(plan.sites.get(site).and_then(|s| s.listeners.as_deref())) {
                    return Err(wrong(&format!("site {name:?}, which does not answer there")));
                }
                Ok(Verdict::Terminate(site))
            }
            Unnamed::Route { route } => plan
                .routes
                .iter()
                .position(|r| {
                    r.name == *route && matches!(r.way, Way::AtBackend { .. }) && at.answers(r.listeners.as_deref())
                })
                .map(Verdict::Splice)
                .ok_or_else(|| wrong(&format!("passthrough route {route:?}, which is not there"))),
        }
    }

    /// Judges a hello. `sni` is canonical; `None` stands for no SNI or an IP literal.
    pub fn hello(&self, listener: &str, sni: Option<&str>) -> Verdict {
        self.hello_in(self.view(listener), sni, || self.unnamed.get(listener).copied().unwrap_or(REFUSED))
    }

    fn hello_in(&self, view: &View, sni: Option<&str>, answers: impl Fn() -> (Verdict, Verdict)) -> Verdict {
        let Some(name) = sni else {
            // What the listener answers itself is meant for these alone; a site that takes every name takes the rest.
            return match (answers().0, view.owners.get("")) {
                (Verdict::Refuse(_), Some(owner)) => view.hello(*owner, ""),
                (answer, _) => answer,
            };
        };
        view.owners.get(name).map_or_else(|| answers().1, |owner| view.hello(*owner, name))
    }

    /// Judges a request that arrived inside `site`'s TLS, by the listener of that name.
    pub fn ask(&self, listener: &str, site: usize, ask: &Ask<'_>) -> Answer {
        self.ask_in(self.view(listener), site, ask)
    }

    #[inline]
    fn ask_in(&self, view: &View, site: usize, ask: &Ask<'_>) -> Answer {
        let exact = view.hosts.exact(ask.host);
        let (owner, table) = match exact {
            Some(table) => (table.site, exact),
            None => (view.site(ask.host), view.hosts.widely(ask.host)),
        };
        if owner != Some(site) {
            return Answer::Misdirected;
        }
        match table.map_or(Found::Nothing, |t| t.find(ask)) {
            Found::Route(route) => Answer::Route(route),
            Found::Nothing => Answer::NotFound,
            Found::Ambiguous { route, other } => Answer::Ambiguous { route, other },
        }
    }

    /// The route of a connection by that listener whose TLS ended at `site` and carries what is not read; `sni` as for
    /// [`Matcher::hello`].
    pub fn stream(&self, listener: &str, site: usize, sni: Option<&str>) -> Option<usize> {
        self.view(listener).stream(site, sni)
    }

    /// Whether what comes inside the TLS of a site is not read.
    pub fn is_streaming(&self, site: usize) -> bool {
        self.is_streaming.get(site).copied().unwrap_or_default()
    }

    /// Routes that some request fits alike, so that only their order decides: host, path, the first of the two, the other.
    pub fn ties(&self) -> Vec<Tie> {
        let mut out: Vec<Tie> = std::iter::once(&self.common)
            .chain(self.views.values())
            .flat_map(|view| view.hosts.iter().chain(view.streams.iter()))
            .flat_map(|(host, table)| {
                table.ties().into_iter().map(move |(path, first, late)| Tie {
                    host: host.clone(),
                    path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
                    first,
                    late,
                })
            })
            .collect();
        out.sort_by(|a, b| (a.late, &a.host, &a.path, a.first).cmp(&(b.late, &b.host, &b.path, b.first)));
        out.dedup();
        out
    }

    /// How some backend reads a path of `route`, by which it leads elsewhere.
    pub fn reading(&self, listener: &str, ask: &Ask<'_>, route: usize) -> Option<Reading> {
        self.view(listener).hosts.get(ask.host)?.other(ask, route)
    }

    /// Why a path that fits `route` is not taken for one of it, with what mends it, in a sentence: for the log and `where`.
    pub fn told(&self, plan: &Plan, listener: &str, ask: &Ask<'_>, route: usize) -> String {
        readings::told(plan, ask, route, self.reading(listener, ask, route).as_ref())
    }

    /// What is demanded of the fields of this request by `route` (last), and by those that stand before it; `None` where it
    /// does not come to `route` with any fields. Two plans that say the same here choose alike, whatever the fields were.
    pub fn demanded(&self, listener: &str, ask: &Ask<'_>, route: usize) -> Option<Vec<Vec<Demand>>> {
        self.view(listener).hosts.get(ask.host)?.demanded(ask, route)
    }

    /// Why the other routes of that host did not get the request, the nearest loser first.
    pub fn lost(&self, plan: &Plan, listener: &str, ask: &Ask<'_>, winner: Option<usize>) -> Vec<Lost> {
        lost::explain(plan, listener, ask, winner)
    }
}

/// On segment boundaries, as [`canon`] defines it.
pub(crate) fn under(path: &str, prefix: &str) -> bool {
    canon::path::has_prefix(path, prefix)
}
