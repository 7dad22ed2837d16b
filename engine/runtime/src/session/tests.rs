use super::*;
use crate::testing::{MARKET, STRICT, TestVenue, streams};
use marketprism_core::venue::Accepted;

fn acknowledged(id: u64) -> Outcome {
    Outcome::Acknowledged { id: Some(id), accepted: Accepted::All }
}

fn open(streams_count: usize) -> Session {
    let mut session = Session::new(Arc::new(TestVenue), &MARKET, streams(streams_count), 2, None, 1);
    assert_eq!(session.next(0), Next::Connect(0));
    session.on_open(0);
    session
}

fn drain(session: &mut Session, now_ns: i64) -> Vec<Transmit> {
    std::iter::from_fn(|| session.poll_transmit(now_ns)).collect()
}

#[test]
fn subscriptions_go_out_in_paced_batches_and_are_matched() {
    // 25 streams, 3 a request: 9 requests; 5 messages a second, one kept for a pong.
    let mut session = open(25);
    let mut requests = 0;
    for second in 0..3 {
        let now = second * SECOND_NS;
        let sent = drain(&mut session, now);
        assert!(sent.len() <= 4, "{sent:?}");
        for _ in sent {
            requests += 1;
            assert!(!session.is_subscribed());
            session.on_outcome(acknowledged(requests), now);
        }
    }
    assert_eq!(requests, 9);
    assert!(session.is_subscribed());
    assert_eq!(session.poll_milestone(), Some(Milestone::Subscribed));
    assert_eq!(session.poll_milestone(), None);
}

#[test]
fn a_pong_finds_room_while_subscribing() {
    let mut session = open(25);
    drain(&mut session, 0);
    session.on_ping(b"42", 1);
    assert_eq!(session.poll_transmit(1), Some(Transmit::Pong(b"42".to_vec())));
    assert_eq!(session.poll_transmit(1), None);
}

#[test]
fn an_acknowledgement_is_not_data_and_a_missing_one_is_noticed() {
    let mut session = open(1);
    drain(&mut session, 0);
    assert_eq!(session.deadline(), ACKNOWLEDGE_LIMIT_NS);
    session.on_data(ACKNOWLEDGE_LIMIT_NS - 1);
    assert_eq!(session.on_timer(ACKNOWLEDGE_LIMIT_NS - 1), None);
    assert_eq!(session.on_timer(ACKNOWLEDGE_LIMIT_NS), Some(CloseReason::NotAcknowledged));
}

#[test]
fn silence_closes_and_a_ping_breaks_it() {
    let mut session = open(1);
    drain(&mut session, 0);
    session.on_outcome(acknowledged(1), 1);
    let limit = MARKET.silence_limit.as_nanos() as i64;
    session.on_ping(b"", limit);
    drain(&mut session, limit);
    assert_eq!(session.on_timer(limit + 1), None);
    assert_eq!(session.deadline(), 2 * limit);
    assert_eq!(session.on_timer(2 * limit), Some(CloseReason::Silent));
}

#[test]
fn rotation_comes_before_the_venue_cuts() {
    let mut session = open(1);
    drain(&mut session, 0);
    session.on_outcome(acknowledged(1), 1);
    let lifetime = MARKET.connection_lifetime.unwrap().as_nanos() as i64;
    let age = lifetime - ROTATION_MARGIN.as_nanos() as i64;
    session.on_data(age);
    assert_eq!(session.on_timer(age - 1), None);
    assert_eq!(session.on_timer(age), Some(CloseReason::Rotation));
    session.on_closed(&CloseReason::Rotation, age);
    assert_eq!(session.next(age), Next::Connect(0), "a planned end is no failure");
}

#[test]
fn failures_back_off_and_move_to_the_next_endpoint() {
    let mut session = Session::new(Arc::new(TestVenue), &MARKET, streams(1), 2, None, 1);
    let mut now = 0;
    let mut endpoints = vec![];
    for _ in 0..6 {
        loop {
            match session.next(now) {
                Next::Wait(until) => now = until,
                Next::Connect(endpoint) => break endpoints.push(endpoint),
            }
        }
        session.on_closed(&CloseReason::ConnectFailed("refused".into()), now);
    }
    assert_eq!(endpoints, [0, 0, 0, 1, 1, 1]);
    assert_eq!(session.failures(), 6);
}

