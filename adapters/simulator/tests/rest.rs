//! The REST interface over real sockets.

mod common;

use std::time::Duration;

use common::{Client, block_on, get};
use marketprism_simulator::{Config, Fault, Generated, Limits, Market, Simulator, Source};

fn generated(symbols: usize) -> Config {
    Config::new(Source::Generated(Generated { seed: 3, symbols, messages_per_second: Some(5000) }))
}

fn start(config: Config) -> Simulator {
    Simulator::start(config).expect("starts")
}

#[test]
fn general_endpoints_answer() {
    for tls in [false, true] {
        let simulator = start(Config { tls, ..generated(3) });
        block_on(async {
            let answer = get(&simulator, Market::Spot, "/api/v3/ping").await;
            assert_eq!((answer.status, answer.body.as_str(), answer.used_weight), (200, "{}", 1));
            assert!(get(&simulator, Market::Usdm, "/fapi/v1/time").await.json()["serverTime"].is_u64());
            assert_eq!(get(&simulator, Market::Usdm, "/api/v3/ping").await.status, 404);
            assert_eq!(get(&simulator, Market::Spot, "/api/v3/nothing").await.status, 404);
        });
    }
}

#[test]
fn instruments_are_listed() {
    let simulator = start(generated(20));
    block_on(async {
        let spot = get(&simulator, Market::Spot, "/api/v3/exchangeInfo").await;
        assert_eq!(spot.used_weight, 20);
        assert_eq!(spot.json()["symbols"].as_array().map(Vec::len), Some(20));
        let list = "/api/v3/exchangeInfo?symbols=%5B%22ETHUSDT%22%5D";
        assert_eq!(get(&simulator, Market::Spot, list).await.json()["symbols"][0]["symbol"], "ETHUSDT");
        let unknown = get(&simulator, Market::Spot, "/api/v3/exchangeInfo?symbol=NOSUCH").await;
        assert_eq!(
            (unknown.status, unknown.body.as_str()),
            (400, r#"{"code":-1121,"msg":"Invalid symbol."}"#)
        );
        let coin = get(&simulator, Market::Coinm, "/dapi/v1/exchangeInfo").await.json();
        let symbols = coin["symbols"].as_array().expect("list");
        assert_eq!(symbols[0]["contractSize"], 100);
        assert_eq!(symbols[0]["contractStatus"], "TRADING");
        assert_eq!(symbols.last().expect("dated")["contractType"], "CURRENT_QUARTER");
        let names: Vec<&str> = symbols.iter().filter_map(|one| one["symbol"].as_str()).collect();
        assert_eq!(names, simulator.symbols(Market::Coinm));
    });
}

#[test]
fn depth_has_the_shape_of_its_market() {
    let simulator = start(generated(3));
    block_on(async {
        let spot = get(&simulator, Market::Spot, "/api/v3/depth?symbol=BTCUSDT&limit=5").await;
        assert_eq!(spot.used_weight, 5);
        let spot = spot.json();
        assert_eq!((spot["bids"].as_array().map(Vec::len), spot.get("E")), (Some(5), None));
        assert!(spot["asks"][0][1].as_str().expect("text").split_once('.').expect("point").1.len() == 8);
        let coin = get(&simulator, Market::Coinm, "/dapi/v1/depth?symbol=BTCUSD_PERP&limit=10").await.json();
        assert_eq!((coin["symbol"].as_str(), coin["pair"].as_str()), (Some("BTCUSD_PERP"), Some("BTCUSD")));
        assert!(coin["T"].is_u64());
        let refused = get(&simulator, Market::Usdm, "/fapi/v1/depth?symbol=BTCUSDT&limit=7").await;
        assert_eq!((refused.status, refused.json()["code"].as_i64()), (400, Some(-4021)));
        let missing = get(&simulator, Market::Usdm, "/fapi/v1/depth").await;
        assert_eq!((missing.status, missing.json()["code"].as_i64()), (400, Some(-1102)));
        let unknown = get(&simulator, Market::Usdm, "/fapi/v1/depth?symbol=NOSUCH").await;
        assert_eq!(unknown.json()["code"], -1121);
    });
}

#[test]
fn history_continues_what_the_stream_sent() {
    let simulator = start(generated(1));
    block_on(async {
        let path = "/ws/btcusdt@aggTrade";
        let mut client = Client::open(&simulator, Market::Spot, path).await;
        let mut seen = Vec::new();
        while seen.len() < 100 {
            seen.push(client.json().await);
        }
        let first = seen[0]["a"].as_u64().expect("id");
        let path = format!("/api/v3/aggTrades?symbol=BTCUSDT&fromId={first}&limit=100");
        let rows = get(&simulator, Market::Spot, &path).await.json();
        let rows = rows.as_array().expect("rows");
        for (row, sent) in rows.iter().zip(&seen) {
            for key in ["a", "p", "q", "f", "l", "T", "m"] {
                assert_eq!(row[key], sent[key]);
            }
        }
        let trades = get(&simulator, Market::Spot, "/api/v3/trades?symbol=BTCUSDT&limit=50").await.json();
        let ids: Vec<u64> =
            trades.as_array().expect("rows").iter().filter_map(|row| row["id"].as_u64()).collect();
        assert!(ids.len() == 50 && ids.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        let bars = get(&simulator, Market::Spot, "/api/v3/klines?symbol=BTCUSDT&interval=1m").await.json();
        assert_eq!(bars[0].as_array().map(Vec::len), Some(12));
        let refused = get(&simulator, Market::Spot, "/api/v3/klines?symbol=BTCUSDT&interval=7m").await;
        assert_eq!(refused.json()["code"], -1120);
    });
}

#[test]
fn futures_statistics_have_their_shapes() {
    let simulator = start(generated(3));
    block_on(async {
        let usdm = async |path: &str| get(&simulator, Market::Usdm, path).await.json();
        let coinm = async |path: &str| get(&simulator, Market::Coinm, path).await.json();
        let one = usdm("/fapi/v1/premiumIndex?symbol=BTCUSDT").await;
        assert!(one["nextFundingTime"].as_u64().expect("time") > one["time"].as_u64().expect("time"));
        assert_eq!(usdm("/fapi/v1/premiumIndex").await.as_array().map(Vec::len), Some(3));
        let dated = coinm("/dapi/v1/premiumIndex?symbol=BTCUSD_261225").await;
        assert_eq!((&dated[0]["lastFundingRate"], &dated[0]["nextFundingTime"]), (&"".into(), &0.into()));
        assert_eq!(
            usdm("/fapi/v1/fundingRate?symbol=BTCUSDT&limit=10").await.as_array().map(Vec::len),
            Some(10)
        );
        assert_eq!(coinm("/dapi/v1/fundingRate?symbol=BTCUSD_261225").await, serde_json::json!([]));
        assert!(usdm("/fapi/v1/openInterest?symbol=BTCUSDT").await["openInterest"].is_string());
        let open = coinm("/dapi/v1/openInterest?symbol=BTCUSD_PERP").await;
        assert_eq!(open["contractType"], "PERPETUAL");
        for name in ["globalLongShortAccountRatio", "topLongShortAccountRatio", "topLongShortPositionRatio"] {
            let rows = usdm(&format!("/futures/data/{name}?symbol=BTCUSDT&period=5m&limit=3")).await;
            assert_eq!(rows.as_array().map(Vec::len), Some(3));
            assert!(rows[0]["longShortRatio"].is_string() && rows[0]["timestamp"].is_u64());
        }
        let position = coinm("/futures/data/topLongShortPositionRatio?pair=BTCUSD&period=1h").await;
        assert!(position[0]["longPosition"].is_string());
        let history = usdm("/futures/data/openInterestHist?symbol=BTCUSDT&period=1h").await;
        assert_eq!(history.as_array().map(Vec::len), Some(30));
        let refused = usdm("/futures/data/openInterestHist?symbol=BTCUSDT&period=7m").await;
        assert_eq!(refused["code"], -1130);
    });
}

#[test]
fn weight_is_refused_then_banned() {
    let limits = Limits {
        weight_per_minute: [60, 2400],
        refusals_before_ban: 1,
        ban_duration: Duration::from_secs(300),
        ..Limits::default()
    };
    let simulator = start(Config { limits, ..generated(3) });
    block_on(async {
        let mut statuses = Vec::new();
        // The turn of a minute in between only delays the ban.
        while statuses.len() < 30 && statuses.last() != Some(&418) {
            let answer = get(&simulator, Market::Spot, "/api/v3/exchangeInfo").await;
            if answer.status != 200 {
                assert!(answer.retry_after.is_some());
                assert_eq!(answer.json()["code"], -1003);
            }
            statuses.push(answer.status);
        }
        assert!(statuses.contains(&429), "{statuses:?}");
        assert_eq!(statuses.last(), Some(&418));
        assert_eq!(get(&simulator, Market::Usdm, "/fapi/v1/ping").await.status, 200);
    });
    assert!(!simulator.stop().violations.is_empty());
}

#[test]
fn scripted_statuses_come_as_often_as_asked() {
    let fault = Fault::RestStatus {
        market: Market::Usdm,
        path_prefix: "/fapi/v1/depth".to_owned(),
        status: 429,
        times: 2,
        retry_after: Some(Duration::from_secs(3)),
    };
    let simulator = start(Config { faults: vec![fault], ..generated(3) });
    block_on(async {
        let path = "/fapi/v1/depth?symbol=BTCUSDT";
        for expected in [429, 429, 200] {
            let answer = get(&simulator, Market::Usdm, path).await;
            assert_eq!((answer.status, answer.retry_after), (expected, (expected == 429).then_some(3)));
        }
    });
    assert_eq!(simulator.stop().faults_injected, [("REST status 429".to_owned(), 2)]);
}

#[test]
fn impossible_configurations_are_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = taken.local_addr().expect("address").port();
    let error = Simulator::start(Config { ports: Some([port, 0, 0]), ..generated(1) }).expect_err("taken");
    assert!(error.to_string().contains(&port.to_string()), "{error}");
    let error = Simulator::start(Config { markets: Vec::new(), ..generated(1) }).expect_err("no market");
    assert!(error.to_string().contains("no market"), "{error}");
}
