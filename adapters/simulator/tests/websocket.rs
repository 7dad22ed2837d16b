//! The WebSocket interface over real sockets, plain and TLS.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Client, Mirror, block_on};
use fastwebsockets::{Frame, OpCode, Payload};
use marketprism_simulator::{
    Config, Disconnection, Fault, Generated, Limits, Market, Simulator, Source, Start,
};

fn generated(rate: Option<u64>) -> Config {
    Config::new(Source::Generated(Generated { seed: 7, symbols: 3, messages_per_second: rate }))
}

fn start(config: Config) -> Simulator {
    Simulator::start(config).expect("starts")
}

#[test]
fn streams_of_the_url_flow_wrapped_without_an_acknowledgement() {
    for tls in [false, true] {
        let simulator = start(Config { tls, ..generated(Some(2000)) });
        block_on(async {
            let path = "/stream?streams=btcusdt@bookTicker/ethusdt@trade";
            let mut client = Client::open(&simulator, Market::Spot, path).await;
            for _ in 0..50 {
                let frame = client.json().await;
                let stream = frame["stream"].as_str().expect("wrapped");
                let data = &frame["data"];
                match stream {
                    "btcusdt@bookTicker" => assert!(data["s"] == "BTCUSDT" && data.get("e").is_none()),
                    "ethusdt@trade" => assert!(data["e"] == "trade" && data["M"] == true),
                    other => panic!("{other}"),
                }
            }
        });
    }
}

