//! Where the lines of a route go and how they are written: made once with a plan. Whatever a line in the log says of a
//! request, what the engine keeps of it for `status` and `where` is whole. Read next: `picked.rs`, `combined.rs`, `kept.rs`.

use crate::combined;
use crate::json::field;
use crate::line::Line;
use crate::log::{ThreadLog, Writer};
use crate::picked::Picked;
use everyhop_plan::LogForm;
use std::sync::Arc;

/// Of what a line shares with the others of its route.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    pub route: Option<&'a str>,
    pub pattern: Option<&'a str>,
    pub plan: &'a str,
    pub material: &'a str,
}

impl Labels<'_> {
    fn written(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(224);
        field(&mut out, "route", self.route);
        field(&mut out, "pattern", self.pattern);
        field(&mut out, "plan", Some(self.plan));
        field(&mut out, "material", Some(self.material));
        out
    }
}

#[derive(Default)]
enum Form {
    #[default]
    /// All of it, in one piece: what the log has by itself, and the engine keeps.
    Whole,
    Picked(Picked),
    Combined,
}

/// The lines of a route, or of what reached none.
#[derive(Default)]
pub struct Lines {
    /// What all of them share, in JSON.
    pub labels: Vec<u8>,
    /// `None`: nowhere.
    to: Option<Arc<Writer>>,
    form: Form,
    /// What went as decided leaves no line.
    quiet: bool,
    /// They do not go where those of the file go.
    pub is_own: bool,
    /// Fields of requests that they name, in lower case.
    pub headers: Vec<Box<str>>,
}

impl Lines {
    /// Refuses: the name of a field that no line has.
    pub fn new(to: Option<Arc<Writer>>, form: &LogForm, labels: &Labels<'_>) -> Result<Lines, String> {
        let mut it = Lines { labels: labels.written(), to, ..Lines::default() };
        match form {
            LogForm::Json { fields: None } => {}
            LogForm::Json { fields: Some(names) } => {
                let picked = Picked::of(names, labels)?;
                it.headers.clone_from(&picked.headers);
                it.form = Form::Picked(picked);
            }
            LogForm::Combined {} => {
                it.headers = combined::HEADERS.iter().map(|name| (*name).into()).collect();
                it.form = Form::Combined;
            }
        }
        Ok(it)
    }

    /// Without those of what went as decided.
    #[must_use]
    pub fn quiet(self) -> Lines {
        Lines { quiet: true, ..self }
    }

    /// At a place of their own.
    #[must_use]
    pub fn own(self) -> Lines {
        Lines { is_own: true, ..self }
    }

    /// Their place has no room, and `on_full` says that nothing passes without its line.
    #[inline]
    pub fn must_refuse(&self) -> bool {
        self.to.as_ref().is_some_and(|to| to.must_refuse())
    }

    pub fn is_to(&self, writer: &Arc<Writer>) -> bool {
        self.to.as_ref().is_some_and(|to| Arc::ptr_eq(to, writer))
    }

    /// Writes what is told of a request beside its own line, which was written or will be. A form of other servers has no
    /// place for it.
    #[cold]
    pub fn beside(&self, line: &Line<'_>, micros: u64, log: &mut ThreadLog) {
        if !matches!(self.form, Form::Combined) {
            self.write(line, false, micros, log);
        }
    }

    /// Writes a line of them, if it is written; gives it where it is whole.
    #[inline]
    pub(crate) fn write<'a>(
        &self,
        line: &Line<'_>,
        is_ordinary: bool,
        micros: u64,
        log: &'a mut ThreadLog,
    ) -> Option<&'a [u8]> {
        let to = self.to.as_ref()?;
        if self.quiet && is_ordinary {
            return None;
        }
        match &self.form {
            Form::Whole => {
                line.conn.written();
                return Some(log.line(to, |out| line.write(out, micros)));
            }
            Form::Picked(picked) => _ = log.line(to, |out| picked.write(line, out, micros)),
            Form::Combined => _ = log.line(to, |out| combined::write(line, out, micros)),
        }
        None
    }
}
