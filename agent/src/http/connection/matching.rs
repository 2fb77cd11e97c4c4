//! Requests to responses, and what happens when that is not possible any more.

use super::{Connection, MAX_SETBACKS, Role, Verdict};
use crate::http::counts::{GiveUp, Loss};
use crate::http::exchange::{Found, Outcome, Response, Transfer};
use crate::http::framing::Follows;
use crate::http::head::{RequestHead, ResponseHead};
use crate::http::stream::{Rest, State};
use crate::http::{Direction, Request, Side};

impl Connection {
    /// Whether the request that begins here can be matched. After a loss it can if the other end
    /// spoke last: then a client that does not pipeline has had all its answers. One that does may
    /// have sent more in what is missing.
    pub(super) fn accepts(&mut self, rest: &Rest<'_>, found: &mut Found) -> bool {
        if self.synced {
            return true;
        }
        let answered = self.last != Some(rest.direction());
        if rest.at_start() && answered && !(self.pipelines && self.after_gap) {
            self.synced = true;
            // A client's answers may come before their requests, so it may be the answer to this very
            // one that was heard. A second request before the next answer will tell.
            self.on_trial = self.side == Some(Side::Client) && !self.pipelines;
            return true;
        }
        self.out_of_step(rest.direction(), Loss::RequestAfterLoss, found);
        false
    }

    /// Takes a request in.
    pub(super) fn request(
        &mut self,
        direction: Direction,
        head: RequestHead,
        transfer: Transfer,
        found: &mut Found,
    ) {
        self.drop_stale_trial(direction, found);
        if !self.synced {
            self.out_of_step(direction, Loss::RequestAfterLoss, found);
            return;
        }
        let RequestHead { facts, asked, expects, minor_version, framing } = head;
        let content_length = framing.length();
        self.pipelines |= self.queue.is_due();
        let number = self.requests;
        self.requests += 1;
        let request =
            Request { facts, asked, expects, number, minor_version, content_length, transfer };
        if !self.queue.push(request) {
            self.give_up(GiveUp::TooManyInFlight, found);
            return;
        }
        match framing.request() {
            Ok(Some(body)) => {
                let stream = self.stream(direction);
                (stream.state, stream.attached) = (State::Body(body), true);
            }
            Ok(None) => {
                self.stream(direction).attached = true;
                self.message_over(direction, found);
            }
            Err(reason) => self.give_up(reason, found),
        }
    }

    /// Takes a response in, interim or final.
    pub(super) fn response(
        &mut self,
        direction: Direction,
        head: &ResponseHead,
        transfer: Transfer,
        found: &mut Found,
    ) {
        let status = head.status;
        if (100..200).contains(&status) && status != 101 {
            self.stream(direction).state = State::Between;
            return;
        }
        let Some(due) = self.queue.due() else {
            self.out_of_step(direction, Loss::ResponseWithoutRequest, found);
            return;
        };
        let (minor_version, content_length) = (head.minor_version, head.framing.length());
        due.response = Some(Response { status, minor_version, content_length, transfer });
        let follows = head.framing.response(status, due.request.asked);
        self.on_trial = false;
        let stream = self.stream(direction);
        stream.attached = true;
        match follows {
            Ok(Follows::Body(body)) => stream.state = State::Body(body),
            Ok(Follows::Nothing) => self.message_over(direction, found),
            Ok(Follows::Tunnel) => self.upgrade(found),
            Err(reason) => self.give_up(reason, found),
        }
    }

    /// The message that flows ended with the last byte that was seen.
    pub(super) fn message_over(&mut self, direction: Direction, found: &mut Found) {
        let stream = self.stream(direction);
        stream.state = State::Between;
        let attached = stream.attached;
        if let Some(role) = self.role(direction).filter(|_| attached)
            && let Some(transfer) = self.queue.transfer(role)
        {
            transfer.whole = true;
        }
        self.part_over(direction, found);
    }

    /// Nothing more of the message is expected, whole or not.
    pub(super) fn part_over(&mut self, direction: Direction, found: &mut Found) {
        if std::mem::take(&mut self.stream(direction).attached) {
            match self.role(direction) {
                Some(Role::Requests) => {
                    self.queue.back_mut().into_iter().for_each(|last| last.request_over = true);
                }
                _ => self.queue.front_mut().into_iter().for_each(|one| one.response_over = true),
            }
        }
        self.settle(found);
    }

    /// Hands out what is done. A request whose end cannot be told is, with its response.
    fn settle(&mut self, found: &mut Found) {
        let requests = self.direction(Role::Requests);
        while let Some(front) = self.queue.front()
            && front.response_over
            && (front.request_over || self.streams[requests as usize].is_unmarked())
        {
            if !front.request_over {
                self.stream(requests).attached = false;
            }
            self.setbacks = 0;
            self.pop(Outcome::Complete, found);
        }
    }

    /// Hands out the oldest exchange.
    pub(super) fn pop(&mut self, outcome: Outcome, found: &mut Found) {
        let side = self.side.unwrap_or(Side::Server);
        found.exchanges.extend(self.queue.pop().map(|oldest| oldest.ended(side, outcome)));
    }

    /// Hands out all exchanges.
    fn pop_all(&mut self, outcome: Outcome, found: &mut Found) {
        while !self.queue.is_empty() {
            self.pop(outcome, found);
        }
        self.streams.iter_mut().for_each(|stream| stream.attached = false);
        (self.synced, self.on_trial) = (false, false);
    }

    /// What a direction carries is not known any more, so neither is which responses are due.
    pub(super) fn lose(&mut self, direction: Direction, loss: Loss, found: &mut Found) {
        if !self.held.is_empty() {
            self.drop_held(found);
        }
        self.pop_all(Outcome::LostBytes, found);
        self.out_of_step(direction, loss, found);
    }

    /// This direction is read again from the next chunk on that begins with a head.
    fn out_of_step(&mut self, direction: Direction, loss: Loss, found: &mut Found) {
        found.counts.lose(loss);
        self.synced = false;
        let stream = self.stream(direction);
        (stream.state, stream.attached) = (State::Lost, false);
        self.setbacks += 1;
        if self.setbacks >= MAX_SETBACKS {
            self.give_up(GiveUp::LostTooOften, found);
        }
    }

    /// The request before was accepted on trial, and this one shows that its answer had come.
    fn drop_stale_trial(&mut self, direction: Direction, found: &mut Found) {
        if self.on_trial && self.queue.is_due() {
            self.lose(direction, Loss::RequestAfterLoss, found);
        }
    }

    /// From here on the connection carries something else.
    fn upgrade(&mut self, found: &mut Found) {
        self.pop(Outcome::Upgraded, found);
        self.end_following(Verdict::Upgraded, Outcome::LostBytes, found);
    }

    /// Nothing of this connection is looked at any more.
    pub(super) fn give_up(&mut self, reason: GiveUp, found: &mut Found) {
        if self.is_followed() {
            found.counts.give_up(reason);
            self.end_following(Verdict::GaveUp(reason), Outcome::GaveUp(reason), found);
        }
    }

    fn end_following(&mut self, verdict: Verdict, outcome: Outcome, found: &mut Found) {
        self.pop_all(outcome, found);
        self.verdict = verdict;
        self.held = Vec::new();
        self.streams.iter_mut().for_each(|stream| stream.state = State::Lost);
    }
}
