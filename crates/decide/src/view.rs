//! What can be reached by one listener. Sites and routes that name listeners are there by these alone: elsewhere their names
//! are unknown and their paths are nobody's. Listeners that nobody names share one view. Read next: `names.rs`, `table.rs`.

use crate::names::{ANY, Map, Names};
use crate::table::{Candidate, Table};
use crate::{HelloRefusal, Matcher, Owner, Unmatchable, Verdict};
use everyhop_plan::{Plan, Protocol};

/// The tables of one listener, or of all that nobody names.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) owners: Names<Owner>,
    pub(crate) hosts: Names<Table>,
    /// The same of routes that carry what is not read: no request ever comes to one of these.
    pub(crate) streams: Names<Table>,
    /// By site: its only route of that kind, for a hello that names nothing of it.
    pub(crate) only: Vec<Option<usize>>,
    /// There is no hello: what can only be passed through, or is not read, owns its names and is not served.
    pub(crate) is_plain: bool,
}

/// Whether something that names these listeners is there by `listener`; `None`: by one that nobody names.
fn is_there(named: Option<&Vec<String>>, listener: Option<&str>) -> bool {
    named.is_none_or(|all| listener.is_some_and(|l| all.iter().any(|name| name == l)))
}

impl View {
    fn of(plan: &Plan, listener: Option<&str>) -> Result<View, Unmatchable> {
        let is_plain = plan.listeners.iter().any(|l| Some(l.name.as_str()) == listener && l.is_plain() && l.goes_on());
        let mut it = View { is_plain, ..View::default() };
        let mut own = |host: &str, owner| match it.owners.put(host, owner) {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(Unmatchable(format!("host {host:?} has two owners"))),
            Err(_) => Err(Unmatchable(format!("host {host:?} is no name"))),
        };
        for (i, site) in plan.sites.iter().enumerate().filter(|(_, s)| is_there(s.listeners.as_ref(), listener)) {
            let owner = match site.protocol {
                Protocol::Http => Owner::Site(i),
                Protocol::Tcp => Owner::Streams(i),
            };
            for host in &site.hosts {
                own(host, owner)?;
            }
        }
        for (i, route) in plan.routes.iter().enumerate().filter(|(_, r)| is_there(r.listeners.as_ref(), listener)) {
            for host in &route.hosts {
                if route.is_stream() && !route.matches_by_name_alone() {
                    return Err(Unmatchable(format!("route {:?} reads no requests and asks for some", route.name)));
                }
                let tables = if route.is_stream() { &mut it.streams } else { &mut it.hosts };
                match route.asks() {
                    // Whose certificate is shown the client must be able to ask for.
                    None if host == ANY => {
                        return Err(Unmatchable(format!("host {host:?} of route {:?} is no name", route.name)));
                    }
                    None => own(host, Owner::Splice(i))?,
                    Some(asks) => tables
                        .entry(host)
                        .ok_or_else(|| Unmatchable(format!("host {host:?} of route {:?} is no name", route.name)))?
                        .add(Candidate::new(i, route.priority, asks.methods, asks.headers), asks.path),
                }
            }
        }
        it.hosts.each(Table::sort);
        it.streams.each(Table::sort);
        let mut hosts = std::mem::take(&mut it.hosts);
        hosts.each_exact(|host, table| table.site = it.site(host));
        it.hosts = hosts;
        it.only = (0..plan.sites.len()).map(|site| it.only_stream(plan, site, listener)).collect();
        Ok(it)
    }

    fn only_stream(&self, plan: &Plan, site: usize, listener: Option<&str>) -> Option<usize> {
        let inside = |host: &String| matches!(self.owners.get(host), Some(Owner::Streams(s)) if *s == site);
        let mut all =
            plan.routes.iter().enumerate().filter(|(_, r)| {
                r.is_stream() && is_there(r.listeners.as_ref(), listener) && r.hosts.iter().any(inside)
            });
        let only = all.next().map(|(i, _)| i);
        only.filter(|_| all.next().is_none())
    }

