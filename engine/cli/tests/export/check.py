"""Opens the files of an export with the tools that they are made for, and compares every value with the log.

check.py parquet OUT QUERY            QUERY: the log as `query --format json` prints it
check.py tardis OUT QUERY
check.py hftbacktest OUT BOOKS QUERY  BOOKS: the books at the end of the log as `query --book-at --json` prints them

Prints one line of JSON with what was compared; any difference is an exception.
"""

import glob
import gzip
import json
import os
import sys
from decimal import Decimal, getcontext

getcontext().prec = 60

FLAGS = ["snapshot", "backfilled", "rest", "book_invalid", "suspect_clock", "derived"]
FIRST = {"sequence", "receive_ns", "exchange_ns", "exact_json", "partial", *FLAGS}
ABSENT_FLAGS = {"repaired", "closed", "block", "combo"}


def rows_of(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def levels(value):
    return [[Decimal(level["price"]), Decimal(level["quantity"])] for level in value]


def expected_columns(row):
    """The columns that a line of query fills."""
    columns = {}
    for name, value in row.items():
        if name in ("kind", "venue", "market", "symbol", "venue_symbol", "flags"):
            continue
        if name in ("bids", "asks"):
            columns[name] = [[Decimal(price), Decimal(quantity)] for price, quantity in value]
        else:
            columns[name] = value
    if "trade_sequence" in row:
        columns["venue_trade_id"] = columns.pop("trade_id")
    return columns


def same(name, column, value):
    if name in ("bids", "asks"):
        return levels(column) == value
    if name in ("definition", "detail"):
        return json.loads(column) == value
    if name == "frame":
        return column.decode("utf-8", "replace") == value
    if isinstance(column, Decimal):
        return column == Decimal(value)
    if isinstance(column, bool) or isinstance(value, bool):
        return column is value
    if isinstance(column, int):
        return column == int(value)
    return column == value


def compare_row(found, row):
    expected = expected_columns(row)
    exact = found["exact_json"]
    if exact is not None:
        assert json.loads(exact) == row, (exact, row)
    for flag in FLAGS:
        assert found[flag] == (flag in row["flags"]), (flag, found, row)
    for name, value in expected.items():
        if exact is not None and found[name] is None:
            continue
        assert same(name, found[name], value), (name, found[name], value)
    for name, value in found.items():
        if name in expected or name in FIRST - {"sequence", "receive_ns", "exchange_ns"}:
            continue
        assert value is None or (name in ABSENT_FLAGS and value is False), (name, value, row)


def pyarrow_rows(table):
    """Rows with times as whole nanoseconds."""
    import pyarrow as pa

    columns = {}
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_timestamp(column.type):
            assert column.type == pa.timestamp("ns", "UTC"), column.type
            column = column.cast(pa.int64())
        columns[name] = column.to_pylist()
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


def check_parquet(out, query):
    import polars
    import pyarrow.dataset

    by_kind = {}
    for row in rows_of(query):
        by_kind.setdefault(row["kind"], []).append(row)
    compared = 0
    dataset = pyarrow.dataset.partitioning(flavor="hive")
    for kind, expected in by_kind.items():
        pattern = os.path.join(out, "venue=*", "market=*", f"kind={kind}")
        table = pyarrow.concat_tables(
            pyarrow.dataset.dataset(folder, format="parquet", partitioning=dataset).to_table()
            for folder in sorted(glob.glob(pattern))
        ).sort_by("sequence")
        found = pyarrow_rows(table.drop_columns(["symbol", "date"]))
        symbols = table.column("symbol").to_pylist()
        assert [row.get("symbol", "_market") for row in expected] == symbols, kind
        assert len(found) == len(expected), (kind, len(found), len(expected))
        for row, line in zip(found, expected):
            compare_row(row, line)
        compared += len(found)
        check_polars(out, kind, found, symbols)
    whole = polars.scan_parquet(f"{out}/venue=*/market=*/kind=trade/**/*.parquet", hive_partitioning=True)
    trades = whole.select("venue", "market", "symbol", "date").collect()
    assert len(trades) == len(by_kind["trade"])
    for path in glob.glob(f"{out}/**/*.parquet", recursive=True):
        check_file(path)
    return {"compared": compared, "kinds": len(by_kind)}


def check_file(path):
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(path)
    metadata = file.schema_arrow.metadata
    sequences = file.read(columns=["sequence"]).column(0).to_pylist()
    assert sequences == sorted(sequences), path
    assert int(file.metadata.metadata[b"marketprism.first_sequence"]) == sequences[0]
    assert int(file.metadata.metadata[b"marketprism.last_sequence"]) == sequences[-1]
    definition = json.loads(file.metadata.metadata[b"marketprism.instrument"])
    assert f"venue={definition['venue']}/" in path
    column = file.metadata.row_group(0).column(0)
    assert column.compression == "ZSTD" and column.statistics.has_min_max, metadata


def check_polars(out, kind, expected, symbols):
    import polars

    files = f"{out}/venue=*/market=*/kind={kind}/**/*.parquet"
    frame = polars.scan_parquet(files, hive_partitioning=True).sort("sequence").collect()
    assert frame["symbol"].to_list() == symbols, kind
    for name, dtype in frame.schema.items():
        if name in ("venue", "market", "kind", "symbol", "date"):
            continue
        column = frame[name]
        if dtype == polars.Datetime("ns", "UTC"):
            column = column.to_physical()
        values = column.to_list()
        if name in ("bids", "asks"):
            assert [row and levels(row) for row in values] == [row[name] and levels(row[name]) for row in expected]
            continue
        assert values == [row[name] for row in expected], (kind, name)


EXCHANGES = {
    ("binance", "spot"): "binance",
    ("binance", "usdm"): "binance-futures",
    ("binance", "coinm"): "binance-delivery",
    ("okx", "spot"): "okex",
    ("okx", "swap"): "okex-swap",
    ("okx", "futures"): "okex-futures",
    ("okx", "option"): "okex-options",
}


def exchange(row):
    return EXCHANGES.get((row["venue"], row["market"]), row["venue"])


def times(row):
    receive = str(row["receive_ns"] // 1000)
    return [str(row["exchange_ns"] // 1000) if "exchange_ns" in row else receive, receive]


def tardis_cells(row):
    """Type of data and cells of a line of query that is a row by itself."""
    if "venue_symbol" not in row:
        return None, None
    start = [exchange(row), row["venue_symbol"].upper(), *times(row)]
    side = row.get("side", "unknown")
    if row["kind"] == "trade":
        return "trades", [*start, row["trade_id"], side, row["price"], row["quantity"]]
    if row["kind"] == "quote":
        names = ["ask_quantity", "ask_price", "bid_price", "bid_quantity"]
        return "quotes", [*start, *(row.get(name, "") for name in names)]
    if row["kind"] == "liquidation":
        return "liquidations", [*start, "", side, row["price"], row.get("filled_quantity", row["quantity"])]
    return None, None


def check_tardis(out, query):
    import pandas
    import polars

    rows = rows_of(query)
    expected = {}
    for row in rows:
        data, cells = tardis_cells(row)
        if data:
            expected.setdefault(data, []).append(cells)
    compared = 0
    for data, cells in expected.items():
        found = []
        for path in glob.glob(f"{out}/*_{data}_*.csv.gz"):
            with gzip.open(path, "rt", encoding="utf-8") as file:
                found.extend(line.rstrip("\n").split(",") for line in file.readlines()[1:])
        if data == "liquidations":
            found = [cells for cells in found if cells[4] == ""]
        different = [pair for pair in zip(sorted(found), sorted(cells)) if pair[0] != pair[1]]
        assert len(found) == len(cells) and not different, (data, len(found), len(cells), different[:3])
        compared += len(found)
    for path in sorted(glob.glob(f"{out}/*.csv.gz")):
        one = pandas.read_csv(path)
        other = polars.read_csv(path, infer_schema_length=None)
        assert len(one) == len(other) > 0 and list(one.columns) == other.columns, path
        assert one["timestamp"].dtype == one["local_timestamp"].dtype == "int64", path
        for name in ("price", "amount", "mark_price", "ask_price", "bid_price"):
            if name in one.columns:
                assert one[name].dtype.kind in "fi", (path, name, one[name].dtype)
        if "is_snapshot" in one.columns:
            assert one["is_snapshot"].dtype == bool and other["is_snapshot"].dtype == polars.Boolean
            assert one["local_timestamp"].is_monotonic_increasing, path
    return {"compared": compared, "files": len(glob.glob(f"{out}/*.csv.gz"))}


def check_hftbacktest(out, books, query):
    import numpy
    from hftbacktest import BacktestAsset, HashMapMarketDepthBacktest
    from hftbacktest.data import validate_event_order
    from hftbacktest.types import event_dtype

    trades = {}
    for row in rows_of(query):
        if row["kind"] == "trade":
            name = (row["venue"], row["market"], row["symbol"])
            trades[name] = trades.get(name, 0) + 1
    files = sorted(glob.glob(f"{out}/*.npz"))
    found = {}
    for path in files:
        with numpy.load(path) as archive:
            data = archive["data"]
        assert data.dtype == event_dtype, data.dtype
        validate_event_order(data)
        assert (data["local_ts"] >= data["exch_ts"]).all()
        venue, market, rest = os.path.basename(path).split("_", 2)
        symbol = rest.rsplit("_", 1)[0]
        name = (venue, market, symbol)
        is_trade = (data["ev"] & 0xFF == 2) & (data["ev"] & (1 << 31) != 0)
        found[name] = found.get(name, 0) + int(is_trade.sum())
    assert {name: count for name, count in found.items() if count} == trades
    steps = 0
    for book in rows_of(books):
        if not book["valid"] or not (book["bids"] or book["asks"]):
            continue
        prefix = f"{out}/{book['venue']}_{book['market']}_{book['symbol']}_"
        parts = sorted(path for path in files if path.startswith(prefix))
        steps += backtest(BacktestAsset, HashMapMarketDepthBacktest, parts, book)
    assert steps > 0, "no book was stepped through"
    return {"files": len(files), "trades": sum(found.values()), "steps": steps}


def backtest(asset, bot, files, book):
    """Steps through the files; the book at the end has to be the one of query. Gives the number of steps."""
    tick = 10.0 ** -max(len(price.partition(".")[2]) for price, _ in book["bids"] + book["asks"])
    hbt = bot(
        [
            asset()
            .data(files)
            .tick_size(tick)
            .lot_size(1e-8)
            .linear_asset(1.0)
            .constant_order_latency(0, 0)
            .risk_adverse_queue_model()
            .no_partial_fill_exchange()
            .trading_value_fee_model(0, 0)
        ]
    )
    steps = 0
    while hbt.elapse(500_000_000) == 0:
        steps += 1
    depth = hbt.depth(0)
    for side, at, best in (("bids", depth.bid_qty_at_tick, depth.best_bid_tick), ("asks", depth.ask_qty_at_tick, depth.best_ask_tick)):
        expected = {round(float(price) / tick): float(quantity) for price, quantity in book[side]}
        assert all(at(price) == quantity for price, quantity in expected.items()), (files, side)
        if not expected:
            continue
        assert best == (max(expected) if side == "bids" else min(expected)), (files, side)
        around = range(min(expected) - 50, max(expected) + 50)
        if len(around) < 1_000_000:
            assert {price for price in around if at(price) > 0} == set(expected), (files, side)
    hbt.close()
    return steps


if __name__ == "__main__":
    checks = {"parquet": check_parquet, "tardis": check_tardis, "hftbacktest": check_hftbacktest}
    print(json.dumps(checks[sys.argv[1]](*sys.argv[2:])))