#[test]
fn a_refusal_is_told_and_leaves_the_other_streams_alone() {
    let mut session = open(4);
    drain(&mut session, 0);
    session.on_outcome(Outcome::Refused { id: Some(1), reason: "invalid stream".into() }, 5);
    session.on_outcome(acknowledged(2), 6);
    assert_eq!(session.poll_milestone(), Some(Milestone::Refused("invalid stream".into())));
    assert_eq!(session.on_timer(ACKNOWLEDGE_LIMIT_NS * 2), None);
    assert!(!session.is_subscribed());
}

#[test]
fn a_closing_notice_ends_the_connection() {
    let mut session = open(1);
    session.on_outcome(Outcome::Closing, 7);
    assert!(session.is_closing());
    assert_eq!(session.on_timer(7), Some(CloseReason::ClosingNotice));
}

fn strict(streams: &[&str]) -> Session {
    let streams = streams.iter().map(|name| (*name).to_owned()).collect();
    let mut session = Session::new(Arc::new(TestVenue), &STRICT, streams, 1, None, 1);
    session.next(0);
    session.on_open(0);
    session
}

fn texts(session: &mut Session, now_ns: i64) -> Vec<String> {
    let text = |transmit| match transmit {
        Transmit::Text(text) => text,
        Transmit::Pong(_) => "pong".to_owned(),
    };
    drain(session, now_ns).into_iter().map(text).collect()
}

fn accepted(session: &mut Session, id: u64, accepted: Accepted) {
    session.on_outcome(Outcome::Acknowledged { id: Some(id), accepted }, 1);
}

