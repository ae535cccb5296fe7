//! The one admission: what becomes of a hello and a request under a plan's rules. Pure. The data path asks
//! [`Matcher::admit`] inside the site where TLS ended; `where`, `explain` and `diff` ask [`Matcher::judge`], which is the
//! same behind the hello. What changes while an edge runs (dates, health, the log) is not here.
//! Read next: `apart.rs`, which asks every question that could tell two plans apart.

use crate::view::View;
use crate::{Answer, Ask, HelloRefusal, Matcher, Plain, Unmatchable, Verdict};
use everyhop_canon::cidr::Cidr;
use everyhop_canon::networks::Networks;
use everyhop_canon::onward::without;
use everyhop_canon::path::{path, reads_one_way};
use everyhop_canon::rewrite::{NoRewrite, Rewrite};
use everyhop_canon::spiffe;
use everyhop_plan::{Paths, Plan, Target, Way};
use std::net::IpAddr;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    pub proof: Proof<'a>,
    pub at: At,
}

/// What a client proved in its handshake.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// These names stand in its verified certificate; none where nobody proved anything.
    Names(&'a [String]),
    /// The question is asked for a client that every allow-list would take.
    Any,
}

/// Where a client asks from. It proves nothing of who that is.
#[derive(Debug, Clone, Copy)]
pub enum At {
    Address(IpAddr),
    /// The question is asked for a client that every list of networks would take.
    Anywhere,
}

impl<'a> Who<'a> {
    pub const ANYBODY: Who<'static> = Who { proof: Proof::Any, at: At::Anywhere };

    pub fn proved(names: &'a [String], at: At) -> Who<'a> {
        Who { proof: Proof::Names(names), at }
    }

    /// Nobody proves anything where there is no handshake; an address is an address.
    #[must_use]
    pub fn in_the_clear(self) -> Who<'a> {
        match self.proof {
            Proof::Names(_) => Who { proof: Proof::Names(&[]), ..self },
            Proof::Any => self,
        }
    }
}

/// Why a request inside a site is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Denied {
    NotFound,
    Misdirected,
    Ambiguous,
    AddressNotAllowed,
    ClientNotAllowed,
    UpgradeRefused,
}

impl Denied {
    /// The slug of the refusal, as the log and the reference have it.
    pub fn slug(self) -> &'static str {
        match self {
            Denied::NotFound => "request/not-found",
            Denied::Misdirected => "request/misdirected",
            Denied::Ambiguous => "request/bad-target",
            Denied::AddressNotAllowed => "request/address-not-allowed",
            Denied::ClientNotAllowed => "request/client-not-allowed",
            Denied::UpgradeRefused => "request/upgrade-refused",
        }
    }
}

impl HelloRefusal {
    /// The slug of the refusal, as the log and the reference have it.
    pub fn slug(self) -> &'static str {
        match self {
            HelloRefusal::NoSni => "hello/no-sni",
            HelloRefusal::UnknownSni => "hello/unknown-sni",
        }
    }
}

/// A request that does not pass: whose it would have been, where a route was found, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    pub route: Option<usize>,
    pub why: Denied,
}

/// Which protocols may be switched to, each of them a tunnel behind which nothing is read.
#[derive(Debug)]
enum Upgrades {
    /// In lower case.
    Of(Vec<String>),
    /// Who asks for one is answered as anybody is: there is nothing behind the edge.
    Any,
}

/// What a route asks of a request beyond matching it.
#[derive(Debug)]
pub(crate) struct Rule {
    allow: Option<Vec<String>>,
    networks: Option<Networks>,
    upgrades: Upgrades,
    strict_paths: bool,
    onward: Option<Onward>,
}

/// What becomes of a path before it goes on, as far as that can refuse it.
#[derive(Debug)]
enum Onward {
    /// What is taken from its beginning, and whether what is left goes on by itself.
    Stripped(String, bool),
    Rewritten(Rewrite),
}

impl Onward {
    fn of(target: &Target) -> Result<Option<Onward>, NoRewrite> {
        Ok(match target {
            Target::Rewritten { regex, to } => Some(Onward::Rewritten(Rewrite::of(regex, to)?)),
            _ => stripped(target).map(|(prefix, alone)| Onward::Stripped(prefix.to_owned(), alone)),
        })
    }

    #[inline]
    fn refuses(&self, ask: &Ask<'_>, strict: bool) -> bool {
        match self {
            Onward::Stripped(prefix, alone) => without(ask.sent, prefix, *alone).is_none(),
            Onward::Rewritten(by) => ask.sent != "*" && by.apply(ask.path, strict, &mut String::new()).is_err(),
        }
    }
}

