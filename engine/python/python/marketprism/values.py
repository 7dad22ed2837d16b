"""The numbers in records that stand for names. A number that is not here is one that this version does not know."""

from enum import IntEnum, IntFlag


class Kind(IntEnum):
    """What a record is."""

    TRADE = 1
    AGG_TRADE = 2
    BOOK_SNAPSHOT = 3
    BOOK_DELTA = 4
    QUOTE = 5
    TICKER = 6
    MARK_PRICE = 7
    FUNDING_RATE = 8
    OPEN_INTEREST = 9
    LIQUIDATION = 10
    CANDLE = 11
    LONG_SHORT_RATIO = 12
    INSTRUMENT = 13
    SESSION = 14
    GAP = 15
    RAW = 16
    DETAILED_TRADE = 17
    GREEKS = 18
    VOLATILITY_INDEX = 19
    CLOCK_SAMPLE = 20


class Flag(IntFlag):
    """Bits of `flags`."""

    SNAPSHOT = 1
    """Part of a snapshot: state, not an event."""
    BACKFILLED = 2
    """Fetched after the fact to fill a hole."""
    REST = 4
    """From a REST answer, not from a stream."""
    BOOK_INVALID = 8
    """The book of this instrument was not valid when this record came."""
    SUSPECT_CLOCK = 16
    """The receive time is not to be trusted."""
    DERIVED = 32
    """Computed by the recorder from other records."""
    CHECKSUM = 64
    """Of books: the venue sent a checksum and no first id."""
    PARTIAL = 128
    """Of book snapshots: the best levels only, which no book can be started from."""


class Side(IntEnum):
    """The side that took liquidity, or the side of a liquidation order. 0: not given."""

    BUY = 1
    SELL = 2


class TradeType(IntEnum):
    """Trades that are no ordinary match."""

    INSURANCE_FUND = 1
    AUTO_DELEVERAGE = 2
    OTHER = 3


class LiquidatedParty(IntEnum):
    """Who was liquidated by a trade."""

    MAKER = 1
    TAKER = 2
    BOTH = 3


class RatioBasis(IntEnum):
    """What a long/short ratio counts."""

    TOP_POSITION = 1
    TOP_ACCOUNT = 2
    GLOBAL_ACCOUNT = 3


class SessionEvent(IntEnum):
    """A step in a connection's life, or the recorder's own notes."""

    CONNECTED = 1
    SUBSCRIBED = 2
    DISCONNECTED = 3
    REFUSED = 4
    STARTED = 5
    STOPPED = 6
    COVERAGE = 7
    INPUT = 8


class GapReason(IntEnum):
    """Why there is a hole in a stream."""

    SEQUENCE = 1
    DISCONNECTED = 2
    OVERRUN = 3
    RESET = 4
    RESTART = 5
    CHECKSUM = 6
    RESYNCHRONISED = 7
