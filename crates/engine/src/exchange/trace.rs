//! The trace that a request is part of (W3C Trace Context), where its route is traced: begun here, or gone on with where a
//! trusted proxy began it. The backend is told the number of the try that it gets, so that its own spans hang below that
//! one. Read next: `observed.rs`, where it is decided whether it is kept.

use crate::exchange::words::{Built, Fields};
use aws_lc_rs::rand;
use everyhop_canon::trace::{self, Parent, TRACEPARENT_BYTES};
use everyhop_http1::FieldId;
use everyhop_record::failure::Failure;
use everyhop_record::line::HopFragment;
use everyhop_record::span::{Answered, Context};
use everyhop_running::traces::Share;
use std::cell::{Cell, RefCell};

/// Which trace, and what of it is this request's.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) id: [u8; 16],
    span: [u8; 8],
    /// What the backend is told.
    told: Cell<[u8; 8]>,
    parent: Option<Parent>,
    state: String,
    sampled: bool,
    /// What a client said of a trace of its own, which is not believed.
    said: Option<Box<str>>,
}

/// Takes note of the trace that a request says it is part of, if who says so is believed; else it begins one.
#[cold]
pub(crate) fn begin(is_believed: bool, view: &impl Fields, share: Share) -> Box<Trace> {
    let mut it = Trace::new();
    let (mut parent, mut more, mut states) = (None, false, Vec::new());
    view.each(|id, _, value| match id {
        FieldId::Traceparent if parent.is_none() => parent = Some(value.to_vec()),
        FieldId::Traceparent => more = true,
        FieldId::Tracestate if is_believed => states.push(value.to_vec()),
        _ => {}
    });
    // Two that say different things are none (§3.2.2 has one).
    let said = parent.filter(|_| !more);
    let read = said.as_deref().and_then(trace::traceparent);
    match (read, is_believed) {
        (Some(parent), true) => {
            (it.id, it.parent) = (parent.trace, Some(parent));
            trace::tracestate(states.iter().map(Vec::as_slice), &mut it.state);
        }
        (Some(_), false) => {
            let text = said.unwrap_or_default();
            it.said = Some(String::from_utf8_lossy(text.get(..TRACEPARENT_BYTES).unwrap_or(&text)).into());
        }
        (None, _) => {}
    }
    it.decide(share);
    Box::new(it)
}

impl Trace {
    /// Begun here.
    pub(crate) fn new() -> Trace {
        let id = fresh::<16>();
        Trace {
            id,
            span: fresh(),
            told: Cell::new(fresh()),
            parent: None,
            state: String::new(),
            sampled: false,
            said: None,
        }
    }

    /// Whether it is kept whatever comes of it: as who began it decided, else by the share.
    pub(crate) fn decide(&mut self, share: Share) {
        self.sampled = self.parent.map_or_else(|| share.takes(self.id), |p| p.sampled);
    }

    /// What the backend is told.
    pub(crate) fn tell(&self, mut put: impl FnMut(&'static str, &[u8])) {
        put(TRACEPARENT, &self.traceparent());
        if !self.state.is_empty() {
            put("tracestate", self.state.as_bytes());
        }
    }

    /// What somebody is told who is asked about the request, and whose own spans hang below `span`.
    #[cold]
    pub(crate) fn tell_as(&self, span: [u8; 8], mut put: impl FnMut(&'static str, &[u8])) {
        put(TRACEPARENT, &self.traceparent_of(span));
        if !self.state.is_empty() {
            put("tracestate", self.state.as_bytes());
        }
    }

    fn traceparent(&self) -> Vec<u8> {
        self.traceparent_of(self.told.get())
    }

    fn traceparent_of(&self, span: [u8; 8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(TRACEPARENT_BYTES);
        trace::write_traceparent(&mut out, &Parent { trace: self.id, span, sampled: self.sampled });
        out
    }

    /// Another try goes out, and is told as another one.
    #[cold]
    pub(crate) fn retell(&self, built: &mut Built) {
        self.told.set(fresh());
        let text = self.traceparent();
        match built {
            Built::H1(head) => in_h1(head, &text),
            Built::H2(asking) => asking.replace(TRACEPARENT.as_bytes(), &text),
            Built::Either(head, asking) => {
                in_h1(head, &text);
                asking.replace(TRACEPARENT.as_bytes(), &text);
            }
        }
    }

    /// It is kept whatever comes of it.
    pub(crate) fn is_kept(&self) -> bool {
        self.sampled
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            trace: self.id,
            span: self.span,
            parent: self.parent.map(|p| p.span),
            state: &self.state,
            sampled: self.sampled,
            told: self.said.as_deref(),
        }
    }

    /// The try that the answer came of.
    pub(crate) fn answered<'a>(&self, hop: &'a HopFragment, reused: bool) -> Answered<'a> {
        Answered { hop, span: self.told.get(), reused }
    }

    /// A try that was sent failed: its span is the one that the backend was told.
    pub(crate) fn failed(&self, failure: &mut Failure) {
        failure.span = Some(self.told.get());
    }
}