impl Rule {
    #[inline]
    fn takes_client(&self, who: Who<'_>) -> Result<(), Denied> {
        self.takes_address(who.at)?;
        let (Some(allow), Proof::Names(names)) = (&self.allow, who.proof) else { return Ok(()) };
        if spiffe::is_allowed(allow, names) { Ok(()) } else { Err(Denied::ClientNotAllowed) }
    }

    #[inline]
    fn takes_address(&self, at: At) -> Result<(), Denied> {
        match (&self.networks, at) {
            (Some(networks), At::Address(ip)) if !networks.contain(ip) => Err(Denied::AddressNotAllowed),
            _ => Ok(()),
        }
    }

    /// Names of protocols are compared without case (RFC 9110 §7.8), and with their version, where they have one.
    #[cold]
    fn takes(&self, upgrade: &str) -> bool {
        match &self.upgrades {
            Upgrades::Of(listed) => listed.iter().any(|it| it.eq_ignore_ascii_case(upgrade)),
            Upgrades::Any => true,
        }
    }

    pub(crate) fn of(way: &Way) -> Result<Rule, String> {
        Ok(match way {
            Way::AtBackend { allow_networks, .. } => Rule {
                allow: None,
                networks: networks(allow_networks.as_deref())?,
                upgrades: Upgrades::Of(Vec::new()),
                strict_paths: false,
                onward: None,
            },
            Way::AtEdge { allow_clients, allow_networks, upgrades, paths, target, .. } => Rule {
                allow: allow_clients.clone(),
                networks: networks(allow_networks.as_deref())?,
                upgrades: Upgrades::Of(upgrades.clone()),
                strict_paths: *paths == Paths::Strict,
                onward: Onward::of(target).map_err(|why| format!("rewrites paths: {why}"))?,
            },
            // There is no backend to read a path in another way.
            Way::Here { allow_clients, allow_networks, .. } => Rule {
                allow: allow_clients.clone(),
                networks: networks(allow_networks.as_deref())?,
                upgrades: Upgrades::Any,
                strict_paths: false,
                onward: None,
            },
        })
    }
}

fn networks(listed: Option<&[String]>) -> Result<Option<Networks>, String> {
    let net = |text: &String| text.parse::<Cidr>().map_err(|_| format!("allows {text:?}, which is no network"));
    listed.map(|them| them.iter().map(net).collect()).transpose()
}

/// What is taken from the beginning of paths, and whether what is left goes on by itself.
pub(crate) fn stripped(target: &Target) -> Option<(&str, bool)> {
    match target {
        Target::Moved { strip, under } if !strip.is_empty() => Some((strip, under.is_empty())),
        _ => None,
    }
}

/// What becomes of a connection and the request in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Bytes go to the backends of this passthrough route; no request is seen.
    Splice { route: usize },
    /// They would, if the route took the client.
    Shut { route: usize, why: Denied },
    /// TLS ends at the site, the request goes to the route's backends, or is answered by the edge where it has none.
    Pass { site: usize, route: usize },
    /// TLS ends at the site, the request is refused there.
    Deny { site: usize, route: Option<usize>, why: Denied },
    /// No TLS ends and nothing is carried.
    Refuse { why: HelloRefusal },
    /// The request came in the clear, and nothing is carried.
    Plain { what: Plain },
}

impl Matcher {
    /// By what a route rewrites the paths of its requests, if it does so by an expression.
    pub fn rewrite(&self, route: usize) -> Option<&Rewrite> {
        match self.rules.get(route)?.onward.as_ref()? {
            Onward::Rewritten(by) => Some(by),
            Onward::Stripped(..) => None,
        }
    }

    /// May this request, which came by the listener of that name inside `site`, pass? `upgrade`: the protocol that it asks to switch to. Gives
    /// the route.
    ///
    /// Refuses: what the route or the site that owns the host does not take; see [`Denied`].
    pub fn admit(
        &self,
        listener: &str,
        site: usize,
        who: Who<'_>,
        ask: &Ask<'_>,
        upgrade: Option<&str>,
    ) -> Result<usize, Refused> {
        self.admit_in(self.view(listener), site, who, ask, upgrade)
    }

