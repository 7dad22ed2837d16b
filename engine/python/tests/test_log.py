"""Opening, choosing and checking a log."""

from __future__ import annotations

import json
import re
import subprocess
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import marketprism as mp
import numpy as np
import pandas as pd
import pytest
from conftest import FIXTURES, PROGRAM, query, run
from marketprism.times import Time, nanoseconds


def test_instruments_are_those_of_the_log(demo: Path) -> None:
    inspected = json.loads(run("inspect", demo, "--json"))["instruments"]
    instruments = mp.open(demo).instruments
    assert [dict(instrument.definition) for instrument in instruments] == inspected
    bitcoin = mp.open(demo).instrument("BTCUSDT", market="spot")
    assert (bitcoin.symbol, str(bitcoin.tick)) == ("BTC-USDT", bitcoin.definition["tick"])


def test_streams_and_verification_are_those_of_the_program(demo: Path) -> None:
    verified = json.loads(run("verify", demo, "--json").splitlines()[-1])
    log = mp.open(demo)
    assert log.verify() == verified
    assert log.coverage() == json.loads(run("inspect", demo, "--coverage", "--json").splitlines()[-1])
    expected = {
        (each["venue"], each["market"], each["venue_symbol"], each["kind"]): [
            each.get(name) for name in ("records", "gaps", "first_ns", "last_ns")
        ]
        for each in verified["streams"]
    }
    found = {
        (each.instrument.venue, each.instrument.market, each.instrument.venue_symbol, each.kind.name.lower()): [
            each.records,
            each.gaps,
            each.first_ns,
            each.last_ns,
        ]
        for each in log.streams()
    }
    assert found == expected


@pytest.mark.parametrize(
    ("arguments", "selection"),
    [
        (["--symbol", "BTCUSDT"], {"symbol": "BTCUSDT"}),
        (["--symbol", "BTC-USDT"], {"symbol": "BTC-USDT"}),
        (["--symbol", "BTC-USDT", "--venue", "okx"], {"symbol": "BTC-USDT", "venue": "okx"}),
        (["--symbol", "*-PERP", "--symbol", "ETH?USDT"], {"symbol": ["*-PERP", "ETH?USDT"]}),
        (["--market", "spot"], {"market": "spot"}),
    ],
)
@pytest.mark.parametrize("kind", ["trade", "book_delta", "quote"])
def test_a_selection_is_the_same_as_of_the_program(
    demo: Path, kind: str, arguments: list[str], selection: dict[str, str]
) -> None:
    lines = query(demo, "--kind", kind, *arguments)
    log = mp.open(demo)
    assert log.records(kind, **selection).sequence.tolist() == [line["sequence"] for line in lines]
    batches = [batch.sequence for batch in log.batches(kind, **selection)]
    assert np.concatenate(batches).tolist() == [line["sequence"] for line in lines]
    assert all(len(batch) for batch in batches)


