use super::*;

fn session(market: Market) -> Session {
    Session::new(market, false, 1024, 5, false)
}

fn reply(market: Market, frame: &str) -> String {
    session(market).text(frame).reply
}

#[test]
fn requests_are_acknowledged() {
    let mut session = session(Market::Spot);
    let subscribe = r#"{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","btcusdt@depth"],"id":1}"#;
    let outcome = session.text(subscribe);
    assert_eq!(outcome.reply, r#"{"result":null,"id":1}"#);
    assert_eq!(outcome.added, ["btcusdt@aggTrade", "btcusdt@depth"]);
    let again = session.text(subscribe);
    assert_eq!(again.reply, r#"{"result":null,"id":1}"#);
    assert!(again.added.is_empty());
    let outcome = session.text(r#"{"method":"UNSUBSCRIBE","params":["btcusdt@depth"],"id":312}"#);
    assert_eq!((outcome.reply.as_str(), outcome.removed.len()), (r#"{"result":null,"id":312}"#, 1));
    let list = session.text(r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#).reply;
    assert_eq!(list, r#"{"result":["btcusdt@aggTrade"],"id":3}"#);
    let set = session.text(r#"{"method":"SET_PROPERTY","params":["combined",true],"id":5}"#).reply;
    assert_eq!(set, r#"{"result":null,"id":5}"#);
    let get = session.text(r#"{"method":"GET_PROPERTY","params":["combined"],"id":2}"#).reply;
    assert_eq!(get, r#"{"result":true,"id":2}"#);
    assert!(session.combined);
}

#[test]
fn ids_keep_their_type() {
    let list = |id: &str| format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{id}}}"#);
    let uuid = r#""e3a1f1d2-0000-4000-8000-9a8b7c6d5e4f""#;
    for id in ["7", "-7", "null", r#""abc1""#, uuid] {
        assert_eq!(reply(Market::Spot, &list(id)), format!(r#"{{"result":[],"id":{id}}}"#));
    }
    for id in ["-7", "null", r#""abc1""#, "1.5"] {
        let expected = format!(r#"{{"error":{{"code":2,"msg":"{BAD_ID}"}},"id":{id}}}"#);
        assert_eq!(reply(Market::Usdm, &list(id)), expected);
        assert_eq!(reply(Market::Coinm, &list(id)), expected);
    }
    let missing = reply(Market::Spot, r#"{"method":"LIST_SUBSCRIPTIONS"}"#);
    assert_eq!(missing, format!(r#"{{"error":{{"code":2,"msg":"{BAD_ID}"}}}}"#));
}

#[test]
fn refusals_follow_the_table() {
    let cases = [
        (r#"{"method":"SET_PROPERTY","params":["colour",true],"id":1}"#, 0, "Unknown property"),
        (
            r#"{"method":"SET_PROPERTY","params":["combined","x"],"id":1}"#,
            1,
            "Invalid value type: expected Boolean",
        ),
        (
            r#"{"method":"GET_PROPERTY","params":[],"id":1}"#,
            2,
            "Invalid request: property name must be a string",
        ),
        (r#"{"method":"LIST_SUBSCRIPTIONS","params":["a"],"id":1}"#, 2, TOO_MANY_PARAMETERS),
        (r#"{"method":"GET_PROPERTY","params":["combined",1],"id":1}"#, 2, TOO_MANY_PARAMETERS),
        (r#"{"method":"SUBSCRIBE","params":["nonsense"],"id":1}"#, 2, "Invalid request: invalid stream"),
        (r#"{"params":[],"id":1}"#, 2, "Invalid request: missing field `method` at line 1 column 20"),
        (
            r#"{"method":"X","id":1}"#,
            2,
            "Invalid request: unknown variant `X`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, \
             `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 13",
        ),
    ];
    for (frame, code, message) in cases {
        let expected = format!(r#"{{"error":{{"code":{code},"msg":"{message}"}},"id":1}}"#);
        assert_eq!(reply(Market::Spot, frame), expected);
    }
    let not_json = reply(Market::Spot, "hello");
    assert_eq!(not_json, r#"{"error":{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}}"#);
    let mut flat = Session::new(Market::Spot, false, 1024, 5, true);
    let text = flat.text(r#"{"method":"SUBSCRIBE","params":["nonsense"],"id":1}"#).reply;
    assert_eq!(text, r#"{"code":2,"msg":"Invalid request: invalid stream","id":1}"#);
}

#[test]
fn unknown_and_uppercase_streams_are_accepted() {
    for name in ["nosuch@trade", "BTCUSDT@trade", "btcusdt@depth7", "!contractInfo", "tradingSession"] {
        let frame = format!(r#"{{"method":"SUBSCRIBE","params":["{name}"],"id":1}}"#);
        assert_eq!(reply(Market::Usdm, &frame), r#"{"result":null,"id":1}"#);
    }
}

#[test]
fn the_stream_limit_refuses_the_whole_request() {
    let mut session = Session::new(Market::Spot, false, 2, 5, false);
    let outcome = session.text(r#"{"method":"SUBSCRIBE","params":["a@trade","b@trade","c@trade"],"id":1}"#);
    assert_eq!(outcome.reply, r#"{"error":{"code":4,"msg":"Too many subscriptions"},"id":1}"#);
    assert!(outcome.added.is_empty());
    let outcome = session.text(r#"{"method":"SUBSCRIBE","params":["a@trade","b@trade","a@trade"],"id":1}"#);
    assert_eq!(outcome.added.len(), 2);
}

#[test]
fn one_frame_too_many_in_a_second_is_noticed() {
    let mut session = session(Market::Spot);
    assert!((0..5).all(|index| session.count_frame(1000 + index)));
    assert!(!session.count_frame(1999));
    let mut session = Session::new(Market::Spot, false, 2, 5, false);
    assert!((0..50).all(|index| session.count_frame(index * 250)));
}
