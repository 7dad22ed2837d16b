//! The channels beside `books`, listings, TLS and the recording of frames.

use marketprism_simulator::Start;
use marketprism_simulator::host::ListingChange;
use marketprism_simulator::okx::{Config, start};
use serde_json::{Value, json};

use crate::client::{Client, arg, block_on, config, data, get, venue};

/// Everything that is no flag, list or id is text, and numbers have no trailing zeros.
fn assert_text(value: &Value) {
    match value {
        Value::Array(values) => values.iter().for_each(assert_text),
        Value::Object(members) => {
            for (key, value) in members {
                match key.as_str() {
                    "seqId" | "prevSeqId" | "checksum" | "instIdCode" => assert!(value.is_i64(), "{key}"),
                    "futureSettlement" => assert!(value.is_boolean()),
                    _ => assert_text(value),
                }
            }
        }
        Value::String(text) => {
            let number = text.split_once('.').filter(|(whole, _)| whole.parse::<i64>().is_ok());
            assert!(!number.is_some_and(|(_, fraction)| fraction.ends_with('0')), "{text}");
        }
        other => panic!("{other} is no text"),
    }
}

#[test]
fn every_channel_begins_with_its_last_value() {
    let venue = venue(2, 500);
    block_on(async {
        let mut public = Client::public(&venue).await;
        let mut business = Client::business(&venue).await;
        let swap = "BTC-USDT-SWAP";
        let own = ["bbo-tbt", "books5", "trades", "tickers", "mark-price", "funding-rate", "open-interest"];
        let mut args: Vec<Value> = own.iter().map(|channel| arg(channel, swap)).collect();
        args.push(arg("index-tickers", "BTC-USDT"));
        args.push(json!({ "channel": "liquidation-orders", "instType": "SWAP" }));
        args.push(json!({ "channel": "opt-summary", "instFamily": "BTC-USD" }));
        args.push(json!({ "channel": "instruments", "instType": "FUTURES" }));
        public.subscribe(&args).await;
        for expected in &args {
            let push = public.json().await;
            assert_eq!(&push["arg"], expected);
            assert!(
                push.get("action").is_none() && push["data"].as_array().is_some_and(|data| !data.is_empty())
            );
            assert_text(&push["data"]);
        }
        let args = [arg("trades-all", swap), arg("candle1s", swap), arg("candle1Dutc", swap)];
        business.subscribe(&args).await;
        for expected in &args {
            let push = business.json().await;
            assert_eq!(&push["arg"], expected);
            assert_text(&push["data"]);
        }
        assert_eq!(business.push("candle1s", swap).await["data"][0].as_array().map(Vec::len), Some(9));
    });
    assert!(venue.stop().violations.is_empty());
}

#[test]
fn trades_and_single_fills_have_the_same_ids() {
    let venue = venue(1, 400);
    block_on(async {
        let mut public = Client::public(&venue).await;
        let mut business = Client::business(&venue).await;
        public.subscribe(&[arg("trades", "BTC-USDT")]).await;
        business.subscribe(&[arg("trades-all", "BTC-USDT")]).await;
        let id = |push: &Value| -> u64 {
            push["data"][0]["tradeId"].as_str().expect("id").parse().expect("number")
        };
        // The first ones are the last values from before.
        let mut last = id(&public.json().await);
        let mut fills = Vec::new();
        for _ in 0..20 {
            let push = public.json().await;
            let count: u64 = push["data"][0]["count"].as_str().expect("count").parse().expect("number");
            assert_eq!(id(&push), last + count, "{push}");
            last = id(&push);
        }
        let mut fill = id(&business.json().await);
        while fill < last {
            let push = business.json().await;
            assert!(push["data"][0].get("count").is_none() && push["data"][0].get("seqId").is_none());
            // The two subscriptions did not begin at the same moment.
            assert!(fills.is_empty() || id(&push) == fill + 1);
            fill = id(&push);
            fills.push(fill);
        }
        venue.pause();
        let rest = data(&venue, "/api/v5/market/trades?instId=BTC-USDT&limit=500").await;
        let rest: Vec<u64> = rest
            .as_array()
            .expect("list")
            .iter()
            .map(|fill| fill["tradeId"].as_str().expect("id").parse().expect("number"))
            .collect();
        assert!(rest.is_sorted_by(|one, next| *one == next + 1), "newest first, without a hole");
        assert!(fills.iter().all(|id| rest.contains(id)));
    });
}