#[test]
fn a_raw_connection_subscribes_toggles_and_unsubscribes() {
    let simulator = start(generated(Some(2000)));
    block_on(async {
        let mut client = Client::open(&simulator, Market::Coinm, "/ws").await;
        let subscribe =
            r#"{"method":"SUBSCRIBE","params":["btcusd_perp@aggTrade","btcusd_perp@depth@100ms"],"id":1}"#;
        assert_eq!(client.request(subscribe).await, r#"{"result":null,"id":1}"#);
        let frame = client.json().await;
        assert!(frame.get("e").is_some() && frame["st"] == 2, "{frame}");
        let toggle = r#"{"method":"SET_PROPERTY","params":["combined",true],"id":2}"#;
        assert_eq!(client.request(toggle).await, r#"{"result":null,"id":2}"#);
        assert!(client.json().await.get("stream").is_some());
        let list = client.request(r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#).await;
        assert_eq!(list, r#"{"result":["btcusd_perp@aggTrade","btcusd_perp@depth@100ms"],"id":3}"#);
        let unsubscribe = r#"{"method":"UNSUBSCRIBE","params":["btcusd_perp@aggTrade"],"id":4}"#;
        assert_eq!(client.request(unsubscribe).await, r#"{"result":null,"id":4}"#);
        for _ in 0..5 {
            assert_eq!(client.json().await["stream"], "btcusd_perp@depth@100ms");
        }
    });
}

#[test]
fn streams_on_the_wrong_route_are_accepted_and_silent() {
    let simulator = start(generated(Some(2000)));
    block_on(async {
        for path in ["/ws", "/public/ws"] {
            let mut client = Client::open(&simulator, Market::Usdm, path).await;
            let params = r#"["btcusdt@aggTrade","BTCUSDT@trade","nosuch@trade","btcusdt@bookTicker"]"#;
            let frame = format!(r#"{{"method":"SUBSCRIBE","params":{params},"id":1}}"#);
            assert_eq!(client.request(&frame).await, r#"{"result":null,"id":1}"#);
            for _ in 0..20 {
                assert_eq!(client.json().await["e"], "bookTicker");
            }
        }
        let path = "/market/stream?streams=btcusdt@bookTicker/btcusdt@markPrice@1s";
        let mut client = Client::open(&simulator, Market::Usdm, path).await;
        let frame = client.json().await;
        assert_eq!(frame["data"]["e"], "markPriceUpdate");
        assert!(frame["data"].get("ap").is_some());
    });
    let ledger = simulator.stop();
    assert!(ledger.stream(Market::Usdm, "nosuch@trade").is_none());
    assert!(ledger.stream(Market::Usdm, "BTCUSDT@trade").is_none());
}

#[test]
fn pings_want_their_payload_back() {
    let limits = Limits {
        ping_interval: [Duration::from_millis(20); 3],
        pong_deadline: [Duration::from_millis(300); 3],
        ..Limits::default()
    };
    let simulator = start(Config { limits, ..generated(Some(100)) });
    block_on(async {
        let mut client = Client::open(&simulator, Market::Spot, "/ws").await;
        let (opcode, payload) = client.next().await.expect("a ping");
        assert_eq!(opcode, OpCode::Ping);
        assert!(!payload.is_empty());
        client.frame(Frame::pong(Payload::Borrowed(&payload))).await;
        assert_eq!(client.close_frame().await, (1008, "Pong timeout".to_owned()));
        assert!(client.next().await.is_none());
        client = Client::open(&simulator, Market::Usdm, "/ws").await;
        client.frame(Frame::new(true, OpCode::Ping, None, Payload::Borrowed(b"mine"))).await;
        while client.next().await.expect("open") != (OpCode::Pong, b"mine".to_vec()) {}
        client.frame(Frame::pong(Payload::Borrowed(b"other"))).await;
        assert_eq!(client.close_frame().await.0, 1008);
    });
    let violations = simulator.stop().violations;
    assert!(violations.iter().any(|text| text.contains("pong with the payload")), "{violations:?}");
    assert!(violations.iter().any(|text| text.contains("not answered")), "{violations:?}");
}

#[test]
fn the_sixth_message_in_a_second_closes() {
    let simulator = start(generated(Some(100)));
    block_on(async {
        let mut client = Client::open(&simulator, Market::Spot, "/ws").await;
        for id in 0..6 {
            client.send(&format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{id}}}"#)).await;
        }
        assert_eq!(client.close_frame().await, (1008, "Too many requests".to_owned()));
    });
    assert!(simulator.stop().violations[0].contains("too many messages"));
}

#[test]
fn lifetimes_end_and_connection_attempts_are_counted() {
    let limits = Limits {
        connection_lifetime: Some(Duration::from_millis(50)),
        connects_per_5_minutes: 2,
        ..Limits::default()
    };
    let simulator = start(Config { limits, ..generated(Some(100)) });
    block_on(async {
        for _ in 0..2 {
            let mut client = Client::open(&simulator, Market::Spot, "/stream").await;
            assert_eq!(client.close_frame().await.0, 1001);
        }
        assert!(Client::try_open(&simulator, Market::Spot, "/stream").await.is_err());
        assert!(Client::try_open(&simulator, Market::Usdm, "/nothing").await.is_err());
    });
}

#[test]
fn faults_are_injected_and_booked() {
    let market = Market::Spot;
    let stream = "btcusdt@depth@100ms".to_owned();
    let faults = vec![
        Fault::DropDiff { market, stream: stream.clone(), after_events: 2, events: 1 },
        Fault::MalformedFrame { market, after_messages: 3, times: 1 },
        Fault::InvalidUtf8 { market, after_messages: 4, times: 1 },
        Fault::Oversized { market, after_messages: 5, times: 1, bytes: 300_000 },
        Fault::UnknownEvent { market, after_messages: 6, times: 1 },
        Fault::Disconnect { market, after_messages: 7, times: 1, how: Disconnection::Close(1001) },
    ];
    let simulator = start(Config { faults, ..generated(Some(3000)) });
    let mut frames = Vec::new();
    block_on(async {
        let client = Client::open(&simulator, market, &format!("/stream?streams={stream}")).await;
        let mut bytes = Vec::new();
        let mut io = client.socket.into_inner();
        tokio::io::AsyncReadExt::read_to_end(&mut io, &mut bytes).await.expect("reads to the end");
        frames = split_frames(&bytes);
    });
    let ledger = simulator.stop();
    let sent = ledger.stream(market, &stream).expect("was subscribed");
    let texts: Vec<String> = frames.iter().map(|frame| String::from_utf8_lossy(frame).into_owned()).collect();
    let events: Vec<serde_json::Value> = texts
        .iter()
        .filter(|text| text.contains("depthUpdate"))
        .map(|text| serde_json::from_str(text).expect("JSON"))
        .collect();
    assert_eq!((events.len() as u64, sent.messages, sent.dropped.len()), (7, 7, 1));
    let id = |event: &serde_json::Value, key: &str| event["data"][key].as_u64().expect("id");
    assert_eq!(sent.dropped[0], (id(&events[1], "u") + 1, id(&events[2], "U") - 1));
    assert_eq!((sent.first_id, sent.last_id), (Some(id(&events[0], "U")), Some(id(&events[6], "u"))));
    assert!(frames.iter().any(|frame| std::str::from_utf8(frame).is_err()));
    assert!(frames.iter().any(|frame| frame.len() == 300_000));
    assert!(texts.iter().any(|text| text.contains("neverHeardOf")));
    assert_eq!(frames.last().map(|frame| frame.as_slice()), Some(&1001_u16.to_be_bytes()[..]));
    assert_eq!(ledger.faults_injected.len(), 6, "{:?}", ledger.faults_injected);
}

/// Payloads of unmasked frames.
fn split_frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while bytes.len() >= 2 {
        let (length, head) = match bytes[1] {
            126 => (u16::from_be_bytes([bytes[2], bytes[3]]) as usize, 4),
            127 => (u64::from_be_bytes(bytes[2..10].try_into().expect("eight")) as usize, 10),
            short => (short as usize, 2),
        };
        frames.push(bytes[head..head + length].to_vec());
        bytes = &bytes[head + length..];
    }
    assert!(bytes.is_empty());
    frames
}

#[test]
fn flat_out_nothing_is_lost_and_books_can_be_rebuilt() {
    let market = Market::Usdm;
    let simulator = Arc::new(start(Config { start: Start::WhenSubscribed(4), ..generated(None) }));
    let (enough, was_enough) = std::sync::mpsc::channel();
    let inner = simulator.clone();
    let reader = std::thread::spawn(move || {
        block_on(async move {
            let path = "/public/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/ethusdt@depth@0ms/btcusdt@trade";
            let mut client = Client::open(&inner, market, path).await;
            let snapshot =
                common::get(&inner, market, "/fapi/v1/depth?symbol=BTCUSDT&limit=1000").await.json();
            drop(inner);
            let mut book = Mirror::new(&snapshot);
            let mut count = 0_u64;
            while let Some((_, payload)) = client.next().await {
                let frame = serde_json::from_slice(&payload).expect("JSON");
                book.apply(&frame, "btcusdt@depth@100ms");
                count += 1;
                if count == 20_000 {
                    enough.send(()).expect("somebody waits");
                }
            }
            (book, count)
        })
    });
    was_enough.recv_timeout(common::PATIENCE).expect("frames arrive");
    let ledger = simulator.pause();
    let last = simulator.final_book(market, "BTCUSDT").expect("exists");
    drop(simulator);
    let (book, count) = reader.join().expect("reader");
    assert_eq!(count, ledger.deliveries());
    assert!(ledger.violations.is_empty(), "{:?}", ledger.violations);
    assert!(book.applied > 10, "{} events applied", book.applied);
    assert!(book.last_update_id <= last.last_update_id);
}