    /// What becomes of a hello that names, or by naming nothing falls to, this owner.
    pub(crate) fn hello(&self, owner: Owner, name: &str) -> Verdict {
        match owner {
            Owner::Site(i) => Verdict::Terminate(i),
            _ if self.is_plain => Verdict::Refuse(HelloRefusal::UnknownSni),
            // Without a route there is nobody to go to, and no request that could be told so.
            Owner::Streams(_) if self.streams.get(name).is_none() => Verdict::Refuse(HelloRefusal::UnknownSni),
            Owner::Streams(i) => Verdict::Terminate(i),
            Owner::Splice(i) => Verdict::Splice(i),
        }
    }

    /// The site whose requests those for this host are.
    pub(crate) fn site(&self, host: &str) -> Option<usize> {
        match self.owners.get(host) {
            Some(Owner::Site(site)) => Some(*site),
            _ => None,
        }
    }

    /// As [`Matcher::stream`].
    pub(crate) fn stream(&self, site: usize, sni: Option<&str>) -> Option<usize> {
        let name = sni.unwrap_or_default();
        let owned = matches!(self.owners.get(name), Some(Owner::Streams(s)) if *s == site);
        let named = self.streams.get(name).filter(|_| owned);
        match named {
            Some(table) => table.first(),
            None if owned && sni.is_some() => None,
            None => self.only.get(site).copied().flatten(),
        }
    }
}

impl Matcher {
    /// The views of all listeners that are named, and that of the others.
    pub(crate) fn see(&mut self, plan: &Plan) -> Result<(), Unmatchable> {
        self.common = View::of(plan, None)?;
        let of_sites = plan.sites.iter().map(|s| (&s.name, &s.listeners));
        let of_routes = plan.routes.iter().map(|r| (&r.name, &r.listeners));
        for (who, listener) in of_sites.chain(of_routes).flat_map(|(w, all)| all.iter().flatten().map(move |l| (w, l)))
        {
            if !plan.listeners.iter().any(|l| l.name == *listener) {
                return Err(Unmatchable(format!("{who:?} names the listener {listener:?}, which is not there")));
            }
            if !self.views.contains_key(listener) {
                self.views.insert(listener.clone(), View::of(plan, Some(listener))?);
            }
        }
        // Each has a view of its own, since names that are only passed through are not there.
        for listener in plan.listeners.iter().filter(|l| l.speaks.serves_plain()) {
            self.views.insert(listener.name.clone(), View::of(plan, Some(&listener.name))?);
        }
        let going_on = plan.listeners.iter().filter(|l| l.goes_on());
        self.listeners = going_on.map(|l| (l.name.clone(), l.bind.clone())).collect();
        Ok(())
    }

    /// What can be reached by the listener of that name.
    #[inline]
    pub(crate) fn view(&self, listener: &str) -> &View {
        if self.views.is_empty() { &self.common } else { self.views.get(listener).unwrap_or(&self.common) }
    }
}

/// The same listener in two plans, by one of its addresses or else by its name, with what each of them lets reach by it: first
/// what is reached by all that nobody names, which is told without a name.
pub(crate) fn pairs<'m>(old: &'m Matcher, new: &'m Matcher) -> Vec<(&'m str, &'m View, &'m View)> {
    if old.views.is_empty() && new.views.is_empty() {
        return vec![("", &old.common, &new.common)];
    }
    let mut all: Vec<(&str, &View, &View)> = Vec::new();
    let mut kept: Map<&str, ()> = Map::default();
    for (name, at) in &new.listeners {
        let same = old.listeners.iter().find(|(_, was)| was.iter().any(|it| at.contains(it)));
        let before = same.or_else(|| old.listeners.iter().find(|(was, _)| was == name));
        if let Some((was, _)) = before {
            kept.insert(was, ());
        }
        let was = match before {
            Some((was, _)) => old.view(was),
            // What came in the clear went on from nowhere.
            None if new.view(name).is_plain => &old.nothing,
            None => old.view(""),
        };
        all.push((name, was, new.view(name)));
    }
    let gone = old.listeners.iter().filter(|(name, _)| !kept.contains_key(name.as_str()));
    all.extend(gone.map(|(name, _)| {
        let was = old.view(name);
        (name.as_str(), was, if was.is_plain { &new.nothing } else { &new.common })
    }));
    let is_common =
        |(_, was, now): &(&str, &View, &View)| std::ptr::eq(*was, &old.common) && std::ptr::eq(*now, &new.common);
    let common = all.iter().any(is_common);
    all.retain(|pair| !is_common(pair));
    if common {
        all.insert(0, ("", &old.common, &new.common));
    }
    all
}