    #[inline]
    pub(crate) fn admit_in(
        &self,
        view: &View,
        site: usize,
        who: Who<'_>,
        ask: &Ask<'_>,
        upgrade: Option<&str>,
    ) -> Result<usize, Refused> {
        let route = match self.ask_in(view, site, ask) {
            Answer::Route(route) => route,
            Answer::NotFound => return Err(Refused { route: None, why: Denied::NotFound }),
            Answer::Misdirected => return Err(Refused { route: None, why: Denied::Misdirected }),
            Answer::Ambiguous { route, .. } => return Err(Refused { route: Some(route), why: Denied::Ambiguous }),
        };
        let Some(rule) = self.rules.get(route) else { return Err(Refused { route: None, why: Denied::NotFound }) };
        rule.takes_client(who).map_err(|why| Refused { route: Some(route), why })?;
        if rule.strict_paths && !reads_one_way(ask.path) && path(ask.sent.as_bytes()).is_err() {
            return Err(Refused { route: Some(route), why: Denied::Ambiguous });
        }
        if let Some(onward) = &rule.onward
            && onward.refuses(ask, rule.strict_paths)
        {
            return Err(Refused { route: Some(route), why: Denied::Ambiguous });
        }
        if upgrade.is_some_and(|it| !rule.takes(it)) {
            return Err(Refused { route: Some(route), why: Denied::UpgradeRefused });
        }
        Ok(route)
    }

    /// May a connection pass whose TLS ended at `site` and carries what is not read? Gives the route.
    ///
    /// Refuses: [`Denied::NotFound`] where no route takes it, [`Denied::AddressNotAllowed`], [`Denied::ClientNotAllowed`].
    pub fn admit_stream(&self, listener: &str, site: usize, who: Who<'_>, sni: Option<&str>) -> Result<usize, Refused> {
        self.admit_stream_in(self.view(listener), site, who, sni)
    }

    fn admit_stream_in(&self, view: &View, site: usize, who: Who<'_>, sni: Option<&str>) -> Result<usize, Refused> {
        let none = Refused { route: None, why: Denied::NotFound };
        let route = view.stream(site, sni).ok_or(none)?;
        let rule = self.rules.get(route).ok_or(none)?;
        rule.takes_client(who).map_err(|why| Refused { route: Some(route), why })?;
        Ok(route)
    }

    /// May a connection pass whose hello is a passthrough route's? Of whoever it is nothing is proved here: only where it comes
    /// from counts.
    ///
    /// Refuses: [`Denied::AddressNotAllowed`].
    pub fn admit_passed(&self, route: usize, at: At) -> Result<(), Denied> {
        self.rules.get(route).map_or(Ok(()), |rule| rule.takes_address(at))
    }

    /// What becomes of a connection whose hello names `sni` (canonical; `None`: none, or an IP literal) at the listener of
    /// that name, and of the request in it.
    pub fn judge(
        &self,
        listener: &str,
        sni: Option<&str>,
        who: Who<'_>,
        ask: &Ask<'_>,
        upgrade: Option<&str>,
    ) -> Outcome {
        if self.serves_plain(listener) {
            let who = self.named_site(listener, ask.host).map(|site| (site, who.in_the_clear()));
            return match who.map(|(site, who)| (site, self.admit(listener, site, who, ask, upgrade))) {
                None => Outcome::Plain { what: Plain::Unknown },
                Some((site, Ok(route))) => Outcome::Pass { site, route },
                Some((site, Err(Refused { route, why }))) => Outcome::Deny { site, route, why },
            };
        }
        if self.is_plain(listener) {
            return Outcome::Plain { what: self.plain(listener, ask.host, ask.path) };
        }
        self.outcome(self.view(listener), self.hello(listener, sni), sni, who, ask, upgrade)
    }

    /// What becomes of the request in a connection whose hello was judged.
    pub(crate) fn outcome(
        &self,
        view: &View,
        hello: Verdict,
        sni: Option<&str>,
        who: Who<'_>,
        ask: &Ask<'_>,
        upgrade: Option<&str>,
    ) -> Outcome {
        match hello {
            Verdict::Refuse(why) => Outcome::Refuse { why },
            Verdict::Splice(route) => match self.admit_passed(route, who.at) {
                Ok(()) => Outcome::Splice { route },
                Err(why) => Outcome::Shut { route, why },
            },
            Verdict::Terminate(site) => {
                let admitted = if self.is_streaming(site) {
                    self.admit_stream_in(view, site, who, sni)
                } else {
                    self.admit_in(view, site, who, ask, upgrade)
                };
                match admitted {
                    Ok(route) => Outcome::Pass { site, route },
                    Err(Refused { route, why }) => Outcome::Deny { site, route, why },
                }
            }
        }
    }
}

/// How much each pattern protects the way to a backend, weakest first. Passthrough is no hop of ours: it is another place
/// where TLS ends, and it is last because nobody in between reads.
pub const STRENGTHS: [&str; 4] = ["plaintext", "reencrypt", "mutual", "passthrough"];

/// The rules of a plan, by route.
///
/// Refuses: a rewrite or a network that is none.
pub(crate) fn rules(plan: &Plan) -> Result<Vec<Rule>, Unmatchable> {
    let wrong = |name: &str, why: &str| Unmatchable(format!("route {name:?} {why}"));
    plan.routes.iter().map(|r| Rule::of(&r.way).map_err(|why| wrong(&r.name, &why))).collect()
}
