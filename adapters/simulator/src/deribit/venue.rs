//! The venue: connections and their requests, over the market.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Limits;
use super::capture::Answers;
use super::market::Market;
use super::messages;
use super::played::Played;
use super::rpc::{Failure, Parameters, Request, answer};
use super::session::{Beat, Credits, Session};
use crate::host::{Action, ConnectionId, RestAnswer, TopicId};

/// Connections of one address.
const CONNECTIONS: usize = 32;
/// Shortest interval of a heartbeat, in seconds.
const SHORTEST_HEARTBEAT: u64 = 10;
const MAINTENANCE: Failure = Failure::new(11051, "system_maintenance");
const TOO_MANY: Failure = Failure::new(10028, "too_many_requests");

/// The venue as its clients see it.
pub(super) struct Venue {
    pub(super) market: Market,
    pub(super) answers: Option<Answers>,
    /// It plays history.
    pub(super) played: Option<Played>,
    limits: Limits,
    pub(super) sessions: BTreeMap<ConnectionId, Session>,
    /// Credits of the address, and of the account.
    credits: [Credits; 2],
    /// The venue is in maintenance until then, epoch milliseconds.
    maintenance: Option<u64>,
    /// What clients did wrong over HTTP, until the host asks.
    noted: Vec<Action>,
}

impl Venue {
    /// A venue over a market; with `answers` it plays a capture.
    pub(super) fn new(market: Market, limits: Limits, answers: Option<Answers>) -> Venue {
        let credits = Credits::new(limits.second_ms(), market.moment.now_ms);
        Venue {
            market,
            answers,
            played: None,
            limits,
            sessions: BTreeMap::new(),
            credits: [credits; 2],
            maintenance: None,
            noted: Vec::new(),
        }
    }

    pub(super) fn open(&mut self, connection: ConnectionId, path: &str) -> Result<(), u16> {
        if path != "/ws/api/v2" {
            return Err(404);
        }
        if self.sessions.len() >= CONNECTIONS {
            return Err(429);
        }
        let session = Session::new(self.limits.second_ms(), self.market.moment.now_ms);
        self.sessions.insert(connection, session);
        Ok(())
    }

    pub(super) fn closed(&mut self, connection: ConnectionId) {
        let Some(session) = self.sessions.remove(&connection) else { return };
        for topic in session.topics {
            self.market.unsubscribe(topic);
        }
    }

    /// A request of a client: its answer, then what follows from it.
    pub(super) fn request(&mut self, connection: ConnectionId, text: &str, out: &mut Vec<Action>) {
        let Some(session) = self.sessions.get_mut(&connection) else { return };
        let (now_ms, authenticated) = (self.market.moment.now_ms, session.authenticated);
        session.heard(now_ms);
        let mut after = Vec::new();
        let (id, result) = match Request::parse(text) {
            Ok(request) => {
                let result = self.execute(connection, &request, out, &mut after);
                (request.id, result)
            }
            Err((id, failure)) => {
                out.push(Action::Violation(format!("connection {connection}: {}", failure.message)));
                (id, Err(failure))
            }
        };
        let over = authenticated && result == Err(TOO_MANY);
        if result == Err(TOO_MANY) {
            out.push(Action::Violation(format!("connection {connection}: more requests than credits")));
        }
        out.push(Action::Send { connection, text: answer(id.as_ref(), &result, now_ms) });
        out.append(&mut after);
        if over {
            out.push(Action::Cut { connection });
            self.closed(connection);
        }
    }

    fn pay(&mut self, authenticated: bool, method: &str) -> Result<(), Failure> {
        let now_ms = self.market.moment.now_ms;
        if self.maintenance.is_some() {
            return Err(MAINTENANCE);
        }
        let paid = self.credits[usize::from(authenticated)].pay(method, now_ms);
        if paid { Ok(()) } else { Err(TOO_MANY) }
    }

    fn execute(
        &mut self,
        connection: ConnectionId,
        request: &Request,
        out: &mut Vec<Action>,
        after: &mut Vec<Action>,
    ) -> Result<String, Failure> {
        let authenticated = self.sessions.get(&connection).is_some_and(|session| session.authenticated);
        self.pay(authenticated, &request.method)?;
        let parameters = &request.parameters;
        if request.method.starts_with("private/") && !authenticated {
            return Err(Failure::new(13009, "unauthorized"));
        }
        let name = match request.method.split_once('/') {
            Some(("public" | "private", name)) => name,
            _ => "",
        };
        match name {
            "subscribe" => self.subscribe(connection, parameters.channels()?, out, after),
            "unsubscribe" => self.unsubscribe(connection, parameters.channels()?, after),
            "unsubscribe_all" => {
                let topics = self.sessions.get(&connection).map(|session| session.topics.clone());
                for topic in topics.unwrap_or_default() {
                    self.leave(connection, topic, after);
                }
                Ok("\"ok\"".to_owned())
            }
            "set_heartbeat" => {
                let interval = parameters.integer("interval")?;
                let interval = interval.filter(|&interval| interval >= SHORTEST_HEARTBEAT);
                let interval =
                    interval.ok_or_else(|| Failure::parameter("interval", "must be at least 10"))?;
                self.set_heartbeat(connection, Some(interval))
            }
            "disable_heartbeat" => self.set_heartbeat(connection, None),
            "auth" => self.authenticate(connection, parameters),
            _ => self.call(&request.method, parameters),
        }
    }

