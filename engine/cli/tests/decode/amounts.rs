//! `--amounts`: base and quote amounts beside price and quantity.

use serde_json::Value;

use crate::support::{Decoded, decode};

const OKX_TRADE: &str = r#"{"arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","tradeId":"5","px":"43568.8","sz":"7","side":"buy","ts":"1630048897897"}]}"#;
const OKX_DEFINITION: &str = r#"{"code":"0","msg":"","data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","uly":"BTC-USDT","instFamily":"BTC-USDT","baseCcy":"","quoteCcy":"","settleCcy":"USDT","ctVal":"0.01","ctMult":"1","ctValCcy":"BTC","optType":"","stk":"","listTime":"1573557408000","expTime":"","tickSz":"0.1","lotSz":"1","ctType":"linear","state":"live"}]}"#;
const DERIBIT_TRADES: &str = r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"trades.BTC-PERPETUAL.100ms","data":[{"trade_seq":92836831,"trade_id":"137487241","timestamp":1616321478553,"tick_direction":1,"price":56168.0,"mark_price":56172.08,"instrument_name":"BTC-PERPETUAL","index_price":56173.74,"direction":"buy","amount":5580.0,"contracts":558.0}]}}"#;

/// Base and quote amount of each record of a kind.
fn amounts<'d>(decoded: &'d Decoded, kind: &str) -> Vec<[&'d str; 2]> {
    let text = |record: &'d Value, key: &str| record.get(key).map_or("", |value| value.as_str().unwrap());
    let records = decoded.of_kind(kind).into_iter();
    records.map(|record| [text(record, "base_quantity"), text(record, "quote_quantity")]).collect()
}

#[test]
fn contracts_need_a_definition() {
    let lines = [OKX_TRADE, OKX_DEFINITION, &OKX_TRADE.replace("\"5\"", "\"6\"")].join("\n");
    let decoded = decode("okx/swap", lines.as_bytes(), &["--amounts"]);
    assert_eq!(amounts(&decoded, "trade"), [["", ""], ["0.07", "3049.816"]], "{}", decoded.said);
    let without = decode("okx/swap", lines.as_bytes(), &[]);
    assert_eq!(amounts(&without, "trade"), [["", ""], ["", ""]]);

    let coin = r#"{"e":"aggTrade","E":1591261134288,"a":424951,"s":"BTCUSD_PERP","p":"50000","q":"3","f":606073,"l":606073,"T":1591261134199,"m":false}"#;
    let definition = r#"{"symbols":[{"symbol":"BTCUSD_PERP","pair":"BTCUSD","contractType":"PERPETUAL","deliveryDate":4133404800000,"onboardDate":1596006000000,"contractStatus":"TRADING","contractSize":100,"baseAsset":"BTC","quoteAsset":"USD","marginAsset":"BTC","filters":[]}]}"#;
    let lines = [coin, definition, &coin.replace("424951", "424952")].join("\n");
    let decoded = decode("binance/coinm", lines.as_bytes(), &["--amounts"]);
    assert_eq!(amounts(&decoded, "agg_trade"), [["", ""], ["0.006", "300"]], "{}", decoded.said);
}

#[test]
fn where_quantities_are_coins_or_dollars_the_name_is_enough() {
    let deribit = decode("deribit/perpetual", DERIBIT_TRADES.as_bytes(), &["--amounts"]);
    assert_eq!(amounts(&deribit, "trade"), [["0.099344822674832645", "5580"]], "{}", deribit.said);
    assert_eq!(deribit.of_kind("trade")[0]["trade_id"], "137487241");

    let option = DERIBIT_TRADES.replace("BTC-PERPETUAL", "BTC-26MAR21-62000-C");
    let option = decode("deribit/option", option.as_bytes(), &["--amounts"]);
    assert_eq!(amounts(&option, "trade"), [["5580", "313417440"]]);

    let spot = OKX_TRADE.replace("BTC-USDT-SWAP", "BTC-USDT");
    let spot = decode("okx/spot", spot.as_bytes(), &["--amounts"]);
    assert_eq!(amounts(&spot, "trade"), [["7", "304981.6"]]);

    let order = r#"{"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014","p":"9910","ap":"9910","X":"FILLED","l":"0.014","z":"0.014","T":1568014460893}}"#;
    let liquidation = decode("binance/usdm", order.as_bytes(), &["--amounts"]);
    assert_eq!(amounts(&liquidation, "liquidation"), [["0.014", "138.74"]], "{}", liquidation.said);
}
