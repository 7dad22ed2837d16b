"""What is not copied is the file, stays there, and cannot be written."""

from __future__ import annotations

import gc
import re
import shutil
from pathlib import Path
from typing import Any

import marketprism as mp
import numpy as np
import pytest
from conftest import FIXTURES, ROOT, mapped_file
from marketprism.kinds import CLASSES
from marketprism.records import DTYPES

FORMAT = (ROOT / "engine/log/FORMAT.md").read_text()


def address(array: np.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log that is stored plain, in a folder that may be removed."""
    folder = tmp_path / "log"
    shutil.copytree(FIXTURES / "live", folder)
    return folder


def test_a_plain_batch_is_the_mapped_file(log: Path) -> None:
    batch = next(mp.open(log).batches(mp.Quotes))
    assert batch.is_view
    assert mapped_file(address(batch.data)) == str(next(iter(sorted(log.glob("*.seg")))))
    assert not batch.data.flags.owndata
    assert not batch.data.flags.writeable
    assert np.shares_memory(batch.data, batch.bid_price.mantissas)
    assert np.shares_memory(batch.data, batch.receive_time)


def test_bytes_of_a_view_are_bytes_of_the_file(log: Path) -> None:
    batch = next(mp.open(log).batches(mp.Quotes))
    contents = sorted(log.glob("*.seg"))[0].read_bytes()
    assert contents.count(batch.data.tobytes()) == 1


def test_levels_of_a_plain_batch_are_the_mapped_file(log: Path) -> None:
    books = next(mp.open(log).batches(mp.Books))
    assert books.is_view
    assert len(books.levels)
    assert mapped_file(address(books.levels)).endswith(".seg")
    assert np.shares_memory(books.levels, books.bids[0].data)


def test_the_mapping_lives_as_long_as_an_array_of_it(log: Path) -> None:
    opened = mp.open(log)
    batch = next(opened.batches(mp.Quotes))
    prices, expected = batch.bid_price.mantissas, batch.bid_price.mantissas.tolist()
    place = address(prices)
    del batch, opened
    shutil.rmtree(log)
    gc.collect()
    assert prices.tolist() == expected
    assert mapped_file(place).endswith(".seg (deleted)")
    del prices
    gc.collect()
    assert ".seg" not in mapped_file(place)


def test_a_batch_with_others_between_is_copied(log: Path) -> None:
    batch = next(mp.open(log).batches(mp.BookDeltas))
    assert not batch.is_view
    assert ".seg" not in mapped_file(address(batch.data))


def test_compressed_batches_are_decoded_into_memory() -> None:
    batches = list(mp.open(FIXTURES / "compacted").batches(mp.Quotes))
    assert [batch.is_view for batch in batches] == [False] * len(batches) != []


def test_nothing_can_be_written(log: Path) -> None:
    for quotes in (mp.open(log).quotes(), next(mp.open(log).batches(mp.Quotes))):
        with pytest.raises(ValueError, match="read-only"):
            quotes.data["bid_price"][0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            quotes.data.flags.writeable = True


def test_columns_of_a_table_are_views_of_it(log: Path) -> None:
    trades = mp.open(log).trades()
    for column in (trades.price.mantissas, trades.price.exponents, trades.side, trades.receive_time):
        assert np.shares_memory(trades.data, column)


def table(heading: str) -> list[list[str]]:
    """The cells of a table of FORMAT.md."""
    found = re.search(rf"^### {heading}.*?\n(.*?)(?=^#|\Z)", FORMAT, re.MULTILINE | re.DOTALL)
    assert found, heading
    lines = [line for line in found[1].splitlines() if line.startswith("|")]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[2:]]


TYPES = {"u8": "<u1", "i8": "<i1", "u16": "<u2", "u32": "<u4", "u64": "<u8", "i64": "<i8"}
TYPES |= {f"[u8; {length}]": f"S{length}" for length in (4, 24)} | {"[i8; 16]": "16i1"}


def fields(struct: str, start: int = 0) -> dict[str, tuple[int, str]]:
    """Offsets and types of a struct by FORMAT.md, those of the structs in it among them."""
    found: dict[str, tuple[int, str]] = {}
    for offset, _, name, kind, *_ in table(f"{struct}: "):
        place = start + int(offset)
        if name.startswith("reserved"):
            continue
        if kind in TYPES:
            found[name] = (place, TYPES[kind])
        else:
            prefix = f"{name}_" if kind == "Body" else ""
            found |= {prefix + inner: layout for inner, layout in fields(kind, place).items()}
    return found


@pytest.mark.parametrize("struct", sorted(DTYPES))
def test_structs_are_as_the_format_says(struct: str) -> None:
    dtype = DTYPES[struct]
    assert dtype.fields is not None
    found = {name: (offset, kind) for name, (kind, offset, *_) in dtype.fields.items()}
    expected = {name: (offset, np.dtype(kind)) for name, (offset, kind) in fields(struct).items()}
    assert found == expected
    assert f"### {struct}: {dtype.itemsize} bytes" in FORMAT


@pytest.mark.parametrize(
    ("heading", "values"),
    [
        ("Kinds", mp.Kind),
        ("Flags", mp.Flag),
        ("Sides", mp.Side),
        ("Trade types", mp.TradeType),
        ("Liquidated parties", mp.LiquidatedParty),
        ("Ratio basis", mp.RatioBasis),
        ("Session events", mp.SessionEvent),
        ("Gap reasons", mp.GapReason),
    ],
)
def test_values_are_as_the_format_says(heading: str, values: type[mp.Kind]) -> None:
    expected = {name.upper(): int(number) for number, name, *_ in table(heading)}
    assert {value.name: int(value) for value in values} == expected


def test_every_kind_has_a_class_of_its_struct() -> None:
    structs = {name: struct for _, name, _, struct, *_ in table("Kinds")}
    assert {name: kind.struct for name, kind in CLASSES.items() if name != "book"} == structs
