#!/usr/bin/env python3
"""Reads segments of the log by FORMAT.md alone and prints their records as JSON lines.

Usage: reader.py SEGMENT...

Standard library only. Compressed batches need the package `zstandard` or the program `zstd`. What is wrong goes to standard error, and the
exit code is then 1.
"""

import json
import os
import shutil
import struct
import subprocess
import sys

VERSION = 2
DATA, DICTIONARY, FOOTER = 1, 2, 3
LINE = 64
MAX_BODY, MAX_DECODED = 1 << 30, 64 << 20
ABSENT = -(1 << 63)

# Structs as field:type, types as in Python's struct module; a type without a field is padding.
FILE_HEADER = "magic:8s version:I 4x created_ns:q run_id:Q first_sequence:Q previous_end:Q 12x checksum:I"
BATCH_HEADER = (
    "magic:8s version:H codec:B kind:B body_bytes:I decoded_bytes:I records:I first_sequence:Q "
    "first_receive_ns:q last_receive_ns:q 8x body_checksum:I checksum:I"
)
TRAILER = "magic:8s version:I 4x footer_offset:Q file_bytes:Q end_sequence:Q 20x checksum:I"
CLUSTER_DIRECTORY = "clusters:I entries_checksum:I 52x checksum:I"
CLUSTER_ENTRY = (
    "first_instrument:I last_instrument:I kinds:I records:I first_receive_ns:q last_receive_ns:q offset:I "
    "stored_bytes:I archive_bytes:I position_bytes:I checksum:I 12x"
)
INDEX_ENTRY = (
    "offset:Q first_sequence:Q first_receive_ns:q last_receive_ns:q records:I bytes:I kinds:128s 24x"
)
HEADER = (
    "kind:B flags:B price_exponent:b quantity_exponent:b instrument:I id:Q receive_ns:q exchange_ns:q "
)
TRADE = HEADER + "price:q quantity:q event_ns:q side:B trade_type:B 2x fills:I"
BOOK = HEADER + "first_id:Q previous_id:q event_ns:q level_start:I bid_levels:H ask_levels:H"
BODY = "start:I bytes:I "
GREEKS = (
    "delta gamma vega theta rho delta_bs gamma_bs vega_bs theta_bs mark_iv bid_iv ask_iv at_the_money_iv "
    "underlying_price interest_rate leverage"
).split()

# Vector, name of the kind in the output, struct. The order is that of the kinds, from 1.
KINDS = [
    ("trades", "trade", TRADE),
    ("agg_trades", "agg_trade", HEADER + "price:q quantity:q normal_quantity:q first_trade_id:Q "
     "last_trade_id:Q event_ns:q side:B 47x"),
    ("books", "book_snapshot", BOOK),
    ("books", "book_delta", BOOK),
    ("quotes", "quote", HEADER + "bid_price:q bid_quantity:q ask_price:q ask_quantity:q"),
    ("tickers", "ticker", HEADER + "last:q open:q high:q low:q weighted_average:q bid_price:q ask_price:q "
     "volume:q last_quantity:q bid_quantity:q ask_quantity:q quote_volume:q open_ns:q close_ns:q "
     "first_trade_id:q last_trade_id:q trades:q base_volume:q quote_volume_exponent:b "
     "base_volume_exponent:b 14x"),
    ("mark_prices", "mark_price", HEADER + "mark_price:q index_price:q settlement_price:q average_price:q"),
    ("funding_rates", "funding_rate", HEADER + "rate:q next_funding_ns:q interval_ns:q realised_rate:q "
     "premium:q interest_rate:q rate_exponent:b realised_exponent:b premium_exponent:b "
     "interest_exponent:b 44x"),
    ("open_interests", "open_interest", HEADER + "open_interest:q open_interest_value:q "
     "open_interest_base:q value_exponent:b base_exponent:b 6x"),
    ("liquidations", "liquidation", HEADER + "price:q average_price:q quantity:q filled_quantity:q "
     "last_quantity:q event_ns:q status:24s side:B 23x"),
    ("candles", "candle", HEADER + "open_ns:q close_ns:q open:q high:q low:q close:q volume:q "
     "quote_volume:q taker_buy_volume:q taker_buy_quote_volume:q trades:q interval:4s closed:B "
     "quote_volume_exponent:b 2x"),
    ("long_short_ratios", "long_short_ratio", HEADER + "ratio:q long_share:q short_share:q "
     "ratio_exponent:b share_exponent:b basis:B period:4s 1x"),
    ("definitions", "instrument", HEADER + BODY + "24x"),
    ("sessions", "session", HEADER + BODY + "connection:I event:B 19x"),
    ("gaps", "gap", HEADER + "from_id:Q to_id:Q from_ns:q stream:B reason:B repaired:B 1x records:I"),
    ("raws", "raw", HEADER + BODY + "connection:I reason_bytes:I frame_bytes:I offset:I 8x"),
    ("detailed_trades", "trade", TRADE + " mark_price:q index_price:q iv:q trade_id:24s iv_exponent:b "
     "liquidation:B block:B combo:B 12x"),
    ("greeks", "greeks", HEADER + " ".join(name + ":q" for name in GREEKS) + " exponents:16s 16x"),
    ("volatility_indexes", "volatility_index", HEADER + "volatility:q 24x"),
    ("clock_samples", "clock_sample", HEADER + "request_ns:q resolution_ns:q 16x"),
]
# Vectors in the order of the root.
COLUMNS = (
    "order trades agg_trades books quotes tickers mark_prices funding_rates open_interests liquidations "
    "candles long_short_ratios definitions sessions gaps raws levels bytes detailed_trades greeks "
    "volatility_indexes clock_samples"
).split()

