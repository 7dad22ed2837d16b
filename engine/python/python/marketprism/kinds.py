"""A class for each kind of record. Fields and units are those of FORMAT.md, names those of `query --format json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from marketprism import arrow
from marketprism.columns import (
    ABSENT,
    BodyColumn,
    Column,
    ComputedColumn,
    DecimalColumn,
    Decimals,
    IntegerColumn,
    JsonColumn,
    NameColumn,
    TextColumn,
    TimeColumn,
    TruthColumn,
)
from marketprism.records import DTYPES, Records, view
from marketprism.values import (
    Flag,
    GapReason,
    Kind,
    LiquidatedParty,
    RatioBasis,
    SessionEvent,
    Side,
    TradeType,
)

if TYPE_CHECKING:
    import pyarrow as pa


def _price(field: str, doc: str) -> DecimalColumn:
    return DecimalColumn(field, "price_exponent", doc)


def _quantity(field: str, doc: str) -> DecimalColumn:
    return DecimalColumn(field, "quantity_exponent", doc)


def _event_ns() -> TimeColumn:
    return TimeColumn("event_ns", "The venue's publication time.")


class Trades(Records):
    """Trades of all venues. What some venues tell besides is in `DetailedTrades`; here these trades have no `trade_id`."""

    kinds = (Kind.TRADE, Kind.DETAILED_TRADE)
    struct = "Trade"

    price = _price("price", "Price.")
    quantity = _quantity("quantity", "Quantity: base units on spot and linear futures, contracts on inverse ones.")
    side = NameColumn("side", Side, "Side of the aggressor.")
    trade_id = ComputedColumn(lambda records: _trade_ids(records), "The venue's id, where it is a number.")
    first_trade_id = ComputedColumn(lambda records: _first_fill_ids(records), "First id of fills put together.")
    last_trade_id = ComputedColumn(lambda records: _last_fill_ids(records), "Last id of fills put together.")
    trade_type = NameColumn("trade_type", TradeType, "What is no ordinary match.")
    event_ns = _event_ns()


def _trade_ids(trades: Records) -> np.ma.MaskedArray[Any, Any]:
    return np.ma.masked_array(trades.data["sequence"], trades.data["kind"] != Kind.TRADE)


def _has_no_fill_ids(trades: Records) -> NDArray[np.bool_]:
    has_none: NDArray[np.bool_] = (trades.data["fills"] == 0) | (trades.data["kind"] != Kind.TRADE)
    return has_none


def _first_fill_ids(trades: Records) -> np.ma.MaskedArray[Any, Any]:
    ids = trades.data["sequence"]
    before = np.maximum(trades.data["fills"], 1) - np.uint32(1)
    return np.ma.masked_array(ids - np.minimum(before, ids), _has_no_fill_ids(trades))


def _last_fill_ids(trades: Records) -> np.ma.MaskedArray[Any, Any]:
    return np.ma.masked_array(trades.data["sequence"], _has_no_fill_ids(trades))


class DetailedTrades(Records):
    """Trades of venues that tell more than price and size."""

    kinds = (Kind.DETAILED_TRADE,)
    struct = "DetailedTrade"

    price = _price("price", "Price.")
    quantity = _quantity("quantity", "Quantity in the venue's unit.")
    side = NameColumn("side", Side, "Side of the aggressor.")
    trade_id = TextColumn("trade_id", "The venue's id.")
    trade_sequence = IntegerColumn("sequence", "Counts up by one in the instrument.")
    mark_price = _price("mark_price", "Mark price at the time of the trade.")
    index_price = _price("index_price", "Index price at the time of the trade.")
    iv = DecimalColumn("implied_volatility", "volatility_exponent", "Implied volatility in the venue's unit.")
    liquidation = NameColumn("liquidation", LiquidatedParty, "Who was liquidated.")
    block = TruthColumn("block", "A block trade, which may lie outside the book's prices.")
    combo = TruthColumn("combo", "A combo or a leg of one.")
    trade_type = NameColumn("trade_type", TradeType, "What is no ordinary match.")
    event_ns = _event_ns()


class AggTrades(Records):
    """Fills of one taker order at one price."""

    kinds = (Kind.AGG_TRADE,)
    struct = "AggTrade"

    price = _price("price", "Price.")
    quantity = _quantity("quantity", "Quantity, unit as in `Trades`.")
    normal_quantity = _quantity("normal_quantity", "Without fills of retail price improvement orders.")
    side = NameColumn("side", Side, "Side of the aggressor.")
    trade_id = IntegerColumn("sequence", "The aggregate's id.")
    first_trade_id = IntegerColumn("first_trade_id", "First trade id inside.")
    last_trade_id = IntegerColumn("last_trade_id", "Last trade id inside.")
    event_ns = _event_ns()


class Levels:
    """Price levels, best or not, in the venue's order."""

    def __init__(self, levels: NDArray[np.void], exponents: tuple[NDArray[np.int8], NDArray[np.int8]]) -> None:
        self.data = levels
        """The structs: `price` and `quantity`, mantissas."""
        self.price = Decimals(levels["price"], exponents[0])
        self.quantity = Decimals(levels["quantity"], exponents[1])
        """Quantity resting at the price; 0 in a delta removes it."""

    def __len__(self) -> int:
        return len(self.data)


