//! REST answers and their envelope.

use serde_json::{Value, json};

use crate::client::{Client, Fit, Mirror, arg, block_on, data, get, venue};

fn rows(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

#[test]
fn instruments_have_the_venues_fields() {
    let venue = venue(4, 100);
    block_on(async {
        for (market, query) in [
            ("spot", "instType=SPOT"),
            ("swap", "instType=SWAP"),
            ("futures", "instType=FUTURES"),
            ("option", "instType=OPTION&instFamily=BTC-USD"),
        ] {
            let list = data(&venue, &format!("/api/v5/public/instruments?{query}")).await;
            let names: Vec<&str> =
                list.as_array().expect("list").iter().filter_map(|one| one["instId"].as_str()).collect();
            let symbols = venue.symbols(market);
            assert!(
                names.iter().all(|name| symbols.iter().any(|symbol| symbol == name)) && !names.is_empty()
            );
            assert_eq!(list[0]["state"], "live");
        }
        let swap = data(&venue, "/api/v5/public/instruments?instType=SWAP&instId=BTC-USDT-SWAP").await;
        let expected = [
            ("ctVal", "0.01"),
            ("ctValCcy", "BTC"),
            ("ctType", "linear"),
            ("tickSz", "0.1"),
            ("lotSz", "0.01"),
            ("settleCcy", "USDT"),
            ("baseCcy", ""),
        ];
        for (key, value) in expected {
            assert_eq!(swap[0][key], value, "{key}");
        }
        let inverse = data(&venue, "/api/v5/public/instruments?instType=SWAP&instId=BTC-USD-SWAP").await;
        assert_eq!((&inverse[0]["ctValCcy"], &inverse[0]["settleCcy"]), (&json!("USD"), &json!("BTC")));
    });
}

#[test]
fn a_snapshot_splices_with_the_chain() {
    let venue = venue(1, 1_000);
    block_on(async {
        let mut client = Client::public(&venue).await;
        client.subscribe(&[arg("books", "BTC-USDT")]).await;
        client.json().await;
        client.json().await;
        venue.pause();
        let book = &data(&venue, "/api/v5/market/books?instId=BTC-USDT&sz=400").await[0];
        let final_book = venue.final_book("spot", "BTC-USDT").expect("book");
        let mut mirror = Mirror::default();
        let mut snapshot = json!({ "action": "snapshot", "data": [book] });
        snapshot["data"][0]["prevSeqId"] = json!(-1);
        assert_eq!(mirror.apply(&snapshot), Fit::Snapshot);
        assert_eq!((mirror.levels(0), mirror.levels(1)), (final_book.bids, final_book.asks));
        let one = &data(&venue, "/api/v5/market/books?instId=BTC-USDT").await[0];
        assert_eq!((rows(&one["asks"]), rows(&one["bids"])), (1, 1), "the depth is 1 by default");
    });
}

#[test]
fn statistics_are_newest_first() {
    let venue = venue(1, 100);
    block_on(async {
        let base = "/api/v5/rubik/stat/contracts";
        for (path, columns) in [
            ("open-interest-history?instId=BTC-USDT-SWAP&limit=3", 4),
            ("long-short-account-ratio-contract?instId=BTC-USDT-SWAP&limit=3", 2),
            ("long-short-account-ratio-contract-top-trader?instId=BTC-USDT-SWAP&limit=3", 2),
            ("long-short-position-ratio-contract-top-trader?instId=BTC-USDT-SWAP&limit=3", 2),
            ("long-short-account-ratio?ccy=BTC&limit=3", 2),
        ] {
            let list = data(&venue, &format!("{base}/{path}")).await;
            let times: Vec<&str> =
                list.as_array().expect("rows").iter().filter_map(|row| row[0].as_str()).collect();
            assert_eq!((times.len(), rows(&list[0])), (3, columns), "{path}");
            assert!(times.is_sorted_by(|one, next| one > next), "{path}");
        }
        let funding = data(&venue, "/api/v5/public/funding-rate?instId=BTC-USDT-SWAP").await;
        assert_eq!(funding[0]["nextFundingRate"], "");
        let interest = data(&venue, "/api/v5/public/open-interest?instType=SWAP").await;
        assert_eq!(interest[0]["instId"], "BTC-USDT-SWAP");
    });
}

#[test]
fn failures_keep_the_envelope() {
    let venue = venue(1, 100);
    block_on(async {
        for (path, status, code) in [
            ("/api/v5/market/books?instId=NO-SUCH", 200, "51001"),
            ("/api/v5/market/books", 400, "50014"),
            ("/api/v5/public/instruments?instType=OPTION", 400, "50014"),
            ("/api/v5/public/instruments?instType=X", 400, "51000"),
            ("/api/v5/market/books?instId=BTC-USDT&sz=x", 400, "51000"),
            ("/api/v5/none", 404, "404"),
        ] {
            let (got, body) = get(&venue, path).await;
            let answer: Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!((got, &answer["code"], &answer["data"]), (status, &json!(code), &json!([])), "{path}");
        }
        let mut refused = None;
        for _ in 0..40 {
            let (status, body) = get(&venue, "/api/v5/public/time").await;
            refused = refused.or((status == 429).then_some(body));
        }
        assert!(refused.is_some_and(|body| body.contains("\"50011\"")), "10 in two seconds");
    });
}

#[test]
fn requests_fail_as_often_as_told() {
    let venue = venue(1, 100);
    venue.fail_rest("/api/v5/market", 503, 2);
    block_on(async {
        let path = "/api/v5/market/books?instId=BTC-USDT";
        assert_eq!(get(&venue, "/api/v5/public/time").await.0, 200);
        assert_eq!(get(&venue, path).await.0, 503);
        assert_eq!(get(&venue, path).await.0, 503);
        assert_eq!(get(&venue, path).await.0, 200);
    });
    assert_eq!(venue.stop().injected("REST status 503"), 2);
}
