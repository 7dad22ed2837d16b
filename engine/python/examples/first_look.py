"""A first look at a log: what is in it, trades as a table, and price, spread and holes as a picture.

A notebook in text form: VS Code, Spyder and Jupytext run it cell by cell. As a program:

    marketprism demo --seconds 30 --data-dir data
    python first_look.py data first_look.png [SYMBOL [VENUE MARKET]]
"""

# %% Open the log. Nothing is locked: it may be one that is being written.
import sys
from collections import Counter

import marketprism as mp
import matplotlib.dates as dates
import matplotlib.pyplot as plt
import numpy as np

path, picture, *names = [*sys.argv[1:], *["data", "first_look.png"][len(sys.argv) - 1 :]]
symbol, venue, market = [*names, *["BTCUSDT", "binance", "usdm"][len(names) :]]
log = mp.open(path)

# %% What is in it?
for (where, kind), number in sorted(Counter((str(i).rpartition("/")[0], i.type) for i in log.instruments).items()):
    print(f"{number:5} {kind:10} {where}")

instrument = log.instrument(symbol, venue=venue, market=market)
print(f"\n{instrument}, the venue's {instrument.venue_symbol}: tick {instrument.tick}, lot {instrument.lot}")
for stream in log.streams():
    if stream.instrument == instrument:
        print(f"{stream.records:9,} {stream.kind.name.lower():16} {stream.gaps} gaps")

# %% Is anything missing? Holes are records like others.
selection = {"venue": venue, "market": market}
gaps = log.gaps(symbol, **selection)
print(gaps.to_polars().select("receive_ns", "stream", "reason", "from_ns", "records", "repaired"))

# %% Trades as a polars table: prices and quantities are exact decimals. Some venues have only aggregated trades.
trades: mp.Trades | mp.AggTrades = log.trades(symbol, **selection)
if not len(trades):
    trades = log.agg_trades(symbol, **selection)
print(trades.to_polars().select("receive_ns", "price", "quantity", "side"))

# %% Best bid and ask. Floats are made where they are asked for: here, to draw.
quotes = log.quotes(symbol, **selection)
holes = log.gaps(symbol, kind="quote", **selection)
starts = np.where(holes.from_ns == mp.ABSENT, holes.receive_ns, holes.from_ns).view("datetime64[ns]")
bid, ask = quotes.bid_price.to_float(), quotes.ask_price.to_float()
# No line is drawn through a hole.
before = np.searchsorted(quotes.receive_time, starts, side="right") - 1
bid[before[before >= 0]] = np.nan
spread = (ask - bid) / ((ask + bid) / 2) * 10_000

# %% The book in the middle of the recording.
middle = quotes.receive_ns[len(quotes) // 2]
book = log.book_at(symbol, middle, **selection)
print(book)
if book.valid:
    print("best bid", next(iter(book.bids.price)), "best ask", next(iter(book.asks.price)))

# %% Draw.
figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(11, 6.5), height_ratios=[3, 1.2], layout="constrained")
price, side = trades.price.to_float(), trades.side
for value, colour, label in ((mp.Side.BUY, "#1a7f5a", "trade, buyer took"), (mp.Side.SELL, "#c0392b", "trade, seller took")):
    wanted = side == value
    above.plot(trades.receive_time[wanted], price[wanted], ".", markersize=3, color=colour, label=label, zorder=3)
above.fill_between(
    quotes.receive_time, bid, ask, step="post", color="#34495e", alpha=0.35, linewidth=0.6, label="best bid to best ask"
)
below.plot(quotes.receive_time, spread, drawstyle="steps-post", linewidth=0.7, color="#34495e", label="spread")

for axes in (above, below):
    for number, (start, end) in enumerate(zip(starts, holes.receive_time, strict=True)):
        axes.axvspan(start, end, color="#e67e22", alpha=0.3, label="gap in the quotes" if number == 0 else None)
    axes.grid(alpha=0.25)
    axes.margins(x=0.01)

currency = instrument.definition.get("quote", "")
above.set_ylabel(f"price ({currency})" if currency else "price")
decimals = max(0, -int(str(instrument.tick.as_tuple().exponent))) if instrument.tick else 2
above.yaxis.set_major_formatter(lambda value, _: f"{value:,.{decimals}f}")
below.set_ylabel("spread (bp)")
below.set_ylim(bottom=0)
below.set_xlabel("receive time (UTC)")
locator = dates.AutoDateLocator()
formats = ["%Y", "%Y-%m", "%m-%d", "%H:%M", "%H:%M:%S", "%H:%M:%S.%f"]
below.xaxis.set_major_locator(locator)
below.xaxis.set_major_formatter(
    dates.ConciseDateFormatter(locator, formats=formats, zero_formats=formats, offset_formats=["", *["%Y-%m-%d"] * 5])
)
above.legend(loc="best", markerscale=3, framealpha=0.9)
above.set_title(
    f"{instrument}: {len(trades):,} trades, {len(quotes):,} quotes, {len(holes)} gap{'s' * (len(holes) != 1)} in the quotes",
    loc="left",
)
figure.savefig(picture, dpi=130)
print(f"drew {picture}")
