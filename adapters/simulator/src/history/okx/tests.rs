//! Every record comes back from the frame that was made of it, and the frame looks like the venue's.
#![allow(clippy::unwrap_used)]

use marketprism_core::record::RecordBuffer;
use marketprism_core::{Instrument, RecordRef};
use marketprism_okx::FrameDecoder;
use proptest::prelude::*;
use serde_json::Value;

use super::render;
use crate::history::chained::testing::{captured, decoded, has_shape, instrument, table};
use crate::okx::argument_of;

/// A frame of each channel as the venue writes it now, after its documentation: market, what the instrument follows, frame.
const FRAMES: [(&str, &str, &str); 17] = [
    (
        "spot",
        "",
        r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"130639474","px":"42219.9","sz":"0.12060306","side":"buy","ts":"1630048897897","count":"3","source":"0","seqId":1234}]}"#,
    ),
    (
        "swap",
        "BTC-USDT",
        r#"{"arg":{"channel":"trades-all","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","tradeId":"130639475","px":"42219","sz":"0.5","side":"sell","source":"1","ts":"1630048897898"}]}"#,
    ),
    (
        "spot",
        "",
        r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["8476.98","415","0","13"],["8477","7","0","2"]],"bids":[["8476.97","256.5","0","12"]],"ts":"1597026383085","checksum":0,"seqId":123456,"prevSeqId":-1}]}"#,
    ),
    (
        "spot",
        "",
        r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["8477","0","0","0"]],"bids":[],"ts":"1597026383185","checksum":-855196043,"seqId":123457,"prevSeqId":123456}]}"#,
    ),
    (
        "spot",
        "",
        r#"{"arg":{"channel":"books5","instId":"BTC-USDT"},"data":[{"asks":[["111.06","55154","0","2"]],"bids":[["111.05","57745","0","2"]],"instId":"BTC-USDT","ts":"1670324386802","seqId":363996337}]}"#,
    ),
    (
        "spot",
        "",
        r#"{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[["111.06","55154","0","2"]],"bids":[["111","57745.5","0","2"]],"ts":"1670324386802","seqId":363996337}]}"#,
    ),
    (
        "option",
        "BTC-USD",
        r#"{"arg":{"channel":"bbo-tbt","instId":"BTC-USD-220624-50000-C"},"data":[{"asks":[["0.0015","8","0","1"]],"bids":[],"ts":"1654033343415","seqId":5}]}"#,
    ),
    (
        "spot",
        "",
        r#"{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instType":"SPOT","instId":"BTC-USDT","last":"9999.99","lastSz":"0.1","askPx":"9999.99","askSz":"11","bidPx":"8888.88","bidSz":"5","open24h":"9000","high24h":"10000","low24h":"8888.88","volCcy24h":"22220000","vol24h":"2222","sodUtc0":"2222","sodUtc8":"2222","ts":"1597026383085"}]}"#,
    ),
    (
        "option",
        "BTC-USD",
        r#"{"arg":{"channel":"tickers","instId":"BTC-USD-220624-50000-C"},"data":[{"instType":"OPTION","instId":"BTC-USD-220624-50000-C","last":"","lastSz":"","askPx":"0.0015","askSz":"330","bidPx":"","bidSz":"","open24h":"","high24h":"","low24h":"","volCcy24h":"0","vol24h":"0","sodUtc0":"","sodUtc8":"","ts":"1654166283149"}]}"#,
    ),
    (
        "swap",
        "BTC-USDT",
        r#"{"arg":{"channel":"mark-price","instId":"BTC-USDT-SWAP"},"data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","markPx":"42310.6","ts":"1597026383085"}]}"#,
    ),
    (
        "swap",
        "BTC-USDT",
        r#"{"arg":{"channel":"index-tickers","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","idxPx":"42311.25","high24h":"0.5","low24h":"0.1","open24h":"0.1","sodUtc0":"0.1","sodUtc8":"0.1","ts":"1597026383085"}]}"#,
    ),
    (
        "swap",
        "BTC-USD",
        r#"{"arg":{"channel":"funding-rate","instId":"BTC-USD-SWAP"},"data":[{"formulaType":"noRate","fundingRate":"0.0001875391284828","fundingTime":"1700726400000","impactValue":"","instId":"BTC-USD-SWAP","instType":"SWAP","interestRate":"","method":"current_period","maxFundingRate":"0.00375","minFundingRate":"-0.00375","nextFundingRate":"","nextFundingTime":"1700755200000","prevFundingTime":"1700697600000","premium":"-0.0001233824646391","settFundingRate":"0.0001699799259033","settState":"settled","ts":"1700724675402"}]}"#,
    ),
    (
        "swap",
        "BTC-USDT",
        r#"{"arg":{"channel":"open-interest","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","instType":"SWAP","oi":"2216113.01000000309","oiCcy":"22161.1301000000309","oiUsd":"1939251795.54","ts":"1743041250440"}]}"#,
    ),
    (
        "swap",
        "IOST-USDT",
        r#"{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"details":[{"bkLoss":"0","bkPx":"0.007831","ccy":"","posSide":"short","side":"buy","sz":"13","ts":"1692266434010"}],"instFamily":"IOST-USDT","instId":"IOST-USDT-SWAP","instType":"SWAP","uly":"IOST-USDT"}]}"#,
    ),
    (
        "spot",
        "",
        r#"{"arg":{"channel":"candle1m","instId":"BTC-USDT"},"data":[["1597026360000","8533.02","8553.74","8527.17","8548.26","45247","529.5858061","5529.5858061","1"]]}"#,
    ),
    (
        "swap",
        "BTC-USDT",
        r#"{"arg":{"channel":"candle1Mutc","instId":"BTC-USDT-SWAP"},"data":[["1596240000000","8533","8553.5","8527","8548","45247","529.5","","0"]]}"#,
    ),
    (
        "option",
        "BTC-USD",
        r#"{"arg":{"channel":"opt-summary","instFamily":"BTC-USD"},"data":[{"instType":"OPTION","instId":"BTC-USD-220304-32000-P","uly":"BTC-USD","delta":"-1.118","gamma":"2.236","vega":"0.0000000001","theta":"0.0000032","lever":"8.46","markVol":"0.3675","bidVol":"0","askVol":"","realVol":"","deltaBS":"-0.9999","gammaBS":"0.0000000002","thetaBS":"28.26","vegaBS":"0.0000114","ts":"1728703155650","fwdPx":"62604.69","volLv":"0.2044"}]}"#,
    ),
];

