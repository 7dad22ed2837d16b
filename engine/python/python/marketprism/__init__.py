"""A MarketPrism log as NumPy, Arrow, polars and pandas columns.

import marketprism as mp

log = mp.open("data")
trades = log.trades("BTC-USDT-PERP", start="2026-11-23T10:00Z")
trades.price.to_float()   # a conversion; .mantissas and .exponents are exact and not copied
trades.to_polars()        # exact decimals
"""

from marketprism._engine import LogError
from marketprism.book import Book, InvalidBookError
from marketprism.columns import ABSENT, Decimals
from marketprism.instruments import Instrument
from marketprism.kinds import (
    AggTrades,
    BookDeltas,
    Books,
    BookSnapshots,
    Candles,
    ClockSamples,
    Definitions,
    DetailedTrades,
    FundingRates,
    Gaps,
    Greeks,
    Levels,
    Liquidations,
    LongShortRatios,
    MarkPrices,
    OpenInterests,
    Quotes,
    RawFrames,
    Sessions,
    Tickers,
    Trades,
    VolatilityIndexes,
)
from marketprism.log import Log, Stream, open
from marketprism.records import LogWarning, Problem, Records
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

__all__ = [
    "ABSENT",
    "AggTrades",
    "Book",
    "BookDeltas",
    "BookSnapshots",
    "Books",
    "Candles",
    "ClockSamples",
    "Decimals",
    "Definitions",
    "DetailedTrades",
    "Flag",
    "FundingRates",
    "GapReason",
    "Gaps",
    "Greeks",
    "Instrument",
    "InvalidBookError",
    "Kind",
    "Levels",
    "LiquidatedParty",
    "Liquidations",
    "Log",
    "LogError",
    "LogWarning",
    "LongShortRatios",
    "MarkPrices",
    "OpenInterests",
    "Problem",
    "Quotes",
    "RatioBasis",
    "RawFrames",
    "Records",
    "SessionEvent",
    "Sessions",
    "Side",
    "Stream",
    "Tickers",
    "TradeType",
    "Trades",
    "VolatilityIndexes",
    "open",
]