FLAGS = {1: "snapshot", 2: "backfilled", 4: "rest", 8: "book_invalid", 16: "suspect_clock", 32: "derived"}
CHECKSUM = 64
SIDES = {1: "buy", 2: "sell"}
TRADE_TYPES = {1: "insurance_fund", 2: "auto_deleverage", 3: "other"}
PARTIES = {1: "maker", 2: "taker", 3: "both"}
BASES = {1: "top_position", 2: "top_account", 3: "global_account"}
EVENTS = {1: "connected", 2: "subscribed", 3: "disconnected", 4: "refused", 5: "started", 6: "stopped"}
REASONS = {1: "sequence", 2: "disconnected", 3: "overrun", 4: "reset", 5: "restart", 6: "checksum",
           7: "resynchronised"}
STREAMS = dict(enumerate((name for _, name, _ in KINDS), 1)) | {17: "detailed_trade"}


class Damage(Exception):
    """What is wrong with the bytes."""


class Layout:
    """One of the structs above."""

    def __init__(self, text):
        parts = [part.rpartition(":") for part in text.split()]
        self.names = [name for name, _, _ in parts if name]
        self.struct = struct.Struct("<" + "".join(kind for _, _, kind in parts))

    def read(self, data, offset=0):
        if offset < 0 or offset + self.struct.size > len(data):
            raise Damage("a struct lies outside of its bytes")
        return dict(zip(self.names, self.struct.unpack_from(data, offset)))


FILE_HEADER, BATCH_HEADER, TRAILER = Layout(FILE_HEADER), Layout(BATCH_HEADER), Layout(TRAILER)
CLUSTER_DIRECTORY, CLUSTER_ENTRY = Layout(CLUSTER_DIRECTORY), Layout(CLUSTER_ENTRY)
INDEX_ENTRY, LEVEL = Layout(INDEX_ENTRY), struct.Struct("<qq")
KINDS = [(vector, name, Layout(text)) for vector, name, text in KINDS]


def crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC_TABLE = crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def checked(layout, magic, data, offset):
    """A header with its own checksum, or None."""
    part = data[offset : offset + LINE]
    if len(part) < LINE or not part.startswith(magic):
        return None
    header = layout.read(part)
    return header if crc32c(part[: LINE - 4]) == header["checksum"] else None