class LevelsColumn(Column["LevelLists"]):
    """The levels of one side."""

    def __init__(self, side: str, doc: str) -> None:
        super().__init__(lambda records: LevelLists(records, side), doc)

    def to_arrow(self, records: Records, floats: bool) -> pa.Array:
        lists = self.read(records)
        levels = lists.flat()
        fields = {"price": levels.price.to_arrow(floats), "quantity": levels.quantity.to_arrow(floats)}
        return arrow.lists(lists.counts, fields)


class LevelLists:
    """The levels of one side of each record."""

    def __init__(self, books: Records, side: str) -> None:
        self._books = books
        self._pool = view(books.pool, DTYPES["Level"])
        bids = books.data["bid_levels"].astype(np.int64)
        self.counts: NDArray[np.int64] = bids if side == "bids" else books.data["ask_levels"].astype(np.int64)
        """Number of levels of each record."""
        self.starts: NDArray[np.int64] = books.data["level_start"].astype(np.int64) + (0 if side == "bids" else bids)
        """Place of each record's first level in `Books.levels`."""

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, row: int) -> Levels:
        """The levels of one record; views."""
        levels = self._pool[self.starts[row] : self.starts[row] + self.counts[row]]
        header = self._books.data[row]
        exponents = (header["price_exponent"], header["quantity_exponent"])
        return Levels(levels, tuple(np.broadcast_to(exponent, len(levels)) for exponent in exponents))  # type: ignore[arg-type]

    def flat(self) -> Levels:
        """The levels of all records, one after the other; a copy."""
        ends = np.cumsum(self.counts)
        places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(self.starts - (ends - self.counts), self.counts)
        exponents = (self._books.data["price_exponent"], self._books.data["quantity_exponent"])
        return Levels(self._pool[places], (np.repeat(exponents[0], self.counts), np.repeat(exponents[1], self.counts)))


class Books(Records):
    """Book snapshots and deltas in capture order."""

    kinds: ClassVar[tuple[Kind, ...]] = (Kind.BOOK_SNAPSHOT, Kind.BOOK_DELTA)
    struct = "Book"

    kind = NameColumn("kind", Kind, "Snapshot or delta.")
    bids = LevelsColumn("bids", "Bids of each record.")
    asks = LevelsColumn("asks", "Asks of each record.")
    first_id = ComputedColumn(lambda records: _first_ids(records), "First update id covered.")
    last_id = IntegerColumn("sequence", "Last update id.", absent=0)
    previous_id = IntegerColumn("previous_id", "Last id of the message before; -1: there was none.", absent=ABSENT)
    checksum = ComputedColumn(lambda records: _checksums(records), "The venue's checksum of the book after this message.")
    event_ns = _event_ns()

    @property
    def levels(self) -> NDArray[np.void]:
        """All levels: `level_start` of the structs counts them. A view."""
        return view(self.pool, DTYPES["Level"])