/// The frames of a record, one for each stream that brings it.
fn frames(record: RecordRef<'_>, instrument: &Instrument) -> Vec<String> {
    render(record, instrument).iter().map(|message| message.text(&argument_of(&message.stream))).collect()
}

/// Every frame made of a record gives that record again.
pub(super) fn comes_back(record: RecordRef<'_>, instrument: &Instrument) -> Result<(), TestCaseError> {
    let frames = frames(record, instrument);
    prop_assert!(!frames.is_empty());
    for frame in frames {
        let mut decoder = FrameDecoder::new(&instrument.market, table(&instrument.venue_symbol));
        let again = decoded(&mut decoder, &frame);
        let again: Vec<_> = again.iter().collect();
        prop_assert_eq!(&again[..], &[record][..], "{}", frame);
    }
    Ok(())
}

fn symbol_of(frame: &Value) -> String {
    let named = frame["data"][0]["instId"].as_str().or(frame["arg"]["instId"].as_str());
    named.unwrap().to_owned()
}

#[test]
fn frames_made_of_records_look_like_the_venues() {
    for (market, underlying, text) in FRAMES {
        let frame: Value = serde_json::from_str(text).unwrap();
        let instrument = instrument(market, &symbol_of(&frame), underlying);
        let mut decoder = FrameDecoder::new(market, table(&instrument.venue_symbol));
        for record in decoded(&mut decoder, text).iter() {
            comes_back(record, &instrument).unwrap();
            let made = frames(record, &instrument);
            let parsed = |frame: &String| serde_json::from_str::<Value>(frame).unwrap();
            let same = made.iter().find(|made| parsed(made)["arg"] == frame["arg"]).unwrap();
            assert!(has_shape(&parsed(same), &frame, false), "{same} for {frame}");
            let mut is_predicted =
                |frame: &str| decoder.predicted(frame.as_bytes(), 0, &mut RecordBuffer::default()).is_some();
            assert!(
                is_predicted(same) || !is_predicted(text),
                "the order of keys is not the venue's: {same}"
            );
        }
    }
}

#[test]
fn captured_frames_come_back() {
    for (market, text) in captured("okx") {
        let frame: Value = serde_json::from_str(&text).unwrap();
        let instrument = instrument(&market, &symbol_of(&frame), "");
        let mut decoder = FrameDecoder::new(&market, table(&instrument.venue_symbol));
        for record in decoded(&mut decoder, &text).iter() {
            comes_back(record, &instrument).unwrap();
            let channel = frame["arg"]["channel"].as_str().unwrap().replace("-l2-tbt", "");
            let made = frames(record, &instrument);
            let made = made.iter().map(|made| serde_json::from_str::<Value>(made).unwrap());
            let same = made.into_iter().find(|made| made["arg"]["channel"] == channel.as_str()).unwrap();
            assert!(has_shape(&same, &frame, true), "{same} for {frame}");
        }
    }
}