def batch_at(data, offset, end):
    """The batch that begins here: header, stored body, where the next one begins. None where there is none."""
    header = checked(BATCH_HEADER, b"MPRISM-B", data, offset)
    if header is None or header["version"] != VERSION or header["body_bytes"] > MAX_BODY:
        return None
    start = offset + LINE
    after = start + -(-header["body_bytes"] // LINE) * LINE
    if after > end or crc32c(data[start:after]) != header["body_checksum"]:
        return None
    return header, data[start : start + header["body_bytes"]], after


def decompress(frame, length):
    """What a zstd frame of this length decodes to."""
    if shutil.which("zstd"):
        done = subprocess.run(["zstd", "-dcq"], input=frame, capture_output=True)
        found = done.stdout if done.returncode == 0 else b""
    else:
        import zstandard

        found = zstandard.ZstdDecompressor().decompress(frame, max_output_size=length)
    if len(found) != length:
        raise Damage("a frame decodes to another length")
    return found


def decoded(header, body):
    """The archive of a batch that is not clustered."""
    if header["codec"] == 0:
        return body
    if header["codec"] != 1:
        raise Damage(f"codec {header['codec']} is unknown")
    if header["decoded_bytes"] > MAX_DECODED:
        raise Damage("the body is too long once decoded")
    return decompress(body, header["decoded_bytes"])


def directory(header, body):
    """The entries of a clustered body."""
    head = CLUSTER_DIRECTORY.read(body)
    end = LINE + LINE * head["clusters"]
    if crc32c(body[: LINE - 4]) != head["checksum"] or crc32c(body[LINE:end]) != head["entries_checksum"]:
        raise Damage("the directory is damaged")
    entries = [CLUSTER_ENTRY.read(body, at) for at in range(LINE, end, LINE)]
    lengths = [entry["archive_bytes"] + entry["position_bytes"] for entry in entries]
    if sum(-(-length // LINE) * LINE for length in lengths) > MAX_DECODED:
        raise Damage("the body is too long once decoded")
    if (sum(lengths), sum(entry["records"] for entry in entries)) != (header["decoded_bytes"], header["records"]):
        raise Damage("the directory is not that of the header")
    return entries


def positions(data, count):
    """The places of records in their batch."""
    found, before, at = [], 0, 0
    for _ in range(count):
        difference, shift = 0, 0
        while True:
            if at == len(data) or shift > 28:
                raise Damage("a place is missing or too large")
            difference |= (data[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 0x80:
                break
        before = (before + difference) & 0xFFFFFFFF
        found.append(before)
    if at != len(data):
        raise Damage("there are more places than records")
    return found


def clustered(header, body):
    """Every record of a clustered batch in capture order: kind number, fields, body."""
    records = [None] * header["records"]
    for entry in directory(header, body):
        frame = body[entry["offset"] :][: entry["stored_bytes"]]
        if crc32c(frame) != entry["checksum"]:
            raise Damage("a cluster is damaged")
        data = decompress(frame, entry["archive_bytes"] + entry["position_bytes"])
        archive, places = data[: entry["archive_bytes"]], data[entry["archive_bytes"] :]
        found = list(records_of(entry, archive))
        for place, record in zip(positions(places, entry["records"]), found):
            if place >= len(records) or records[place] is not None:
                raise Damage("a place is outside of the batch or taken")
            check_entry(entry, record)
            records[place] = record
    return records


def check_entry(entry, record):
    """Whether the directory tells the truth of a record."""
    kind, fields, _ = record
    if not (
        entry["kinds"] >> kind & 1
        and entry["first_instrument"] <= fields["instrument"] <= entry["last_instrument"]
        and entry["first_receive_ns"] <= fields["receive_ns"] <= entry["last_receive_ns"]
    ):
        raise Damage("the directory leaves a record out")


def vector(archive, at, element_bytes):
    """The bytes of a vector whose 8 bytes lie at this offset."""
    pointer, count = struct.unpack_from("<iI", archive, at)
    start, length = at + pointer, count * element_bytes
    if length and (start < 0 or start + length > len(archive)):
        raise Damage("a vector lies outside of its archive")
    return archive[start : start + length] if length else b""


def columns_of(archive):
    """All vectors by name."""
    root = len(archive) - 8 * len(COLUMNS)
    if root < 0:
        raise Damage("the archive is shorter than its root")
    widths = {"order": 1, "bytes": 1, "levels": LEVEL.size}
    return {
        name: vector(archive, root + 8 * index, widths.get(name, LINE))
        for index, name in enumerate(COLUMNS)
    }


def records_of(header, archive):
    """Every record in capture order: kind number, fields, body."""
    columns = columns_of(archive)
    if len(columns["order"]) != header["records"]:
        raise Damage("the number of records is not that of the header")
    taken = dict.fromkeys(COLUMNS, 0)
    for kind in columns["order"]:
        if not 1 <= kind <= len(KINDS):
            raise Damage(f"kind {kind} is unknown")
        name, _, layout = KINDS[kind - 1]
        record = layout.read(columns[name], taken[name])
        taken[name] += layout.struct.size
        if record["kind"] != kind:
            raise Damage("a record is in the vector of another kind")
        yield kind, record, body_of(record, columns)


def body_of(record, columns):
    """What belongs to a record and lies in another vector: levels or bytes."""
    if "level_start" in record:
        start = record["level_start"] * LEVEL.size
        count = record["bid_levels"] + record["ask_levels"]
        levels = columns["levels"][start : start + count * LEVEL.size]
        return list(LEVEL.iter_unpack(levels))
    if "start" in record:
        return columns["bytes"][record["start"] : record["start"] + record["bytes"]]
    return None


def decimal(mantissa, exponent):
    if mantissa == ABSENT:
        return None
    if exponent >= 0:
        return str(mantissa * 10**exponent)
    digits = str(abs(mantissa)).rjust(1 - exponent, "0")
    return "-" * (mantissa < 0) + digits[:exponent] + "." + digits[exponent:]


def text(field):
    return field.split(b"\0")[0].decode("ascii")


# How fields become values of the output. A value of None is left out.
def price(record, key):
    return decimal(record[key], record["price_exponent"])


def quantity(record, key):
    return decimal(record[key], record["quantity_exponent"])


def scaled(exponent):
    return lambda record, key: decimal(record[key], record[exponent])


def number(record, key):
    return None if record[key] == ABSENT else record[key]


def identifier(record, key):
    return None if record[key] == ABSENT else str(record[key])


def words(record, key):
    return text(record[key])


def one_of(names):
    return lambda record, key: names.get(record[key])


def truth(record, key):
    return record[key] != 0


def unless_zero(rule):
    return lambda record, key: rule(record, key) if record[key] else None


PLAIN = {
    2: {"price": price, "quantity": quantity, "normal_quantity": quantity, "side": one_of(SIDES),
        "first_trade_id": identifier, "last_trade_id": identifier, "event_ns": number},
    5: dict.fromkeys(["bid_price", "ask_price"], price) | dict.fromkeys(["bid_quantity", "ask_quantity"], quantity),
    6: dict.fromkeys(["last", "open", "high", "low", "weighted_average", "bid_price", "ask_price"], price)
    | dict.fromkeys(["volume", "last_quantity", "bid_quantity", "ask_quantity"], quantity)
    | {"quote_volume": scaled("quote_volume_exponent"), "base_volume": scaled("base_volume_exponent"),
       "open_ns": number, "close_ns": number, "first_trade_id": identifier, "last_trade_id": identifier,
       "trades": number},
    7: dict.fromkeys(["mark_price", "index_price", "settlement_price", "average_price"], price),
    8: {"rate": scaled("rate_exponent"), "next_funding_ns": number, "interval_ns": number,
        "realised_rate": scaled("realised_exponent"), "premium": scaled("premium_exponent"),
        "interest_rate": scaled("interest_exponent")},
    9: {"open_interest": quantity, "open_interest_value": scaled("value_exponent"),
        "open_interest_base": scaled("base_exponent")},
    10: {"side": one_of(SIDES), "price": price, "quantity": quantity, "average_price": price,
         "filled_quantity": quantity, "last_quantity": quantity, "status": words, "event_ns": number},
    11: {"interval": words, "open_ns": number, "close_ns": number, "closed": truth, "trades": number}
    | dict.fromkeys(["open", "high", "low", "close"], price)
    | dict.fromkeys(["volume", "taker_buy_volume"], quantity)
    | dict.fromkeys(["quote_volume", "taker_buy_quote_volume"], scaled("quote_volume_exponent")),
    12: {"basis": one_of(BASES), "period": words, "ratio": scaled("ratio_exponent"),
         "long_share": scaled("share_exponent"), "short_share": scaled("share_exponent")},
    14: {"event": one_of(EVENTS), "connection": unless_zero(identifier)},
    15: {"stream": one_of(STREAMS), "reason": one_of(REASONS), "from_id": unless_zero(identifier),
         "to_id": unless_zero(identifier), "from_ns": number, "records": unless_zero(number),
         "repaired": truth},
    16: {"frame_bytes": number, "connection": unless_zero(identifier)},
    19: {"volatility": price},
    20: {"request_ns": number, "resolution_ns": number},
}
TRADE_FIELDS = {"price": price, "quantity": quantity, "side": one_of(SIDES), "event_ns": number,
                "trade_type": one_of(TRADE_TYPES)}
DETAILS = {"trade_id": words, "mark_price": price, "index_price": price, "iv": scaled("iv_exponent"),
           "liquidation": one_of(PARTIES), "block": unless_zero(truth), "combo": unless_zero(truth)}


def trade_ids(record):
    last, fills = record["id"], record["fills"]
    ids = {"trade_id": str(last)}
    if fills:
        ids |= {"first_trade_id": str(last - fills + 1), "last_trade_id": str(last)}
    return ids


def book(record, levels):
    def side(part):
        return [
            [price({**record, "p": p}, "p"), "0" if q == 0 else quantity({**record, "q": q}, "q")]
            for p, q in part
        ]

    bids = record["bid_levels"]
    fields = {"bids": side(levels[:bids]), "asks": side(levels[bids:])}
    if record["flags"] & CHECKSUM:
        fields["checksum"] = struct.unpack("<i", struct.pack("<I", record["first_id"]))[0]
    elif record["first_id"]:
        fields["first_id"] = str(record["first_id"])
    if record["id"]:
        fields["last_id"] = str(record["id"])
    return fields | {"previous_id": identifier(record, "previous_id"), "event_ns": number(record, "event_ns")}


def special(kind, record, body):
    """Fields that do not come from one field of the struct."""
    if kind == 1:
        return trade_ids(record)
    if kind == 2:
        return {"trade_id": str(record["id"])}
    if kind in (3, 4):
        return book(record, body)
    if kind == 5 and record["id"]:
        return {"update_id": str(record["id"])}
    if kind == 13:
        return {"definition": json.loads(body)}
    if kind == 14:
        return {"detail": json.loads(body)}
    if kind == 16:
        reason = record["reason_bytes"]
        return {"reason": body[:reason].decode("utf-8"), "frame": body[reason:].decode("utf-8", "replace")}
    if kind == 17:
        return {"trade_sequence": str(record["id"])}
    if kind == 18:
        exponents = struct.unpack("<16b", record["exponents"])
        return {name: decimal(record[name], exponent) for name, exponent in zip(GREEKS, exponents)}
    return {}


def output(kind, record, body, sequence, instruments):
    """The record as the object that the project's own tools print."""
    instrument = instruments.get(record["instrument"], {"venue": "", "market": "", "venue_symbol": ""})
    fields = {"kind": KINDS[kind - 1][1], "venue": instrument["venue"], "market": instrument["market"]}
    if instrument["venue_symbol"]:
        fields |= {"symbol": instrument["symbol"], "venue_symbol": instrument["venue_symbol"]}
    fields |= {"exchange_ns": number(record, "exchange_ns"), "receive_ns": record["receive_ns"]}
    fields |= {"sequence": sequence, "flags": [name for bit, name in FLAGS.items() if record["flags"] & bit]}
    rules = TRADE_FIELDS if kind == 1 else TRADE_FIELDS | DETAILS if kind == 17 else PLAIN.get(kind, {})
    fields |= {key: rule(record, key) for key, rule in rules.items()}
    fields |= special(kind, record, body)
    return {key: value for key, value in fields.items() if value is not None}


class Reader:
    """Reads segments one after the other."""

    def __init__(self):
        self.instruments = {}
        self.expected = None
        self.problems = 0

    def problem(self, path, offset, what):
        self.problems += 1
        print(f"{path} at byte {offset}: {what}", file=sys.stderr)

    def segment(self, path):
        with open(path, "rb") as file:
            data = file.read()
        header = checked(FILE_HEADER, b"MPRISM-S", data, 0)
        if header is None or header["version"] != VERSION:
            return self.problem(path, 0, "no file header of this version")
        if os.path.basename(path) != f"{header['first_sequence']:020}.seg":
            self.problem(path, 0, "the name is not the first sequence")
        if self.expected == header["previous_end"]:
            self.expected = header["first_sequence"]
        trailer = checked(TRAILER, b"MPRISM-E", data, len(data) - LINE)
        sealed = trailer is not None and trailer["file_bytes"] == len(data)
        index = self.batches(path, data, len(data) - LINE if sealed else len(data), sealed)
        if sealed:
            self.footer(path, data, trailer, index)

    def batches(self, path, data, end, sealed):
        """Prints the records. Gives what the footer should say of the batches."""
        index, offset, damaged = [], LINE, None
        while offset < end:
            batch = batch_at(data, offset, end)
            if batch is None:
                damaged = offset if damaged is None else damaged
                offset += LINE
                continue
            if damaged is not None:
                self.problem(path, damaged, "no whole batch")
                damaged = None
            header, body, after = batch
            try:
                kinds = self.batch(path, offset, header, body)
            except (Damage, struct.error) as damage:
                self.problem(path, offset, damage)
                kinds = None
            if header["kind"] == DATA:
                index.append((offset, after - offset, header, kinds))
            offset = after
        # The end of a segment that is not sealed may be torn.
        if damaged is not None and sealed:
            self.problem(path, damaged, "no whole batch")
        return index

    def batch(self, path, offset, header, body):
        if header["kind"] == FOOTER:
            return None
        sequence, kinds = header["first_sequence"], [0] * 32
        if header["kind"] == DATA:
            if self.expected not in (None, sequence):
                self.problem(path, offset, f"sequence {sequence} follows where {self.expected} should")
            self.expected = sequence + header["records"]
        is_clustered = header["codec"] == 2
        records = clustered(header, body) if is_clustered else records_of(header, decoded(header, body))
        for kind, record, behind in records:
            kinds[kind] += 1
            if kind == 13:
                self.instruments[record["instrument"]] = json.loads(behind)
            if header["kind"] == DATA:
                print(json.dumps(output(kind, record, behind, sequence, self.instruments)))
                sequence += 1
        return kinds

    def footer(self, path, data, trailer, index):
        """Compares the footer with the batches."""
        offset = trailer["footer_offset"]
        batch = batch_at(data, offset, len(data) - LINE)
        if batch is None or batch[0]["kind"] != FOOTER or trailer["end_sequence"] != self.expected:
            return self.problem(path, offset, "the footer is damaged")
        archive = batch[1]
        root = len(archive) - 272
        entries = vector(archive, root, LINE)
        found = [INDEX_ENTRY.read(entries, at) for at in range(0, len(entries), INDEX_ENTRY.struct.size)]
        expected = [
            {"offset": offset, "bytes": length, "kinds": struct.pack("<32I", *kinds)}
            | {key: header[key] for key in ("first_sequence", "first_receive_ns", "last_receive_ns", "records")}
            for offset, length, header, kinds in index
        ]
        total = [sum(counts) for counts in zip(*(kinds for _, _, _, kinds in index))] or [0] * 32
        sums = struct.unpack_from("<32QQ", archive, root + 8)
        if found != expected or list(sums) != total + [sum(total)]:
            self.problem(path, offset, "the index is not that of the batches")


def main():
    reader = Reader()
    for path in sys.argv[1:]:
        reader.segment(path)
    return 1 if reader.problems else 0


if __name__ == "__main__":
    sys.exit(main())