fn some(names: &[&str]) -> Accepted {
    Accepted::Some(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn nothing_is_subscribed_before_the_opening_is_answered() {
    let mut session = strict(&["a"]);
    assert_eq!(texts(&mut session, 0), ["1:hello"]);
    assert_eq!(session.deadline(), ACKNOWLEDGE_LIMIT_NS, "waiting costs no turns");
    accepted(&mut session, 1, Accepted::All);
    assert_eq!(texts(&mut session, 1), ["2:hello"]);
    session.on_outcome(Outcome::Refused { id: Some(2), reason: "no".into() }, 1);
    assert_eq!(session.poll_milestone(), Some(Milestone::Refused("hello: no".into())));
    assert_eq!(texts(&mut session, 1), ["3:a"]);
}

fn opened(streams: &[&str]) -> Session {
    let mut session = strict(streams);
    for id in [1, 2] {
        texts(&mut session, 1);
        accepted(&mut session, id, Accepted::All);
    }
    session
}

#[test]
fn answers_for_each_stream_are_all_waited_for() {
    let mut session = opened(&["a", "b", "c"]);
    assert_eq!(texts(&mut session, 1), ["3:a,b,c"]);
    accepted(&mut session, 3, some(&["b"]));
    accepted(&mut session, 3, some(&["a"]));
    assert!(!session.is_subscribed());
    accepted(&mut session, 3, some(&["c"]));
    assert!(session.is_subscribed());
}

#[test]
fn a_refusal_of_one_stream_leaves_the_others_alone() {
    let mut session = opened(&["a", "b", "c"]);
    texts(&mut session, 1);
    accepted(&mut session, 3, some(&["a"]));
    session.on_outcome(Outcome::Refused { id: Some(3), reason: "b is unknown".into() }, 1);
    accepted(&mut session, 3, some(&["c"]));
    assert_eq!(session.on_timer(ACKNOWLEDGE_LIMIT_NS + 1), None, "everything is answered");
    assert_eq!(session.poll_milestone(), Some(Milestone::Refused("b is unknown".into())));
    assert!(!session.is_subscribed());
}

/// All peers took the acknowledgement for success; one venue leaves out silently what it does not know.
#[test]
fn trap_streams_that_the_venue_left_out_are_named() {
    let mut session = opened(&["a", "b"]);
    texts(&mut session, 1);
    accepted(&mut session, 3, Accepted::Only(vec!["b".into()]));
    let milestone = session.poll_milestone();
    assert!(matches!(&milestone, Some(Milestone::Refused(why)) if why.ends_with(": a")), "{milestone:?}");
    assert!(!session.is_subscribed());
}

#[test]
fn a_new_snapshot_is_had_by_ending_and_beginning_the_stream_and_nothing_else() {
    let mut session = opened(&["a", "b"]);
    texts(&mut session, 1);
    accepted(&mut session, 3, Accepted::All);
    session.subscribe_again("b");
    session.subscribe_again("b");
    session.subscribe_again("unknown");
    assert_eq!(texts(&mut session, 1), ["4:-b"]);
    session.subscribe_again("a");
    assert_eq!(texts(&mut session, 1), [] as [&str; 0], "one after the other");
    accepted(&mut session, 4, some(&["b"]));
    assert_eq!(texts(&mut session, 1), ["5:b", "6:-a"]);
    accepted(&mut session, 6, Accepted::All);
    assert_eq!(texts(&mut session, 1), [] as [&str; 0], "the venue allows six requests an hour");
    assert!(session.deadline() > 1, "waiting costs no turns");
    let hour = 3_600_000_000_000;
    assert_eq!(texts(&mut session, hour + 1), ["ping", "7:a"]);
}

#[test]
fn a_refused_form_of_a_stream_is_replaced_for_good() {
    let mut session = opened(&["a.raw", "b"]);
    assert_eq!(texts(&mut session, 1), ["3:a.raw,b"]);
    session.on_outcome(Outcome::Refused { id: Some(3), reason: "13778".into() }, 1);
    assert!(matches!(session.poll_milestone(), Some(Milestone::FellBack(_))));
    assert_eq!(texts(&mut session, 1), ["4:a.100ms,b"]);
    accepted(&mut session, 4, Accepted::All);
    // Others still know it by its first name.
    session.add(vec!["a.raw".into()]);
    session.subscribe_again("a.raw");
    assert_eq!(texts(&mut session, 1), ["5:-a.100ms"]);
    session.on_closed(&CloseReason::Silent, 2);
    session.next(i64::MAX);
    session.on_open(3);
    for id in [1, 2] {
        texts(&mut session, 3);
        accepted(&mut session, id, Accepted::All);
    }
    assert_eq!(texts(&mut session, 3), ["3:a.100ms,b"]);
    accepted(&mut session, 3, Accepted::All);
    session.remove(&["a.raw".into()]);
    assert_eq!(texts(&mut session, 3), ["4:-a.100ms"]);
}

#[test]
fn a_quiet_connection_is_kept_alive_and_its_replies_are_sent_first() {
    let mut session = opened(&["a"]);
    texts(&mut session, 1);
    accepted(&mut session, 3, Accepted::All);
    let later = 1 + 15 * SECOND_NS;
    assert_eq!(session.deadline(), later);
    assert_eq!(texts(&mut session, later), ["ping"]);
    assert_eq!(texts(&mut session, later + 1), [] as [&str; 0]);
    session.on_outcome(Outcome::Reply("here"), later + 2);
    assert_eq!(texts(&mut session, later + 2), ["here"]);
    session.on_outcome(Outcome::Alive, later + 3);
    assert_eq!(session.deadline(), later + 3 + 15 * SECOND_NS);
}

#[test]
fn streams_come_and_go_on_an_open_connection() {
    let mut session = opened(&["a"]);
    texts(&mut session, 1);
    accepted(&mut session, 3, Accepted::All);
    session.add(vec!["a".into(), "b".into()]);
    assert_eq!(texts(&mut session, 1), ["4:b"]);
    accepted(&mut session, 4, Accepted::All);
    session.remove(&["a".into()]);
    assert_eq!(texts(&mut session, 1), ["5:-a"]);
}

#[test]
fn connections_of_one_address_share_its_requests() {
    const WINDOW_NS: i64 = SECOND_NS / 2;
    let shared = Arc::new(Mutex::new(Governor::new(3, WINDOW_NS)));
    let session = || {
        let mut session =
            Session::new(Arc::new(TestVenue), &MARKET, streams(6), 1, Some(Arc::clone(&shared)), 1);
        session.next(0);
        session.on_open(0);
        session
    };
    let (mut first, mut second) = (session(), session());
    assert_eq!((drain(&mut first, 0).len(), drain(&mut second, 0).len()), (2, 1), "three in a window");
    assert_eq!(second.deadline(), WINDOW_NS, "its own second is not waited for");
    assert_eq!(drain(&mut second, WINDOW_NS).len(), 1);
}
