"""Every kind of record against what `marketprism query` prints."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import marketprism as mp
import numpy as np
import pandas as pd
import polars as pl
import pytest
from conftest import FIXTURES, Object, query
from marketprism.kinds import CLASSES

CLASSES_OF_KINDS = {name: kind for name, kind in CLASSES.items() if name != "book"}


def rows(records: mp.Records) -> list[Object]:
    """The rows of a table as `query` prints them: what is absent is left out."""
    table = records.to_arrow()
    table.validate(full=True)
    times = {field.name for field in table.schema if str(field.type).startswith("timestamp")}
    # Python's datetime has no nanoseconds.
    for index, name in enumerate(table.column_names):
        if name in times:
            table = table.set_column(index, name, table.column(name).cast("int64"))
    return [{key: value for key, value in row.items() if value is not None} for row in table.to_pylist()]


def comparable(value: Any) -> Any:
    """Numbers as numbers: JSON has decimals and ids as texts."""
    match value:
        case bool() | None:
            return value
        case int() | Decimal():
            return Decimal(value)
        case {"price": price, "quantity": quantity}:
            return [comparable(price), comparable(quantity)]
        case bytes():
            return value.decode("utf-8", "replace")
        case list():
            return [comparable(each) for each in value]
        case str():
            try:
                return Decimal(value)
            except ArithmeticError:
                return value
    return value


def check_row(row: Object, line: Object) -> None:
    """A row has everything that the line of JSON has, and nothing else."""
    row, line = dict(row), dict(line)
    line.pop("kind")
    row.pop("kind", None)
    names = [str(flag.name).lower() for flag in mp.Flag(row.pop("flags")) if flag.name not in ("CHECKSUM", "PARTIAL")]
    assert names == line.pop("flags")
    for embedded in ("definition", "detail"):
        if embedded in line:
            assert json.loads(row.pop(embedded)) == line.pop(embedded)
    # JSON has these only where they say something.
    for key in ("block", "combo"):
        assert row.pop(key, False) == line.pop(key, False)
    assert row.pop("offset", 0) == line.pop("offset", 0)
    assert {key: comparable(value) for key, value in row.items()} == {key: comparable(value) for key, value in line.items()}


def check(log: mp.Log, kind: str, lines: list[Object]) -> None:
    """All records of a kind, as one table and batch by batch."""
    lines = [line for line in lines if is_of(line, kind)]
    for records in (log.records(kind), *log.batches(kind)):
        assert isinstance(records, CLASSES[kind])
    table = rows(log.records(kind))
    assert len(table) == len(lines)
    for row, line in zip(table, lines, strict=True):
        check_row(row, line)
    batches = [row for batch in log.batches(kind) for row in rows(batch)]
    assert batches == table


def is_of(line: Object, kind: str) -> bool:
    """Detailed trades are trades in JSON, and have a sequence besides their id."""
    if kind == "detailed_trade":
        return "trade_sequence" in line
    return bool(line["kind"] == kind)


@pytest.mark.parametrize("log", sorted(path.name for path in FIXTURES.iterdir() if path.is_dir()))
@pytest.mark.parametrize("kind", sorted(CLASSES_OF_KINDS.keys() - {"trade"}))
def test_every_kind_is_as_the_program_prints_it(log: str, kind: str) -> None:
    lines = query(FIXTURES / log)
    check(mp.open(FIXTURES / log), kind, lines)
    assert any(is_of(line, kind) for line in lines), "the fixtures hold every kind"


@pytest.mark.parametrize("kind", sorted(CLASSES_OF_KINDS.keys() - {"trade"}))
def test_a_recording_is_as_the_program_prints_it(demo: Path, kind: str) -> None:
    check(mp.open(demo), kind, query(demo, "--kind", "trade" if kind == "detailed_trade" else kind))


def test_trades_of_all_kinds_are_one_table(demo: Path) -> None:
    lines = query(demo, "--kind", "trade")
    trades = mp.open(demo).trades()
    assert any("trade_sequence" in line for line in lines)
    detail = {"trade_sequence", "mark_price", "index_price", "iv", "liquidation", "block", "combo", "trade_id"}
    for row, line in zip(rows(trades), lines, strict=True):
        is_detailed = "trade_sequence" in line
        check_row(row, {key: line[key] for key in line if not is_detailed or key not in detail})


def test_books_are_snapshots_and_deltas_in_order(demo: Path) -> None:
    lines = query(demo, "--kind", "book_snapshot", "--kind", "book_delta")
    books = mp.open(demo).books()
    assert [row["kind"] for row in rows(books)] == [line["kind"] for line in lines]
    assert {"book_snapshot", "book_delta"} == {line["kind"] for line in lines}


def test_levels_of_one_record_are_those_of_its_row(demo: Path) -> None:
    deltas = mp.open(demo).book_deltas("BTCUSDT", venue="binance", market="spot")
    assert len(deltas) > 10
    for place, row in enumerate(rows(deltas[:10])):
        for name, side in (("bids", deltas.bids), ("asks", deltas.asks)):
            assert list(side[place].price) == [level["price"] for level in row[name]]
            assert list(side[place].quantity) == [level["quantity"] for level in row[name]]


def test_decimals_keep_the_digits_of_the_venue(demo: Path) -> None:
    lines = query(demo, "--kind", "quote")
    quotes = mp.open(demo).quotes()
    texts = [f"{price:f}" for price in quotes.bid_price.to_decimals() if price is not None]
    assert texts == [line["bid_price"] for line in lines if "bid_price" in line]


def test_floats_are_the_nearest_ones(demo: Path) -> None:
    lines = query(demo, "--kind", "trade")
    trades = mp.open(demo).trades()
    assert trades.price.to_float().tolist() == [float(line["price"]) for line in lines]
    assert trades.quantity.to_float().tolist() == [float(line["quantity"]) for line in lines]


def test_decimals_do_not_become_floats_unasked() -> None:
    prices = mp.open(FIXTURES / "live").trades().price
    with pytest.raises(TypeError, match="to_float"):
        np.asarray(prices)


def test_what_is_absent_is_null_nan_and_nat() -> None:
    quotes = mp.open(FIXTURES / "live").quotes()
    absent = quotes.ask_price.mantissas == mp.ABSENT
    assert 0 < absent.sum() < len(absent)
    assert (np.isnan(quotes.ask_price.to_float()) == absent).all()
    assert (quotes.to_arrow()["ask_price"].is_null().to_numpy() == absent).all()
    assert [price is None for price in quotes.ask_price] == absent.tolist()
    trades = mp.open(FIXTURES / "live").trades()
    missing = trades.exchange_ns == mp.ABSENT
    assert missing.any()
    assert (np.isnat(trades.exchange_time) == missing).all()


def test_exponents_may_differ_from_row_to_row() -> None:
    trades = mp.open(FIXTURES / "live").trades()
    assert len(set(trades.price.exponents.tolist())) > 1
    assert trades.price.to_arrow().to_pylist() == trades.price.to_decimals()


def test_numbers_too_long_for_arrow_are_refused_and_still_exact() -> None:
    decimals = mp.Decimals(np.array([1, 1]), np.array([-100, 3], np.int8))
    with pytest.raises(mp.LogError, match="digits"):
        decimals.to_arrow()
    assert decimals.to_decimals() == [Decimal("1e-100"), Decimal(1000)]


def test_polars_and_pandas_have_the_same_values(demo: Path) -> None:
    quotes = mp.open(demo).quotes()
    table, frame, pandas = quotes.to_arrow(), quotes.to_polars(), quotes.to_pandas()
    assert frame["bid_price"].dtype.is_decimal()
    assert frame["receive_ns"].dtype == pl.Datetime("ns", "UTC")
    for name in ("bid_price", "ask_quantity", "sequence"):
        expected = table[name].to_pylist()
        assert frame[name].to_list() == expected
        assert pandas[name].astype(object).where(pandas[name].notna(), None).tolist() == expected
    assert frame["symbol"].cast(pl.String).to_list() == table["symbol"].to_pylist()
    assert pandas["receive_ns"].dtype == pd.ArrowDtype(table.schema.field("receive_ns").type)
    floats = quotes.to_polars(floats=True)
    np.testing.assert_array_equal(floats["bid_price"].to_numpy(), quotes.bid_price.to_float())


def test_a_mask_takes_some_of_the_records(demo: Path) -> None:
    trades = mp.open(demo).trades()
    buys = trades[trades.side == mp.Side.BUY]
    names = Counter(line["side"] for line in query(demo, "--kind", "trade"))
    assert 0 < len(buys) == names["buy"]
    assert set(buys.to_arrow()["side"].to_pylist()) == {"buy"}
    with pytest.raises(TypeError):
        trades[0]  # type: ignore[index]


def test_sequences_are_those_of_the_log(demo: Path) -> None:
    quotes = mp.open(demo).quotes()
    assert quotes.sequence.tolist() == [line["sequence"] for line in query(demo, "--kind", "quote")]
