//! Whose turn it is to take something before anything else can move: whoever takes it slowly and steadily is not late, and whoever is,
//! is told as the one whose silence it was.

use super::{Exchange, Request, Response};
use crate::exchange::sides::{Backend, Client};
use everyhop_plan::Limits;
use everyhop_record::refusal::Refusal;
use everyhop_transport::deadlines::Watch;
use std::task::{Context, Poll, ready};

enum Owes {
    Client,
    Backend,
    Nothing,
}

impl Exchange {
    /// Whoever has to take something takes it, though not so much that anything else would move.
    #[inline]
    pub(super) fn owed_goes_on(&self, (to_client, to_up): (u64, u64), client: &impl Client, up: &impl Backend) -> bool {
        match self.owes() {
            Owes::Client => client.sent() != to_client,
            Owes::Backend => up.sent() != to_up,
            Owes::Nothing => false,
        }
    }

    /// It is late, unless who has to take something took some that the kernel did not tell of yet.
    #[cold]
    #[inline(never)]
    pub(super) fn poll_over(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl Client,
        up: &mut impl Backend,
        watch: &Watch,
        limits: &Limits,
    ) -> Poll<Result<(), Refusal>> {
        let goes_on = match self.owes() {
            Owes::Client => client.pushes(),
            Owes::Backend => up.pushes(),
            Owes::Nothing => false,
        };
        if goes_on {
            watch.within_s(limits.body_progress_s);
            // What was sent makes room here, which nobody else tells of.
            cx.waker().wake_by_ref();
            ready!(watch.poll_late(cx));
        }
        Poll::Ready(Err(self.late()))
    }

    /// Who has to take something before anything else can move.
    #[inline]
    fn owes(&self) -> Owes {
        match (self.request, self.response) {
            (_, Response::Flush) => Owes::Client,
            (_, Response::Body) if self.client_owes() => Owes::Client,
            (Request::Body, Response::Head) if !self.to_up.is_empty() => Owes::Backend,
            (Request::Flush, Response::Head) => Owes::Backend,
            _ => Owes::Nothing,
        }
    }

    /// Whose silence it was.
    pub(super) fn late(&self) -> Refusal {
        match (self.request, self.response) {
            (_, Response::Flush) => Refusal::ClientGone,
            (_, Response::Body) if self.client_owes() => Refusal::ClientGone,
            (_, Response::Body) => Refusal::BackendTooSlow,
            (Request::Body, _) if self.to_up.is_empty() => Refusal::BodyTooSlow,
            (Request::Body | Request::Flush, _) => Refusal::BackendTooSlow,
            _ => Refusal::BackendFirstByte,
        }
    }
}