def test_times_bound_what_is_read(demo: Path) -> None:
    times = sorted(mp.open(demo).quotes().receive_ns.tolist())
    start, end = times[len(times) // 4], times[len(times) // 2]
    lines = query(demo, "--kind", "quote", "--from", str(start), "--to", str(end))
    log = mp.open(demo)
    assert log.quotes(start=start, end=end).sequence.tolist() == [line["sequence"] for line in lines]
    batches = [batch.sequence for batch in log.batches(mp.Quotes, start=start, end=end)]
    assert np.concatenate(batches).tolist() == [line["sequence"] for line in lines]
    assert 0 < len(lines) < len(times)


def test_a_name_that_is_not_there_is_refused_with_a_hint(demo: Path) -> None:
    log = mp.open(demo)
    with pytest.raises(mp.LogError, match=r"did you mean .*BTCUSDT"):
        log.trades("BTCUSTD")
    with pytest.raises(mp.LogError, match="name venue and market"):
        log.instrument("BTC-USDT")
    with pytest.raises(mp.LogError, match="no kind is named 'trades'"):
        log.records("trades")


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(mp.LogError, match="holds no segment"):
        mp.open(tmp_path)
    with pytest.raises(mp.LogError, match="nowhere"):
        mp.open(tmp_path / "nowhere")


NS = 1_795_428_000_123_456_789


@pytest.mark.parametrize(
    ("written", "ns"),
    [
        ("2026-11-23T10:00Z", 1_795_428_000_000_000_000),
        ("2026-11-23 10:00:00.123456789Z", NS),
        ("2026-11-23T12:00:00.123456789+02:00", NS),
        ("2026-11-23T10:00:00.1Z", 1_795_428_000_100_000_000),
        ("2026-11-23", 1_795_392_000_000_000_000),
        ("1969-12-31T23:59:59.999999999Z", -1),
        (NS, NS),
        (np.int64(NS), NS),
        (np.datetime64(NS, "ns"), NS),
        (np.datetime64("2026-11-23"), 1_795_392_000_000_000_000),
        (pd.Timestamp(NS, unit="ns", tz="UTC"), NS),
        (datetime(2026, 11, 23, 10, tzinfo=UTC), 1_795_428_000_000_000_000),
        (datetime(2026, 11, 23, 12, tzinfo=timezone(timedelta(hours=2))), 1_795_428_000_000_000_000),
    ],
)
def test_times_are_read_in_every_form(written: Time, ns: int) -> None:
    assert nanoseconds(written) == ns


@pytest.mark.parametrize(
    "written", ["", "today", "2026-11-23T10:00", "2026-13-01", datetime(2026, 11, 23), np.datetime64("NaT")]
)
def test_what_is_no_time_is_refused(written: Time) -> None:
    with pytest.raises(ValueError, match=r"time"):
        nanoseconds(written)


def test_gaps_are_those_of_the_program() -> None:
    log = mp.open(FIXTURES / "live")
    assert len(log.gaps()) == len(query(FIXTURES / "live", "--kind", "gap"))
    assert len(log.gaps(kind="book_delta")) == 2
    assert len(log.gaps(kind="trade")) == 0
    assert log.gaps().reason.tolist() == [mp.GapReason.RESYNCHRONISED, mp.GapReason.RESTART]


@pytest.mark.filterwarnings("ignore:.*are missing")
def test_damage_is_warned_of_and_the_rest_is_read(damaged: Path) -> None:
    log = mp.open(damaged)
    lines = query(damaged, "--kind", "quote", codes=(1,))
    with pytest.warns(mp.LogWarning, match="damaged"):
        quotes = log.quotes()
    assert quotes.problems[0].file.endswith(".seg")
    assert quotes.sequence.tolist() == [line["sequence"] for line in lines]
    with pytest.warns(mp.LogWarning, match="damaged"):
        batches = [batch.sequence for batch in log.batches(mp.Quotes)]
    assert np.concatenate(batches).tolist() == quotes.sequence.tolist()
    with pytest.warns(mp.LogWarning, match="damaged"):
        log.streams()
    assert not log.verify()["ok"]


def test_a_batch_that_was_taken_out_is_noticed(tmp_path: Path) -> None:
    name = "00000000000000000000.seg"
    original = (FIXTURES / "live" / name).read_bytes()
    _, _, second, third, _, footer = (match.start() for match in re.finditer(b"MPRISM-B", original))
    (tmp_path / name).write_bytes(original[:second] + original[third:footer])
    log = mp.open(tmp_path)
    (lost,) = re.findall(r"capture sequences (\d+) to", str(log.verify()["problems"]))
    with pytest.warns(mp.LogWarning, match=f"{lost} had to come"):
        list(log.batches("quote"))
    with pytest.warns(mp.LogWarning, match=f"{lost} to"):
        log.quotes()


def test_a_log_is_read_while_it_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    seen: list[int] = []
    command = [PROGRAM, "demo", "--seconds", "3", "--rate", "3000", "--data-dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as recorder:
        deadline = time.monotonic() + 120
        while recorder.poll() is None:
            assert time.monotonic() < deadline
            if not list(folder.glob("*.seg")):
                continue
            log = mp.open(folder)
            trades, later = log.trades(), log.trades()
            assert not trades.problems
            assert (later.data[: len(trades)] == trades.data).all()
            seen.append(len(trades))
    log = mp.open(folder)
    assert log.verify()["ok"]
    assert seen == sorted(seen)
    assert len(set(seen)) > 2, "records came while it was read"
    assert len(log.trades()) == len(query(folder, "--kind", "trade")) >= seen[-1]