    fn call(&self, method: &str, parameters: &Parameters) -> Result<String, Failure> {
        if let Some(answers) = &self.answers
            && method == "public/get_instruments"
        {
            return answers.instruments(parameters);
        }
        let result = match &self.played {
            Some(played) => played.call(method, parameters),
            None => self.market.call(method, parameters),
        };
        result.unwrap_or(Err(Failure::new(-32601, "Method not found")))
    }

    fn set_heartbeat(&mut self, connection: ConnectionId, interval: Option<u64>) -> Result<String, Failure> {
        let now_ms = self.market.moment.now_ms;
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.set_heartbeat(interval, now_ms);
        }
        Ok("\"ok\"".to_owned())
    }

    fn authenticate(&mut self, connection: ConnectionId, parameters: &Parameters) -> Result<String, Failure> {
        if parameters.required("grant_type")? != "client_credentials" {
            return Err(Failure::parameter("grant_type", "value not supported"));
        }
        let given = (parameters.required("client_id")?, parameters.required("client_secret")?);
        let known = self.limits.credentials.as_ref();
        let is_wrong = known.is_none_or(|(id, secret)| given != (id.as_str(), secret.as_str()));
        // A history is for everybody, whatever key it was recorded with.
        if is_wrong && self.played.is_none() {
            return Err(Failure::new(13004, "invalid_credentials"));
        }
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.authenticated = true;
        }
        let tokens = "{\"token_type\":\"bearer\",\"scope\":\"connection mainaccount\",\
            \"refresh_token\":\"refresh\",\"expires_in\":31536000,\"access_token\":\"access\"}";
        Ok(tokens.to_owned())
    }

    /// Acknowledges the channels that exist; the others are left out without a word. Those not subscribed before get
    /// their first message after the answer.
    fn subscribe(
        &mut self,
        connection: ConnectionId,
        channels: Vec<String>,
        out: &mut Vec<Action>,
        after: &mut Vec<Action>,
    ) -> Result<String, Failure> {
        let topics: Vec<_> = channels.iter().map(|channel| self.topic_of(channel)).collect();
        let Some(session) = self.sessions.get_mut(&connection) else { return Ok("[]".to_owned()) };
        // Captures are from the time when raw channels were open to everybody, and histories may be.
        let is_open = self.answers.is_some() || self.played.is_some();
        let raw = channels.iter().any(|channel| channel.ends_with(".raw"));
        if raw && !session.authenticated && !is_open {
            return Err(Failure::new(13778, "raw_subscriptions_not_available_for_unauthorized"));
        }
        let mut accepted = BTreeSet::new();
        for (channel, topic) in channels.into_iter().zip(topics) {
            let Some(topic) = topic.filter(|&topic| self.market.is_open(topic)) else { continue };
            let state = self.market.topics.get(topic);
            if std::mem::take(&mut state.refuse) {
                continue;
            }
            accepted.insert(channel);
            if state.silent || !session.topics.insert(topic) {
                continue;
            }
            let first = self.market.subscribe(topic, out);
            let first = first.or_else(|| self.played.as_ref()?.first(&self.market.topics.name(topic).stream));
            after.push(Action::Join { connection, topic });
            if let Some((text, first_id, last_id)) = first {
                after.push(Action::Deliver { connection, topic, text, first_id, last_id });
            }
        }
        Ok(descending(&accepted))
    }

    /// The topic of a channel that can be subscribed.
    fn topic_of(&mut self, channel: &str) -> Option<TopicId> {
        if self.played.is_some() { self.played_topic(channel) } else { self.market.topics.find(channel) }
    }

    fn unsubscribe(
        &mut self,
        connection: ConnectionId,
        channels: Vec<String>,
        after: &mut Vec<Action>,
    ) -> Result<String, Failure> {
        let mut removed = BTreeSet::new();
        for channel in channels {
            let Some(topic) = self.market.topics.find(&channel) else { continue };
            if self.leave(connection, topic, after) || self.market.topics.get(topic).silent {
                removed.insert(channel);
            }
        }
        Ok(descending(&removed))
    }

    /// Takes a connection off a topic; false when it was not on it.
    fn leave(&mut self, connection: ConnectionId, topic: TopicId, after: &mut Vec<Action>) -> bool {
        let session = self.sessions.get_mut(&connection);
        let left = session.is_some_and(|session| session.topics.remove(&topic));
        if left {
            self.market.unsubscribe(topic);
            after.push(Action::Leave { connection, topic });
        }
        left
    }

    /// A request over HTTP.
    pub(super) fn rest(&mut self, path: &str, query: &str) -> RestAnswer {
        let Some(method) = path.strip_prefix("/api/v2/") else {
            return RestAnswer { status: 404, body: "Not Found".to_owned() };
        };
        let parameters = Parameters::of_query(query);
        let result = self.pay(false, method).and_then(|()| match method {
            "public/subscribe" | "public/unsubscribe" | "public/set_heartbeat" => {
                Err(Failure::new(10030, "must_be_websocket_request"))
            }
            _ => self.call(method, &parameters),
        });
        if result == Err(TOO_MANY) {
            self.noted.push(Action::Violation(format!("{path}: more requests than credits")));
        }
        let status = result.as_ref().err().map_or(200, Failure::status);
        RestAnswer { status, body: answer(None, &result, self.market.moment.now_ms) }
    }

    /// Hands over what was noted over HTTP.
    pub(super) fn take_noted(&mut self, out: &mut Vec<Action>) {
        out.append(&mut self.noted);
    }

    /// Heartbeats, silent connections, the end of a maintenance.
    pub(super) fn tick(&mut self, out: &mut Vec<Action>) {
        self.take_noted(out);
        let now_ms = self.market.moment.now_ms;
        let beats: Vec<(ConnectionId, Beat)> = self
            .sessions
            .iter_mut()
            .filter_map(|(&connection, session)| Some((connection, session.beat(now_ms)?)))
            .collect();
        for (connection, beat) in beats {
            let heartbeat = |kind| {
                let text = format!(
                    "{{\"params\":{{\"type\":\"{kind}\"}},\"method\":\"heartbeat\",\"jsonrpc\":\"2.0\"}}"
                );
                Action::Send { connection, text }
            };
            match beat {
                Beat::Heartbeat => out.push(heartbeat("heartbeat")),
                Beat::TestRequest => out.push(heartbeat("test_request")),
                Beat::Unanswered => {
                    out.push(Action::Violation(format!(
                        "connection {connection}: no answer to a test request"
                    )));
                    out.push(Action::Close { connection, code: 4000, reason: "heartbeat close" });
                    self.closed(connection);
                }
                Beat::Idle => {
                    out.push(Action::Cut { connection });
                    self.closed(connection);
                }
            }
        }
        if self.maintenance.is_some_and(|until| now_ms >= until) {
            self.end_maintenance(out);
        }
    }

    /// Announces a maintenance: requests fail from now on, and after so many milliseconds the connections end.
    pub(super) fn begin_maintenance(&mut self, milliseconds: u64, out: &mut Vec<Action>) {
        self.maintenance = Some(self.market.moment.now_ms.saturating_add(milliseconds));
        self.platform_state("{\"maintenance\":true}", out);
    }

    /// The connections of before the maintenance and of during it end; new ones find the venue open.
    fn end_maintenance(&mut self, out: &mut Vec<Action>) {
        self.maintenance = None;
        let connections: Vec<ConnectionId> = self.sessions.keys().copied().collect();
        for connection in connections {
            out.push(Action::Close { connection, code: 1001, reason: "maintenance" });
            self.closed(connection);
        }
    }

    fn platform_state(&mut self, state: &str, out: &mut Vec<Action>) {
        if let Some(topic) = self.market.topics.find("platform_state") {
            let text = messages::notification("platform_state", |out| out.push_str(state));
            out.push(Action::Publish { topic, text, first_id: 0, last_id: 0 });
        }
    }

    /// A message of a kind that nobody knows, to everybody on a topic.
    pub(super) fn send_unknown(&self, topic: TopicId, out: &mut Vec<Action>) {
        let on_topic = self.sessions.iter().filter(|(_, session)| session.topics.contains(&topic));
        for (&connection, _) in on_topic {
            let text =
                "{\"jsonrpc\":\"2.0\",\"method\":\"novelty\",\"params\":{\"type\":\"unknown\"}}".to_owned();
            out.push(Action::Send { connection, text });
        }
    }
}

/// Names as a JSON list, in the order in which the venue acknowledges: last of the alphabet first.
fn descending(names: &BTreeSet<String>) -> String {
    Value::from_iter(names.iter().rev().cloned()).to_string()
}