const TRACEPARENT: &str = "traceparent";

/// In a head of ours: the field stands there once, and is as long as before.
fn in_h1(head: &mut [u8], text: &[u8]) {
    const BEFORE: &[u8] = b"\r\ntraceparent: ";
    let found = head.windows(BEFORE.len()).position(|w| w == BEFORE).map(|at| at + BEFORE.len());
    if let Some(at) = found
        && let Some(value) = head.get_mut(at..at + text.len())
    {
        value.copy_from_slice(text);
    }
}

thread_local! {
    /// Random bytes that are not used yet: asked for some at a time.
    static RANDOM: RefCell<([u8; 512], usize)> = const { RefCell::new(([0; 512], 512)) };
}

/// A number of a trace or span: never all zeros, which is none (§3.2.2.3).
pub(crate) fn fresh<const N: usize>() -> [u8; N] {
    RANDOM.with_borrow_mut(|(bytes, at)| {
        loop {
            if *at + N > bytes.len() {
                // A machine without randomness has no TLS either.
                let _ = rand::fill(bytes);
                *at = 0;
            }
            let taken = bytes.get(*at..*at + N).and_then(|it| it.try_into().ok()).unwrap_or([1; N]);
            *at += N;
            if taken != [0; N] {
                return taken;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyhop_transport::h2::Asking;
    use std::collections::HashSet;

    struct Said(Vec<(FieldId, &'static str)>);

    impl Fields for Said {
        fn has_secrets(&self) -> bool {
            false
        }

        fn each(&self, mut f: impl FnMut(FieldId, &[u8], &[u8])) {
            self.0.iter().for_each(|(id, value)| f(*id, b"", value.as_bytes()));
        }
    }

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const OTHER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b7-00";

    fn begun(believed: bool, said: &[(FieldId, &'static str)], ppm: u32) -> (Trace, String) {
        let it = *begin(believed, &Said(said.to_vec()), Share::of(ppm));
        let mut told = String::new();
        it.tell(|name, value| told += &format!("{name}: {}\n", String::from_utf8_lossy(value)));
        (it, told)
    }

    #[test]
    fn who_is_believed_goes_on_and_decides_and_nobody_else() {
        let said = [(FieldId::Traceparent, PARENT), (FieldId::Tracestate, "a=1"), (FieldId::Tracestate, "b=2")];
        let (it, told) = begun(true, &said, 0);
        assert!(it.sampled && told.starts_with("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{told}");
        assert!(!told.contains("00f067aa0ba902b7") && told.ends_with("-01\ntracestate: a=1,b=2\n"), "{told}");
        let (it, told) = begun(false, &said, 0);
        assert!(!it.sampled && it.parent.is_none() && it.said.as_deref() == Some(PARENT));
        assert!(!told.contains("4bf92f3577b34da6a3ce929d0e0e4736") && !told.contains("tracestate"), "{told}");
        assert!(!begun(true, &[(FieldId::Traceparent, OTHER)], 1_000_000).0.sampled, "the parent says no");
    }

    #[test]
    fn what_is_none_or_said_twice_is_begun_anew() {
        for said in [
            &[(FieldId::Traceparent, PARENT), (FieldId::Traceparent, OTHER)][..],
            &[(FieldId::Traceparent, "00-bad"), (FieldId::Tracestate, "a=1")],
            &[(FieldId::Tracestate, "a=1")],
        ] {
            for believed in [true, false] {
                let (it, told) = begun(believed, said, 1_000_000);
                assert!(it.parent.is_none() && it.sampled && it.said.is_none(), "{said:?}");
                assert!(!told.contains("tracestate") && told.ends_with("-01\n"), "{told}");
            }
        }
        let (it, told) = begun(true, &[(FieldId::Traceparent, PARENT), (FieldId::Tracestate, "A=1")], 0);
        assert!(it.parent.is_some() && !told.contains("tracestate"), "a list that is none is left out alone");
    }

    #[test]
    fn another_try_is_told_as_another_in_either_protocol() {
        let (it, told) = begun(false, &[], 0);
        let head = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", told.trim_end().to_owned() + "\r\n");
        let request = Asking::new(Vec::new(), "GET", "a", "/").with(TRACEPARENT, told[13..].trim_end());
        let mut built = Built::Either(head.clone().into_bytes(), Box::new(request));
        it.retell(&mut built);
        let Built::Either(after, request) = built else { panic!("it became another") };
        let after = String::from_utf8(after).expect("text");
        let mut value = String::new();
        request.each(|_, it| value = String::from_utf8(it.to_vec()).expect("text"));
        assert!(after.len() == head.len() && after != head && after.contains(&value), "{after}");
        assert_eq!((&value[..36], &value[52..]), (&told[13..49], "-00"), "the trace is the same");
    }

    #[test]
    fn numbers_differ() {
        let all: HashSet<[u8; 8]> = (0..1000).map(|_| fresh()).collect();
        assert_eq!(all.len(), 1000);
    }
}