def _has_checksum(books: Records) -> NDArray[np.bool_]:
    has: NDArray[np.bool_] = (books.data["flags"] & Flag.CHECKSUM) != 0
    return has


def _first_ids(books: Records) -> np.ma.MaskedArray[Any, Any]:
    ids = books.data["first_id"]
    return np.ma.masked_array(ids, _has_checksum(books) | (ids == 0))


def _checksums(books: Records) -> np.ma.MaskedArray[Any, Any]:
    # The venue's own form is signed.
    checksums = books.data["first_id"].astype(np.uint32).view(np.int32)
    return np.ma.masked_array(checksums, ~_has_checksum(books))


class BookSnapshots(Books):
    """Whole books, or their best levels (`Flag.PARTIAL`)."""

    kinds = (Kind.BOOK_SNAPSHOT,)


class BookDeltas(Books):
    """Changed levels of books; a quantity of 0 removes one."""

    kinds = (Kind.BOOK_DELTA,)


class Quotes(Records):
    """Best bid and ask."""

    kinds = (Kind.QUOTE,)
    struct = "Quote"

    bid_price = _price("bid_price", "Best bid price.")
    bid_quantity = _quantity("bid_quantity", "Quantity at the best bid.")
    ask_price = _price("ask_price", "Best ask price.")
    ask_quantity = _quantity("ask_quantity", "Quantity at the best ask.")
    update_id = IntegerColumn("sequence", "The book's update id.", absent=0)


class Tickers(Records):
    """Statistics of the last 24 hours."""

    kinds = (Kind.TICKER,)
    struct = "Ticker"

    last = _price("last", "Last price.")
    open = _price("open", "First price of the window.")
    high = _price("high", "Highest price.")
    low = _price("low", "Lowest price.")
    volume = _quantity("volume", "Traded quantity.")
    quote_volume = DecimalColumn(
        "quote_volume", "quote_volume_exponent", "Traded amount in quote units (base units on inverse contracts)."
    )
    base_volume = DecimalColumn(
        "base_volume", "base_volume_exponent", "Traded amount in base units where `volume` counts contracts."
    )
    weighted_average = _price("weighted_average", "Volume-weighted average price.")
    last_quantity = _quantity("last_quantity", "Quantity of the last trade.")
    bid_price = _price("bid_price", "Best bid price.")
    bid_quantity = _quantity("bid_quantity", "Quantity at the best bid.")
    ask_price = _price("ask_price", "Best ask price.")
    ask_quantity = _quantity("ask_quantity", "Quantity at the best ask.")
    open_ns = TimeColumn("open_ns", "Start of the window.")
    close_ns = TimeColumn("close_ns", "End of the window.")
    first_trade_id = IntegerColumn("first_trade_id", "First trade id of the window.", absent=ABSENT)
    last_trade_id = IntegerColumn("last_trade_id", "Last trade id of the window.", absent=ABSENT)
    trades = IntegerColumn("trades", "Number of trades in the window.", absent=ABSENT)


class MarkPrices(Records):
    """Mark and index price, or only one of them."""

    kinds = (Kind.MARK_PRICE,)
    struct = "MarkPrice"

    mark_price = _price("mark_price", "Mark price.")
    index_price = _price("index_price", "Index price.")
    settlement_price = _price("settlement_price", "Estimated settlement price.")
    average_price = _price("average_price", "Moving average of the mark price.")


