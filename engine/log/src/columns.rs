//! The archive in a batch: one vector for each kind of record.
//!
//! A record's archived form is the record itself, byte for byte: [`ArchivedLine`] is 64 bytes at a 64-byte boundary, a
//! vector of records is archived as its lines, and a reader casts the lines back. `rkyv` lays out and validates;
//! this crate needs no `unsafe` for it.

use bytemuck::{Pod, Zeroable};
use marketprism_core::record::{
    AggTrade, Book, Candle, ClockSample, Definition, DetailedTrade, FundingRate, Gap, Greeks, LINE_BYTES,
    Level, Liquidation, LongShortRatio, MarkPrice, OpenInterest, Quote, Raw, Session, Ticker, Trade,
    VolatilityIndex,
};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Fallible;
use rkyv::ser::Writer;
use rkyv::vec::{ArchivedVec, VecResolver};
use rkyv::with::{ArchiveWith, SerializeWith};
use rkyv::{Archive, Place, Portable, Serialize};

use crate::format::ALIGNMENT;

/// One line of an archived record.
#[derive(Clone, Copy, Pod, Zeroable, Portable, CheckBytes)]
#[bytecheck(crate = rkyv::bytecheck)]
#[repr(C, align(64))]
pub(crate) struct ArchivedLine([u8; LINE_BYTES]);

/// One archived book level. No stronger aligned than the level itself.
#[derive(Clone, Copy, Pod, Zeroable, Portable, CheckBytes)]
#[bytecheck(crate = rkyv::bytecheck)]
#[repr(C, align(8))]
pub(crate) struct ArchivedLevel([u8; size_of::<Level>()]);

/// Vectors are copied in pieces of this length, which a C library copies with vector registers. Longer ones it may copy with
/// `rep movsb`; that was measured to take six times as long where both buffers begin at about the same place in a page
/// (4096 trades, finish and checksum: 24.6 ns a trade, 4.3 ns without `rep movsb`).
const COPY_BYTES: usize = 1024;

/// Archives a vector of plain structs as elements of type `A`, in one copy.
pub(crate) struct Plain<A>(std::marker::PhantomData<A>);

impl<T: Pod, A: Portable> ArchiveWith<Vec<T>> for Plain<A> {
    type Archived = ArchivedVec<A>;
    type Resolver = VecResolver;

    fn resolve_with(field: &Vec<T>, resolver: VecResolver, out: Place<ArchivedVec<A>>) {
        let elements = field.len() * (size_of::<T>() / size_of::<A>());
        ArchivedVec::resolve_from_len(elements, resolver, out);
    }
}

impl<T: Pod, A: Portable, S: Fallible + Writer + ?Sized> SerializeWith<Vec<T>, S> for Plain<A> {
    fn serialize_with(field: &Vec<T>, serializer: &mut S) -> Result<VecResolver, S::Error> {
        const { assert!(size_of::<T>().is_multiple_of(size_of::<A>())) };
        // `WriterExt::align` gives at most 32 bytes of padding, so it is done here. Every vector starts at a line.
        let padding = serializer.pos().next_multiple_of(ALIGNMENT) - serializer.pos();
        serializer.write(&[0; ALIGNMENT][..padding])?;
        let position = serializer.pos();
        for piece in bytemuck::cast_slice::<T, u8>(field).chunks(COPY_BYTES) {
            serializer.write(piece)?;
        }
        Ok(VecResolver::from_pos(position))
    }
}

/// The records of a batch. `Archived` is what lies on disk.
#[derive(Default, Archive, Serialize)]
#[rkyv(archived = ArchivedColumns)]
pub(crate) struct Columns {
    /// The kind of each record in capture order; the n-th record of a kind is the n-th of that kind's vector.
    #[rkyv(with = Plain<u8>)]
    pub(crate) order: Vec<u8>,
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) trades: Vec<Trade>,
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) agg_trades: Vec<AggTrade>,
    /// Snapshots and deltas.
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) books: Vec<Book>,
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) quotes: Vec<Quote>,
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) tickers: Vec<Ticker>,
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) mark_prices: Vec<MarkPrice>,
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) funding_rates: Vec<FundingRate>,
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) open_interests: Vec<OpenInterest>,
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) liquidations: Vec<Liquidation>,
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) candles: Vec<Candle>,
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) long_short_ratios: Vec<LongShortRatio>,
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) definitions: Vec<Definition>,
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) sessions: Vec<Session>,
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) gaps: Vec<Gap>,
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) raws: Vec<Raw>,
    /// The levels of all books; [`Book::level_start`] is an index here.
    #[rkyv(with = Plain<ArchivedLevel>)]
    pub(crate) levels: Vec<Level>,
    /// The bodies of definitions, sessions and raw frames.
    #[rkyv(with = Plain<u8>)]
    pub(crate) bytes: Vec<u8>,
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) detailed_trades: Vec<DetailedTrade>,
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) greeks: Vec<Greeks>,
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) volatility_indexes: Vec<VolatilityIndex>,
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) clock_samples: Vec<ClockSample>,
}

/// What is in one data batch of a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct IndexEntry {
    /// Offset of the batch, bytes from the start of the file.
    pub offset: u64,
    /// Capture sequence of its first record.
    pub first_sequence: u64,
    /// Earliest receive time, nanoseconds since the Unix epoch.
    pub first_receive_ns: i64,
    /// Latest receive time, nanoseconds since the Unix epoch.
    pub last_receive_ns: i64,
    /// Number of records.
    pub records: u32,
    /// Bytes of the whole batch in the file.
    pub bytes: u32,
    /// Number of records by kind number.
    pub kinds: [u32; crate::format::KINDS],
    /// Zero.
    pub reserved: [u8; 24],
}

const _: () = assert!(size_of::<IndexEntry>() == 3 * LINE_BYTES);

/// The body of a footer batch.
#[derive(Default, Archive, Serialize)]
#[rkyv(archived = ArchivedIndex)]
pub(crate) struct Index {
    /// One entry for each data batch, in file order.
    #[rkyv(with = Plain<ArchivedLine>)]
    pub(crate) entries: Vec<IndexEntry>,
    /// Records by kind number, over the whole segment.
    pub(crate) kinds: [u64; crate::format::KINDS],
    /// All records.
    pub(crate) records: u64,
}
