//! What clients say, and what becomes of their sessions.

use std::cmp::Reverse;

use serde_json::value::RawValue;

use super::Venue;
use super::channel::Channel;
use super::render;
use super::session::{Refusal, Request, request, unknown};
use super::topics::Subject;
use crate::host::{Action, ConnectionId, TopicId};

/// Longest frame of a client in bytes.
const LONGEST_FRAME: usize = 64 << 10;

impl Venue {
    pub(super) fn idle_ms(&self) -> u64 {
        self.limits.idle.as_millis() as u64
    }

    /// Handles a text frame.
    pub(super) fn hear(&mut self, connection: ConnectionId, text: &str, now_ms: u64, out: &mut Vec<Action>) {
        let Some(session) = self.sessions.get_mut(&connection) else { return };
        session.heard_ms = now_ms;
        if text == "ping" {
            out.push(Action::Send { connection, text: "pong".to_owned() });
            return;
        }
        if text.len() > LONGEST_FRAME {
            out.push(Action::Violation("a frame is longer than 64 KB".to_owned()));
            let reason = "Request message exceeds the maximum frame length";
            out.push(Action::Close { connection, code: 1009, reason });
            return;
        }
        if !session.count_operation(self.limits.operations_per_hour, now_ms) {
            out.push(Action::Violation("too many operations in an hour".to_owned()));
            let refusal = Refusal { code: 60_014, text: "Requests too frequent".to_owned() };
            out.push(Action::Send { connection, text: session.error(None, &refusal) });
            out.push(Action::Close { connection, code: 4002, reason: "Invalid Request" });
            return;
        }
        match request(text) {
            Ok(request) if request.op == "subscribe" => self.subscribe(connection, &request, now_ms, out),
            Ok(request) => self.unsubscribe(connection, &request, out),
            Err(refusal) => {
                out.push(Action::Violation(format!("{}: {}", refusal.code, refusal.text)));
                out.push(Action::Send { connection, text: session.error(None, &refusal) });
            }
        }
    }

    /// Acknowledges each argument in order, then pushes the first values in the same order.
    fn subscribe(
        &mut self,
        connection: ConnectionId,
        request: &Request<'_>,
        now_ms: u64,
        out: &mut Vec<Action>,
    ) {
        let mut joined = Vec::new();
        for arg in &request.args {
            let Some(id) = self.find(connection, request, arg, out) else { continue };
            let topic = self.topics.get_mut(id);
            let refused = topic.refusals > 0;
            topic.refusals = topic.refusals.saturating_sub(1);
            let silent = topic.silent;
            let stream = topic.name.stream.clone();
            let Some(session) = self.sessions.get_mut(&connection) else { return };
            if refused {
                let text = session.error(Some(request), &unknown(&stream));
                out.push(Action::Send { connection, text });
                continue;
            }
            out.push(Action::Send { connection, text: session.acknowledgement(request, arg) });
            if !silent && session.topics.insert(id) {
                joined.push(id);
            }
        }
        for id in joined {
            self.join(connection, id, now_ms, out);
        }
    }

    fn unsubscribe(&mut self, connection: ConnectionId, request: &Request<'_>, out: &mut Vec<Action>) {
        for arg in &request.args {
            let Some(id) = self.find(connection, request, arg, out) else { continue };
            let Some(session) = self.sessions.get_mut(&connection) else { return };
            out.push(Action::Send { connection, text: session.acknowledgement(request, arg) });
            if session.topics.remove(&id) {
                self.leave(connection, id);
                out.push(Action::Leave { connection, topic: id });
            }
        }
    }

    /// The stream of an argument; without one the client gets the error.
    fn find(
        &mut self,
        connection: ConnectionId,
        request: &Request<'_>,
        arg: &RawValue,
        out: &mut Vec<Action>,
    ) -> Option<TopicId> {
        let session = self.sessions.get(&connection)?;
        let found = session.stream(arg, self.captured || self.played.is_some());
        if let Err(refusal) = &found
            && refusal.code != 60_018
        {
            out.push(Action::Violation(format!("{}: {}", refusal.code, arg.get())));
        }
        let found = found.and_then(|stream| {
            let topic = self.topics.find(&stream).or_else(|| self.played_topic(&stream));
            topic.ok_or_else(|| unknown(&stream))
        });
        match found {
            Ok(id) => Some(id),
            Err(refusal) => {
                let session = self.sessions.get(&connection)?;
                out.push(Action::Send { connection, text: session.error(Some(request), &refusal) });
                None
            }
        }
    }