class FundingRates(Records):
    """Funding rates: fractions, 0.0001 is one basis point."""

    kinds = (Kind.FUNDING_RATE,)
    struct = "FundingRate"

    rate = DecimalColumn("rate", "rate_exponent", "Rate for the interval that ends at `next_funding_ns`.")
    next_funding_ns = TimeColumn("next_funding_ns", "Next funding time.")
    interval_ns = IntegerColumn("interval_ns", "Funding interval as the venue gives it, nanoseconds.", absent=ABSENT)
    realised_rate = DecimalColumn("realised_rate", "realised_exponent", "Rate of the last settlement.")
    premium = DecimalColumn("premium", "premium_exponent", "Premium of the contract over its index.")
    interest_rate = DecimalColumn("interest_rate", "interest_exponent", "Interest rate part.")


class OpenInterests(Records):
    """Open interest."""

    kinds = (Kind.OPEN_INTEREST,)
    struct = "OpenInterest"

    open_interest = _quantity("open_interest", "In the unit of quantities.")
    open_interest_value = DecimalColumn("open_interest_value", "value_exponent", "In quote units.")
    open_interest_base = DecimalColumn("open_interest_base", "base_exponent", "In base units.")


class Liquidations(Records):
    """Liquidation orders."""

    kinds = (Kind.LIQUIDATION,)
    struct = "Liquidation"

    side = NameColumn("side", Side, "Side of the order: `SELL` closes a long position.")
    price = _price("price", "Limit price.")
    quantity = _quantity("quantity", "Ordered quantity.")
    average_price = _price("average_price", "Average price of the fills.")
    filled_quantity = _quantity("filled_quantity", "Quantity filled so far.")
    last_quantity = _quantity("last_quantity", "Quantity of the last fill.")
    status = TextColumn("status", "The order's status as the venue names it.")
    event_ns = _event_ns()


class Candles(Records):
    """Bars; the last record of a bar wins."""

    kinds = (Kind.CANDLE,)
    struct = "Candle"

    interval = TextColumn("interval", "The venue's name of the interval.")
    open_ns = TimeColumn("open_ns", "Start, inclusive.")
    close_ns = TimeColumn("close_ns", "End, as the venue gives it.")
    open = _price("open", "First price.")
    high = _price("high", "Highest price.")
    low = _price("low", "Lowest price.")
    close = _price("close", "Last price.")
    volume = _quantity("volume", "Traded quantity.")
    quote_volume = DecimalColumn("quote_volume", "quote_volume_exponent", "Traded amount in quote units.")
    trades = IntegerColumn("trades", "Number of trades.", absent=ABSENT)
    taker_buy_volume = _quantity("taker_buy_volume", "Quantity bought by takers.")
    taker_buy_quote_volume = DecimalColumn("taker_buy_quote_volume", "quote_volume_exponent", "Amount bought by takers.")
    closed = TruthColumn("closed", "Whether the bar is final.")


class LongShortRatios(Records):
    """Long/short ratios."""

    kinds = (Kind.LONG_SHORT_RATIO,)
    struct = "LongShortRatio"

    basis = NameColumn("basis", RatioBasis, "What is counted.")
    period = TextColumn("period", "The venue's name of the period.")
    ratio = DecimalColumn("ratio", "ratio_exponent", "Long divided by short.")
    long_share = DecimalColumn("long_share", "share_exponent", "Long share, a fraction.")
    short_share = DecimalColumn("short_share", "share_exponent", "Short share, a fraction.")


def _greek(place: int, field: str, doc: str) -> DecimalColumn:
    return DecimalColumn(field, "exponents", doc, place)


