//! Where the lines of each route go, as the plan says it: to the writer of a place, whoever else writes there.
//! Read next: `lines.rs` and `log.rs` of `everyhop-record`.

use crate::build::Brought;
use crate::material::Unusable;
use everyhop_plan::{AccessLog, LogForm, Plan, Route, RouteLog};
use everyhop_record::lines::{Labels, Lines};
use everyhop_record::log::{Logs, Writer};
use std::sync::Arc;

pub(crate) struct Logging<'a> {
    logs: &'a Logs,
    access: AccessLog,
    form: LogForm,
    digest: String,
    material_digest: String,
}

impl<'a> Logging<'a> {
    pub(crate) fn of(plan: &Plan, brought: &Brought<'a>) -> Logging<'a> {
        Logging {
            logs: brought.logs,
            access: plan.log.access.clone(),
            form: plan.log.form.clone(),
            digest: brought.digest.clone(),
            material_digest: brought.material_digest.clone(),
        }
    }

    fn writer(&self, access: &AccessLog) -> Option<Arc<Writer>> {
        access.place().map(|place| self.logs.writer(place))
    }

    fn labels<'b>(&'b self, route: Option<&'b str>, pattern: Option<&'b str>) -> Labels<'b> {
        Labels { route, pattern, plan: &self.digest, material: &self.material_digest }
    }

    /// Of what reached no route.
    pub(crate) fn elsewhere(&self) -> Result<Lines, Unusable> {
        Lines::new(self.writer(&self.access), &self.form, &self.labels(None, None)).map_err(Unusable)
    }

    pub(crate) fn of_route(&self, route: &Route, pattern: &str) -> Result<Lines, Unusable> {
        let labels = self.labels(Some(&route.name), Some(pattern));
        let lines = |access, form| Lines::new(self.writer(access), form, &labels).map_err(Unusable);
        match &route.log {
            None => lines(&self.access, &self.form),
            Some(RouteLog::Quiet {}) => Ok(lines(&self.access, &self.form)?.quiet()),
            Some(RouteLog::Own { access, form }) if access.place() == self.access.place() => lines(access, form),
            Some(RouteLog::Own { access, form }) => Ok(lines(access, form)?.own()),
        }
    }
}