    fn join(&mut self, connection: ConnectionId, id: TopicId, now_ms: u64, out: &mut Vec<Action>) {
        self.topics.get_mut(id).subscribers.push(connection);
        self.change_interest(id, true);
        out.push(Action::Join { connection, topic: id });
        let topic = self.topics.get(id);
        let arg = topic.arg();
        let (_, key) = topic.name.stream.split_once(':').unwrap_or_default();
        let first = match topic.subject.clone() {
            Subject::Instrument { index, .. } if self.instruments[index].expired => None,
            Subject::Instrument { index, channel: Channel::Books } => {
                let (text, sequence) = self.first_book(index, &arg, now_ms);
                Some((text, (sequence, sequence)))
            }
            Subject::Instrument { index, channel } => {
                self.open_bar(id, index, channel, now_ms);
                let value = self.value(id, index, channel, now_ms);
                value.map(|(data, ids)| (render::push(&arg, &data), ids))
            }
            Subject::Index { lead } => {
                let data = render::index(key, &self.instruments[lead], now_ms);
                Some((render::push(&arg, &data), (0, 0)))
            }
            Subject::Summary { family } => Some((render::push(&arg, &self.summary(&family, now_ms)), (0, 0))),
            Subject::Liquidations(market) => {
                self.liquidations[market as usize].as_ref().map(|data| (render::push(&arg, data), (0, 0)))
            }
            Subject::Instruments(market) => self.limits.instruments_on_subscribe.then(|| {
                let objects = self.listed(market).map(|one| one.spec.object(one.number, "live").to_string());
                (render::push(&arg, &objects.collect::<Vec<_>>().join(",")), (0, 0))
            }),
            Subject::Captured => {
                let message = self.played.as_ref().and_then(|played| played.first(&topic.name.stream));
                message.map(|message| (message.text(&arg), message.ids))
            }
        };
        if let Some((text, (first_id, last_id))) = first {
            out.push(Action::Deliver { connection, topic: id, text, first_id, last_id });
        }
        self.plan_repeat(id, now_ms);
    }

    /// Plans the first push of a channel that repeats itself.
    fn plan_repeat(&mut self, id: TopicId, now_ms: u64) {
        let keep_alive = self.keep_alive_ms();
        let topic = self.topics.get_mut(id);
        let Subject::Instrument { channel, .. } = topic.subject else { return };
        topic.pushed_ms = now_ms;
        if let Some(repeat) = channel.repeat_ms(keep_alive) {
            self.topics.schedule(id, now_ms + repeat);
        }
    }

    pub(super) fn leave(&mut self, connection: ConnectionId, id: TopicId) {
        let topic = self.topics.get_mut(id);
        topic.subscribers.retain(|&subscriber| subscriber != connection);
        let (last, subject) = (topic.subscribers.is_empty(), topic.subject.clone());
        self.change_interest(id, false);
        if let (true, Subject::Instrument { index, channel }) = (last, subject) {
            self.topics.get_mut(id).last.clear();
            match channel {
                Channel::Books => self.instruments[index].ladder.untrack(),
                Channel::Candle { .. } => {
                    self.bars.remove(&id);
                }
                _ => {}
            }
        }
    }

    /// Counts a subscription for the instruments that it is about, which makes them move or not.
    fn change_interest(&mut self, id: TopicId, more: bool) {
        let index = match &self.topics.get(id).subject {
            Subject::Instrument { index, .. } | Subject::Index { lead: index } => Some(*index),
            Subject::Summary { family } => {
                let of_family =
                    |one: &super::Instrument| one.spec.option.is_some() && one.spec.family() == *family;
                self.instruments.iter().position(of_family)
            }
            Subject::Liquidations(market) => {
                self.instruments.iter().position(|one| one.spec.market == *market)
            }
            Subject::Instruments(_) | Subject::Captured => None,
        };
        let Some(index) = index else { return };
        let instrument = &mut self.instruments[index];
        if more {
            instrument.interest += 1;
            if instrument.interest == 1 && !instrument.expired {
                self.active.push(index);
            }
        } else {
            instrument.interest = instrument.interest.saturating_sub(1);
            if instrument.interest == 0 {
                self.active.retain(|&active| active != index);
            }
        }
    }

    /// Sends the venue's notice, and plans the end.
    pub(super) fn announce_closing(&mut self, connection: ConnectionId, at_ms: u64, out: &mut Vec<Action>) {
        if let Some(session) = self.sessions.get_mut(&connection) {
            out.push(Action::Send { connection, text: session.notice() });
            session.closes_ms = Some(at_ms);
            self.alarms.push(Reverse((at_ms, connection)));
        }
    }

    /// Closes connections that are idle or were told so.
    pub(super) fn look_at_sessions(&mut self, now_ms: u64, out: &mut Vec<Action>) {
        let idle = self.idle_ms();
        while let Some(&Reverse((at, connection))) = self.alarms.peek() {
            if at > now_ms {
                return;
            }
            self.alarms.pop();
            let Some(session) = self.sessions.get(&connection) else { continue };
            if session.closes_ms.is_some_and(|at| at <= now_ms) {
                out.push(Action::Close { connection, code: 1001, reason: "" });
                continue;
            }
            let pushed = session.topics.iter().map(|&id| self.topics.get(id).pushed_ms).max();
            // The host pushes the frames of a capture without telling.
            let pushed = if self.captured && pushed.is_some() { Some(now_ms) } else { pushed };
            let last = session.heard_ms.max(pushed.unwrap_or(0));
            if last + idle <= now_ms {
                out.push(Action::Violation("nothing was sent or received for too long".to_owned()));
                out.push(Action::Close { connection, code: 4004, reason: "No data received in 30s" });
            } else {
                self.alarms.push(Reverse((last + idle, connection)));
            }
        }
    }
}