class Greeks(Records):
    """Sensitivities and implied volatilities of options, in the venue's units."""

    kinds = (Kind.GREEKS,)
    struct = "Greeks"

    delta = _greek(0, "delta", "Change of the option's price with the underlying's.")
    gamma = _greek(1, "gamma", "Change of delta with the underlying's price.")
    vega = _greek(2, "vega", "Change of the price with volatility.")
    theta = _greek(3, "theta", "Change of the price with time.")
    rho = _greek(4, "rho", "Change of the price with the interest rate.")
    delta_bs = _greek(5, "delta_bs", "Black-Scholes delta in dollars, where the venue gives two sets.")
    gamma_bs = _greek(6, "gamma_bs", "Black-Scholes gamma in dollars.")
    vega_bs = _greek(7, "vega_bs", "Black-Scholes vega in dollars.")
    theta_bs = _greek(8, "theta_bs", "Black-Scholes theta in dollars.")
    mark_iv = _greek(9, "mark_volatility", "Implied volatility of the mark price.")
    bid_iv = _greek(10, "bid_volatility", "Implied volatility of the best bid.")
    ask_iv = _greek(11, "ask_volatility", "Implied volatility of the best ask.")
    at_the_money_iv = _greek(12, "at_the_money_volatility", "Implied volatility at the money.")
    underlying_price = _greek(13, "underlying_price", "Forward price of the underlying.")
    interest_rate = _greek(14, "interest_rate", "Interest rate used.")
    leverage = _greek(15, "leverage", "Leverage.")


class VolatilityIndexes(Records):
    """Volatility indexes, in the venue's unit."""

    kinds = (Kind.VOLATILITY_INDEX,)
    struct = "VolatilityIndex"

    volatility = _price("volatility", "The index now.")


class ClockSamples(Records):
    """The venue's clock beside ours: it was read at some moment between `request_ns` and `receive_ns`."""

    kinds = (Kind.CLOCK_SAMPLE,)
    struct = "ClockSample"

    request_ns = TimeColumn("request_ns", "Our wall clock when the request was sent.")
    resolution_ns = IntegerColumn("resolution_ns", "Resolution of the venue's clock, nanoseconds.", absent=ABSENT)


class Definitions(Records):
    """Instruments' definitions, valid from `receive_ns`."""

    kinds = (Kind.INSTRUMENT,)
    struct = "Definition"

    definition = JsonColumn("The definition.")


class Sessions(Records):
    """Steps in a connection's life."""

    kinds = (Kind.SESSION,)
    struct = "Session"

    event = NameColumn("event", SessionEvent, "What happened.")
    connection = IntegerColumn("connection", "The connection, numbered from 1 in each run.", absent=0)
    detail = JsonColumn("Particulars.")


class Gaps(Records):
    """Holes in streams. `receive_ns` is when the hole was known to end."""

    kinds = (Kind.GAP,)
    struct = "Gap"

    stream = NameColumn("stream", Kind, "Kind of the stream.")
    reason = NameColumn("reason", GapReason, "Why.")
    from_id = IntegerColumn("from_id", "First missing id.", absent=0)
    to_id = IntegerColumn("to_id", "Last missing id, where the end is known.", absent=0)
    from_ns = TimeColumn("from_ns", "Receive time of the last record before the hole.")
    records = IntegerColumn("records", "Number of records lost, where known.", absent=0)
    repaired = TruthColumn("repaired", "Whether the missing part was fetched later.")


class RawFrames(Records):
    """Frames kept verbatim, or parts of them."""

    kinds = (Kind.RAW,)
    struct = "Raw"

    reason = BodyColumn("reason", True, "Why it was kept.")
    frame = BodyColumn("frame", False, "The frame's bytes.")
    frame_bytes = IntegerColumn("frame_bytes", "Bytes of the whole frame; `frame` may hold fewer.")
    offset = IntegerColumn("offset", "Where in the frame the bytes begin.")
    connection = IntegerColumn("connection", "The connection that it came on.", absent=0)


CLASSES: dict[str, type[Records]] = {
    "book": Books,
    **{
        kinds.kinds[0].name.lower(): kinds
        for kinds in (
            Trades,
            AggTrades,
            BookSnapshots,
            BookDeltas,
            Quotes,
            Tickers,
            MarkPrices,
            FundingRates,
            OpenInterests,
            Liquidations,
            Candles,
            LongShortRatios,
            Definitions,
            Sessions,
            Gaps,
            RawFrames,
            DetailedTrades,
            Greeks,
            VolatilityIndexes,
            ClockSamples,
        )
    },
}
"""By the name of the kind; `book` is snapshots and deltas."""
