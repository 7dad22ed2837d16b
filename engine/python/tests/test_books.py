"""Books of the past against those that `marketprism query --book-at` prints."""

from __future__ import annotations

import json
from pathlib import Path

import marketprism as mp
import numpy as np
import pytest
from conftest import Object, run


def printed(log: Path, instrument: mp.Instrument, at_ns: int) -> list[Object]:
    names = ("--venue", instrument.venue, "--market", instrument.market, "--symbol", instrument.venue_symbol)
    lines = run("query", log, "--json", "--book-at", str(at_ns), *names, codes=(0, 1)).splitlines()
    return [json.loads(line) for line in lines]


def instruments_with_books(log: mp.Log) -> list[mp.Instrument]:
    return [stream.instrument for stream in log.streams() if stream.kind == mp.Kind.BOOK_DELTA]


def check(folder: Path, instrument: mp.Instrument, at_ns: int) -> bool:
    """Compares a book with the printed one. Gives whether it is valid."""
    book = mp.open(folder).book_at(instrument.venue_symbol, at_ns, venue=instrument.venue, market=instrument.market)
    lines = printed(folder, instrument, at_ns)
    if not lines:
        # The program prints nothing of an instrument that has no book yet.
        assert book.reason == "no snapshot before this time"
        return False
    (expected,) = lines
    assert (book.valid, book.reason) == (expected["valid"], expected.get("reason"))
    assert (book.receive_ns, book.exchange_ns) == (expected.get("receive_ns"), expected.get("exchange_ns"))
    if not book.valid:
        with pytest.raises(mp.InvalidBookError, match="not valid"):
            print(book.bids)
        return False
    assert str(book.last_id) == expected["last_id"]
    for side, lines in ((book.bids, expected["bids"]), (book.asks, expected["asks"])):
        pairs = zip(side.price.to_decimals(), side.quantity.to_decimals(), strict=True)
        assert [[f"{price:f}", f"{quantity:f}"] for price, quantity in pairs] == lines
    return True


def test_books_are_those_of_the_program(demo: Path) -> None:
    log = mp.open(demo)
    instruments = instruments_with_books(log)
    by_market = {(instrument.venue, instrument.market): instrument for instrument in instruments}
    assert {venue for venue, _ in by_market} == {"binance", "okx", "deribit"}
    valid = 0
    for instrument in by_market.values():
        selection = {"venue": instrument.venue, "market": instrument.market}
        times = log.books(instrument.venue_symbol, **selection).receive_ns
        for at_ns in (times[0] - 1, times[len(times) // 2], int(times[-1]) - 1_000_000):
            valid += check(demo, instrument, int(at_ns))
    assert valid > len(by_market)


def test_a_time_behind_the_end_has_no_book(demo: Path) -> None:
    log = mp.open(demo)
    book = log.book_at("BTCUSDT", "2261-01-01", venue="binance", market="spot")
    assert not book.valid
    assert "ends" in str(book.reason)


@pytest.mark.filterwarnings("ignore::marketprism.LogWarning")
def test_a_damaged_log_gives_no_wrong_book(demo: Path, damaged: Path) -> None:
    verdicts = []
    for instrument in instruments_with_books(mp.open(demo)):
        selection = {"venue": instrument.venue, "market": instrument.market}
        whole, rest = (mp.open(log).books(instrument.venue_symbol, **selection).receive_ns for log in (demo, damaged))
        lost = np.setdiff1d(whole, rest)
        if len(lost):
            verdicts.append(check(damaged, instrument, int(lost[-1])))
    # A snapshot behind what is lost may have come at the same time.
    assert verdicts
    assert not all(verdicts)


def test_an_instrument_without_books_has_none(demo: Path) -> None:
    log = mp.open(demo)
    with_books = {instrument.id for instrument in instruments_with_books(log)}
    other = next(each for each in log.instruments if each.id not in with_books and each.venue_symbol)
    time = log.quotes().receive_ns[-1]
    book = log.book_at(other.venue_symbol, int(time), venue=other.venue, market=other.market)
    assert book.reason == "no snapshot before this time"