#[test]
fn a_candle_is_confirmed_once() {
    let venue = venue(1, 300);
    block_on(async {
        let mut client = Client::business(&venue).await;
        client.subscribe(&[arg("candle1s", "BTC-USDT")]).await;
        let mut confirmed: Vec<u64> = Vec::new();
        let mut running = 0;
        while confirmed.len() < 3 {
            let push = client.push("candle1s", "BTC-USDT").await;
            let bar = &push["data"][0];
            let open: u64 = bar[0].as_str().expect("time").parse().expect("number");
            assert!(confirmed.last().is_none_or(|last| *last < open), "a closed bar stays closed");
            match bar[8].as_str() {
                Some("1") => confirmed.push(open),
                Some("0") => running += 1,
                _ => panic!("{bar}"),
            }
        }
        assert!(running > 0);
        assert!(confirmed.iter().all(|open| open % 1_000 == 0));
    });
}

#[test]
fn instruments_come_and_go() {
    let venue = venue(2, 200);
    block_on(async {
        let mut client = Client::public(&venue).await;
        client.subscribe(&[json!({ "channel": "instruments", "instType": "SWAP" })]).await;
        let list = client.push("instruments", "SWAP").await;
        assert_eq!(list["data"].as_array().map(Vec::len), Some(2));

        let name = venue.change_listing(ListingChange::List("swap")).expect("listed");
        let push = client.push("instruments", "SWAP").await;
        assert_eq!((&push["data"][0]["instId"], &push["data"][0]["state"]), (&json!(name), &json!("live")));
        assert!(venue.symbols("swap").contains(&name));
        client.subscribe(&[arg("bbo-tbt", &name)]).await;
        client.push("bbo-tbt", &name).await;
        client.push("bbo-tbt", &name).await;

        assert_eq!(venue.change_listing(ListingChange::Expire("swap", name.clone())), Some(name.clone()));
        let push = client.push("instruments", "SWAP").await;
        assert_eq!(
            (&push["data"][0]["instId"], &push["data"][0]["state"]),
            (&json!(name), &json!("expired"))
        );
        let path = format!("/api/v5/public/instruments?instType=SWAP&instId={name}");
        assert_eq!(data(&venue, &path).await, json!([]));
        let silent = |venue: &marketprism_simulator::host::Handle| {
            let stream = format!("bbo-tbt:{name}");
            venue.ledger().stream("swap", &stream).map(|stream| stream.messages)
        };
        let before = silent(&venue);
        client.subscribe(&[arg("bbo-tbt", "BTC-USDT-SWAP")]).await;
        for _ in 0..20 {
            client.push("bbo-tbt", "BTC-USDT-SWAP").await;
        }
        assert_eq!(silent(&venue), before);
        assert_eq!(venue.change_listing(ListingChange::Expire("swap", "NO-SUCH".to_owned())), None);
    });
}

#[test]
fn everything_works_over_tls() {
    let venue = start(&Config { tls: true, ..config(1, 300) }).expect("starts");
    assert!(venue.websocket_url().starts_with("wss://localhost:"));
    block_on(async {
        let mut client = Client::public(&venue).await;
        client.subscribe(&[arg("books", "BTC-USDT")]).await;
        for _ in 0..3 {
            client.push("books", "BTC-USDT").await;
        }
        assert_eq!(get(&venue, "/api/v5/public/time").await.0, 200);
    });
}

#[test]
fn sent_frames_are_recorded() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("frames.tsv");
    let venue = start(&Config { record_frames: Some(path.clone()), ..config(1, 300) }).expect("starts");
    let received = block_on(async {
        let mut client = Client::public(&venue).await;
        client.subscribe(&[arg("trades", "BTC-USDT")]).await;
        let mut received = vec![client.text().await];
        for _ in 0..5 {
            received.push(client.text().await);
        }
        let ledger = venue.pause();
        while (received.len() as u64) < ledger.deliveries() {
            received.push(client.text().await);
        }
        received
    });
    drop(venue);
    let recorded = std::fs::read_to_string(path).expect("recording");
    let expected: Vec<String> = received.iter().map(|text| format!("1\tspot\t{text}")).collect();
    assert_eq!(recorded.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn data_waits_for_so_many_streams() {
    let venue = start(&Config { start: Start::WhenSubscribed(2), ..config(1, 500) }).expect("starts");
    block_on(async {
        let mut client = Client::public(&venue).await;
        client.subscribe(&[arg("trades", "BTC-USDT")]).await;
        client.json().await;
        assert_eq!(venue.ledger().messages(), 1, "only the cached trade");
        client.subscribe(&[arg("trades", "BTC-USDT-SWAP")]).await;
        client.push("trades", "BTC-USDT").await;
    });
}

#[test]
fn wrong_configurations_are_refused() {
    use marketprism_simulator::host::{Disturbance, Fault};
    let fault = Fault {
        market: "spot".to_owned(),
        stream: "books:NO-SUCH".to_owned(),
        after_messages: 1,
        what: Disturbance::Reorder,
    };
    assert!(start(&Config { faults: vec![fault], ..config(1, 100) }).is_err());
    assert!(start(&config(0, 100)).is_err());
    assert!(start(&config(1, 0)).is_err());
}
